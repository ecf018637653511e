"""Where the knee may be: a probability over load levels that every measured step sharpens.

The knee is the largest level of users at which a server still keeps an objective. Each step says
with a probability, not with certainty, whether its level kept it; by Bayes' rule the belief is
multiplied by that probability for every knee at or above the level, by its complement for every
knee below. Asking next for the level that splits the belief evenly halves what is not known yet, in spite of the noise.

References
----------
Horstein, Sequential transmission using noiseless feedback, IEEE Trans. Inf. Theory 9 (1963) 136-143;
Waeber, Frazier and Henderson, Bisection search with noisy responses, SIAM J. Control Optim. 51 (2013) 2261-2279.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.intervals import Interval

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_LEVELS_PER_OCTAVE = 64
_MOST_SURE = 0.995
"""No step convinces more than this: a run differs from the next one in ways that its own noise does not show."""


@dataclass(frozen=True)
class KneeBelief:
    """Probabilities of where the knee is.

    Parameters
    ----------
    levels : array of int
        Ascending: 0 (no level at all keeps the objective), then levels of users up to the largest
        allowed one, which stands for "there or beyond".
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
        octaves = np.log2(most)
        spaced = np.round(2.0 ** np.linspace(0.0, octaves, int(octaves * _LEVELS_PER_OCTAVE) + 1)).astype(np.int64)
        levels = np.unique(np.concatenate([[0, 1], spaced, [most]]))
        # Each level stands for the orders of magnitude up to the next one; the ends for an octave each.
        widths = np.diff(np.log2(levels[1:].astype(float)), prepend=-1.0, append=octaves + 1.0)
        return cls(levels, widths / widths.sum())

    def updated(self, users: int, probability_met: float) -> KneeBelief:
        """The belief after a step.

        Parameters
        ----------
        users : int
            Level of the step.
        probability_met : float
            How likely it is, by the step alone, that the level keeps the objective, 0 to 1.

        Returns
        -------
        KneeBelief
        """
        met = min(max(probability_met, 1.0 - _MOST_SURE), _MOST_SURE)
        weights = self.weights * np.where(self.levels >= users, met, 1.0 - met)
        return replace(self, weights=weights / weights.sum())

    @property
    def halving_level(self) -> int:
        """The level of users, from 1, that the knee is below as likely as not."""
        at_or_beyond = np.cumsum(self.weights[::-1])[::-1][1:]
        return int(self.levels[1 + int(np.argmin(np.abs(at_or_beyond - 0.5)))])

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
        """That even the largest allowed level keeps the objective."""
        return float(self.weights[-1])

    @property
    def probability_none(self) -> float:
        """That no level keeps it."""
        return float(self.weights[0])

    def _place(self, probability: float) -> int:
        """Of the first level up to which the belief adds up to `probability`."""
        place = int(np.searchsorted(np.cumsum(self.weights), probability * (1.0 - 1e-12)))
        return min(place, len(self.levels) - 1)
