"""Whether users, throughput, residence times and gaps of a step fit together: N = X (R + Z).

References
----------
Denning and Buzen, The operational analysis of queueing network models, ACM Computing Surveys 10
(1978) 225-261: the interactive response time law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from loadtests.foundation.distributions import Distribution, parse_distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.units import format_duration
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.plateau import clipped_integral, plateau_of

CODE, NOMINAL_CODE = "operational-law", "think-time-law"
TOLERANCE, REFUSED_BEYOND = 0.01, 0.05
_STANDARD_ERRORS = 3.0
_FEWEST_CYCLES = 10.0
_LOOP_DELAY_S = 0.002
_SESSIONS = NotApplicable("visitors of sessions come and go, so there is no fixed number of users")
_LAW_REMEDY = (
    "Look for users who do not send (stuck, stopped, or held back by a busy load generator), lost rows or a wrong "
    "number of users; record again."
)


@dataclass(frozen=True)
class UserTime:
    """Users that a window's rows account for.

    Parameters
    ----------
    known : float
        Mean number of users seen waiting for an answer or between two of their requests.
    possible : float
        The same, with the time before a user's first and after its last request counted too.
    """

    known: float
    possible: float


def user_time(rows: pd.DataFrame, step: LoadStep) -> UserTime:
    """Count the users of a window by the time that they spend in it.

    Residence times and gaps are cut at the borders of the window, so that no sampling error comes from
    requests and gaps that cross them.

    Parameters
    ----------
    rows : pandas.DataFrame
        Requests with known users, sorted by worker, user and cycle.
    step : LoadStep

    Returns
    -------
    UserTime
    """
    start, finish = (rows[name].to_numpy(dtype=float) for name in ("start_s", "finish_s"))
    is_same = _same_user_follows(rows)
    following = np.where(is_same, np.append(start[1:], math.inf), math.inf)
    edges = np.array([step.start_s, step.end_s])
    inside = clipped_integral(start, finish, edges)
    between = clipped_integral(finish[is_same], np.maximum(following, finish)[is_same], edges)
    known = float(np.diff(inside)[0] + np.diff(between)[0])
    is_first = ~np.concatenate([[False], is_same[:-1]])
    first, last = start[is_first], finish[~is_same]
    before = np.where((first > step.start_s) & (first < step.end_s), first - step.start_s, 0.0).sum()
    after = np.where((last >= step.start_s) & (last < step.end_s), step.end_s - last, 0.0).sum()
    return UserTime(known / step.window_s, (known + float(before + after)) / step.window_s)


def _same_user_follows(rows: pd.DataFrame) -> NDArray[np.bool_]:
    user, worker = rows["user_id"].to_numpy(), rows["worker_id"].to_numpy(dtype=str)
    same = (user[1:] == user[:-1]) & (worker[1:] == worker[:-1])
    return np.append(same, False)


def look_at_users(recording: Recording) -> Looked:
    """Compare the users of each step with the users that its rows account for."""
    if recording.has_sessions:
        return _SESSIONS
    if recording.requests.empty:
        return NotApplicable("no single requests; the law is looked at with the step's own numbers (think-time-law)")
    known = recording.requests[recording.requests["user_id"] >= 0]
    if known.empty:
        return NotApplicable("no user ids, so gaps between a user's requests cannot be measured")
    rows = known.sort_values(["worker_id", "user_id", "cycle"], kind="stable")
    found, looked = [], 0
    for step in recording.steps:
        gap_s = step.gap_mean_s
        if step.requests and math.isfinite(gap_s) and step.window_s >= _FEWEST_CYCLES * gap_s:
            looked += 1
            found += _compare(step, user_time(rows, step), gap_s)
    if not looked:
        return NotApplicable(f"every window is shorter than {_FEWEST_CYCLES:.0f} mean gaps")
    return found


def _compare(step: LoadStep, seen: UserTime, gap_s: float) -> list[Finding]:
    unseen = step.users * math.exp(-step.window_s / gap_s)
    standard_error = math.sqrt(unseen)
    allowed = TOLERANCE * step.users + unseen + _STANDARD_ERRORS * standard_error
    missing, surplus = step.users - seen.possible, seen.known - step.users
    if max(missing, surplus) <= allowed:
        return []
    accounted = seen.possible if missing > surplus else seen.known
    how = "fewer" if missing > surplus else "more"
    message = (
        f"Step {step.step} is said to have {step.users} users; throughput x (residence + gap) of its rows accounts for "
        f"{accounted:.4g}, {abs(accounted / step.users - 1):.1%} {how}."
    )
    numbers = {"step": step.step, "users": step.users, "accounted": accounted, "standard_error": standard_error}
    return [Finding(CODE, _severity(max(missing, surplus), allowed, step), message, _LAW_REMEDY, numbers)]


def _severity(off: float, allowed: float, step: LoadStep) -> Severity:
    return "critical" if off > allowed + (REFUSED_BEYOND - TOLERANCE) * step.users else "warning"


def look_at_think_times(recording: Recording) -> Looked:
    """Compare the users of each step with X (R + Z) for the nominal think time Z."""
    if recording.has_sessions:
        return _SESSIONS
    thinks = {step.step: nominal_think(step) for step in recording.steps}
    if not any(thinks.values()):
        return NotApplicable("no nominal think time is stated")
    look = _from_metrics if recording.requests.empty else _from_rows
    checks = max(len(recording.steps), 1)
    found = []
    for step in recording.steps:
        think = thinks[step.step]
        if think is not None and step.requests:
            found += look(recording, step, think, checks)
    return found


def nominal_think(step: LoadStep) -> Distribution | None:
    """The step's nominal think time; None where it is not stated or not a distribution."""
    try:
        think = parse_distribution(step.think) if step.think else None
    except InputError:
        return None
    return think if think is not None and math.isfinite(think.mean_s * think.cv) else None


def standard_errors(checks: int) -> float:
    """Three standard errors; more where so many comparisons are made that 3 would be too few."""
    return max(_STANDARD_ERRORS, float(stats.norm.isf(FALSE_ALARM_RATE / (2 * checks))))


def _from_rows(recording: Recording, step: LoadStep, think: Distribution, checks: int) -> list[Finding]:
    plateau = plateau_of(recording, step)
    waiting = float(plateau.in_flight(plateau.edges_s(1))[0])
    gaps = plateau.started_s.size
    accounted = waiting + gaps * think.mean_s / step.window_s
    spread = think.mean_s * think.cv
    at_borders = step.users * (think.mean_s**2 + spread**2)
    error = math.sqrt(gaps * spread**2 + at_borders) / step.window_s
    low, high = accounted, accounted + gaps * _LOOP_DELAY_S / step.window_s
    return _compare_nominal(step, think, (low, high), error * standard_errors(checks))


def _from_metrics(_recording: Recording, step: LoadStep, think: Distribution, checks: int) -> list[Finding]:
    """Without single requests: bounds, as the residence times of those not served are not known."""
    rate, served, mean = (step.metrics[name] for name in ("throughput_rps", "goodput_rps", "mean_s"))
    if not (rate.is_known and mean.is_known and served.is_known):
        return []
    gaps_s = rate.mid * (think.mean_s + _LOOP_DELAY_S)
    low, high = rate.mid * think.mean_s + served.mid * mean.low, gaps_s + rate.mid * mean.high
    spread = (think.mean_s * think.cv) ** 2 * step.requests + step.users * think.mean_s**2 * (1 + think.cv**2)
    error = math.sqrt(spread) / step.window_s + (rate.high - rate.low) * think.mean_s / 3.29
    return _compare_nominal(step, think, (low, high), error * standard_errors(checks))


def _compare_nominal(
    step: LoadStep, think: Distribution, accounted: tuple[float, float], sampling: float
) -> list[Finding]:
    low, high = accounted
    allowed = TOLERANCE * step.users + sampling
    missing, surplus = step.users - high, low - step.users
    if max(missing, surplus) <= allowed:
        return []
    share = (high if missing > surplus else low) / step.users - 1
    measured = f"; measured gaps: {format_duration(step.gap_mean_s)}" if math.isfinite(step.gap_mean_s) else ""
    message = (
        f"Step {step.step} has {step.users} users, and throughput x (residence + nominal think time "
        f"{format_duration(think.mean_s)}) accounts for {share:+.1%} of that{measured}."
    )
    remedy = (
        "Users waited longer between requests than stated, or rows are missing: look at the load generator."
        if missing > surplus
        else "Users waited less than stated (several requests a wait?), or rows are doubled: state it as it was."
    )
    numbers = {"step": step.step, "users": step.users, "relative_error": share, "allowed": allowed / step.users}
    severity = "warning" if measured else _severity(max(missing, surplus), allowed, step)
    return [Finding(NOMINAL_CODE, severity, message, remedy, numbers)]
