import json
import time

import pytest

from capacity.interfaces.cli import run
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import RunError
from loadtests.knee.knee_run import KNEE, find_knee
from loadtests.knee.knee_search import KneeOptions
from loadtests.knee.knee_step import KneeObjective
from loadtests.load.plan import LoadPlan
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import read_recording
from support.locust_runs import at_once

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(workers=3, queue_capacity=1)
PLAN = LoadPlan((2,), 2.0, Exponential(0.1))
SERVER = StagingOptions(DEPLOYMENT, "exponential:50ms")


def run_search(folder):
    """Three workers and one place to wait: with 16 users the gate turns away a third and more."""
    seen = []
    objective = KneeObjective(max_bad_fraction=0.1)
    options = KneeOptions(start_users=2, most_users=64, max_steps=6, precision=0.01)
    with start_staging(SERVER) as server:
        result, recording = find_knee(
            server.host, PLAN, objective, folder / "out", options=options, deployment=DEPLOYMENT,
            on_progress=seen.append,
        )  # fmt: skip
    return result, recording, seen


def run_far_beyond(folder):
    """A step of a minute in which nearly everybody is turned away."""
    objective = KneeObjective(max_bad_fraction=0.01)
    options = KneeOptions(start_users=60, most_users=60, max_steps=1)
    plan = LoadPlan((60,), 60.0, Exponential(0.02), settle_s=1.0)
    begun = time.monotonic()
    with start_staging(SERVER) as server:
        result, _ = find_knee(server.host, plan, objective, folder / "out", options=options)
    return result, time.monotonic() - begun


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return at_once({"search": run_search, "far_beyond": run_far_beyond}, tmp_path_factory.mktemp("knee"))


@pytest.fixture
def found(runs):
    return runs["search"].result()


def test_the_search_goes_up_until_the_gate_sheds_and_comes_back(found):
    result, _, _ = found
    users = [step.users for step in result.steps]
    assert users[:2] == [2, 4]
    assert max(users) > users[-1]
    assert 2 <= result.knee_users.mid < max(users)
    assert (result.bound_by, result.reason) == ("bad", "steps")
    assert all(step.bad < step.requests for step in result.steps)


def test_every_step_is_in_the_recording_and_every_request_too(found):
    result, recording, seen = found
    assert [step.users for step in recording.steps] == [step.users for step in result.steps]
    assert recording.manifest["plan"]["users"] == [item.users for item in seen] == [s.users for s in result.steps]
    assert recording.manifest["totals"]["locust"] == recording.manifest["totals"]["journal"] == len(recording.requests)
    assert recording.manifest["left_out"] == []
    again = read_recording(recording.path)
    assert again.steps == recording.steps
    document = json.loads((recording.path / KNEE).read_text())
    assert document["knee_users"] == result.knee_users.to_dict()
    assert KNEE in recording.manifest["files"]


def test_each_step_is_judged_by_requests_of_its_own_window(found):
    result, recording, _ = found
    for step, recorded in zip(result.steps, recording.steps, strict=True):
        assert 0 < step.requests <= recorded.requests + 5
        assert step.window_s < PLAN.step_time_s


def test_no_load_that_meets_the_objective_is_exit_99_on_the_command_line(tmp_path, capsys):
    words = ["--p95", "1ms", "--out", str(tmp_path / "out"), "--start", "2", "--think", "exponential:0.1"]
    with start_staging(SERVER) as server:
        code = run(["find-knee", "--host", server.host, *words, "--step-time", "2s", "--max-steps", "4", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert code == 99
    assert (printed["reason"], printed["bound_by"]) == ("not-met", "p95")
    assert printed["trust"] in ("trusted", "usable-with-caveats", "refused")
    assert min(step["users"] for step in printed["steps"]) == 1


def test_a_step_that_has_clearly_broken_the_objective_is_cut_short(runs):
    result, took_s = runs["far_beyond"].result()
    assert took_s < 45.0
    assert result.steps[0].window_s < 30.0
    assert result.steps[0].bad > 0.5 * result.steps[0].requests


def test_a_server_that_is_not_there_is_said_so_before_any_load(tmp_path):
    with pytest.raises(RunError, match="refuses connections"):
        find_knee("http://127.0.0.1:9", PLAN, KneeObjective(p95_s=0.1), tmp_path / "out")
