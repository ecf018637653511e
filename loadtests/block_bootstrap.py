"""Intervals of a time series' statistics by resampling blocks of time.

Requests of a closed loop are correlated (a slow second is slow for everybody),
so whole blocks of time are drawn with replacement, not single requests
(Kuensch 1989, The jackknife and the bootstrap for general stationary
observations, Ann. Statist. 17). With few blocks the spread between resamples is
too small by sqrt((k - 1) / k) and its tails by the ratio of Student's to the
normal quantile; below `ENOUGH_BLOCKS` both are put back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loadtests.foundation.intervals import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 400
ENOUGH_BLOCKS = 20
_BINS = 2_000


def resampled_weights(blocks: int, random: np.random.Generator) -> Floats:
    """How often each block occurs in each resample, shape (`RESAMPLES`, `blocks`)."""
    return np.asarray(random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES), dtype=float)


def ratio_draws(weights: Floats, numerators: Floats, denominators: Floats) -> Floats:
    """Sum over sum of per-block numbers, for each resample; NaN where the denominator is 0."""
    above, below = weights @ numerators, weights @ denominators
    ratios: Floats = np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)
    return ratios


def quantile_draws(weights: Floats, values: Floats, block: Integers, probabilities: Sequence[float]) -> Floats:
    """Quantiles of the pooled values for each resample, shape (`RESAMPLES`, len(`probabilities`)).

    Values are grouped by rank into at most 2,000 bins, so the cost does not
    grow with resamples times values.

    Parameters
    ----------
    weights : array, shape (resamples, blocks)
    values : array
    block : array of int
        The block that each value belongs to.
    probabilities : sequence of float
    """
    order = np.argsort(values, kind="stable")
    bins = min(_BINS, len(values))
    edge = (np.arange(len(values)) * bins) // len(values)
    upper = values[order][np.flatnonzero(np.diff(edge, append=bins))]
    counts = np.zeros((weights.shape[1], bins))
    np.add.at(counts, (block[order], edge), 1.0)
    cumulative = np.cumsum(weights @ counts, axis=1)
    wanted = cumulative[:, -1:] * np.asarray(probabilities)
    places = (cumulative[:, None, :] < wanted[:, :, None]).sum(axis=2)
    return np.where(cumulative[:, -1:] > 0, upper[np.minimum(places, bins - 1)], np.nan)


def widening(blocks: int, level: float) -> float:
    """The factor by which few blocks make a bootstrap interval too narrow; 1 from `ENOUGH_BLOCKS` on."""
    if blocks >= ENOUGH_BLOCKS:
        return 1.0
    tail = 1 - (1 - level) / 2
    return float(stats.t.ppf(tail, blocks - 1) / stats.norm.ppf(tail) * math.sqrt(blocks / (blocks - 1)))


def interval_of(draws: Floats, mid: float, blocks: int, level: float) -> Interval:
    """Interval around `mid` from its resampled values, widened for few blocks, never below 0."""
    if math.isnan(mid) or blocks < 2:
        return Interval.unknown(level)
    plain = Interval.from_draws(draws, level=level, mid=mid)
    factor = widening(blocks, level)
    low, high = mid + factor * (plain.low - mid), mid + factor * (plain.high - mid)
    return Interval(max(low, 0.0) if mid >= 0 else low, mid, high, level, "confidence")


def fraction_interval(draws: Floats, hits: int, total: int, blocks: int, level: float = 0.9) -> Interval:
    """Interval of a fraction: the wider of the block bootstrap's and the exact binomial one.

    With no hit at all the lower end is 0 and the upper end is the one-sided
    exact bound 1 - (1 - level)^(1/total) (Clopper and Pearson 1934), the "rule
    of three" at level 0.95; with nothing but hits, the mirror image.
    """
    if total == 0:
        return Interval.unknown(level)
    one_sided = (1.0 - level) ** (1.0 / total)
    if hits == 0:
        return Interval(0.0, 0.0, 1.0 - one_sided, level, "confidence")
    if hits == total:
        return Interval(one_sided, 1.0, 1.0, level, "confidence")
    tail = (1.0 - level) / 2.0
    low = float(stats.beta.ppf(tail, hits, total - hits + 1))
    high = float(stats.beta.ppf(1.0 - tail, hits + 1, total - hits))
    resampled = interval_of(draws, hits / total, blocks, level)
    if resampled.is_known:
        low, high = min(low, resampled.low), max(high, resampled.high)
    return Interval(low, hits / total, min(high, 1.0), level, "confidence")
