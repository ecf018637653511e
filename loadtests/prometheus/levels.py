"""Finds stretches of steady load in traffic that nobody scheduled.

Production traffic has no plateaus by users. What comes closest are stretches in which the rate is
steady. They are found as the best piecewise constant description of the rate: among all ways to
cut a range into stretches, the one with the least

    sum of squares of x about its stretch's mean / phi  +  3 ln(n) for each further stretch,

by optimal partitioning (Jackson et al. 2005, An algorithm for optimal partitioning of data on an
interval, IEEE Signal Process. Lett. 12). Schwarz's criterion would charge 2 ln(n), but the place of a
change is chosen, too; 3 ln(n) is the charge of Zhang and Siegmund (2007, A modified Bayes information
criterion, Biometrics 63) for stretches of any length. x is the variance-stabilised rate
2 sqrt((count + 3/8) / length) (Anscombe 1948, Biometrika 35), whose variance is phi / length. phi,
the dispersion relative to independent arrivals, comes from the differences of neighbours, which
changes of level hardly touch; it is at least 1, so that no level is told apart that independent
arrivals would show by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST_CELLS = 6
"""As many blocks as an interval by resampling needs at least."""
MOST_DRIFT = 0.2
"""A stretch whose rate changes by more than this share of its mean, and surely, is not steady."""
_SURE = 3.0
_MOST_CELLS = 2_000
_LEAST_PER_CELL = 4.0
_CHI_SQUARE_MEDIAN = 0.454936  # of one degree of freedom


@dataclass(frozen=True)
class Stretch:
    """Intervals from `first` up to `end`, in which the rate was steady unless `reason` says why not."""

    first: int
    end: int
    rate_rps: float
    reason: str = ""


def find_stretches(counts: Floats, length_s: Floats, is_usable: Flags) -> tuple[Stretch, ...]:
    """Cut a range into stretches of steady rate.

    Parameters
    ----------
    counts : array of float, shape (n,)
        Requests in each interval.
    length_s : array of float, shape (n,)
    is_usable : array of bool, shape (n,)
        Intervals with a restart or a gap end a stretch and belong to none.

    Returns
    -------
    tuple of Stretch
        In the order of time, the intervals beside a change of level cut off. Stretches that cannot be
        used have a reason.
    """
    found: list[Stretch] = []
    for first, end in _runs(is_usable):
        cells = _cells(counts[first:end])
        per_cell, seconds = (np.add.reduceat(values[first:end], cells) for values in (counts, length_s))
        borders = [*cells, end - first]
        cuts = _partition(per_cell, seconds)
        for begin, stop in pairwise(cuts):
            begin_kept = begin + (begin > 0 and stop - begin > 1)  # the cell in which the level changed
            stop_kept = stop - (stop < len(cells) and stop - begin_kept > 1)
            inner = slice(first + borders[begin_kept], first + borders[stop_kept])
            rate = float(counts[inner].sum() / length_s[inner].sum())
            reason = _unusable(per_cell[begin_kept:stop_kept], seconds[begin_kept:stop_kept])
            found.append(Stretch(inner.start, inner.stop, rate, reason))
    return tuple(found)


def choose_levels(stretches: Sequence[Stretch], length_s: Floats, levels: int) -> tuple[Stretch, ...]:
    """The longest stretch of each band of rate.

    The usable stretches, in the order of their rate, are divided into `levels` bands of equal number
    (quantiles of the rate), and the longest of each band stays.

    Parameters
    ----------
    stretches : sequence of Stretch
    length_s : array of float
        Length of each interval.
    levels : int
        Most levels to keep.

    Returns
    -------
    tuple of Stretch
        In the order of time.
    """
    usable = sorted((item for item in stretches if not item.reason), key=lambda item: item.rate_rps)
    bands = [band for band in np.array_split(np.arange(len(usable)), levels) if len(band)]

    def seconds(place: np.int64) -> float:
        return float(length_s[usable[place].first : usable[place].end].sum())

    kept = [usable[max(band, key=seconds)] for band in bands]
    return tuple(sorted(kept, key=lambda item: item.first))


def dispersion(counts: Floats, length_s: Floats) -> float:
    """Variance of the counts relative to independent arrivals, from differences of neighbours; at least 1."""
    x = _stabilised(counts, length_s)
    if len(x) < 3:
        return 1.0
    squares = np.diff(x) ** 2 / (1 / length_s[1:] + 1 / length_s[:-1])
    return max(1.0, float(np.median(squares)) / _CHI_SQUARE_MEDIAN)


def _runs(is_usable: Flags) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_usable, [False]]).astype(int)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _cells(counts: Floats) -> NDArray[np.int64]:
    """First interval of each cell: few enough to compare all cuts, each with enough requests to have a variance."""
    mean = max(float(counts.mean()), 1e-9)
    wide = max(math.ceil(len(counts) / _MOST_CELLS), math.ceil(min(_LEAST_PER_CELL / mean, len(counts))))
    return np.arange(0, len(counts), wide)


def _stabilised(counts: Floats, length_s: Floats) -> Floats:
    return np.asarray(2.0 * np.sqrt((counts + 0.375) / length_s))


def _partition(counts: Floats, length_s: Floats) -> list[int]:
    """Borders of the best stretches, from 0 to the number of cells."""
    cells = len(counts)
    x = _stabilised(counts, length_s)
    penalty = 3.0 * math.log(cells) * dispersion(counts, length_s)
    weight, first, second = (
        np.concatenate([[0.0], np.cumsum(length_s * power)]) for power in (np.ones(cells), x, x * x)
    )
    best, came_from = np.full(cells + 1, math.inf), np.zeros(cells + 1, dtype=np.int64)
    best[0] = -penalty
    for end in range(1, cells + 1):
        start = np.arange(end)
        spread = second[end] - second[start] - (first[end] - first[start]) ** 2 / (weight[end] - weight[start])
        total = best[start] + spread + penalty
        came_from[end] = int(np.argmin(total))
        best[end] = total[came_from[end]]
    cuts = [cells]
    while cuts[-1] > 0:
        cuts.append(int(came_from[cuts[-1]]))
    return cuts[::-1]


def _unusable(counts: Floats, length_s: Floats) -> str:
    """Why a stretch cannot be used; empty when it can."""
    if counts.sum() == 0:
        return "no requests"
    if len(counts) < FEWEST_CELLS:
        return f"too short: {len(counts)} intervals where {FEWEST_CELLS} are needed"
    middle = np.cumsum(length_s) - length_s / 2
    rate, total = counts / length_s, float(length_s.sum())
    mean, centre = float(counts.sum()) / total, float(length_s @ middle) / total
    squares = float(length_s @ (middle - centre) ** 2)
    slope = float(length_s @ ((middle - centre) * (rate - mean))) / squares
    error = math.sqrt(mean * dispersion(counts, length_s) / squares)
    change = slope * total / mean
    if abs(change) > MOST_DRIFT and abs(slope) > _SURE * error:
        return f"its rate changes by {change:+.0%} from end to end, so it is not steady"
    return ""
