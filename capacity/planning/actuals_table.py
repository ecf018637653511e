"""Measured peaks from a CSV file: by month of the plan, or by date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from capacity.demand.growth_table import all_problems, csv_rows, is_empty
from capacity.demand.month_dates import day_of, month_holding
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
        a month the largest peak counts. A date belongs to the month that begins on the plan's date for it, or, where
        the growth came from a forecast, to the one that ends there (`GrowthProjection.months_end`).
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
    month_of = _dated_months(name, plan) if when == "date" else partial(whole, "month")
    found: dict[int, float] = {}
    problems: list[str] = []
    for label, row in rows:
        try:
            month, value = _row(row, when, peak, month_of)
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


def _row(row: Mapping[str, Any], when: str, peak: str, month_of: Callable[[Any], int]) -> tuple[int, float]:
    missing = [column for column in (when, peak) if is_empty(row.get(column))]
    if row.get("") or missing:
        raise InputError(f"{' and '.join(missing)} is empty; give a value." if missing else "it has too many cells.")
    return month_of(row[when]), positive("peak", row[peak])


def _dated_months(name: str, plan: CapacityPlan) -> Callable[[Any], int]:
    """What gives the plan's month of a date."""
    start, ends = plan.start, plan.growth.months_end
    if start is None:
        raise InputError(
            f"{name} has dates, but the plan does not say when its month 0 is; plan with --start, or give months."
        )

    def month_of(given: Any) -> int:
        month = month_holding(day_of(given), start, months_end=ends)
        if month < 0:
            marks = "ends" if ends else "begins"
            raise InputError(f"date is {given}, before the plan's month 0, which {marks} on {start}; leave it out.")
        return month

    return month_of
