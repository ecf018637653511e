"""The peak inside a sampling interval: given, estimated from finer data, or said to be unknown; never silently 1."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from capacity import PeakFactor, TrafficHistory, estimate_peak_factor, forecast_growth, read_history
from capacity.demand.peak_factor import peak_to_average
from loadtests.foundation.errors import InputError
from support.traffic import daily, seasonal_days

HISTORIES = Path(__file__).parents[3] / "data" / "traffic_histories"


def hours_with_ratios(ratios: NDArray[np.float64]) -> TrafficHistory:
    """Days of 23 equal hours and one higher: peak / mean of a day is 24 v / (23 + v)."""
    tops = 23 * ratios / (24 - ratios)
    values = np.ones((len(ratios), 24))
    values[:, 12] = tops
    starts = 3_600.0 * np.arange(values.size)
    return TrafficHistory("hours", starts, values.ravel(), np.zeros(values.size, dtype=bool), 3_600.0)


def test_peak_to_average_of_a_day_is_its_highest_hour_over_its_mean() -> None:
    assert peak_to_average(hours_with_ratios(np.array([2.0, 3.0, 5.0]))) == pytest.approx([2, 3, 5])


def test_days_that_are_not_full_or_idle_have_no_ratio() -> None:
    hours = hours_with_ratios(np.array([2.0, 3.0, 5.0]))
    kept = np.r_[0:24, 30:72]
    values = np.where(np.arange(72) >= 48, 0.0, hours.values)
    part = TrafficHistory("part", hours.starts_s[kept], values[kept], hours.censored[kept], 3_600.0)
    assert peak_to_average(part) == pytest.approx([2])


def test_the_interval_of_the_factor_holds_the_true_quantile_as_often_as_it_says() -> None:
    """300 histories of 60 days: 250 or fewer hits of a true 90 % have a chance of 1 in 7,000."""
    truth = 1 + 2 * -np.log(0.1) / 3
    hits = 0
    for seed in range(300):
        ratios = 1 + 2 * np.random.default_rng(seed).exponential(1 / 3, 60)
        hits += estimate_peak_factor(hours_with_ratios(ratios)).value.contains(truth)
    assert hits > 250


def test_few_days_cannot_bound_the_factor_from_above() -> None:
    found = estimate_peak_factor(read_history(HISTORIES / "elb_request_count_8c0756.csv"))
    assert [item.code for item in found.findings] == ["peak-factor-from-few-windows"]
    assert found.value.low <= found.value.mid <= found.value.high
    assert "14 windows of 1 day" in found.basis


def test_what_sees_nothing_inside_the_interval_is_refused() -> None:
    with pytest.raises(InputError, match="at least four"):
        estimate_peak_factor(daily([1.0] * 50))
    with pytest.raises(InputError, match="2 full windows"):
        estimate_peak_factor(hours_with_ratios(np.array([2.0, 3.0])))
    with pytest.raises(InputError, match="give 1 or more"):
        PeakFactor.given(0.9)


def test_an_unknown_factor_is_a_finding_and_a_given_one_multiplies() -> None:
    history = daily(seasonal_days(2))
    unknown, given = (forecast_growth(history, 2, within_interval_peak=factor) for factor in (None, 2.0))
    codes = [[item.code for item in made.findings] for made in (unknown, given)]
    assert ["peak-inside-interval-unknown" in found for found in codes] == [True, False]
    assert given.quantiles == pytest.approx(2 * unknown.quantiles)
    assert unknown.to_dict()["within_interval_peak"]["value"]["mid"] is None


def test_an_estimated_factor_widens_the_growth_by_its_own_interval() -> None:
    finer = hours_with_ratios(np.linspace(1.5, 2.5, 40))
    made = forecast_growth(daily(seasonal_days(2)), 2, within_interval_peak=finer)
    factor, point = made.factor.value, made.to_growth().points[1]
    bare = np.exp(made.log_quantiles[0])
    assert point.low == pytest.approx(bare[0] * factor.low, rel=1e-5)
    assert point.high == pytest.approx(bare[4] * factor.high, rel=1e-5)
