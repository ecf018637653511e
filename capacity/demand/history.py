"""A traffic history: what was counted in even intervals, where requests were shed, and what is missing."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast, overload

import numpy as np
from numpy.typing import NDArray

from capacity.demand.growth_table import rows_of_text, text_of
from capacity.demand.history_table import (
    DAY_S,
    MONTH_S,
    HistoryColumns,
    check_columns,
    clean_columns,
    columns_of_history,
    interval_of,
)
from capacity.demand.retries import logical_requests, retry_findings
from capacity.demand.wording import counted
from loadtests.foundation.checks import one_of
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ValuesAre = Literal["loads", "counts"]
_LINES_AT_ONCE = 1_000


@dataclass(frozen=True, eq=False)
class TrafficHistory:
    """Load in even intervals, oldest first. Use `read_history` or `from_frame`.

    Parameters
    ----------
    name : str
        Where it came from.
    starts_s : array of float, shape (n,)
        Start of each interval, seconds since 1970 (UTC). Whole intervals may be missing.
    values : array of float, shape (n,)
        Mean load of each interval, at least 0; NaN where it is not known. Logical requests: without retries.
    censored : array of bool, shape (n,)
        Where requests were shed: the value is a lower bound of the demand.
    interval_s : float
        Length of an interval, seconds.
    findings : tuple of Finding
        What a person should know about it.
    retry_share : float, default 0
        Share of all attempts that were retries, and so no demand; 0 where nobody said.
    values_are : {"loads", "counts"}, optional
        What was read: loads, or counts of an interval, which are events per second here; absent where nobody said.
    """

    name: str
    starts_s: Floats
    values: Floats
    censored: Flags
    interval_s: float
    findings: tuple[Finding, ...] = ()
    retry_share: float = 0.0
    values_are: ValuesAre | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        timezone: str | None = None,
        retry_share: float = 0.0,
        values_are: ValuesAre | None = None,
    ) -> TrafficHistory:
        """A history from a table with the columns of a history CSV (see `read_history`).

        A table indexed by time may lack the column ``timestamp``. All bad rows
        are named in one error, by their position from 0.
        """
        if "timestamp" not in frame.columns:
            frame = frame.rename_axis(index="timestamp").reset_index()
        names = [str(column) for column in frame.columns]
        check_columns("The frame", names)
        labels = _Labels("row", range(len(frame)))
        cells = {name: frame.iloc[:, place].tolist() for place, name in enumerate(names)}
        made = clean_columns(cells, labels, timezone)
        if made is None:
            records = (dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None))
            made = columns_of_history("The frame", names, zip(labels, records, strict=True), timezone)
        return _history("The frame", *made, retry_share)._as(values_are)

    def _as(self, values_are: ValuesAre | None) -> TrafficHistory:
        """The same where it is said what its values are: counts become events per second."""
        if values_are is None:
            return self
        said = cast(ValuesAre, one_of("values_are", values_are, ("loads", "counts")))
        return replace(self, values=self.values / (self.interval_s if said == "counts" else 1.0), values_are=said)

    @property
    def end_s(self) -> float:
        """End of the last interval: today, for a forecast."""
        return float(self.starts_s[-1] + self.interval_s)

    @property
    def span_s(self) -> float:
        """From the first interval's start to the last one's end."""
        return float(self.end_s - self.starts_s[0])

    def to_frame(self) -> pd.DataFrame:
        """One row an interval: timestamp (UTC), value, censored."""
        import pandas as pd

        times = pd.to_datetime(self.starts_s, unit="s", utc=True)
        return pd.DataFrame({"timestamp": times, "value": self.values, "censored": self.censored})

    def to_dict(self) -> dict[str, Any]:
        """What identifies it, for machines; without the values."""
        content = np.concatenate([self.starts_s, self.values, self.censored.astype(float)])
        return {
            "name": self.name,
            "rows": len(self.values),
            "first": iso(float(self.starts_s[0])),
            "end": iso(self.end_s),
            "interval_s": self.interval_s,
            "censored": int(self.censored.sum()),
            "retry_share": self.retry_share,
            "values_are": self.values_are,
            "sha256": hashlib.sha256(content.tobytes()).hexdigest(),
        }

    def summary(self) -> str:
        """Rows, span, interval and findings for people."""
        return "\n".join([repr(self), *(f"{item.severity}: {item.message}" for item in self.findings)])

    def __repr__(self) -> str:
        shed = f", {counted(int(self.censored.sum()), 'row')} with shed requests" if self.censored.any() else ""
        return (
            f"TrafficHistory({counted(len(self.values), 'row')} of {span_text(self.interval_s)}, "
            f"{iso(float(self.starts_s[0]))} to {iso(self.end_s)}{shed})"
        )


def read_history(
    source: str | Path | TextIO,
    *,
    timezone: str | None = None,
    retry_share: float = 0.0,
    values_are: ValuesAre | None = None,
) -> TrafficHistory:
    r"""Read a traffic history CSV.

    Columns: ``timestamp`` (start of the interval, ISO 8601 or seconds since
    1970, ascending, in even steps; whole intervals may be missing), ``value``
    (at least 0, with a decimal point), and optionally one of ``censored`` and
    ``shed`` (0/1, true/false, or how much was shed): where it is set, requests
    were turned away and the value is a lower bound of the demand; and one of
    ``retries`` (how many of ``value`` were retries: they are taken out) and
    ``attempts`` (``value`` counts logical requests already; only compared).

    Parameters
    ----------
    source : path or text stream
    timezone : str, optional
        Of timestamps that state none, for example ``Europe/Berlin``; absent: UTC,
        with the finding ``time-zone-assumed``. An hour that a clock shows twice
        must be there twice, in order.
    retry_share : float, default 0
        Share of every value that was retries, where no column says it; 0 to below 1.
    values_are : {"loads", "counts"}, optional
        Whether each value is a mean load (users, requests per second) or counts the requests of its interval; counts
        are divided by its length. Absent: taken for loads, which a forecast of requests per second says.

    Raises
    ------
    InputError
        For a missing or unreadable file and wrong columns; all bad rows are named
        in one error with their line numbers.

    Examples
    --------
    >>> import io
    >>> read_history(io.StringIO("timestamp,value\n2026-01-01,10\n2026-01-02,12\n"))
    TrafficHistory(2 rows of 1 day, 2026-01-01T00:00:00Z to 2026-01-03T00:00:00Z)
    """
    name, text = text_of(source, "traffic history", "timestamp and value")
    made = _clean_text(name, text, timezone)
    if made is None:
        made = columns_of_history(name, *rows_of_text(name, text), timezone)
    return _history(name, *made, retry_share)._as(values_are)


def _clean_text(name: str, text: str, timezone: str | None) -> tuple[HistoryColumns, bool] | None:
    """The columns of a CSV in which every line is one whole row; None where a line is not."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        names = [column.strip() for column in next(reader, [])]
        check_columns(name, names)
        columns, numbers = _columns_of_lines(reader, len(names))
    except (csv.Error, ValueError):  # of a line, or of the header: to be told by whoever reads line by line
        return None
    return clean_columns(dict(zip(names, columns, strict=True)), _Labels("line", numbers), timezone)


def _columns_of_lines(reader: Iterator[list[str]], width: int) -> tuple[list[list[str]], Sequence[int]]:
    """Columns, and the line of each row; a part at a time, so that few lines are held as lists.

    Raises
    ------
    ValueError
        When a line has not `width` cells, or a row has several lines.
    """
    columns: list[list[str]] = [[] for _ in range(width)]
    numbers: list[int] = []
    first = 2
    while part := list(islice(reader, _LINES_AT_ONCE)):
        numbers += [at for at, line in enumerate(part, first) if line]
        for column, cells in zip(columns, zip(*filter(None, part), strict=True), strict=True):
            column += cells
        first += len(part)
    if reader.line_num != first - 1:  # type: ignore[attr-defined]
        raise ValueError("a row has several lines")
    return columns, numbers


@dataclass(frozen=True)
class _Labels(Sequence[str]):
    """Places of rows, put into words when they are asked for."""

    kind: str
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        return _Labels(self.kind, self.numbers[at]) if isinstance(at, slice) else f"{self.kind} {self.numbers[at]}"


def _history(name: str, read: HistoryColumns, zone_stated: bool, retry_share: float) -> TrafficHistory:
    interval = interval_of(read.starts_s)
    if interval > MONTH_S:
        raise InputError(f"{name} has rows {interval / DAY_S:,.0f} days apart; give at least one row a month.")
    demand, share = logical_requests(name, read, retry_share)
    findings = (*_zone_finding(zone_stated), *_gap_finding(read, interval), *retry_findings(read, share))
    return TrafficHistory(name, read.starts_s, demand, read.censored, interval, findings, share)


def _zone_finding(stated: bool) -> Iterator[Finding]:
    if not stated:
        yield Finding(
            "time-zone-assumed", "info",
            "The timestamps state no time zone; they are read as UTC, without changes of clocks.",
            "Write them with +02:00 or Z, or name the time zone.",
        )  # fmt: skip


def _gap_finding(read: HistoryColumns, interval: float) -> Iterator[Finding]:
    steps = np.diff(read.starts_s)
    missing = np.maximum(np.rint(steps / interval).astype(int) - 1, 0)
    if missing.any():
        place = int(missing.argmax())
        share = float(missing.sum() / (missing.sum() + len(read.labels)))
        yield Finding(
            "history-gaps", "warning" if share > 0.05 else "info",
            f"{counted(int(missing.sum()), 'interval')} of {span_text(interval)} missing ({share:.1%}); the longest "
            f"gap has {int(missing[place])} after {read.labels[place]}. A peak inside a gap is not known.",
            "Add what was recorded elsewhere.",
            {"missing": int(missing.sum()), "share": share, "longest": int(missing[place])},
        )  # fmt: skip


def iso(seconds: float) -> str:
    """A moment as ISO 8601 text, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_text(seconds: float) -> str:
    """A length of time, in days where it has some: ``1 day``, ``30 days``, ``5 min``."""
    return counted(round(seconds / DAY_S), "day") if seconds >= DAY_S else format_duration(seconds)
