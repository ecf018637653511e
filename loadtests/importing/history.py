"""Locust's ``_stats_history.csv``: about one row a second of counters since the start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtests.importing.histogram import rounded_edges_s
from loadtests.importing.locust_columns import (
    HISTORY,
    HISTORY_OPTIONAL,
    TOTALS,
    optional_columns,
    optional_number,
    percentile_columns,
    percentiles_of,
    whole_number,
)
from loadtests.importing.notes import Notes
from loadtests.importing.text_tables import TextRow, read_header, read_rows, require_columns

Floats = NDArray[np.float64]

TILE_S = 10.0
"""Locust's `CURRENT_RESPONSE_TIME_PERCENTILE_WINDOW`: what its current percentiles look back on."""


@dataclass(frozen=True, eq=False)
class History:
    """The aggregated rows, one a second, without those that go back in time.

    Parameters
    ----------
    time_s : array of float, shape (n,)
        Whole seconds since the epoch; the row was written within the second that begins there.
    users : array of float, shape (n,)
        Users running; NaN where not known.
    requests, failures : array of float, shape (n,)
        Counted since the first row; resets of Locust's statistics are bridged.
    residence_s : array of float, shape (n,)
        Sum of all residence times, likewise; NaN where not known.
    counted : array of float, shape (n,)
        Requests since Locust's last reset: those that cumulative percentiles are of.
    least_s, most_s : array of float, shape (n,)
        Shortest and longest time since the last reset.
    percentiles_ms : array of float, shape (n, p)
    probabilities : tuple of float
        Of the columns of `percentiles_ms`.
    is_recent : bool
        Whether the percentiles look back on the last `TILE_S` only, not to the start.
    """

    time_s: Floats
    users: Floats
    requests: Floats
    failures: Floats
    residence_s: Floats
    counted: Floats
    least_s: Floats
    most_s: Floats
    percentiles_ms: Floats
    probabilities: tuple[float, ...]
    is_recent: bool

    def percentiles(self, place: int) -> dict[float, float]:
        """The percentiles of one row in milliseconds by p."""
        return dict(zip(self.probabilities, self.percentiles_ms[place].tolist(), strict=True))


@dataclass(frozen=True)
class _Row:
    time_s: float
    users: float
    requests: int
    failures: int
    average_ms: float
    least_ms: float
    most_ms: float
    percentiles_ms: Mapping[float, float]


def read_history(path: Path, notes: Notes) -> History | None:
    """Read a history.

    Parameters
    ----------
    path : Path
    notes : Notes
        Takes what was noticed.

    Returns
    -------
    History or None
        None when it has fewer than two usable rows.

    Raises
    ------
    InputError
        When columns are missing.
    """
    rows, has_names = _read(path, notes)
    if len(rows) < 2:
        return None
    probabilities, resets = tuple(rows[0].percentiles_ms), _resets(rows)
    return History(
        time_s=_column(rows, "time_s"),
        users=_column(rows, "users"),
        requests=_bridged([row.requests for row in rows], resets),
        failures=_bridged([row.failures for row in rows], resets),
        residence_s=_bridged([row.requests * row.average_ms / 1e3 for row in rows], resets),
        counted=_column(rows, "requests"),
        least_s=_column(rows, "least_ms") / 1e3,
        most_s=_column(rows, "most_ms") / 1e3,
        percentiles_ms=np.array([[row.percentiles_ms[p] for p in probabilities] for row in rows], dtype=float),
        probabilities=probabilities,
        is_recent=has_names or _looks_back_shortly(rows),
    )


def _read(path: Path, notes: Notes) -> tuple[list[_Row], bool]:
    """The aggregated rows in order of time, and whether there are rows by name too (a full history)."""
    header, _ = read_header(path)
    columns = require_columns(path, header, HISTORY) | optional_columns(header, HISTORY_OPTIONAL)
    percentiles = percentile_columns(header)
    rows: list[_Row] = []
    has_names = False
    for text in read_rows(path, notes):
        if text.text(columns["name"]).strip().lower() not in TOTALS:
            has_names = True
            continue
        row = _row(text, columns, percentiles, notes)
        if row is None or (rows and row.time_s <= rows[-1].time_s):
            if row is not None and row.time_s < rows[-1].time_s:
                notes.add("clock-went-back", path, line=text.line)
            continue
        if rows and row.requests < rows[-1].requests:
            notes.add("counter-went-down", path, line=text.line)
        rows.append(row)
    return rows, has_names


def _row(text: TextRow, columns: Mapping[str, str], percentiles: Mapping[str, float], notes: Notes) -> _Row | None:
    try:
        time_s = text.number(columns["time"])
        requests, failures = (whole_number(text, columns[name]) for name in ("requests", "failures"))
        if not math.isfinite(time_s):
            raise ValueError("no time")
    except (ValueError, OverflowError):
        notes.add("unreadable-values", text.path, line=text.line)
        return None
    users, average, least, most = (
        optional_number(text, columns[name]) if columns[name] else math.nan
        for name in ("users", "average", "least", "most")
    )
    if columns["average"] and "." not in text.text(columns["average"]):
        average = average if average == 0 and requests == 0 else math.nan
    return _Row(time_s, users, requests, failures, average, least, most, percentiles_of(text, percentiles))


def _resets(rows: list[_Row]) -> NDArray[np.bool_]:
    requests = np.array([row.requests for row in rows], dtype=float)
    return np.diff(requests, prepend=requests[0]) < 0


def _bridged(counter: list[float] | list[int], resets: NDArray[np.bool_]) -> Floats:
    """A counter that never goes down: after a reset it goes on from where it was."""
    values = np.asarray(counter, dtype=float)
    steps = np.diff(values, prepend=values[0])
    return np.asarray(values[0] + np.cumsum(np.where(resets | (steps < 0), values, steps)), dtype=float)


def _column(rows: list[_Row], name: str) -> Floats:
    return np.array([getattr(row, name) for row in rows], dtype=float)


def _looks_back_shortly(rows: list[_Row]) -> bool:
    """Whether the longest time of the percentiles ever falls short of the longest since the start."""
    for row in rows:
        longest = row.percentiles_ms.get(1.0, math.nan)
        if math.isfinite(longest) and math.isfinite(row.most_ms) and rounded_edges_s(longest)[1] < row.most_ms / 1e3:
            return True
    return False
