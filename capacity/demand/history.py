"""A traffic history: what was counted in even intervals, where requests were shed, and what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from capacity.demand.growth_table import Row, csv_rows
from capacity.demand.history_table import DAY_S, MONTH_S, HistoryRow, interval_of, rows_of_history
from capacity.demand.wording import counted
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
        Mean load or count of each interval, at least 0; NaN where it is not known.
    censored : array of bool, shape (n,)
        Where requests were shed: the value is a lower bound of the demand.
    interval_s : float
        Length of an interval, seconds.
    findings : tuple of Finding
        What a person should know about it.
    """

    name: str
    starts_s: Floats
    values: Floats
    censored: Flags
    interval_s: float
    findings: tuple[Finding, ...] = ()

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, timezone: str | None = None) -> TrafficHistory:
        """A history from a table with the columns of a history CSV (see `read_history`).

        A table indexed by time may lack the column ``timestamp``. All bad rows
        are named in one error, by their position from 0.
        """
        if "timestamp" not in frame.columns:
            frame = frame.rename_axis(index="timestamp").reset_index()
        names = [str(column) for column in frame.columns]
        records = (dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None))
        rows: list[Row] = [(f"row {position}", record) for position, record in enumerate(records)]
        return _history("The frame", names, rows, timezone)

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


def read_history(source: str | Path | TextIO, *, timezone: str | None = None) -> TrafficHistory:
    r"""Read a traffic history CSV.

    Columns: ``timestamp`` (start of the interval, ISO 8601 or seconds since
    1970, ascending, in even steps; whole intervals may be missing), ``value``
    (at least 0, with a decimal point), and optionally one of ``censored`` and
    ``shed`` (0/1, true/false, or how much was shed): where it is set, requests
    were turned away and the value is a lower bound of the demand.

    Parameters
    ----------
    source : path or text stream
    timezone : str, optional
        Of timestamps that state none, for example ``Europe/Berlin``; absent: UTC,
        with the finding ``time-zone-assumed``. An hour that a clock shows twice
        must be there twice, in order.

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
    return _history(*csv_rows(source, "traffic history", "timestamp and value"), timezone)


def _history(name: str, columns: Sequence[str], rows: list[Row], timezone: str | None) -> TrafficHistory:
    good, zone_stated = rows_of_history(name, columns, rows, timezone)
    interval = interval_of([row.start_s for row in good])
    if interval > MONTH_S:
        raise InputError(f"{name} has rows {interval / DAY_S:,.0f} days apart; give at least one row a month.")
    findings = (*_zone_finding(zone_stated), *_gap_finding(good, interval))
    return TrafficHistory(
        name,
        np.array([row.start_s for row in good]),
        np.array([row.value for row in good]),
        np.array([row.censored for row in good]),
        interval,
        findings,
    )


def _zone_finding(stated: bool) -> Iterator[Finding]:
    if not stated:
        yield Finding(
            "time-zone-assumed", "info",
            "The timestamps state no time zone; they are read as UTC, without changes of clocks.",
            "Write them with +02:00 or Z, or name the time zone.",
        )  # fmt: skip


def _gap_finding(rows: Sequence[HistoryRow], interval: float) -> Iterator[Finding]:
    steps = np.diff([row.start_s for row in rows])
    missing = np.maximum(np.rint(steps / interval).astype(int) - 1, 0)
    if missing.any():
        place = int(missing.argmax())
        share = float(missing.sum() / (missing.sum() + len(rows)))
        yield Finding(
            "history-gaps", "warning" if share > 0.05 else "info",
            f"{counted(int(missing.sum()), 'interval')} of {span_text(interval)} missing ({share:.1%}); the longest "
            f"gap has {int(missing[place])} after {rows[place].label}. A peak inside a gap is not known.",
            "Add what was recorded elsewhere.",
            {"missing": int(missing.sum()), "share": share, "longest": int(missing[place])},
        )  # fmt: skip


def iso(seconds: float) -> str:
    """A moment as ISO 8601 text, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_text(seconds: float) -> str:
    """A length of time, in days where it has some: ``1 day``, ``30 days``, ``5 min``."""
    return counted(round(seconds / DAY_S), "day") if seconds >= DAY_S else format_duration(seconds)
