"""A log with one row a request, in the columns of Locust's `csv_request_logger`, streamed into Parquet.

Columns: timestamp (sending time, seconds since the epoch), request_type, name, response_time_ms,
response_length, status_code, exception. Batches of a few megabytes go through Arrow one after the
other (`loadtests.importing.log_batches`), so memory does not grow with the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loadtests.importing.log_batches import NEEDED, LogRows, read_log
from loadtests.importing.notes import Notes
from loadtests.importing.request_table import RequestTable
from loadtests.importing.stats_files import outcome_of_status, outcome_of_text
from loadtests.importing.text_tables import read_header, read_rows, require_columns
from loadtests.tables import OUTCOMES, Outcome

Floats = NDArray[np.float64]

MOST_NAMES = 1_000
OTHER_NAME = "(other)"
_MOST_JUMP_S = 1.0
_LONGEST_ERROR = 2_000
_SERVED, _FAILED = OUTCOMES.index("served"), OUTCOMES.index("failed")
_OF_STATUS = np.array(
    [_SERVED if code < 400 else OUTCOMES.index(outcome_of_status(code)) for code in range(1_000)], dtype=np.int32
)


@dataclass
class LogSummary:
    """What a log held.

    Parameters
    ----------
    requests : int
        Rows written.
    start_s, end_s : float
        First sending and last finish, seconds since the epoch.
    longest_jump_s : float
        Furthest that a finish lay before one further up.
    """

    requests: int = 0
    start_s: float = math.inf
    end_s: float = -math.inf
    longest_jump_s: float = 0.0


@dataclass
class LogOptions:
    """How the rows of one log enter the recording.

    Parameters
    ----------
    origin_s : float
        Epoch time that counts as 0.
    worker_id : str
        Name of the run.
    users_at : callable
        Users by finish time (seconds since the epoch, array).
    on_rows : callable
        Is told how many rows have been read.
    """

    origin_s: float
    worker_id: str
    users_at: Callable[[Floats], NDArray[np.int64]]
    on_rows: Callable[[int], None] = field(default=lambda _rows: None)


def first_time_s(path: Path) -> float:
    """Sending time of the first row that has one, seconds since the epoch; NaN for none."""
    for row in islice(read_rows(path, Notes()), 1_000):
        try:
            value = row.number("timestamp")
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return math.nan


def check_log(path: Path) -> None:
    """Refuse a log without the columns it needs."""
    header, _ = read_header(path)
    require_columns(path, header, NEEDED)


def write_log(path: Path, table: RequestTable, options: LogOptions, notes: Notes) -> LogSummary:
    """Append a log's requests to a recording's table, batch by batch.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``.
    table : RequestTable
    options : LogOptions
    notes : Notes
        Takes what was noticed.

    Returns
    -------
    LogSummary

    Raises
    ------
    InputError
        When columns are missing, or it unpacks to more than is believable.
    """
    check_log(path)
    texts: dict[str, Any] = {
        "worker_id": [options.worker_id], "outcome": list(OUTCOMES), "method": _Names(path, notes),
        "endpoint": _Names(path, notes),
    }  # fmt: skip
    lists = {name: item.texts if isinstance(item, _Names) else item for name, item in texts.items()}
    summary = LogSummary()
    for rows in read_log(path, notes):
        if len(rows.sent_at):
            table.add(_columns(rows, texts, options, summary), lists)
            options.on_rows(summary.requests)
    table.flush(lists)
    if summary.longest_jump_s > _MOST_JUMP_S:
        notes.add("clock-went-back", path)
    return summary


class _Names:
    """Numbers names in order of their first appearance; at most `MOST_NAMES`, the others become `OTHER_NAME`."""

    def __init__(self, path: Path, notes: Notes) -> None:
        self.texts: list[str] = []
        self._path, self._notes = path, notes
        self._places: dict[bytes, int] = {}
        self._other = -1

    def places(self, column: pa.DictionaryArray) -> NDArray[np.int32]:
        """The number of each row's name."""
        encoded = column.dictionary_decode().fill_null(b"").dictionary_encode() if column.null_count else column
        of_unique = np.array([self._place(name) for name in encoded.dictionary.to_pylist()], dtype=np.int32)
        found = of_unique[encoded.indices.to_numpy(zero_copy_only=False)]
        folded = int(np.count_nonzero(found == self._other)) if self._other >= 0 else 0
        if folded:
            self._notes.add("too-many-names", self._path, number=folded)
        return np.asarray(found, dtype=np.int32)

    def _place(self, name: bytes) -> int:
        place = self._places.get(name)
        if place is not None:
            return place
        if len(self._places) < MOST_NAMES:
            self._places[name] = len(self.texts)
            self.texts.append(self._decoded(name))
            return self._places[name]
        if self._other < 0:
            self._other = len(self.texts)
            self.texts.append(OTHER_NAME)
        return self._other

    def _decoded(self, name: bytes) -> str:
        try:
            return name.decode("utf-8")
        except UnicodeDecodeError:
            self._notes.add("mixed-encoding", self._path)
            return name.decode("latin-1")


def _columns(rows: LogRows, texts: Mapping[str, Any], options: LogOptions, summary: LogSummary) -> dict[str, Any]:
    """The columns of a requests table; counts the rows in `summary`."""
    number = len(rows.sent_at)
    finish_at = rows.sent_at + rows.residence_s
    highest = np.maximum.accumulate(np.append(summary.end_s, finish_at))
    summary.longest_jump_s = max(summary.longest_jump_s, float((highest[1:] - finish_at).max()))
    summary.requests += number
    summary.start_s = min(summary.start_s, float(rows.sent_at.min()))
    summary.end_s = float(highest[-1])
    status = rows.whole("status_code")
    start_s = rows.sent_at - options.origin_s
    return {
        "sent_at": rows.sent_at, "start_s": start_s, "finish_s": start_s + rows.residence_s,
        "worker_id": np.zeros(number, dtype=np.int32), "user_id": np.full(number, -1, dtype=np.int64),
        "cycle": np.zeros(number, dtype=np.int64), "method": texts["method"].places(rows.text("request_type")),
        "endpoint": texts["endpoint"].places(rows.text("name")), "status": status,
        "outcome": _outcomes(rows.text("exception"), status), "users": options.users_at(finish_at),
        "response_bytes": rows.whole("response_length"),
    }  # fmt: skip


def _outcomes(error: pa.DictionaryArray | None, status: NDArray[np.int64]) -> NDArray[np.int32]:
    """Places in `OUTCOMES`: by status; an error below 400 failed, one without status is told by its text."""
    found = _OF_STATUS[np.minimum(status, len(_OF_STATUS) - 1)]
    if error is None or error.null_count == len(error):
        return found
    has_error = error.is_valid().to_numpy(zero_copy_only=False)
    found[has_error & (status < 400)] = _FAILED
    silent = has_error & (status == 0)
    if silent.any():
        encoded = error.filter(pa.array(silent)).dictionary_decode().dictionary_encode()
        of_unique = [OUTCOMES.index(_without_status(text)) for text in encoded.dictionary.to_pylist()]
        found[silent] = np.array(of_unique, dtype=np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _without_status(error: bytes) -> Outcome:
    return outcome_of_text(error[:_LONGEST_ERROR].decode("utf-8", "replace"))
