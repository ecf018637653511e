"""Months as dates: those that begin on theirs, and those that end there."""

from __future__ import annotations

import io
from datetime import date

import pytest

from capacity import GrowthProjection, read_growth
from capacity.demand.month_dates import calendar_month_of, day_of, month_holding
from loadtests.foundation.errors import InputError


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        ("2026-11-26", 0, 1), ("2026-12-25", 0, 1), ("2026-12-26", 1, 2), ("2026-11-25", -1, 0), ("2026-10-26", -1, 0),
        ("2026-10-25", -2, -1), ("2027-11-26", 12, 13),
    ],
)  # fmt: skip
def test_a_day_lies_in_the_month_that_begins_or_ends_on_its_date(day, begins, ends):
    start = date(2026, 11, 26)
    assert month_holding(date.fromisoformat(day), start, months_end=False) == begins
    assert month_holding(date.fromisoformat(day), start, months_end=True) == ends


def test_a_month_of_the_31st_begins_on_the_last_day_of_shorter_ones():
    months = [month_holding(date(2027, 2, day), date(2027, 1, 31), months_end=False) for day in (1, 27, 28)]
    assert months == [0, 0, 1]


@pytest.mark.parametrize(
    ("start", "begins", "ends"),
    [("2026-12-01", "2026-12-01", "2026-11-01"), ("2026-12-31", "2026-12-01", "2026-12-01"),
     ("2026-12-10", "2026-12-01", "2026-11-01")],
)  # fmt: skip
def test_month_0_is_called_after_the_calendar_month_of_its_date_or_that_most_of_it_lies_in(start, begins, ends):
    first = date.fromisoformat(start)
    assert calendar_month_of(first, months_end=False).isoformat() == begins
    assert calendar_month_of(first, months_end=True).isoformat() == ends


def test_days_are_read_in_every_common_form():
    assert {day_of(text) for text in ("2026-12", "2026-12-01", "2026-12-01T08:30:00Z", "20261201")} == {
        date(2026, 12, 1)
    }
    with pytest.raises(InputError, match="month_end is 'soon'"):
        day_of("soon", "month_end")


def test_a_growth_by_ends_of_months_says_so_wherever_it_goes():
    growth = read_growth(io.StringIO("month_end,peak_users\n2026-01-31,100\n2026-02-28,110\n2026-04-30,130\n"))
    assert ([point.month for point in growth.points], str(growth.start)) == ([0, 1, 3], "2026-01-31")
    assert growth.months_end
    assert GrowthProjection.from_dict(growth.to_dict()) == growth
    assert GrowthProjection.from_frame(growth_frame()).months_end
    assert not read_growth(io.StringIO("date,peak_users\n2026-01-31,100\n")).months_end


def growth_frame():
    import pandas as pd

    return pd.DataFrame({"month_end": ["2026-01-01", "2026-02-01"], "peak_users": [100, 110]})


def test_two_columns_of_time_are_refused():
    with pytest.raises(InputError, match="month, date or month_end"):
        read_growth(io.StringIO("month,month_end,peak_users\n0,2026-01-31,100\n"))
