"""Joint draws of everything that was fitted: numbers by the linearised fit, limits by their profiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.limit_search import LimitProfile, birge_factor
from simulations.calibration.model_form import ModelForm
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.result import ParameterDraws

Floats = NDArray[np.float64]

DRAWS = 400
_ROUNDS, _SEEDS, _STRIDE = 2, 3, 1.5
_FIRST_STEP, _FIRST_STEP_OF_ROUND_TRIP = 0.03, 0.02
_LEAST_VARIANCE, _MOST_VARIANCE, _LEAST_CURVATURE = 1e-7, 1.0, 0.1
_FURTHEST, _FURTHEST_OF_SMALL = 0.5, 0.05
"""A derivative moves no time by more than this share of it, or of the lightest step's mean where that is more."""
_SHORTEST = 1e-6
_WIDEST = 2.0
"""Standard deviation of what numbers are proposed from where a recording does not tell them at all."""
_PROPOSALS, _FEWEST_POSSIBLE = 40_000, 400


@dataclass(frozen=True)
class Coordinates:
    """Numbers as the linearised fit sees them: times in units of the lightest step's mean, cv as logarithms.

    Statistics change with a sum of times, so a small one that trades with a large one moves them along a straight
    line in these, but not in their logarithms.

    Parameters
    ----------
    form : ModelForm
    unit_s : float
    """

    form: ModelForm
    unit_s: float

    @property
    def are_times(self) -> NDArray[np.bool_]:
        """By number."""
        return np.array(["_cv" not in name for name in self.form.names])

    def of(self, theta: Floats) -> Floats:
        """Of transformed numbers."""
        return np.where(self.are_times, np.exp(theta) / self.unit_s, theta)

    def theta(self, place: Floats) -> Floats:
        """Transformed numbers, within the form's bounds."""
        logs = np.log(np.maximum(place, _SHORTEST) * self.unit_s)
        return np.clip(np.where(self.are_times, logs, place), *self.form.bounds)

    def inside(self, place: Floats) -> Floats:
        """The nearest place whose times are positive."""
        return np.where(self.are_times, np.maximum(place, _SHORTEST), place)


@dataclass(frozen=True)
class Posterior:
    """What is known after a fit.

    The likelihood is that of a linear model around the fit: -2 log L = constant + 2 gradient d + d information d, at a
    distance d in `Coordinates`; both are divided by Birge's factor [1]_. The priors are exact.

    Parameters
    ----------
    problem : Problem
    best : Fit
    coordinates : Coordinates
    information : array
    gradient : array
    profiles : tuple of LimitProfile

    References
    ----------
    .. [1] R. T. Birge, "The calculation of errors by the method of least squares", Phys. Rev. 40, 1932.
    """

    problem: Problem
    best: Fit
    coordinates: Coordinates
    information: Floats
    gradient: Floats
    profiles: tuple[LimitProfile, ...]


def posterior(problem: Problem, best: Fit, profiles: tuple[LimitProfile, ...]) -> Posterior:
    """The likelihood around a fit, widened where the fit is poor.

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
    unit_s = next((item.mean_s for item in problem.observations if math.isfinite(item.mean_s)), 0.05)
    coordinates = Coordinates(best.form, unit_s)
    here = coordinates.of(best.theta)
    axes = np.diag(_first_steps(best.form, here, coordinates.are_times))
    information, _ = _information((_derivatives(problem, best, coordinates, axes),), axes)
    for _ in range(_ROUNDS):
        values, vectors = np.linalg.eigh(information)
        spread = np.sqrt(np.clip(1.0 / np.maximum(values, 1e-12), _LEAST_VARIANCE, _MOST_VARIANCE))
        axes = _shortened(vectors * spread, here, coordinates.are_times)
        seeds = (problem.seed, *(problem.seed + 7_919 * number for number in range(1, _SEEDS)))
        seen = tuple(_derivatives(replace(problem, seed=seed), best, coordinates, axes) for seed in seeds)
        information, gradient = _information(seen, axes)
    birge = birge_factor(problem, best)
    return Posterior(problem, best, coordinates, information / birge, gradient / birge, profiles)


def _first_steps(form: ModelForm, here: Floats, are_times: NDArray[np.bool_]) -> Floats:
    steps = np.where(are_times, _FIRST_STEP * here, _FIRST_STEP)
    is_round_trip = np.array([name == "network_round_trip_s" for name in form.names])
    return np.where(is_round_trip, np.maximum(0.3 * here, _FIRST_STEP_OF_ROUND_TRIP), steps)


def _shortened(axes: Floats, here: Floats, are_times: NDArray[np.bool_]) -> Floats:
    """The same directions, none so far that a time changes beyond what a straight line follows."""
    most = np.where(are_times, np.maximum(_FURTHEST * here, _FURTHEST_OF_SMALL), 1.0)
    excess = np.max(_STRIDE * np.abs(axes) / most[:, None], axis=0)
    return np.asarray(axes / np.maximum(excess, 1.0))


def _derivatives(problem: Problem, best: Fit, coordinates: Coordinates, axes: Floats) -> tuple[Floats, Floats]:
    """Derivatives of the data's residuals, and the residuals themselves, by moves along axes."""
    here = coordinates.of(best.theta)
    moves, changes = [], []
    for axis in axes.T:
        ahead, behind = (coordinates.inside(here + side * _STRIDE * axis) for side in (1.0, -1.0))
        moves.append(ahead - behind)
        changes.append(_residuals(problem, coordinates, ahead) - _residuals(problem, coordinates, behind))
    jacobian = np.linalg.lstsq(np.array(moves), np.array(changes), rcond=None)[0].T
    return jacobian, _residuals(problem, coordinates, here)


def _residuals(problem: Problem, coordinates: Coordinates, place: Floats) -> Floats:
    return np.concatenate(problem.residual_blocks(coordinates.form.model(coordinates.theta(place))))


def _information(seen: tuple[tuple[Floats, Floats], ...], axes: Floats) -> tuple[Floats, Floats]:
    """J'J and J'r, of independent simulations where there are several; curvatures along the axes stay positive."""
    pairs = [(i, j) for i in range(len(seen)) for j in range(len(seen)) if i != j] or [(0, 0)]
    product = np.mean([seen[i][0].T @ seen[j][0] for i, j in pairs], axis=0)
    gradient = np.mean([seen[i][0].T @ seen[j][1] for i, j in pairs], axis=0)
    along = axes.T @ ((product + product.T) / 2) @ axes
    curvature, turned = np.linalg.eigh((along + along.T) / 2)
    back = turned.T @ np.linalg.pinv(axes)
    found = back.T @ np.diag(np.clip(curvature, _LEAST_CURVATURE, None)) @ back
    return (found + found.T) / 2, gradient


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
    theta = _numbers(known, rng, count)
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


def _numbers(known: Posterior, rng: np.random.Generator, count: int) -> Floats:
    """Transformed numbers by importance: proposed from the likelihood where times are positive, weighted by the prior.

    What the likelihood does not tell is proposed from a wide normal, which the weights take back. Where the gradient,
    which is as noisy as the derivatives, would leave hardly a place with positive times, the fit itself is the centre.
    """
    place, form = known.coordinates, known.best.form
    here = place.of(known.best.theta)
    wide = np.full(here.size, 1.0 / _WIDEST**2)
    covariance = np.linalg.inv(known.information + np.diag(wide))
    noise = rng.multivariate_normal(np.zeros(here.size), covariance, _PROPOSALS, method="eigh")
    for centre in (-covariance @ known.gradient, np.zeros(here.size)):
        far = noise + centre
        is_possible = np.all((here + far > _SHORTEST) | ~place.are_times, axis=1)
        if np.count_nonzero(is_possible) >= _FEWEST_POSSIBLE:
            break
    far = far[is_possible]
    theta = place.theta(here + far)
    prior = -0.5 * np.sum(known.problem.prior_residuals(form, theta) ** 2, axis=1)
    log_weight = prior - np.sum(theta[:, place.are_times], axis=1) + 0.5 * np.sum(wide * far**2, axis=1)
    weight = np.exp(log_weight - log_weight.max())
    return theta[rng.choice(len(theta), count, p=weight / weight.sum())]


def _move_gate_with_workers(known: Posterior, limits: list[Floats]) -> None:
    """Where both were searched, the gate's draws are of the room beside the workers."""
    places = {profile.name: place for place, profile in enumerate(known.profiles)}
    if {"workers", "gate_limit"} <= set(places):
        workers = int(known.best.form.deployment.workers or 0)
        gate = limits[places["gate_limit"]] + limits[places["workers"]] - workers
        limits[places["gate_limit"]] = np.maximum(gate, 1.0)
