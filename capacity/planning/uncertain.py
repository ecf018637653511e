"""Uncertain numbers as draws: one rule for whatever is drawn in this package.

A range that claims a probability (a level below 1, any kind but ``assumed``) is a split lognormal: above and below its
central value logarithms are normal, each with the spread that puts the stated end at the stated level [1]_. So `mid` is
the median, and the ends are the quantiles that the level claims. A half that reaches down to 0 has no logarithm there;
it is normal, cut at 0.

A value that is stated to be exceeded once in a hundred (`p99` of a growth) bends the upper half: beyond the upper end
logarithms are normal with the spread that leads there.

A range that claims none, somebody's low, mid and high, is read in the same way at the level 90 % (`RANGE_LEVEL`), or
another that is stated: each end is passed once in twenty. People state ranges that are too narrow [2]_, so nothing may
end where they end, as it would in a triangle; 5 %, 50 % and 95 % is how decision analysts read three points [3]_.

References
----------
.. [1] K. F. Wallis, "The two-piece normal, binormal, or double Gaussian distribution: its origin and rediscoveries",
   Statistical Science 29(1), 2014.
.. [2] J. B. Soll, J. Klayman, "Overconfidence in interval estimates", Journal of Experimental Psychology: Learning,
   Memory, and Cognition 30(2), 2004.
.. [3] D. L. Keefer, S. E. Bodily, "Three-point approximations for continuous random variables", Management Science
   29(5), 1983.
.. [4] M. D. McKay, R. J. Beckman, W. J. Conover, "A comparison of three methods for selecting values of input
   variables in the analysis of output from a computer code", Technometrics 21(2), 1979: Latin hypercube samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import normal_quantile
from loadtests.foundation.seeds import generator

Floats = NDArray[np.float64]
Uncertain = Interval | Number | Floats
RANGE_LEVEL = 0.9
"""Probability that a range is taken to enclose where none is stated with it."""
SCENARIO_LEVEL = 0.9
FAR_ERRORS = normal_quantile(0.99)


@dataclass(frozen=True)
class SplitLognormal:
    """How an uncertain number is distributed, by the rule of the module.

    Parameters
    ----------
    low, mid, high : float
        At least 0 and finite.
    errors : float
        Standard errors from the middle to either end.
    far : float, optional
        Exceeded once in a hundred, at least `high`; absent, or for ends as far out as that: as the middle and `high`
        have it.
    """

    low: float
    mid: float
    high: float
    errors: float
    far: float | None = None

    @classmethod
    def of(cls, value: Interval, range_level: float = RANGE_LEVEL, far: float | None = None) -> SplitLognormal:
        """Of an interval; `range_level` is for one that claims no probability, `far` is exceeded once in a hundred."""
        level = value.level if claims_probability(value) else range_level
        return cls(value.low, value.mid, value.high, normal_quantile(0.5 + level / 2), far)

    @property
    def is_uncertain(self) -> bool:
        """Whether it has any range."""
        return self.low < self.high

    @property
    def up(self) -> float:
        """Spread of logarithms above the middle, a standard error."""
        return math.log(self.high / self.mid) / self.errors

    @property
    def down(self) -> float:
        """The same below it."""
        return math.log(self.mid / self.low) / self.errors

    @property
    def beyond(self) -> float:
        """The same above the upper end."""
        if self.far is None or self.errors >= FAR_ERRORS:
            return self.up
        return math.log(self.far / self.high) / (FAR_ERRORS - self.errors)

    def at(self, position: Floats) -> Floats:
        """Values at standard normal positions; exactly `mid` where there is no range."""
        if not self.is_uncertain:
            return np.full(position.shape, float(self.mid))
        if self.mid == 0:
            return np.maximum(0.0, self.high / self.errors * position)
        past = np.maximum(position - self.errors, 0.0)
        above = self.up * (position - past) + self.beyond * past
        if self.low > 0:
            return np.asarray(self.mid * np.exp(np.where(position >= 0, above, self.down * position)))
        below = np.maximum(0.0, self.mid + self.mid / self.errors * position)
        return np.where(position >= 0, self.mid * np.exp(above), below)

    def share_below(self, value: float) -> float | None:
        """Probability of less than a value above 0; None where no range says so."""
        end = self.high if value >= self.mid else self.low
        if not self.is_uncertain or value == end == self.mid:
            return None
        if value > self.high and self.beyond > 0.0:
            return 0.5 * math.erfc(-(self.errors + math.log(value / self.high) / self.beyond) / math.sqrt(2.0))
        if end == self.mid:
            return float(value > self.mid)
        position = self.errors * math.log(value / self.mid) / abs(math.log(end / self.mid))
        return 0.5 * math.erfc(-position / math.sqrt(2.0))


def claims_probability(value: Interval) -> bool:
    """Whether an interval says how likely it is to hold; a single number has nothing to say."""
    return value.level < 1 and value.kind != "assumed"


def is_bare_range(value: object) -> bool:
    """Whether this is a range without a probability."""
    return isinstance(value, Interval) and value.low < value.high and not claims_probability(value)


def uniforms(count: int, seed: int, *path: int) -> Floats:
    """`count` numbers in (0, 1), one in each part of equal length, in random order [4]_ (of the module)."""
    rng = generator(seed, *path)
    return np.asarray((rng.permutation(count) + rng.random(count)) / count, dtype=float)


def checked_uncertain(name: str, value: Uncertain) -> Interval | Floats:
    """An uncertain number as an interval or an array of draws, all at least 0.

    Raises
    ------
    InputError
        For what is neither, and for negative, infinite or missing numbers.
    """
    if isinstance(value, Interval):
        _check_ends(name, value)
        return value
    if isinstance(value, (np.ndarray, list, tuple)):
        return _checked_draws(name, value)
    number = exact(name, value)
    if number < 0:
        raise InputError(f"{name} is {value!r}; it must be 0 or more.")
    return Interval.assumed(float(number))


def _check_ends(name: str, value: Interval) -> None:
    if not (0 <= value.low <= value.mid <= value.high < math.inf):
        raise InputError(f"{name} is {value!r}; its ends must be 0 or more and finite.")


def _checked_draws(name: str, value: object) -> Floats:
    try:
        draws = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; it must be a list of numbers.") from None
    if draws.ndim != 1 or not draws.size or not np.all(np.isfinite(draws)) or draws.min() < 0:
        raise InputError(f"{name} has draws of shape {draws.shape}; give a list of finite numbers of 0 or more.")
    return draws


def drawn(value: Interval | Floats, at: Floats, range_level: float = RANGE_LEVEL) -> Floats:
    """Draws of an uncertain number at uniform numbers.

    An array gives the row at that share of its length, so that rows of several arrays stay together.
    """
    if isinstance(value, Interval):
        return SplitLognormal.of(value, range_level).at(ndtri(at))
    return np.asarray(value[np.minimum((at * value.size).astype(int), value.size - 1)], dtype=float)


def summarised(value: Interval | Floats) -> Interval:
    """Low, mid and high of an uncertain number: its own, or the central 90 % of its draws."""
    return value if isinstance(value, Interval) else Interval.from_draws(value, level=SCENARIO_LEVEL, kind="prediction")
