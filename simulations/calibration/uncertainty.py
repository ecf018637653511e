"""Joint draws of everything that was fitted: numbers by the linearised fit, limits by their profiles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.limit_search import LimitProfile, birge_factor
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.result import ParameterDraws

Floats = NDArray[np.float64]

DRAWS = 400
_MOST_SPREAD = 3.0
_ROUNDS, _SEEDS, _STRIDE = 2, 3, 1.5
_LEAST_VARIANCE, _MOST_VARIANCE, _LEAST_CURVATURE = 1e-7, 1.0, 0.1


@dataclass(frozen=True)
class Posterior:
    """What is known after a fit.

    Parameters
    ----------
    best : Fit
    covariance : array
        Of the transformed numbers, limits held; Birge-scaled [1]_.
    profiles : tuple of LimitProfile

    References
    ----------
    .. [1] R. T. Birge, "The calculation of errors by the method of least squares", Phys. Rev. 40, 1932.
    """

    best: Fit
    covariance: Floats
    profiles: tuple[LimitProfile, ...]


def posterior(problem: Problem, best: Fit, profiles: tuple[LimitProfile, ...]) -> Posterior:
    """The Gaussian of a fit's numbers, (J'J)^-1 with whitened residuals, widened where the fit is poor.

    Simulated derivatives are noisy, and noise would pass for information: it adds to J'J. So J'J is the mean product
    of derivatives from independent simulations, in which noise cancels, taken along its own axes with steps of about
    their standard deviations, so that a combination of numbers that hardly shows is moved far enough to show.

    Parameters
    ----------
    problem : Problem
    best : Fit
    profiles : tuple of LimitProfile

    Returns
    -------
    Posterior
    """
    jacobian = problem.jacobian(best)
    covariance = np.asarray(np.linalg.pinv(jacobian.T @ jacobian), dtype=np.float64)
    for _ in range(_ROUNDS):
        covariance = _refined(problem, best, covariance)
    return Posterior(best, np.asarray(covariance * birge_factor(problem, best)), profiles)


def _move_gate_with_workers(known: Posterior, limits: list[Floats]) -> None:
    """Where both were searched, the gate's draws are of the room beside the workers."""
    places = {profile.name: place for place, profile in enumerate(known.profiles)}
    if {"workers", "gate_limit"} <= set(places):
        workers = int(known.best.form.deployment.workers or 0)
        gate = limits[places["gate_limit"]] + limits[places["workers"]] - workers
        limits[places["gate_limit"]] = np.maximum(gate, 1.0)


def _refined(problem: Problem, best: Fit, covariance: Floats) -> Floats:
    """The covariance by derivatives along the axes of a first one."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    axes = vectors * np.sqrt(np.clip(values, _LEAST_VARIANCE, _MOST_VARIANCE))
    slopes = [
        np.stack([_slope(replace(problem, seed=seed), best, axis) for axis in axes.T], axis=1)
        for seed in (problem.seed, *(problem.seed + 7_919 * number for number in range(1, _SEEDS)))
    ]
    products = [one.T @ other for place, one in enumerate(slopes) for other in slopes[place + 1 :]]
    information = np.mean(products, axis=0)
    curvature, turned = np.linalg.eigh((information + information.T) / 2)
    found = axes @ turned @ np.diag(1.0 / np.clip(curvature, _LEAST_CURVATURE, None)) @ turned.T @ axes.T
    return np.asarray((found + found.T) / 2)


def _slope(problem: Problem, best: Fit, axis: Floats) -> Floats:
    """Change of the residuals along an axis, per its length."""
    ahead, behind = (problem.residuals(best.form, best.theta + side * _STRIDE * axis) for side in (1.0, -1.0))
    return (ahead - behind) / (2 * _STRIDE)


def draws_of(known: Posterior, rng: np.random.Generator, count: int = DRAWS) -> ParameterDraws:
    """Joint draws: a limit of each profile, the numbers that go with it, and their own noise.

    Parameters
    ----------
    known : Posterior
    rng : numpy.random.Generator
    count : int, default 400

    Returns
    -------
    ParameterDraws
        Columns: the form's numbers, then the limits that were searched.
    """
    form, best = known.best.form, known.best.theta
    values, vectors = np.linalg.eigh(known.covariance)
    spread = np.sqrt(np.clip(values, 0.0, _MOST_SPREAD**2))
    theta = best + (rng.standard_normal((count, best.size)) * spread) @ vectors.T
    limits: list[Floats] = []
    for profile in known.profiles:
        rows = rng.choice(len(profile.values), count, p=profile.weights)
        theta = theta + (profile.thetas[rows] - best)
        jitter = np.round((rng.random(count) - 0.5) * (profile.spacing - 1))
        limits.append(np.maximum(np.asarray(profile.values)[rows] + jitter, 1.0))
    _move_gate_with_workers(known, limits)
    numbers = form.values(np.clip(theta, *form.bounds))
    names = (*form.names, *(profile.name for profile in known.profiles))
    return ParameterDraws(names, np.column_stack([numbers, *limits]) if limits else numbers)
