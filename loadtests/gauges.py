"""What the server says of itself once a second, while a test runs."""

from __future__ import annotations

import csv
import http.client
import threading
import time
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from loadtests.foundation.http_client import fetch
from loadtests.foundation.server_access import Access
from loadtests.server_cpu import ServerCpu

POLL_EVERY_S = 1.0
_TIMEOUT_S = 5.0
_ABSENT = (401, 403, 404, 405)
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class GaugeRow:
    """One poll. NaN where the server does not say.

    Parameters
    ----------
    time_s : float
        Monotonic; on the recording's clock in its gauges table.
    ready : float
        1 ready, 0 not.
    ccu_utilization, queue_utilization : float
        Percents, as the server states them.
    active_connections : float
    process_cpu_s : float
        CPU seconds that the server's process has used since its start, as it states them.
    server_cpu_s : float
        CPU seconds of the processes that listen on the port, seen from outside; only where the
        server is on this machine and belongs to the same user.
    process_resident_bytes : float
        Resident memory of the server's process, as it states it.
    server_resident_bytes : float
        Resident memory of the processes that listen on the port, seen from outside.
    """

    time_s: float
    ready: float
    ccu_utilization: float
    queue_utilization: float
    active_connections: float
    process_cpu_s: float
    server_cpu_s: float = _NAN
    process_resident_bytes: float = _NAN
    server_resident_bytes: float = _NAN


GAUGE_COLUMNS: dict[str, str] = {item.name: "float64" for item in fields(GaugeRow)}


class GaugePoller:
    """Polls ``/ready`` and ``/api/metrics`` in a thread for the length of a ``with`` block.

    A server without these endpoints is left alone after the first try.

    Parameters
    ----------
    host : str
        Base address.
    access : Access, optional
        Headers and TLS.
    journal : Path, optional
        CSV file that polls are appended to as they come.
    """

    def __init__(self, host: str, access: Access | None = None, *, journal: Path | None = None) -> None:
        self._host = host
        self._access = access
        self._journal = journal
        self._server_cpu = ServerCpu(host)
        self._rows: list[GaugeRow] = []
        self._absent: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="gauges", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(2 * _TIMEOUT_S)

    def to_frame(self, origin_s: float) -> pd.DataFrame:
        """The polls so far, times counted from the monotonic time `origin_s`; empty when the server said nothing."""
        frame = pd.DataFrame([asdict(row) for row in self._rows], columns=list(GAUGE_COLUMNS)).astype(GAUGE_COLUMNS)
        return frame.assign(time_s=frame["time_s"] - origin_s)

    def _poll(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(due - time.monotonic(), 0.0)):
            if len(self._absent) == 2 and not self._server_cpu.is_known:
                return
            row = self._row()
            if row is not None:
                self._rows.append(row)
                self._write(row)
            due = max(due + POLL_EVERY_S, time.monotonic())

    def _write(self, row: GaugeRow) -> None:
        if self._journal is not None:
            is_new = not self._journal.exists()
            with self._journal.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([list(GAUGE_COLUMNS), astuple(row)] if is_new else [astuple(row)])

    def _row(self) -> GaugeRow | None:
        now = time.monotonic()
        ready, metrics = self._ask("/ready"), self._ask("/api/metrics")
        gauges = ready.get("metrics")
        process = metrics.get("process")
        if not isinstance(gauges, dict) and not isinstance(process, dict) and not self._server_cpu.is_known:
            return None
        gauges, process = (part if isinstance(part, dict) else {} for part in (gauges, process))
        return GaugeRow(
            time_s=now,
            ready=_number(ready.get("ready")),
            ccu_utilization=_number(gauges.get("ccu_utilization")),
            queue_utilization=_number(gauges.get("queue_utilization")),
            active_connections=_number(gauges.get("active_connections")),
            process_cpu_s=_number(process.get("cpu_seconds")),
            server_cpu_s=self._server_cpu.seconds(),
            process_resident_bytes=_number(process.get("resident_bytes")),
            server_resident_bytes=self._server_cpu.resident_bytes(),
        )

    def _ask(self, path: str) -> dict[str, Any]:
        if path in self._absent:
            return {}
        try:
            answer = fetch(self._host + path, timeout_s=_TIMEOUT_S, access=self._access)
        except (OSError, http.client.HTTPException):
            return {}
        if answer.status in _ABSENT:
            self._absent.add(path)
        return answer.json_object()


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else _NAN
