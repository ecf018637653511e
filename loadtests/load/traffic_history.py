"""A history of traffic: a CSV file of ``timestamp,value``, each value holding until the next timestamp."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from loadtests.foundation.errors import InputError

_COLUMNS = ("timestamp", "value")
_MOST_ROWS, _PROBLEMS_SHOWN = 100_000, 10


@dataclass(frozen=True)
class TrafficHistory:
    """Traffic over time.

    Parameters
    ----------
    times_s : tuple of float
        When each value begins, seconds after the first.
    values : tuple of float
        In the history's own unit, 0 or more, at least one above 0.
    last_s : float
        How long the last value holds: the median of the other intervals, seconds.
    """

    times_s: tuple[float, ...]
    values: tuple[float, ...]
    last_s: float

    @property
    def lengths_s(self) -> tuple[float, ...]:
        """How long each value holds, seconds."""
        return (*(after - before for before, after in pairwise(self.times_s)), self.last_s)


def read_traffic_history(path: str | Path) -> TrafficHistory:
    """Read a CSV of ``timestamp,value``; timestamps are ISO 8601 (without a zone: UTC) or seconds.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    TrafficHistory

    Raises
    ------
    InputError
        With every problem and its line: missing columns, fewer than two rows, timestamps or values that cannot be read,
        times that do not go up, values below 0, nothing above 0.
    """
    problems: list[str] = []
    rows = _rows(Path(path), problems)
    times_s = [_time_s(row[0], line, problems) for line, row in rows]
    values = [_value(row[1], line, problems) for line, row in rows]
    lines = [line for line, _ in rows]
    problems += [
        f"line {line}: its time is not after the one before"
        for line, (before, after) in zip(lines[1:], pairwise(times_s), strict=True)
        if after <= before
    ]
    if not problems and (len(rows) < 2 or not any(values)):
        problems.append(f"it has {len(rows)} rows; it needs at least two, and a value above 0")
    if problems:
        shown = [
            *problems[:_PROBLEMS_SHOWN],
            *([f"{len(problems)} problems in all"] * (len(problems) > _PROBLEMS_SHOWN)),
        ]
        raise InputError(f"The traffic history {path} cannot be used:\n  - " + "\n  - ".join(shown))
    return _history(times_s, values)


def _history(times_s: Sequence[float], values: Sequence[float]) -> TrafficHistory:
    last_s = median(after - before for before, after in pairwise(times_s))
    return TrafficHistory(tuple(time_s - times_s[0] for time_s in times_s), tuple(values), last_s)


def _rows(path: Path, problems: list[str]) -> list[tuple[int, list[str]]]:
    """Timestamp and value of every row that is not empty, with its line."""
    if not path.is_file():
        raise InputError(
            f"The traffic history {path} does not exist; give a CSV file with the columns timestamp,value."
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip().lower() for name in next(reader, [])]
            if any(header.count(name) != 1 for name in _COLUMNS):
                raise InputError(f"The traffic history {path} needs the columns timestamp,value once; it has {header}.")
            places = [header.index(name) for name in _COLUMNS]
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The traffic history {path} is not a CSV file in UTF-8 ({error}).") from None
    if len(rows) > _MOST_ROWS:
        raise InputError(f"The traffic history {path} has {len(rows):,} rows; at most {_MOST_ROWS:,} can be replayed.")
    problems += [f"line {line}: it has {len(row)} cells" for line, row in rows if len(row) != len(header)]
    return [(line, [row[place].strip() for place in places]) for line, row in rows if len(row) == len(header)]


def _time_s(text: str, line: int, problems: list[str]) -> float:
    try:
        return _finite(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        problems.append(f"line {line}: the timestamp {text!r} is neither ISO 8601 nor seconds")
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _value(text: str, line: int, problems: list[str]) -> float:
    try:
        value = _finite(text)
    except ValueError:
        value = -1.0
    if value < 0:
        problems.append(f"line {line}: the value {text!r} is not a number of at least 0")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
