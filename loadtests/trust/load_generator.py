"""Whether the load generator was the bottleneck: its processor, event loop, file descriptors."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.units import format_duration
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import Looked, NotApplicable
from loadtests.trust.plateau import Floats

CODE, PAUSE_CODE = "generator-saturated", "generator-paused"
CPU_WARNING, CPU_CRITICAL = 0.8, 0.95
"""Shares of one core. Locust itself warns at 0.9; its requests wait for each other well before that."""
FILES_WARNING, FILES_CRITICAL = 0.9, 0.99
LAG_SHARE, LEAST_LAG_S = 0.2, 0.02
PAUSE_S = 0.5
_FEWEST_ROWS = 3
_CPU_REMEDY = "Use more load generator processes (--processes) or machines, or fewer users a process."


def look_at_load(recording: Recording) -> Looked:
    """Look at processor use, usual event loop lag and open files in every step, worst process first."""
    if recording.generator.empty:
        return _from_manifest(recording)
    found = []
    for step in recording.steps:
        processes = [
            (str(worker), rows)
            for worker, rows in _rows_in(recording.generator, step).groupby("worker_id", sort=True)
            if len(rows) >= _FEWEST_ROWS
        ]
        found += _worst("cpu", [item for name, rows in processes for item in _cpu(step, name, _cpu_share(rows))])
        found += _worst("lag_s", [item for name, rows in processes for item in _lag(step, name, rows)])
        found += _worst("open_files", [item for name, rows in processes for item in _files(step, name, rows)])
    return found


def _worst(number: str, found: list[Finding]) -> list[Finding]:
    return sorted(found, key=lambda item: -float(item.numbers[number]))[:1]


def look_at_pauses(recording: Recording) -> Looked:
    """Look for times in which a load generator process stood still: nobody sent, and answers were read late."""
    if recording.generator.empty:
        return NotApplicable("no table of the load generator's state")
    found = []
    for step in recording.steps:
        rows = _rows_in(recording.generator, step)
        late = rows[rows["loop_lag_s"] >= PAUSE_S]
        if not late.empty:
            found.append(_pause(step, late))
    return found


def _from_manifest(recording: Recording) -> Looked:
    used = recording.manifest.get("generator", {}).get("cpu_mean")
    if not isinstance(used, (int, float)) or not math.isfinite(used):
        return NotApplicable("no table of the load generator's state, and no mean of its processor use")
    processes = max(int(recording.manifest.get("generator", {}).get("processes") or 1), 1)
    return _cpu(None, "all", float(used) / processes)


def _rows_in(generator: pd.DataFrame, step: LoadStep) -> pd.DataFrame:
    return generator[(generator["time_s"] >= step.start_s) & (generator["time_s"] <= step.end_s)]


def _cpu_share(rows: pd.DataFrame) -> float:
    known = rows[rows["cpu_s"].notna()].sort_values("time_s")
    if len(known) < 2:
        return math.nan
    spent_s, used_s = (float(known[name].iloc[-1] - known[name].iloc[0]) for name in ("time_s", "cpu_s"))
    return used_s / spent_s if spent_s > 0 else math.nan


def _cpu(step: LoadStep | None, worker: str, share: float) -> list[Finding]:
    if not share >= CPU_WARNING:
        return []
    where = "Over the whole test" if step is None else f"In step {step.step}"
    message = f"{where} load generator process {worker} used {share:.0%} of a core: its own work delays requests."
    numbers = {"step": None if step is None else step.step, "worker": worker, "cpu": share}
    return [Finding(CODE, _graded(share, CPU_CRITICAL), message, _CPU_REMEDY, numbers)]


def _lag(step: LoadStep, worker: str, rows: pd.DataFrame) -> list[Finding]:
    """The median over seconds of the longest lag in each: a single hiccup does not count."""
    lag_s, typical_s = float(np.nanmedian(_or_nan(rows["loop_lag_s"]))), step.metrics["p50_s"].mid
    limit_s = max(LEAST_LAG_S, LAG_SHARE * typical_s) if math.isfinite(typical_s) else LEAST_LAG_S
    if not lag_s > limit_s:
        return []
    message = (
        f"In step {step.step} the event loop of load generator process {worker} was usually late by "
        f"{format_duration(lag_s)}, beside a median response of {format_duration(typical_s)}."
    )
    numbers = {"step": step.step, "worker": worker, "lag_s": lag_s, "limit_s": limit_s}
    return [Finding(CODE, "critical" if lag_s > typical_s else "warning", message, _CPU_REMEDY, numbers)]


def _files(step: LoadStep, worker: str, rows: pd.DataFrame) -> list[Finding]:
    share = float(np.nanmax(_or_nan(rows["open_files"] / rows["file_limit"])))
    if not share >= FILES_WARNING:
        return []
    message = (
        f"In step {step.step} load generator process {worker} had {share:.0%} of its file descriptors open; beyond "
        "the limit it cannot connect."
    )
    remedy = "Raise the limit (ulimit -n), or use more load generator processes."
    numbers = {"step": step.step, "worker": worker, "open_files": share}
    return [Finding(CODE, _graded(share, FILES_CRITICAL), message, remedy, numbers)]


def _or_nan(values: pd.Series[float]) -> Floats:
    """Its numbers; one NaN where all are unknown, without a warning."""
    known: Floats = np.asarray(values, dtype=np.float64)
    finite = known[np.isfinite(known)]
    return finite if finite.size else np.full(1, np.nan)


def _graded(share: float, critical: float) -> Severity:
    return "critical" if share >= critical else "warning"


def _pause(step: LoadStep, late: pd.DataFrame) -> Finding:
    place = int(late["loop_lag_s"].to_numpy().argmax())
    longest_s, at_s = (float(late[name].iloc[place]) for name in ("loop_lag_s", "time_s"))
    message = (
        f"In step {step.step} load generator process {late['worker_id'].iloc[place]} stood still for "
        f"{format_duration(longest_s)} before {at_s:.1f} s ({len(late)} such pauses): nobody sent, and "
        "answers were read late."
    )
    remedy = "Leave this step out or repeat it on a machine that is not shared; look for what stopped the process."
    return Finding(PAUSE_CODE, "warning", message, remedy, {"step": step.step, "longest_s": longest_s,
                                                             "pauses": len(late)})  # fmt: skip
