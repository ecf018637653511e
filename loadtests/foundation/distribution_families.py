"""What a distribution of times offers, and the families with closed quantile functions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from loadtests.foundation.checks import non_negative, positive
from loadtests.foundation.errors import InputError

Floats = NDArray[np.float64]


def exact_text(value: float) -> str:
    """The shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def from_zero(time_s: ArrayLike) -> Floats:
    """Times as an array, those below 0 as 0."""
    return np.asarray(np.maximum(np.asarray(time_s, dtype=float), 0.0), dtype=float)


@runtime_checkable
class Distribution(Protocol):
    """What every distribution of times offers (seconds)."""

    @property
    def mean_s(self) -> float:
        """Mean, seconds."""

    @property
    def cv(self) -> float:
        """Coefficient of variation."""

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Times that are not exceeded with the given probabilities (0..1).

        Parameters
        ----------
        probability : array_like of float
            0 to 1.

        Returns
        -------
        array of float
            Seconds, in the shape of `probability`.
        """

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Times that *are* exceeded with the given (small) probabilities: exact in the tail.

        Parameters
        ----------
        probability : array_like of float
            0 to 1.

        Returns
        -------
        array of float
            Seconds, in the shape of `probability`.
        """

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """Probabilities that a time does not exceed the given ones: the inverse of `quantile_s`.

        Parameters
        ----------
        time_s : array_like of float
            Seconds.

        Returns
        -------
        array of float
            0 to 1, in the shape of `time_s`.
        """

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """Probabilities that a time exceeds the given ones: exact in the tail.

        Parameters
        ----------
        time_s : array_like of float
            Seconds.

        Returns
        -------
        array of float
            0 to 1, in the shape of `time_s`.
        """

    def text(self) -> str:
        """The text form."""

    def __hash__(self) -> int:
        """Descriptions are values: equal ones have equal hashes."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same time.

    Parameters
    ----------
    mean_s : float
        The time, seconds; 0 is allowed.

    Raises
    ------
    InputError
        For a negative or non-finite time.
    """

    mean_s: float
    cv: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        non_negative("constant time", self.mean_s)

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """All equal to the constant."""
        return np.full(np.shape(probability), float(self.mean_s))

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """All equal to the constant."""
        return self.quantile_s(probability)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """0 before the constant, 1 from it on."""
        return np.asarray(np.asarray(time_s, dtype=float) >= self.mean_s, dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """1 before the constant, 0 from it on."""
        return np.asarray(np.asarray(time_s, dtype=float) < self.mean_s, dtype=float)

    def text(self) -> str:
        """``constant:S``, or ``none`` for 0."""
        return f"constant:{exact_text(self.mean_s)}" if self.mean_s else "none"


@dataclass(frozen=True, slots=True)
class Exponential:
    """Exponential with the given mean.

    Parameters
    ----------
    mean_s : float
        Seconds, above 0.

    Raises
    ------
    InputError
        For a mean that is not above 0.
    """

    mean_s: float
    cv: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        positive("mean of an exponential", self.mean_s)

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """-mean ln(1 - p)."""
        with np.errstate(divide="ignore"):
            return np.asarray(-self.mean_s * np.log1p(-np.asarray(probability, dtype=float)), dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """-mean ln(p)."""
        with np.errstate(divide="ignore"):
            return np.asarray(-self.mean_s * np.log(np.asarray(probability, dtype=float)), dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """1 - exp(-t / mean)."""
        return np.asarray(-np.expm1(-from_zero(time_s) / self.mean_s), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """exp(-t / mean)."""
        return np.asarray(np.exp(-from_zero(time_s) / self.mean_s), dtype=float)

    def text(self) -> str:
        """``exponential:MEAN``."""
        return f"exponential:{exact_text(self.mean_s)}"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform between two times.

    Parameters
    ----------
    low_s, high_s : float
        Seconds, 0 <= low <= high, and high above 0.

    Raises
    ------
    InputError
        For ends out of order or range.
    """

    low_s: float
    high_s: float

    def __post_init__(self) -> None:
        non_negative("lower end of a uniform", self.low_s)
        if positive("upper end of a uniform", self.high_s) < self.low_s:
            raise InputError(f"A uniform needs low <= high; given {self.low_s} and {self.high_s}.")

    @property
    def mean_s(self) -> float:
        """(low + high) / 2."""
        return (self.low_s + self.high_s) / 2

    @property
    def cv(self) -> float:
        """(high - low) / sqrt(12) / mean."""
        return (self.high_s - self.low_s) / math.sqrt(12) / self.mean_s

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Linear in p."""
        return self.low_s + (self.high_s - self.low_s) * np.asarray(probability, dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Linear in p."""
        return self.high_s - (self.high_s - self.low_s) * np.asarray(probability, dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """Linear in t."""
        return self._share(np.asarray(time_s, dtype=float) - self.low_s, at_zero=1.0)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """Linear in t."""
        return self._share(self.high_s - np.asarray(time_s, dtype=float), at_zero=0.0)

    def _share(self, distance_s: Floats, at_zero: float) -> Floats:
        if self.low_s == self.high_s:
            return np.asarray(np.heaviside(distance_s, at_zero), dtype=float)
        return np.clip(distance_s / (self.high_s - self.low_s), 0.0, 1.0)

    def text(self) -> str:
        """``uniform:LOW:HIGH``."""
        return f"uniform:{exact_text(self.low_s)}:{exact_text(self.high_s)}"


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Lognormal by mean and cv: sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2.

    Parameters
    ----------
    mean_s : float
        Seconds, above 0.
    cv : float
        Coefficient of variation (sd / mean), above 0.

    Raises
    ------
    InputError
        For a mean or cv that is not above 0.
    """

    mean_s: float
    cv: float

    def __post_init__(self) -> None:
        positive("mean of a lognormal", self.mean_s)
        positive("cv of a lognormal", self.cv)

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """exp(mu + sigma z(p))."""
        return self._at(special.ndtri(np.asarray(probability, dtype=float)))

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """exp(mu - sigma z(p)), by symmetry of the normal."""
        return self._at(-special.ndtri(np.asarray(probability, dtype=float)))

    def _at(self, z: Floats) -> Floats:
        sigma = math.sqrt(math.log1p(self.cv**2))
        return np.asarray(np.exp(math.log(self.mean_s) - sigma**2 / 2 + sigma * z), dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """The normal distribution at (ln t - mu) / sigma."""
        return np.asarray(special.ndtr(self._score(time_s)), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """The normal distribution at (mu - ln t) / sigma, by symmetry."""
        return np.asarray(special.ndtr(-self._score(time_s)), dtype=float)

    def _score(self, time_s: ArrayLike) -> Floats:
        sigma = math.sqrt(math.log1p(self.cv**2))
        with np.errstate(divide="ignore"):
            return np.asarray((np.log(from_zero(time_s)) - math.log(self.mean_s)) / sigma + sigma / 2, dtype=float)

    def text(self) -> str:
        """``lognormal:MEAN:CV``."""
        return f"lognormal:{exact_text(self.mean_s)}:{exact_text(self.cv)}"


@dataclass(frozen=True, slots=True)
class Gamma:
    """Gamma by mean and cv: shape = 1 / cv^2, scale = mean cv^2.

    Parameters
    ----------
    mean_s : float
        Seconds, above 0.
    cv : float
        Coefficient of variation (sd / mean), above 0.

    Raises
    ------
    InputError
        For a mean or cv that is not above 0.
    """

    mean_s: float
    cv: float

    def __post_init__(self) -> None:
        positive("mean of a gamma", self.mean_s)
        positive("cv of a gamma", self.cv)

    def quantile_s(self, probability: ArrayLike) -> Floats:
        """Scale times the inverse of the regularised lower incomplete gamma function."""
        inverse = special.gammaincinv(self.cv**-2, np.asarray(probability, dtype=float))
        return np.asarray(self.mean_s * self.cv**2 * inverse, dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """Scale times the inverse of the regularised upper incomplete gamma function."""
        inverse = special.gammainccinv(self.cv**-2, np.asarray(probability, dtype=float))
        return np.asarray(self.mean_s * self.cv**2 * inverse, dtype=float)

    def probability_s(self, time_s: ArrayLike) -> Floats:
        """The regularised lower incomplete gamma function."""
        return np.asarray(special.gammainc(self.cv**-2, from_zero(time_s) / (self.mean_s * self.cv**2)), dtype=float)

    def upper_probability_s(self, time_s: ArrayLike) -> Floats:
        """The regularised upper incomplete gamma function."""
        return np.asarray(special.gammaincc(self.cv**-2, from_zero(time_s) / (self.mean_s * self.cv**2)), dtype=float)

    def text(self) -> str:
        """``gamma:MEAN:CV``."""
        return f"gamma:{exact_text(self.mean_s)}:{exact_text(self.cv)}"
