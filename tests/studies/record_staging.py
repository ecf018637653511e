"""Recordings of the staging server over a spread of configurations, before and after changes; one command makes them.

``./run python tests/studies/record_staging.py [NAME ...] --out data/recordings/staging`` records what is missing
(of the names, else of all); a recording that is there is left alone. To make one again, delete its folder. Real
time: about three and a half minutes each. Beside each recording stand `truth.json` (configuration and realised
service times) and the split into steps for calibration and for tests.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from studies.server_recordings.machine import run_with_priority, share_of_machine, take_priority
from studies.server_recordings.processes import free_ports, running, wait_until_up

_STEP_TIME = "30s"
_BIN = Path(sys.executable).parent
_BALANCER = """
global
  maxconn 8000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 60s
  http-reuse always
frontend entry
  bind 127.0.0.1:{port}
  default_backend instances
backend instances
  balance roundrobin
{servers}
"""
_TIMES = ("wait_s", "planned_s", "realised_s", "db_wait_s", "planned_cpu_s", "cpu_s")


@dataclass(frozen=True)
class StagingCase:
    """One server and one load test.

    `after` names the recording that this one is the changed server (or load) of; `cores` pins the server; several
    `instances` stand behind an HAProxy that sends them requests in turn, and the deployment is that of each.
    """

    name: str
    deployment: dict[str, Any]
    service_time: str
    users: tuple[int, ...]
    think: str = "exponential:0.5"
    requests: tuple[str, ...] = ("GET /api/echo",)
    db_time: str = "none"
    cpu_time: str = "none"
    pacing: str = "think"
    after: str = ""
    tests: tuple[int, ...] = (3, 5)
    cores: str = ""
    instances: int = 1
    step_time: str = _STEP_TIME
    options: tuple[str, ...] = field(default=())


_FIFO = StagingCase(
    "fifo", {"workers": 16, "queue_capacity": 24}, "lognormal:60ms:0.8", (60, 105, 135, 150, 190, 260)
)  # fmt: skip
_MIX = ("GET /api/users 3", "GET /api/echo 1")
_DATABASE = StagingCase(
    "database", {"workers": 40, "queue_capacity": 60, "db_pool": 6}, "lognormal:20ms:0.6",
    (30, 60, 85, 100, 130, 180), requests=_MIX, db_time="lognormal:50ms:0.7",
)  # fmt: skip
_MIXED = StagingCase(
    "mixed", {"workers": 12, "queue_capacity": 30, "db_pool": "unlimited"}, "lognormal:30ms:0.6",
    (30, 60, 85, 95, 120, 170), requests=("GET /api/users 1", "GET /api/echo 1"), db_time="lognormal:70ms:0.7",
)  # fmt: skip
_SMALL = StagingCase(
    "small", {"workers": 6, "queue_capacity": 10}, "lognormal:80ms:0.8", (14, 26, 38, 44, 56, 75)
)  # fmt: skip

CASES = (
    _FIFO,
    StagingCase(
        "loss", {"workers": "unlimited", "gate_limit": 20}, "lognormal:100ms:0.8", (40, 80, 110, 130, 170, 230)
    ),
    _DATABASE,
    _MIXED,
    StagingCase(
        "cpu", {"workers": 24, "queue_capacity": 40, "cpu_cores": 1}, "lognormal:20ms:0.6", (8, 16, 24, 28, 36, 50),
        cpu_time="lognormal:15ms:0.6", cores="1",
    ),
    StagingCase("think_zero", _FIFO.deployment, _FIFO.service_time, (4, 10, 15, 18, 26, 36), think="constant:0"),
    StagingCase(
        "fifo_doubled", {"workers": 32, "queue_capacity": 48}, _FIFO.service_time, (120, 210, 270, 300, 380, 520),
        after="fifo", tests=(1, 2, 3, 4, 5, 6),
    ),
    StagingCase(
        "fifo_think_2s", _FIFO.deployment, _FIFO.service_time, (220, 380, 490, 545, 690, 940), think="exponential:2",
        after="fifo", tests=(1, 2, 3, 4, 5, 6),
    ),
    StagingCase(
        "database_doubled", {**_DATABASE.deployment, "db_pool": 12}, _DATABASE.service_time,
        (60, 120, 170, 200, 260, 360), requests=_MIX, db_time=_DATABASE.db_time, after="database",
        tests=(1, 2, 3, 4, 5, 6),
    ),
    StagingCase(
        "mixed_other_mix", _MIXED.deployment, _MIXED.service_time, (40, 75, 110, 130, 160, 220),
        requests=("GET /api/users 1", "GET /api/echo 4"), db_time=_MIXED.db_time, after="mixed",
        tests=(1, 2, 3, 4, 5, 6),
    ),
    StagingCase(
        "fifo_open", _FIFO.deployment, _FIFO.service_time, (270, 530, 740, 845, 965, 1155), pacing="poisson:0.3",
        after="fifo", tests=(1, 2, 3, 4, 5, 6),
    ),
    StagingCase(
        "fifo_sessions", _FIFO.deployment, _FIFO.service_time, (27, 53, 74, 84, 96, 115), pacing="sessions:3:4",
        after="fifo", tests=(1, 2, 3, 4, 5, 6), step_time="40s",
    ),
    _SMALL,
    StagingCase(
        "three_instances", _SMALL.deployment, _SMALL.service_time, (42, 78, 114, 132, 168, 225), instances=3,
        after="small", tests=(1, 2, 3, 4, 5, 6),
    ),
)  # fmt: skip


def record_case(case: StagingCase, folder: Path) -> None:
    """Start the server, load it, and write the truth beside the recording."""
    with tempfile.TemporaryDirectory() as scratch_name, share_of_machine(alone=bool(case.cores)):
        scratch = Path(scratch_name)
        deployment = scratch / "deployment.json"
        deployment.write_text(json.dumps(case.deployment), encoding="utf-8")
        with ExitStack() as stack:
            port = _serve(case, deployment, scratch, stack)
            run_with_priority(_record_command(case, deployment, folder, port))
        logs = sorted(scratch.glob("service*.csv"))
        truth = {
            **asdict(case),
            "realised": _realised(logs),
            "train_steps": _train(case),
            "test_steps": list(case.tests),
        }
        (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _serve(case: StagingCase, deployment: Path, scratch: Path, stack: ExitStack) -> int:
    """Start the instances, and the balancer before several; the port to send to."""
    ports = free_ports(case.instances + 1)
    for number, port in enumerate(ports[: case.instances]):
        command = _server_command(case, deployment, scratch / f"service{number}.csv", port, seed=1 + number)
        wait_until_up(stack.enter_context(running(command, scratch / f"server{number}.log")), port)
    if case.instances == 1:
        return ports[0]
    servers = "\n".join(f"  server s{port} 127.0.0.1:{port}" for port in ports[: case.instances])
    settings = scratch / "haproxy.cfg"
    settings.write_text(_BALANCER.format(port=ports[-1], servers=servers), encoding="ascii")
    command = ["haproxy", "-db", "-f", str(settings)]
    wait_until_up(stack.enter_context(running(command, scratch / "haproxy.log")), ports[-1])
    return ports[-1]


def _train(case: StagingCase) -> list[int]:
    return [step for step in range(1, len(case.users) + 1) if step not in case.tests]


def _server_command(case: StagingCase, deployment: Path, log: Path, port: int, seed: int) -> list[str]:
    pinned = ["taskset", "-c", case.cores] if case.cores and shutil.which("taskset") else []
    return [
        *pinned, str(_BIN / "capacity"), "staging", "--port", str(port), "--deployment", str(deployment),
        "--service-time", case.service_time, "--db-time", case.db_time, "--cpu-time", case.cpu_time,
        "--service-log", str(log), "--seed", str(seed),
    ]  # fmt: skip


def _record_command(case: StagingCase, deployment: Path, folder: Path, port: int) -> list[str]:
    pinned = ["taskset", "-c", "0"] if case.cores and shutil.which("taskset") else []
    requests = [word for request in case.requests for word in ("--request", request)]
    return [
        *pinned, str(_BIN / "capacity"), "record", "--host", f"http://127.0.0.1:{port}", "--users",
        ",".join(map(str, case.users)), "--step-time", case.step_time, "--think", case.think, "--deployment",
        str(deployment), "--out", str(folder), *requests, "--pacing", case.pacing, *case.options,
    ]  # fmt: skip


def _realised(logs: list[Path]) -> dict[str, dict[str, dict[str, float]]]:
    """Count, mean and cv of the times in the servers' logs, by endpoint."""
    rows = [row for log in logs for row in _served(log)]
    return {
        endpoint: {name: _moments([float(row[name]) for row in rows if row["endpoint"] == endpoint]) for name in _TIMES}
        for endpoint in sorted({row["endpoint"] for row in rows})
    }


def _served(log: Path) -> list[dict[str, str]]:
    with log.open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["outcome"] == "served"]


def _moments(values: list[float]) -> dict[str, float]:
    times = np.array(values)
    mean_s = float(times.mean())
    return {
        "n": int(times.size),
        "mean_s": round(mean_s, 6),
        "cv": round(float(times.std()) / mean_s, 4) if mean_s else 0.0,
    }


def main() -> None:
    """Record what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recordings to make; none: all")
    parser.add_argument("--out", type=Path, default=Path("data/recordings/staging"))
    parser.add_argument("--priority", type=int, help="niceness of servers and load generators, such as -15")
    given = parser.parse_args()
    if given.priority is not None:
        take_priority(given.priority)
    by_name = {case.name: case for case in CASES}
    for name in given.names or by_name:
        folder = given.out / name
        if not (folder / "truth.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            record_case(by_name[name], folder)
            sys.stdout.write(f"{time.strftime('%H:%M:%S')} {name}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
