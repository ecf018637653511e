"""Joint draws of everything that was fitted: numbers and whole-number limits, by the linearised fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.limit_search import birge_factor
from simulations.calibration.linearised import (
    SHORTEST,
    Coordinates,
    derivatives,
    first_axes,
    told_axes,
    with_seed,
)
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.result import ParameterDraws

Floats = NDArray[np.float64]

DRAWS = 400
_SEEDS = (2, 3)
"""Independent simulations of each round: the first only finds the axes of the last."""
_LEAST_CURVATURE = 0.1
_PROPOSALS, _FEWEST_POSSIBLE = 40_000, 400
_MEAN_ROUND_TRIP = 0.1
"""Of the prior, over the lightest step's mean."""
_REACH, _PLACES = 4.0, 33
"""Whole numbers of a limit are looked at within so many standard deviations, at most so many of them."""


@dataclass(frozen=True)
class Posterior:
    """What is known after a fit.

    The likelihood is that of a linear model around the fit: -2 log L = constant + 2 gradient d + d information d, at a
    distance d in `Coordinates`; both are divided by Birge's factor [1]_. The priors of numbers are exact; whole
    numbers of a limit are equally likely beforehand.

    Parameters
    ----------
    problem : Problem
    best : Fit
    coordinates : Coordinates
    information : array
    gradient : array

    References
    ----------
    .. [1] R. T. Birge, "The calculation of errors by the method of least squares", Phys. Rev. 40, 1932.
    """

    problem: Problem
    best: Fit
    coordinates: Coordinates
    information: Floats
    gradient: Floats


def posterior(problem: Problem, best: Fit, limits: tuple[str, ...] = ()) -> Posterior:
    """The likelihood around a fit, widened where the fit is poor.

    Simulated derivatives are noisy, and noise would pass for information: it adds to J'J. So J'J is the mean product
    of derivatives from independent simulations, in which noise cancels, taken along its own axes with steps of about
    their standard deviations, so that a combination of numbers that hardly shows is moved far enough to show.

    Parameters
    ----------
    problem : Problem
    best : Fit
    limits : tuple of str, optional
        Those that were searched.

    Returns
    -------
    Posterior
    """
    coordinates = Coordinates.around(problem, best, limits)
    here = coordinates.of(best.theta)
    axes = first_axes(coordinates, here)
    information, _ = _information((derivatives(problem, coordinates, here, axes),), axes)
    for seeds in _SEEDS:
        axes = told_axes(coordinates, here, information)
        seen = tuple(derivatives(with_seed(problem, seed), coordinates, here, axes) for seed in range(seeds))
        information, gradient = _information(seen, axes)
    birge = birge_factor(problem, best)
    return Posterior(problem, best, coordinates, information / birge, gradient / birge)


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
    """Joint draws: whole numbers of the searched limits, and the numbers that go with them.

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
    place, form = known.coordinates, known.best.form
    proposed = _possible(known, rng)
    theta = place.theta(proposed)
    far = proposed - place.of(known.best.theta)
    log_weight = _log_prior(known, proposed, theta) + 0.5 * np.sum(place.wide * far**2, axis=1)
    weight = np.exp(log_weight - log_weight.max())
    rows = rng.choice(len(theta), count, p=weight / weight.sum())
    numbers = form.values(theta[rows])
    return ParameterDraws((*form.names, *place.limits), np.column_stack([numbers, proposed[rows, place.count :]]))


def _log_prior(known: Posterior, proposed: Floats, theta: Floats) -> Floats:
    """Log densities at places: lognormal as in the fit, but of the round trip exponential.

    The fit's lognormal has most of its density next to zero. It keeps a search from running away; where a recording
    does not tell the round trip it would pull it to nothing, and cvs and service times with it, by what it trades with.
    An exponential density is the least informative of a positive number with a given mean.
    """
    place = known.coordinates
    own = proposed[:, : place.count]
    is_round_trip = np.array([name == "network_round_trip_s" for name in place.form.names])
    rows = np.where(is_round_trip, 0.0, known.problem.prior_residuals(place.form, theta))
    logs = np.where(place.are_times[: place.count] & ~is_round_trip, theta, 0.0)
    late = np.where(is_round_trip, own, 0.0) / _MEAN_ROUND_TRIP
    return np.asarray(np.sum(-0.5 * rows**2 - logs - late, axis=1))


def _possible(known: Posterior, rng: np.random.Generator) -> Floats:
    """Places proposed from the likelihood, with positive times; what it does not tell comes from a wide normal.

    The weights take that back. Where the gradient, which is as noisy as the derivatives, would leave hardly a place
    with positive times, the fit itself is the centre.
    """
    place = known.coordinates
    here = place.of(known.best.theta)
    covariance = np.asarray(np.linalg.inv(known.information + np.diag(place.wide)), dtype=np.float64)
    for centre in (np.asarray(-covariance @ known.gradient), np.zeros(here.size)):
        proposed = here + _proposals(here, centre, covariance, place.count, rng)
        is_possible = np.all((proposed > SHORTEST) | ~place.are_times, axis=1)
        if np.count_nonzero(is_possible) >= _FEWEST_POSSIBLE:
            break
    return np.asarray(proposed[is_possible])


def _proposals(here: Floats, centre: Floats, covariance: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Distances from here: limits on whole numbers, the numbers normal given the limits."""
    own, limits = slice(0, count), slice(count, None)
    whole = _whole_numbers(here[limits], centre[limits], covariance[limits, limits], rng)
    given = np.linalg.solve(covariance[limits, limits], covariance[limits, own])
    left = covariance[own, own] - covariance[own, limits] @ given
    noise = rng.multivariate_normal(np.zeros(count), (left + left.T) / 2, _PROPOSALS, method="eigh")
    return np.hstack([centre[own] + (whole - centre[limits]) @ given + noise, whole])


def _whole_numbers(here: Floats, centre: Floats, covariance: Floats, rng: np.random.Generator) -> Floats:
    """Distances of whole-number limits from here, drawn by the density of the normal at each, one or more."""
    if not here.size:
        return np.zeros((_PROPOSALS, 0))
    spread = np.sqrt(np.diag(covariance))
    reach = np.linspace(-_REACH, _REACH, _PLACES)
    grids = [
        np.unique(np.maximum(np.round(mean + sd * reach), 1.0)) for mean, sd in zip(here + centre, spread, strict=True)
    ]
    corners = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, here.size)
    away = corners - here - centre
    log_density = -0.5 * np.einsum("ij,ij->i", away, np.linalg.solve(covariance, away.T).T)
    density = np.exp(log_density - log_density.max())
    chosen = corners[rng.choice(len(corners), _PROPOSALS, p=density / density.sum())]
    gaps = 2 * _REACH * spread / (_PLACES - 1)
    jitter = np.round((rng.random(chosen.shape) - 0.5) * np.where(gaps > 1.0, gaps, 0.0))
    return np.asarray(np.maximum(chosen + jitter, 1.0) - here)
