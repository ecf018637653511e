"""Limits that nobody stated: a first guess, a search over whole numbers, and whether they show at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import UNLIMITED, Deployment
from simulations.calibration.linearised import Coordinates, derivatives, first_axes
from simulations.calibration.model_form import LIMITS, STAGE_NAMES, ModelForm
from simulations.calibration.observations import StepObservation
from simulations.calibration.problem import Fit, Problem

Floats = NDArray[np.float64]

TELLS_APART = 6.0
"""Drop of chi-square (1 degree of freedom, about 1.4 %) from which a limit counts as seen."""
_REFIT_EVALUATIONS, _LAST_EVALUATIONS = 3, 15
_JOINT_STEPS = 2
_FURTHEST = 0.2
"""A joint step moves no limit by more than this share of it."""
_SMALL = 5
_SHEDS_FROM = 0.01


def is_open(stated: Deployment, name: str) -> bool:
    """Whether a deployment leaves a limit to the calibration."""
    return (stated.gate if name == "gate_limit" else getattr(stated, name)) is None


def searched_limits(stated: Deployment, form: ModelForm) -> tuple[str, ...]:
    """Limits that nobody stated, that this form uses, and that it has as numbers."""
    used = {"workers", "gate_limit"}
    used |= {"database": {"db_pool"}, "cores": {"cpu_cores"}}.get(form.stage, set())
    return tuple(
        name
        for name in LIMITS
        if name in used and is_open(stated, name) and getattr(form.deployment, name) not in (None, UNLIMITED)
    )


def with_guessed_limits(stated: Deployment, observations: tuple[StepObservation, ...], mean_s: float) -> Deployment:
    """Workers from the largest throughput, the gate from the requests inside while requests are shed."""
    guess = stated
    if stated.workers is None:
        guess = replace(guess, workers=max(1, round(max(item.goodput_rps for item in observations) * mean_s)))
    if stated.gate is None:
        shedding = [item for item in observations if item.bad_share > _SHEDS_FROM and math.isfinite(item.mean_s)]
        inside = [item.goodput_rps * item.mean_s for item in shedding]
        guess = replace(guess, gate_limit=max(1, round(max(inside))) if inside else UNLIMITED)
    return guess


def search_limits(problem: Problem, best: Fit, names: tuple[str, ...]) -> Fit:
    """Search each limit, roughly: what comes after compares shapes at limits of their own."""
    for name in names:
        best = _search(problem, best, name, names)
    return best


def _search(problem: Problem, best: Fit, name: str, names: tuple[str, ...]) -> Fit:
    """Walk the whole-number limit with halving steps, refitting the times briefly at each."""
    value = getattr(best.form.deployment, name)
    if value == UNLIMITED or value is None:
        return best
    value = int(value)
    step = max(1, round(0.15 * value))
    while step >= 1:
        moved = False
        for candidate in (value - step, value + step):
            if candidate < 1:
                continue
            fit = refit(problem, best, name, candidate, names)
            if fit.chi_square < best.chi_square:
                best, value, moved = fit, candidate, True
                break
        if not moved:
            step //= 2
    return best


def step_limits(problem: Problem, best: Fit, names: tuple[str, ...]) -> Fit:
    """Move all searched limits and the numbers that trade with them at once, while that fits better.

    Parameters
    ----------
    problem : Problem
    best : Fit
    names : tuple of str
        Of the searched limits.

    Returns
    -------
    Fit
    """
    for _ in range(_JOINT_STEPS if names else 0):
        moved = _joint_step(problem, best, names)
        if moved.chi_square >= best.chi_square:
            break
        best = moved
    return best


def small_limits(best: Fit, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the searched limits of which one more is so much more that no straight line tells what it does.

    Parameters
    ----------
    best : Fit
    names : tuple of str
        Of the searched limits.

    Returns
    -------
    tuple of str
    """
    return tuple(name for name in names if getattr(best.form.deployment, name) <= _SMALL)


def nudge_limits(problem: Problem, best: Fit, names: tuple[str, ...]) -> Fit:
    """Move each limit by ones while that fits better; workers alone, and with a gate that moves along."""
    for name in names:
        best = _nudged(problem, best, name, names)
    return best


def _nudged(problem: Problem, best: Fit, name: str, names: tuple[str, ...]) -> Fit:
    for together in dict.fromkeys((names, ())) if name == "workers" else (names,):
        for direction in (-1, 1):
            while (value := int(getattr(best.form.deployment, name)) + direction) >= 1:
                fit = _to_the_end(problem, refit(problem, best, name, value, together), best)
                if fit.chi_square >= best.chi_square:
                    break
                best = fit
    return best


def _to_the_end(problem: Problem, fit: Fit, best: Fit) -> Fit:
    """A brief fit under other limits, continued where it comes so close to the best that its end must decide."""
    if not 0 <= fit.chi_square - best.chi_square < TELLS_APART:
        return fit
    found = problem.fit(fit.form, fit.theta, _LAST_EVALUATIONS)
    problem.known[fit.form] = found
    return found


def _joint_step(problem: Problem, best: Fit, names: tuple[str, ...]) -> Fit:
    """A Gauss-Newton step over numbers and limits, the limits rounded; the fit itself where they stay."""
    coordinates = Coordinates.around(problem, best, names)
    here, count = coordinates.of(best.theta), coordinates.count
    jacobian, residuals = derivatives(problem, coordinates, here, first_axes(coordinates, here))
    information, gradient = jacobian.T @ jacobian + np.diag(coordinates.wide), jacobian.T @ residuals
    most = np.maximum(np.round(_FURTHEST * here[count:]), 1.0)
    step = -np.linalg.lstsq(information, gradient, rcond=None)[0][count:]
    limits = np.round(np.clip(step, -most, most))
    if not limits.any():
        return best
    own = -np.linalg.solve(information[:count, :count], gradient[:count] + information[:count, count:] @ limits)
    place = coordinates.inside(here + np.concatenate([own, limits]))
    return problem.fit(coordinates.form_at(place), coordinates.theta(place), _REFIT_EVALUATIONS)


def refit(problem: Problem, best: Fit, name: str, value: int, names: tuple[str, ...] = ()) -> Fit:
    """The numbers under another whole-number limit, from the better of two starts.

    Where the gate is searched too (among `names`), it moves with the workers: the room in the line stays.
    One is the present fit. The other lies on the ridge where saturated steps trade: the throughput that the limit
    allows and the sum of service and round trip at light load stay.
    """
    form = best.form.with_limits(**{name: value})
    if name == "workers" and "gate_limit" in names:
        moved_to = int(form.deployment.gate_limit or 0) + value - int(best.form.deployment.workers or 0)
        form = form.with_limits(gate_limit=max(moved_to, value))
    if form in problem.known:
        return problem.known[form]
    starts = [best.theta]
    moved = _along_ridge(best, name, value / float(getattr(best.form.deployment, name)))
    if moved is not None:
        starts.append(moved)
    start = min(starts, key=lambda theta: problem.chi_square(form, theta))
    problem.known[form] = problem.fit(form, start, _REFIT_EVALUATIONS)
    return problem.known[form]


def _along_ridge(best: Fit, name: str, factor: float) -> Floats | None:
    """Numbers with which another limit allows the same throughput."""
    form, values = best.form, best.form.values(best.theta)
    by_name = dict(zip(form.names, values.tolist(), strict=True))
    if name == "workers":
        for label in form.mix.labels:
            by_name[f"service_mean_s{label}"] *= factor
        first = f"service_mean_s{form.mix.labels[0]}"
        moved_s = by_name[first] * (1 - 1 / factor)
        by_name["network_round_trip_s"] = max(by_name["network_round_trip_s"] - moved_s, 0.01 * by_name[first])
    elif name in ("db_pool", "cpu_cores"):
        for label in form.staged:
            stage, rest = f"{STAGE_NAMES[form.stage]}{label}", f"service_mean_s{label}"
            moved_s = by_name[stage] * (factor - 1)
            by_name[stage] += moved_s
            by_name[rest] = max(by_name[rest] - moved_s, 0.02 * by_name[rest])
    else:
        return None
    return np.clip(form.transformed(np.array([by_name[key] for key in form.names])), *form.bounds)


def open_what_does_not_show(problem: Problem, best: Fit, stated: Deployment) -> tuple[Fit, tuple[str, ...]]:
    """Take searched limits that the recording does not tell as unlimited, and refit; return which they were."""
    unseen = [
        name
        for name in ("workers", "gate_limit")
        if is_open(stated, name)
        and (getattr(best.form.deployment, name) in (None, UNLIMITED) or not _tells(problem, best, name))
    ]
    if not unseen:
        return best, ()
    opened = best.form.with_limits(**dict.fromkeys(unseen, UNLIMITED))
    return problem.fit(opened, best.theta, _REFIT_EVALUATIONS * 3), tuple(unseen)


def _tells(problem: Problem, best: Fit, name: str) -> bool:
    """Whether twice the limit would fit clearly worse."""
    fit = refit(problem, best, name, 2 * int(getattr(best.form.deployment, name)))
    return fit.chi_square - best.chi_square > TELLS_APART * birge_factor(problem, best)


def birge_factor(problem: Problem, best: Fit) -> float:
    """Chi-square per degree of freedom where that exceeds 1: what a poor fit widens variances by."""
    return max(best.chi_square / max(problem.used - best.theta.size, 1), 1.0)
