"""Months of a growth or a plan as dates: where month 0 has one, month m has the date m months later.

What a date marks is of two kinds. Somebody who dates a growth by hand means the month that begins there (2026-12 is
December). A forecast looks from the end of a history, today, and its month m is the one that ends m months from today.
"""

from __future__ import annotations

import math
from calendar import monthrange
from datetime import date, datetime, timedelta

from loadtests.foundation.errors import InputError

_HALF_A_MONTH = timedelta(days=15)


def date_after(start: date, months: float) -> date:
    """The date so many months after another; the part of a month counts in that month's days, rounded down.

    Parameters
    ----------
    start : date
    months : float
        May be negative.

    Examples
    --------
    >>> date_after(date(2026, 12, 1), 1.5)
    datetime.date(2027, 1, 16)
    """
    before = _whole_months_after(start, math.floor(months))
    after = _whole_months_after(start, math.floor(months) + 1)
    return before + timedelta(days=math.floor((months - math.floor(months)) * (after - before).days))


def _whole_months_after(start: date, months: int) -> date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        raise InputError(f"{months} months from {start} is no date; give an earlier or a later start.")
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def day_of(given: object, name: str = "date") -> date:
    """A day, from a date, a time (its time of day is dropped), 2026-12-01, or 2026-12 for the first of the month.

    Raises
    ------
    InputError
        For what is none of these.
    """
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    text = str(given).strip()
    try:
        return datetime.fromisoformat(f"{text}-01" if len(text) == len("2026-12") else text).date()
    except ValueError:
        raise InputError(f"{name} is {given!r}; write it as 2026-12-01, or 2026-12.") from None


def months_to(day: date, start: date) -> int:
    """Whole months from `start` to a day, below 0 before it: a month begins on the day of `start`, or its last."""
    begins = min(start.day, monthrange(day.year, day.month)[1])
    return calendar_months_between(start, day) - (day.day < begins)


def month_holding(day: date, start: date, *, months_end: bool) -> int:
    """The month in which a day lies; `months_end`: the date of a month is its end, and its last day is before it."""
    return months_to(day, start) + months_end


def calendar_months_between(first: date, second: date) -> int:
    """How many months the second one's calendar month is later."""
    return 12 * (second.year - first.year) + second.month - first.month


def calendar_month_of(start: date, *, months_end: bool) -> date:
    """First day of the calendar month that month 0 is called after: that of its date, or where most of it lies."""
    return (start - _HALF_A_MONTH if months_end else start).replace(day=1)
