"""Distributions of times, described by mean and coefficient of variation (cv = sd / mean).

Each is a frozen description with a quantile function and its inverse. Everything
that draws (engines, the staging server, the Locust users) draws by inverting it,
so one uniform number means the same time everywhere.

Text form (times as in `units`): ``constant:S``, ``exponential:MEAN``,
``uniform:LOW:HIGH``, ``lognormal:MEAN:CV``, ``gamma:MEAN:CV``, ``weibull:MEAN:CV``,
``pareto:MEAN:CV``, ``none``, and ``mixture:WEIGHT*...+WEIGHT*...`` of these, such as
``mixture:0.9*constant:1ms+0.1*lognormal:50ms:0.8``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from loadtests.foundation.distribution_families import (
    Constant,
    Distribution,
    Exponential,
    Floats,
    Gamma,
    LogNormal,
    Uniform,
)
from loadtests.foundation.distribution_mixtures import EMPIRICAL_QUANTILES, Empirical, Mixture
from loadtests.foundation.distribution_tails import Pareto, Weibull
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import parse_duration_s

__all__ = [
    "EMPIRICAL_QUANTILES",
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Floats",
    "Gamma",
    "LogNormal",
    "Mixture",
    "Pareto",
    "Uniform",
    "Weibull",
    "distribution_from_dict",
    "distribution_to_dict",
    "parse_distribution",
]

_BY_MEAN_AND_CV: dict[str, Callable[[float, float], Distribution]] = {
    "lognormal": LogNormal,
    "gamma": Gamma,
    "weibull": Weibull,
    "pareto": Pareto,
}
_PLUS = re.compile(r"(?<![0-9.]e)\+")
"""A plus between components, not that of an exponent (1e+06)."""


def parse_distribution(text: str) -> Distribution:
    """Read the text form; durations take units (``exponential:50ms``).

    Parameters
    ----------
    text : str
        ``constant:S``, ``exponential:MEAN``, ``uniform:LOW:HIGH``, ``lognormal:MEAN:CV``,
        ``gamma:MEAN:CV``, ``weibull:MEAN:CV``, ``pareto:MEAN:CV``, ``none``, or
        ``mixture:WEIGHT*...+WEIGHT*...`` of these.

    Returns
    -------
    Distribution

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    plain = text.strip().lower()
    try:
        found = _mixture(plain) if plain.startswith("mixture:") else _single(plain)
    except ValueError as error:
        raise InputError(f"The distribution {text!r} cannot be read: {error}") from None
    if found is None:
        raise InputError(
            f"The distribution {text!r} is not known; write constant:S, exponential:MEAN, uniform:LOW:HIGH, "
            "lognormal:MEAN:CV, gamma:MEAN:CV, weibull:MEAN:CV, pareto:MEAN:CV or none, for example "
            "lognormal:50ms:0.8, or a mixture of them, for example mixture:0.9*constant:1ms+0.1*lognormal:50ms:0.8."
        )
    return found


def _single(plain: str) -> Distribution | None:
    name, *parts = plain.split(":")
    match name, parts:
        case "none", []:
            return Constant(0.0)
        case "constant", [value]:
            return Constant(parse_duration_s(value))
        case "exponential", [mean]:
            return Exponential(parse_duration_s(mean))
        case "uniform", [low, high]:
            return Uniform(parse_duration_s(low), parse_duration_s(high))
        case (("lognormal" | "gamma" | "weibull" | "pareto"), [mean, cv]):
            return _BY_MEAN_AND_CV[name](parse_duration_s(mean), float(cv))
    return None


def _mixture(plain: str) -> Mixture:
    terms = [term.partition("*") for term in _PLUS.split(plain.removeprefix("mixture:"))]
    if any(not star for _, star, _ in terms):
        raise InputError("each part of a mixture is WEIGHT*DISTRIBUTION, such as 0.9*constant:1ms.")
    return Mixture(tuple((float(weight), parse_distribution(item)) for weight, _, item in terms))


def distribution_to_dict(distribution: Distribution) -> dict[str, Any]:
    """JSON form: the text, the quantiles of an empirical one, the components of a mixture."""
    if isinstance(distribution, Empirical):
        return {"kind": "empirical", "quantiles_s": list(distribution.quantiles_s)}
    if isinstance(distribution, Mixture):
        parts = [
            {"weight": weight, "distribution": distribution_to_dict(item)} for weight, item in distribution.components
        ]
        return {"kind": "mixture", "components": parts}
    return {"kind": "named", "text": distribution.text()}


def distribution_from_dict(data: dict[str, Any]) -> Distribution:
    """Read what `distribution_to_dict` wrote."""
    if data.get("kind") == "empirical":
        return Empirical(tuple(float(value) for value in data["quantiles_s"]))
    if data.get("kind") == "mixture":
        parts = [(float(part["weight"]), distribution_from_dict(part["distribution"])) for part in data["components"]]
        return Mixture(tuple(parts))
    return parse_distribution(str(data["text"]))
