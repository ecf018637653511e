"""Single periods unlike all others: found, said, and kept out of the level of the structural model."""

from __future__ import annotations

import numpy as np
import pytest

from capacity import DemandForecast, forecast_growth
from capacity.demand.candidates import StandingOut
from capacity.demand.structural_model import standing_out
from support.traffic import daily, seasonal_days

_SPIKE = 10.0


def found_in(logs: np.ndarray) -> StandingOut:
    return standing_out(logs, np.full(len(logs), np.nan), 12.0)


def months(number: int = 40, seed: int = 1) -> np.ndarray:
    rng, at = np.random.default_rng(seed), np.arange(number)
    return 7 + 0.01 * at + 0.3 * np.sin(at / 12 * 2 * np.pi) + rng.normal(0, 0.04, number)


def raised(logs: np.ndarray, *places: int, by: float = 0.9) -> np.ndarray:
    made = logs.copy()
    made[list(places)] += by
    return made


@pytest.mark.parametrize("seed", range(8))
def test_nothing_stands_out_of_noise(seed: int) -> None:
    """Six standard errors: once in 500 million normal periods, and estimated spreads make that hardly more."""
    assert found_in(months(seed=seed)) == StandingOut()


@pytest.mark.parametrize("place", [1, 17, 38])
@pytest.mark.parametrize("by", [-0.9, 0.9])
def test_a_single_period_is_found_with_what_was_to_be_expected(place: int, by: float) -> None:
    logs = months()
    found = found_in(raised(logs, place, by=by))
    assert list(found.expected) == [place]
    assert found.expected[place] == pytest.approx(logs[place], abs=0.15)
    assert found.last_expected is None


def test_the_last_period_is_said_and_left_as_it_is() -> None:
    logs = months()
    found = found_in(raised(logs, 39))
    assert found.expected == {}
    assert found.last_expected == pytest.approx(logs[39], abs=0.15)


def test_a_level_that_stays_is_no_single_period() -> None:
    assert found_in(raised(months(), *range(25, 40))).expected == {}


def test_more_than_one_in_twenty_are_not_rare() -> None:
    logs = months()
    assert len(found_in(raised(logs, 9, 22)).expected) == 2
    assert len(found_in(raised(logs, 2, 5)).expected) == 2  # while level and pattern are hardly known yet
    assert found_in(raised(logs, 9, 16, 22, 31)).expected == {}


def test_what_hardly_moves_has_nothing_to_say() -> None:
    """A history without noise, and one period 5 % higher: many standard errors, and nobody's concern."""
    logs = np.full(40, 7.0)
    logs[20] += 0.05
    assert found_in(logs) == StandingOut()


def test_what_was_shed_or_is_missing_does_not_stand_out() -> None:
    logs = raised(months(), 20)
    bounds = np.full(40, np.nan)
    bounds[20] = logs[20]
    assert standing_out(logs, bounds, 12.0) == StandingOut()


@pytest.fixture(scope="module")
def forecasts() -> tuple[DemandForecast, DemandForecast, DemandForecast]:
    """Three years of days: as they are, with one day ten times as high in month 22, and on the last day."""
    days = seasonal_days(3)
    inner, last = days.copy(), days.copy()
    inner[680] *= _SPIKE
    last[-1] *= _SPIKE
    return tuple(
        forecast_growth(daily(item), 6, within_interval_peak=1.0, period="month") for item in (days, inner, last)
    )


def test_one_wild_day_moves_the_tail_of_a_forecast_alone(forecasts: tuple[DemandForecast, ...]) -> None:
    """When that day counted like any other, the 95 % quantile was 1.6 times as high, the median a fifth lower."""
    plain, inner, _ = forecasts
    assert inner.model.name == plain.model.name == "structural"
    assert inner.quantiles[:, 2] == pytest.approx(plain.quantiles[:, 2], rel=0.05)
    assert inner.quantiles[:, 4] == pytest.approx(plain.quantiles[:, 4], rel=0.15)
    assert np.all(inner.quantiles[:, 5] > 1.5 * plain.quantiles[:, 5])


def test_a_forecast_says_what_stands_out_and_what_the_others_lead_to_expect(
    forecasts: tuple[DemandForecast, ...],
) -> None:
    plain, inner, last = forecasts
    assert not {"period-stands-out", "last-period-stands-out"} & {item.code for item in plain.findings}
    (said,) = (item for item in inner.findings if item.code == "period-stands-out")
    (numbers,) = said.numbers["periods"]
    assert numbers["peak"] / numbers["expected"] == pytest.approx(_SPIKE, rel=0.35)
    assert "events" in said.remedy
    assert "lead to expect" in said.message
    (ends,) = (item for item in last.findings if item.code == "last-period-stands-out")
    assert ends.severity == "warning"
    assert ends.numbers["peak"] == pytest.approx(last.peaks.peaks[-1])
