"""The interval of a long-run mean from one run: batch means that know about their own correlation.

A run is cut into batches; their means are nearly independent when the batches are
long against the correlation time. What correlation remains makes the usual variance
V(m), m the batches' length, too small by a share that falls as 1 / m. So does half
the length, by twice the share: 2 V(m) - V(m / 2) is free of it [1]_. With the
batches kept too short by a von Neumann test [2]_ the pairs are merged once more; the
degrees of freedom are those at which t covers exactly when nothing is correlated.

References
----------
.. [1] D. Vats, J. M. Flegal, "Lugsail lag windows for estimating time-average covariance
   matrices", Biometrika 109(3), 2022, pages 735-750.
.. [2] J. von Neumann, "Distribution of the ratio of the mean square successive difference to the
   variance", Annals of Mathematical Statistics 12(4), 1941, pages 367-395; as a test of batch means:
   G. S. Fishman, "Grouping observations in digital simulation", Management Science 24(5), 1978.
.. [3] B. Schmeiser, "Batch size effects in the analysis of simulation output", Operations
   Research 30(3), 1982, pages 556-568 (10 to 30 batches are enough).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from simulations.analysis.replications import (
    at_least_independent,
    checked_level,
    logit_interval,
    none_seen_interval,
    student_quantile,
)

Floats = NDArray[np.float64]

RECOMMENDED_BATCHES = 64
LEAST_BATCHES = 20
# Pairs of batches and the degrees of freedom at which t with their variance covers 95 % of independent normal
# series: 400,000 series each (at 80 to 99 % the degrees differ by less than 7 %).
_DEGREES = {32: 11.4, 16: 6.2, 10: 4.3}
_SMALLEST_SHARE = 0.5
_MERGE_BEYOND = 1.28
_TOO_SHORT_BEYOND = 2.33


@dataclass(frozen=True)
class BatchInterval:
    """An interval from batch means and what it rests on.

    Parameters
    ----------
    interval : Interval
    batches : int
        How many (merged) batches the variance comes from.
    correlation : float
        Lag-1 correlation of those batches.
    is_long_enough : bool
        False when even the longest batches are significantly correlated (1 % false alarms), or there are
        fewer than 20: the interval is then too narrow, and the run should be longer.
    """

    interval: Interval
    batches: int
    correlation: float
    is_long_enough: bool


def batch_interval_from_series(
    values: ArrayLike, weights: ArrayLike | None = None, level: float = 0.95, *, mid: float | None = None
) -> BatchInterval:
    """Confidence interval of a long-run value from consecutive batches of one run.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The metric in each batch, in order; batches of about equal length, best 64 of them
        (more are merged, 20 is the least that corrects for correlation).
    weights : array_like of float, shape (n,), optional
        What each value is an average of (requests of a batch); the mean is then the ratio of totals.
    level : float, default 0.95
    mid : float, optional
        The metric over the whole run, as the centre (a quantile of the whole run is better than the
        batches' mean). Default: the weighted mean.

    Returns
    -------
    BatchInterval
        Unknown for fewer than two values. Values that are not finite are left out with their weights.

    Raises
    ------
    InputError
        For weights of another shape or below 0, or a level outside 0..1.
    """
    known, sizes = _usable(values, weights)
    if known.size < 2 or sizes.sum() <= 0:
        return BatchInterval(Interval.unknown(checked_level(level)), known.size, math.nan, False)
    mean = float(np.sum(known * sizes) / sizes.sum())
    # Linearised: batches of a ratio become batches of a mean with the same variance.
    batches = (known - mean) * sizes / float(sizes.mean())
    found = _spread(batches)
    half = student_quantile(found.degrees, checked_level(level)) * found.error
    centre = mean if mid is None else mid
    return BatchInterval(Interval(centre - half, centre, centre + half, level), *found.verdict)


def batch_share_interval(
    shares: ArrayLike, requests: ArrayLike, level: float = 0.95, *, cluster_size: float = 1.0
) -> BatchInterval:
    """`batch_interval_from_series` for a share such as the shed rate: on the logit scale, a bound where none is seen.

    Parameters
    ----------
    shares : array_like of float, shape (n,)
        Sheds over requests of each batch.
    requests : array_like of float, shape (n,)
    level : float, default 0.95
    cluster_size : float, default 1
        As for `replications.none_seen_interval`.

    Returns
    -------
    BatchInterval
    """
    found = batch_interval_from_series(shares, requests, level)
    plain = found.interval
    if not plain.is_known:
        return found
    known, sizes = _usable(shares, requests)
    if plain.mid == 0.0:
        seen = none_seen_interval(float(sizes.sum()), level, cluster_size=cluster_size)
    else:
        seen = at_least_independent(
            logit_interval(plain.mid, plain.high - plain.mid, level), float(known @ sizes), float(sizes.sum())
        )
    return replace(found, interval=seen)


@dataclass(frozen=True)
class _Spread:
    """Standard error of the mean, the degrees of freedom it has, and (batches, correlation, is_long_enough)."""

    error: float
    degrees: float
    verdict: tuple[int, float, bool]


def _spread(values: Floats) -> _Spread:
    if values.size < LEAST_BATCHES:
        error = float(np.std(values, ddof=1)) / math.sqrt(values.size)
        return _Spread(error, values.size - 1, (values.size, _lag_1(values), False))
    pairs = 32 if values.size >= 64 else 16 if values.size >= 32 else 10
    pieces = _merged(values, 2 * pairs)
    if pairs == 32 and _von_neumann(pieces) > _MERGE_BEYOND:
        pairs, pieces = 16, _merged(pieces, 32)
    coarse = _merged(pieces, pairs)
    longest = _merged(coarse, min(pairs, 16))
    verdict = (pairs, _lag_1(coarse), _von_neumann(longest) <= _TOO_SHORT_BEYOND)
    return _Spread(_corrected_error(pieces, coarse), _DEGREES[pairs], verdict)


def _corrected_error(pieces: Floats, coarse: Floats) -> float:
    """Square root of (2 V(m) - V(m / 2)), at least half of V(m), over the number of pieces."""
    long, short = 2.0 * float(np.var(coarse, ddof=1)), float(np.var(pieces, ddof=1))
    return math.sqrt(max(2.0 * long - short, _SMALLEST_SHARE * long) / pieces.size)


def _merged(values: Floats, count: int) -> Floats:
    """Means of `count` groups of neighbours; what does not divide evenly is left out at the front."""
    size = values.size // count
    return np.asarray(values[values.size - size * count :].reshape(count, size).mean(axis=1))


def _lag_1(values: Floats) -> float:
    """1 - (mean square successive difference) / (2 variance): von Neumann's estimate."""
    around = float(np.sum((values - values.mean()) ** 2))
    return 1.0 - float(np.sum(np.diff(values) ** 2)) / (2.0 * around) if around > 0 else 0.0


def _von_neumann(values: Floats) -> float:
    """Von Neumann's ratio as a standard normal under independence: large when positively correlated."""
    count = values.size
    return _lag_1(values) * math.sqrt((count**2 - 1) / (count - 2))


def _usable(values: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    known = np.asarray(values, dtype=float)
    sizes = np.ones_like(known) if weights is None else np.asarray(weights, dtype=float)
    if known.ndim != 1 or sizes.shape != known.shape:
        raise InputError(f"Values and weights must be series of one length; given {known.shape} and {sizes.shape}.")
    if np.any(sizes < 0):
        raise InputError("Weights must be 0 or more.")
    kept = np.isfinite(known) & np.isfinite(sizes)
    return np.asarray(known[kept]), np.asarray(sizes[kept])
