"""Dated events as data: holidays, campaigns, launches; each occurrence by its days, or a day of every year."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from capacity.demand.growth_table import all_problems, csv_rows, is_empty
from capacity.demand.history_table import time_zone
from loadtests.foundation.checks import finite, positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

_NEEDED = ("name", "first")
_OPTIONAL = ("last", "factor", "low", "high", "note")
_EVERY_YEAR = re.compile(r"(\d{2})-(\d{2})")
_LEAP_YEAR = 2024


@dataclass(frozen=True)
class DatedEvent:
    """Days on which demand differs from other days: a holiday, a campaign, a launch.

    Parameters
    ----------
    name : str
        Occurrences of one event share it.
    first, last : date
        Both included. With `every_year` their year says nothing, but for a `last` in the year after `first`.
    every_year : bool, default False
        Whether it comes back on the same days of every year.
    factor : Interval, optional
        Peak of these days over the peak of the days around them, above 0; the ends
        count as its 5 % and 95 % points. Absent: estimated from past occurrences.

    Raises
    ------
    InputError
        For days out of order and a factor that is not above 0.
    """

    name: str
    first: date
    last: date
    every_year: bool = False
    factor: Interval | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError("An event has no name; give one, the same for all occurrences.")
        if self.last < self.first:
            raise InputError(f"The event {self.name!r} ends on {self.last}, before it begins on {self.first}.")
        if self.every_year and (self.last - self.first).days >= 365:
            raise InputError(f"The event {self.name!r} lasts a year or more and comes every year; shorten it.")
        if self.factor is not None and not 0 < self.factor.low <= self.factor.high:
            raise InputError(f"The event {self.name!r} has the factor {self.factor}; it must be above 0.")

    def days(self, from_year: int, to_year: int) -> Iterator[tuple[date, date]]:
        """First and last day of each occurrence that begins in these years.

        One of 29 February alone comes only where there is one; a longer one ends or begins a day earlier without it.
        """
        if not self.every_year:
            yield self.first, self.last
            return
        for year in range(max(from_year, date.min.year), min(to_year, date.max.year - 1) + 1):
            if self.first == self.last and _in_year(self.first, year).day != self.first.day:
                continue
            yield _in_year(self.first, year), _in_year(self.last, year + self.last.year - self.first.year)


def _in_year(day: date, year: int) -> date:
    return date(year, day.month, min(day.day, monthrange(year, day.month)[1]))


@dataclass(frozen=True)
class EventSpan:
    """One occurrence in time: seconds since 1970, the end not included."""

    event: DatedEvent
    start_s: float
    end_s: float


@dataclass(frozen=True)
class EventCalendar:
    """Events and the time zone of their days. Use `read_events`, or make it from `DatedEvent`.

    Parameters
    ----------
    events : tuple of DatedEvent
    timezone : str, optional
        In which days begin at midnight, for example ``Europe/Berlin``; absent: UTC.

    Raises
    ------
    InputError
        When two occurrences of one event overlap.
    """

    events: tuple[DatedEvent, ...]
    timezone: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "events", tuple(self.events))
        time_zone(self.timezone)
        for name in {event.name for event in self.events}:
            self._check_apart(name)

    def _check_apart(self, name: str) -> None:
        mine = [event for event in self.events if event.name == name]
        years = [item.first.year for item in mine if not item.every_year] or [_LEAP_YEAR]
        days = sorted(pair for event in mine for pair in event.days(min(years) - 1, max(years) + 1))
        for one, other in pairwise(days):
            if other[0] <= one[1]:
                raise InputError(f"The event {name!r} is given twice for {other[0]}; give each occurrence once.")

    def spans(self, start_s: float, end_s: float) -> tuple[EventSpan, ...]:
        """Occurrences that touch the time from `start_s` to `end_s`, in order."""
        zone = time_zone(self.timezone) or UTC
        years = [datetime.fromtimestamp(moment, UTC).year for moment in (start_s, end_s)]
        found = [
            EventSpan(event, _midnight(first, zone), _midnight(last + timedelta(1), zone))
            for event in self.events
            for first, last in event.days(years[0] - 2, years[1] + 1)
        ]
        inside = (span for span in found if span.end_s > start_s and span.start_s < end_s)
        return tuple(sorted(inside, key=lambda span: (span.start_s, span.event.name)))


def read_events(source: str | Path | TextIO, *, timezone: str | None = None) -> EventCalendar:
    r"""Read a CSV of dated events.

    Columns: ``name`` (the same for all occurrences of an event), ``first`` (a day,
    ``2026-11-27``, or a day of every year, ``12-24``); optional ``last`` (absent:
    one day), ``factor`` with ``low`` and ``high`` (peak of these days over the peak
    of the days around them; absent: estimated from past occurrences) and ``note``.

    Parameters
    ----------
    source : path or text stream
    timezone : str, optional
        In which the days begin; absent: UTC.

    Raises
    ------
    InputError
        For a missing file and wrong columns; all bad rows are named in one error.

    Examples
    --------
    >>> import io
    >>> calendar = read_events(io.StringIO("name,first,last,factor\nholidays,12-24,12-26,0.6\n"))
    >>> calendar.events[0].every_year
    True
    """
    name, columns, rows = csv_rows(source, "events", "name and first")
    _check_columns(name, columns)
    events: list[DatedEvent] = []
    problems: list[str] = []
    for label, row in rows:
        try:
            events.append(_event(row))
        except InputError as error:
            problems.append(f"  {label}: {error}")
    if problems:
        raise InputError(all_problems(name, problems))
    if not events:
        raise InputError(f"{name} holds no events; give at least one row, or leave the file out.")
    return EventCalendar(tuple(events), timezone)


def _check_columns(name: str, columns: list[str]) -> None:
    allowed = (*_NEEDED, *_OPTIONAL)
    if not set(_NEEDED) <= set(columns) <= set(allowed) or len(set(columns)) < len(columns):
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, columns)) or 'none'}; needed are {' and '.join(_NEEDED)}, "
            f"allowed are {', '.join(_OPTIONAL)}, each once."
        )


def _event(row: Mapping[str, Any]) -> DatedEvent:
    if row.get(""):
        raise InputError(f"it has more cells than the header; extra: {row['']!r}. Write decimals with a point.")
    missing = [column for column in _NEEDED if is_empty(row.get(column))]
    if missing:
        raise InputError(f"{' and '.join(missing)} is empty.")
    first_text = str(row["first"]).strip()
    last_text = first_text if is_empty(row.get("last")) else str(row["last"]).strip()
    yearly = [_EVERY_YEAR.fullmatch(text) is not None for text in (first_text, last_text)]
    if yearly[0] != yearly[1]:
        raise InputError(f"first is {first_text} and last is {last_text}; give both with a year, or both without.")
    first, last = (_day(text, every_year=yearly[0]) for text in (first_text, last_text))
    if yearly[0] and last < first:
        last = _in_year(last, last.year + 1)
    return DatedEvent(str(row["name"]).strip(), first, last, yearly[0], _factor(row))


def _day(text: str, *, every_year: bool) -> date:
    try:
        return date.fromisoformat(f"{_LEAP_YEAR}-{text}" if every_year else text)
    except ValueError:
        raise InputError(f"{text!r} is no day; write 2026-11-27, or 11-27 for every year.") from None


def _factor(row: Mapping[str, Any]) -> Interval | None:
    given = {name: row[name] for name in ("low", "factor", "high") if not is_empty(row.get(name))}
    if not given:
        return None
    if "factor" not in given or len(given) == 2:
        raise InputError("low and high belong to a factor; give factor alone, or all three.")
    mid = positive("factor", finite("factor", given["factor"]))
    low, high = (positive(end, finite(end, given.get(end, mid))) for end in ("low", "high"))
    if not low <= mid <= high:
        raise InputError(f"low is {low}, factor {mid}, high {high}; low <= factor <= high is needed.")
    return Interval(low, mid, high, 1.0, "assumed")


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
