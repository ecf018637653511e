"""Dated events: read from a file, taken out of the past, put on the months ahead."""

from __future__ import annotations

import io
import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from capacity import DatedEvent, EventCalendar, charts, forecast_growth, read_events
from capacity.demand.event_effects import (
    ComingEvent,
    EventEffects,
    PastEvent,
    event_effects,
    event_findings,
    without_events,
)
from capacity.demand.history_table import MONTH_S
from capacity.demand.quantile_scores import QUANTILES
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.foundation.intervals import Interval
from support.traffic import DAY_S, daily, seasonal_days

HEADER = "name,first,last,low,factor,high\n"
START = date(2020, 1, 1).toordinal()


def read(text: str, **options: Any) -> EventCalendar:
    return read_events(io.StringIO(HEADER + text), **options)


def place(day: str) -> int:
    """Of a day in a history that begins on 2020-01-01."""
    return date.fromisoformat(day).toordinal() - START


def raised(days: np.ndarray, first: str, last: str, factor: float) -> np.ndarray:
    made = days.copy()
    made[place(first) : place(last) + 1] *= factor
    return made


def coming(start_month: float, end_month: float, low: float, mid: float, high: float) -> ComingEvent:
    return ComingEvent(
        "x", start_month * MONTH_S, end_month * MONTH_S, Interval(low, mid, high, 1, "assumed"), "stated"
    )


def past(name: str, ratio: float) -> PastEvent:
    return PastEvent(name, 0.0, DAY_S, 1, ratio, ratio, False)


def test_a_day_of_every_year_comes_every_year_and_may_reach_into_the_next() -> None:
    calendar = read("new year,12-30,01-02,,,\n")
    start, end = 1_577_836_800.0, 1_577_836_800.0 + 731 * DAY_S  # 2020 and 2021
    days = [((span.start_s - start) / DAY_S, (span.end_s - start) / DAY_S) for span in calendar.spans(start, end)]
    assert days == [(-2, 2), (364, 368), (729, 733)]


def test_days_begin_at_midnight_of_the_zone_named() -> None:
    utc, berlin = (read("sale,2026-07-01,,,2,\n", timezone=zone) for zone in (None, "Europe/Berlin"))
    assert utc.spans(0, 1e10)[0].start_s - berlin.spans(0, 1e10)[0].start_s == 2 * 3_600


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "holds no events"),
        ("sale,,,,,\n", "line 2: first is empty"),
        ("sale,soon,,,,\n", "write 2026-11-27, or 11-27 for every year"),
        ("sale,02-30,,,,\n", "'02-30' is no day"),
        ("sale,2026-01-02,2026-01-01,,,\n", "before it begins"),
        ("sale,12-24,2026-12-26,,,\n", "both with a year"),
        ("sale,2026-01-01,,,-1,\n", "must be above 0"),
        ("sale,2026-01-01,,,nan,\n", "must be a finite number"),
        ("sale,2026-01-01,,1,,2\n", "give factor alone, or all three"),
        ("sale,2026-01-01,,1,2,\n", "give factor alone, or all three"),
        ("sale,2026-01-01,,2,1,3\n", "low <= factor <= high"),
        ("sale,2026-01-01,2026-01-05,,,\nsale,2026-01-04,,,,\n", "given twice for 2026-01-04"),
        ("sale,2026-01-01,,,1,2,3\n", "more cells than the header"),
    ],
)
def test_what_is_no_calendar_is_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(text)


def test_wrong_columns_and_an_unknown_zone_are_refused() -> None:
    with pytest.raises(InputError, match="needed are name and first"):
        read_events(io.StringIO("name,when\nsale,2026-01-01\n"))
    with pytest.raises(InputError, match="time zone"):
        read("sale,2026-01-01,,,,\n", timezone="Mars")


def test_past_days_of_an_event_are_not_known_to_the_models_and_measured_against_the_days_around() -> None:
    history = daily(raised(np.full(400, 100.0), "2020-03-10", "2020-03-12", 3.0))
    calendar = read("launch,2020-03-10,2020-03-12,,,\n")
    assert np.flatnonzero(np.isnan(without_events(history, calendar).values)).tolist() == [69, 70, 71]
    (seen,) = event_effects(history, calendar, 1).past
    assert (seen.rows, seen.peak, seen.ratio, seen.lower_bound) == (3, 300, 3, False)


def test_an_event_whose_days_nothing_reaches_is_named() -> None:
    history = daily(raised(np.full(400, 100.0), "2020-03-10", "2020-03-12", 3.0))
    calendar = read("launch,2020-03-10,2020-03-12,,,\nfair,2044-05-10,,,2,\nopening,2021-02-10,,,2,\n")
    found = event_effects(history, calendar, 2)
    assert found.unused == ("fair (2044-05-10)",)
    (said,) = (item for item in event_findings(found) if item.code == "event-not-used")
    assert "fair (2044-05-10)" in said.message


def test_shed_requests_of_an_event_bound_its_factor_and_no_longer_the_month() -> None:
    history = daily(raised(np.full(400, 100.0), "2020-03-10", "2020-03-12", 3.0), [70])
    calendar = read("launch,2020-03-10,2020-03-12,,,\n")
    assert not without_events(history, calendar).censored.any()
    assert event_effects(history, calendar, 1).past[0].lower_bound


def test_a_month_that_holds_an_event_takes_its_day_for_the_whole_row() -> None:
    months = daily(np.full(24, 100.0))
    monthly = type(months)("m", MONTH_S * np.arange(24.0), months.values, months.censored, MONTH_S)
    calendar = EventCalendar((DatedEvent("day", date(1970, 6, 10), date(1970, 6, 10)),))
    assert np.flatnonzero(np.isnan(without_events(monthly, calendar).values)).tolist() == [5]


def test_several_occurrences_give_the_interval_of_the_next() -> None:
    """Logarithms of 0 and 1 twice: the deviation within is sqrt(1/2), with two degrees of freedom."""
    effects = EventEffects((past("a", 1.0), past("a", np.e), past("b", 1.0), past("b", np.e), past("c", 2.0)))
    found = effects.estimates()
    reach = 2.91998558 * np.sqrt(0.5)
    assert np.log([found["a"].low, found["a"].mid, found["a"].high]) == pytest.approx(
        [0.5 - reach * np.sqrt(1.5), 0.5, 0.5 + reach * np.sqrt(1.5)]
    )
    assert np.log(found["c"].high / found["c"].mid) == pytest.approx(reach * np.sqrt(2))


def test_the_interval_of_the_next_occurrence_holds_it_as_often_as_it_says() -> None:
    """2,000 times three past occurrences and a fourth; of a true 90 %, fewer than 1,740 have a chance of 1e-5."""
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(2_000):
        *seen, then = np.exp(rng.normal(0.5, 0.3, 4))
        held += EventEffects(tuple(past("a", ratio) for ratio in seen)).estimates()["a"].contains(then)
    assert 1_740 < held < 1_860


def test_the_largest_stretch_of_a_month_counts_and_overlapping_events_multiply() -> None:
    effects = EventEffects(
        coming=(coming(0.2, 0.6, 1, 2, 3), coming(0.5, 0.7, 2, 2, 2), coming(1.1, 1.2, 0.5, 0.5, 0.5))
    )
    assert effects.month_factors(0.0, 3) == ((2, 4, 6), (1, 1, 1), (1, 1, 1))
    whole = EventEffects(coming=(coming(0, 1, 0.5, 0.5, 0.5),))
    assert whole.month_factors(0.0, 1) == ((0.5, 0.5, 0.5),)


def test_a_factor_widens_the_forecast_as_independent_errors_do() -> None:
    """Both normal, of logarithms: deviations 0.3 and 0.4 make 0.5."""
    from scipy import stats

    z = stats.norm.ppf(QUANTILES)
    reach = 0.4 * stats.norm.ppf(0.95)
    effects = EventEffects(coming=(coming(0, 1, 2 * np.exp(-reach), 2, 2 * np.exp(reach)),))
    made = effects.applied((1.0 + 0.3 * z)[None, :], 0.0)
    assert made[0] == pytest.approx(1.0 + np.log(2) + 0.5 * z)


def test_a_launch_of_last_march_is_neither_season_nor_trend() -> None:
    days = seasonal_days(6, swing=0.2)
    launched = raised(days, "2025-03-10", "2025-03-14", 4.0)
    history, plain = daily(launched), daily(days)
    calendar = read("launch,2025-03-10,2025-03-14,,,\n")
    usual = forecast_growth(plain, 4, within_interval_peak=1)
    with_launch = forecast_growth(history, 4, within_interval_peak=1)
    known = forecast_growth(history, 4, within_interval_peak=1, events=calendar)
    march = 2  # the history ends with 2025
    assert with_launch.quantiles[march, 2] > 1.15 * usual.quantiles[march, 2]
    assert known.quantiles[:, 2] == pytest.approx(usual.quantiles[:, 2], rel=0.05)
    assert known.peaks.peaks.max() < 1.05 * plain.values.max()
    assert {"events-taken-out"} <= {item.code for item in known.findings}


def test_a_sale_that_comes_again_is_on_its_months_and_on_no_other() -> None:
    days = seasonal_days(5, swing=0.0, growth=0.0)
    text = ""
    for year, factor in ((2020, 2.0), (2021, 2.2), (2022, 1.8), (2023, 2.1)):
        days = raised(days, f"{year}-11-25", f"{year}-11-28", factor)
        text += f"sale,{year}-11-25,{year}-11-28,,,\n"
    history = daily(days[: place("2024-10-31")])
    plain = forecast_growth(history, 3, within_interval_peak=1, events=read(text))
    made = forecast_growth(history, 3, within_interval_peak=1, events=read(text + "sale,2024-11-25,2024-11-26,,,\n"))
    assert [bool(made.month_events(month)) for month in (1, 2, 3)] == [True, False, False]
    assert made.quantiles[1:] == pytest.approx(plain.quantiles[1:])
    assert made.quantiles[0, 2] / plain.quantiles[0, 2] == pytest.approx(2.0, rel=0.1)
    widths = [np.log(item.quantiles[0, 4] / item.quantiles[0, 0]) for item in (made, plain)]
    assert widths[0] > widths[1]
    assert made.to_growth().points[1].peak == pytest.approx(made.quantiles[0, 2], rel=1e-5)
    document = json.loads(to_json(made.to_dict()))
    assert document["months"][0]["events"] == ["sale"]
    assert len(document["events"][0]["past"]) == 4


def test_month_zero_is_as_measured_with_its_event() -> None:
    days = raised(seasonal_days(2, swing=0.0), "2021-12-24", "2021-12-26", 3.0)
    made = forecast_growth(daily(days), 1, events=read("holidays,2021-12-24,2021-12-26,,,\n"))
    assert made.today.peak == pytest.approx(days.max(), rel=1e-5)


def test_an_event_that_goes_on_is_past_and_ahead() -> None:
    days = raised(seasonal_days(2, swing=0.0), "2021-12-20", "2021-12-30", 2.0)[: place("2021-12-31")]
    (seen,), (ahead,) = (
        getattr(event_effects(daily(days), read("campaign,2021-12-20,2022-01-10,,,\n"), 1), name)
        for name in ("past", "coming")
    )
    assert (seen.end_s, ahead.start_s) == (daily(days).end_s, daily(days).end_s)
    assert ahead.factor.mid == seen.ratio


def codes(text: str, days: np.ndarray) -> dict[str, Any]:
    made = forecast_growth(daily(days), 2, events=read(text))
    return {item.code: item for item in made.findings if item.code.startswith("event")}


def test_what_is_not_known_of_an_event_is_said() -> None:
    days = seasonal_days(2, swing=0.0)[: place("2021-11-30")]
    days = raised(days, "2020-12-24", "2020-12-24", 2.0)
    once = codes("sale,12-24,,,,\n", days)
    assert "sale" in once["event-range-unknown"].message
    stated = codes("sale,2020-12-24,,,,\nsale,2021-12-24,,3,4,5\n", days)
    assert stated["event-factor-stated"].numbers["stated"] == 4
    gone = days.copy()
    gone[place("2020-12-24")] = np.nan
    assert codes("sale,2020-12-24,,,,\nsale,2021-12-24,,3,4,5\n", gone)["event-not-measured"].numbers["occurrences"]


def test_an_event_ahead_of_which_nothing_is_known_is_refused() -> None:
    with pytest.raises(InputError, match="sale: ahead, with no factor stated and no past occurrence"):
        forecast_growth(daily(seasonal_days(1)), 1, events=read("sale,2021-01-05,,,,\n"))


def test_a_history_of_events_alone_is_refused() -> None:
    with pytest.raises(InputError, match="at most a third may be missing"):
        forecast_growth(daily(seasonal_days(3)), 1, events=read("always,2020-06-01,2022-06-01,,,\n"), period="month")


def test_the_chart_marks_events() -> None:
    days = raised(seasonal_days(2, swing=0.0), "2021-12-24", "2021-12-26", 3.0)
    made = forecast_growth(daily(days), 1, events=read("sale,2021-12-24,2021-12-26,,,\nsale,2022-01-05,,1,2,3\n"))
    legend = charts.plot_forecast(made).get_legend()
    assert legend is not None
    shown = {text.get_text() for text in legend.get_texts()}
    assert {"past event (taken out)", "median of a month with an event"} <= shown
    assert "Events ahead" in made.summary()


def test_an_event_under_way_is_not_measured_by_its_first_days() -> None:
    days = seasonal_days(3, swing=0.0, growth=0.0)
    history = daily(days[: place("2022-12-30") + 1])
    with pytest.raises(InputError, match="ahead, with no factor stated"):
        forecast_growth(history, 2, within_interval_peak=1, events=read("sale,2022-12-30,2023-01-08,,,\n"))


def test_a_yearly_event_to_the_end_of_february_comes_every_year() -> None:
    (event,) = read("carnival,02-20,02-29,,2,\n").events
    assert [last.isoformat() for _, last in event.days(2026, 2028)] == ["2026-02-28", "2027-02-28", "2028-02-29"]
    (leap,) = read("leap day,02-29,02-29,,2,\n").events
    assert [first.isoformat() for first, _ in leap.days(2026, 2028)] == ["2028-02-29"]


def test_an_event_inside_a_longer_one_is_measured_against_it() -> None:
    """A season of 1.3 with a day of 3 in it: each has its own factor, and together they are the day."""
    days = raised(np.full(600, 100.0), "2020-11-20", "2020-12-31", 1.3)
    days[place("2020-11-27")] = 300.0
    text = "season,2020-11-20,2020-12-31,,,\nfriday,2020-11-27,2020-11-27,,,\n"
    seen = {item.name: item.ratio for item in event_effects(daily(days), read(text), 1).past}
    assert seen == {"season": pytest.approx(1.3), "friday": pytest.approx(3 / 1.3)}


def test_a_yearly_event_may_begin_in_winter_and_end_on_29_february() -> None:
    (event,) = read("winter,12-01,02-29,,0.8,\n").events
    assert [last.isoformat() for _, last in event.days(2026, 2027)] == ["2027-02-28", "2028-02-28"]
