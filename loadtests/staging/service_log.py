"""What really happened to each served request: the truth that a calibration is judged by.

CSV columns: `request` (number in the order of service starts), `endpoint`,
`epoch_s` (wall clock at service start), `start_s` (the same, monotonic clock of
the machine), `wait_s` (for a worker), `planned_s`, `realised_s` (time that the
worker was held), `db_wait_s` (for a connection, part of the realised time).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from loadtests.foundation.errors import RunError

HEADER = "request,endpoint,epoch_s,start_s,wait_s,planned_s,realised_s,db_wait_s\n"
FLUSH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One served request; times in seconds."""

    request: int
    endpoint: str
    epoch_s: float
    start_s: float
    wait_s: float
    planned_s: float
    realised_s: float
    db_wait_s: float

    def csv(self) -> str:
        """The row's line, times to a microsecond."""
        times = (self.epoch_s, self.start_s, self.wait_s, self.planned_s, self.realised_s, self.db_wait_s)
        return f"{self.request},{self.endpoint}," + ",".join(f"{value:.6f}" for value in times) + "\n"


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
