"""The metrics of a steady window with their intervals, from the requests that finished in it.

Each metric's error is that of a mean over time: of the metric's influence [1]_, what an interval of
time adds to it, relative to its value (rates, mean) or on the scale of log odds (shares: the shed
rate, and of a quantile the share of requests above it, which the sample's quantiles then turn into
times [2]_). Its variance is that of blocks of time (`loadtests.estimation.correlation`), one block length for
all metrics of a window: twice the longest that the automatic choice finds for any of them (it
minimises the error of the variance; an interval needs less bias than that), at least a user's cycle,
at most a sixth of the window. Student's t with one degree of freedom less than there are blocks.

The far tail of a window may lie below the long run's: a queue that rose twice tells little of how
high it may rise. So a quantile's upper end is at least as many times above it as the lower is below.

References
----------
.. [1] F. R. Hampel, "The influence curve and its role in robust estimation", J. Am. Stat. Assoc. 69,
   1974, pages 383-393.
.. [2] R. S. Woodruff, "Confidence intervals for medians and other position measures", J. Am. Stat.
   Assoc. 47, 1952, pages 635-646.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from loadtests.estimation.block_bootstrap import ENOUGH_BLOCKS, exact_fraction_interval
from loadtests.estimation.correlation import Floats, intervals_for, optimal_block_length, variance_of_mean
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import t_quantile

QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
FEWEST_BLOCKS = 6
_LONGER_THAN_OPTIMAL = 2.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Blocks:
    """How a window is cut: into equal intervals, so many to a block.

    Parameters
    ----------
    intervals : int
    length : int
        Intervals of a block.
    """

    intervals: int
    length: int

    @property
    def number(self) -> float:
        """Blocks that the window holds."""
        return self.intervals / self.length

    @property
    def are_few(self) -> bool:
        """Whether there are fewer than 20."""
        return self.number < ENOUGH_BLOCKS

    def variance_of(self, influence: Floats) -> float:
        """Variance of a metric on its influence's scale, put right for so many blocks; of `number` - 1 degrees."""
        return variance_of_mean(influence, self.length) * self.number / (self.number - 1.0)

    def t_factor(self, level: float) -> float:
        """Half-width of an interval, in standard errors by the blocks."""
        number = self.number
        quantile = float(t_quantile(1.0 - (1.0 - level) / 2.0, number - 1.0))
        return quantile * math.sqrt(number / (number - 1.0))


@dataclass(frozen=True)
class WindowRows:
    """The rows of a window as arrays, each with the number of its interval of time.

    Parameters
    ----------
    length_s : float
    cycle_s : float
        Mean cycle of a user, by N = X (R + Z); infinite without requests.
    intervals : int
    interval : array of int
        By row.
    served, shed : array of bool
    residence_s : array of float
    """

    length_s: float
    cycle_s: float
    intervals: int
    interval: NDArray[np.int64]
    served: Flags
    shed: Flags
    residence_s: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, users: int, start_s: float, length_s: float) -> WindowRows:
        """From the requests that finished in the window that starts at `start_s`."""
        finish = rows["finish_s"].to_numpy(dtype=float)
        intervals = intervals_for(finish.size)
        place = ((finish - start_s) / length_s * intervals).astype(np.int64)
        return cls(
            length_s=length_s,
            cycle_s=users * length_s / finish.size if finish.size else math.inf,
            intervals=intervals,
            interval=np.clip(place, 0, intervals - 1),
            served=(rows["outcome"] == "served").to_numpy(dtype=bool),
            shed=(rows["outcome"] == "shed").to_numpy(dtype=bool),
            residence_s=finish - rows["start_s"].to_numpy(dtype=float),
        )

    @cached_property
    def ordered_s(self) -> Floats:
        """Residence times of the served requests, ascending."""
        return np.sort(self.residence_s[self.served])

    def per_interval(self, rows: Flags | None = None, of: Floats | None = None) -> Floats:
        """Number of rows in each interval, or the sum of their values."""
        where = self.interval if rows is None else self.interval[rows]
        weights = of if of is None or rows is None else of[rows]
        return np.bincount(where, weights, minlength=self.intervals).astype(float)


def blocks_of(rows: WindowRows) -> Blocks:
    """Blocks as long as the metrics' correlation asks for.

    Parameters
    ----------
    rows : WindowRows

    Returns
    -------
    Blocks
    """
    return _blocks(rows, influences(rows))


def _blocks(rows: WindowRows, series: dict[str, Floats]) -> Blocks:
    longest = max((optimal_block_length(values) for values in series.values()), default=1.0)
    cycle = rows.cycle_s / rows.length_s * rows.intervals
    wanted = max(_LONGER_THAN_OPTIMAL * longest, cycle)
    most = rows.intervals // FEWEST_BLOCKS
    return Blocks(rows.intervals, most if wanted >= most else math.ceil(wanted))


def influences(rows: WindowRows) -> dict[str, Floats]:
    """What each interval of time adds to each metric, mean 0 over the intervals; only for metrics that vary.

    Parameters
    ----------
    rows : WindowRows

    Returns
    -------
    dict of str to array
    """
    every, served = rows.per_interval(), rows.per_interval(rows.served)
    series = {}
    if every.sum():
        series["throughput_rps"] = every / every.mean() - 1.0
        shed = rows.per_interval(rows.shed)
        if 0.0 < shed.sum() < every.sum():
            series["shed_rate"] = share_influence(shed, every)
    if served.sum():
        series["goodput_rps"] = served / served.mean() - 1.0
        series.update(_latency_influences(rows, served))
    return series


def _latency_influences(rows: WindowRows, served: Floats) -> dict[str, Floats]:
    series, mean = {}, float(rows.ordered_s.mean())
    if mean > 0:
        total = rows.per_interval(rows.served, rows.residence_s)
        series["mean_s"] = (total / mean - served) / served.mean()
    for name, value in zip(QUANTILES, _quantiles(rows.ordered_s, QUANTILES.values()), strict=True):
        above = rows.per_interval(rows.served & (rows.residence_s > value))
        if above.sum() > 0.0:
            series[name] = share_influence(above, served)
    return series


def share_influence(part: Floats, whole: Floats) -> Floats:
    """What each interval of time adds to a share of requests, on the scale of log odds.

    Parameters
    ----------
    part, whole : array
        Requests in each interval; the share must lie between 0 and 1.

    Returns
    -------
    array
    """
    share = float(part.sum() / whole.sum())
    influence: Floats = (part - share * whole) / whole.mean() / (share * (1.0 - share))
    return influence


def metrics_of(rows: WindowRows, level: float) -> tuple[dict[str, Interval], Blocks]:
    """Every step metric with its interval, and the blocks that it comes from.

    Parameters
    ----------
    rows : WindowRows
    level : float

    Returns
    -------
    dict of str to Interval, Blocks
        Rates are per second of the window; latencies are of served requests.
    """
    series = influences(rows)
    blocks = _blocks(rows, series)
    factor = blocks.t_factor(level)

    def half(name: str) -> float:
        """Half-width on the metric's own scale."""
        values = series.get(name)
        return 0.0 if values is None else factor * math.sqrt(variance_of_mean(values, blocks.length))

    total, served, shed = rows.served.size, int(rows.served.sum()), int(rows.shed.sum())
    return {
        "throughput_rps": _rate(total, rows.length_s, half("throughput_rps"), level),
        "goodput_rps": _rate(served, rows.length_s, half("goodput_rps"), level),
        "shed_rate": _share(shed, total, half("shed_rate"), level),
        **_latencies(rows.ordered_s, half, level),
    }, blocks


def _rate(count: int, length_s: float, half: float, level: float) -> Interval:
    """With nothing counted: up to the rate that would count something in `level` of such windows (Poisson)."""
    if count == 0:
        return Interval(0.0, 0.0, -math.log1p(-level) / length_s, level)
    return _relative(count / length_s, half, level)


def _relative(mid: float, half: float, level: float) -> Interval:
    return Interval(mid * math.exp(-half), mid, mid * math.exp(half), level)


def _share(hits: int, total: int, half: float, level: float) -> Interval:
    """The wider of the blocks' interval and the exact one for independent requests."""
    exact = exact_fraction_interval(hits, total, level)
    if not 0 < hits < total:
        return exact
    low, high = _moved(hits / total, half)
    return Interval(min(low, exact.low), exact.mid, max(high, exact.high), level)


def _latencies(times: Floats, half: Callable[[str], float], level: float) -> dict[str, Interval]:
    if times.size == 0:
        return {name: Interval.unknown(level) for name in ("mean_s", *QUANTILES)}
    found = {"mean_s": _relative(float(times.mean()), half("mean_s"), level)}
    for name, probability in QUANTILES.items():
        low_s, mid_s, high_s = quantile_ends(times, probability, half(name))
        found[name] = Interval(low_s, mid_s, high_s, level)
    return found


def quantile_ends(ordered_s: Floats, probability: float, half: float) -> tuple[float, float, float]:
    """A quantile between the times to which its share of requests, moved by `half` on log odds, leads.

    Parameters
    ----------
    ordered_s : array
        Times, ascending; at least one.
    probability : float
    half : float

    Returns
    -------
    low_s, mid_s, high_s : float
        The upper end is at least as many times above the middle as the lower is below.
    """
    low, high = _moved(probability, half)
    low_s, mid_s, high_s = _quantiles(ordered_s, (low, probability, high))
    if low_s > 0:
        high_s = max(high_s, mid_s * mid_s / low_s)
    return min(low_s, mid_s), mid_s, max(high_s, mid_s)


def _quantiles(ordered: Floats, probabilities: Iterable[float]) -> list[float]:
    """As `numpy.quantile`, without sorting again."""
    places = np.asarray(list(probabilities)) * (ordered.size - 1)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, ordered.size - 1)
    found: list[float] = (ordered[below] + (places - below) * (ordered[above] - ordered[below])).tolist()
    return found


def _moved(share: float, half: float) -> tuple[float, float]:
    """A share moved down and up by `half` on the scale of log odds."""
    odds = special.logit(share)
    return float(special.expit(odds - half)), float(special.expit(odds + half))
