"""Several load generator processes, and tests that do not end as planned: not one request is lost or doubled."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pandas as pd
import psutil
import pytest

from loadtests.deployment import Deployment
from loadtests.estimation.latency_histogram import read_histograms
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import InputError, RunError
from loadtests.journals.conversion import recover_recording
from loadtests.journals.journal import read_marks
from loadtests.load.plan import LoadPlan
from loadtests.locust_run import LoadGenerator
from loadtests.runner import record
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import JOURNAL, MANIFEST, read_recording
from support.locust_runs import FLOWS, at_once, finish, free_port, our, start_locust, two_processes, wait_for_rows

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(max_ccu=30, utilization_percent=67, workers=10, queue_capacity=10, db_pool=3)
SLOW = "constant:0.3"


def plan(users=(6, 40), step_time_s=2.5):
    return LoadPlan(users, step_time_s, Exponential(0.1))


def totals(recording):
    return recording.manifest["totals"]


def codes(recording):
    return [finding["code"] for finding in recording.manifest["findings"]]


def assert_each_request_once(recording):
    table = recording.requests
    assert totals(recording)["locust"] == totals(recording)["journal"] == len(table) > 0
    for name, counts in totals(recording)["workers"].items():
        assert counts["locust"] == counts["journal"] == (table["worker_id"] == name).sum()
    assert not table.duplicated(["worker_id", "user_id", "cycle"]).any()
    for _, rows in table.groupby(["worker_id", "user_id"]):
        assert rows["cycle"].tolist() == list(range(len(rows)))


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """Two processes of Locust's own --processes, the second step beyond the gate of 20."""
    folder = tmp_path_factory.mktemp("two")
    with start_staging(StagingOptions(DEPLOYMENT, "exponential:0.05", service_log=folder / "service.csv")) as server:
        recording = record(server.host, plan(), folder / "out", generator=LoadGenerator(processes=2))
    return recording, pd.read_csv(folder / "service.csv")


def test_two_processes_are_one_recording(of_two):
    recording, service = of_two
    assert_each_request_once(recording)
    assert set(recording.requests["worker_id"]) == {"0", "1"}
    assert recording.manifest["generator"]["processes"] == 2
    assert codes(recording) == []
    served = recording.requests[recording.requests["outcome"] == "served"]
    assert len(served) + 1 == len(service)  # and the one of the preflight


def test_each_row_counts_the_users_of_all_processes(of_two):
    recording, _ = of_two
    for step in recording.steps:
        rows = recording.requests_in(step)
        assert rows["users"].max() == step.users
        assert (rows["users"] == step.users).mean() > 0.9
        assert rows.groupby(["worker_id", "user_id"]).ngroups == step.users


def test_the_generator_s_processes_are_watched(of_two):
    recording, _ = of_two
    table = recording.generator
    assert set(table["worker_id"]) == {"master", "0", "1"}
    for name, rows in table.groupby("worker_id"):
        assert rows["cpu_s"].is_monotonic_increasing
        assert (rows["open_files"] < rows["file_limit"]).all()
        assert rows["requests"].iloc[-1] == (recording.requests["worker_id"] == name).sum()
    assert (table["loop_lag_s"] >= 0).all()
    assert table["epoch_offset_s"].max() - table["epoch_offset_s"].min() < 0.5


def test_histograms_of_the_steps_count_their_requests(of_two):
    recording, _ = of_two
    counted = pd.DataFrame(
        [(item.step, item.outcome, item.histogram.count) for item in read_histograms(recording.path)],
        columns=["step", "outcome", "count"],
    )
    for step in recording.steps:
        assert counted[counted["step"] == step.step].set_index("outcome")["count"].to_dict() == step.outcomes
    assert [path.name for path in (recording.path / "locust").glob("journal*")] == ["journal.marks.csv"]


def run_workers_elsewhere(folder):
    port = free_port()
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.02")) as server:
        words = ("--worker", "--master-host", "127.0.0.1", "--master-port", str(port), "-f", our("locustfile.py"))
        workers = [start_locust(folder, *words) for _ in range(2)]
        generator = LoadGenerator(expect_workers=2, master_bind=f"127.0.0.1:{port}")
        recording = record(server.host, plan((8,), 2.5), folder / "out", generator=generator)
        return recording, [finish(worker) for worker in workers]


def test_workers_that_are_started_elsewhere_join_with_stock_locust(runs):
    recording, said = runs["workers_elsewhere"].result()
    assert [code for code, _ in said] == [0, 0], said
    assert_each_request_once(recording)
    assert set(recording.requests["worker_id"]) == {"0", "1"}
    assert codes(recording) == []
    assert sorted(path.name for path in recording.path.parent.iterdir()) == ["out"]


def run_until_a_signal(folder, signal_number, to_group, processes):
    """With requests of 0.3 s and users who may finish them."""
    with start_staging(StagingOptions(DEPLOYMENT, SLOW, service_log=folder / "service.csv")) as server:
        words = ("-f", our("locustfile.py"), "-H", server.host, "--users", "8", "--spawn-rate", "8")
        more = ("--think", "constant:50ms", "--stop-timeout", "5", "--recording", "out", *processes())
        run = start_locust(folder, *words, *more)
        wait_for_rows(folder / "out", 40)
        (os.killpg if to_group else os.kill)(run.pid, signal_number)
        _, said = finish(run)
    return read_recording(folder / "out"), len(pd.read_csv(folder / "service.csv")), said


ENDED_BY = {
    "interrupt_to_all": (signal.SIGINT, True, two_processes),
    "interrupt_to_the_master": (signal.SIGINT, False, two_processes),
    "terminate": (signal.SIGTERM, False, two_processes),
    "interrupt_one_process": (signal.SIGINT, True, tuple),
}


@pytest.mark.parametrize("how", ENDED_BY)
def test_a_stock_run_that_is_ended_by_a_signal_is_whole(runs, how):
    """Locust alone loses some of the requests that its users finish."""
    recording, answered, said = runs[how].result()
    assert_each_request_once(recording)
    assert codes(recording) == [], said
    assert len(recording.requests) == answered


def run_with_a_killed_worker(folder):
    port = str(free_port())
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.02")) as server:
        user = ("-f", our("locustfile.py"))
        master = start_locust(
            folder, *user, "-H", server.host, "--master", "--expect-workers", "2", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", port, "--users", "6", "--spawn-rate", "6", "--recording", "out",
        )  # fmt: skip
        join = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
        workers = [start_locust(folder, *user, *join) for _ in range(2)]
        wait_for_rows(folder / "out", 60)
        os.killpg(workers[0].pid, signal.SIGKILL)
        time.sleep(1.5)
        os.kill(master.pid, signal.SIGINT)
        _, said = finish(master)
        for worker in workers:
            finish(worker)
    return read_recording(folder / "out"), said


def test_a_worker_that_is_killed_is_said_to_be_lost(runs):
    recording, said = runs["killed_worker"].result()
    assert "worker-lost" in codes(recording), said
    assert len(recording.requests) == totals(recording)["journal"] >= totals(recording)["locust"]


def test_after_kill_minus_9_at_most_the_last_second_is_missing(tmp_path):
    out, killed_at = tmp_path / "out", []

    def kill_locust(seen):
        if seen.step == 3 and not killed_at:
            killed_at.append(time.monotonic())
            for child in set(psutil.Process().children()) - before:
                child.kill()

    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01", service_log=tmp_path / "service.csv")) as server:
        before = set(psutil.Process().children())
        with pytest.raises(RunError, match="Locust ended early"):
            record(server.host, plan((4, 8, 8), 2.0), out, on_progress=kill_locust)
    recording = recover_recording(out)
    assert [step.step for step in recording.steps] == [1, 2]
    assert codes(recording) == ["interrupted"]
    missing_s = recording.manifest["findings"][0]["numbers"]["missing_s"]
    assert missing_s >= 1.0
    service = pd.read_csv(tmp_path / "service.csv").iloc[1:]  # without the preflight
    ours = len(recording.requests)
    surely_flushed = (service["start_s"] + service["realised_s"] < killed_at[0] - missing_s - 0.5).sum()
    assert surely_flushed <= ours <= len(service)
    assert as_text(read_recording(out)) == as_text(recording)


def as_text(recording):
    """Steps as JSON: a step of one request has a mean gap of NaN, which equals nothing."""
    return [json.dumps(step.to_dict()) for step in recording.steps]


def run_with_a_killed_master(folder):
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        run = start_locust(
            folder, "-f", our("locustfile.py"), "-H", server.host, "--users", "6", "--spawn-rate", "6", "--think",
            "constant:50ms", *two_processes(), "--recording", "out",
        )  # fmt: skip
        wait_for_rows(folder / "out", 250)
        workers = psutil.Process(run.pid).children()
        run.kill()
        finish(run)
        _, alive = psutil.wait_procs(workers, timeout=20)
    return recover_recording(folder / "out"), alive


def test_workers_end_when_their_master_is_killed_and_the_run_can_be_recovered(runs):
    recording, alive = runs["killed_master"].result()
    assert alive == []
    assert [step.users for step in recording.steps] == [6]
    assert codes(recording) == ["interrupted"]
    assert set(recording.requests["worker_id"]) == {"0", "1"}
    assert totals(recording)["locust"] is None


def test_ctrl_c_in_the_command_leaves_a_recording_of_the_complete_steps(tmp_path):
    out = tmp_path / "out"
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        words = ["record", "--host", server.host, "--users", "4,8", "--step-time", "2s", "--out", str(out)]
        script = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        script += "from capacity.interfaces.cli import main; main()"
        with subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True) as running:
            deadline = time.monotonic() + 40
            while not any(mark.step == 2 for mark in read_marks(out / JOURNAL)):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(running.pid, signal.SIGINT)
            _, said = running.communicate(timeout=40)
    assert running.returncode == 130, said
    assert "the steps that were complete are a recording" in said
    recording = read_recording(out)
    assert [step.step for step in recording.steps] == [1]
    assert codes(recording) == ["interrupted"]
    assert recording.manifest["findings"][0]["numbers"] == {"missing_s": 0.0}
    assert_each_request_once(recording)


def run_interrupted_at_once(folder):
    (folder / "theirs.py").write_text(FLOWS)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        words = ("-f", our("locustfile.py"), "-H", server.host, "--step-users", "4,8", "--step-time", "60s")
        run = start_locust(folder, *words, "--recording", "out")
        wait_for_rows(folder / "out", 5)
        os.kill(run.pid, signal.SIGINT)
        _, said = finish(run)
    return folder / "out", said


def test_a_run_that_is_interrupted_before_a_step_was_complete_has_no_manifest(runs):
    out, said = runs["interrupted_at_once"].result()
    assert "No recording was made: No step has a steady window: step 1 (4 users): the test was interrupted" in said
    assert not (out / MANIFEST).exists()
    assert (out / JOURNAL).is_file()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    acts = {
        **{name: partial(run_until_a_signal, signal_number=number, to_group=to_group, processes=processes)
           for name, (number, to_group, processes) in ENDED_BY.items()},
        "workers_elsewhere": run_workers_elsewhere, "killed_worker": run_with_a_killed_worker,
        "killed_master": run_with_a_killed_master, "interrupted_at_once": run_interrupted_at_once,
    }  # fmt: skip
    return at_once(acts, tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"processes": 0}, "processes"), ({"expect_workers": -1}, "expect_workers"),
        ({"processes": 2, "expect_workers": 2}, "so give one of both"),
        ({"master_bind": "5557"}, "write ADDRESS:PORT"), ({"master_bind": "a:99999"}, "write ADDRESS:PORT"),
    ],
)  # fmt: skip
def test_a_generator_that_cannot_be_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        LoadGenerator(**changes)


def test_a_locustfile_that_is_missing_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        LoadGenerator(locustfile=tmp_path / "none.py")
