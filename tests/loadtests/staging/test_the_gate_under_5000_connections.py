"""The gate never admits one too many: seen from inside (its log, its high-water mark) and from outside."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from loadtests import Deployment, StagingOptions, read_fault_log, read_service_log, start_staging
from loadtests.foundation.http_client import fetch
from loadtests.foundation.limits import raise_file_limit

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

CROWD = 5_000
CLIENT = Path(__file__).with_name("crowd_client.py")
BY_WORKERS_AND_QUEUE = Deployment.from_utilization(5_000, 67)
BY_ITS_OWN_LIMIT = Deployment(gate_limit=1_000, workers=200, queue_capacity="unlimited")
LOG_RESOLUTION_S = 3e-6


def come_all_at_once(port, refused, hang_up=0):
    command = [sys.executable, str(CLIENT), str(port), str(CROWD), str(refused), str(hang_up)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def visit(folder, deployment, hang_up, stall_s):
    """A crowd against workers that are frozen for a while, so that nobody who is inside can leave."""
    options = StagingOptions(
        deployment, "constant:5ms", service_log=folder / "service.csv", fault_log=folder / "faults.csv",
        faults=[f"stall:0:{stall_s}s:workers"],
    )  # fmt: skip
    with start_staging(options) as server:
        seen = come_all_at_once(server.port, CROWD - deployment.gate, hang_up)
        deadline = time.monotonic() + 30
        while fetch(f"{server.host}/api/metrics").json_object()["ccu"]["in_flight"] and time.monotonic() < deadline:
            time.sleep(0.05)
        metrics = fetch(f"{server.host}/api/metrics").json_object()
    faults = read_fault_log(options.fault_log)
    thawed_s = faults.loc[faults["event"] == "ready", "monotonic_s"].item() + stall_s
    return SimpleNamespace(**seen, metrics=metrics, thawed_s=thawed_s, log=read_service_log(options.service_log))


def visit_in_time(folder, deployment, hang_up):
    """Everybody has to be admitted or refused, and gone if they go, while the workers are frozen."""
    for stall_s in (3, 10, 36):
        seen = visit(folder, deployment, hang_up, stall_s)
        refused_s = max(time_s for _, status, _, time_s in seen.answers if status == 503)
        if max(refused_s, seen.last_sent_s, seen.last_hung_up_s) < seen.thawed_s - 0.2:
            return seen
    raise AssertionError("not everybody was decided on within 36 s: too slow a machine, or a gate that let in too many")


def most_at_once(log):
    """Largest number of requests inside, by the server's own log."""
    arrived = log["start_s"] - log["wait_s"]
    left = log["start_s"] + log["realised_s"] - LOG_RESOLUTION_S
    times = np.concatenate([left, arrived])
    change = np.repeat([-1, 1], len(log))
    return int(np.cumsum(change[np.lexsort((change, times))]).max())


@pytest.fixture(autouse=True, scope="module")
def enough_files():
    assert raise_file_limit() > CROWD + 200


@pytest.mark.parametrize(
    ("deployment", "leavers"),
    [
        pytest.param(BY_WORKERS_AND_QUEUE, 0.5, id="workers + queue, half of those inside hang up"),
        pytest.param(BY_ITS_OWN_LIMIT, 0.0, id="gate_limit, all stay"),
    ],
)
def test_exactly_the_gate_limit_is_inside_and_all_others_get_503(tmp_path, deployment, leavers):
    gate = deployment.gate
    seen = visit_in_time(tmp_path, deployment, int(gate * leavers))

    early = [answer for answer in seen.answers if answer[3] < seen.thawed_s]
    late = [answer for answer in seen.answers if answer[3] >= seen.thawed_s]
    assert Counter((status, retry_after) for _, status, retry_after, _ in early) == {(503, True): CROWD - gate}
    assert Counter(status for _, status, _, _ in late) == {200: gate - len(seen.hung_up)}

    assert seen.metrics["ccu"]["peak_in_flight"] == most_at_once(seen.log) == gate
    inside = (seen.metrics["ccu"]["in_flight"], seen.metrics["workers"]["busy"], seen.metrics["queue"]["length"])
    assert inside == (0, 0, 0)
    admitted = {f"c{answer[0]}" for answer in late} | {f"c{number}" for number in seen.hung_up}
    assert set(seen.log["outcome"]) == {"served"}
    assert Counter(seen.log["request_id"]) == dict.fromkeys(admitted, 1)


def test_the_gate_holds_while_places_are_given_back_all_the_time(tmp_path):
    options = StagingOptions(
        Deployment(workers=20, queue_capacity=40), "exponential:1ms", service_log=tmp_path / "service.csv"
    )
    with start_staging(options) as server:
        seen = come_all_at_once(server.port, refused=0)
        metrics = fetch(f"{server.host}/api/metrics").json_object()
    log, statuses = read_service_log(options.service_log), Counter(answer[1] for answer in seen["answers"])
    assert set(statuses) == {200, 503}
    assert len(log) == statuses[200] > 60
    assert metrics["ccu"]["peak_in_flight"] == most_at_once(log) == 60
    assert metrics["requests"] == {
        "total": CROWD, "served": statuses[200], "shed": statuses[503], "rate_limited": 0, "failed": 0
    }  # fmt: skip
