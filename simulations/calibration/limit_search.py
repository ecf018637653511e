"""Limits that nobody stated: a first guess, a search over whole numbers, and whether they show at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from simulations.calibration.observations import StepObservation
from simulations.calibration.problem import Fit, Problem

Floats = NDArray[np.float64]

_TELLS_APART = 6.0
"""Drop of chi-square (1 degree of freedom, about 1.4 %) from which a limit counts as seen."""
_REFIT_EVALUATIONS = 6


def is_open(stated: Deployment, name: str) -> bool:
    """Whether a deployment leaves a limit to the calibration."""
    return stated.gate is None if name == "gate_limit" else stated.workers is None


def with_guessed_limits(stated: Deployment, observations: tuple[StepObservation, ...], theta: Floats) -> Deployment:
    """Workers from the largest throughput, the gate from the requests inside while requests are shed."""
    most_rps = max(math.exp(item.values[0]) for item in observations)
    guess = stated
    if stated.workers is None:
        guess = replace(guess, workers=max(1, round(most_rps * math.exp(theta[0]))))
    if stated.gate is None:
        shedding = [item for item in observations if item.values[1] > 0.01]
        inside = [math.exp(item.values[0] + item.values[3]) for item in shedding]
        guess = replace(guess, gate_limit=max(1, round(max(inside))) if inside else UNLIMITED)
    return guess


def search_limit(problem: Problem, best: Fit, name: str) -> Fit:
    """Walk the whole-number limit with halving steps, refitting the times briefly at each."""
    value = getattr(best.deployment, name)
    if value == UNLIMITED or value is None:
        return best
    step = max(1, round(0.15 * int(value)))
    while step >= 1:
        moved = False
        for candidate in (int(value) - step, int(value) + step):
            if candidate < 1:
                continue
            fit = refit(problem, best, name, candidate)
            if fit.chi_square < best.chi_square:
                best, value, moved = fit, candidate, True
                break
        if not moved:
            step //= 2
    return best


def refit(problem: Problem, best: Fit, name: str, value: int) -> Fit:
    """The times under another whole-number limit, from the better of two starts.

    One is the present fit. For workers the other lies on the ridge where saturated steps
    trade: throughput workers / service and the light-load sum service + round trip stay.
    """
    deployment = best.deployment.with_limits(**{name: value})
    starts = [best.theta]
    if name == "workers":
        mean_s, cv, round_trip_s = np.exp(best.theta)
        scaled_s = mean_s * value / int(getattr(best.deployment, name))
        starts.append(np.log([scaled_s, cv, max(mean_s + round_trip_s - scaled_s, 0.01 * mean_s)]))
    start = min(starts, key=lambda theta: problem.cost(deployment, best.family, theta))
    return problem.fit(deployment, best.family, start, _REFIT_EVALUATIONS)


def open_what_does_not_show(problem: Problem, best: Fit, stated: Deployment) -> tuple[Fit, tuple[str, ...]]:
    """Take searched limits that the recording does not tell as unlimited, and refit; return which they were."""
    unseen = [
        name
        for name in ("workers", "gate_limit")
        if is_open(stated, name)
        and (getattr(best.deployment, name) in (None, UNLIMITED) or not _tells(problem, best, name))
    ]
    if not unseen:
        return best, ()
    opened = best.deployment.with_limits(**dict.fromkeys(unseen, UNLIMITED))
    return problem.fit(opened, best.family, best.theta, _REFIT_EVALUATIONS * 3), tuple(unseen)


def limit_report(
    problem: Problem, best: Fit, stated: Deployment, unseen: tuple[str, ...], level: float
) -> tuple[dict[str, Interval], dict[str, bool], tuple[Finding, ...]]:
    """Intervals of the limits that were searched, and what the recording cannot tell about limits."""
    searched = [name for name in ("workers", "gate_limit") if is_open(stated, name)]
    seen = {name: name not in unseen for name in searched}
    intervals = {name: _limit_interval(problem, best, name, level) for name in searched if seen[name]}
    findings = [_unseen_limit(name, problem) for name in unseen]
    if not any(item.values[1] > 0 for item in problem.observations) and "gate_limit" not in seen:
        findings.append(_gate_not_reached(problem))
    return intervals, seen, tuple(findings)


def _tells(problem: Problem, best: Fit, name: str) -> bool:
    """Whether twice the limit would fit clearly worse."""
    fit = refit(problem, best, name, 2 * int(getattr(best.deployment, name)))
    return fit.chi_square - best.chi_square > _TELLS_APART * birge_factor(problem, best)


def _limit_interval(problem: Problem, best: Fit, name: str, level: float) -> Interval:
    """Whole numbers whose chi-square stays within the level's bound of the best (profile likelihood, Birge-scaled)."""
    value = int(getattr(best.deployment, name))
    allowed = best.chi_square + float(special.chdtri(1, 1.0 - level)) * birge_factor(problem, best)

    def is_allowed(candidate: int) -> bool:
        return refit(problem, best, name, candidate).chi_square <= allowed

    low, high = _last_allowed(value, -1, is_allowed), _last_allowed(value, 1, is_allowed)
    return Interval(float(low), float(value), float(high), level, "parameter")


def _last_allowed(value: int, direction: int, is_allowed: Callable[[int], bool]) -> int:
    """Walk outwards in doubling steps to the first refused number, then bisect; never below 1 or beyond twice."""
    inside, step = value, 1
    while 1 <= inside + direction * step <= 2 * value:
        candidate = inside + direction * step
        if not is_allowed(candidate):
            outside = candidate
            break
        inside, step = candidate, 2 * step
    else:
        return inside
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if is_allowed(middle) else (inside, middle)
    return inside


def birge_factor(problem: Problem, best: Fit) -> float:
    """Chi-square per degree of freedom where that exceeds 1: what a poor fit widens variances by."""
    return max(best.chi_square / max(problem.degrees_of_freedom, 1), 1.0)


def _unseen_limit(name: str, problem: Problem) -> Finding:
    users = problem.observations[-1].users
    return Finding(
        f"{name.replace('_', '-')}-not-identified", "warning",
        f"The recording does not show {name}: up to {users} users nothing changes when it is doubled. "
        "The model takes it as unlimited, so it says nothing of heavier loads.",
        f"Record a step with about {2 * users} users, or state {name} in the deployment.", {"highest_users": users},
    )  # fmt: skip


def _gate_not_reached(problem: Problem) -> Finding:
    users = problem.observations[-1].users
    return Finding(
        "gate-not-reached", "info",
        f"No request was shed up to {users} users: the gate's effect is taken from the deployment, not seen.",
        f"Record a step with about {2 * users} users to see the gate at work.", {"highest_users": users},
    )  # fmt: skip
