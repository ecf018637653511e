"""Warm-up detection: MSER-5, the cut that makes the rest of a series most precise.

A run starts empty, so its first observations are not those of the long run.
MSER [1]_ leaves out the first d of n observations, where d minimises

    z(d) = sum over i > d of (Y_i - mean of the rest)^2 / (n - d)^2,

the squared standard error of the rest's mean, as if it were independent.
MSER-5 [2]_ does so on means of five observations. A minimum in the second half
of the series means that the run is too short to tell its transient from its
long run.

References
----------
.. [1] K. P. White Jr., "An effective truncation heuristic for bias reduction in
   simulation output", Simulation 69(6), 1997, pages 323-334.
.. [2] W. W. Franklin, K. P. White Jr., "Stationarity tests and MSER-5: exploring
   the intuition behind mean-squared-error-reduction in detecting and correcting
   initialization bias", Winter Simulation Conference, 2008, pages 541-546.
.. [3] P. D. Welch, "The statistical analysis of simulation results", in Computer
   Performance Modeling Handbook, Academic Press, 1983, pages 268-328.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError

Floats = NDArray[np.float64]

MSER_BATCH = 5
_LEAST_BATCHES = 10
_KEPT_BATCHES = 5


@dataclass(frozen=True)
class WarmUp:
    """Where a series may be cut.

    Parameters
    ----------
    cut : int
        Observations to leave out at the front.
    observations : int
        Length of the series.
    statistic : float
        MSER's z at the cut, in the square of the observations' unit.
    is_long_enough : bool
        False when the cut lies in the second half, or the series has fewer than ten
        batches: the run is too short, and `cut` must not be relied upon.
    """

    cut: int
    observations: int
    statistic: float
    is_long_enough: bool

    @property
    def fraction(self) -> float:
        """Share of the series that is left out."""
        return self.cut / self.observations


def find_warm_up(series: ArrayLike, *, batch: int = MSER_BATCH) -> WarmUp:
    """MSER on means of `batch` observations (MSER-5 by default) [1]_ [2]_.

    Parameters
    ----------
    series : array_like of float, shape (n,)
        Observations in order, or batch means (then with ``batch=1``).
    batch : int, default 5
        Observations a mean; what does not fill the last one is left out of the statistic.

    Returns
    -------
    WarmUp
        At least five means are always kept, because z falls to 0 with nothing left.

    Raises
    ------
    InputError
        For an empty series, or one with values that are not finite.
    """
    values = _checked(series)
    size = whole("batch", batch, least=1)
    means = _batched(values, size)
    if means.size < _LEAST_BATCHES:
        return WarmUp(0, values.size, float(_statistics(means)[0]) if means.size else 0.0, False)
    searched = _statistics(means)[: means.size - _KEPT_BATCHES + 1]
    best = int(np.argmin(searched))
    return WarmUp(best * size, values.size, float(searched[best]), 2 * best <= means.size)


def find_common_warm_up(replications: ArrayLike, *, batch: int = MSER_BATCH) -> WarmUp:
    """MSER on the average of several replications, observation by observation (as in Welch's procedure [3]_).

    Averaging leaves the transient and takes out the noise, so the cut is more
    reliable than that of any one run; it holds for each of them.

    Parameters
    ----------
    replications : array_like of float, shape (replications, n)
        One series a row, all of the same length.
    batch : int, default 5

    Returns
    -------
    WarmUp

    Raises
    ------
    InputError
        For another shape, or values that are not finite.
    """
    try:
        rows = np.asarray(replications, dtype=float)
    except ValueError:
        raise InputError("Replications must have the same length; cut them to the shortest.") from None
    if rows.ndim != 2 or rows.size == 0:
        raise InputError(f"Replications must have the shape (replications, n); given {rows.shape}.")
    return find_warm_up(rows.mean(axis=0), batch=batch)


def _checked(series: ArrayLike) -> Floats:
    values = np.asarray(series, dtype=float)
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"A series must be one-dimensional and not empty; given the shape {values.shape}.")
    if not np.all(np.isfinite(values)):
        raise InputError(f"A series must be finite; {np.count_nonzero(~np.isfinite(values))} of its values are not.")
    return values


def _batched(values: Floats, size: int) -> Floats:
    whole_batches = values.size // size
    return np.asarray(values[: whole_batches * size].reshape(whole_batches, size).mean(axis=1))


def _statistics(means: Floats) -> Floats:
    """z(d) for d = 0 .. n - 1. Shifted by the last value, so that a constant tail gives exactly 0."""
    backwards = (means - means[-1])[::-1]
    left = np.arange(1, means.size + 1)
    squares = np.cumsum(backwards**2) - np.cumsum(backwards) ** 2 / left
    return np.asarray((np.maximum(squares, 0.0) / left**2)[::-1])
