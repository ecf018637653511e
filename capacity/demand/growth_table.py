"""Rows of a growth table (CSV or frame) to stated peaks; every bad row is named in one error."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from capacity.demand.growth_points import GrowthPoint
from capacity.demand.month_dates import calendar_months_between, date_after, day_of
from capacity.demand.month_dependence import MonthDependence
from loadtests.foundation.checks import finite
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity

Row = tuple[str, Mapping[str, Any]]

_PEAK_COLUMNS = {"peak": None} | {f"peak_{item.value}": item for item in Quantity}
_OPTIONAL = ("low", "high", "p99", "stated_percent")
_LINKS = ("own_share", "persistence")
_TIMES = ("month", "date", "month_end")
_ALLOWED = (*_TIMES, *_PEAK_COLUMNS, *_OPTIONAL, *_LINKS, "note")
_MAX_NAMED_ROWS = 20


def csv_rows(
    source: str | Path | TextIO, what: str = "growth", columns: str = "month and peak_ccu"
) -> tuple[str, list[str], list[Row]]:
    """Return the source's name, its header and its rows, each labelled with its line number."""
    name, text = text_of(source, what, columns)
    return name, *rows_of_text(name, text)


def rows_of_text(name: str, text: str) -> tuple[list[str], list[Row]]:
    """Return the header of a CSV text and its rows, each labelled with its line number."""
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", skipinitialspace=True, strict=True)
    try:
        header = [column.strip() for column in reader.fieldnames or ()]
        reader.fieldnames = header
        rows: list[Row] = [(f"line {reader.line_num}", row) for row in reader if any(row.values())]
    except csv.Error as error:
        raise InputError(f"{name} is not a readable CSV (line {reader.line_num}: {error}).") from None
    return header, rows


def text_of(source: str | Path | TextIO, what: str, columns: str) -> tuple[str, str]:
    """Name and content of a UTF-8 file or stream."""
    if not isinstance(source, (str, Path)):
        return getattr(source, "name", None) or f"The {what} table", source.read().removeprefix("\ufeff")
    path = Path(source)
    if not path.is_file():
        raise InputError(f"The {what} file {path} does not exist; give the path of a CSV with {columns}.")
    try:
        return str(path), path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"The {what} file {path} is not UTF-8 text ({error}); save it as UTF-8.") from None


def points_from_rows(
    name: str, columns: Sequence[str], rows: Iterable[Row], quantity: str | None, start: date | None = None
) -> tuple[tuple[GrowthPoint, ...], Quantity, date | None]:
    """Check columns and rows; return the points, what they count, and the date of month 0 where it is known.

    Dates count in whole months from `start`, or from the first row.

    Raises
    ------
    InputError
        For wrong columns, and once for all bad rows.
    """
    peak_column, counted = _peak_column(name, columns, quantity)
    points: list[GrowthPoint] = []
    problems: list[str] = []
    months = _Months(start, next(column for column in columns if column in _TIMES))
    for label, row in rows:
        try:
            point = _point(row, peak_column, months)
            _check_after(points, point)
            points.append(point)
        except InputError as error:
            problems.append(f"  {label}: {error}")
    if problems:
        raise InputError(all_problems(name, problems))
    if not points:
        raise InputError(f"{name} holds no rows; give at least month 0, the peak of today.")
    return tuple(points), counted, months.start


class _Months:
    """Reads the month of one row after another, from whole numbers or from dates."""

    def __init__(self, start: date | None, column: str) -> None:
        self.start = start
        self.column = column

    def of(self, row: Mapping[str, Any]) -> Any:
        if self.column == "month":
            return row["month"]
        name, day = self.column, day_of(row[self.column], self.column)
        self.start = day if self.start is None else self.start
        months = calendar_months_between(self.start, day)
        if day < self.start:
            raise InputError(
                f"{name} {day} lies before month 0, {self.start}; sort the rows, or give an earlier start."
            )
        if day != date_after(self.start, months):
            raise InputError(
                f"{name} {day} is no whole number of months after {self.start}; give every row the same day of its "
                "month."
            )
        return months


def _peak_column(name: str, columns: Sequence[str], quantity: str | None) -> tuple[str, Quantity]:
    unknown = [column for column in columns if column not in _ALLOWED]
    peaks = [column for column in columns if column in _PEAK_COLUMNS]
    times = [column for column in columns if column in _TIMES]
    if unknown or len(peaks) != 1 or len(times) != 1 or len(set(columns)) < len(columns):
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, columns)) or 'none'}; needed are month, date or "
            f"month_end, and one of {', '.join(_PEAK_COLUMNS)}, allowed are "
            f"{', '.join((*_OPTIONAL, *_LINKS, 'note'))}, each once."
        )
    named = _PEAK_COLUMNS[peaks[0]]
    asked = None if quantity is None else Quantity.parse(quantity)
    if named and asked and named != asked:
        raise InputError(f"{name} counts {named} ({peaks[0]}), but {asked} was asked for; use one of the two.")
    return peaks[0], named or asked or Quantity.CCU


def _point(row: Mapping[str, Any], peak_column: str, months: _Months) -> GrowthPoint:
    if row.get(""):
        raise InputError(f"it has more cells than the header; extra: {row['']!r}. Write 3350, not 3,350.")
    missing = [column for column in (months.column, peak_column) if is_empty(row.get(column))]
    if missing:
        raise InputError(f"{' and '.join(missing)} is empty; give a number.")
    optional = {column: _optional(column, row.get(column)) for column in _OPTIONAL}
    links = {column: finite(column, row[column]) for column in _LINKS if not is_empty(row.get(column))}
    return GrowthPoint(
        months.of(row), finite("peak", row[peak_column]), optional["low"], optional["high"], optional["stated_percent"],
        dependence=MonthDependence(**links), p99=optional["p99"],
    )  # fmt: skip


def _optional(column: str, value: Any) -> float | None:
    return None if is_empty(value) else finite(column, value)


def is_empty(value: Any) -> bool:
    """Whether a cell is blank: absent, empty text, or a frame's missing value."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType")


def _check_after(points: Sequence[GrowthPoint], point: GrowthPoint) -> None:
    if not points:
        return
    last = points[-1].month
    if point.month == last or any(point.month == other.month for other in points):
        raise InputError(f"month {point.month} is given twice; give one peak a month.")
    if point.month < last:
        raise InputError(f"month {point.month} comes after month {last}; give the months in order.")


def all_problems(name: str, problems: Sequence[str]) -> str:
    """The text of one error that names every bad row, the first twenty by themselves."""
    count = len(problems)
    more = [] if count <= _MAX_NAMED_ROWS else [f"  and {count - _MAX_NAMED_ROWS} more"]
    title = f"{name} has {count} bad row{'s' * (count > 1)}:"
    return "\n".join([title, *problems[:_MAX_NAMED_ROWS], *more])
