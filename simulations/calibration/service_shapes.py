"""Shapes of service times that a calibration compares, each a family by mean and cv.

Besides the named families there are two that follow the data. ``measured`` takes the quantiles that the
lightest steps show (there nothing waits, so a residence time is a service time and a round trip);
``two-part`` smooths them into two lognormal parts, for servers with a fast and a slow kind of request behind one
name. Both are stretched to the wanted cv by a power: quantile(u)^a, scaled to the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from loadtests.foundation.distributions import Distribution, Empirical, Gamma, LogNormal, Weibull

Floats = NDArray[np.float64]

NAMED: dict[str, Callable[[float, float], Distribution]] = {
    "lognormal": LogNormal,
    "gamma": Gamma,
    "weibull": Weibull,
}
"""Families with a formula, by mean and cv."""

_LEAST_POWER, _MOST_POWER = 0.02, 8.0
_EM_ROUNDS, _LEAST_PART, _LEAST_SPREAD = 200, 0.03, 0.02
_TEMPLATE_POINTS = 1_000


@dataclass(frozen=True)
class ServiceShape:
    """A family of service times.

    Parameters
    ----------
    name : str
        ``lognormal``, ``gamma``, ``weibull``; ``measured`` or ``two-part``, which have a template.
    template : tuple of float
        Quantiles of mean 1 at evenly spaced probabilities; empty for a named family.
    """

    name: str
    template: tuple[float, ...] = ()

    def distribution(self, mean_s: float, cv: float) -> Distribution:
        """The member with this mean and cv.

        Parameters
        ----------
        mean_s : float
            Seconds.
        cv : float
            A template reaches as far as its powers from 0.02 to 8 do.

        Returns
        -------
        Distribution
        """
        if not self.template:
            return NAMED[self.name](mean_s, cv)
        stretched = _stretched(self.template, round(float(cv), 6))
        return Empirical(tuple((mean_s * stretched).tolist()))

    @property
    def reach(self) -> tuple[float, float]:
        """Smallest and largest cv that it can have: without limit of a named family, 0 of times that do not differ."""
        return _reach(self.template) if self.template else (0.0, np.inf)

    @property
    def parameters(self) -> int:
        """Numbers that the data chose besides mean and cv."""
        return {"two-part": 3, "measured": 10}.get(self.name, 0)


def _logs(template: tuple[float, ...]) -> Floats:
    return np.asarray(np.log(np.maximum(np.asarray(template), 1e-9)))


def _cv_at(power: float, base: Floats) -> float:
    return Empirical(tuple(np.exp(power * base).tolist())).cv


@lru_cache(maxsize=16)
def _reach(template: tuple[float, ...]) -> tuple[float, float]:
    base = _logs(template)
    return _cv_at(_LEAST_POWER, base), _cv_at(_MOST_POWER, base)


@lru_cache(maxsize=256)
def _stretched(template: tuple[float, ...], cv: float) -> Floats:
    base = _logs(template)

    def excess(power: float) -> float:
        return _cv_at(power, base) - cv

    low, high = _LEAST_POWER, _MOST_POWER
    power = low if excess(low) > 0 else high if excess(high) < 0 else float(optimize.brentq(excess, low, high))
    values = np.exp(power * base)
    return np.asarray(values / Empirical(tuple(values.tolist())).mean_s)


def measured_shape(times_s: Floats) -> ServiceShape:
    """The shape of observed times.

    Parameters
    ----------
    times_s : array
        Service times, seconds.
    """
    found = Empirical.from_data(times_s)
    return ServiceShape("measured", tuple((np.asarray(found.quantiles_s) / found.mean_s).tolist()))


def two_part_shape(times_s: Floats) -> ServiceShape | None:
    """Two lognormal parts by maximum likelihood, where they explain the times better than one.

    Expectation-maximisation on the logarithms [1]_, judged against one part by the Bayesian information
    criterion [2]_.

    Parameters
    ----------
    times_s : array
        Service times, seconds.

    Returns
    -------
    ServiceShape or None
        None where one part is enough.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum likelihood from incomplete data via the EM
       algorithm", J. R. Stat. Soc. B 39, 1977.
    .. [2] G. Schwarz, "Estimating the dimension of a model", Ann. Statist. 6, 1978.
    """
    logs = np.log(np.maximum(times_s, 1e-9))
    if np.median(logs) == logs.max():  # no part above: times that hardly differ
        return None
    single = _log_likelihood(logs, np.ones(1), np.array([logs.mean()]), np.array([max(logs.std(), _LEAST_SPREAD)]))
    weights, means, spreads = _expectation_maximisation(logs)
    double = _log_likelihood(logs, weights, means, spreads)
    if min(weights) < _LEAST_PART or 2 * (double - single) < 3 * np.log(len(logs)):
        return None
    return ServiceShape("two-part", _mixture_template(weights, means, spreads))


def _expectation_maximisation(logs: Floats) -> tuple[Floats, Floats, Floats]:
    middle = np.median(logs)
    means = np.array([logs[logs <= middle].mean(), logs[logs > middle].mean()])
    spreads = np.full(2, max(logs.std() / 2, _LEAST_SPREAD))
    weights = np.full(2, 0.5)
    for _ in range(_EM_ROUNDS):
        parts = weights * _normal_density(logs[:, None], means, spreads)
        share = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-300)
        total = np.maximum(share.sum(axis=0), 1e-9)
        weights, means = total / len(logs), (share * logs[:, None]).sum(axis=0) / total
        variance = (share * (logs[:, None] - means) ** 2).sum(axis=0) / total
        spreads = np.maximum(np.sqrt(variance), _LEAST_SPREAD)
    return weights, means, spreads


def _normal_density(at: Floats, means: Floats, spreads: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * ((at - means) / spreads) ** 2) / (spreads * np.sqrt(2 * np.pi)))


def _log_likelihood(logs: Floats, weights: Floats, means: Floats, spreads: Floats) -> float:
    density = (weights * _normal_density(logs[:, None], means, spreads)).sum(axis=1)
    return float(np.log(np.maximum(density, 1e-300)).sum())


def _mixture_template(weights: Floats, means: Floats, spreads: Floats) -> tuple[float, ...]:
    from scipy import special

    grid = np.linspace((means - 4 * spreads).min(), (means + 4 * spreads).max(), 8_000)
    cdf = (weights * special.ndtr((grid[:, None] - means) / spreads)).sum(axis=1)
    at = np.linspace(0.0, 1.0, _TEMPLATE_POINTS)
    quantiles = np.exp(np.interp(at, (cdf - cdf[0]) / (cdf[-1] - cdf[0]), grid))
    return tuple((quantiles / Empirical(tuple(quantiles.tolist())).mean_s).tolist())
