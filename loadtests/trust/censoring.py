"""Requests that were still open when the recording ended: the slowest ones are missing from its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from loadtests.foundation.findings import Finding, Severity
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.plateau import Floats

CODE = "censored-requests"
_FEWEST, _FEWEST_SHARE = 3, 0.01
_FEWEST_CYCLES = 50
_REFUSED_SHARE = 0.2
_TAIL = 10.0
_PAUSE = 30.0
"""A Poisson stream pauses for so many of its median intervals once in a billion intervals."""


def look_at_the_end(recording: Recording) -> Looked:
    """Count users who had been silent too long when sending ended: they still waited for an answer."""
    if recording.has_sessions:
        return NotApplicable("visitors of sessions leave, so silence does not tell who still waited")
    known = recording.requests[recording.requests["user_id"] >= 0]
    if known.empty or not recording.steps:
        return NotApplicable("no user ids, so requests without an answer cannot be told from think times")
    step = max(recording.steps, key=lambda item: item.end_s)
    rows = known.sort_values(["worker_id", "user_id", "cycle"], kind="stable")
    users = rows.groupby(["worker_id", "user_id"], sort=False)
    until = rows.groupby("worker_id", sort=False)["start_s"].transform(sending_ended_s, step.end_s)
    last = ~rows.duplicated(["worker_id", "user_id"], keep="last") & (rows["finish_s"] >= step.start_s)
    silent_s = (until - rows["finish_s"])[last].to_numpy(dtype=float)
    gaps = (users["start_s"].shift(-1) - rows["finish_s"])[rows["finish_s"] >= step.start_s].dropna()
    if len(gaps) < _FEWEST_CYCLES:
        return NotApplicable("the last step is too short to know its users' gaps")
    return _compare(step, np.maximum(silent_s, 0.0), gaps.to_numpy(dtype=float))


def sending_ended_s(start_s: pd.Series[float], after_s: float) -> float:
    """When a worker sent its last request, those aside that a few users send late, while it is busy stopping all."""
    late_s = np.sort(start_s[start_s >= after_s].to_numpy(dtype=float))
    pauses_s = np.diff(late_s)
    if pauses_s.size == 0:
        return float(start_s.max())
    after_pause = np.flatnonzero(pauses_s > _PAUSE * np.median(pauses_s))
    return float(late_s[after_pause[0]] if after_pause.size else late_s[-1])


def _compare(step: LoadStep, silent_s: Floats, gaps_s: Floats) -> list[Finding]:
    """Count the users who have been silent for longer than the longest of n complete gaps.

    At any moment a user who thinks has done so for longer than x with probability E[(G - x)+] / E[G],
    G being the gap (renewal theory: the age in equilibrium). Beyond the longest of n that is about 1 / n
    for an exponential gap, some times more for longer tails: 10 / n is taken.
    """
    long_s = float(gaps_s.max())
    expected = _TAIL / len(gaps_s)
    count = int((silent_s > long_s).sum())
    share = count / max(step.users, 1)
    chance = float(stats.binom.sf(count - 1, max(len(silent_s), 1), min(expected, 1.0)))
    if count < max(_FEWEST, _FEWEST_SHARE * step.users) or chance > FALSE_ALARM_RATE:
        return []
    message = (
        f"When the recording ended, {count} users ({share:.1%}) had been silent for more than {long_s:.3g} s, longer "
        "than users think: they still waited for answers, which are missing."
    )
    remedy = "Let Locust wait longer for the last answers (its --stop-timeout), or leave the last step out."
    severity: Severity = "critical" if share > _REFUSED_SHARE else "warning"
    return [Finding(CODE, severity, message, remedy, {"step": step.step, "users": count, "share": share})]
