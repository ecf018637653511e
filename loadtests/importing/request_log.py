"""A log with one row a request, in the columns of Locust's `csv_request_logger`, streamed into Parquet.

Columns: timestamp (sending time, seconds since the epoch), request_type, name, response_time_ms,
response_length, status_code, exception. Batches of a few megabytes go through Arrow one after the
other, so memory does not grow with the file. All fields are read as bytes: numbers are converted a
batch at a time, and only a batch in which one is not readable is looked at row by row.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loadtests.importing.notes import Notes
from loadtests.importing.safe_files import BoundedStream
from loadtests.importing.stats_files import outcome_of_status, outcome_of_text
from loadtests.importing.text_tables import NOT_KNOWN, UTF16_MARKS, read_header, read_rows, require_columns
from loadtests.tables import OUTCOMES, REQUEST_COLUMNS, Outcome

Floats = NDArray[np.float64]

MOST_NAMES = 1_000
OTHER_NAME = "(other)"
_BLOCK_BYTES = 1 << 19
_MOST_JUMP_S = 1.0
_LONGEST_ERROR = 2_000
_NEEDED = {name: (name,) for name in ("timestamp", "request_type", "name", "response_time_ms")}
_OPTIONAL = ("response_length", "status_code", "exception")
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_GROUP_ROWS = 1 << 16
_SERVED, _FAILED = OUTCOMES.index("served"), OUTCOMES.index("failed")
_OF_STATUS = np.array(
    [_SERVED if code < 400 else OUTCOMES.index(outcome_of_status(code)) for code in range(1_000)], dtype=np.int8
)

_ARROW_TYPES = {"float64": pa.float64(), "int64": pa.int64(), "str": pa.dictionary(pa.int32(), pa.string())}
SCHEMA = pa.schema([(name, _ARROW_TYPES[kind]) for name, kind in REQUEST_COLUMNS.items()])
_TEXT_COLUMNS = [name for name, kind in REQUEST_COLUMNS.items() if kind == "str"]


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


class RequestTable:
    """The recording's ``requests.parquet``, written in groups of about 65,000 rows.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path, SCHEMA, compression="zstd", compression_level=1, use_dictionary=_TEXT_COLUMNS, store_schema=False
        )  # fmt: skip
        self._waiting: list[dict[str, Any]] = []
        self._rows = 0
        self._thread = ThreadPoolExecutor(1, "requests-table")
        self._written: Future[None] | None = None

    def add(self, columns: dict[str, Any], texts: Mapping[str, list[str]]) -> None:
        """Add rows: arrays by column, of texts their places in the lists `texts` (which may grow later)."""
        self._waiting.append(columns)
        self._rows += len(columns["sent_at"])
        if self._rows >= _GROUP_ROWS:
            self.flush(texts)

    def flush(self, texts: Mapping[str, list[str]]) -> None:
        """Write the rows that wait."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            arrays = [self._array(name, [columns[name] for columns in waiting], texts) for name in SCHEMA.names]
            self._wait()
            self._written = self._thread.submit(self._writer.write_table, pa.Table.from_arrays(arrays, schema=SCHEMA))

    @staticmethod
    def _array(name: str, parts: list[Any], texts: Mapping[str, list[str]]) -> pa.Array:
        values = np.concatenate(parts)
        if name not in _TEXT_COLUMNS:
            return pa.array(values, SCHEMA.field(name).type)
        return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), pa.array(texts[name], pa.string()))

    def close(self) -> None:
        """Write the file's end."""
        try:
            self._wait()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def _wait(self) -> None:
        """Let the group before this one be written; compressing it takes a thread of its own."""
        written, self._written = self._written, None
        if written is not None:
            written.result()


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
    require_columns(path, header, _NEEDED)


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
    summary, line = LogSummary(), 2
    for batch in _batches(path, notes):
        rows = _numbers_of(batch, path, notes, line)
        line += batch.num_rows
        if len(rows.sent_at):
            table.add(_columns(rows, texts, options, summary), lists)
            options.on_rows(summary.requests)
    table.flush(lists)
    if summary.longest_jump_s > _MOST_JUMP_S:
        notes.add("clock-went-back", path)
    return summary


@dataclass(frozen=True, eq=False)
class _Rows:
    """The usable rows of a batch."""

    sent_at: Floats
    residence_s: Floats
    batch: pa.RecordBatch
    has_decimal_comma: bool

    def whole(self, name: str) -> NDArray[np.int64]:
        """An optional column of whole numbers, 0 where there is none."""
        if name not in self.batch.schema.names:
            return np.zeros(len(self.sent_at), dtype=np.int64)
        numbers = _floats(self.batch[name], has_decimal_comma=self.has_decimal_comma)
        return np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 2**53).astype(np.int64)


class _Names:
    """Numbers names in order of their first appearance; at most `MOST_NAMES`, the others become `OTHER_NAME`."""

    def __init__(self, path: Path, notes: Notes) -> None:
        self.texts: list[str] = []
        self._path, self._notes = path, notes
        self._places: dict[bytes, int] = {}
        self._other = -1

    def places(self, column: pa.Array) -> NDArray[np.int32]:
        """The number of each row's name."""
        encoded = column.fill_null(b"").dictionary_encode()
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


def _batches(path: Path, notes: Notes) -> Iterator[pa.RecordBatch]:
    """Batches of the log, its fields as bytes under their names in lower case."""
    header, separator = read_header(path)
    bad: list[int | None] = []

    def skip(row: Any) -> str:
        bad.append(row.number)
        return "skip"

    columns = [name.lower() for name in header]
    wanted = [name for name in (*_NEEDED, *_OPTIONAL) if name in columns]
    with BoundedStream(path) as stream:
        head = io.BufferedReader(stream, 1 << 16)
        reader = pacsv.open_csv(
            pa.PythonFile(head, mode="r"),
            read_options=pacsv.ReadOptions(
                block_size=_BLOCK_BYTES, encoding="utf-16" if head.peek(2)[:2] in UTF16_MARKS else "utf8",
                column_names=columns, skip_rows=1,
            ),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.binary()), include_columns=wanted, null_values=[""],
                strings_can_be_null=True, check_utf8=False,
            ),
        )  # fmt: skip
        try:
            yield from reader
        except pa.ArrowInvalid:
            stream.is_cut = True
        is_cut = stream.is_cut or (bool(bad) and not stream.ends_with_line)
    if is_cut:
        notes.add("truncated-file", path)
    for line in bad[: len(bad) - (is_cut and bool(bad))]:
        notes.add("wrong-number-of-fields", path, line=line)


def _numbers_of(batch: pa.RecordBatch, path: Path, notes: Notes, first_line: int) -> _Rows:
    """The rows whose sending and response times are numbers; the others are noted."""
    has_comma = read_header(path)[1] != ","
    sent_at, residence_ms = (
        _floats(batch[name], has_decimal_comma=has_comma) for name in ("timestamp", "response_time_ms")
    )
    usable = np.isfinite(sent_at) & np.isfinite(residence_ms) & (residence_ms >= 0)
    if usable.all():
        return _Rows(sent_at, residence_ms / 1e3, batch, has_comma)
    for place in np.flatnonzero(~usable):
        _note_bad(batch, int(place), path, notes, first_line)
    kept = batch.filter(pa.array(usable))
    return _Rows(sent_at[usable], residence_ms[usable] / 1e3, kept, has_comma)


def _note_bad(batch: pa.RecordBatch, place: int, path: Path, notes: Notes, first_line: int) -> None:
    sent, took = (batch[name][place].as_py() for name in ("timestamp", "response_time_ms"))
    if sent is not None and sent.strip().lower() == b"timestamp":
        notes.add("repeated-header", path, line=first_line + place)
    elif sent is not None and (took is None or took.strip().lower().decode("latin-1") in NOT_KNOWN):
        notes.add("no-response-time", path, line=first_line + place)
    else:
        notes.add("unreadable-values", path, line=first_line + place)


def _floats(column: pa.Array, *, has_decimal_comma: bool) -> Floats:
    """Bytes as numbers; NaN where they are none."""
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        text = pa.array([None if item is None else item.decode("latin-1") for item in column.to_pylist()], pa.string())
    if has_decimal_comma:
        text = pc.replace_substring(text, ",", ".")
    try:
        numbers = text.cast(pa.float64())
    except pa.ArrowInvalid:
        readable = pc.match_substring_regex(text, _NUMBER)
        numbers = pc.if_else(readable, pc.utf8_trim_whitespace(text), None).cast(pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=float)


def _columns(rows: _Rows, texts: Mapping[str, Any], options: LogOptions, summary: LogSummary) -> dict[str, Any]:
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
        "cycle": np.zeros(number, dtype=np.int64), "method": texts["method"].places(rows.batch["request_type"]),
        "endpoint": texts["endpoint"].places(rows.batch["name"]), "status": status,
        "outcome": _outcomes(rows.batch, status), "users": options.users_at(finish_at),
        "response_bytes": rows.whole("response_length"),
    }  # fmt: skip


def _outcomes(batch: pa.RecordBatch, status: NDArray[np.int64]) -> NDArray[np.int32]:
    """Places in `OUTCOMES`: by status; an error below 400 failed, one without status is told by its text."""
    found = _OF_STATUS[np.minimum(status, len(_OF_STATUS) - 1)].astype(np.int32)
    if "exception" not in batch.schema.names:
        return found
    error = batch["exception"]
    has_error = error.is_valid().to_numpy(zero_copy_only=False)
    found[has_error & (status < 400)] = _FAILED
    silent = has_error & (status == 0)
    if silent.any():
        encoded = error.filter(pa.array(silent)).dictionary_encode()
        of_unique = [OUTCOMES.index(_without_status(text)) for text in encoded.dictionary.to_pylist()]
        found[silent] = np.array(of_unique, dtype=np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
    return found


def _without_status(error: bytes) -> Outcome:
    return outcome_of_text(error[:_LONGEST_ERROR].decode("utf-8", "replace"))
