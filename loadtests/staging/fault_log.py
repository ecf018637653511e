"""What the scripted faults did, and when: one row an event.

CSV columns: `event` (``ready``, ``begin``, ``end``, ``hit``: one request met a fault, ``missed``: a
reset that was not possible), `kind`, `fault` (its text), `epoch_s`, `monotonic_s` (clock of the machine),
`endpoint`, `client` (address and port of the request that was hit).
"""

from __future__ import annotations

import time
from pathlib import Path

from loadtests.foundation.errors import RunError
from loadtests.staging.faults import Fault

FAULT_LOG_HEADER = "event,kind,fault,epoch_s,monotonic_s,endpoint,client\n"


class FaultLog:
    """Appends rows to a CSV file at once; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = None
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise RunError(f"The fault log {path} cannot be written ({error.strerror}); choose another path.") from None
        self._file.write(FAULT_LOG_HEADER)

    def add(
        self, event: str, fault: Fault | None = None, endpoint: str = "", client: str = "", at_s: float | None = None
    ) -> None:
        """Write one row with the time of now, or of `at_s` on the monotonic clock."""
        if self._file is not None:
            now_s = time.monotonic()
            moment_s = now_s if at_s is None else at_s
            kind, text = ("", "") if fault is None else (fault.kind, fault.text())
            times = f"{time.time() - now_s + moment_s:.6f},{moment_s:.6f}"
            self._file.write(f"{event},{kind},{text},{times},{endpoint},{client}\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
