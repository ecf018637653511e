"""Where the knee may be: a probability over load levels that every measured step sharpens.

The knee is the largest level of users at which a server keeps a limit on some metric (the 95th
percentile, the share of bad requests). Near the knee K the metric passes its limit with some
steepness s: the logarithm of metric over limit at N users is about s log(N / K). Neither K nor s is
known, and the curve is no straight line, so the belief is held over both, and a pair explains a step
as well as the best value between half and twice its line does; a step far from the knee only has to
lie on its side of the limit, by `Evidence.clear` at least. That makes noisy steps count by how far
they are from the limit and repeats count as repeats, while nothing is assumed of the curve's ends.

References
----------
Bayesian search for the root of a noisy monotone function: Waeber, Frazier and Henderson, Bisection search with noisy
responses, SIAM J. Control Optim. 51 (2013) 2261-2279, who know signs only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.intervals import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LEVELS_PER_OCTAVE = 64
_STEEPNESS = 2.0 ** np.arange(8)
_STRAIGHT = 0.5
_LEAST_LIKELIHOOD = 0.005
"""No step speaks more strongly against a knee than this: runs differ in ways that their own noise does not show."""


class Evidence(Protocol):
    """What a step says about one limit."""

    @property
    def users(self) -> int:
        """Level of the step."""
        ...

    @property
    def excess(self) -> float:
        """Logarithm of the measured metric over its limit; may be infinite."""
        ...

    @property
    def clear(self) -> float:
        """So much below or above 0 lies every level that is not close to the knee."""
        ...

    def likelihood(self, excess: Floats) -> Floats:
        """Of the measurement if the true excess were that, relative to the likeliest."""
        ...


@dataclass(frozen=True)
class KneeBelief:
    """Probabilities of where the knee is.

    Parameters
    ----------
    levels : array of int
        Ascending: 0 (no level at all keeps the limits), then levels of users up to the largest
        allowed one, which stands for "there or beyond". A level stands for all up to the next one.
    weights : array of float
        Probability of each; they add up to 1.
    """

    levels: Integers
    weights: Floats

    @classmethod
    def before_any_step(cls, most_users: int) -> KneeBelief:
        """Every order of magnitude from 1 to `most_users` as likely as any other.

        Parameters
        ----------
        most_users : int
            Largest level that may be asked for.

        Returns
        -------
        KneeBelief

        Raises
        ------
        InputError
            When `most_users` is not a whole number from 1.
        """
        most = whole("most_users", most_users, least=1)
        octaves = math.log2(most)
        spaced = np.round(2.0 ** np.linspace(0.0, octaves, int(octaves * _LEVELS_PER_OCTAVE) + 1)).astype(np.int64)
        levels = np.unique(np.concatenate([[0, 1], spaced, [most]]))
        # Each level stands for the orders of magnitude up to the next one; the ends for an octave each.
        widths = np.diff(np.log2(levels[1:].astype(float)), prepend=-1.0, append=octaves + 1.0)
        return cls(levels, widths / widths.sum())

    def after(self, steps: Sequence[Evidence]) -> KneeBelief:
        """The belief about one limit after these steps.

        Parameters
        ----------
        steps : sequence of Evidence

        Returns
        -------
        KneeBelief
        """
        likelihood = np.ones((len(_STEEPNESS), len(self.levels)))
        for step in steps:
            likelihood *= _likelihood(step, self.levels)
        weights = self.weights * likelihood.mean(axis=0)
        return KneeBelief(self.levels, weights / weights.sum())

    def first_of(self, other: KneeBelief) -> KneeBelief:
        """The knee of two limits together: the smaller one.

        Parameters
        ----------
        other : KneeBelief
            Over the same levels.

        Returns
        -------
        KneeBelief
        """
        together = self.at_or_beyond * other.at_or_beyond
        return KneeBelief(self.levels, -np.diff(together, append=0.0))

    @property
    def at_or_beyond(self) -> Floats:
        """For each level, how likely the knee lies there or beyond."""
        return np.asarray(np.cumsum(self.weights[::-1])[::-1])

    @property
    def halving_level(self) -> int:
        """The level of users, from 1, that the knee is below as likely as not."""
        return int(self.levels[1 + int(np.argmin(np.abs(self.at_or_beyond[1:] - 0.5)))])

    def probability_kept(self, users: int) -> float:
        """How likely a level of users keeps the limits."""
        return float(self.weights[self.levels >= users].sum())

    def interval(self, level: float = 0.9) -> Interval:
        """The central interval of the knee, users.

        Parameters
        ----------
        level : float, default 0.9

        Returns
        -------
        Interval
            Its middle is the median.
        """
        tail = (1.0 - level) / 2.0
        low, mid, high = (self._place(p) for p in (tail, 0.5, 1.0 - tail))
        last = np.append(self.levels[1:] - 1, self.levels[-1])  # a level stands for all up to the next one
        return Interval(float(self.levels[low]), float(self.levels[mid]), float(last[high]), level, "confidence")

    @property
    def probability_beyond(self) -> float:
        """That even the largest allowed level keeps the limits."""
        return float(self.weights[-1])

    @property
    def probability_none(self) -> float:
        """That no level keeps them."""
        return float(self.weights[0])

    def _place(self, probability: float) -> int:
        """Of the first level up to which the belief adds up to `probability`."""
        place = int(np.searchsorted(np.cumsum(self.weights), probability * (1.0 - 1e-12)))
        return min(place, len(self.levels) - 1)


def _likelihood(step: Evidence, levels: Integers) -> Floats:
    """Of a step, for every steepness and knee; shape (steepness, levels)."""
    knees = np.maximum(levels + 0.5, 0.5)  # the limit is passed between a level and the next user
    line = _STEEPNESS[:, None] * np.log(step.users / knees)[None, :]
    near = np.minimum(np.abs(line) / 2.0, step.clear)
    far = np.where(np.abs(line) < _STRAIGHT, 2.0 * np.abs(line), np.inf)
    far[:, -1] = np.inf  # the last level stands for whatever is beyond, too
    low, high = np.where(line < 0, -far, near), np.where(line < 0, -near, far)
    nearest = np.clip(step.excess, low, high)
    return np.maximum(step.likelihood(nearest), _LEAST_LIKELIHOOD)
