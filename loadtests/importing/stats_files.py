"""Locust's ``_stats.csv``, ``_failures.csv`` and ``_exceptions.csv``: one state, as of the last second written."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loadtests.importing.locust_columns import (
    FAILURES,
    STATS,
    STATS_OPTIONAL,
    TOTALS,
    optional_columns,
    optional_number,
    percentile_columns,
    percentiles_of,
    whole_number,
)
from loadtests.importing.notes import Notes
from loadtests.importing.text_tables import TextRow, read_header, read_rows, require_columns
from loadtests.tables import Outcome

_STATUS = re.compile(r"(?:code[=:]\s*|status[ _]code[=:]?\s*|HTTPError\(['\"]|^|\s)([1-5]\d\d)(?=\b)")
_WORDS: tuple[tuple[str, Outcome], ...] = (
    ("timeout", "timeout"), ("timed out", "timeout"), ("refused", "refused"), ("reset", "reset"),
    ("aborted", "reset"), ("broken pipe", "reset"), ("remotedisconnected", "reset"), ("connectionclosed", "reset"),
    ("chunkedencoding", "reset"), ("protocolerror", "reset"), ("emptyresponse", "reset"),
)  # fmt: skip


@dataclass(frozen=True)
class FinalStats:
    """The aggregated row: what Locust had counted when it last wrote the file.

    Parameters
    ----------
    requests, failures : int
    average_s, least_s, most_s : float
        NaN where not known.
    rate_rps : float
        Requests over the time from start (or reset) to the last request.
    percentiles_ms : mapping of float to float
        By p; of all outcomes, since the start (or reset).
    """

    requests: int
    failures: int
    average_s: float
    least_s: float
    most_s: float
    rate_rps: float
    percentiles_ms: Mapping[float, float]


def read_stats(path: Path, notes: Notes) -> FinalStats | None:
    """Read the aggregated row; None when there is none that can be used.

    Parameters
    ----------
    path : Path
    notes : Notes
        Takes what was noticed.

    Raises
    ------
    InputError
        When columns are missing.
    """
    header, _ = read_header(path)
    columns = require_columns(path, header, STATS) | optional_columns(header, STATS_OPTIONAL)
    percentiles = percentile_columns(header)
    found = None
    for row in read_rows(path, notes):
        if row.text(columns["name"]).strip().lower() in TOTALS:
            found = _final(row, columns, percentiles, notes) or found
    return found


def _final(
    row: TextRow, columns: Mapping[str, str], percentiles: Mapping[str, float], notes: Notes
) -> FinalStats | None:
    try:
        requests, failures = (whole_number(row, columns[name]) for name in ("requests", "failures"))
    except (ValueError, OverflowError):
        notes.add("unreadable-values", row.path, line=row.line)
        return None
    average, least, most, rate = (
        optional_number(row, columns[name]) if columns[name] else math.nan
        for name in ("average", "least", "most", "rate")
    )
    found = percentiles_of(row, percentiles)
    return FinalStats(requests, failures, average / 1e3, least / 1e3, most / 1e3, rate, found)


def read_failures(path: Path, notes: Notes) -> dict[Outcome, int]:
    """Number of failures by outcome, as far as their texts tell.

    Raises
    ------
    InputError
        When columns are missing.
    """
    header, _ = read_header(path)
    columns = require_columns(path, header, FAILURES)
    kinds: Counter[Outcome] = Counter()
    for row in read_rows(path, notes):
        try:
            kinds[outcome_of_text(row.text(columns["error"]))] += whole_number(row, columns["number"])
        except (ValueError, OverflowError):
            notes.add("unreadable-values", path, line=row.line)
    return dict(kinds)


def count_exceptions(path: Path, notes: Notes) -> int:
    """How many different exceptions of the test script there were."""
    return sum(1 for _ in read_rows(path, notes))


def outcome_of_text(error: str) -> Outcome:
    """The outcome that an error's text tells of: by the HTTP status in it, else by the kind of exception."""
    status = _STATUS.search(error)
    if status:
        return outcome_of_status(int(status[1]))
    lower = error.lower()
    return next((outcome for word, outcome in _WORDS if word in lower), "failed")


def outcome_of_status(status: int) -> Outcome:
    """The outcome of a failed request with this HTTP status."""
    if status in (429, 503):
        return "shed" if status == 503 else "rate_limited"
    if status >= 500:
        return "server_error"
    return "client_error" if status >= 400 else "failed"
