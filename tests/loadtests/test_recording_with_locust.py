import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import pandas as pd
import psutil
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential
from loadtests.foundation.errors import InputError, RunError
from loadtests.journals.conversion import recover_recording
from loadtests.journals.journal import JOURNAL_COLUMNS, read_marks
from loadtests.journals.journal_merge import read_lines
from loadtests.load.plan import LoadPlan
from loadtests.runner import record
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging
from loadtests.store import read_recording
from loadtests.tables import REQUEST_COLUMNS
from support.locust_runs import at_once, two_processes

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

DEPLOYMENT = Deployment(max_ccu=30, utilization_percent=67, workers=10, queue_capacity=10, db_pool=3)


def plan(users=(5,), step_time_s=2.0, **changes):
    return LoadPlan(users, step_time_s, Exponential(0.1), **changes)


def locust(folder, *words):
    """Run stock Locust, as a user would at a shell."""
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", *words]
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def locust_total(report):
    return sum(entry["num_requests"] for entry in json.loads(report.read_text()))


def our(name):
    import loadtests

    return f"{loadtests.__path__[0]}/{name}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Three steps, the middle one far beyond the gate of 20; every POST passes the gate too."""
    folder = tmp_path_factory.mktemp("recorded")
    seen = []
    with start_staging(StagingOptions(DEPLOYMENT, "exponential:0.05", service_log=folder / "service.csv")) as server:
        load = plan((10, 80, 10), requests=(("GET", "/api/users?limit=5", 2), ("POST", "/api/echo", 1)))
        recording = record(server.host, load, folder / "out", deployment=DEPLOYMENT, on_progress=seen.append)
    return recording, pd.read_csv(folder / "service.csv"), seen


def test_the_journal_has_exactly_the_requests_of_locust_s_own_total(recorded):
    recording, _, _ = recorded
    assert len(recording.requests) == recording.manifest["totals"]["locust"] == recording.manifest["totals"]["journal"]
    assert len(recording.requests) == locust_total(recording.path / "locust" / "report.json") > 100


def test_every_served_request_is_in_the_server_s_log_and_back(recorded):
    recording, service, _ = recorded
    served = recording.requests[recording.requests["outcome"] == "served"]
    by_endpoint = served["endpoint"].str.split("?").str[0].value_counts()
    in_preflight = pd.Series({"/api/users": 1, "/api/echo": 1})
    assert (by_endpoint + in_preflight).to_dict() == service["endpoint"].value_counts().to_dict()


def test_only_the_step_beyond_the_gate_sheds(recorded):
    recording, _, _ = recorded
    rates = [step.metrics["shed_rate"].mid for step in recording.steps]
    assert [rate > 0 for rate in rates] == [False, True, False]
    assert set(recording.requests["outcome"]) == {"served", "shed"}
    assert (recording.requests.loc[recording.requests["outcome"] == "shed", "status"] == 503).all()


def test_each_user_s_requests_are_numbered_and_never_overlap(recorded):
    recording, _, _ = recorded
    table = recording.requests
    for _, rows in table.groupby(["worker_id", "user_id"]):
        assert rows["cycle"].tolist() == list(range(len(rows)))
        assert (rows["start_s"].to_numpy()[1:] >= rows["finish_s"].to_numpy()[:-1] - 1e-3).all()
    assert table["user_id"].nunique() == 80
    assert table["user_id"].min() == 0
    assert table["users"].max() == 80
    assert {name: str(kind) for name, kind in table.dtypes.items()} == REQUEST_COLUMNS


def test_wall_clock_and_monotonic_clock_agree_on_sending_times(recorded):
    recording, _, _ = recorded
    offset = (
        recording.requests["sent_at"] - recording.requests["start_s"] - recording.manifest["clock"]["origin_epoch_s"]
    )
    assert offset.abs().median() < 0.1


def test_users_think_after_a_503_too(recorded):
    recording, _, _ = recorded
    table = recording.requests.sort_values(["user_id", "cycle"])
    gap = table.groupby("user_id")["start_s"].shift(-1) - table["finish_s"]
    assert (gap[table["outcome"] == "shed"].dropna() > 0.005).mean() > 0.8


def test_the_mix_follows_its_weights(recorded):
    recording, _, _ = recorded
    share = (recording.requests["method"] == "GET").mean()
    assert 0.5 < share < 0.83


def test_steps_cover_what_was_asked_for_and_windows_leave_the_ramps_out(recorded):
    recording, _, _ = recorded
    assert [step.users for step in recording.steps] == [10, 80, 10]
    assert [step.think for step in recording.steps] == ["exponential:0.1"] * 3
    for number, step in enumerate(recording.steps):
        assert number * 2.0 + 0.4 < step.start_s < step.end_s < (number + 1) * 2.0 + 0.5
        assert step.requests == sum(step.outcomes.values()) == len(recording.requests_in(step))


def test_what_was_cut_of_a_plateau_is_at_least_the_planned_time_and_at_most_half(recorded):
    recording, _, _ = recorded
    settle_s = recording.manifest["plan"]["settle_s"]
    for step in recording.steps:
        begin_s = step.start_s - step.cut.seconds
        assert settle_s - 1e-6 <= step.cut.seconds <= max(settle_s, 0.5 * (step.end_s - begin_s)) + 1e-6
        finish = recording.requests["finish_s"]
        assert step.cut.requests == int(((finish >= begin_s) & (finish < step.start_s)).sum())
        assert step.cut.reason


def test_steps_with_few_blocks_are_said_in_the_trust_report(recorded):
    recording, _, _ = recorded
    said = [item["numbers"]["step"] for item in recording.manifest["trust"]["findings"] if item["code"] == "few-blocks"]
    assert said == [step.step for step in recording.steps if step.blocks < 20]


def test_the_recording_reads_back_as_it_was_returned(recorded):
    recording, _, _ = recorded
    again = read_recording(recording.path)
    pd.testing.assert_frame_equal(again.requests, recording.requests)
    assert again.steps == recording.steps
    assert again.deployment == DEPLOYMENT
    assert again.manifest == recording.manifest
    assert str(recording.path) not in json.dumps(recording.manifest)


def test_the_last_step_s_users_go_on_after_it_so_its_think_times_are_seen_whole(recorded):
    recording, _, _ = recorded
    last = recording.steps[-1]
    assert recording.requests["start_s"].max() > last.end_s
    in_last = recording.requests_in(last)
    assert len(recording.gaps(last).censored_s) < 0.1 * len(in_last)


def test_the_gauges_follow_the_load(recorded):
    recording, _, _ = recorded
    assert len(recording.gauges) >= 5
    assert recording.gauges["active_connections"].max() <= 20
    assert recording.gauges["process_cpu_s"].is_monotonic_increasing
    assert recording.gauges["process_resident_bytes"].between(2**20, 2**32).all()
    assert 0 < recording.manifest["generator"]["cpu_mean"] < 2


def test_progress_counts_up_through_the_steps(recorded):
    _, _, seen = recorded
    assert {item.step for item in seen} == {1, 2, 3}
    assert [item.fraction for item in seen] == sorted(item.fraction for item in seen)
    assert [item.requests for item in seen] == sorted(item.requests for item in seen)
    assert seen[-1].requests > 0


def test_a_host_that_refuses_is_named_before_anything_is_written(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(RunError, match=rf"http://127.0.0.1:{port} refuses connections; start"):
        record(f"http://127.0.0.1:{port}", plan(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("host", ["127.0.0.1:80", "ftp://a", "http://", "http://a:99999"])
def test_a_host_that_is_no_address_is_refused(tmp_path, host):
    with pytest.raises(InputError, match="http://NAME:PORT"):
        record(host, plan(), tmp_path / "out")


@pytest.mark.parametrize("host", ["http://me:geheim@127.0.0.1:80", "https://geheim@host", "http://me:geheim@h:99999"])
def test_credentials_in_the_host_are_refused_and_not_repeated(tmp_path, host):
    with pytest.raises(InputError, match="in clear in the recording; credentials are not supported") as caught:
        record(host, plan(), tmp_path / "out")
    assert "geheim" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_all_wrong_paths_are_in_one_error(tmp_path):
    wrong = plan(requests=(("GET", "/nope", 1), ("POST", "/api/users", 1), ("GET", "/api/users", 1)))
    said = r"GET /nope is answered 404.*POST /api/users is answered 405"
    with start_staging(StagingOptions(DEPLOYMENT, "none")) as server, pytest.raises(InputError, match=said):
        record(server.host, wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_in_use_is_refused_first(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="not empty"):
        record("http://127.0.0.1:9", plan(), tmp_path)


def run_without_gauges(folder):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        try:
            port = int(server.stdout.readline().split(" port ")[1].split()[0])
            short = LoadPlan((2,), 1.5, Constant(0.05), requests=(("GET", "/", 1),), settle_s=0.2)
            return record(f"http://127.0.0.1:{port}", short, folder / "out")
        finally:
            server.terminate()


def test_of_a_server_without_gauges_only_processor_time_and_memory_are_known(runs):
    recording = runs["without_gauges"].result()
    assert recording.gauges["server_cpu_s"].is_monotonic_increasing
    assert recording.gauges["server_resident_bytes"].min() > 2**20
    unknown = recording.gauges.drop(columns=["time_s", "server_cpu_s", "server_resident_bytes"])
    assert unknown.isna().all(axis=None)
    assert recording.deployment == Deployment()
    assert set(recording.requests["outcome"]) == {"served"}


def run_until_ctrl_c(folder):
    script = (
        "import signal, sys\n"
        "from loadtests import Exponential, LoadPlan, record\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "record(sys.argv[1], LoadPlan((5, 10), 30.0, Exponential(0.05)), sys.argv[2])\n"
    )
    out = folder / "out"
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        command = [sys.executable, "-c", script, server.host, str(out)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            deadline = time.monotonic() + 30
            while not (out / "locust/journal.csv").is_file() or (out / "locust/journal.csv").stat().st_size < 1000:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            children = psutil.Process(running.pid).children(recursive=True)
            os.kill(running.pid, signal.SIGINT)
            code, said = running.wait(20), running.stderr.read()
    return out, children, code, said


def test_ctrl_c_ends_locust_and_leaves_no_manifest(runs):
    out, children, code, said = runs["ctrl_c"].result()
    assert code != 0
    assert "KeyboardInterrupt" in said
    assert len(children) == 1
    assert not any(child.is_running() for child in children)
    assert not (out / "manifest.json").exists()
    with pytest.raises(InputError, match=r"incomplete.*holds [1-9]\d* requests"):
        read_recording(out)


def test_a_locust_that_is_killed_midway_is_a_run_error_without_a_manifest(tmp_path):
    out, killed = tmp_path / "out", []

    def kill_locust(_seen):
        if not killed and (out / "locust/journal.csv").stat().st_size > 1000:
            killed.extend(set(psutil.Process().children()) - before)
            killed[0].kill()

    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        before = set(psutil.Process().children())  # the server, and what other tests have left running
        with pytest.raises(RunError, match=r"exit code -9\); its last messages:\n.*Starting Locust"):
            record(server.host, plan(step_time_s=30.0), out, on_progress=kill_locust)
        assert len(killed) == 1
    assert not (out / "manifest.json").exists()
    with pytest.raises(InputError, match=r"incomplete.*holds [1-9]\d* requests"):
        read_recording(out)


def run_without_a_window(folder):
    hasty = plan((4, 8), 1.5, settle_s=1.4, spawn_rate=1)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server, pytest.raises(RunError) as caught:
        record(server.host, hasty, folder / "out")
    return folder / "out", str(caught.value)


def test_a_test_without_any_steady_window_says_why_and_keeps_its_journal(runs):
    out, said = runs["without_a_window"].result()
    why = r"No step has a steady window: step 1 \(4 users\): its users were never.*; step 2 \(8 users\): its users were"
    assert re.search(why, said)
    assert (out / "locust/journal.csv").stat().st_size > 100
    assert not (out / "manifest.json").exists()


def run_with_a_killed_parent(folder):
    script = (
        "import sys\n"
        "from loadtests import Exponential, LoadPlan, record\n"
        "record(sys.argv[1], LoadPlan((5, 8) + 20 * (9,), 2.0, Exponential(0.05)), sys.argv[2])\n"
    )
    out = folder / "out"
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        with subprocess.Popen([sys.executable, "-c", script, server.host, str(out)]) as running:
            deadline = time.monotonic() + 30
            while not any(mark.step == 3 for mark in read_marks(out / "locust/journal.csv")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            children = psutil.Process(running.pid).children()
            running.kill()
        _, alive = psutil.wait_procs(children, timeout=15)
    return recover_recording(out), alive


def test_locust_ends_when_its_parent_is_killed(runs):
    recording, alive = runs["killed_parent"].result()
    assert alive == []
    assert [step.users for step in recording.steps][:2] == [5, 8]
    assert "interrupted in it" in recording.manifest["left_out"][-1]["reason"]
    assert [finding["code"] for finding in recording.manifest["findings"]] == ["interrupted"]
    assert recording.manifest["findings"][0]["numbers"] == {"missing_s": 0.0}
    assert recording.manifest["totals"]["locust"] == recording.manifest["totals"]["journal"]
    assert not recording.gauges.empty


def run_our_locustfile(folder):
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        done = locust(folder, "-f", our("locustfile.py"), "-H", server.host, "--users", "5", "--run-time", "2s",
                      "--spawn-rate", "5", "--think", "constant:50ms", "--json-file", "report")  # fmt: skip
    return folder, done


def test_stock_locust_runs_our_locustfile_without_our_command(runs):
    folder, done = runs["our_locustfile"].result()
    assert done.returncode == 0, done.stderr
    assert locust_total(folder / "report.json") > 60
    assert sorted(path.name for path in folder.iterdir()) == ["report.json"]


def test_an_option_that_cannot_be_read_is_a_usage_error(tmp_path):
    done = locust(tmp_path, "-f", our("locustfile.py"), "-H", "http://127.0.0.1:9", "--think", "slow:5")
    assert done.returncode == 2
    assert "slow:5" in done.stderr
    assert "lognormal:MEAN:CV" in done.stderr


FOREIGN = """
from locust import FastHttpUser, HttpUser, constant, task
import gevent

class Slow(HttpUser):
    wait_time = constant(0.05)
    @task
    def users(self):
        self.client.get("/api/users", name="users")

class Quick(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def echo(self):
        gevent.joinall([gevent.spawn(self.client.get, "/api/echo"), gevent.spawn(self.client.get, "/nothing")])
"""


def run_beside_theirs(folder):
    (folder / "theirs.py").write_text(FOREIGN)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        done = locust(folder, "-f", f"{our('listener.py')},theirs.py", "-H", server.host, "--users", "6",
                      "--spawn-rate", "6", "--run-time", "2s", "--journal", "journal.csv", "--json-file", "report",
                      "--exit-code-on-error", "0")  # fmt: skip
    return folder, done


def test_the_listener_works_beside_a_foreign_locustfile_and_loses_no_request(runs):
    folder, done = runs["beside_theirs"].result()
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(folder / "journal.csv")
    assert len(rows) == locust_total(folder / "report.json") > 50
    assert set(rows["endpoint"]) == {"users", "/api/echo", "/nothing"}
    assert set(rows.loc[rows["endpoint"] == "/nothing", "outcome"]) == {"client_error"}
    assert sorted(rows["user_id"].unique()) == list(range(6))
    assert not rows.duplicated(["user_id", "cycle"]).any()


def run_two_beside_theirs(folder):
    (folder / "theirs.py").write_text(FOREIGN)
    with start_staging(StagingOptions(DEPLOYMENT, "constant:0.01")) as server:
        done = locust(folder, "-f", f"{our('listener.py')},theirs.py", "-H", server.host, "--users", "6",
                      "--spawn-rate", "6", "--run-time", "3s", "--journal", "journal.csv", "--json-file", "report",
                      *two_processes(), "--exit-code-on-error", "0")  # fmt: skip
    return folder, done


def test_each_of_several_processes_writes_a_journal_of_its_own(runs):
    folder, done = runs["two_beside_theirs"].result()
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in folder.glob("journal*.csv") if not path.name.endswith(".marks.csv"))
    files.remove(folder / "journal.generator.csv")
    tables = [read_lines(path, JOURNAL_COLUMNS) for path in files]
    assert len(files) == 3
    assert sorted(len(table) > 0 for table in tables) == [False, True, True]
    assert len(pd.read_csv(folder / "journal.csv")) == 0
    rows = pd.concat(tables)
    assert len(rows) == locust_total(folder / "report.json") > 50
    assert all(len(line.split(",")) == len(JOURNAL_COLUMNS) for path in files for line in path.read_text().splitlines())
    assert set(rows["worker_id"]) == {"0", "1"}
    assert not rows.duplicated(["worker_id", "user_id", "cycle"]).any()
    assert len(list(folder.glob("*.marks.csv"))) == 1


def run_onto_a_journal(folder, processes):
    (folder / "journal.csv").write_text("precious\n")
    done = locust(folder, "-f", our("locustfile.py"), "-H", "http://127.0.0.1:9", "--users", "2",
                  "--run-time", "20s", "--journal", "journal.csv", *processes())  # fmt: skip
    return folder, done


@pytest.mark.parametrize("processes", ["one", "two"])
def test_a_journal_of_an_earlier_run_is_never_overwritten(runs, processes):
    folder, done = runs[f"{processes}_onto_a_journal"].result()
    assert done.returncode != 0
    assert "The journal journal.csv exists already; name another with --journal" in done.stderr
    assert (folder / "journal.csv").read_text() == "precious\n"
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    acts = {
        "without_gauges": run_without_gauges, "ctrl_c": run_until_ctrl_c, "without_a_window": run_without_a_window,
        "killed_parent": run_with_a_killed_parent, "our_locustfile": run_our_locustfile,
        "beside_theirs": run_beside_theirs, "two_beside_theirs": run_two_beside_theirs,
        "one_onto_a_journal": partial(run_onto_a_journal, processes=tuple),
        "two_onto_a_journal": partial(run_onto_a_journal, processes=two_processes),
    }  # fmt: skip
    return at_once(acts, tmp_path_factory.mktemp("runs"))


class Unkind:
    """Answers nobody: closes ``/close`` at once, keeps ``/silent`` waiting; stops listening after a few of each."""

    def __init__(self, of_each):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._listener.settimeout(30)
        self._of_each = of_each
        self.port = self._listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        closed, silent = 0, []
        with self._listener:
            while closed < self._of_each or len(silent) < self._of_each:
                client, _ = self._listener.accept()
                client.settimeout(30)
                if b"/close" in client.recv(1000):
                    closed += 1
                    client.close()
                else:
                    silent.append(client)
            time.sleep(0.5)
        for client in silent:
            client.close()


def test_requests_without_a_response_are_told_apart(tmp_path):
    unkind = Unkind(of_each=3)
    done = locust(tmp_path, "-f", our("locustfile.py"), "-H", f"http://127.0.0.1:{unkind.port}", "--users", "6",
                  "--spawn-rate", "6", "--run-time", "5s", "--think", "constant:100ms", "--request-timeout", "300ms",
                  "--request", "GET /close", "--request", "GET /silent", "--journal", "journal.csv",
                  "--exit-code-on-error", "0")  # fmt: skip
    unkind.thread.join()
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "journal.csv")
    assert set(rows["outcome"]) == {"reset", "timeout", "refused"}
    assert set(rows["status"]) == {0}
    timeouts = rows[rows["outcome"] == "timeout"]
    assert ((timeouts["finish_s"] - timeouts["start_s"]) >= 0.29).all()
