"""The state of a linear model today, where some periods of the past are known only by a lower bound, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

Floats = NDArray[np.float64]
_RESAMPLE_BELOW = 0.5


@dataclass(frozen=True, eq=False)
class KalmanFilter:
    """A Kalman filter whose gains do not depend on the data; one series, k states.

    Parameters
    ----------
    design : array, shape (k,)
        What of the state is observed.
    transition : array, shape (k, k)
    start : array, shape (k,)
        State expected before the first period.
    gains : array, shape (n, k)
        Of the state expected next, per unit of the error of prediction.
    variances : array, shape (n,)
        Of the errors of prediction.
    diffuse : int
        First periods, in which the state is all but unknown.
    """

    design: Floats
    transition: Floats
    start: Floats
    gains: Floats
    variances: Floats
    diffuse: int


def states_given_bounds(
    run: KalmanFilter, logs: Floats, bounds: Floats, draws: int, rng: np.random.Generator
) -> Floats:
    """Draws of the state expected next, given what was observed and what is only bounded.

    A period that is only bounded is drawn from its prediction above the bound and weighs as much as that had of
    probability, as in the simulator of Geweke, Hajivassiliou and Keane (J. Geweke, Computing Science and Statistics 23,
    1991); given it, the filter is exact. Draws whose weights have become too uneven are resampled (J. S. Liu, R. Chen,
    Journal of the American Statistical Association 93, 1998).

    Parameters
    ----------
    run : KalmanFilter
    logs : array, shape (n,)
        Observations; in diffuse periods also what stands in for one.
    bounds : array, shape (n,)
        NaN where `logs` was observed, minus infinity where nothing is known.
    draws : int
    rng : numpy Generator

    Returns
    -------
    array, shape (draws, k)
        Equally likely. What the filter itself leaves open about the state is not in it: add its variance.
    """
    states, weights = np.tile(run.start, (draws, 1)), np.zeros(draws)
    for period, (seen, bound) in enumerate(zip(logs, bounds, strict=True)):
        expected, deviation = states @ run.design, float(np.sqrt(run.variances[period]))
        if np.isnan(bound) or period < run.diffuse:
            error = seen - expected
            if period >= run.diffuse:
                weights -= (error / deviation) ** 2 / 2
        else:
            chance = log_ndtr((expected - bound) / deviation)
            weights += chance
            error = -deviation * ndtri_exp(chance + np.log(rng.random(draws)))
        states = states @ run.transition.T + np.outer(error, run.gains[period])
        states, weights = _evened(states, weights, rng, least=_RESAMPLE_BELOW)
    return _evened(states, weights, rng, least=1.0)[0]


def _evened(states: Floats, weights: Floats, rng: np.random.Generator, *, least: float) -> tuple[Floats, Floats]:
    """Resampled, evenly along the weights, where the draws are worth less than this share of their number."""
    shares = np.exp(weights - weights.max())
    shares /= shares.sum()
    if 1.0 / np.sum(shares**2) >= least * len(shares) * (1 - 1e-9):
        return states, weights
    at = (np.arange(len(shares)) + rng.random()) / len(shares)
    chosen = np.minimum(np.searchsorted(np.cumsum(shares), at), len(shares) - 1)
    return states[chosen], np.zeros(len(shares))
