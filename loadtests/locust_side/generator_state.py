"""Locust side: what this load generator process uses, once a second."""

from __future__ import annotations

import resource
import socket
import time
from pathlib import Path
from typing import Any

import gevent
import psutil

from loadtests.journals.journal import Pulse

_LAG_EVERY_S = 0.05
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class GeneratorState:
    """Samples one Locust process; its own cost is 20 wake-ups a second.

    Parameters
    ----------
    environment : locust.env.Environment
    """

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._process = psutil.Process()
        self._machine = machine_id()
        self._lag_s = 0.0

    def watch_lag(self) -> None:
        """Measure for ever how much later than asked for the event loop wakes a greenlet up."""
        while True:
            due = time.monotonic() + _LAG_EVERY_S
            gevent.sleep(_LAG_EVERY_S)
            self._lag_s = max(self._lag_s, time.monotonic() - due)

    def pulse(self, worker_id: str, requests: int, *, client_id: str = "", is_closed: bool = False) -> Pulse:
        """The state of now; the lag is the longest since the last call."""
        lag_s, self._lag_s = self._lag_s, 0.0
        used = self._process.cpu_times()
        now = time.monotonic()
        return Pulse(
            time_s=now,
            worker_id=worker_id,
            users=self._environment.runner.user_count,
            requests=requests,
            cpu_s=used.user + used.system,
            loop_lag_s=lag_s,
            open_files=self._process.num_fds(),
            file_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            epoch_offset_s=time.time() - now,
            client_id=client_id,
            machine=self._machine,
            received_s=now,
            closed=int(is_closed),
        )


def machine_id() -> str:
    """The same for processes whose monotonic clocks are one: those of one machine since its last start."""
    if _BOOT_ID.is_file():
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return f"{socket.gethostname()} {psutil.boot_time():.0f}"
