"""Whether a measured series is one of those that the model shows: a Monte Carlo test over all windows and metrics.

The measured series and the simulated ones take part alike: their largest standardised difference from their common
mean is ranked, and the probability of a false alarm is the rank [1]_. It is that of the largest of all differences,
so it holds for the whole series (maxT, [2]_), and whatever correlates windows and metrics (common parameters,
lines that outlast a window) is in the simulated series too.

Two kinds of differences are looked at, of every metric: single windows, and the median of all windows from one on,
which a lasting change moves and a single bad window does not. Since when it lasts is the split that leaves the
smallest absolute differences from the medians before and after [3]_.

References
----------
.. [1] J. Besag, P. Clifford, "Generalized Monte Carlo significance tests", Biometrika 76, 1989.
.. [2] P. H. Westfall, S. S. Young, Resampling-Based Multiple Testing, Wiley, 1993, section 2.3.
.. [3] J. Bai, "Least absolute deviation estimation of a shift", Econometric Theory 11, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.live.windows import LIVE_METRICS, ObservedWindow

Floats = NDArray[np.float64]

SHARES = frozenset({"shed_rate"})
FLOORS = {"goodput_rps": 0.004, "shed_rate": 0.002, "mean_s": 0.006, "p50_s": 0.008, "p95_s": 0.008, "p99_s": 0.015}
"""Agreement that is good enough (relative; points for the shed rate): as the calibration does, the test does not ask
a model to explain less than this."""
_MOST_SPLITS, _FEWEST_LASTING = 200, 3


@dataclass(frozen=True)
class Series:
    """Measured and simulated values on the scale of the test: logarithms, but for shares.

    Parameters
    ----------
    low, high : array, shape (windows, metrics)
        Bounds of what was measured; NaN where it was not, or where the model says nothing.
    simulated : array, shape (draws, windows, metrics)
    """

    low: Floats
    high: Floats
    simulated: Floats

    @classmethod
    def of(cls, windows: Sequence[ObservedWindow], draws: Floats, left_out: Sequence[str] = ()) -> Series:
        """Of measured windows and simulated ones.

        Parameters
        ----------
        windows : sequence of ObservedWindow
        draws : array, shape (draws, windows, `LIVE_METRICS`)
        left_out : sequence of str
            Metrics that are not compared.

        Returns
        -------
        Series
        """
        nothing = (math.nan, math.nan)
        bounds = np.array([[item.metrics.get(name, nothing) for name in LIVE_METRICS] for item in windows])
        for name in left_out:
            bounds[:, LIVE_METRICS.index(name)] = math.nan
        lengths_s = np.array([item.window_s for item in windows])
        low, high, simulated = (_scaled(part, lengths_s) for part in (bounds[..., 0], bounds[..., 1], draws))
        is_told = np.isfinite(simulated).mean(axis=0) > 0.5
        low, high = np.where(is_told, low, math.nan), np.where(is_told, high, math.nan)
        middle = np.nanmedian(np.where(is_told, simulated, 0.0), axis=0)
        return cls(low, high, np.where(np.isfinite(simulated), simulated, middle))

    @property
    def nearest(self) -> Floats:
        """The value within the measured bounds that is nearest to the simulated mean."""
        return np.asarray(np.clip(self.simulated.mean(axis=0), self.low, self.high))

    def joined(self, other: Series) -> Series:
        """The same measurement with the draws of both."""
        return Series(self.low, self.high, np.concatenate([self.simulated, other.simulated]))


@dataclass(frozen=True)
class Ranks:
    """What the test finds, with one kind of draws.

    Parameters
    ----------
    p_value : float
        Of the whole series.
    metric_p : array, shape (metrics,)
        Of each metric, corrected for all windows and metrics.
    lasting_p : array, shape (metrics,)
        Likewise, of the medians from one window on.
    is_beyond : array of bool, shape (windows, metrics)
        Single windows that lie farther off than the level allows for the whole series.
    """

    p_value: float
    metric_p: Floats
    lasting_p: Floats
    is_beyond: NDArray[np.bool_]


def rank_series(series: Series, false_alarms: float) -> Ranks:
    """Rank the measured series among the simulated ones.

    Parameters
    ----------
    series : Series
    false_alarms : float
        Probability of a false alarm over the whole series.

    Returns
    -------
    Ranks
    """
    rows = _deviations(series)
    single = np.abs(_standardised(rows))
    lasting = np.abs(_standardised(_medians_from(rows, np.isfinite(series.low))))
    largest = np.maximum(single.max(axis=(1, 2)), lasting.max(axis=(1, 2)))

    def rank(values: Floats) -> Floats:
        """Share of the series whose largest difference is at least as large."""
        return np.asarray((largest[:, None] >= values.reshape(1, -1)).mean(axis=0)).reshape(values.shape)

    return Ranks(
        float(rank(largest[:1])[0]),
        rank(np.maximum(single[0].max(axis=0), lasting[0].max(axis=0))),
        rank(lasting[0].max(axis=0)),
        rank(single[0]) <= false_alarms,
    )


def lasting_since(series: Series, metric: int, false_alarms: float) -> int:
    """Number of the first window of a lasting change, from 0: 0 where the series does not tell it from the start.

    Parameters
    ----------
    series : Series
    metric : int
    false_alarms : float
        At which a change inside the series is believed.

    Returns
    -------
    int
    """
    measured = np.flatnonzero(np.isfinite(series.low[:, metric]))
    rows = _deviations(series)[:, measured, metric]
    return int(measured[_first_of(rows, FLOORS[LIVE_METRICS[metric]], false_alarms)])


def _first_of(rows: Floats, floor: float, false_alarms: float) -> int:
    """Where the last change begins whose windows before lie inside.

    A change of the server moves a metric by another share at every load, so a split alone may only mean that the load
    has changed. Where what comes before it lies outside too, and at least half as far, that is searched as well.
    """
    if rows.shape[1] < 2:
        return 0
    splits = range(1, rows.shape[1])
    costs = np.array([_absolute(rows[:, :at]) + _absolute(rows[:, at:]) for at in splits])
    gains = _absolute(rows) - costs.min(axis=0)
    if np.mean(gains >= gains[0]) > false_alarms:
        return 0
    first = 1 + int(costs[:, 0].argmin())
    before, after = np.median(rows[:, :first], axis=1), np.median(rows[0, first:])
    sizes = np.abs(before) / math.sqrt(float(before.var()) + floor**2)
    is_outside = np.mean(sizes >= sizes[0]) <= false_alarms
    is_alike = bool(before[0] * after > 0 and abs(before[0]) >= abs(after) / 2)
    return _first_of(rows[:, :first], floor, false_alarms) if is_outside and is_alike else first


def change_since(series: Series, metric: int, since: int) -> Floats:
    """Measured less simulated, the median from a window on: one value a draw.

    Parameters
    ----------
    series : Series
    metric : int
    since : int

    Returns
    -------
    array, shape (draws,)
    """
    measured = np.flatnonzero(np.isfinite(series.low[:, metric]))
    chosen = measured[measured >= since]
    rows = _deviations(series)[:, chosen, metric]
    return np.asarray(np.median(rows[:1], axis=1) - np.median(rows[1:], axis=1))


def _scaled(values: Floats, lengths_s: Floats) -> Floats:
    """Logarithms, but for shares; no goodput counts as half a request in the window."""
    found = np.array(values, dtype=float)
    for place, name in enumerate(LIVE_METRICS):
        if name in SHARES:
            continue
        least = 0.5 / lengths_s if name == "goodput_rps" else np.full_like(lengths_s, 1e-9)
        found[..., place] = np.log(np.maximum(found[..., place], least))
    return found


def _deviations(series: Series) -> Floats:
    """The measured series and the simulated ones, less their common mean; 0 where nothing was measured."""
    rows = np.concatenate([series.nearest[None], series.simulated])
    rows = np.where(np.isfinite(series.low), rows, 0.0)
    return np.asarray(rows - rows.mean(axis=0))


def _standardised(rows: Floats) -> Floats:
    floors = np.array([FLOORS[name] for name in LIVE_METRICS])
    return np.asarray(rows / np.sqrt(rows.var(axis=0) + floors**2))


def _medians_from(rows: Floats, is_measured: NDArray[np.bool_]) -> Floats:
    """By metric the median of all measured windows from each on, of evenly chosen ones where there are many; else 0.

    The last ones begin three windows before the end, where there are so many: a single window lasts for nothing.
    """
    found = np.zeros((len(rows), min(rows.shape[1], _MOST_SPLITS), rows.shape[2]))
    for metric in range(rows.shape[2]):
        mine = rows[:, is_measured[:, metric], metric]
        last = max(0, mine.shape[1] - _FEWEST_LASTING)
        starts = np.unique(np.linspace(0, last, found.shape[1]).round().astype(int)) if mine.size else ()
        for place, start in enumerate(starts):
            found[:, place, metric] = np.median(mine[:, start:], axis=1)
    return found


def _absolute(rows: Floats) -> Floats:
    """Sum of absolute differences from the median, by series."""
    return np.asarray(np.abs(rows - np.median(rows, axis=1, keepdims=True)).sum(axis=1))
