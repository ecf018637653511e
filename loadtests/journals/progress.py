"""How far a running test is, seen from its journal."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from loadtests.journals.journal import read_marks, worker_files
from loadtests.load.plan import LoadPlan

_RATE_OVER_S = 3.0


@dataclass(frozen=True)
class Progress:
    """State of a running test.

    Parameters
    ----------
    step, steps : int
        Number of the current step, from 1, and of how many.
    users : int
        Users of the current step.
    fraction : float
        Share of the whole test's time that has passed, 0 to 1.
    requests : int
        Requests finished and journalled so far (up to a second behind).
    rps : float
        Requests a second over the last three seconds.
    """

    step: int
    steps: int
    users: int
    fraction: float
    requests: int
    rps: float


class JournalWatch:
    """Follows a journal that grows, its workers' files included; reads every byte once."""

    def __init__(self, journal: Path, plan: LoadPlan) -> None:
        self._journal = journal
        self._plan = plan
        self._read_bytes: dict[Path, int] = {}
        self._lines = 0
        self._recent: deque[tuple[float, int]] = deque()

    def progress(self) -> Progress | None:
        """The state of now; None before the first step was asked for."""
        asked = [mark for mark in read_marks(self._journal) if mark.event in ("asked", "passing")]
        if not asked:
            return None
        now = time.monotonic()
        requests = self._count()
        return Progress(
            step=asked[-1].step,
            steps=len(self._plan.load_shape.stretches),
            users=asked[-1].users,
            fraction=min((now - asked[0].monotonic_s) / self._plan.duration_s, 1.0),
            requests=requests,
            rps=self._rate(now, requests),
        )

    def _count(self) -> int:
        files = [self._journal, *worker_files(self._journal).values()]
        self._lines += sum(self._new_lines(path) for path in files)
        return max(self._lines - len(files), 0)

    def _new_lines(self, path: Path) -> int:
        with path.open("rb") as stream:
            stream.seek(self._read_bytes.get(path, 0))
            added = stream.read()
        self._read_bytes[path] = self._read_bytes.get(path, 0) + len(added)
        return added.count(b"\n")

    def _rate(self, now: float, requests: int) -> float:
        self._recent.append((now, requests))
        while now - self._recent[0][0] > _RATE_OVER_S:
            self._recent.popleft()
        first_s, first_requests = self._recent[0]
        return (requests - first_requests) / (now - first_s) if now > first_s else 0.0
