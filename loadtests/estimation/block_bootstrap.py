"""Intervals of a time series' statistics by resampling blocks of time.

Requests of a closed loop are correlated (a slow second is slow for everybody),
so whole blocks of time are drawn with replacement, not single requests
(Kuensch 1989, The jackknife and the bootstrap for general stationary
observations, Ann. Statist. 17). With few blocks the spread between resamples is
too small by sqrt((k - 1) / k) and its tails by the ratio of Student's to the
normal quantile; both are put back. What has fewer than `ENOUGH_BLOCKS` is said to.

A recorded step's own intervals come from the same blocks without drawing: `loadtests.estimation.step_metrics`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import beta_quantile, normal_quantile, t_quantile

Floats = NDArray[np.float64]

RESAMPLES = 400
ENOUGH_BLOCKS = 20


def resampled_weights(blocks: int, random: np.random.Generator) -> Floats:
    """How often each block occurs in each resample, shape (`RESAMPLES`, `blocks`)."""
    return np.asarray(random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES), dtype=float)


def ratio_draws(weights: Floats, numerators: Floats, denominators: Floats) -> Floats:
    """Sum over sum of per-block numbers, for each resample; NaN where the denominator is 0."""
    above, below = weights @ numerators, weights @ denominators
    ratios: Floats = np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)
    return ratios


def widening(blocks: float, level: float) -> float:
    """The factor by which so many blocks make a bootstrap interval too narrow: 1.4 for 6, 1.07 for 20."""
    tail = 1 - (1 - level) / 2
    return float(t_quantile(tail, blocks - 1) / normal_quantile(tail) * math.sqrt(blocks / (blocks - 1)))


def interval_of(draws: Floats, mid: float, blocks: int, level: float) -> Interval:
    """Interval around `mid` from its resampled values, widened for few blocks, never below 0."""
    if math.isnan(mid) or blocks < 2:
        return Interval.unknown(level)
    plain = Interval.from_draws(draws, level=level, mid=mid)
    factor = widening(blocks, level)
    low, high = mid + factor * (plain.low - mid), mid + factor * (plain.high - mid)
    return Interval(max(low, 0.0) if mid >= 0 else low, mid, high, level, "confidence")


def fraction_interval(draws: Floats, hits: int, total: int, blocks: int, level: float = 0.9) -> Interval:
    """Interval of a fraction: the wider of the block bootstrap's and `exact_fraction_interval`."""
    exact = exact_fraction_interval(hits, total, level)
    if not 0 < hits < total:
        return exact
    resampled = interval_of(draws, hits / total, blocks, level)
    if not resampled.is_known:
        return exact
    low, high = min(exact.low, resampled.low), max(exact.high, resampled.high)
    return Interval(low, exact.mid, min(high, 1.0), level, "confidence")


def exact_fraction_interval(hits: int, total: int, level: float = 0.9) -> Interval:
    """Interval of a fraction of independent requests (Clopper and Pearson 1934); unknown without any.

    With no hit at all the lower end is 0 and the upper end is the one-sided
    bound 1 - (1 - level)^(1/total), the "rule of three" at level 0.95; with
    nothing but hits, the mirror image.
    """
    if total == 0:
        return Interval.unknown(level)
    one_sided = (1.0 - level) ** (1.0 / total)
    if hits == 0:
        return Interval(0.0, 0.0, 1.0 - one_sided, level, "confidence")
    if hits == total:
        return Interval(one_sided, 1.0, 1.0, level, "confidence")
    tail = (1.0 - level) / 2.0
    low = beta_quantile(tail, hits, total - hits + 1)
    high = beta_quantile(1.0 - tail, hits + 1, total - hits)
    return Interval(low, hits / total, high, level, "confidence")
