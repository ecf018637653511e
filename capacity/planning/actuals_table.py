"""Measured peaks from a CSV file: by month of the plan, or by date."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from capacity.demand.growth_table import all_problems, csv_rows, is_empty
from capacity.planning.plan import CapacityPlan
from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity

_WHEN = ("month", "date")


def read_actuals(path: str | Path, plan: CapacityPlan) -> dict[int, float]:
    """Read the measured peak of each month.

    Parameters
    ----------
    path : str or Path
        CSV with ``month`` (0 is the plan's first) or ``date``, and ``peak`` or ``peak_<quantity>``. Of several dates in
        a month the largest peak counts.
    plan : CapacityPlan
        For dates it must state when its month 0 is (``capacity plan --start``).

    Returns
    -------
    dict of int to float

    Raises
    ------
    InputError
        For wrong columns, another quantity than the plan's, dates without a start, and once for all bad rows.
    """
    name, columns, rows = csv_rows(path, "actuals", "month (or date) and peak")
    when, peak = _columns(name, columns, plan.quantity)
    start = plan.start
    if when == "date" and start is None:
        raise InputError(
            f"{name} has dates, but the plan does not say when its month 0 is; plan with --start, or give months."
        )
    found: dict[int, float] = {}
    problems: list[str] = []
    for label, row in rows:
        try:
            month, value = _row(row, when, peak, start)
            if when == "month" and month in found:
                raise InputError(f"month {month} is given twice; give one peak a month.")
            found[month] = max(value, found.get(month, 0.0))
        except InputError as error:
            problems.append(f"  {label}: {error}")
    if problems:
        raise InputError(all_problems(name, problems))
    return found


def _columns(name: str, columns: list[str], quantity: Quantity) -> tuple[str, str]:
    peaks = {"peak": quantity} | {f"peak_{item.value}": item for item in Quantity}
    when, given = [item for item in columns if item in _WHEN], [item for item in columns if item in peaks]
    if len(when) != 1 or len(given) != 1:
        raise InputError(
            f"{name} has the columns {', '.join(map(repr, columns)) or 'none'}; needed are month or date, and peak or "
            f"peak_{quantity}."
        )
    if peaks[given[0]] != quantity:
        raise InputError(
            f"{name} counts {peaks[given[0]]} ({given[0]}), the plan {quantity}; give the plan's quantity."
        )
    return when[0], given[0]


def _row(row: Mapping[str, Any], when: str, peak: str, start: date | None) -> tuple[int, float]:
    missing = [column for column in (when, peak) if is_empty(row.get(column))]
    if row.get("") or missing:
        raise InputError(f"{' and '.join(missing)} is empty; give a value." if missing else "it has too many cells.")
    month = whole("month", row[when]) if start is None or when == "month" else _month_of(str(row[when]), start)
    return month, positive("peak", row[peak])


def _month_of(text: str, start: date) -> int:
    """Whole months from the plan's start: a month of the plan begins on the day that the start has."""
    try:
        day = datetime.fromisoformat(text.strip()).date()
    except ValueError:
        raise InputError(f"date is {text!r}; write it as 2026-12-01.") from None
    begins = min(start.day, monthrange(day.year, day.month)[1])
    months = 12 * (day.year - start.year) + day.month - start.month - (day.day < begins)
    if months < 0:
        raise InputError(f"date is {text}, before the plan's month 0 begins on {start.isoformat()}; leave the row out.")
    return months
