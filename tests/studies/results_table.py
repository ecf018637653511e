"""Results of a study as CSV: read whole, and appended to row by row, so that a study resumes where it stopped."""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows of the same columns, with a header where the file is new; several processes may share it."""
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerows(rows)
