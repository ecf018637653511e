"""Committed third-party recordings, and copies of them to leave files out of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests import import_locust
from loadtests.recording import Recording
from support.csv_files import RECORDINGS, read_csv, write_csv


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recording]:
    """The committed recordings by their request logs, each imported once."""
    done: dict[str, Recording] = {}

    def get(case: str) -> Recording:
        if case not in done:
            done[case] = import_locust(RECORDINGS / case / "steps.csv", tmp_path_factory.mktemp(case) / "out")
        return done[case]

    return get


@pytest.fixture
def without_logs(tmp_path: Path) -> Callable[..., Path]:
    """Copy a recording without its request logs (and without files of the given endings); its STEPS.csv."""

    def copy(case: str, *endings: str) -> Path:
        folder = tmp_path / case
        shutil.copytree(RECORDINGS / case, folder, ignore=shutil.ignore_patterns("requests.csv.gz", "shape*"))
        for ending in endings:
            for path in folder.rglob(f"*{ending}"):
                path.unlink()
        rows = [row | {"requests": ""} for row in read_csv(folder / "steps.csv")]
        return write_csv(folder / "steps.csv", rows)

    return copy
