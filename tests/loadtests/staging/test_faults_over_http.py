"""Each scripted fault on a real server, and the logs that say what really happened."""

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import psutil
import pytest

from capacity.interfaces import cli
from loadtests import Deployment, StagingOptions, read_fault_log, read_service_log, start_staging
from loadtests.foundation.errors import InputError
from loadtests.foundation.http_client import fetch
from loadtests.staging.faults import CRASH_EXIT_CODE

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

RESET = "reset"
STAGING = [sys.executable, "-m", "capacity.interfaces.cli", "staging", "--port", "0"]


def until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def scripted(folder, *faults, service_time="none", **others):
    limits = others.pop("deployment", Deployment(workers=20, queue_capacity=20))
    logs = {"service_log": folder / "service.csv", "fault_log": folder / "faults.csv"}
    return StagingOptions(limits, service_time, faults=faults, **logs, **others)


def ask(server, name="", path="/api/echo", source=None, timeout_s=30.0):
    """Status of one request over a connection of its own, and that connection's port."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s, source_address=source)
    try:
        connection.connect()
        port = connection.sock.getsockname()[1]
        connection.request("GET", path, headers={"X-Request-Id": name} if name else {})
        return connection.getresponse().status, port
    except ConnectionResetError:
        return RESET, port
    finally:
        connection.close()


def keep_asking(server, until_s, path="/api/echo"):
    """When each request was sent and answered, one after the other on one connection until a moment."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    times = []
    while time.monotonic() < until_s:
        sent = time.monotonic()
        connection.request("GET", path)
        connection.getresponse().read()
        times.append((sent, time.monotonic()))
    connection.close()
    return times


def serve_until_it_breaks(port, served):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        for number in range(10**9):
            connection.request("GET", "/api/echo", headers={"X-Request-Id": f"r{number}"})
            connection.getresponse().read()
            served.append(f"r{number}")


def window(options):
    """When the first fault was in force by the script, on the monotonic clock."""
    log = read_fault_log(options.fault_log)
    ready_s = log.loc[log["event"] == "ready", "monotonic_s"].item()
    return ready_s + options.faults[0].at_s, ready_s + options.faults[0].end_s


def logged_window(options):
    """When the only fault began and ended by the log."""
    log = read_fault_log(options.fault_log).set_index("event")["monotonic_s"]
    return log["begin"], log["end"]


def hits(options):
    log = read_fault_log(options.fault_log)
    return log[log["event"] == "hit"]


def test_nothing_is_answered_while_the_event_loop_stalls(tmp_path):
    options = scripted(tmp_path, "stall:500ms:700ms")
    with start_staging(options) as server:
        times = keep_asking(server, time.monotonic() + 2.0, "/health")
    begin, end = logged_window(options)
    during = [answered for sent, answered in times if begin < sent < end]
    assert end >= window(options)[1] - 1e-5
    assert all(answered >= end for answered in during)
    assert any(sent < end and answered >= end for sent, answered in times)


def test_no_service_ends_while_the_workers_stall_but_health_answers(tmp_path):
    options = scripted(tmp_path, "stall:500ms:700ms:workers", service_time="constant:5ms")
    with start_staging(options) as server:
        application = threading.Thread(target=keep_asking, args=(server, time.monotonic() + 2.0))
        application.start()
        health = keep_asking(server, time.monotonic() + 2.0, "/health")
        application.join()
    begin, end = window(options)
    log = read_service_log(options.service_log)
    ends = log["start_s"] + log["realised_s"]
    finishing = 0.02  # a request may have been past its last stop when the stall began
    assert not ((ends > begin + finishing) & (ends < end - 1e-5)).any()
    assert ((log["start_s"] < end) & (ends >= end - 1e-5)).any()
    assert any(begin < sent and answered < end for sent, answered in health)


def test_a_slow_database_holds_its_connections_longer_for_a_while(tmp_path):
    options = scripted(tmp_path, "slow-database:500ms:800ms:20", db_time="constant:10ms")
    with start_staging(options) as server:
        until_s = time.monotonic() + 2.0
        while time.monotonic() < until_s:
            ask(server, path="/api/users?limit=1")
    begin, end = window(options)
    log = read_service_log(options.service_log)
    ends = log["start_s"] + log["realised_s"]
    within = log[(log["start_s"] > begin) & (ends < end)]
    assert len(within) > 0
    assert (within["realised_s"] >= 0.2 - 1e-5).all()
    assert log.loc[ends < begin, "realised_s"].min() < 0.2
    assert log.loc[log["start_s"] > end, "realised_s"].min() < 0.2


def test_a_crash_ends_the_process_hard_and_leaves_whole_logs(tmp_path):
    log, faults = tmp_path / "service.csv", tmp_path / "faults.csv"
    command = [*STAGING, "--service-time", "none", "--fault", "slow-start:0:1s:2", "--fault", "crash:1500ms"]
    served = []
    with subprocess.Popen(
        [*command, "--service-log", str(log), "--fault-log", str(faults)], stdout=subprocess.PIPE, text=True
    ) as process:
        port = int(process.stdout.readline().split("http://127.0.0.1:")[1].split()[0])
        with pytest.raises((OSError, http.client.HTTPException)):
            serve_until_it_breaks(port, served)
        assert process.wait(10) == CRASH_EXIT_CODE
    logged = read_service_log(log)["request_id"].tolist()
    assert len(served) > 0
    assert logged[: len(served)] == served
    assert len(logged) - len(served) in (0, 1)  # the last one's answer may not have left
    assert read_fault_log(faults)["event"].tolist() == ["ready", "begin", "end", "begin"]


def test_reset_connections_are_those_that_the_log_names(tmp_path):
    options = scripted(tmp_path, "reset:0:forever:40%")
    with start_staging(options) as server:
        process = psutil.Process(server.pid)
        ask(server, path="/health")
        files = process.num_fds()
        seen = [ask(server, f"r{number}") for number in range(60)]
        totals = fetch(f"{server.host}/api/metrics").json_object()["requests"]
        until(lambda: process.num_fds() <= files)
    assert {status for status, _ in seen} == {200, RESET}
    reset = [f"127.0.0.1:{port}" for status, port in seen if status == RESET]
    assert hits(options)["client"].tolist() == reset
    served = [f"r{number}" for number, (status, _) in enumerate(seen) if status == 200]
    assert read_service_log(options.service_log)["request_id"].tolist() == served
    assert (totals["total"], totals["served"], totals["failed"]) == (60, len(served), len(reset))


def test_errors_hit_the_share_that_was_asked_for_and_the_same_requests_again_with_the_seed(tmp_path):
    def statuses(seed, name):
        options = scripted(tmp_path / name, "error:0:forever:0.3", seed=seed)
        with start_staging(options) as server:
            found = [ask(server)[0] for _ in range(60)]
            health = ask(server, path="/health")[0]
        assert (len(hits(options)), health) == (found.count(500), 200)
        return found

    first = statuses(1, "a")
    assert set(first) == {200, 500}
    assert first == statuses(1, "b") != statuses(2, "c")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers on all of 127.0.0.0/8")
def test_a_rate_limit_counts_each_client_address_by_itself(tmp_path):
    rate, burst = 5, 12
    options = scripted(tmp_path, f"rate-limit:0:forever:{rate}")
    with start_staging(options) as server:
        for source in ("127.0.0.2", "127.0.0.3"):
            begun = time.monotonic()
            statuses = [ask(server, source=(source, 0))[0] for _ in range(burst)]
            allowed = rate + rate * (time.monotonic() - begun)
            assert set(statuses) <= {200, 429}
            assert statuses[:rate] == [200] * rate
            assert statuses.count(200) <= allowed
        totals = fetch(f"{server.host}/api/metrics").json_object()["requests"]
    assert totals["rate_limited"] == len(hits(options))
    assert totals["total"] == 2 * burst == totals["served"] + totals["rate_limited"]


def test_a_slow_start_is_not_ready_and_serves_slower(tmp_path):
    options = scripted(tmp_path, "slow-start:0:1500ms:30", service_time="constant:10ms")
    with start_staging(options) as server:
        early = (ask(server, path="/ready")[0], ask(server, path="/health")[0])
        ask(server, "early")
        time.sleep(1.6)
        late = ask(server, path="/ready")[0]
        for _ in range(5):
            ask(server, "late")
    realised = read_service_log(options.service_log).groupby("request_id")["realised_s"].min()
    assert (early, late) == ((503, 200), 200)
    assert realised["early"] >= 0.3 - 1e-5
    assert realised["late"] < 0.3


@pytest.mark.parametrize("by", ["fault", "deployment"])
def test_a_forgetful_gate_admits_more_than_its_limit_and_counts_below_zero(tmp_path, by):
    faults = ["stall:0:4s:workers"] + (["forgetful-gate:0:forever:1s"] if by == "fault" else [])
    reset_s = 1.0 if by == "deployment" else None
    deployment = Deployment(gate_limit=3, max_ccu=10, utilization_percent=30, gate_reset_s=reset_s)
    statuses = []

    def crowd(count):
        threads = [threading.Thread(target=lambda: statuses.append(ask(server)[0])) for _ in range(count)]
        for thread in threads:
            thread.start()
        return threads

    with start_staging(scripted(tmp_path, *faults, deployment=deployment)) as server:
        first = crowd(3)
        time.sleep(1.2)
        for thread in [*first, *crowd(5)]:
            thread.join()
        until(lambda: fetch(f"{server.host}/ready").json_object()["metrics"]["active_connections"] == -3)
        ccu = fetch(f"{server.host}/api/metrics").json_object()["ccu"]
    assert Counter(statuses) == {200: 6, 503: 2}
    assert (ccu["in_flight"], ccu["peak_in_flight"], ccu["utilization_percent"]) == (0, 6, -100.0)


def test_every_served_request_is_logged_exactly_once_under_faults_and_hang_ups(tmp_path):
    options = scripted(
        tmp_path, "reset:0:forever:10%", "error:0:forever:10%", "slow-database:0:1s:3", "stall:600ms:300ms",
        "stall:1s:300ms:workers", "slow-start:0:500ms:3", service_time="exponential:10ms", db_time="exponential:3ms",
        cpu_time="exponential:1ms", deployment=Deployment(workers=5, queue_capacity=6, db_pool=2),
    )  # fmt: skip
    results = {}

    def customer(own):
        for number in range(20):
            name = f"c{own}-{number}"
            if number % 5 == 4:
                with socket.create_connection(("127.0.0.1", server.port)) as hasty:
                    hasty.sendall(f"GET /api/users HTTP/1.1\r\nHost: x\r\nX-Request-Id: {name}\r\n\r\n".encode())
                results[name] = "hung up"
            else:
                results[name] = ask(server, name, "/api/users")[0]

    with start_staging(options) as server:
        threads = [threading.Thread(target=customer, args=(own,)) for own in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: fetch(f"{server.host}/api/metrics").json_object()["ccu"]["in_flight"] == 0)
    log = read_service_log(options.service_log)
    counts = Counter(log["request_id"])
    assert set(Counter(results.values())) == {200, 500, 503, RESET, "hung up"}
    assert set(counts.values()) == {1}
    assert {name for name, what in results.items() if what == 200} <= set(counts)
    assert {name for name, what in results.items() if what in (500, 503, RESET)}.isdisjoint(counts)
    assert log["request"].tolist() == list(range(1, len(log) + 1))
    assert set(log["outcome"]) == {"served"}
    assert len(hits(options)) >= sum(what in (500, RESET) for what in results.values())


def test_a_request_that_the_end_of_the_server_cuts_off_is_logged_as_cancelled(tmp_path):
    options = scripted(tmp_path, service_time="constant:60s")
    with start_staging(options) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /api/echo HTTP/1.1\r\nHost: x\r\nX-Request-Id: last\r\n\r\n")
        while not fetch(f"{server.host}/api/metrics").json_object()["ccu"]["in_flight"]:
            time.sleep(0.02)
    log = read_service_log(options.service_log)
    assert log[["request_id", "outcome"]].to_numpy().tolist() == [["last", "cancelled"]]


def test_request_ids_that_could_break_the_log_are_left_out(tmp_path):
    options = scripted(tmp_path)
    with start_staging(options) as server:
        for name in ("a,b", "x" * 65, "=1+1", "a b", '"'):
            assert ask(server, name)[0] == 200
    assert read_service_log(options.service_log)["request_id"].tolist() == [""] * 5


def test_a_log_cut_off_in_a_line_is_read_up_to_it_and_another_file_is_refused(tmp_path):
    options = scripted(tmp_path)
    with start_staging(options) as server:
        for _ in range(3):
            ask(server)
    text = options.service_log.read_text()
    options.service_log.write_text(text[:-9])
    assert len(read_service_log(options.service_log)) == 2
    options.service_log.write_text(text + "1,2\nx,y\n")
    for read, path in (
        (read_service_log, options.service_log), (read_service_log, options.fault_log),
        (read_fault_log, options.service_log), (read_fault_log, tmp_path / "absent.csv"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=r"log"):
            read(path)


@pytest.mark.parametrize(
    "arguments", [["--fault", "quake:1s:1s"], ["--fault-script", "absent.json"], ["--cpu-time", "fast"]]
)
def test_the_command_refuses_what_it_cannot_read_before_it_serves(arguments, capsys):
    assert cli.run(["staging", "--port", "0", *arguments]) == InputError.exit_code
    assert capsys.readouterr().out == ""


def test_the_command_takes_a_script(tmp_path):
    script = tmp_path / "faults.json"
    script.write_text(json.dumps({"faults": [{"kind": "crash", "at_s": 0.2}]}))
    command = [*STAGING, "--fault-script", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == CRASH_EXIT_CODE
