"""How requests become a vector of statistics: the same for measured and for simulated ones.

So a difference between two vectors is a difference of the systems, not of the definitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = (0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
"""Quantiles of the residence time that a fit looks at."""
ALL = -1

FEWEST_SERVED = 50
_PER_TAIL = 8
"""So many requests lie beyond a quantile that is looked at."""
_FLOORS = {"goodput": 0.004, "bad_share": 0.002, "mean": 0.006}
_QUANTILE_FLOOR, _LAST_QUANTILE_FLOOR = 0.008, 0.015
_FIRST_ERRORS = {"goodput": 0.02, "bad_share": 0.01, "mean": 0.04}
_FIRST_QUANTILE_ERROR, _FIRST_LAST_QUANTILE_ERROR = 0.05, 0.08


@dataclass(frozen=True)
class Answers:
    """Answers inside a window, in any order.

    Parameters
    ----------
    residence_s : array
    served : array of bool
        The others are bad: shed, or given up on by the server.
    group : array of int
        Class of each request.
    """

    residence_s: Floats
    served: NDArray[np.bool_]
    group: NDArray[np.int64]


@dataclass(frozen=True)
class GroupView:
    """What is looked at of one class of requests.

    Parameters
    ----------
    number : int
        Of the class; `ALL` for every request.
    levels : tuple of float
        Of the quantiles.
    has_mean : bool
    """

    number: int
    levels: tuple[float, ...]
    has_mean: bool = True


@dataclass(frozen=True)
class StepView:
    """What is looked at of one step.

    Parameters
    ----------
    groups : tuple of GroupView
    is_blended : bool
        Quantiles are of all requests together, as Locust reports them; else of served ones. Means are of served
        requests in any case.
    """

    groups: tuple[GroupView, ...]
    is_blended: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What each place of the vector is."""
        found = ["goodput", "bad_share"]
        for group in self.groups:
            label = "" if group.number == ALL else f"[{group.number}]"
            found += [f"mean{label}"] if group.has_mean else []
            found += [f"q{level:.4f}{label}" for level in group.levels]
        return tuple(found)

    @property
    def floors(self) -> Floats:
        """Agreement that is good enough, by place: a model is not asked to explain less than this."""
        return np.array([_by_name(name, _FLOORS, _QUANTILE_FLOOR, _LAST_QUANTILE_FLOOR) for name in self.names])

    @property
    def first_errors(self) -> Floats:
        """Rough errors to begin with, before a model says how noisy such a window is."""
        return np.array(
            [_by_name(name, _FIRST_ERRORS, _FIRST_QUANTILE_ERROR, _FIRST_LAST_QUANTILE_ERROR) for name in self.names]
        )

    def vector(self, answers: Answers, window_s: float) -> Floats:
        """The statistics of one window; NaN for what too few requests show.

        Parameters
        ----------
        answers : Answers
        window_s : float

        Returns
        -------
        array, shape (len(names),)
            Logarithms, but for the share of bad answers.
        """
        return np.asarray(self.vectors(answers, np.zeros(answers.served.size, dtype=np.int64), 1, window_s)[0])

    def vectors(self, answers: Answers, place: NDArray[np.int64], count: int, window_s: float) -> Floats:
        """`vector` of several windows of the same length.

        Parameters
        ----------
        answers : Answers
        place : array of int
            Which window each answer is in, from 0.
        count : int
            Number of windows.
        window_s : float
            Length of each.

        Returns
        -------
        array, shape (count, len(names))
        """
        every = np.bincount(place, minlength=count).astype(float)
        looked_at = _Placed(np.maximum(answers.residence_s, 1e-6), place, answers.group)
        served = looked_at if answers.served.all() else looked_at.where(answers.served)
        good = np.bincount(served.place, minlength=count).astype(float)
        some, known = np.where(good > 0, good, np.nan), np.where(every > 0, every, np.nan)
        found = [np.log(some / window_s), 1.0 - good / known]
        for group in self.groups:
            found += _of_group(group, served, looked_at if self.is_blended else served, count)
        return np.column_stack(found)


@dataclass(frozen=True)
class _Placed:
    """Times of requests, which window each is in, and its class."""

    times_s: Floats
    place: NDArray[np.int64]
    group: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> _Placed:
        rows = np.flatnonzero(chosen)  # looked up once; each array is then taken without a branch
        return _Placed(self.times_s[rows], self.place[rows], self.group[rows])

    def of(self, group: GroupView) -> _Placed:
        return self if group.number == ALL else self.where(self.group == group.number)


def _of_group(group: GroupView, served: _Placed, ranked: _Placed, count: int) -> list[Floats]:
    """Its mean, of served requests, and the quantiles of those that are ranked."""
    mine = served.of(group)
    good = np.bincount(mine.place, minlength=count).astype(float)
    enough = np.where(good >= FEWEST_SERVED / 4, good, np.nan)
    found = []
    if group.has_mean:
        found.append(np.log(np.bincount(mine.place, mine.times_s, minlength=count) / enough))
    if group.levels:
        every = mine if ranked is served else ranked.of(group)
        rows = quantiles(every.times_s, every.place, count, group.levels)
        found += list(np.where(np.isnan(enough), np.nan, np.log(rows)))
    return found


def quantiles(values: Floats, place: NDArray[np.int64], count: int, levels: tuple[float, ...]) -> Floats:
    """Sample quantiles of each window, linear between order statistics; all windows are sorted at once.

    Parameters
    ----------
    values : array
        Positive.
    place : array of int
        Which window each value is in, from 0.
    count : int
        Number of windows.
    levels : tuple of float

    Returns
    -------
    array, shape (len(levels), count)
        NaN for an empty window.
    """
    sizes = np.bincount(place, minlength=count)
    if not values.size:
        return np.full((len(levels), count), np.nan)
    apart = 2.0 * float(values.max()) * np.arange(count)
    ranked = np.sort(values + apart[place])
    at = np.asarray(levels)[:, None] * np.maximum(sizes - 1, 0)
    below = np.floor(at).astype(np.int64)
    first = np.cumsum(sizes) - sizes
    low, high = (
        ranked[np.minimum(first + np.minimum(rank, np.maximum(sizes - 1, 0)), values.size - 1)]
        for rank in (below, below + 1)
    )
    return np.asarray(np.where(sizes > 0, low + (at - below) * (high - low) - apart, np.nan))


def levels_for(count: float) -> tuple[float, ...]:
    """The `LEVELS` that so many requests show."""
    return tuple(level for level in LEVELS if count * min(level, 1.0 - level) >= _PER_TAIL)


def _by_name(name: str, table: dict[str, float], quantile: float, last_quantile: float) -> float:
    kind = name.partition("[")[0]
    if kind in table:
        return table[kind]
    return last_quantile if float(kind[1:]) > 0.98 else quantile
