"""The committed third-party recordings, and CSV files as lists of dicts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings" / "third_party"
CASES = ("haproxy_gate", "gunicorn_sync")


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
