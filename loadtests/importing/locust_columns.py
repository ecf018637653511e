"""Names that columns of Locust's CSV files had in its versions, in lower case.

From the history of `locust/stats.py`: 0.14 wrote "# requests", 1.0 and later "Request Count"; the
history of 1.x had "Total Average Response Time" as a whole number and percentiles of the last 10 s
always, later ones have it as a fraction and percentiles since the start unless --csv-full-history.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from loadtests.importing.text_tables import TextRow

Names = dict[str, tuple[str, ...]]

HISTORY: Names = {
    "time": ("timestamp",),
    "name": ("name",),
    "requests": ("total request count", "request count", "# requests"),
    "failures": ("total failure count", "failure count", "# failures"),
}
HISTORY_OPTIONAL: Names = {
    "users": ("user count", "users", "# users"),
    "average": ("total average response time", "average response time"),
    "least": ("total min response time", "min response time"),
    "most": ("total max response time", "max response time"),
}
STATS: Names = {
    "name": ("name",),
    "requests": ("request count", "# requests"),
    "failures": ("failure count", "# failures"),
}
STATS_OPTIONAL: Names = {
    "average": ("average response time",),
    "least": ("min response time",),
    "most": ("max response time",),
    "rate": ("requests/s", "total_rps"),
}
FAILURES: Names = {"error": ("error",), "number": ("occurrences", "# occurrences")}
TOTALS = frozenset({"aggregated", "total"})

_PERCENTILE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")


def optional_columns(columns: tuple[str, ...], names: Names) -> dict[str, str]:
    """Which of the known names each column has in this file, empty where it has none."""
    present = {name.lower() for name in columns}
    return {meaning: next((name for name in known if name in present), "") for meaning, known in names.items()}


def percentile_columns(columns: tuple[str, ...]) -> dict[str, float]:
    """The percentile columns and their p, 0 to 1."""
    found = {name.lower(): _PERCENTILE.fullmatch(name) for name in columns}
    return {name: round(float(match[1]) / 100, 10) for name, match in found.items() if match and float(match[1]) <= 100}


def optional_number(row: TextRow, column: str) -> float:
    """A number that may be absent or no number: NaN then."""
    try:
        return row.number(column)
    except ValueError:
        return math.nan


def whole_number(row: TextRow, column: str) -> int:
    """A count from 0; ValueError for anything else."""
    value = row.number(column)
    if not value >= 0 or value != int(value):
        raise ValueError(f"{column} is no count")
    return int(value)


def percentiles_of(row: TextRow, columns: Mapping[str, float]) -> dict[float, float]:
    """The row's percentiles in milliseconds by p."""
    return {probability: optional_number(row, name) for name, probability in columns.items()}
