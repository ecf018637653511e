"""A recording's ``requests.parquet``, written group by group, and read window by window."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from loadtests.tables import OUTCOMES, REQUEST_COLUMNS

Floats = NDArray[np.float64]

_GROUP_ROWS = 1 << 16
_ARROW_TYPES = {"float64": pa.float64(), "int64": pa.int64(), "str": pa.dictionary(pa.int32(), pa.string())}
SCHEMA = pa.schema([(name, _ARROW_TYPES[kind]) for name, kind in REQUEST_COLUMNS.items()])
_TEXTS, _TIMES = ([name for name, kind in REQUEST_COLUMNS.items() if kind == wanted] for wanted in ("str", "float64"))
_WINDOW_COLUMNS = ["start_s", "finish_s", "outcome"]


class RequestTable:
    """The recording's ``requests.parquet``, written in groups of about 65,000 rows.

    Bytes of times are written byte by byte of all rows (their leading bytes are alike), whole numbers by
    their places in a list of those that occur: a fifth of the time and half of the size of plain values.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path, SCHEMA, compression="lz4", write_statistics=_TIMES, store_schema=False,
            use_dictionary=[name for name in SCHEMA.names if name not in _TIMES],
            column_encoding=dict.fromkeys(_TIMES, "BYTE_STREAM_SPLIT"),
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
            arrays = [_joined(name, [columns[name] for columns in waiting], texts) for name in SCHEMA.names]
            self._wait()
            self._written = self._thread.submit(self._writer.write_table, pa.Table.from_arrays(arrays, schema=SCHEMA))

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


def release_memory() -> None:
    """Give back the memory that Arrow's pools and the C library keep after a log, some tens of MiB."""
    for pool in (pa.default_memory_pool(), pa.system_memory_pool()):
        pool.release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None  # glibc has it
    if trim is not None:
        trim(0)


def _joined(name: str, parts: list[Any], texts: Mapping[str, list[str]]) -> pa.Array | pa.ChunkedArray:
    if name not in _TEXTS:
        return pa.chunked_array([pa.array(part, SCHEMA.field(name).type) for part in parts])
    places = pa.array(np.concatenate(parts), pa.int32())
    return pa.DictionaryArray.from_arrays(places, pa.array(texts[name], pa.string()))


def read_window(path: Path, start_s: float, end_s: float) -> pd.DataFrame:
    """The start, finish and outcome (a category) of the requests that finished in [`start_s`, `end_s`).

    Only groups of rows that can hold one are read, one after the other, so that memory is that of the result.

    Parameters
    ----------
    path : Path
        A ``requests.parquet``.
    start_s, end_s : float
        On its clock.

    Returns
    -------
    pandas.DataFrame
        Columns `start_s`, `finish_s`, `outcome`.
    """
    with pq.ParquetFile(path, read_dictionary=["outcome"]) as file:
        every = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
        wanted = [place for place, group in enumerate(every) if _may_hold(group, start_s, end_s)]
        start, finish, outcome, size = _room(sum(every[place].num_rows for place in wanted))
        for place in wanted:
            rows = file.read_row_group(place, columns=_WINDOW_COLUMNS, use_threads=False).combine_chunks()
            finished = rows["finish_s"].to_numpy()
            inside = (finished >= start_s) & (finished < end_s)
            here = slice(size, size := size + int(np.count_nonzero(inside)))
            start[here], finish[here] = rows["start_s"].to_numpy()[inside], finished[inside]
            outcome[here] = _outcome_codes(rows["outcome"].chunk(0))[inside]
    names = pd.Categorical.from_codes(outcome[:size], categories=pd.Index(OUTCOMES))
    return pd.DataFrame({"start_s": start[:size], "finish_s": finish[:size], "outcome": names}, copy=False)


def _room(rows: int) -> tuple[Floats, Floats, NDArray[np.int8], int]:
    """Arrays for so many starts, finishes and outcomes, and how many there are; what stays empty takes no memory."""
    return np.empty(rows), np.empty(rows), np.empty(rows, dtype=np.int8), 0


def _outcome_codes(column: pa.DictionaryArray) -> NDArray[np.int8]:
    codes = np.array([OUTCOMES.index(name) for name in column.dictionary.to_pylist()], dtype=np.int8)
    return np.asarray(codes[column.indices.to_numpy()])


def _may_hold(group: Any, start_s: float, end_s: float) -> bool:
    finish = group.column(SCHEMA.get_field_index("finish_s")).statistics
    return finish is None or not finish.has_min_max or (finish.max >= start_s and finish.min < end_s)
