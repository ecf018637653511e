"""The rows of a request log in batches of a few megabytes, its numbers converted.

Arrow converts numbers and numbers texts while it parses, several times as fast as any later pass.
What it does not take for a number, or what is no use as one, ends that: from that batch on all
fields are read as bytes, and only a batch in which one is not readable is looked at row by row.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from loadtests.importing.notes import Notes
from loadtests.importing.safe_files import BoundedStream
from loadtests.importing.text_tables import NOT_KNOWN, UTF16_MARKS, read_header

Floats = NDArray[np.float64]

NEEDED = {name: (name,) for name in ("timestamp", "request_type", "name", "response_time_ms")}
_OPTIONAL = ("response_length", "status_code", "exception")
_TEXTS = ("request_type", "name", "exception")
_BLOCK_BYTES = 1 << 19
"""Half of it takes 15 MiB less and a tenth more time; twice as much saves nothing and takes 30 MiB more."""
_FIRST = 5
_AHEAD = 4
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_FAST_TYPES = {
    name: pa.dictionary(pa.int32(), pa.binary()) if name in _TEXTS else pa.float64() for name in (*NEEDED, *_OPTIONAL)
}


@dataclass(frozen=True, eq=False)
class LogRows:
    """The usable rows of a batch.

    Parameters
    ----------
    sent_at, residence_s : array of float
        Seconds, finite.
    batch : pyarrow.RecordBatch
        All their fields.
    has_decimal_comma : bool
    """

    sent_at: Floats
    residence_s: Floats
    batch: pa.RecordBatch
    has_decimal_comma: bool

    def whole(self, name: str) -> NDArray[np.int64]:
        """An optional column of whole numbers, 0 where there is none."""
        if name not in self.batch.schema.names:
            return np.zeros(len(self.sent_at), dtype=np.int64)
        numbers = _floats(self.batch[name], has_decimal_comma=self.has_decimal_comma)
        if not (numbers.min(initial=0.0) >= 0 and numbers.max(initial=0.0) <= 2**53):
            numbers = np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0).clip(0, 2**53)
        return numbers.astype(np.int64)

    def text(self, name: str) -> pa.DictionaryArray | None:
        """A column of texts (bytes), each text once with its places; None where there is no such column."""
        if name not in self.batch.schema.names:
            return None
        column = self.batch[name]
        return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def read_log(path: Path, notes: Notes) -> Iterator[LogRows]:
    """The usable rows of a log, batch by batch; what does not fit is noted and left out.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``.
    notes : Notes
        Takes what was noticed.
    """
    done, parse = 0, _Parse(path, _FAST_TYPES)
    if not parse.has_decimal_comma:
        for batch in _one_ahead(parse.batches()):
            sent_at, residence_s, usable = _times(batch, has_decimal_comma=False)
            if not usable.all():
                parse.is_unreadable = True
                break
            done += batch.num_rows
            yield LogRows(sent_at, residence_s, batch, False)
        if not parse.is_unreadable:
            parse.note(notes)
            return
    yield from _read_as_text(path, done, notes)


def _read_as_text(path: Path, done: int, notes: Notes) -> Iterator[LogRows]:
    """The rows behind the first `done`, their fields parsed as bytes."""
    parse, before = _Parse(path, dict.fromkeys(_FAST_TYPES, pa.binary())), 0
    for batch in _one_ahead(parse.batches()):
        left = batch.slice(min(max(done - before, 0), batch.num_rows))
        before += batch.num_rows
        if left.num_rows:
            yield _usable(left, parse, notes, before - left.num_rows + 2)
    parse.note(notes)


def _one_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same, the next ones made in a thread while one is worked on."""
    with ThreadPoolExecutor(1, "log-parser") as thread:
        following = deque(thread.submit(next, batches, None) for _ in range(_AHEAD))
        while (batch := following.popleft().result()) is not None:
            following.append(thread.submit(next, batches, None))
            yield batch


class _Parse:
    """One pass of Arrow's parser through a log, and what it noticed.

    Parameters
    ----------
    path : Path
    types : mapping of str to pyarrow.DataType
        Of the columns that a log may have.
    """

    def __init__(self, path: Path, types: dict[str, pa.DataType]) -> None:
        self.path = path
        header, self._separator = read_header(path)
        self.has_decimal_comma = self._separator != ","
        self._columns = [name.lower() for name in header]
        self._types = {name: kind for name, kind in types.items() if name in self._columns}
        self._bad, self._first_bad = 0, list[int | None]()
        self._is_cut = self._ends_with_line = False
        self.is_unreadable = False

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The columns of a log under their names in lower case; ends where one cannot be parsed."""
        with BoundedStream(self.path) as stream:
            head = io.BufferedReader(stream, 1 << 16)
            encoding = "utf-16" if head.peek(2)[:2] in UTF16_MARKS else "utf8"
            try:
                yield from self._reader(head, encoding)
            except pa.ArrowInvalid:
                self.is_unreadable = True
            self._is_cut = stream.is_cut or self.is_unreadable or (self._bad > 0 and not stream.ends_with_line)

    def _reader(self, stream: io.BufferedReader[BoundedStream], encoding: str) -> pacsv.CSVStreamingReader:
        return pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pacsv.ReadOptions(
                block_size=_BLOCK_BYTES, encoding=encoding, column_names=self._columns, skip_rows=1
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self._separator, newlines_in_values=True, invalid_row_handler=self._skip
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=self._types, include_columns=list(self._types), null_values=[""],
                strings_can_be_null=True, check_utf8=False,
            ),
            memory_pool=pa.system_memory_pool(),
        )  # fmt: skip

    def _skip(self, row: Any) -> str:
        self._bad += 1
        if self._bad <= _FIRST + 1:
            self._first_bad.append(row.number)
        return "skip"

    def note(self, notes: Notes) -> None:
        """Note rows of another length; the last of a file that was cut is its end, no row."""
        if self._is_cut:
            notes.add("truncated-file", self.path)
        number = self._bad - (self._is_cut and self._bad > 0)
        listed = self._first_bad[:number]
        for line in listed:
            notes.add("wrong-number-of-fields", self.path, line=line)
        if number > len(listed):
            notes.add("wrong-number-of-fields", self.path, number=number - len(listed))


def _times(batch: pa.RecordBatch, *, has_decimal_comma: bool) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Sending times and residence times in seconds, and where both are usable."""
    sent_at, residence_ms = (
        _floats(batch[name], has_decimal_comma=has_decimal_comma) for name in ("timestamp", "response_time_ms")
    )
    return sent_at, residence_ms / 1e3, np.isfinite(sent_at) & np.isfinite(residence_ms) & (residence_ms >= 0)


def _usable(batch: pa.RecordBatch, parse: _Parse, notes: Notes, first_line: int) -> LogRows:
    """The rows whose sending and response times are numbers; the others are noted."""
    sent_at, residence_s, usable = _times(batch, has_decimal_comma=parse.has_decimal_comma)
    for place in np.flatnonzero(~usable):
        _note_bad(batch, int(place), parse.path, notes, first_line)
    kept = batch if usable.all() else batch.filter(pa.array(usable))
    return LogRows(sent_at[usable], residence_s[usable], kept, parse.has_decimal_comma)


def _note_bad(batch: pa.RecordBatch, place: int, path: Path, notes: Notes, first_line: int) -> None:
    sent, took = (batch[name][place].as_py() for name in ("timestamp", "response_time_ms"))
    if sent is not None and sent.strip().lower() == b"timestamp":
        notes.add("repeated-header", path, line=first_line + place)
    elif sent is not None and (took is None or took.strip().lower().decode("latin-1") in NOT_KNOWN):
        notes.add("no-response-time", path, line=first_line + place)
    else:
        notes.add("unreadable-values", path, line=first_line + place)


def _floats(column: pa.Array, *, has_decimal_comma: bool) -> Floats:
    """Numbers, of bytes those that they spell; NaN where they are none."""
    if not pa.types.is_floating(column.type):
        column = _spelled(column, has_decimal_comma=has_decimal_comma)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=float)


def _spelled(column: pa.Array, *, has_decimal_comma: bool) -> pa.Array:
    try:
        text = column.cast(pa.string())
    except pa.ArrowInvalid:
        text = pa.array([None if item is None else item.decode("latin-1") for item in column.to_pylist()], pa.string())
    if has_decimal_comma:
        text = pc.replace_substring(text, ",", ".")
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        readable = pc.match_substring_regex(text, _NUMBER)
        return pc.if_else(readable, pc.utf8_trim_whitespace(text), None).cast(pa.float64())
