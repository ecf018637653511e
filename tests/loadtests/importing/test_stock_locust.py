"""What the installed Locust really writes is read: one run beyond the gate, imported by each of its files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import Deployment, StagingOptions, import_locust, start_staging
from support.csv_files import read_csv, write_csv

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

USERS, SECONDS = 12, 20
LOCUSTFILE = """
from locust import FastHttpUser, constant, events, task
from locust.contrib.csv_request_logger import CsvRequestLogger

logger = CsvRequestLogger("run_requests.csv")

@events.init.add_listener
def start(environment, **_):
    logger.register(environment)

class User(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def users(self):
        self.client.get("/api/users?limit=5", name="=users")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that one run of stock Locust wrote; a gate of 6 sheds part of it."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "theirs.py").write_text(LOCUSTFILE)
    deployment = Deployment(max_ccu=30, utilization_percent=67, workers=3, queue_capacity=3, db_pool=3)
    with start_staging(StagingOptions(deployment, "exponential:0.05")) as server:
        words = ["--headless", "--only-summary", "-f", "theirs.py", "-H", server.host, "-u", str(USERS), "-r", "100"]
        words += ["-t", f"{SECONDS}s", "--csv", "run", "--json-file", "run_report.json"]
        subprocess.run(
            [sys.executable, "-m", "locust", *words], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=SECONDS + 60, check=False,
        )  # fmt: skip
    return folder


def without(folder: Path, place: Path, *endings: str) -> Path:
    """A STEPS.csv beside copies of a run's files but those with these endings."""
    place.mkdir()
    for path in folder.glob("run*"):
        if not path.name.endswith(endings):
            (place / path.name).write_bytes(path.read_bytes())
    log = "run_requests.csv" if (place / "run_requests.csv").exists() else ""
    row = {"step": 1, "users": USERS, "think": "constant:50ms", "stats_prefix": "run", "requests": log}
    return write_csv(place / "STEPS.csv", [row])


def test_the_request_log_and_the_report_count_the_same_requests(run: Path, tmp_path: Path) -> None:
    recording = import_locust(run / "run", tmp_path / "out")
    total = sum(entry["num_requests"] for entry in json.loads((run / "run_report.json.json").read_text()))
    logged = len(read_csv(run / "run_requests.csv"))
    assert len(recording.requests) == logged == total
    assert set(recording.requests["endpoint"]) == {"=users"}
    assert set(recording.requests["outcome"]) == {"served", "shed"}
    assert [(step.users, kind) for step, kind in zip(recording.steps, ["log"], strict=True)] == [(USERS, "log")]


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [
        ("report", ("_requests.csv",)),
        ("cumulative-history", ("_requests.csv", "_report.json.json")),
        ("stats", ("_requests.csv", "_report.json.json", "_history.csv")),
    ],
)
def test_each_source_counts_what_the_log_counts_in_its_window(
    run: Path, tmp_path: Path, kind: str, left_out: tuple[str, ...]
) -> None:
    """Whole seconds of the history's rows may hold up to a second more or less than the same seconds of the log."""
    recording = import_locust(without(run, tmp_path / "in", *left_out), tmp_path / "out")
    by_log = import_locust(run / "run", tmp_path / "log")
    step = recording.steps[0]
    assert recording.manifest["source"]["steps"] == {"1": kind}
    assert set(step.outcomes) == {"served", "shed"}
    assert sum(step.outcomes.values()) == step.requests
    rate = len(by_log.requests) / (by_log.requests["finish_s"].max() - by_log.requests["start_s"].min())
    assert step.requests == pytest.approx(rate * step.window_s, abs=4 * rate**0.5 * step.window_s**0.5 + 2 * rate)
    assert "blended-percentiles" in {finding["code"] for finding in recording.manifest["findings"]}
