"""Joint draws of everything that was fitted: numbers by the linearised fit, limits by their profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.calibration.limit_search import LimitProfile, birge_factor
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.result import ParameterDraws

Floats = NDArray[np.float64]

DRAWS = 400
_MOST_SPREAD = 3.0


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
    covariance = np.linalg.pinv(jacobian.T @ jacobian) * birge_factor(problem, best)
    return Posterior(best, (covariance + covariance.T) / 2, profiles)


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
    limits = []
    for profile in known.profiles:
        rows = rng.choice(len(profile.values), count, p=profile.weights)
        theta = theta + (profile.thetas[rows] - best)
        jitter = np.round((rng.random(count) - 0.5) * (profile.spacing - 1))
        limits.append(np.maximum(np.asarray(profile.values)[rows] + jitter, 1.0))
    numbers = form.values(np.clip(theta, *form.bounds))
    names = (*form.names, *(profile.name for profile in known.profiles))
    return ParameterDraws(names, np.column_stack([numbers, *limits]) if limits else numbers)
