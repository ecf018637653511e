"""One Locust run: everything that its files tell, read once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from loadtests.importing.history import History, read_history
from loadtests.importing.notes import Notes
from loadtests.importing.report import Report, read_report
from loadtests.importing.request_log import LogSummary, check_log, first_time_s
from loadtests.importing.stats_files import FinalStats, count_exceptions, read_failures, read_stats
from loadtests.importing.steps_file import RunFiles
from loadtests.tables import Outcome

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Run:
    """What a run's files hold; None for a file that is not there or has nothing usable.

    Parameters
    ----------
    failures : dict of str to int
        Failures by outcome over the whole run; empty when not known.
    start_s, end_s : float
        Seconds since the epoch; NaN when no file says.
    log : LogSummary or None
        Filled when the log has been read.
    """

    files: RunFiles
    history: History | None = None
    stats: FinalStats | None = None
    report: Report | None = None
    failures: dict[Outcome, int] = field(default_factory=dict)
    exceptions: int = 0
    start_s: float = math.nan
    end_s: float = math.nan
    log: LogSummary | None = None

    def with_log(self, log: LogSummary) -> Run:
        """The same with what its log held, which also says when it began and ended."""
        if not log.requests:
            return replace(self, log=log)
        start = log.start_s if math.isnan(self.start_s) else min(log.start_s, self.start_s)
        return replace(self, log=log, start_s=start, end_s=log.end_s)

    def users_at(self, finish_at: NDArray[np.float64]) -> NDArray[np.int64]:
        """Users by the history at these times (seconds since the epoch); 0 where it does not say."""
        if self.history is None:
            return np.zeros(len(finish_at), dtype=np.int64)
        place = np.searchsorted(self.history.time_s, finish_at, side="right") - 1
        users = np.nan_to_num(self.history.users, nan=0.0).astype(np.int64)
        return np.asarray(np.where(place < 0, 0, users[np.maximum(place, 0)]), dtype=np.int64)


def read_run(files: RunFiles, notes: Notes, problems: list[str]) -> Run:
    """Read all files of a run but the rows of its log.

    Parameters
    ----------
    files : RunFiles
    notes : Notes
        Takes what was noticed.
    problems : list of str
        Takes what makes a file unusable; the others are read all the same.
    """

    def tried(path: Path | None, read: Callable[[Path], T]) -> T | None:
        if path is None:
            return None
        try:
            return read(path)
        except (InputError, OSError) as error:
            problems.append(str(error))
            return None

    tried(files.log, check_log)
    run = Run(
        files,
        history=tried(files.history, lambda path: read_history(path, notes)),
        stats=tried(files.stats, lambda path: read_stats(path, notes)),
        report=tried(files.report, read_report),
        failures=tried(files.failures, lambda path: read_failures(path, notes)) or {},
        exceptions=tried(files.exceptions, lambda path: count_exceptions(path, notes)) or 0,
    )
    begins = [first_time_s(files.log)] if files.log is not None and not problems else []
    ends = []
    if run.history is not None:
        begins, ends = [*begins, float(run.history.time_s[0])], [float(run.history.time_s[-1]) + 1]
    if run.report is not None:
        begins, ends = [*begins, run.report.start_s], [*ends, run.report.end_s]
    known = [value for value in begins if not math.isnan(value)]
    return replace(run, start_s=min(known, default=math.nan), end_s=max(ends, default=math.nan))
