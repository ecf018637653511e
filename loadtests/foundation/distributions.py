"""Distributions of times, described by mean and coefficient of variation (cv = sd / mean).

Each is a frozen description with a quantile function. Everything that draws
(engines, the staging server, the Locust users) draws by inverting it, so one
uniform number means the same time everywhere.

Text form: ``constant:S``, ``exponential:MEAN``, ``uniform:LOW:HIGH``,
``lognormal:MEAN:CV``, ``gamma:MEAN:CV``, ``none`` (times as in `units`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from loadtests.foundation.checks import non_negative, positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import parse_duration_s

Floats = NDArray[np.float64]
EMPIRICAL_QUANTILES = 1_000


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

    def text(self) -> str:
        """``constant:S``, or ``none`` for 0."""
        return f"constant:{_exact(self.mean_s)}" if self.mean_s else "none"


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
        return np.asarray(-self.mean_s * np.log1p(-np.asarray(probability, dtype=float)), dtype=float)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        """-mean ln(p)."""
        return np.asarray(-self.mean_s * np.log(np.asarray(probability, dtype=float)), dtype=float)

    def text(self) -> str:
        """``exponential:MEAN``."""
        return f"exponential:{_exact(self.mean_s)}"


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

    def text(self) -> str:
        """``uniform:LOW:HIGH``."""
        return f"uniform:{_exact(self.low_s)}:{_exact(self.high_s)}"


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

    def text(self) -> str:
        """``lognormal:MEAN:CV``."""
        return f"lognormal:{_exact(self.mean_s)}:{_exact(self.cv)}"


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

    def text(self) -> str:
        """``gamma:MEAN:CV``."""
        return f"gamma:{_exact(self.mean_s)}:{_exact(self.cv)}"


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

    def text(self) -> str:
        """For people only; `to_dict` keeps the quantiles."""
        return f"empirical:{self.mean_s:.4g}:{self.cv:.3g}"


def _exact(value: float) -> str:
    """The shortest text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def parse_distribution(text: str) -> Distribution:
    """Read the text form; durations take units (``exponential:50ms``).

    Parameters
    ----------
    text : str
        ``constant:S``, ``exponential:MEAN``, ``uniform:LOW:HIGH``, ``lognormal:MEAN:CV``,
        ``gamma:MEAN:CV`` or ``none``.

    Returns
    -------
    Distribution

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    name, *parts = text.strip().lower().split(":")
    try:
        match name, parts:
            case "none", []:
                return Constant(0.0)
            case "constant", [value]:
                return Constant(parse_duration_s(value))
            case "exponential", [mean]:
                return Exponential(parse_duration_s(mean))
            case "uniform", [low, high]:
                return Uniform(parse_duration_s(low), parse_duration_s(high))
            case "lognormal", [mean, cv]:
                return LogNormal(parse_duration_s(mean), float(cv))
            case "gamma", [mean, cv]:
                return Gamma(parse_duration_s(mean), float(cv))
    except ValueError as error:
        raise InputError(f"The distribution {text!r} cannot be read: {error}") from None
    raise InputError(
        f"The distribution {text!r} is not known; write constant:S, exponential:MEAN, uniform:LOW:HIGH, "
        "lognormal:MEAN:CV, gamma:MEAN:CV or none, for example lognormal:50ms:0.8."
    )


def distribution_to_dict(distribution: Distribution) -> dict[str, Any]:
    """JSON form: the text, and the quantiles of an empirical one."""
    if isinstance(distribution, Empirical):
        return {"kind": "empirical", "quantiles_s": list(distribution.quantiles_s)}
    return {"kind": "named", "text": distribution.text()}


def distribution_from_dict(data: dict[str, Any]) -> Distribution:
    """Read what `distribution_to_dict` wrote."""
    if data.get("kind") == "empirical":
        return Empirical(tuple(float(value) for value in data["quantiles_s"]))
    return parse_distribution(str(data["text"]))
