"""Stock Locust with `--recording`, and somebody's own locustfile: the same recordings as ours."""

import json
from functools import partial

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.http_client import without_credentials
from loadtests.load.plan import LoadPlan
from loadtests.locust_run import LoadGenerator
from loadtests.runner import record
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import read_recording
from support.locust_runs import FLOWS, at_once, finish, locust_total, our, start_locust, two_processes

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(max_ccu=30, utilization_percent=67, workers=10, queue_capacity=10, db_pool=3)
OWN_SHAPE = """
from locust import LoadTestShape

class Stairs(LoadTestShape):
    def tick(self):
        seconds = self.get_run_time()
        return (3, 10) if seconds < 2.6 else (7, 10) if seconds < 5.4 else None
"""


@pytest.fixture(scope="module")
def server():
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as running:
        yield running


def run_beside(folder, server):
    """A plain run of somebody's own locustfile with our listener beside it."""
    (folder / "theirs.py").write_text(FLOWS)
    (folder / "limits.json").write_text(json.dumps({"workers": 10, "queue_capacity": 10}))
    run = start_locust(
        folder, "-f", f"{our('listener.py')},theirs.py", "-H", server.host, "--users", "6", "--spawn-rate", "6",
        "--run-time", "4s", "--csv", "mine", "--json-file", "report", "--recording", "out", "--deployment",
        "limits.json", "--stop-timeout", "2",
    )  # fmt: skip
    code, said = finish(run)
    assert "Traceback" not in said
    assert code == 1, said  # Locust's own verdict on the 404s
    return read_recording(folder / "out"), folder


def test_a_plain_run_is_one_step_with_all_its_requests(beside):
    recording, folder = beside
    assert [(step.step, step.users) for step in recording.steps] == [(1, 6)]
    assert len(recording.requests) == locust_total(folder / "report.json") == recording.manifest["totals"]["locust"]
    assert set(recording.requests["endpoint"]) == {"users", "/api/echo", "/nothing", "login", "/ready"}
    assert recording.manifest["findings"] == []
    assert recording.deployment == Deployment(workers=10, queue_capacity=10)
    assert 3.0 < recording.requests["finish_s"].max() < 8.0


def test_every_request_belongs_to_its_user_also_at_the_start_and_in_parallel(beside):
    recording, _ = beside
    table = recording.requests
    assert sorted(table["user_id"].unique()) == list(range(6))
    firsts = table[table["endpoint"] == "login"]
    assert (firsts["cycle"] == 0).all()
    slow = table[table["user_id"].isin(firsts["user_id"])].sort_values(["user_id", "cycle"])
    assert set(slow["endpoint"]) == {"login", "users", "/api/echo", "/nothing"}
    [gaps] = [recording.gaps(step) for step in recording.steps]
    assert len(gaps.observed_s) > 50
    follow = slow.groupby("user_id")["start_s"].shift(-1) - slow["finish_s"]
    in_one_task = follow[slow["endpoint"] == "/api/echo"].dropna()
    assert np.median(in_one_task) < 0.02  # no wait between requests of one task


def test_it_holds_what_a_recording_of_ours_holds(beside):
    recording, folder = beside
    assert not recording.generator.empty
    assert recording.gauges["server_cpu_s"].notna().any()
    assert recording.manifest["host"].startswith("http://127.0.0.1:")
    assert recording.manifest["source"] == {"kind": "locust-run"}
    assert str(folder) not in json.dumps(recording.manifest)
    names = {path.name for path in (recording.path / "locust").iterdir()}
    csv = {f"mine_{name}.csv" for name in ("stats", "stats_history", "failures", "exceptions")}
    assert names == {"report.json", "journal.marks.csv", *csv}
    for name in csv:
        assert (recording.path / "locust" / name).read_bytes() == (folder / name).read_bytes()


def run_ours(folder, server):
    """The plan that stock Locust runs, too, by `record`."""
    plan = LoadPlan((3, 6), 2.0, Exponential(0.1), seed=7)
    return record(server.host, plan, folder / "ours", deployment=DEPLOYMENT)


def run_stock(folder, server):
    """With two processes."""
    (folder / "limits.json").write_text(json.dumps(DEPLOYMENT.to_dict()))
    run = start_locust(
        folder, "-f", our("locustfile.py"), "-H", server.host, "--step-users", "3,6", "--step-time", "2s",
        "--hold-time", "0.5s", "--think", "exponential:0.1", "--seed", "7", *two_processes(), "--recording", "stock",
        "--deployment", "limits.json", "--exit-code-on-error", "0",
    )  # fmt: skip
    code, said = finish(run)
    assert code == 0, said
    return read_recording(folder / "stock")


def test_stock_locust_records_the_same_plan(runs):
    ours, stock = runs["ours"].result(), runs["stock"].result()
    assert ours.manifest["plan"] == stock.manifest["plan"]
    assert [(step.step, step.users, step.think) for step in ours.steps] == [
        (step.step, step.users, step.think) for step in stock.steps
    ]
    assert ours.deployment == stock.deployment
    assert set(ours.manifest) == set(stock.manifest)
    for name in ("requests", "gauges", "generator"):
        assert getattr(ours, name).dtypes.to_dict() == getattr(stock, name).dtypes.to_dict()
        assert not getattr(stock, name).empty
    assert stock.manifest["totals"]["locust"] == stock.manifest["totals"]["journal"] == len(stock.requests)
    only_ours = {
        "locust/locust.log",
        "locust/plan.json",
        *(f"locust/stats_{name}.csv" for name in ("stats", "stats_history", "failures", "exceptions")),
    }
    assert set(ours.manifest["files"]) - set(stock.manifest["files"]) == only_ours


def run_theirs(folder, server, locustfile, load):
    (folder / "theirs.py").write_text(locustfile)
    return record(server.host, load, folder / "out", generator=LoadGenerator(locustfile=folder / "theirs.py"))


def test_somebody_s_users_follow_our_steps(runs):
    recording = runs["their_users"].result()
    assert [step.users for step in recording.steps] == [2, 5]
    assert recording.manifest["plan"]["users"] == [2, 5]
    assert "requests" not in recording.manifest["plan"]
    assert "login" in set(recording.requests["endpoint"])
    assert recording.manifest["totals"]["locust"] == len(recording.requests)
    assert "loadtests/locustfile.py,theirs.py" in recording.manifest["command"]


def test_somebody_s_own_shape_goes_first_and_its_plateaus_are_steps(runs):
    recording = runs["their_shape"].result()
    assert [step.users for step in recording.steps] == [3, 7]
    assert set(recording.manifest["plan"]) == {"settle_s"}
    assert recording.requests["users"].max() == 7
    assert recording.manifest["totals"]["locust"] == len(recording.requests)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, server):
    acts = {"beside": run_beside, "ours": run_ours, "stock": run_stock}
    theirs = {
        "their_users": partial(run_theirs, locustfile=FLOWS, load=LoadPlan((2, 5), 2.0, Exponential(0.1))),
        "their_shape": partial(run_theirs, locustfile=FLOWS + OWN_SHAPE, load=LoadPlan((50,), 1.0, Exponential(0.1))),
    }
    bound = {name: partial(act, server=server) for name, act in {**acts, **theirs}.items()}
    return at_once(bound, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def beside(runs):
    return runs["beside"].result()


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    words = ("-f", our("locustfile.py"), "-H", "http://127.0.0.1:9", "--users", "1", "--run-time", "20s")
    code, said = finish(start_locust(tmp_path, *words, "--recording", "out"))
    assert code != 0
    assert "exists and is not empty" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("http://me:secret@host:80/a", "http://host:80/a"), ("https://host/a@b", "https://host/a@b"),
        ("http://host", "http://host"), ("", ""),
    ],
)  # fmt: skip
def test_credentials_of_a_host_are_not_kept(host, kept):
    assert without_credentials(host) == kept
