"""Latencies of served requests from requests that are only known in groups.

A source without single requests gives *bins*: so many residence times lie between two edges
(a rounded histogram, percentiles, Prometheus buckets), often of all outcomes blended. What follows
from them are bounds, not numbers:

- **Bins.** With n times in bins [a_i, b_i], the k-th smallest time lies between the k-th smallest
  lower edge and the k-th smallest upper edge, edges repeated by count. (Replacing every time by
  something smaller makes every order statistic smaller.) This also holds where bins overlap.
- **Blending.** When e of the n blended requests were not served, the k-th smallest served time lies
  between the k-th and the (k + e)-th smallest time of the blend: the e others stand in the highest
  or in the lowest places. (Horowitz and Manski 1995, Identification and robustness with contaminated
  and corrupted data, Econometrica 63: these bounds are sharp.)
- **Sampling.** The ranks l and u between which the long run's q-quantile lies with the stated level
  come from the binomial distribution of how many of m served requests fall below it (David and
  Nagaraja 2003, Order Statistics, sec. 7.1). Requests of a closed loop are correlated, which bins
  cannot show; the ranks' distance from q m is therefore stretched by the square root of a
  `design_effect` (Kish 1965, Survey Sampling).

The interval of a metric runs from the lower bound at rank l to the upper bound at rank u, so it
claims its level whatever the times inside the bins and whoever the requests not served were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import binomial_quantile, t_quantile
from loadtests.tables import ANY_OUTCOME

Floats = NDArray[np.float64]

LEVEL = 0.9
DESIGN_EFFECT = 1.0
"""Of independent requests: the variance of what they tell, relative to theirs."""
DESIGN_EFFECTS: dict[str, float] = {"mean_s": 39.1, "p50_s": 34.4, "p95_s": 8.4, "p99_s": 2.8}
"""Of requests of closed loops: the 90th percentile over 17 levels below, at and beyond the knee of two servers
(`tests/studies/bin_design_effect.py`); below the knee they are near 1, beyond it waiting moves all requests alike."""
QUANTILES: dict[str, float] = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
_MOST_FROM_OUTSIDE = 0.5
_ROUNDING = 1e-9
_POINT_S = 1e-12


@dataclass(frozen=True, eq=False)
class LatencyBins:
    """How many residence times lie between which edges. Bins may overlap, and need no order.

    Parameters
    ----------
    low_s, high_s : array of float, shape (n,)
        Times lie in [low_s, high_s], seconds; `high_s` may be infinite.
    count : array of float, shape (n,)
        How many; fractions are allowed.

    Raises
    ------
    InputError
        When a bin ends before it begins, or a count is negative or no number.
    """

    low_s: Floats
    high_s: Floats
    count: Floats

    def __post_init__(self) -> None:
        for name in ("low_s", "high_s", "count"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        in_order = np.all((self.low_s >= 0) & (self.high_s >= self.low_s))
        if not (in_order and np.all(self.count >= 0) and np.all(np.isfinite(self.count))):
            raise InputError(
                "Latency bins need 0 <= low_s <= high_s and counts that are finite numbers from 0; at least one is not."
            )

    @classmethod
    def of(cls, low_s: ArrayLike, high_s: ArrayLike, count: ArrayLike) -> LatencyBins:
        """Bins of anything that numpy takes for arrays."""
        return cls(*(np.asarray(values, dtype=float) for values in (low_s, high_s, count)))

    @classmethod
    def of_table(cls, rows: pd.DataFrame) -> LatencyBins:
        """Bins of rows of a recording's `latency_bins` table."""
        return cls.of(*(rows[name].to_numpy(dtype=float) for name in ("low_s", "high_s", "count")))

    @property
    def total(self) -> float:
        """Number of requests in all bins."""
        return float(self.count.sum())


def rank_bounds(bins: LatencyBins, low_rank: float, high_rank: float, excluded: float = 0.0) -> tuple[float, float]:
    """Bounds of the served requests' order statistics from `low_rank` to `high_rank`.

    Parameters
    ----------
    bins : LatencyBins
    low_rank, high_rank : float
        1 is the smallest served time.
    excluded : float
        How many of the requests in the bins were not served; nothing is known of their times.

    Returns
    -------
    tuple of float
        Seconds. 0 for ranks below 1, infinite for ranks above the number of served requests.
    """
    low = 0.0 if low_rank < 1 - _ROUNDING else _order_statistic(bins.low_s, bins.count, low_rank)
    return low, _order_statistic(bins.high_s, bins.count, high_rank + excluded)


def quantile_bounds(bins: LatencyBins, probability: float, excluded: float = 0.0) -> tuple[float, float]:
    """Bounds of a quantile of the served requests in the bins, without sampling error.

    They hold for the inverse of the empirical distribution and for numpy's linear quantile:
    the ranks are floor(h) + 1 and ceil(h) + 1 with h = (m - 1) q for m served requests.

    Parameters
    ----------
    bins : LatencyBins
    probability : float
        q, 0 to 1.
    excluded : float
        How many of the requests in the bins were not served.

    Returns
    -------
    tuple of float
        Seconds; NaN when no request was served.
    """
    served = bins.total - excluded
    if served < 1 - _ROUNDING:
        return math.nan, math.nan
    place = (served - 1) * probability
    return rank_bounds(bins, math.floor(place + _ROUNDING) + 1, min(math.ceil(place - _ROUNDING) + 1, served), excluded)


def mean_bounds(
    bins: LatencyBins, excluded: float = 0.0, total_s: float | None = None, outside: float = 0.0
) -> tuple[float, float]:
    """Bounds of the mean of the served requests in the bins, without sampling error.

    Between the mean of the lower edges of the m lowest and of the upper edges of the m highest
    requests. Where the sum of all times is known, what the others can have taken at most and at
    least is subtracted from it, and the narrower of both bounds counts.

    Parameters
    ----------
    bins : LatencyBins
    excluded : float
        How many of the requests in the bins were not served.
    total_s : float, optional
        Sum of the residence times of the requests in the bins, without those outside, seconds.
    outside : float
        How many of the excluded are not in `total_s`.

    Returns
    -------
    tuple of float
        Seconds; NaN when no request was served.
    """
    served = bins.total - excluded
    if served <= _ROUNDING:
        return math.nan, math.nan
    low = _sum_of_lowest(bins.low_s, bins.count, served) / served
    high = _sum_of_highest(bins.high_s, bins.count, served) / served
    if total_s is None:
        return low, high
    others = max(excluded - outside, 0.0)
    by_total_low = (total_s - _sum_of_highest(bins.high_s, bins.count, others)) / served
    by_total_high = (total_s - _sum_of_lowest(bins.low_s, bins.count, others)) / served
    narrow = max(low, by_total_low), min(high, by_total_high)
    return narrow if narrow[0] <= narrow[1] else (low, high)


def quantile_interval(
    bins: LatencyBins,
    probability: float,
    excluded: float = 0.0,
    *,
    fastest: float = 0.0,
    level: float = LEVEL,
    design_effect: float = DESIGN_EFFECT,
) -> Interval:
    """Interval of a long-run quantile of served requests: bin edges, blending and sampling together.

    Parameters
    ----------
    bins : LatencyBins
    probability : float
        q, 0 to 1.
    excluded : float
        How many of the requests in the bins were not served.
    fastest : float
        How many of the excluded `mid` takes for the fastest ones, as those that a gate turns away
        are; it takes the others for as fast as the served. The ends do not depend on it.
    level : float
    design_effect : float
        Variance relative to independent requests, at least 1.

    Returns
    -------
    Interval
        Without `mid` (not known, `low` kept) where no upper end follows from the bins: the last
        one is open, or there are too few requests.
    """
    served = bins.total - excluded
    if served < 1 - _ROUNDING:
        return Interval.unknown(level)
    sampled = rank_bounds(bins, *_sampling_ranks(served, probability, level, design_effect), excluded)
    bounds = quantile_bounds(bins, probability, excluded)
    mid = spread_quantile(bins, fastest + probability * (bins.total - fastest))
    return _interval((min(sampled[0], bounds[0]), max(sampled[1], bounds[1])), bounds, mid, level)


def mean_interval(
    bins: LatencyBins,
    excluded: float = 0.0,
    total_s: float | None = None,
    *,
    outside: float = 0.0,
    fastest: float = 0.0,
    level: float = LEVEL,
    design_effect: float = DESIGN_EFFECT,
) -> Interval:
    """Interval of the long-run mean of served requests: bin edges, blending and sampling together.

    The sampling error is Student's with the largest standard deviation that the bins allow.

    Parameters
    ----------
    bins : LatencyBins
    excluded, total_s, outside
        As in `mean_bounds`.
    fastest, level, design_effect
        As in `quantile_interval`.

    Returns
    -------
    Interval
        Without `mid` where no upper end follows.
    """
    served = bins.total - excluded
    bounds = mean_bounds(bins, excluded, total_s, outside)
    if served < 2 or not math.isfinite(bounds[1]):
        return Interval(bounds[0], math.nan, math.inf, level)
    mid = min(max(_likely_mean(bins, fastest, total_s, outside), bounds[0]), bounds[1])
    tail = 1 - (1 - level) / 2
    error = float(t_quantile(tail, max(served / design_effect - 1, 1)))
    error *= _largest_deviation(bins, served, mid) * math.sqrt(design_effect / served)
    return _interval((bounds[0] - error, bounds[1] + error), bounds, mid, level)


def step_metrics_of_bins(
    rows: pd.DataFrame,
    outcomes: Mapping[str, int],
    *,
    total_s: float | None = None,
    level: float = LEVEL,
    design_effect: float = DESIGN_EFFECT,
) -> dict[str, Interval]:
    """The latency metrics of a step (`mean_s`, `p50_s`, `p95_s`, `p99_s` of served requests).

    Bins of served requests are used where there are any. Else those of all outcomes blended are,
    and everything in them beyond the served requests is excluded: other outcomes, and requests from
    outside the step where the bins hold more than the step has (a histogram that cannot be cut in
    time). Shed requests are taken for the fastest in `mid`, not in the ends.

    Parameters
    ----------
    rows : pandas.DataFrame
        The step's rows, columns `LATENCY_BIN_COLUMNS`. Rows of all endpoints together (an empty
        `endpoint`) are preferred to rows by endpoint.
    outcomes : mapping of str to int
        Number of requests by outcome.
    total_s : float, optional
        Sum of the residence times of the requests that `outcomes` counts, seconds.
    level : float
    design_effect : float
        At least this one counts; otherwise that of the metric in `DESIGN_EFFECTS`.

    Returns
    -------
    dict of str to Interval
        Unknown where nothing was served; the percentiles also where most of what the bins hold is
        from outside the step.
    """
    positive("design_effect", design_effect)
    bins, excluded, fastest, is_usable = _bins_of_step(rows, outcomes)
    unknown = {name: Interval.unknown(level) for name in ("mean_s", *QUANTILES)}
    if excluded >= bins.total or not (is_usable or total_s is not None):
        return unknown
    effects = {name: max(effect, design_effect) for name, effect in DESIGN_EFFECTS.items()}
    number = sum(outcomes.values())
    mean = mean_interval(
        bins, excluded, None if total_s is None else total_s * min(bins.total / number, 1.0),
        outside=max(bins.total - number, 0.0), fastest=fastest, level=level, design_effect=effects["mean_s"],
    )  # fmt: skip
    if not is_usable:
        return {**unknown, "mean_s": mean}
    quantiles = {
        name: quantile_interval(bins, q, excluded, fastest=fastest, level=level, design_effect=effects[name])
        for name, q in QUANTILES.items()
    }
    return {"mean_s": mean, **quantiles}


def _bins_of_step(rows: pd.DataFrame, outcomes: Mapping[str, int]) -> tuple[LatencyBins, float, float, bool]:
    """The bins to use, how many in them were not served, how many of those are shed, and whether that tells enough."""
    of_served = rows[rows["outcome"] == "served"]
    chosen = of_served if len(of_served) else rows[rows["outcome"] == ANY_OUTCOME]
    together = chosen[chosen["endpoint"] == ""]
    bins = LatencyBins.of_table(together if len(together) else chosen)
    total, served = sum(outcomes.values()), outcomes.get("served", 0)
    if len(of_served):
        return bins, 0.0, 0.0, bins.total > 0
    if not served or not bins.total:
        return bins, bins.total, 0.0, False
    excluded = bins.total - served * min(bins.total / total, 1.0)
    is_usable = total >= (1 - _MOST_FROM_OUTSIDE) * bins.total
    return bins, excluded, bins.total * outcomes.get("shed", 0) / total, is_usable


def _likely_mean(bins: LatencyBins, fastest: float, total_s: float | None, outside: float) -> float:
    """The mean of all but the `fastest`: of the sum where it is known (those take next to no time), else of bins."""
    middle = (bins.low_s + bins.high_s) / 2
    rest = bins.total - fastest
    if total_s is None:
        return _sum_of_highest(middle, bins.count, rest) / rest
    inside = 1.0 - outside / bins.total
    return (total_s - _sum_of_lowest(bins.low_s, bins.count, fastest * inside)) / (rest * inside)


def _sampling_ranks(served: float, probability: float, level: float, design_effect: float) -> tuple[float, float]:
    """Ranks between which the long run's quantile lies; below 1 or above `served`: no such order statistic."""
    tail, centre = (1.0 - level) / 2.0, served * probability
    whole = max(math.floor(served), 1)
    low, high = (float(binomial_quantile(at, whole, probability)) for at in (tail, 1.0 - tail))
    stretch = math.sqrt(design_effect)
    low_rank = math.floor(centre - stretch * (centre - low))
    return low_rank, math.ceil(centre + stretch * (high + 1 - centre))


def _order_statistic(edges: Floats, count: Floats, rank: float) -> float:
    """The smallest edge up to which at least `rank` requests lie; infinite when there are not so many."""
    used = count > 0
    order = np.argsort(edges[used], kind="stable")
    cumulative = np.cumsum(count[used][order])
    place = int(np.searchsorted(cumulative, rank * (1 - _ROUNDING)))
    return float(edges[used][order][place]) if place < len(cumulative) else math.inf


def _sum_of_lowest(edges: Floats, count: Floats, number: float) -> float:
    """Sum of the `number` lowest edges, repeated by count."""
    order = np.argsort(edges, kind="stable")
    before = np.cumsum(count[order]) - count[order]
    taken = np.clip(number - before, 0.0, count[order])
    used = taken > 0
    return float(edges[order][used] @ taken[used])


def _sum_of_highest(edges: Floats, count: Floats, number: float) -> float:
    return -_sum_of_lowest(-edges, count, number)


def spread_quantile(bins: LatencyBins, rank: float) -> float:
    """The `rank`-th time if each bin's times were spread evenly between its edges, an open bin's at its lower edge.

    Parameters
    ----------
    bins : LatencyBins
    rank : float
        From 0 to the number of requests in the bins.

    Returns
    -------
    float
        Seconds.
    """
    high = np.where(np.isfinite(bins.high_s), bins.high_s, bins.low_s)
    width = high - bins.low_s
    is_wide = width > _POINT_S
    edges, place = np.unique(np.concatenate([bins.low_s, high]), return_inverse=True)
    first, last = place[: len(width)], place[len(width) :]
    density = np.divide(bins.count, width, out=np.zeros(len(width)), where=is_wide)
    slope = np.cumsum(np.bincount(first, density, len(edges)) - np.bincount(last, density, len(edges)))
    jump = np.bincount(first, np.where(is_wide, 0.0, bins.count), len(edges))
    before = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(edges))]) + np.cumsum(jump) - jump
    cumulative = np.maximum.accumulate(np.column_stack([before, before + jump]).ravel())
    return float(np.interp(rank, cumulative, np.repeat(edges, 2)))


def _largest_deviation(bins: LatencyBins, served: float, centre: float) -> float:
    """The largest root mean square distance from `centre` that `served` of the requests can have."""
    distance = np.maximum((bins.low_s - centre) ** 2, (bins.high_s - centre) ** 2)
    return math.sqrt(_sum_of_highest(distance, bins.count, served) / served)


def _interval(ends: tuple[float, float], bounds: tuple[float, float], mid: float, level: float) -> Interval:
    low, high = max(ends[0], 0.0), ends[1]
    if not math.isfinite(high):
        return Interval(low, math.nan, math.inf, level)
    return Interval(low, min(max(mid, bounds[0]), bounds[1]), high, level)
