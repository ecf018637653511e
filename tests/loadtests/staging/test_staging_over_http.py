import contextlib
import csv
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.http_client import fetch
from loadtests.staging.options import StagingOptions
from loadtests.staging.process import start_staging

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]


def options(service_time="constant:0.1", log=None, **limits):
    return StagingOptions(Deployment(**limits), service_time, service_log=log)


def at_once(count, url):
    """The statuses and bodies of `count` requests over connections that are opened before any is sent."""
    gate, answers = threading.Barrier(count), []
    port = int(url.split(":")[2].split("/")[0])
    path = "/" + url.split("/", 3)[3]

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.connect()
        gate.wait(30)
        connection.request("GET", path)
        response = connection.getresponse()
        answers.append((response.status, dict(response.getheaders()), response.read()))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.02)


def log_rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_a_burst_of_200_never_gets_more_than_the_gate_admits(tmp_path):
    log = tmp_path / "service.csv"
    with start_staging(
        options("constant:0.5", log, workers=10, queue_capacity=15, max_ccu=40, utilization_percent=67)
    ) as server:
        answers = at_once(200, f"{server.host}/api/users?limit=2")
        metrics = fetch(f"{server.host}/api/metrics").json_object()
    statuses = Counter(status for status, _, _ in answers)
    assert set(statuses) == {200, 503}
    assert metrics["ccu"]["peak_in_flight"] == metrics["ccu"]["gate"] == 25
    assert metrics["requests"] == {
        "total": 200,
        "served": statuses[200],
        "shed": statuses[503],
        "rate_limited": 0,
        "failed": 0,
    }
    assert metrics["error_rate"] == pytest.approx(statuses[503] / 200)
    assert len(log_rows(log)) == statuses[200] >= 25


def test_a_shed_request_says_why_and_when_to_come_back():
    with start_staging(options("constant:0.5", workers=1, queue_capacity=5, gate_limit=1)) as server:
        shed = [answer for answer in at_once(4, f"{server.host}/api/echo") if answer[0] == 503]
    assert len(shed) == 3
    for _, headers, body in shed:
        assert {name.lower(): value for name, value in headers.items()}["retry-after"] == "1"
        assert json.loads(body)["reason"] == "gate"
        assert "error" in json.loads(body)


def test_the_queue_binds_where_the_gate_is_wider():
    with start_staging(options("constant:0.5", workers=2, queue_capacity=3, gate_limit=100)) as server:
        answers = at_once(20, f"{server.host}/api/echo")
    reasons = Counter(json.loads(body)["reason"] for status, _, body in answers if status == 503)
    assert reasons == {"queue": 15}


def test_a_wait_for_a_worker_ends_at_the_queue_timeout():
    with start_staging(options("constant:1", workers=1, queue_capacity=10, queue_timeout_s=0.1)) as server:
        answers = at_once(4, f"{server.host}/api/echo")
    reasons = Counter(json.loads(body).get("reason", "served") for _, _, body in answers)
    assert reasons == {"served": 1, "queue-timeout": 3}


def test_requests_are_served_in_the_order_of_arrival(tmp_path):
    log = tmp_path / "service.csv"
    with start_staging(options("constant:0.15", log, workers=1, queue_capacity=50)) as server:
        sockets = []
        for number in range(8):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(f"GET /api/echo?n={number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sockets.append(client)
            time.sleep(0.015)
        finished = []
        while len(finished) < len(sockets):
            for number, client in enumerate(sockets):
                client.settimeout(0.005)
                with contextlib.suppress(TimeoutError):
                    if number not in finished and client.recv(1000):
                        finished.append(number)
        for client in sockets:
            client.close()
    assert finished == sorted(finished)
    waits = [float(row["wait_s"]) for row in log_rows(log)]
    assert waits == sorted(waits)


def test_realised_service_times_are_never_shorter_than_planned(tmp_path):
    log = tmp_path / "service.csv"
    with start_staging(options("lognormal:20ms:0.7", log, workers=20, queue_capacity=100, db_pool=2)) as server:
        at_once(100, f"{server.host}/api/users")
    rows = log_rows(log)
    assert len(rows) == 100
    assert all(float(row["realised_s"]) >= float(row["planned_s"]) - 2e-6 for row in rows)
    assert all(float(row["db_wait_s"]) <= float(row["realised_s"]) for row in rows)
    assert sorted(int(row["request"]) for row in rows) == list(range(1, 101))
    assert {row["endpoint"] for row in rows} == {"/api/users"}


def test_planned_times_repeat_with_the_seed(tmp_path):
    def planned(seed, name):
        log = tmp_path / name
        with start_staging(StagingOptions(Deployment(), "exponential:1ms", seed=seed, service_log=log)) as server:
            for _ in range(5):
                fetch(f"{server.host}/api/echo")
        return [row["planned_s"] for row in log_rows(log)]

    assert planned(5, "a.csv") == planned(5, "b.csv") != planned(6, "c.csv")


def test_clients_that_hang_up_leave_no_slot_behind():
    with start_staging(options("constant:0.1", workers=2, queue_capacity=20)) as server:
        for _ in range(10):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(b"GET /api/users HTTP/1.1\r\nHost: x\r\n\r\n")
            client.close()
        until(lambda: fetch(f"{server.host}/api/metrics").json_object()["ccu"]["in_flight"] == 0)
        metrics = fetch(f"{server.host}/api/metrics").json_object()
        assert (metrics["workers"]["busy"], metrics["queue"]["length"], metrics["database"]["connections_in_use"]) == (
            0,
            0,
            0,
        )
        assert [status for status, _, _ in at_once(4, f"{server.host}/api/users")] == [200] * 4


def test_health_routes_bypass_the_gate_and_ready_turns_503_at_90_percent_of_normal():
    limits = {"workers": 10, "queue_capacity": 5, "max_ccu": 15, "utilization_percent": 67}
    with start_staging(options("constant:1.5", **limits)) as server:
        idle = fetch(f"{server.host}/ready")
        assert (idle.status, idle.json_object()["ready"]) == (200, True)
        burst = threading.Thread(target=at_once, args=(9, f"{server.host}/api/echo"))
        burst.start()
        until(lambda: fetch(f"{server.host}/ready").json_object()["metrics"]["active_connections"] == 9)
        busy, health = fetch(f"{server.host}/ready"), fetch(f"{server.host}/health")
        text = fetch(f"{server.host}/metrics").body.decode()
        burst.join()
    assert (busy.status, busy.json_object()["ready"]) == (503, False)
    assert busy.json_object()["metrics"] == {"queue_utilization": 0.0, "ccu_utilization": 90.0, "active_connections": 9}
    assert (health.status, health.json_object()) == (200, {"status": "UP"})
    assert "fluxor_in_flight_requests 9.0" in text
    assert "fluxor_normal_ccu 10.0" in text


def test_the_metric_names_of_the_exports_are_served():
    with start_staging(StagingOptions(Deployment.from_utilization(300).with_limits(db_pool=7), "none")) as server:
        fetch(f"{server.host}/api/users")
        text = fetch(f"{server.host}/metrics").body.decode()
        details = fetch(f"{server.host}/health/detailed").json_object()
    assert 'http_requests_total{method="GET",path="/api/users",status="200"} 1.0' in text
    for edge in ("0.05", "0.2", "0.5"):
        assert f'http_request_duration_seconds_bucket{{le="{edge}",method="GET",path="/api/users"}}' in text
    for name in (
        "fluxor_in_flight_requests", "fluxor_normal_ccu", "fluxor_max_ccu", "fluxor_queue_length",
        "fluxor_queue_capacity", "fluxor_db_connections_in_use", "fluxor_db_connections_max", "fluxor_db_errors_total",
        "process_cpu_seconds_total",
    ):  # fmt: skip
        assert f"\n{name} " in text, name
    assert details["details"]["database"]["connections_max"] == 7


@pytest.mark.parametrize("pool", [None, "unlimited"])
def test_a_database_pool_that_is_not_stated_or_unlimited_does_not_bind(tmp_path, pool):
    log = tmp_path / "service.csv"
    with start_staging(StagingOptions(Deployment(db_pool=pool), "none", "constant:1", service_log=log)) as server:
        answers = at_once(100, f"{server.host}/api/users?limit=1")
        database = fetch(f"{server.host}/api/metrics").json_object()["database"]
        text = fetch(f"{server.host}/metrics").body.decode()
    assert {status for status, _, _ in answers} == {200}
    assert [float(row["db_wait_s"]) for row in log_rows(log)] == pytest.approx([0] * 100, abs=0.005)
    assert database["connections_max"] is None
    assert "fluxor_db_connections_max" not in text


def test_a_stated_database_pool_binds(tmp_path):
    log = tmp_path / "service.csv"
    with start_staging(StagingOptions(Deployment(db_pool=2), "none", "constant:0.3", service_log=log)) as server:
        at_once(6, f"{server.host}/api/users?limit=1")
    assert sum(float(row["db_wait_s"]) > 0.1 for row in log_rows(log)) == 4


def test_users_and_echo_answer_what_was_asked():
    bad_limits = ("0", "201", "x", "-1", "9" * 5_000)
    with start_staging(options("none", workers=5, queue_capacity=5)) as server:
        assert len(fetch(f"{server.host}/api/users?limit=3").json_object()["users"]) == 3
        assert [fetch(f"{server.host}/api/users?limit={bad}").status for bad in bad_limits] == [400] * 5
        assert fetch(f"{server.host}/api/echo?a=1").json_object() == {"echo": {"a": "1"}}
        assert fetch(f"{server.host}/api/echo", method="POST").json_object() == {"echo": "{}"}
        assert fetch(f"{server.host}/nothing").status == 404


def test_a_port_in_use_is_named_with_a_remedy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(RunError, match=rf"Port {port} .*in use.*choose another port"),
            start_staging(StagingOptions(port=port)),
        ):
            pass


def test_two_servers_never_share_a_port():
    with start_staging(options("none")) as server:
        with pytest.raises(RunError, match="in use"), start_staging(StagingOptions(port=server.port)):
            pass
        assert fetch(f"{server.host}/health").status == 200


@pytest.mark.parametrize("bad", [{"port": 65_536}, {"port": -1}, {"service_time": "slow"}, {"seed": -1}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(InputError):
        StagingOptions(**bad)


def test_a_log_that_cannot_be_written_is_said_before_anything_starts(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="service log"), start_staging(options(log=tmp_path / "file" / "log.csv")):
        pass


def test_an_exception_in_the_block_ends_the_server():
    seen = []

    def story():
        with start_staging(options("none")) as server:
            seen.append(server.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        story()
    assert not psutil.pid_exists(seen[0])


def test_the_server_ends_when_its_parent_is_killed():
    script = (
        "from loadtests import StagingOptions, start_staging\n"
        "import time\n"
        "with start_staging(StagingOptions()) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        server = int(parent.stdout.readline())
        assert psutil.pid_exists(server)
        parent.kill()
    until(lambda: not psutil.pid_exists(server) or psutil.Process(server).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_foreground_server_ends_cleanly_on_a_signal(signal_number, tmp_path):
    script = (
        "from loadtests import StagingOptions\n"
        "from loadtests.staging.server import run_staging\n"
        "run_staging(StagingOptions())\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert "ready on http://127.0.0.1:" in process.stdout.readline()
        assert list(Path(tmp_path).iterdir())
        process.send_signal(signal_number)
        assert process.wait(10) == 0
    assert list(Path(tmp_path).iterdir()) == []
