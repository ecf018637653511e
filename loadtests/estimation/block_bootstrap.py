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
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import beta_quantile, normal_quantile, t_quantile

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 400
ENOUGH_BLOCKS = 20
_FINE = np.arange(-60, 61) / 10.0
_COARSE = 25


def resampled_weights(blocks: int, random: np.random.Generator) -> Floats:
    """How often each block occurs in each resample, shape (`RESAMPLES`, `blocks`)."""
    return np.asarray(random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=RESAMPLES), dtype=float)


def circular_weights(intervals: int, length: int, random: np.random.Generator) -> Floats:
    """How often each interval of time occurs in each resample of blocks of `length` intervals, laid in a circle.

    Blocks may begin at any interval (Politis and Romano 1992), as many as fill the window, to the
    nearest whole number.

    Parameters
    ----------
    intervals : int
    length : int
        Intervals of a block.
    random : numpy.random.Generator

    Returns
    -------
    array, shape (`RESAMPLES`, `intervals`)
    """
    blocks = max(round(intervals / length), 1)
    begins = random.multinomial(blocks, np.full(intervals, 1.0 / intervals), size=RESAMPLES)
    running = np.cumsum(np.concatenate([begins[:, intervals - length + 1 :], begins], axis=1), axis=1)
    before = np.concatenate([np.zeros((RESAMPLES, 1), dtype=running.dtype), running[:, :-length]], axis=1)
    return np.asarray(running[:, length - 1 :] - before, dtype=float)


def ratio_draws(weights: Floats, numerators: Floats, denominators: Floats) -> Floats:
    """Sum over sum of per-block numbers, for each resample; NaN where the denominator is 0."""
    above, below = weights @ numerators, weights @ denominators
    ratios: Floats = np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)
    return ratios


def quantile_draws(weights: Floats, values: Floats, block: Integers, probabilities: Sequence[float]) -> Floats:
    """Quantiles of the pooled values for each resample, shape (`RESAMPLES`, len(`probabilities`)).

    Values are grouped by rank, finely around each quantile (a tenth of the standard error that
    independent values would have, out to six of them), so the cost does not grow with resamples
    times values.

    Parameters
    ----------
    weights : array, shape (resamples, blocks)
    values : array
    block : array of int
        The block that each value belongs to.
    probabilities : sequence of float
    """
    order = np.argsort(values, kind="stable")
    last = _last_ranks(len(values), probabilities)
    group = np.searchsorted(last, np.arange(1, len(values) + 1))
    upper, groups = values[order][last - 1], len(last)
    cells = block[order] * groups + group
    counts = np.bincount(cells, minlength=weights.shape[1] * groups).reshape(weights.shape[1], groups)
    cumulative = np.cumsum(weights @ counts.astype(float), axis=1)
    total = cumulative[:, -1:]
    places = [(cumulative < total * wanted).sum(axis=1) for wanted in probabilities]
    return np.where(total > 0, upper[np.minimum(np.column_stack(places), groups - 1)], np.nan)


def _last_ranks(count: int, probabilities: Sequence[float]) -> Integers:
    """The last rank (from 1) of each group of values."""
    ranks = [np.array([count], dtype=float)]
    for probability in probabilities:
        error = math.sqrt(count * probability * (1.0 - probability))
        far = np.geomspace(_FINE[-1], max(count / max(error, 1e-9), _FINE[-1] + 1.0), _COARSE)
        ranks += [probability * count + error * move for move in (_FINE, far, -far)]
    found = np.unique(np.ceil(np.concatenate(ranks)).astype(np.int64))
    return np.asarray(found[(found >= 1) & (found <= count)])


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
