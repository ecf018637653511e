"""Rows of a traffic history to times and values; every bad row is named in one error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from capacity.demand.growth_table import Row, all_problems, is_empty
from loadtests.foundation.checks import finite, non_negative
from loadtests.foundation.errors import InputError

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
MONTH_S = 365.25 / 12 * DAY_S  # the mean month

_NEEDED = ("timestamp", "value")
_MARKS = ("censored", "shed")
_NO, _YES = ("0", "false", "no"), ("1", "true", "yes")
_LARGEST_EPOCH_S = 1e11  # the year 5138; milliseconds of today are larger


@dataclass(frozen=True)
class HistoryRow:
    """One interval: its label in the source, its start (UTC), its value, and whether requests were shed in it."""

    label: str
    start_s: float
    value: float
    censored: bool


def rows_of_history(
    name: str, columns: Sequence[str], rows: Iterable[Row], timezone: str | None
) -> tuple[list[HistoryRow], bool]:
    """Check columns and rows.

    Returns
    -------
    rows : list of HistoryRow
        In ascending order, at whole multiples of their interval.
    stated_zone : bool
        False where timestamps are written without a time zone and none was given.

    Raises
    ------
    InputError
        For wrong columns, and once for all bad rows.
    """
    _check_columns(name, columns)
    clock = _Clock(time_zone(timezone))
    good: list[HistoryRow] = []
    problems: list[str] = []
    for label, row in rows:
        try:
            good.append(_row(label, row, clock))
        except InputError as error:
            problems.append(f"  {label}: {error}")
    problems += _mixed_clocks(clock) + _disorder(good) + _irregular(good)
    if problems:
        raise InputError(all_problems(name, problems))
    if len(good) < 2:
        raise InputError(f"{name} holds {len(good) or 'no'} rows; a history needs at least two.")
    return good, not clock.naive or clock.zone is not None


def interval_of(starts_s: Sequence[float]) -> float:
    """The commonest distance of two rows; a mean month where rows stand a calendar month apart."""
    steps = Counter(round(after - before, 3) for before, after in pairwise(starts_s) if after > before)
    if not steps:
        return DAY_S
    commonest = max(steps, key=lambda step: (steps[step], -step))
    return MONTH_S if 28 * DAY_S <= commonest <= 31 * DAY_S else commonest


def _check_columns(name: str, columns: Sequence[str]) -> None:
    unknown = [column for column in columns if column not in (*_NEEDED, *_MARKS)]
    marks = [column for column in columns if column in _MARKS]
    if unknown or not set(_NEEDED) <= set(columns) or len(marks) > 1 or len(set(columns)) < len(columns):
        hint = " Separate columns by commas and write decimals with a point." if any(";" in c for c in columns) else ""
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, columns)) or 'none'}; needed are timestamp and value, "
            f"allowed is one of {' or '.join(_MARKS)}, each once.{hint}"
        )


def time_zone(timezone: str | None) -> tzinfo | None:
    """The zone of a name such as ``Europe/Berlin``; none without one."""
    if timezone is None:
        return None
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"The time zone {timezone!r} is not known; write it as Europe/Berlin or UTC.") from None


class _Clock:
    """Reads timestamps one after another, and remembers which kinds it met."""

    def __init__(self, zone: tzinfo | None) -> None:
        self.zone = zone
        self.naive = 0
        self.aware = 0
        self._last_local: datetime | None = None
        self._last_s = -math.inf

    def seconds(self, given: Any) -> float:
        number = _epoch(given)
        if number is not None:
            self.aware += 1
            return number
        moment = _moment(given)
        if moment.tzinfo is not None:
            self.aware += 1
            return moment.timestamp()
        self.naive += 1
        self._last_s = self._local_seconds(moment)
        return self._last_s

    def _local_seconds(self, moment: datetime) -> float:
        """A local time; one that a clock shows twice in autumn is the second where it does not come after the first."""
        placed = moment.replace(tzinfo=self.zone or UTC)
        seconds = placed.timestamp()
        if self.zone is None:
            return seconds
        if seconds <= self._last_s:
            seconds = placed.replace(fold=1).timestamp()
        if datetime.fromtimestamp(seconds, self.zone).replace(tzinfo=None, fold=0) != moment.replace(fold=0):
            raise InputError(f"timestamp is {moment}, which no clock in {self.zone} showed (it was put forward).")
        return seconds


def _epoch(given: Any) -> float | None:
    """Seconds since 1970 where a number is given."""
    if isinstance(given, (datetime, date)):
        return None
    try:
        number = float(given)
    except (TypeError, ValueError):
        return None
    if not abs(number) < _LARGEST_EPOCH_S:
        raise InputError(f"timestamp is {given!r}; a number must be seconds since 1970. Divide milliseconds by 1,000.")
    return number


def _moment(given: Any) -> datetime:
    if isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day)  # the zone comes after
    try:
        return datetime.fromisoformat(str(given).strip())
    except ValueError:
        raise InputError(
            f"timestamp is {given!r}; write it as 2026-01-31, 2026-01-31T13:05:00, with +02:00 or Z behind it, "
            "or as seconds since 1970."
        ) from None


def _row(label: str, row: Mapping[str, Any], clock: _Clock) -> HistoryRow:
    if row.get(""):
        raise InputError(f"it has more cells than the header; extra: {row['']!r}. Write decimals with a point.")
    missing = [column for column in _NEEDED if is_empty(row.get(column))]
    if missing:
        raise InputError(f"{' and '.join(missing)} is empty or NaN; leave out the rows of what was not recorded.")
    start = clock.seconds(row["timestamp"])
    value = row["value"]
    if isinstance(value, str) and "," in value:
        raise InputError(f"value is {value!r}; write decimals with a point and no thousands separator.")
    mark = next((row[column] for column in _MARKS if column in row), None)
    return HistoryRow(label, start, non_negative("value", value), _is_censored(mark))


def _is_censored(mark: Any) -> bool:
    """A truth value, or how much was shed (a count or a share)."""
    if is_empty(mark):
        return False
    text = str(mark).strip().lower()
    return text in _YES or (text not in _NO and finite("shed", non_negative("censored or shed", mark)) > 0)


def _mixed_clocks(clock: _Clock) -> list[str]:
    if clock.naive and clock.aware:
        return [
            f"  {clock.naive} timestamps have no time zone and {clock.aware} have one (or are numbers): use one kind."
        ]
    return []


def _disorder(rows: Sequence[HistoryRow]) -> list[str]:
    problems = []
    for before, after in pairwise(rows):
        if after.start_s == before.start_s:
            problems.append(f"  {after.label}: its timestamp is that of {before.label}; give each interval once.")
        elif after.start_s < before.start_s:
            problems.append(f"  {after.label}: its timestamp lies before that of {before.label}; sort the rows.")
    return problems


def _irregular(rows: Sequence[HistoryRow]) -> list[str]:
    """Distances that are no whole multiple of the interval, but for the hour of a change of clocks and for months."""
    if len(rows) < 2:
        return []
    interval = interval_of([row.start_s for row in rows])
    slack = 2.6 * DAY_S if interval == MONTH_S else 3_601.0 if interval >= DAY_S else 0.01 * interval
    problems = []
    for before, after in pairwise(rows):
        step = after.start_s - before.start_s
        nearest = max(1, round(step / interval)) * interval
        if step > 0 and abs(step - nearest) > slack:
            problems.append(
                f"  {after.label}: it comes {step:,.0f} s after {before.label}, rows are {interval:,.0f} s apart; "
                "bring the history to even intervals (gaps of whole intervals are allowed)."
            )
    return problems
