"""Stock Locust with our locustfile: shapes, schedules and abort conditions as options."""

import json
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import loadtests
from loadtests.deployment import Deployment
from loadtests.foundation.files import write_json
from loadtests.foundation.seeds import generator
from loadtests.journals.journal import read_marks, worker_files
from loadtests.load.abort import parse_abort
from loadtests.load.load_shapes import parse_shape
from loadtests.load.pacing import due_times_s, parse_pacing
from loadtests.load.plan import LoadPlan
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

LOCUSTFILE = f"{loadtests.__path__[0]}/locustfile.py"
DEPLOYMENT = Deployment(max_ccu=300, utilization_percent=67)
HISTORY = "timestamp,value\n0,30\n600,90\n1200,45\n"
SHAPE = "ramp:0:8:4s+steps:8,3:1.5s+spike:2:9:1.5s+soak:4:1.5s+replay:day.csv:6:300+breakpoint:2:3:1.5s:5+ramp:5:1:2s"


def locust(folder, host, *words):
    command = [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--headless", "--only-summary", "-H", host]
    return subprocess.run(
        [*command, "--journal", "journal.csv", *words],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as running:
        yield running


@pytest.fixture(scope="module")
def shaped(server, tmp_path_factory):
    """All shapes, one after the other."""
    folder = tmp_path_factory.mktemp("shaped")
    (folder / "day.csv").write_text(HISTORY)
    done = locust(folder, server.host, "--shape", SHAPE, "--think", "constant:20ms", "--hold-time", "1s")
    assert done.returncode == 0, done.stderr
    return folder


def test_users_follow_every_shape(shaped):
    shape = parse_shape(SHAPE.replace("day.csv", str(shaped / "day.csv")))
    marks, rows = read_marks(shaped / "journal.csv"), pd.read_csv(shaped / "journal.csv")
    at_s = rows["finish_s"].to_numpy() - marks[0].monotonic_s
    inside = at_s < shape.duration_s
    lately = np.array(
        [[shape.users_at(max(time_s + shift, 0.0)) for shift in np.arange(-1.6, 0.8, 0.2)] for time_s in at_s]
    )
    users = rows["users"].to_numpy()
    follows = (users >= lately.min(axis=1)) & (users <= lately.max(axis=1))
    assert follows[inside].mean() > 0.99
    assert users.max() == 9
    assert len(set(users)) >= 6
    assert users[~inside].size > 0


def test_levels_are_marked_when_they_begin_and_ramps_are_not_taken_for_levels(shaped):
    shape = parse_shape(SHAPE.replace("day.csv", str(shaped / "day.csv")))
    marks = read_marks(shaped / "journal.csv")
    begun = [mark for mark in marks if mark.event in ("asked", "passing")]
    assert [mark.event == "asked" for mark in begun] == [item.is_plateau for item in shape.stretches]
    assert [mark.users for mark in begun] == [item.begin_users for item in shape.stretches]
    assert [mark.step for mark in begun] == list(range(1, len(shape.stretches) + 1))
    begins_s = np.cumsum([0.0, *(item.seconds for item in shape.stretches)])
    happened_s = [mark.monotonic_s - marks[0].monotonic_s for mark in [*begun, marks[-1]]]
    np.testing.assert_allclose(happened_s, begins_s, atol=0.5)
    assert marks[-1].event == "ended"


def test_a_schedule_s_requests_are_due_as_planned_and_none_is_left_out(server, tmp_path):
    done = locust(tmp_path, server.host, "--shape", "steps:6:4s", "--pacing", "poisson:8", "--seed", "3")
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "journal.csv")
    planned = [list(_first(due_times_s(parse_pacing("poisson:8"), generator(3, 0, user, 2)), 200)) for user in range(6)]
    users = [group.sort_values("cycle")["due_s"].to_numpy() for _, group in rows.groupby("user_id")]
    assert len(users) == 6
    for due_s in users:
        errors = [np.abs(np.diff(due_s) - np.diff(plan[: len(due_s)])).max() for plan in planned]
        assert min(errors) < 1e-6
    assert ((rows["start_s"] - rows["due_s"]) > -0.002).all()


def _first(iterator, count):
    return (item for item, _ in zip(iterator, range(count), strict=False))


def test_a_plan_and_its_abort_conditions_hold_for_a_worker_that_was_given_neither(server, tmp_path):
    plan = LoadPlan(
        shape=parse_shape("steps:4:60s"), pacing=parse_pacing("constant:20"), settle_s=1.0,
        requests=(("GET", "/nothing", 1), ("GET", "/api/users", 1)), abort_if=(parse_abort("error-rate>20% over 20s"),),
    )  # fmt: skip
    write_json(tmp_path / "plan.json", plan.to_dict())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    words = ["--worker", "--master-port", port, "--journal", "journal.csv"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", LOCUSTFILE, *words],
        cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        done = locust(
            tmp_path,
            server.host,
            "--master",
            "--master-bind-port",
            port,
            "--expect-workers",
            "1",
            "--plan",
            "plan.json",
        )
        worker.wait(20)
    finally:
        worker.kill()
        worker.wait()
    assert done.returncode == 1, done.stderr
    assert "The test ends early: error-rate was" in done.stderr
    assert json.loads((tmp_path / "journal.abort.json").read_text())["value"] > 0.2
    assert read_marks(tmp_path / "journal.csv")[-1].event == "ended"
    (journal,) = worker_files(tmp_path / "journal.csv").values()
    assert set(pd.read_csv(journal)["endpoint"]) == {"/nothing", "/api/users"}


def test_an_abort_condition_holds_without_a_shape_too(server, tmp_path):
    done = locust(
        tmp_path, server.host, "--users", "5", "--spawn-rate", "5", "--run-time", "60s", "--think", "constant:50ms",
        "--request", "GET /nothing", "--abort-if", "error-rate>5%",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "error-rate was 100.0% over 10 s" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--shape", "wave:1:2"], "ramp:FROM:TO:TIME"),
        (["--header", "A: env:NOT_SET_ANYWHERE", "--users", "1"], r"NOT_SET_ANYWHERE (header A) is not set"),
    ],
)
def test_options_that_cannot_be_end_locust_with_the_reason(tmp_path, words, said):
    done = locust(tmp_path, "http://127.0.0.1:9", "--run-time", "5s", *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
