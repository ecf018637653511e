"""Single periods unlike all others: found, and said with what they do to a forecast and how to take them out."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from capacity import DemandForecast, EventCalendar, forecast_growth, read_events, read_history
from capacity.demand.candidates import StandingOut
from capacity.demand.structural_model import standing_out
from loadtests.foundation.findings import Finding
from support.traffic import daily, seasonal_days

_SPIKE = 10.0
FIRST_DAY = date(2020, 1, 1)  # of `support.traffic.daily`


def found_in(logs: np.ndarray) -> StandingOut:
    return standing_out(logs, np.full(len(logs), np.nan), 12.0, 6)


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
    assert not found.has_last


def test_the_last_period_is_said() -> None:
    logs = months()
    found = found_in(raised(logs, 39))
    assert (list(found.expected), found.has_last) == ([39], True)
    assert found.expected[39] == pytest.approx(logs[39], abs=0.15)


def test_a_level_that_stays_is_no_single_period() -> None:
    assert found_in(raised(months(), *range(25, 40))).expected == {}


def test_more_than_one_in_twenty_are_not_rare() -> None:
    logs = months()
    assert len(found_in(raised(logs, 9, 22)).expected) == 2
    assert len(found_in(raised(logs, 2, 5)).expected) == 2  # while level and pattern are hardly known yet
    assert found_in(raised(logs, 9, 16, 22, 31)).expected == {}


def test_the_largest_of_bursts_of_all_sizes_is_no_other_kind() -> None:
    logs = months()
    for place, size in zip((4, 13, 21, 30), (0.35, 0.5, 0.65, 0.8), strict=True):
        logs = raised(logs, place, by=size)
    assert found_in(logs).expected == {}


def test_what_hardly_moves_has_nothing_to_say() -> None:
    """A history without noise, and one period 5 % higher: many standard errors, and nobody's concern."""
    logs = np.full(40, 7.0)
    logs[20] += 0.05
    assert found_in(logs) == StandingOut()


def test_what_was_shed_or_is_missing_does_not_stand_out() -> None:
    logs = raised(months(), 20)
    bounds = np.full(40, np.nan)
    bounds[20] = logs[20]
    assert standing_out(logs, bounds, 12.0, 6) == StandingOut()


@pytest.fixture(scope="module")
def forecasts() -> tuple[DemandForecast, DemandForecast, DemandForecast]:
    """Three years of days: as they are, with one day ten times as high in month 22, and on the last day."""
    days = seasonal_days(3)
    inner, last = days.copy(), days.copy()
    inner[680] *= _SPIKE
    last[-1] *= _SPIKE
    return tuple(forecast_of(item) for item in (days, inner, last))


def forecast_of(days: np.ndarray, events: EventCalendar | None = None) -> DemandForecast:
    return forecast_growth(daily(days), 6, within_interval_peak=1.0, period="month", events=events)


def events_of(forecast: DemandForecast, folder: Path) -> EventCalendar:
    """The event file that the remedy asks for."""
    lines = re.findall(r"what,[0-9-]+,[0-9-]+", said_of(forecast).remedy)
    (folder / "events.csv").write_text("\n".join(["name,first,last", *lines, ""]))
    return read_events(folder / "events.csv")


def said_of(forecast: DemandForecast) -> Finding:
    (found,) = (item for item in forecast.findings if item.code == "period-stands-out")
    return found


def test_a_forecast_says_what_stands_out_what_was_expected_and_what_it_does(
    forecasts: tuple[DemandForecast, ...],
) -> None:
    plain, inner, last = forecasts
    assert "period-stands-out" not in {item.code for item in plain.findings}
    (numbers,) = said_of(inner).numbers["periods"]
    assert numbers["peak"] / numbers["expected"] == pytest.approx(_SPIKE, rel=0.35)
    assert numbers["day"] == (FIRST_DAY + timedelta(680)).isoformat()
    assert "new level" not in said_of(inner).message
    assert "new level" in said_of(last).message
    assert said_of(last).numbers["pull"] > 1.0


def test_the_remedy_gives_the_forecast_of_a_history_without_that_day(
    forecasts: tuple[DemandForecast, ...], tmp_path: Path
) -> None:
    """With the wild day the 95 % quantile is 1.6 times as high, the median a fifth lower."""
    plain, inner, _ = forecasts
    days = seasonal_days(3)
    days[680] *= _SPIKE
    mended = forecast_of(days, events_of(inner, tmp_path))
    assert np.all(inner.quantiles[:, 4] > 1.4 * plain.quantiles[:, 4])
    assert mended.quantiles == pytest.approx(plain.quantiles, rel=0.02)
    assert "period-stands-out" not in {item.code for item in mended.findings}


def test_a_low_month_is_taken_out_whole(tmp_path: Path) -> None:
    """A day alone would leave the others of the month as low."""
    days = seasonal_days(3)
    end = len(days) - round(12 * 30.4375)  # of the thirteenth month before today
    days[end - 32 : end + 2] /= 4
    low = forecast_of(days)
    (numbers,) = said_of(low).numbers["periods"]
    assert numbers["peak"] < numbers["expected"] / 2
    again = forecast_of(days, events_of(low, tmp_path))
    assert "period-stands-out" not in {item.code for item in again.findings}


def test_beside_an_event_that_is_taken_out_the_day_that_is_left_is_named(tmp_path: Path) -> None:
    days = seasonal_days(3)
    days[681] *= _SPIKE
    first = said_of(forecast_of(days))
    days[675] *= _SPIKE / 2
    events = events_of(forecast_of(days), tmp_path)
    (numbers,) = said_of(forecast_of(days, events)).numbers["periods"]
    assert first.numbers["periods"][0]["day"] == (FIRST_DAY + timedelta(681)).isoformat()
    assert numbers["day"] == (FIRST_DAY + timedelta(675)).isoformat()


@pytest.mark.parametrize("row", [10, 18, 20, 31])
def test_rows_of_calendar_months_are_named_by_the_month_they_are(row: int) -> None:
    """Mean months drift against them; the finding has to find the row that made the peak."""
    rng, firsts = np.random.default_rng(2), [f"{2019 + number // 12}-{number % 12 + 1:02d}-01" for number in range(48)]
    values = 1_000 * np.exp(0.01 * np.arange(48) + rng.normal(0, 0.03, 48))
    values[row] *= 6
    text = "\n".join(["timestamp,value", *(f"{at},{value:.0f}" for at, value in zip(firsts, values, strict=True)), ""])
    made = forecast_growth(read_history(io.StringIO(text)), 6, within_interval_peak=1.0)
    (numbers,) = said_of(made).numbers["periods"]
    assert numbers["day"][:7] == firsts[row][:7]


def test_days_east_of_greenwich_are_named_as_they_are() -> None:
    days = seasonal_days(3)
    days[680] *= _SPIKE
    lines = (f"{FIRST_DAY + timedelta(number)},{value:.0f}" for number, value in enumerate(days))
    text = "\n".join(["timestamp,value", *lines, ""])
    made = forecast_growth(read_history(io.StringIO(text), timezone="Asia/Tokyo"), 6, within_interval_peak=1.0)
    (numbers,) = said_of(made).numbers["periods"]
    assert numbers["day"] == (FIRST_DAY + timedelta(680)).isoformat()
