"""Finds a server's knee with real load: Locust runs on while one level after the other is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window, without_warm_up
from loadtests.foundation.children import Child
from loadtests.foundation.errors import CapacityError, RunError
from loadtests.foundation.files import write_json
from loadtests.foundation.http_client import check_host
from loadtests.foundation.limits import raise_file_limit
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from loadtests.gauges import GaugePoller
from loadtests.journals.conversion import convert_journal
from loadtests.journals.journal import Mark, gauges_path, run_path
from loadtests.journals.journal_merge import merge_journal
from loadtests.journals.run_description import describe
from loadtests.knee.directions import Directions
from loadtests.knee.knee_search import KneeOptions, KneeResult, search_knee
from loadtests.knee.knee_step import KneeObjective, KneeStep, measure_step
from loadtests.load.plan import LoadPlan
from loadtests.locust_run import PLAN, LoadGenerator, LocustRun
from loadtests.preflight import preflight
from loadtests.recording import Recording
from loadtests.store import LOCUST, check_new_folder

KNEE = "knee.json"
_POLL_S = 0.25
_LOOK_EVERY_S = 1.0
_FLUSHED_AFTER_S = 1.5
_LONGEST_RAMP_S = 120.0
_BROKEN_P95, _BROKEN_SHARE = 4.0, 0.5
_ENOUGH_REQUESTS = 100


@dataclass(frozen=True)
class KneeProgress:
    """State of a running search.

    Parameters
    ----------
    step : int
        Number of the current step, from 1.
    users : int
        Its level.
    steps : tuple of KneeStep
        Those that are measured.
    """

    step: int
    users: int
    steps: tuple[KneeStep, ...]


OnProgress = Callable[[KneeProgress], None]


def find_knee(
    host: str,
    plan: LoadPlan,
    objective: KneeObjective,
    out: str | Path,
    *,
    options: KneeOptions | None = None,
    deployment: Deployment | None = None,
    generator: LoadGenerator | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[KneeResult, Recording]:
    """Load a server level by level, each chosen by what the ones before showed, until its knee is known.

    Beyond the knee the load goes down again at once: no level is more than `options.growth` times the
    largest one that kept the objective, and a step that has clearly broken it is cut short.

    Parameters
    ----------
    host : str
        Base address, ``http://NAME:PORT``.
    plan : LoadPlan
        Its requests, think time, access, seed, `step_time_s` (of one step, from when its users run) and
        settling time count; its users do not.
    objective : KneeObjective
    out : str or Path
        New folder for the recording of all steps; ``knee.json`` in it has the result.
    options : KneeOptions, optional
    deployment : Deployment, optional
        The configured limits of the server, as far as known; kept in the recording.
    generator : LoadGenerator, optional
        Number of load generating processes.
    on_progress : callable, optional
        Is called with a `KneeProgress` when a step begins.

    Returns
    -------
    KneeResult, Recording

    Raises
    ------
    InputError
        As `record`.
    RunError
        As `record`; also when a level's users do not all start in two minutes.
    KeyboardInterrupt
        Ctrl-C ends Locust; the steps that were complete are made a recording.
    """
    host, folder, options = check_host(host), check_new_folder(out), options or KneeOptions()
    raise_file_limit()
    noted = preflight(host, plan)
    (folder / LOCUST).mkdir(parents=True, exist_ok=True)
    run = LocustRun(host, plan, folder, generator or LoadGenerator(), is_directed=True)
    limits = deployment or Deployment()
    write_json(folder / LOCUST / PLAN, plan.to_dict())
    write_json(run_path(run.journal), describe(run, limits, noted))
    search = _Search(run, objective, on_progress or (lambda _seen: None))
    try:
        with GaugePoller(host, plan.access, journal=gauges_path(run.journal)):
            result = search.run(options)
    finally:
        asked = tuple(mark.users for mark in run.marks if mark.event == "asked")
        run.plan = replace(plan, users=asked) if asked else plan
        write_json(run_path(run.journal), describe(run, limits, noted))
        if not search.is_complete:
            with suppress(CapacityError):
                convert_journal(folder)
    write_json(folder / KNEE, _document(result, host, plan))
    return result, convert_journal(folder)


def _document(result: KneeResult, host: str, plan: LoadPlan) -> dict[str, object]:
    inputs = {"host": host, "think": plan.think_text, "step_time_s": plan.step_time_s}
    return {
        "schema_version": SCHEMA_VERSION, "inputs": inputs, "seed": plan.seed,
        "versions": versions_of("locust", "numpy", "scipy"), **result.to_dict(),
    }  # fmt: skip


class _Search:
    """One run of Locust, directed by what it measures."""

    def __init__(self, run: LocustRun, objective: KneeObjective, on_progress: OnProgress) -> None:
        self.is_complete = False
        self._run = run
        self._objective = objective
        self._on_progress = on_progress
        self._child: Child | None = None
        self._steps: list[KneeStep] = []

    def run(self, options: KneeOptions) -> KneeResult:
        """Search, then let Locust end in order."""
        begun_s = time.monotonic()
        self._ask(1, options.start_users)
        with self._run.running() as self._child:
            result = search_knee(
                self._measure, self._objective, options,
                is_time_left=lambda: options.longest_s is None or time.monotonic() - begun_s < options.longest_s,
            )  # fmt: skip
            self._ask(len(self._steps) + 1, 0)
            while not self._child.wait(_POLL_S):
                pass
        self.is_complete = True
        return result

    def _ask(self, step: int, users: int) -> None:
        plan = self._run.plan
        asked = Directions(step, users, plan.step_time_s, plan.spawn_rate)
        write_json(self._run.directions, asked.to_dict())

    def _measure(self, users: int) -> KneeStep:
        step = len(self._steps) + 1
        self._ask(step, users)
        self._on_progress(KneeProgress(step, users, tuple(self._steps)))
        reached_s = self._wait_until_reached(step)
        plan = self._run.plan
        window = Window(step, users, reached_s + plan.settling_s, reached_s + plan.step_time_s, reached_s=reached_s)
        window = self._wait_until_measured(window)
        rows = self._rows(window)
        (settled,) = without_warm_up(rows, (window,))
        finish = rows["finish_s"]
        inside = rows[(finish >= settled.start_s) & (finish < settled.end_s)]
        measured = measure_step(inside, settled)
        self._steps.append(measured)
        return measured

    def _wait_until_reached(self, step: int) -> float:
        """The monotonic time at which all users of a step ran."""
        deadline = time.monotonic() + _LONGEST_RAMP_S
        while True:
            self._pause(_POLL_S)
            reached = [mark for mark in self._run.marks if _is_reached(mark, step)]
            if reached:
                return reached[0].monotonic_s
            if time.monotonic() > deadline:
                raise RunError(
                    f"The users of step {step} did not all start within {_LONGEST_RAMP_S:g} s; the load generator is "
                    "too slow for them. Use more processes, or allow fewer users."
                )

    def _wait_until_measured(self, window: Window) -> Window:
        """Let the step run to its end, or to where it has clearly broken the objective."""
        while time.monotonic() < window.end_s:
            self._pause(min(_LOOK_EVERY_S, max(window.end_s - time.monotonic(), 0.05)))
            now = time.monotonic() - _FLUSHED_AFTER_S
            if window.start_s + _LOOK_EVERY_S < now < window.end_s and self._is_broken(replace(window, end_s=now)):
                return replace(window, end_s=now)
        self._pause(_FLUSHED_AFTER_S)
        return window

    def _is_broken(self, window: Window) -> bool:
        rows = self._rows(window)
        if len(rows) < _ENOUGH_REQUESTS:
            return False
        served = rows[rows["outcome"] == "served"]
        limit, limit_s = self._objective.max_bad_fraction, self._objective.p95_s
        if limit is not None and 1.0 - len(served) / len(rows) > max(_BROKEN_SHARE, limit):
            return True
        times = (served["finish_s"] - served["start_s"]).to_numpy(dtype=float)
        return limit_s is not None and len(times) > 0 and float(np.quantile(times, 0.95)) > _BROKEN_P95 * limit_s

    def _rows(self, window: Window) -> pd.DataFrame:
        """Requests that finished in a window of the monotonic clock."""
        table = merge_journal(self._run.journal).requests
        return table[(table["finish_s"] >= window.start_s) & (table["finish_s"] < window.end_s)]

    def _pause(self, seconds: float) -> None:
        if self._child is not None and self._child.wait(seconds):
            raise self._run.failure(self._child)


def _is_reached(mark: Mark, step: int) -> bool:
    return mark.event == "reached" and mark.step == step
