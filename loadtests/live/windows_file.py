"""A file of live windows: CSV, or JSON with the same names."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from loadtests.foundation.checks import finite, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity
from loadtests.live.windows import LIVE_METRICS, ObservedWindow

_STARTS, _LOADS = ("start_s", "timestamp"), ("users", "arrival_rate_rps")
_COLUMNS = (*_STARTS, "window_s", *_LOADS, *LIVE_METRICS)
_MOST_NAMED = 20

Row = tuple[str, Mapping[str, Any]]


def read_live_windows(path: str | Path) -> tuple[ObservedWindow, ...]:
    """Read windows of live measurements from a CSV or JSON file (columns in docs/files.md).

    Parameters
    ----------
    path : str or Path
        `.json`: a list of objects, or an object with such a list as ``windows``. Anything else is read as CSV.

    Returns
    -------
    tuple of ObservedWindow
        In the order of time.

    Raises
    ------
    InputError
        For a file that is not there, unknown columns, and once for all bad rows, with where they stand.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"The file of live windows {path} does not exist; give a CSV or JSON file, or a recording.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from None
    rows = list(_json_rows(path, text) if path.suffix == ".json" else _csv_rows(path, text))
    if not rows:
        raise InputError(f"{path} holds no windows; give at least one row.")
    _check_columns(path, {name for _, row in rows for name in row})
    found: list[ObservedWindow] = []
    problems: list[str] = []
    for label, row in rows:
        try:
            found.append(_window(row))
        except InputError as error:
            problems.append(f"  {label}: {error}")
    problems += [] if problems else _out_of_order([label for label, _ in rows], found)
    if problems:
        more = [] if len(problems) <= _MOST_NAMED else [f"  and {len(problems) - _MOST_NAMED} more"]
        raise InputError("\n".join([f"{path} has {len(problems)} bad rows:", *problems[:_MOST_NAMED], *more]))
    return tuple(found)


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", skipinitialspace=True, strict=True)
    try:
        reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
        for row in reader:
            if any(row.values()):
                yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise InputError(f"{path} is not a readable CSV (line {reader.line_num}: {error}).") from None


def _json_rows(path: Path, text: str) -> Iterator[Row]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error}).") from None
    rows = document.get("windows") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} must hold a list of objects, one a window, or an object with it as windows.")
    yield from ((f"window {number}", row) for number, row in enumerate(rows, start=1))


def _check_columns(path: Path, columns: set[str]) -> None:
    unknown = sorted(columns - {*_COLUMNS, ""})
    starts, loads = (sum(name in columns for name in names) for names in (_STARTS, _LOADS))
    if unknown or starts != 1 or loads != 1 or "window_s" not in columns:
        listed = ", ".join(sorted(columns - {""}))
        raise InputError(
            f"{path} has the columns {listed or 'none'}; needed are start_s or timestamp, window_s, and users or "
            f"arrival_rate_rps; measured may be {', '.join(LIVE_METRICS)}."
        )


def _window(row: Mapping[str, Any]) -> ObservedWindow:
    if row.get(""):
        raise InputError("it has more cells than the header; write 3350, not 3,350.")
    given = {name: value for name, value in row.items() if not _is_empty(value)}
    missing = [" or ".join(names) for names in (_STARTS, ("window_s",), _LOADS) if not any(n in given for n in names)]
    if missing:
        raise InputError(f"{' and '.join(missing)} is empty; give a value.")
    start_s, begins = _start(given)
    values = {name: finite(name, given[name]) for name in LIVE_METRICS if name in given}
    load, quantity = _load(given)
    return ObservedWindow(
        start_s, finite("window_s", given["window_s"]), load, quantity,
        {name: (value, value) for name, value in values.items()}, begins,
    )  # fmt: skip


def _start(given: Mapping[str, Any]) -> tuple[float, str]:
    if "start_s" in given:
        return finite("start_s", given["start_s"]), ""
    text = str(given["timestamp"]).strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"timestamp is {text!r}; write it as ISO 8601, such as 2026-12-01T08:00:00Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), text


def _load(given: Mapping[str, Any]) -> tuple[float, Quantity]:
    if "users" in given:
        return whole("users", finite("users", given["users"]), least=1), Quantity.USERS
    return finite("arrival_rate_rps", given["arrival_rate_rps"]), Quantity.RPS


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _out_of_order(labels: Sequence[str], found: Sequence[ObservedWindow]) -> list[str]:
    return [
        f"  {label}: it begins before the window above ends; give the windows in order, without overlap."
        for label, (before, after) in zip(labels[1:], pairwise(found), strict=True)
        if after.start_s < before.end_s - 0.01 * before.window_s
    ]
