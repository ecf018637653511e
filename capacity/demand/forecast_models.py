"""Structural and exponential smoothing models of logarithms: the one place that loads statsmodels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.representation import Representation
from statsmodels.tsa.statespace.structural import UnobservedComponents, UnobservedComponentsResults

from capacity.demand.bounded_states import KalmanFilter, states_given_bounds
from capacity.demand.candidates import (
    LAST_VALUE,
    SEASONAL_NAIVE,
    STRUCTURAL,
    TRAILING,
    YEARS_FOR_A_WAVE,
    YEARS_FOR_ALL_WAVES,
    Candidate,
    ModelFailedError,
    Task,
)
from capacity.demand.history import Floats
from loadtests.foundation.quantiles import normal_quantile

_HARMONICS = 3
_MOST_ITERATIONS, _FEWEST_FREE = 60, 3
_BODY = 0.95
_TAIL_FROM = normal_quantile(_BODY)


def candidates(season: int) -> tuple[Candidate, ...]:
    """All ways to forecast, the simplest first; of the baselines, those that the steps allow."""
    baselines = (TRAILING, LAST_VALUE, *((SEASONAL_NAIVE,) if season else ()))
    smoothing = "Holt-Winters" if season else "Holt"
    return (
        *baselines,
        Candidate("ets-trend", partial(ets_paths, damped=False), True, f"{smoothing} on logarithms, steady trend"),
        Candidate("ets-damped", partial(ets_paths, damped=True), True, f"{smoothing} on logarithms, damped trend"),
        Candidate(STRUCTURAL, structural_paths, True, "wandering level, trend and smooth yearly pattern on logarithms"),
    )


def structural_paths(task: Task) -> Floats:
    """Futures of a structural model of the logarithms: a level that wanders around a trend, a yearly pattern, noise.

    The pattern is the sum of three harmonics; of one where less than two years are known, and none below one and a
    quarter. Trend and pattern are states with a diffuse start, so what a short history leaves open about them is in
    the futures; the two variances are fitted by maximum likelihood (A. C. Harvey, *Forecasting, Structural Time Series
    Models and the Kalman Filter*, 1989, sections 2.3 and 4.1). Noise is normal up to a step's 95 % quantile; beyond it,
    the highest residuals stand in where they lie further out, so that rare bursts stay in the tail.

    Raises
    ------
    ModelFailedError
        When the fit does not end in finite numbers.
    """
    return _checked(_structural, task)


def _structural(task: Task) -> Floats:
    years = len(task.logs) / task.year if task.year else 0.0
    waves = _HARMONICS if years >= YEARS_FOR_ALL_WAVES else int(years >= YEARS_FOR_A_WAVE)
    pattern = {"period": task.year, "harmonics": waves}
    yearly = {"freq_seasonal": [pattern], "stochastic_freq_seasonal": [False]} if waves else {}
    bounds = np.full(len(task.logs), np.nan) if task.bounds is None else task.bounds
    is_known = np.isnan(bounds)
    shape: dict[str, Any] = {"level": "local linear deterministic trend", **yearly}
    model = UnobservedComponents(np.where(is_known, task.logs, np.nan), **shape)
    fit = model.fit(disp=False, maxiter=_MOST_ITERATIONS, cov_type="none")
    residuals = _Residuals.of(fit.smoothed_measurement_disturbance[0, is_known], fit.loglikelihood_burn)
    today = fit.predicted_state[:, -1], fit.predicted_state_cov[:, :, -1]
    if not is_known.all():
        today = _bounded_today(UnobservedComponents(task.logs, **shape).filter(fit.params), bounds, task)
    return _futures(model.ssm, today, residuals, task)


def _bounded_today(fit: UnobservedComponentsResults, bounds: Floats, task: Task) -> tuple[Floats, Floats]:
    """States expected next, one a draw, and their variance; `fit` is as if every period were known."""
    space, filtered = fit.model.ssm, fit.filter_results
    run = KalmanFilter(
        space["design"][0], space["transition"], fit.predicted_state[:, 0], filtered.kalman_gain[:, 0, :].T,
        filtered.forecasts_error_cov[0, 0], int(fit.loglikelihood_burn),
    )  # fmt: skip
    return states_given_bounds(run, task.logs, bounds, task.draws, task.rng), fit.predicted_state_cov[:, :, -1]


@dataclass(frozen=True, eq=False)
class _Residuals:
    """What a fit leaves as noise, in standard deviations, and on how many independent ones it rests."""

    sizes: Floats
    number: int

    @classmethod
    def of(cls, noise: Floats, burn: float) -> _Residuals:
        spread = float(noise.std())
        sizes = (noise - noise.mean()) / spread if spread > 0.0 else np.zeros(1)
        return cls(sizes, noise.size - int(burn))

    def further(self, noise: Floats) -> Floats:
        """Standard normal noise, its upper twentieth moved out to the residual of that rank where that is larger."""
        made, high = noise.copy(), noise > _TAIL_FROM
        made[high] = np.maximum(noise[high], np.quantile(self.sizes, ndtr(noise[high])))
        return made


def _futures(space: Representation, today: tuple[Floats, Floats], residuals: _Residuals, task: Task) -> Floats:
    """Drawn forward from the state that is expected next: all futures at once, where statsmodels goes one by one.

    The scale of all variances is as uncertain as so many residuals leave it, less two for what was fitted: futures are
    Student's t (Harvey, section 3.2.2).
    """
    centre, spread = today
    number = residuals.number
    transition, design = space["transition"], space["design"][0]
    scale = np.sqrt(number / task.rng.chisquare(max(number - 2, _FEWEST_FREE), (task.draws, 1)))
    zero = np.zeros(len(spread))
    states = centre + scale * task.rng.multivariate_normal(zero, spread, size=task.draws, method="eigh")
    shocks = scale * np.sqrt(np.diag(space["selection"] @ space["state_cov"] @ space["selection"].T))
    noise = scale[:, 0] * np.sqrt(space["obs_cov"][0, 0])
    made = np.empty((task.draws, task.steps))
    for step in range(task.steps):
        level, place = states @ design, task.rng.standard_normal(task.draws)
        made[:, step] = _spliced(level + noise * place, level + noise * residuals.further(place))
        states = states @ transition.T + shocks * task.rng.standard_normal(states.shape)
    return made


def _spliced(body: Floats, tail: Floats) -> Floats:
    """The values of `body` up to its 95 % quantile and those of `tail` beyond it, in the order of `tail`."""
    split = math.floor(_BODY * (body.size - 1)) + 2  # behind both values between which that quantile is interpolated
    values = np.concatenate([np.sort(body)[:split], np.sort(tail)[split:]])
    return np.asarray(values[rankdata(tail, method="ordinal") - 1], dtype=np.float64)


def ets_paths(task: Task, *, damped: bool) -> Floats:
    """Futures of ETS(A,A,A) or ETS(A,Ad,A) on logarithms; (A,A,N) and (A,Ad,N) without a yearly pattern.

    States and likelihood: R. J. Hyndman, A. B. Koehler, J. K. Ord, R. D. Snyder,
    *Forecasting with Exponential Smoothing*, 2008, chapters 2 and 5; the damped
    trend: E. S. Gardner, E. McKenzie, Management Science 31, 1985. Errors are
    drawn from the residuals, so that single high peaks stay in the tail.
    Parameters are taken as known; the backtest sees what that leaves out.

    Raises
    ------
    ModelFailedError
        When the fit does not end in finite numbers.
    """
    return _checked(partial(_fitted_paths, damped=damped), task)


def _checked(paths: Callable[[Task], Floats], task: Task) -> Floats:
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = paths(task)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
        raise ModelFailedError(str(error)) from None
    if not np.isfinite(made).all():
        raise ModelFailedError("its futures are not finite")
    return made


def _fitted_paths(task: Task, *, damped: bool) -> Floats:
    model = ETSModel(
        task.logs, error="add", trend="add", damped_trend=damped, seasonal="add" if task.season else None,
        seasonal_periods=task.season or None, initialization_method="heuristic",
    )  # fmt: skip
    fit = model.fit(disp=False)
    residuals = np.asarray(fit.resid, dtype=np.float64)
    errors = task.rng.choice(residuals - residuals.mean(), size=(task.steps, task.draws))
    made = fit.simulate(task.steps, anchor="end", repetitions=task.draws, random_errors=errors)
    return np.asarray(made, dtype=np.float64).T
