"""Structural and exponential smoothing models of logarithms: the one place that loads statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.representation import Representation
from statsmodels.tsa.statespace.structural import UnobservedComponents

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

_HARMONICS = 3
_MOST_ITERATIONS, _FEWEST_FREE = 60, 3


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
    Models and the Kalman Filter*, 1989, sections 2.3 and 4.1).

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
    model = UnobservedComponents(task.logs, level="local linear deterministic trend", **yearly)
    fit = model.fit(disp=False, maxiter=_MOST_ITERATIONS, cov_type="none")
    today = fit.predicted_state[:, -1], fit.predicted_state_cov[:, :, -1]
    return _futures(model.ssm, today, len(task.logs) - int(fit.loglikelihood_burn), task)


def _futures(space: Representation, today: tuple[Floats, Floats], residuals: int, task: Task) -> Floats:
    """Drawn forward from the state that is expected next: all futures at once, where statsmodels goes one by one.

    The scale of all variances is as uncertain as so many residuals leave it, less two for what was fitted: futures are
    Student's t (Harvey, section 3.2.2).
    """
    centre, spread = today
    transition, design = space["transition"], space["design"][0]
    scale = np.sqrt(residuals / task.rng.chisquare(max(residuals - 2, _FEWEST_FREE), (task.draws, 1)))
    zero = np.zeros_like(centre)
    states = centre + scale * task.rng.multivariate_normal(zero, spread, size=task.draws, method="eigh")
    shocks = scale * np.sqrt(np.diag(space["selection"] @ space["state_cov"] @ space["selection"].T))
    noise = scale[:, 0] * np.sqrt(space["obs_cov"][0, 0])
    made = np.empty((task.draws, task.steps))
    for step in range(task.steps):
        made[:, step] = states @ design + noise * task.rng.standard_normal(task.draws)
        states = states @ transition.T + shocks * task.rng.standard_normal(states.shape)
    return made


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
