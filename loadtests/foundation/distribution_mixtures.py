"""Distributions of times made of others: of data, and mixtures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import positive
from loadtests.foundation.distribution_families import Distribution, Floats, exact_text
from loadtests.foundation.errors import InputError

EMPIRICAL_QUANTILES = 1_000


@dataclass(frozen=True, slots=True)
class Empirical:
    """The distribution of data, kept as at most 1,000 evenly spaced quantiles.

    Between the quantiles the quantile function is linear. Use `from_data` for raw times.

    Parameters
    ----------
    quantiles_s : tuple of float
        Times at probabilities 0, 1/(n-1), ..., 1, seconds, ascending, at least 2.

    Raises
    ------
    InputError
        For fewer than 2 times, or times that are negative, not finite or not ascending.
    """

    quantiles_s: tuple[float, ...]

    def __post_init__(self) -> None:
        values = np.asarray(self.quantiles_s, dtype=float)
        if values.size < 2 or not np.all(np.isfinite(values)) or values[0] < 0 or np.any(np.diff(values) < 0):
            raise InputError("An empirical distribution needs at least 2 finite, non-negative, ascending quantiles.")

    @classmethod
    def from_data(cls, times_s: ArrayLike) -> Empirical:
        """Quantiles of observed times; the ends are the smallest and the largest observation.

        Parameters
        ----------
        times_s : array_like of float
            Observed times, seconds, at least 2.

        Returns
        -------
        Empirical

        Raises
        ------
        InputError
            For fewer than 2 times.
        """
        values = np.asarray(times_s, dtype=float)
        if values.size < 2:
            raise InputError(f"An empirical distribution needs at least 2 times; given {values.size}.")
        at = np.linspace(0.0, 1.0, min(values.size, EMPIRICAL_QUANTILES))
        return cls(tuple(np.quantile(values, at).tolist()))

    @property
    def mean_s(self) -> float:
        """Mean of the piecewise linear quantile function."""
        values = np.asarray(self.quantiles_s)
        return float(np.mean((values[:-1] + values[1:]) / 2))

    @property
    def cv(self) -> float:
        """Sd / mean of the piecewise linear quantile function (0 when all times are 0)."""
        a, b = np.asarray(self.quantiles_s[:-1]), np.asarray(self.quantiles_s[1:])
        second_moment = float(np.mean((a * a + a * b + b * b) / 3))
        mean = self.mean_s
        return math.sqrt(max(second_moment - mean**2, 0.0)) / mean if mean else 0.0

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Linear between the stored quantiles."""
        at = np.linspace(0.0, 1.0, len(self.quantiles_s))
        return np.asarray(np.interp(np.asarray(probability, dtype=float), at, self.quantiles_s), dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Linear between the stored quantiles."""
        return self.quantile_s(1.0 - np.asarray(probability, dtype=float))

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """Linear between the stored quantiles, with a jump where several are equal."""
        at = np.linspace(0.0, 1.0, len(self.quantiles_s))
        times = np.asarray(time_s, dtype=float)
        return np.asarray(np.interp(times, self.quantiles_s, at, left=0.0), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """Linear from the largest quantile down; `nextafter` makes it the share strictly above a jump."""
        at = np.linspace(0.0, 1.0, len(self.quantiles_s))
        above = np.nextafter(np.asarray(time_s, dtype=float), np.inf)
        return np.asarray(np.interp(-above, -np.asarray(self.quantiles_s)[::-1], at, left=0.0), dtype=float)

    def text(self) -> str:
        """For people only; `to_dict` keeps the quantiles."""
        return f"empirical:{self.mean_s:.4g}:{self.cv:.3g}"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Each time comes from one of several distributions, chosen by weight: cache hits and misses, cheap and dear calls.

    Mean and cv are exact. Quantiles are the first time at which the mixture's probability reaches the given one,
    to the last bit; the upper tail goes by the survival function, so it stays exact at 1e-15.

    Parameters
    ----------
    components : tuple of (float, Distribution)
        Weights, above 0, and what they choose. The weights are divided by their sum; a mixture in a
        mixture is resolved into its components.

    Raises
    ------
    InputError
        Without components, for a weight that is not above 0, or for something that is no distribution.

    Examples
    --------
    >>> from loadtests import Constant, Exponential, Mixture
    >>> Mixture(((0.75, Constant(0.5)), (0.25, Exponential(2.0)))).mean_s
    0.875
    """

    components: tuple[tuple[float, Distribution], ...]

    def __post_init__(self) -> None:
        if not self.components:
            raise InputError("A mixture needs at least one component, for example mixture:0.9*constant:1ms+0.1*none.")
        flat = [part for weight, item in self.components for part in _resolved(weight, item)]
        total = math.fsum(weight for weight, _ in flat)
        if abs(total - 1.0) > len(flat) * np.finfo(float).eps:
            flat = [(weight / total, item) for weight, item in flat]
        object.__setattr__(self, "components", tuple(flat))

    @property
    def mean_s(self) -> float:
        """The weighted mean of the means."""
        return math.fsum(weight * item.mean_s for weight, item in self.components)

    @property
    def cv(self) -> float:
        """From the variance inside the components and between their means (0 when all times are 0)."""
        mean = self.mean_s
        variance = math.fsum(
            weight * ((item.mean_s * item.cv) ** 2 + (item.mean_s - mean) ** 2) for weight, item in self.components
        )
        return math.sqrt(variance) / mean if mean else 0.0

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Bisection: on the lower tail up to one half, on the upper tail beyond."""
        lower = np.asarray(probability, dtype=float)
        return self._inverted(lower.ravel(), 1.0 - lower.ravel()).reshape(lower.shape)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Bisection: on the upper tail up to one half, on the lower tail beyond."""
        upper = np.asarray(probability, dtype=float)
        return self._inverted(1.0 - upper.ravel(), upper.ravel()).reshape(upper.shape)

    def _inverted(self, lower: Floats, upper: Floats) -> Floats:
        """The quantile lies between the components' smallest and largest one; probability 1 is the largest."""
        parts = [item for _, item in self.components]
        each = [np.where(lower <= 0.5, item.quantile_s(lower), item.upper_quantile_s(upper)) for item in parts]
        low, found = np.min(each, axis=0), np.max(each, axis=0)
        below, above = lower <= 0.5, (lower > 0.5) & (upper > 0.0)
        found[below] = _first_reached(lambda at: self.probability_s(at) >= lower[below], low[below], found[below])
        found[above] = _first_reached(lambda at: self.upper_probability_s(at) <= upper[above], low[above], found[above])
        return np.asarray(found, dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """The weighted mean of the components' probabilities."""
        return np.asarray(sum(weight * item.probability_s(time_s) for weight, item in self.components), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """The weighted mean of the components' upper probabilities."""
        return np.asarray(
            sum(weight * item.upper_probability_s(time_s) for weight, item in self.components), dtype=float
        )

    def text(self) -> str:
        """``mixture:WEIGHT*DISTRIBUTION+WEIGHT*DISTRIBUTION...``; for people only when a component is empirical."""
        return "mixture:" + "+".join(f"{exact_text(weight)}*{item.text()}" for weight, item in self.components)


def _resolved(weight: float, item: Distribution) -> tuple[tuple[float, Distribution], ...]:
    share = positive("weight in a mixture", weight)
    if isinstance(item, Mixture):
        return tuple((share * inner, part) for inner, part in item.components)
    if not isinstance(item, Distribution):
        raise InputError(f"A mixture's component is {item!r}; it must be a distribution such as Exponential(0.05).")
    return ((share, item),)


def _first_reached(reached: Callable[[Floats], NDArray[np.bool_]], low_s: Floats, high_s: Floats) -> Floats:
    """The smallest floating-point times from `low_s` to `high_s` that have reached, or `high_s`.

    Bisection of the bit patterns, which ascend with the (non-negative) numbers: at most 63 steps for any scale.
    """
    low, high = (np.ascontiguousarray(np.abs(ends)).view(np.int64) for ends in (low_s, high_s))
    while np.any(low < high):
        middle = low + (high - low) // 2
        is_reached = reached(middle.view(np.float64))
        low, high = np.where(is_reached, low, np.minimum(middle + 1, high)), np.where(is_reached, middle, high)
    return high.view(np.float64)
