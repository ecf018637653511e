"""Whether the rows are whole: none missing, none twice, from every load generator process to the end."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from loadtests.foundation.findings import Finding, Severity
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.plateau import Floats

ROWS_CODE, DOUBLED_CODE, WORKER_CODE = "lost-requests", "duplicated-requests", "lost-worker"
REFUSED_SHARE = 0.01
_KEY = ["worker_id", "user_id", "cycle"]
_RECORD_AGAIN = "Rows are missing: look for a worker that was killed or a file that was cut, and record again."
_SAME_MOMENT = ["user_id", "cycle", "start_s", "finish_s", "method", "endpoint", "status", "response_bytes"]
_HAZARD_SAFETY = 3.0
_COARSE_MS = 1e-3

Spans = dict[str, tuple[float, float]]
"""First and last finish of load generator processes, by their names."""


def look_at_lost_rows(recording: Recording) -> Looked:
    """Compare with the load generator's own total, and look for holes in users' numbered requests."""
    known = recording.requests[recording.requests["user_id"] >= 0]
    totals = recording.manifest.get("totals", {})
    has_totals = isinstance(totals.get("locust"), int) and not recording.requests.empty
    if known.empty and not has_totals:
        return NotApplicable("neither user ids nor the load generator's own total")
    found = []
    missing = int(totals["locust"]) - len(recording.requests) if has_totals else 0
    if missing > 0:
        message = f"The load generator counted {totals['locust']:,} requests; {missing:,} of them have no row."
        found.append(_rows_finding(ROWS_CODE, message, missing, int(totals["locust"])))
    holes = _holes(known)
    if holes > 0:
        message = f"Users' requests are numbered, and {holes:,} numbers are missing before their last ones."
        found.append(_rows_finding(ROWS_CODE, message, holes, len(known) + holes))
    return found


def _holes(known: pd.DataFrame) -> int:
    """Numbers from 0 to each user's last that no row has."""
    if known.empty:
        return 0
    cycles = known.groupby(["worker_id", "user_id"], sort=False)["cycle"]
    return int((cycles.max() + 1 - cycles.nunique()).clip(lower=0).sum())


def _rows_finding(code: str, message: str, rows: int, of: int) -> Finding:
    severity: Severity = "critical" if rows > REFUSED_SHARE * of else "warning"
    return Finding(code, severity, message, _RECORD_AGAIN, {"rows": rows, "share": rows / of})


def look_at_doubled_rows(recording: Recording) -> Looked:
    """Look for the same request twice: by its user and number, by its times, or by the total."""
    rows = recording.requests
    if rows.empty:
        return NotApplicable("no single requests")
    known = rows[rows["user_id"] >= 0]
    alike = rows[rows.duplicated("start_s", keep=False)]
    twins = 0 if _is_coarse(rows) else int(alike.duplicated(_SAME_MOMENT).sum())
    doubled = max(int(known.duplicated(_KEY).sum()), twins)
    total = recording.manifest.get("totals", {}).get("locust")
    surplus = len(rows) - total if isinstance(total, int) else 0
    count = max(doubled, surplus)
    if count <= 0:
        return []
    message = f"{count:,} of {len(rows):,} rows are there twice (same user and number, or same times to the digit)."
    remedy = "Two workers wrote the same journal, or a file was read twice; import each journal once."
    severity: Severity = "critical" if count > REFUSED_SHARE * len(rows) else "warning"
    return [Finding(DOUBLED_CODE, severity, message, remedy, {"rows": count, "share": count / len(rows)})]


def _is_coarse(rows: pd.DataFrame) -> bool:
    """Whether times are whole milliseconds, so that different requests may well share both of theirs."""
    passed_ms = (rows["start_s"].to_numpy(dtype=float) - float(rows["start_s"].iloc[0])) * 1e3
    return bool(np.all(np.abs(passed_ms - np.round(passed_ms)) < _COARSE_MS))


def look_at_lost_workers(recording: Recording) -> Looked:
    """Look for load generator processes that fell silent in a window while others went on."""
    workers = recording.requests["worker_id"].nunique()
    expected = recording.manifest.get("generator", {}).get("processes")
    missing = expected - workers if isinstance(expected, int) and not recording.requests.empty else 0
    runs = [run for run in _runs(recording.requests) if len(run) > 1]
    if not runs and missing <= 0:
        return NotApplicable("one load generator process")
    found = [_absent(workers, missing)] if missing > 0 and _enough_users(recording, workers + missing) else []
    silent = [item for step in recording.steps for run in runs for item in _silent(recording, step, run)]
    first = {item.numbers["worker"]: item for item in reversed(silent)}
    return found + list(first.values())


def _runs(rows: pd.DataFrame) -> list[Spans]:
    """Processes that worked at the same time, each with its first and last finish; one group a run of the test."""
    times = rows.groupby("worker_id", sort=False)["finish_s"].agg(["min", "max"]).sort_values("min")
    groups: list[Spans] = []
    end_s = -math.inf
    for worker, first_s, last_s in times.itertuples():
        if first_s > end_s:
            groups.append({})
        groups[-1][str(worker)] = (float(first_s), float(last_s))
        end_s = max(end_s, last_s)
    return groups


def _enough_users(recording: Recording, processes: int) -> bool:
    return max((step.users for step in recording.steps), default=0) >= processes


def _absent(workers: int, missing: int) -> Finding:
    message = f"{workers + missing} load generator processes ran and {missing} of them left no row."
    return Finding(WORKER_CODE, "critical", message, _RECORD_AGAIN, {"missing": missing})


def _silent(recording: Recording, step: LoadStep, run: Spans) -> list[Finding]:
    """A process that was silent longer than chance allows, by its own rate or, with no row here, the mean.

    Sendings of several users are about as regular as a Poisson process or more so; users who think
    in step are not, hence the factor of 3 on the expected number.
    """
    here = [worker for worker, (first_s, _) in run.items() if first_s < step.end_s]
    is_over = max(last_s for _, last_s in run.values()) <= step.start_s
    if is_over or len(here) < 2 or step.users < len(here):
        return []
    rows = recording.requests_in(step)
    limit = _HAZARD_SAFETY * math.log(max(len(rows), 1) * len(here) * len(recording.steps) / FALSE_ALARM_RATE)
    found = []
    for worker in here:
        times = np.sort(rows.loc[rows["worker_id"] == worker, "finish_s"].to_numpy(dtype=float))
        quiet_s = _longest_quiet_s(times, step)
        active_s = step.window_s - quiet_s if times.size else step.window_s
        rate = (times.size or len(rows) / len(here)) / max(active_s, 1e-9)
        if rate * quiet_s > limit:
            found.append(_silence(step, worker, quiet_s))
    return found


def _longest_quiet_s(times: Floats, step: LoadStep) -> float:
    """Longer of the silences at the front and at the end of the window."""
    if not times.size:
        return step.window_s
    return float(max(times[0] - step.start_s, step.end_s - times[-1]))


def _silence(step: LoadStep, worker: str, quiet_s: float) -> Finding:
    message = (
        f"Load generator process {worker} has no row in {quiet_s:.3g} of the {step.window_s:.3g} s of step "
        f"{step.step}, while others went on."
    )
    remedy = "A worker was lost: the step had fewer users than stated. Leave the step out, or record again."
    return Finding(WORKER_CODE, "critical", message, remedy, {"step": step.step, "worker": worker, "silent_s": quiet_s})
