"""What really happened to each request in service: the truth that a calibration is judged by.

CSV columns: `request` (number in the order of service starts), `endpoint`,
`epoch_s` (wall clock at service start), `start_s` (the same, monotonic clock of
the machine), `wait_s` (for a worker), `planned_s`, `realised_s` (time that the
worker was held), `db_wait_s` (for a connection, part of the realised time),
`planned_cpu_s`, `cpu_s` (CPU time really used), `cpu_wall_s` (how long that took,
part of the realised time), `outcome` (``served``; ``failed`` or ``cancelled`` where
no answer was made), `request_id` (the client's ``X-Request-Id``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from loadtests.foundation.errors import RunError

HEADER = (
    "request,endpoint,epoch_s,start_s,wait_s,planned_s,realised_s,db_wait_s,"
    "planned_cpu_s,cpu_s,cpu_wall_s,outcome,request_id\n"
)
FLUSH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One request that had a worker; `times_s` in the order of the header, seconds."""

    request: int
    endpoint: str
    times_s: tuple[float, ...]
    outcome: str
    request_id: str

    def csv(self) -> str:
        """The row's line, times to a microsecond."""
        times = ",".join(f"{value:.6f}" for value in self.times_s)
        return f"{self.request},{self.endpoint},{times},{self.outcome},{self.request_id}\n"


class ServiceLog:
    """Appends rows to a CSV file, flushed once a second; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._lines: list[str] = []
        self._file = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("w", encoding="utf-8")
            except OSError as error:
                raise RunError(
                    f"The service log {path} cannot be written ({error.strerror}); choose another path."
                ) from None
            self._file.write(HEADER)
            self._file.flush()

    def add(self, row: ServiceRow) -> None:
        """Keep a row until the next flush."""
        if self._file is not None:
            self._lines.append(row.csv())

    def flush(self) -> None:
        """Write what was added."""
        if self._file is not None and self._lines:
            self._file.write("".join(self._lines))
            self._file.flush()
            self._lines.clear()

    async def keep_flushing(self) -> None:
        """Flush every second until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
