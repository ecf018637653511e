"""What recordings need of the machine: cores, priority, quiet, and how busy it was."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

_QUIET = Path(tempfile.gettempdir()) / "fluxor-recording.lock"


def take_priority(niceness: int) -> None:
    """Give this process, its session and its children priority; takes root, else everything stays as it is.

    Linux groups processes by session and shares the processor between the groups first: a session has a niceness
    of its own.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        Path("/proc/self/autogroup").write_text(f"{niceness}\n", encoding="ascii")


def run_with_priority(command: list[str]) -> None:
    """Run a command whose children may start sessions of their own, and give these our session's priority too."""
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            _lend_priority(psutil.Process(process.pid))
            time.sleep(0.5)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")


def _lend_priority(process: psutil.Process) -> None:
    with suppress(OSError, psutil.Error):
        niceness = Path("/proc/self/autogroup").read_text(encoding="ascii").split()[-1]
        for member in process.children(recursive=True):
            if os.getsid(member.pid) != os.getsid(0):
                Path(f"/proc/{member.pid}/autogroup").write_text(f"{niceness}\n", encoding="ascii")


@contextmanager
def share_of_machine(*, alone: bool) -> Iterator[None]:
    """Recordings that only sleep may run side by side; one that computes has the machine to itself."""
    with _QUIET.open("w", encoding="ascii") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


class Busyness:
    """How much processor time a run took, by whom."""

    def __init__(self, servers: list[psutil.Process]) -> None:
        self._servers = servers
        self._load = os.getloadavg()
        self._before = (time.monotonic(), psutil.cpu_times(), _children_s(), _cpu_s(servers))

    def since(self) -> dict[str, Any]:
        """Percent of one core by Locust (a child that has ended) and the servers, of all cores by the machine."""
        began, machine, children, servers = self._before
        wall_s = time.monotonic() - began
        now = psutil.cpu_times()
        total = sum(now) - sum(machine)
        idle = now.idle + now.iowait - machine.idle - machine.iowait
        return {
            "wall_s": wall_s,
            "locust_cpu_pct": 100 * (_children_s() - children) / wall_s,
            "servers_cpu_pct": 100 * (_cpu_s(self._servers) - servers) / wall_s,
            "machine_cpu_busy_pct": 100 * (1 - idle / total),
            "machine_steal_pct": 100 * (now.steal - machine.steal) / total,
            "loadavg_before": self._load,
            "loadavg_after": os.getloadavg(),
        }


def _children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _cpu_s(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                times = member.cpu_times()
                total += times.user + times.system
    return total
