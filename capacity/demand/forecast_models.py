"""The ways to forecast: exponential smoothing of logarithms here, the structural model and baselines beside it."""

from __future__ import annotations

from functools import partial

import numpy as np
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from capacity.demand.candidates import (
    LAST_VALUE,
    SEASONAL_NAIVE,
    STRUCTURAL,
    TRAILING,
    Candidate,
    Task,
    finite_paths,
)
from capacity.demand.history import Floats
from capacity.demand.structural_model import structural_paths


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
    return finite_paths(partial(_fitted_paths, damped=damped), task)


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
