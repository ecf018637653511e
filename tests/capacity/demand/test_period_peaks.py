"""Peaks of weeks and months, what is missing of them, and what shed requests hide."""

import numpy as np
import pytest

from capacity.demand.period_peaks import completed, period_peaks
from loadtests.foundation.errors import InputError
from support.traffic import daily


def test_the_last_week_ends_with_the_history_and_a_cut_one_is_left_out() -> None:
    weeks = period_peaks(daily([99, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]), "week")
    assert weeks.peaks.tolist() == [7, 14]
    assert weeks.ends_s[1] - weeks.ends_s[0] == 7 * 86_400


def test_twelve_months_are_a_year() -> None:
    assert len(period_peaks(daily(np.ones(366)), "month").peaks) == 12


def test_a_week_less_than_half_recorded_has_no_peak() -> None:
    values = np.arange(1.0, 29.0)
    values[7:14] = np.nan
    values[15:18] = np.nan
    assert period_peaks(daily(values), "week").peaks[[0, 2, 3]].tolist() == [7, 21, 28]
    assert np.isnan(period_peaks(daily(values), "week").peaks[1])


def test_zeros_before_the_launch_are_left_out_and_zeros_later_are_no_peak() -> None:
    made = period_peaks(daily([0.0] * 14 + [5.0] * 7 + [0.0] * 7 + [6.0] * 7), "week")
    assert made.peaks[[0, 2]].tolist() == [5, 6]
    assert made.zero.tolist() == [False, True, False]


@pytest.mark.parametrize("values", [[0.0] * 21, [5.0] * 14 + [0.0] * 7])
def test_a_history_without_traffic_at_its_end_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="no traffic in its last week"):
        period_peaks(daily(values), "week")


def test_a_gap_is_completed_between_its_neighbours() -> None:
    logs = np.array([1.0, 2.0, np.nan, np.nan, 5.0])
    assert completed(logs, np.zeros(5, dtype=bool)) == pytest.approx([1, 2, 3, 4, 5])


def test_a_bound_is_never_taken_as_the_demand_and_never_lowered() -> None:
    rng = np.random.default_rng(3)
    logs = rng.normal(5, 0.1, 60)
    censored = np.zeros(60, dtype=bool)
    censored[[20, 40]] = True
    low = logs.copy()
    low[20], low[40] = 4.0, 6.0  # far below and far above what the neighbours say
    filled = completed(low, censored)
    assert filled[~censored].tolist() == low[~censored].tolist()
    assert filled[20] > 4.9
    assert 6.0 < filled[40] < 6.2


def test_what_stands_in_for_shed_demand_is_rarely_too_low() -> None:
    """Of 2,000 truncated normal demands about 90 % lie below; that fewer than 80 % do has a chance below 1e-9."""
    rng = np.random.default_rng(7)
    truth = rng.normal(5, 0.2, 10_000)
    censored = (rng.random(10_000) < 0.5) & (truth > 5.1)
    filled = completed(np.where(censored, 5.1, truth), censored)
    assert censored.sum() > 1_000
    assert (truth[censored] <= filled[censored]).mean() > 0.8
    assert np.mean(filled[censored] > 5.1) == 1.0


def test_what_comes_later_changes_nothing_that_is_completed_of_the_past() -> None:
    logs = np.random.default_rng(5).normal(5, 0.1, 40)
    censored = np.arange(40) % 7 == 3
    assert completed(logs[:30], censored[:30]).tolist() == completed(np.r_[logs[:30], 9.0][:30], censored[:30]).tolist()
