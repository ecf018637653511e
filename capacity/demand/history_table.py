"""Rows of a traffic history to times and values; every bad row is named in one error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import repeat
from operator import contains
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from capacity.demand.growth_table import Row, all_problems, is_empty
from loadtests.foundation.checks import finite, non_negative
from loadtests.foundation.errors import InputError

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
MONTH_S = 365.25 / 12 * DAY_S  # the mean month

_NEEDED = ("timestamp", "value")
_MARKS = ("censored", "shed")
_REPEATS = ("retries", "attempts")
_NO, _YES = ("0", "false", "no"), ("1", "true", "yes")
_EPOCH = datetime(1970, 1, 1)  # read as UTC
_FIRST_DAY, _LAST_DAY = 19_000_101, 21_001_231
_LARGEST_EPOCH_S = 1e11  # the year 5138; milliseconds of today are larger


Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HistoryColumns:
    """A history as it was read, one entry a row.

    Parameters
    ----------
    labels : sequence of str
        Place in the source, for people.
    starts_s : array of float
        Start, seconds since 1970.
    values : array of float
        As given.
    censored : array of bool
        Whether requests were shed.
    retries, attempts : array of float, optional
        As given; at most one of the two.
    """

    labels: Sequence[str]
    starts_s: Floats
    values: Floats
    censored: NDArray[np.bool_]
    retries: Floats | None = None
    attempts: Floats | None = None


def columns_of_history(
    name: str, columns: Sequence[str], rows: Iterable[Row], timezone: str | None
) -> tuple[HistoryColumns, bool]:
    """Check columns and rows, one by one.

    Returns
    -------
    columns : HistoryColumns
        In ascending order, at whole multiples of their interval.
    stated_zone : bool
        False where timestamps are written without a time zone and none was given.

    Raises
    ------
    InputError
        For wrong columns, and once for all bad rows.
    """
    check_columns(name, columns)
    clock = _Clock(time_zone(timezone))
    good: list[_Row] = []
    problems: list[str] = []
    for label, row in rows:
        try:
            good.append(_row(label, row, clock))
        except InputError as error:
            problems.append(f"  {label}: {error}")
    labels = [row.label for row in good]
    starts = np.array([row.start_s for row in good], dtype=np.float64)
    problems += _mixed_clocks(clock) + _disorder(labels, starts) + _irregular(labels, starts)
    if problems:
        raise InputError(all_problems(name, problems))
    if len(good) < 2:
        raise InputError(f"{name} holds {len(good) or 'no'} rows; a history needs at least two.")
    repeats = {
        kind: np.array([row.repeats for row in good], dtype=np.float64) for kind in _REPEATS if kind in columns
    }  # fmt: skip
    made = HistoryColumns(
        labels, starts, np.array([row.value for row in good], dtype=np.float64),
        np.array([row.censored for row in good], dtype=bool), **repeats,
    )  # fmt: skip
    return made, not clock.naive or clock.zone is not None


def clean_columns(
    cells: Mapping[str, Sequence[Any]], labels: Sequence[str], timezone: str | None
) -> tuple[HistoryColumns, bool] | None:
    """Read whole columns at once: what `columns_of_history` returns, or None where any row is in doubt.

    The same checks in fewer steps; whoever gets None asks `columns_of_history`, which names the bad rows.
    """
    clock = _Clock(time_zone(timezone))
    try:
        starts = _all_seconds(cells["timestamp"], clock)
        values = np.array(list(map(float, cells["value"])), dtype=np.float64)
        censored = _all_marks(next((cells[kind] for kind in _MARKS if kind in cells), None), len(values))
        repeats = {
            kind: np.array(list(map(float, cells[kind])), dtype=np.float64) for kind in _REPEATS if kind in cells
        }  # fmt: skip
    except (TypeError, ValueError, OverflowError):  # InputError is a ValueError
        return None
    made = HistoryColumns(labels, starts, values, censored, **repeats)
    if len(values) < 2 or not _are_sound(made) or (clock.naive and clock.aware):
        return None
    if _disorder(labels, starts) or _irregular(labels, starts):
        return None
    return made, not clock.naive or clock.zone is not None


def _all_seconds(given: Sequence[Any], clock: _Clock) -> Floats:
    try:
        seconds = np.array(list(map(float, given)), dtype=np.float64)
    except (TypeError, ValueError):
        return np.array(_seconds_of_moments(_all_moments(given), clock), dtype=np.float64)
    if not (np.abs(seconds) < _LARGEST_EPOCH_S).all() or any(map(_run_together, seconds)):
        raise ValueError("not seconds")
    clock.aware += len(seconds)
    return seconds


def _seconds_of_moments(moments: Sequence[datetime], clock: _Clock) -> list[float]:
    """As `_Clock.of_moment` does one by one; the two common cases by themselves."""
    naive = sum(moment.tzinfo is None for moment in moments)
    if not naive:
        clock.aware += len(moments)
        return [moment.timestamp() for moment in moments]
    if naive == len(moments) and clock.zone is None:
        clock.naive += naive
        return [(moment - _EPOCH).total_seconds() for moment in moments]
    return [clock.of_moment(moment) for moment in moments]


def _all_moments(given: Sequence[Any]) -> list[datetime]:
    if set(map(type, given)) == {str} and all(map(contains, given, repeat("-"))):  # without one it might be a number
        return list(map(datetime.fromisoformat, map(str.strip, given)))
    if all(isinstance(item, datetime) and not is_empty(item) for item in given):
        return list(given)
    raise ValueError("not moments of one kind")


def _all_marks(given: Sequence[Any] | None, length: int) -> NDArray[np.bool_]:
    if given is None:
        return np.zeros(length, dtype=bool)
    known = {mark: _is_censored(mark) for mark in set(given)}
    return np.array(list(map(known.__getitem__, given)), dtype=bool)


def _are_sound(made: HistoryColumns) -> bool:
    """Whether all numbers are finite, at least 0, and no more retries or fewer attempts than counted."""
    numbers = [column for column in (made.values, made.retries, made.attempts) if column is not None]
    if not all((np.isfinite(column) & (column >= 0)).all() for column in numbers):
        return False
    few = made.retries is None or bool((made.retries <= made.values).all())
    return few and (made.attempts is None or bool((made.attempts >= made.values).all()))


def interval_of(starts_s: Sequence[float] | Floats) -> float:
    """The commonest distance of two rows; a mean month where rows stand a calendar month apart."""
    distances = np.round(np.diff(np.asarray(starts_s, dtype=np.float64)), 3)
    steps, counts = np.unique(distances[distances > 0], return_counts=True)
    if not steps.size:
        return DAY_S
    commonest = float(steps[counts.argmax()])  # of equally common ones the shortest
    return MONTH_S if 28 * DAY_S <= commonest <= 31 * DAY_S else commonest


def check_columns(name: str, columns: Sequence[str]) -> None:
    """Refuse a header that lacks a needed column, or has an unknown one, or one twice."""
    unknown = [column for column in columns if column not in (*_NEEDED, *_MARKS, *_REPEATS)]
    doubled = any(len([column for column in columns if column in kind]) > 1 for kind in (_MARKS, _REPEATS))
    if unknown or not set(_NEEDED) <= set(columns) or doubled or len(set(columns)) < len(columns):
        hint = " Separate columns by commas and write decimals with a point." if any(";" in c for c in columns) else ""
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, columns)) or 'none'}; needed are timestamp and value, "
            f"allowed is one of {' or '.join(_MARKS)} and one of {' or '.join(_REPEATS)}, each once.{hint}"
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
        self._last_s = -math.inf
        self._offsets: dict[date, timedelta | None] = {}

    def seconds(self, given: Any) -> float:
        number = _epoch(given)
        if number is not None:
            self.aware += 1
            return number
        return self.of_moment(_moment(given))

    def of_moment(self, moment: datetime) -> float:
        if moment.tzinfo is not None:
            self.aware += 1
            return moment.timestamp()
        self.naive += 1
        self._last_s = self._local_seconds(moment)
        return self._last_s

    def _local_seconds(self, moment: datetime) -> float:
        """A local time; one that a clock shows twice in autumn is the second where it does not come after the first."""
        offset = self._offset_of(moment.date())
        if offset is not None:
            return (moment - offset - _EPOCH).total_seconds()
        placed = moment.replace(tzinfo=self.zone)
        seconds = placed.timestamp()
        if seconds <= self._last_s:
            seconds = placed.replace(fold=1).timestamp()
        if datetime.fromtimestamp(seconds, self.zone).replace(tzinfo=None, fold=0) != moment.replace(fold=0):
            raise InputError(f"timestamp is {moment}, which no clock in {self.zone} showed (it was put forward).")
        return seconds

    def _offset_of(self, day: date) -> timedelta | None:
        """Distance from UTC on a day, looked up once; None where it changes on that day."""
        if day not in self._offsets:
            self._offsets[day] = self._looked_up(day)
        return self._offsets[day]

    def _looked_up(self, day: date) -> timedelta | None:
        if self.zone is None:
            return timedelta(0)
        hours = (datetime(day.year, day.month, day.day, hour, tzinfo=self.zone) for hour in range(24))
        ends = datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=self.zone)
        offsets = {moment.replace(fold=fold).utcoffset() for moment in (*hours, ends) for fold in (0, 1)}
        return offsets.pop() if len(offsets) == 1 else None


def _epoch(given: Any) -> float | None:
    """Seconds since 1970 where a number is given."""
    if isinstance(given, (datetime, date)):
        return None
    try:
        number = float(given)
    except (TypeError, ValueError):
        return None
    day = _run_together(number)
    if day is not None:
        raise InputError(
            f"timestamp is {given!r}; as seconds that is in 1970. Write {day} if it is a day, else seconds since 1970."
        )
    if not abs(number) < _LARGEST_EPOCH_S:
        raise InputError(f"timestamp is {given!r}; a number must be seconds since 1970. Divide milliseconds by 1,000.")
    return number


def _run_together(number: float) -> date | None:
    """The day that a number such as 20260131 is, of this and the last century."""
    if not _FIRST_DAY <= number <= _LAST_DAY or number != int(number):
        return None
    try:
        return date.fromisoformat(str(int(number)))
    except ValueError:
        return None


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


@dataclass(frozen=True, slots=True)
class _Row:
    label: str
    start_s: float
    value: float
    censored: bool
    repeats: float


def _row(label: str, row: Mapping[str, Any], clock: _Clock) -> _Row:
    if row.get(""):
        raise InputError(f"it has more cells than the header; extra: {row['']!r}. Write decimals with a point.")
    missing = [column for column in _NEEDED if is_empty(row.get(column))]
    if missing:
        raise InputError(f"{' and '.join(missing)} is empty or NaN; leave out the rows of what was not recorded.")
    start = clock.seconds(row["timestamp"])
    value = row["value"]
    if isinstance(value, str) and "," in value:
        raise InputError(f"value is {value!r}; write decimals with a point and no thousands separator.")
    number = non_negative("value", value)
    mark = next((row[column] for column in _MARKS if column in row), None)
    return _Row(label, start, number, _is_censored(mark), _repeats(row, number))


def _repeats(row: Mapping[str, Any], value: float) -> float:
    kind = next((column for column in _REPEATS if column in row), None)
    if kind is None:
        return 0.0
    if is_empty(row[kind]):
        raise InputError(f"{kind} is empty or NaN; write 0 retries, or the attempts, or leave the row out.")
    number = non_negative(kind, row[kind])
    if kind == "retries" and number > value:
        raise InputError(
            f"retries is {number:g}, value {value:g}; value counts retries too, so it is at least as much."
        )
    if kind == "attempts" and number < value:
        raise InputError(
            f"attempts is {number:g}, value {value:g}; beside attempts, value counts logical requests, each with at "
            "least one attempt."
        )
    return number


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


def _disorder(labels: Sequence[str], starts_s: Floats) -> list[str]:
    steps = np.diff(starts_s)
    return [
        f"  {labels[at + 1]}: its timestamp is that of {labels[at]}; give each interval once." if steps[at] == 0
        else f"  {labels[at + 1]}: its timestamp lies before that of {labels[at]}; sort the rows."
        for at in np.flatnonzero(~(steps > 0)).tolist()
    ]  # fmt: skip


def _irregular(labels: Sequence[str], starts_s: Floats) -> list[str]:
    """Distances that are no whole multiple of the interval, but for the hour of a change of clocks and for months."""
    interval = interval_of(starts_s)
    slack = 2.6 * DAY_S if interval == MONTH_S else 3_601.0 if interval >= DAY_S else 0.01 * interval
    steps = np.diff(starts_s)
    nearest = np.maximum(1, np.rint(steps / interval)) * interval
    return [
        f"  {labels[at + 1]}: it comes {steps[at]:,.0f} s after {labels[at]}, rows are {interval:,.0f} s apart; "
        "bring the history to even intervals (gaps of whole intervals are allowed)."
        for at in np.flatnonzero((steps > 0) & (np.abs(steps - nearest) > slack)).tolist()
    ]
