"""Real Locust against the real staging server, with a fault that really happens."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import psutil
import pytest

import loadtests.runner
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.journals.journal import read_marks
from loadtests.load.plan import LoadPlan
from loadtests.runner import record
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.trust.judge import check_recording

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(workers=20, queue_capacity=30)
SERVER = StagingOptions(DEPLOYMENT, "exponential:0.05")
PLAN = LoadPlan((40,), 6.0, Exponential(0.1), spawn_rate=50.0)
STOOD_S = 1.5


def locust_pid():
    """The load generator that this process started."""
    return next(child.pid for child in psutil.Process().children() if "locust" in child.cmdline())


@contextmanager
def standing_still(folder, find_pid):
    """Stop a process for `STOOD_S` in the second half of the step; what moves in the first may pass for warm-up."""

    def stop():
        while not any(mark.event == "reached" for mark in read_marks(folder / "locust" / "journal.csv")):
            time.sleep(0.05)
        time.sleep(0.5 * PLAN.step_time_s)
        pid = find_pid()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STOOD_S)
        os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    yield
    thread.join()


def states(report):
    return {item.code: item.state for item in report.checks}


def whole(report):
    """What must hold of every recording of ours, however busy the machine."""
    names = ("operational-law", "lost-requests", "duplicated-requests", "clock-jump", "rate-limited", "client-errors")
    return {name: states(report)[name] for name in names} == dict.fromkeys(names, "ok")


def test_a_server_that_stands_still_is_a_stall_and_the_rest_of_the_recording_is_whole(tmp_path):
    folder = tmp_path / "out"
    with start_staging(SERVER) as server, standing_still(folder, lambda: server.pid):
        recording = record(server.host, PLAN, folder, deployment=DEPLOYMENT)
    report = check_recording(recording)
    assert {"stall", "coordinated-omission"} <= set(report.fired), report.summary()
    assert report.verdict == "refused"
    assert whole(report), report.summary()
    assert {item.severity for item in report.findings if item.code == "gate-unobserved"} == {"info"}


def test_a_load_generator_that_stands_still_is_seen_too(tmp_path):
    folder = tmp_path / "out"
    with start_staging(SERVER) as server, standing_still(folder, locust_pid):
        recording = record(server.host, PLAN, folder, deployment=DEPLOYMENT)
    report = check_recording(recording)
    assert "generator-paused" in report.fired, report.summary()
    assert whole(report), report.summary()


def test_a_path_that_nobody_serves_is_named(tmp_path, monkeypatch):
    """Without the preflight, which would have refused the plan."""
    monkeypatch.setattr(loadtests.runner, "preflight", lambda *_, **__: ())
    mix = (("GET", "/api/users", 3.0), ("GET", "/nowhere", 1.0))
    with start_staging(StagingOptions(DEPLOYMENT, "exponential:0.02")) as server:
        recording = record(server.host, LoadPlan((5,), 3.0, Exponential(0.1), mix), tmp_path / "out")
    found = [item for item in check_recording(recording).findings if item.code == "client-errors"]
    assert [(item.severity, item.numbers["endpoint"]) for item in found] == [("critical", "GET /nowhere")]
    assert "404" in found[0].message
