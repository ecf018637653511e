"""The Universal Scalability Law: throughput against load, by contention and coherency.

X(N) = gamma N / (1 + alpha (N - 1) + beta N (N - 1)), fitted by bounded nonlinear
least squares (alpha, beta >= 0).

References
----------
.. [1] N. J. Gunther, Guerrilla Capacity Planning, Springer, 2007, chapters 4 to 6.
.. [2] D. M. Bates, D. G. Watts, Nonlinear Regression Analysis and Its Applications, Wiley, 1988,
   chapters 2 (linear approximation) and 6 (profiles).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

PARAMETERS = ("alpha", "beta", "gamma")
_LEAST_POINTS, _LEAST_LOADS = 4, 3
_EXACT = 1e-10
"""A residual standard error below this share of the largest throughput counts as an exact fit."""
_SAME = 1e-7
"""A sum of squares that grows by less than this share when a parameter is set to 0: the parameter sits at its bound."""
_NEAR = 0.05
"""Alpha or beta below this, in units of the largest load, may sit at its bound; the solver stops a little inside."""


@dataclass(frozen=True, repr=False)
class UslFit:
    """A fitted Universal Scalability Law.

    Parameters
    ----------
    alpha, beta : Interval
        Contention and coherency, per unit of load; at least 0.
    gamma : Interval
        Throughput at a load of 1, in the unit of the throughput.
    standard_errors : dict of str to float
        Of each parameter, from the Jacobian of all three (as R's `usl` states them). Where a parameter
        sits at its bound they describe no sampling distribution; the intervals do.
    residual_standard_error : float
        Square root of the sum of squares over `degrees_of_freedom`, in the unit of the throughput.
    degrees_of_freedom : int
        Points minus 3.
    at_bound : tuple of str
        Parameters that the data would push below 0. With any, all intervals are profile-likelihood
        intervals, and those of the parameters named are one-sided, from 0; otherwise they are the
        estimate and Student's t times the standard error, cut at 0.
    load, throughput : tuple of float
        What was fitted.
    """

    alpha: Interval
    beta: Interval
    gamma: Interval
    standard_errors: dict[str, float]
    residual_standard_error: float
    degrees_of_freedom: int
    at_bound: tuple[str, ...]
    load: tuple[float, ...] = field(repr=False)
    throughput: tuple[float, ...] = field(repr=False)

    def predict(self, load: ArrayLike) -> Floats:
        """Throughput at given loads.

        Parameters
        ----------
        load : array_like of float
            At least 0.

        Returns
        -------
        array of float
            In the unit of the fitted throughput and the shape of `load`.
        """
        return _law(np.asarray(load, dtype=float), np.array([self.alpha.mid, self.beta.mid, self.gamma.mid]))

    @property
    def residuals(self) -> Floats:
        """Throughput minus fit, in the order of the points."""
        return np.asarray(self.throughput - self.predict(self.load), dtype=float)

    @property
    def peak_load(self) -> float:
        """Load of the largest throughput, sqrt((1 - alpha) / beta); infinite without coherency, at least 1."""
        if self.alpha.mid >= 1.0:
            return 1.0
        return max(math.sqrt((1.0 - self.alpha.mid) / self.beta.mid), 1.0) if self.beta.mid > 0 else math.inf

    @property
    def peak_throughput(self) -> float:
        """Throughput at the peak load; without coherency the limit, which is only approached."""
        return float(self.predict(self.peak_load)) if math.isfinite(self.peak_load) else self.limit

    @property
    def limit(self) -> float:
        """Throughput that contention alone would allow, gamma / alpha; infinite without contention."""
        return self.gamma.mid / self.alpha.mid if self.alpha.mid > 0 else math.inf

    @property
    def optimal_load(self) -> float:
        """Load 1 / alpha, where linear growth would meet the limit; infinite without contention."""
        return 1.0 / self.alpha.mid if self.alpha.mid > 0 else math.inf

    def to_frame(self) -> pd.DataFrame:
        """One row a parameter: parameter, low, mid, high, level, standard_error, at_bound."""
        import pandas as pd

        return pd.DataFrame(
            {
                "parameter": name, "low": item.low, "mid": item.mid, "high": item.high, "level": item.level,
                "standard_error": self.standard_errors[name], "at_bound": name in self.at_bound,
            }
            for name, item in self._intervals().items()
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the points and the versions."""
        return {
            "schema_version": SCHEMA_VERSION, "law": "usl",
            "load": list(self.load), "throughput": list(self.throughput),
            **{name: item.to_dict() for name, item in self._intervals().items()},
            "standard_errors": dict(self.standard_errors), "residual_standard_error": self.residual_standard_error,
            "degrees_of_freedom": self.degrees_of_freedom, "at_bound": list(self.at_bound),
            "versions": versions_of("numpy", "scipy"),
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        for name, item in self._intervals().items():
            note = " (at its bound 0: one-sided)" if name in self.at_bound else ""
            lines.append(f"  {name:<23} {item}, standard error {self.standard_errors[name]:.3g}{note}")
        freedom = self.degrees_of_freedom
        lines.append(f"  residual standard error {self.residual_standard_error:.4g} on {freedom} degrees of freedom")
        lines.append(f"  peak                    {self.peak_throughput:.4g} at a load of {self.peak_load:.4g}")
        lines.append(f"  limit                   {self.limit:.4g}; optimal load {self.optimal_load:.4g}")
        return "\n".join(lines)

    def _intervals(self) -> dict[str, Interval]:
        return {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}

    def __repr__(self) -> str:
        return (
            f"UslFit(alpha={self.alpha.mid:.4g}, beta={self.beta.mid:.4g}, gamma={self.gamma.mid:.4g}, "
            f"{len(self.load)} points, peak at {self.peak_load:.4g})"
        )

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.5g}"))


def fit_usl(load: ArrayLike, throughput: ArrayLike, *, level: float = 0.9) -> UslFit:
    """Fit the Universal Scalability Law to measured throughputs [1]_.

    Parameters
    ----------
    load : array_like of float
        Users, workers or processors, above 0; at least 4 points at 3 different loads.
    throughput : array_like of float
        Any unit, above 0.
    level : float, default 0.9
        Of the confidence intervals.

    Returns
    -------
    UslFit
        Its intervals assume independent errors of the same size at each load.

    Raises
    ------
    InputError
        For too few points, lengths that differ, or numbers that are not finite and above 0.

    References
    ----------
    .. [1] N. J. Gunther, Guerrilla Capacity Planning, Springer, 2007, chapters 4 to 6.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level!r}; it must lie between 0 and 1, for example 0.9.")
    loads, rates = _points(load, throughput)
    problem = _Problem(loads / loads.max(), rates / rates.max(), 1.0 / loads.max())
    scaled, at_bound = problem.solved()
    units = np.array([1.0 / loads.max(), 1.0 / loads.max() ** 2, rates.max() / loads.max()])
    freedom = loads.size - 3
    sigma = math.sqrt(problem.squares(scaled) / freedom)
    errors = sigma * np.sqrt(np.diag(np.linalg.inv(problem.information(scaled))))
    ends = problem.intervals(scaled, errors, at_bound, _Level(level, freedom, sigma))
    alpha, beta, gamma = (
        Interval(low * unit, mid * unit, high * unit, level, "parameter")
        for (low, high), mid, unit in zip(ends, scaled.tolist(), units.tolist(), strict=True)
    )
    return UslFit(
        alpha, beta, gamma, dict(zip(PARAMETERS, (errors * units).tolist(), strict=True)), sigma * float(rates.max()),
        freedom, at_bound, tuple(loads.tolist()), tuple(rates.tolist()),
    )  # fmt: skip


def quick_usl(load: ArrayLike, throughput: ArrayLike) -> Floats:
    """Contention, coherency and throughput at a load of 1 without intervals, from one start: for many fits.

    Parameters
    ----------
    load, throughput : array_like of float
        As for `fit_usl`.

    Returns
    -------
    array, shape (3,)
        Alpha, beta and gamma; at least 0.
    """
    loads, rates = _points(load, throughput)
    problem = _Problem(loads / loads.max(), rates / rates.max(), 1.0 / loads.max())
    scaled = problem.best({}, [problem.linearised()])
    units = np.array([1.0 / loads.max(), 1.0 / loads.max() ** 2, rates.max() / loads.max()])
    return np.asarray(scaled * units, dtype=float)


def coherency_loss(parameters: Floats, load: float) -> float:
    """Share of the throughput that coherency takes at a load: beta N (N - 1) over the law's divisor.

    Parameters
    ----------
    parameters : array
        Alpha, beta and gamma.
    load : float

    Returns
    -------
    float
        0 at a load of at most 1.
    """
    alpha, beta, _ = parameters.tolist()
    beyond = max(load - 1.0, 0.0)
    lost = beta * load * beyond
    return float(lost / (1.0 + alpha * beyond + lost))


def _points(load: ArrayLike, throughput: ArrayLike) -> tuple[Floats, Floats]:
    loads, rates = np.asarray(load, dtype=float), np.asarray(throughput, dtype=float)
    if loads.ndim != 1 or loads.shape != rates.shape:
        raise InputError(f"load has the shape {loads.shape}, throughput {rates.shape}; give two lists of one length.")
    for name, values in (("load", loads), ("throughput", rates)):
        wrong = values[~(np.isfinite(values) & (values > 0))]
        if wrong.size:
            raise InputError(f"{name} holds {wrong.tolist()}; every number must be finite and above 0.")
    if loads.size < _LEAST_POINTS or np.unique(loads).size < _LEAST_LOADS:
        raise InputError(
            f"There are {loads.size} points at {np.unique(loads).size} different loads; the three parameters and their "
            f"uncertainty need at least {_LEAST_POINTS} points at {_LEAST_LOADS} different loads. Measure more levels."
        )
    return loads, rates


def _law(load: Floats, parameters: Floats) -> Floats:
    alpha, beta, gamma = parameters
    return np.asarray(gamma * load / (1.0 + alpha * (load - 1.0) + beta * load * (load - 1.0)), dtype=float)


@dataclass(frozen=True)
class _Level:
    """What an interval is asked for: its level, degrees of freedom and residual standard error."""

    level: float
    freedom: int
    sigma: float

    def quantile(self, probability: float) -> float:
        return float(special.stdtrit(self.freedom, probability))


@dataclass(frozen=True)
class _Problem:
    """The least-squares problem in units of the largest load and throughput, where all parameters are of order 1.

    `one` is a load of 1 in these units: X = gamma N / (1 + alpha (N - one) + beta N (N - one)).
    """

    load: Floats
    rate: Floats
    one: float

    def fitted(self, parameters: Floats) -> Floats:
        return np.asarray(parameters[2] * self.load / self._divisor(parameters), dtype=float)

    def squares(self, parameters: Floats) -> float:
        return float(np.sum((self.rate - self.fitted(parameters)) ** 2))

    def jacobian(self, parameters: Floats) -> Floats:
        """Derivatives of the fitted rates, one column a parameter."""
        divisor, beyond = self._divisor(parameters), self.load - self.one
        slope = -parameters[2] * self.load / divisor**2
        return np.column_stack([slope * beyond, slope * self.load * beyond, self.load / divisor])

    def information(self, parameters: Floats) -> Floats:
        jacobian = self.jacobian(parameters)
        return np.asarray(jacobian.T @ jacobian, dtype=float)

    def _divisor(self, parameters: Floats) -> Floats:
        beyond = self.load - self.one
        return np.asarray(1.0 + parameters[0] * beyond + parameters[1] * self.load * beyond, dtype=float)

    def solved(self) -> tuple[Floats, tuple[str, ...]]:
        """The best parameters, and the names of those at 0: as many of alpha and beta as cost nothing."""
        inside = self.best({})
        near = [index for index in (0, 1) if inside[index] < _NEAR]
        choices = [zero for count in range(len(near), 0, -1) for zero in combinations(near, count)]
        fits = {zero: self.best(dict.fromkeys(zero, 0.0)) for zero in choices} | {(): inside}
        least = min(self.squares(fit) for fit in fits.values())
        worst = least * (1.0 + _SAME) + self.rate.size * _EXACT**2
        zero, best = next((zero, fit) for zero, fit in fits.items() if self.squares(fit) <= worst)
        return best, tuple(PARAMETERS[index] for index in zero)

    def best(self, fixed: dict[int, float], starts: Sequence[Floats] = ()) -> Floats:
        """Least squares over the parameters that are not fixed, from several starts."""
        everywhere = [np.array([alpha, beta, 1.0]) for alpha in (0.1, 3.0) for beta in (0.1, 3.0)]
        found = [self._from_start(start, fixed) for start in starts or [self.linearised(), *everywhere]]
        return min(found, key=self.squares)

    def linearised(self) -> Floats:
        """A start: N / X = (1 + alpha (N - 1) + beta N (N - 1)) / gamma is linear in 1, alpha and beta over gamma."""
        beyond = self.load - self.one
        columns = np.column_stack([np.ones_like(beyond), beyond, self.load * beyond])
        weight = self.rate**2 / self.load
        inverse, alpha, beta = optimize.nnls(columns * weight[:, None], self.rate * weight * self.load / self.rate**2)[
            0
        ]
        scale = max(float(inverse), 1e-6)
        return np.array([alpha / scale, beta / scale, 1.0 / scale])

    def _from_start(self, start: Floats, fixed: dict[int, float]) -> Floats:
        free = [index for index in range(3) if index not in fixed]

        def filled(values: Floats) -> Floats:
            whole = start.copy()
            whole[list(fixed)] = list(fixed.values())
            whole[free] = values
            return whole

        def residuals(values: Floats) -> Floats:
            return self.fitted(filled(values)) - self.rate

        def slopes(values: Floats) -> Floats:
            return self.jacobian(filled(values))[:, free]

        found = optimize.least_squares(
            residuals, np.maximum(start[free], 1e-3), jac=slopes, bounds=(0.0, np.inf), x_scale="jac",
            ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=1_000,
        )  # fmt: skip
        return filled(found.x)

    def intervals(
        self, best: Floats, errors: Floats, at_bound: tuple[str, ...], wanted: _Level
    ) -> list[tuple[float, float]]:
        """Ends of each parameter: by Student's t, or by profiles when a parameter sits at its bound."""
        if wanted.sigma < _EXACT:
            return [(value, value) for value in best.tolist()]
        if not at_bound:
            half = wanted.quantile(0.5 + wanted.level / 2.0) * errors
            return list(zip(np.maximum(best - half, 0.0).tolist(), (best + half).tolist(), strict=True))
        return [self._profile(best, index, PARAMETERS[index] in at_bound, wanted) for index in range(3)]

    def _profile(self, best: Floats, index: int, is_at_bound: bool, wanted: _Level) -> tuple[float, float]:
        """Where the sum of squares, refitted over the others, exceeds the least by t^2 residual variances."""
        value = float(best[index])
        score = wanted.quantile(wanted.level if is_at_bound else 0.5 + wanted.level / 2.0)
        limit = self.squares(best) + (score * wanted.sigma) ** 2

        def excess(at: float) -> float:
            return self.squares(self.best({index: at}, [best])) - limit

        step = 0.1 * max(value, 0.01)
        while excess(value + step) < 0.0 and step < 1e6:
            step *= 2.0
        high = float(optimize.brentq(excess, value, value + step, rtol=1e-8)) if step < 1e6 else math.inf
        if is_at_bound or excess(0.0) <= 0.0:
            return 0.0, high
        return float(optimize.brentq(excess, 0.0, value, rtol=1e-8)), high
