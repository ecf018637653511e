"""What recordings of ramps, schedules and aborted tests hold, and say."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant
from loadtests.load.load_shapes import parse_shape
from loadtests.load.pacing import parse_pacing
from loadtests.load.plan import LoadPlan
from loadtests.runner import record
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import read_recording
from loadtests.tables import REQUEST_COLUMNS

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

SMALL = Deployment(max_ccu=30, utilization_percent=67, workers=10, queue_capacity=10, db_pool=3)


@pytest.fixture(scope="module")
def server():
    """A gate of 20, 50 ms of service: at most 200 requests a second."""
    with start_staging(StagingOptions(SMALL, "constant:0.05")) as running:
        yield running


def codes(recording):
    return [item["code"] for item in recording.manifest["findings"]]


def test_a_ramp_is_recorded_without_steps_and_says_so(server, tmp_path):
    load = LoadPlan(shape=parse_shape("ramp:1:6:3s"), think=Constant(0.05))
    recording = record(server.host, load, tmp_path / "out")
    assert len(recording.requests) == recording.manifest["totals"]["locust"] > 30
    assert (recording.steps, codes(recording)) == ((), ["no-plateau"])
    again = read_recording(tmp_path / "out")
    assert again.steps == ()
    pd.testing.assert_frame_equal(again.requests, recording.requests)


def test_a_schedule_with_enough_users_achieves_what_it_offers(server, tmp_path):
    load = LoadPlan((12,), 5.0, pacing=parse_pacing("poisson:2"), settle_s=0.5)
    recording = record(server.host, load, tmp_path / "out")
    (offered,) = recording.manifest["offered"]
    (step,) = recording.steps
    assert offered["offered_rps"] == 24
    wanted = 24 * step.window_s
    assert abs(offered["achieved_rps"] * step.window_s - wanted) < 4.5 * wanted**0.5
    assert list(recording.requests.columns) == [*REQUEST_COLUMNS, "due_s"]
    assert (recording.requests["start_s"] - recording.requests["due_s"] > -0.002).all()
    assert "offered-load-not-achieved" not in codes(recording)
    assert (step.think, recording.manifest["generator"]["loop"]) == ("", "scheduled")
    pd.testing.assert_frame_equal(read_recording(tmp_path / "out").requests, recording.requests)


def test_a_schedule_with_too_few_users_says_how_much_was_sent_and_how_late(server, tmp_path):
    load = LoadPlan((2,), 4.0, pacing=parse_pacing("constant:50"), settle_s=0.5)
    recording = record(server.host, load, tmp_path / "out")
    (offered,) = recording.manifest["offered"]
    assert offered["offered_rps"] == 100
    assert offered["achieved_rps"] < 41  # two users who wait at least 50 ms for each answer
    assert offered["late_share"] > 0.95
    assert offered["lateness_max_s"] > offered["lateness_mean_s"] > 0.3
    assert codes(recording) == ["offered-load-not-achieved", "requests-sent-late"]


def test_sessions_are_visitors_who_come_think_and_leave(server, tmp_path):
    load = LoadPlan((5,), 8.0, think=Constant(0.1), pacing=parse_pacing("sessions:8:4"), settle_s=1.0)
    recording = record(server.host, load, tmp_path / "out")
    rows = recording.requests.sort_values(["user_id", "cycle"])
    assert len(rows) == recording.manifest["totals"]["locust"]
    assert (recording.manifest["generator"]["loop"], recording.has_sessions) == ("sessions", True)
    visitors = rows.groupby("user_id")
    assert (visitors["cycle"].max() + 1 == visitors.size()).all()
    gaps = (rows["start_s"] - visitors["finish_s"].shift()).dropna()
    assert gaps.min() > 0.098
    assert gaps.median() < 0.12
    (step,), (offered,) = recording.steps, recording.manifest["offered"]
    assert step.gap_mean_s == pytest.approx(gaps.mean(), rel=0.05)
    assert (offered["offered_rps"], offered["late_share"]) == (40.0, 0.0)
    arrivals = rows.loc[rows["cycle"] == 0, "due_s"]
    assert len(arrivals) == pytest.approx(10 * (arrivals.max() - arrivals.min()), abs=5 * len(arrivals) ** 0.5)
    checks = {item["code"]: item["state"] for item in recording.manifest["trust"]["checks"]}
    assert checks["operational-law"] == checks["think-time-law"] == checks["censored-requests"] == "not-applicable"
    assert recording.manifest["trust"]["verdict"] != "refused"
    again = read_recording(tmp_path / "out")
    assert again.has_sessions
    pd.testing.assert_frame_equal(again.requests, recording.requests)


def capacity(*words):
    return subprocess.run(
        [sys.executable, "-m", "capacity.interfaces.cli", "record", *map(str, words)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_a_breakpoint_test_ends_well_where_the_gate_turns_half_away(server, tmp_path):
    done = capacity(
        "--host", server.host, "--out", tmp_path / "out", "--shape", "breakpoint:5:40:3s", "--think", "constant:20ms",
        "--abort-if", "shed-rate>20% over 3s", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [item["code"] for item in document["findings"]] == ["breakpoint-reached"]
    assert document["findings"][0]["numbers"]["users"] in (45, 85)
    assert document["aborted"]["value"] > 0.2
    assert document["steps"][0]["users"] == 5
    recording = read_recording(tmp_path / "out")
    assert len(recording.requests) == recording.manifest["totals"]["locust"]


def test_an_aborted_test_keeps_what_was_recorded_and_exits_with_1(server, tmp_path):
    done = capacity(
        "--host", server.host, "--out", tmp_path / "out", "--users", "5,90,95", "--step-time", "3s", "--mix", "guide",
        "--abort-if", "shed-rate>10% over 5s",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "test-aborted" in done.stdout
    assert "ended early by --abort-if; what was recorded until then is in" in done.stderr
    recording = read_recording(tmp_path / "out")
    assert recording.steps[0].users == 5
    assert recording.manifest["aborted"]["condition"] == "shed-rate>0.1 over 5.0s"
    mix = recording.requests["endpoint"].value_counts(normalize=True)
    assert set(mix.index) == {"/health", "/ready", "/api/users", "/api/echo", "/api/metrics"}
    assert mix.idxmax() == "/health"
