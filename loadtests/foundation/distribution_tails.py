"""Distributions of times with heavy or light tails: Weibull and Pareto, by mean and cv.

References
----------
.. [1] N. L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate Distributions,
   volume 1, 2nd edition, Wiley, 1994, chapters 20 (Pareto) and 21 (Weibull).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from loadtests.foundation.checks import finite, positive
from loadtests.foundation.distribution_families import Floats, exact_text, from_zero
from loadtests.foundation.errors import InputError

LOWEST_CV, HIGHEST_CV = 0.001, 100.0
"""Allowed cv of `Weibull` and `Pareto`: below it, a constant says the same; above it, no sample shows the mean."""


@dataclass(frozen=True, slots=True)
class Weibull:
    """Weibull by mean and cv: survival exp(-(t / scale)^shape) [1]_.

    The shape solves cv^2 = G(1 + 2/shape) / G(1 + 1/shape)^2 - 1 with the gamma function G;
    scale = mean / G(1 + 1/shape). A cv of 1 is the exponential; above 1 the tail is heavier.

    Parameters
    ----------
    mean_s : float
        Seconds, above 0.
    cv : float
        Coefficient of variation (sd / mean), 0.001 to 100.

    Raises
    ------
    InputError
        For a mean that is not above 0 or a cv outside its range.

    References
    ----------
    .. [1] Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1, 1994, chapter 21.
    """

    mean_s: float
    cv: float

    def __post_init__(self) -> None:
        positive("mean of a weibull", self.mean_s)
        _allowed_cv("weibull", self.cv)

    @property
    def shape(self) -> float:
        """The exponent of the survival function's logarithm."""
        return 1.0 / _inverse_weibull_shape(self.cv)

    @property
    def scale_s(self) -> float:
        """The time that 1 / e of all exceed, seconds."""
        return self.mean_s * math.exp(-float(special.gammaln(1.0 + 1.0 / self.shape)))

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Scale times (-ln(1 - p))^(1 / shape)."""
        with np.errstate(divide="ignore"):
            return self._at(-np.log1p(-np.asarray(probability, dtype=float)))

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Scale times (-ln p)^(1 / shape)."""
        with np.errstate(divide="ignore"):
            return self._at(-np.log(np.asarray(probability, dtype=float)))

    def _at(self, hazard: Floats) -> Floats:
        return np.asarray(self.scale_s * np.abs(hazard) ** (1.0 / self.shape), dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """1 - exp(-(t / scale)^shape)."""
        return np.asarray(-np.expm1(-((from_zero(time_s) / self.scale_s) ** self.shape)), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """exp(-(t / scale)^shape)."""
        return np.asarray(np.exp(-((from_zero(time_s) / self.scale_s) ** self.shape)), dtype=float)

    def text(self) -> str:
        """``weibull:MEAN:CV``."""
        return f"weibull:{exact_text(self.mean_s)}:{exact_text(self.cv)}"


@dataclass(frozen=True, slots=True)
class Pareto:
    """Pareto (type I) by mean and cv: survival (smallest / t)^shape from the smallest time on [1]_.

    shape = 1 + sqrt(1 + 1 / cv^2), which is above 2; smallest = mean (shape - 1) / shape.
    Use `from_shape` where the tail's exponent is known.

    Parameters
    ----------
    mean_s : float
        Seconds, above 0.
    cv : float
        Coefficient of variation (sd / mean), 0.001 to 100.

    Raises
    ------
    InputError
        For a mean that is not above 0 or a cv outside its range.

    References
    ----------
    .. [1] Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 1, 1994, chapter 20.
    """

    mean_s: float
    cv: float

    def __post_init__(self) -> None:
        positive("mean of a pareto", self.mean_s)
        _allowed_cv("pareto", self.cv)

    @classmethod
    def from_shape(cls, mean_s: float, shape: float) -> Pareto:
        """Pareto by mean and exponent of the tail: cv = 1 / sqrt(shape (shape - 2)).

        Parameters
        ----------
        mean_s : float
            Seconds, above 0.
        shape : float
            Above 2.

        Returns
        -------
        Pareto

        Raises
        ------
        InputError
            For a shape of 2 or less: the variance would be infinite.
        """
        exponent = finite("shape of a pareto", shape)
        if exponent <= 2.0:
            raise InputError(
                f"The shape of a Pareto is {shape}; it must be above 2. At 2 or below the variance is infinite, so "
                "no confidence interval of a mean would hold. Truncate the times at the timeout that ends them "
                "(Empirical.from_data of the truncated times), or use a lognormal with a large cv."
            )
        return cls(mean_s, 1.0 / math.sqrt(exponent * (exponent - 2.0)))

    @property
    def shape(self) -> float:
        """Exponent of the tail, above 2."""
        return 1.0 + math.sqrt(1.0 + self.cv**-2)

    @property
    def smallest_s(self) -> float:
        """The time that all exceed, seconds."""
        return self.mean_s * (1.0 - 1.0 / self.shape)

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Smallest times (1 - p)^(-1 / shape)."""
        with np.errstate(divide="ignore"):
            logs = np.log1p(-np.asarray(probability, dtype=float))
        return np.asarray(self.smallest_s * np.exp(-logs / self.shape), dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Smallest times p^(-1 / shape)."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.smallest_s * np.asarray(probability, dtype=float) ** (-1.0 / self.shape))

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """1 - (smallest / t)^shape."""
        return np.asarray(-np.expm1(-self.shape * self._log_ratio(time_s)), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """(smallest / t)^shape."""
        return np.asarray(np.exp(-self.shape * self._log_ratio(time_s)), dtype=float)

    def _log_ratio(self, time_s: ArrayLike) -> Floats:
        beyond = np.maximum(np.asarray(time_s, dtype=float) - self.smallest_s, 0.0)
        return np.asarray(np.log1p(beyond / self.smallest_s), dtype=float)

    def text(self) -> str:
        """``pareto:MEAN:CV``."""
        return f"pareto:{exact_text(self.mean_s)}:{exact_text(self.cv)}"


def _allowed_cv(family: str, cv: float) -> None:
    if not LOWEST_CV <= positive(f"cv of a {family}", cv) <= HIGHEST_CV:
        raise InputError(
            f"cv of a {family} is {cv!r}; it must lie between {LOWEST_CV:g} and {HIGHEST_CV:g}. Use constant:S for "
            "times that do not vary; where one number hides several kinds of requests, use a mixture."
        )


@lru_cache(maxsize=1_024)
def _inverse_weibull_shape(cv: float) -> float:
    """1 / shape: the root of ln G(1 + 2x) - 2 ln G(1 + x) = ln(1 + cv^2), by bisection; the left side ascends in x."""
    target = math.log1p(cv**2)
    low, high = 1e-4, 10.0
    while low < (middle := (low + high) / 2) < high:
        ratio = float(special.gammaln(1.0 + 2.0 * middle) - 2.0 * special.gammaln(1.0 + middle))
        low, high = (middle, high) if ratio < target else (low, middle)
    return middle
