"""Limits that nobody stated: a first guess, a search over whole numbers, and whether they show at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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
    fit = problem.fit(deployment, best.family, best.theta, _REFIT_EVALUATIONS)
    if name != "workers":
        return fit
    mean_s, cv, round_trip_s = np.exp(best.theta)
    scaled_s = mean_s * value / int(getattr(best.deployment, name))
    ridge = np.log([scaled_s, cv, max(mean_s + round_trip_s - scaled_s, 0.01 * mean_s)])
    other = problem.fit(deployment, best.family, ridge, _REFIT_EVALUATIONS)
    return min(fit, other, key=lambda item: item.chi_square)


def limit_report(
    problem: Problem, best: Fit, stated: Deployment
) -> tuple[dict[str, Interval], dict[str, bool], tuple[Finding, ...]]:
    """Intervals of the limits that were searched, and what the recording cannot tell about limits."""
    intervals: dict[str, Interval] = {}
    seen: dict[str, bool] = {}
    findings: list[Finding] = []
    for name in ("workers", "gate_limit"):
        if not is_open(stated, name):
            continue
        value = getattr(best.deployment, name)
        seen[name] = value not in (None, UNLIMITED) and _tells(problem, best, name)
        if seen[name]:
            intervals[name] = _limit_interval(problem, best, name)
        else:
            findings.append(_unseen_limit(name, problem))
    if not any(item.values[1] > 0 for item in problem.observations) and "gate_limit" not in seen:
        findings.append(_gate_not_reached(problem))
    return intervals, seen, tuple(findings)


def _tells(problem: Problem, best: Fit, name: str) -> bool:
    """Whether twice the limit would fit clearly worse."""
    fit = refit(problem, best, name, 2 * int(getattr(best.deployment, name)))
    return fit.chi_square - best.chi_square > _TELLS_APART * birge_factor(problem, best)


def _limit_interval(problem: Problem, best: Fit, name: str) -> Interval:
    """Neighbours whose chi-square stays within the 90 % bound (2.71, Birge-scaled) of the best, by a walk outwards."""
    value = int(getattr(best.deployment, name))
    allowed = best.chi_square + 2.71 * birge_factor(problem, best)
    ends = []
    for direction in (-1, 1):
        end, step = value, max(1, value // 50)
        while 1 <= end + direction * step <= 2 * value:
            if refit(problem, best, name, end + direction * step).chi_square > allowed:
                break
            end += direction * step
        ends.append(float(end))
    return Interval(ends[0], float(value), ends[1], 0.9, "parameter")


def birge_factor(problem: Problem, best: Fit) -> float:
    """Chi-square per degree of freedom where that exceeds 1: what a poor fit widens variances by."""
    return max(best.chi_square / max(problem.degrees_of_freedom, 1), 1.0)


def _unseen_limit(name: str, problem: Problem) -> Finding:
    users = problem.observations[-1].users
    return Finding(
        f"{name.replace('_', '-')}-not-identified", "warning",
        f"The recording does not show {name}: up to {users} users nothing changes when it is doubled.",
        f"Record a step with about {2 * users} users, or state {name} in the deployment.", {"highest_users": users},
    )  # fmt: skip


def _gate_not_reached(problem: Problem) -> Finding:
    users = problem.observations[-1].users
    return Finding(
        "gate-not-reached", "info",
        f"No request was shed up to {users} users: the gate's effect is taken from the deployment, not seen.",
        f"Record a step with about {2 * users} users to see the gate at work.", {"highest_users": users},
    )  # fmt: skip
