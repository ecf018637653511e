"""What a measurement of a stated length would show at a load, with a prediction interval.

Each draw takes one joint parameter draw, one run-to-run speed and its own
random numbers, and simulates exactly the window that would be measured. So the
spread holds parameter uncertainty, the window's sampling noise and the stated
run-to-run part together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.distributions import Distribution
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key, generator
from loadtests.recording import STEP_METRICS
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.simulation import simulate_log
from simulations.calibration.problem import build_model, warm_up_time_s
from simulations.calibration.result import CalibrationResult
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

RUN_TO_RUN_CV = 0.01
"""Coefficient of variation of a server's speed between runs of the same test. Stated, not fitted: three repeats
of two third-party servers differed by 0.4 to 1.6 % in throughput, sampling noise included."""

DRAWS = 100


def model_draws(fit: CalibrationResult, count: int, seed: int) -> list[ServerModel]:
    """Models drawn from the joint parameter uncertainty, each with its own run-to-run speed."""
    rng = generator(seed, 4)
    rows = rng.integers(0, len(fit.draws.values), count)
    speed = np.exp(RUN_TO_RUN_CV * rng.standard_normal(count))
    models = []
    for row, factor in zip(rows, speed, strict=True):
        values = fit.draws.values[row].copy()
        values[0] *= factor
        models.append(build_model(fit.model.deployment, fit.family, values))
    return models


def predict_window(
    fit: CalibrationResult,
    users: int,
    window_s: float = 60.0,
    *,
    think_time: Distribution | None = None,
    seed: int = 1,
    level: float = 0.9,
) -> dict[str, Interval]:
    """Prediction intervals of `STEP_METRICS` for one measurement.

    Parameters
    ----------
    fit : CalibrationResult
    users : int
    window_s : float, default 60
        Length of the measurement.
    think_time : Distribution, optional
        Default: the measured gaps of the calibration.
    seed : int, default 1
    level : float, default 0.9
        Of the intervals; they are of kind ``prediction``.
    """
    workload = ClosedWorkload(users, think_time or fit.think_time)
    rows = [
        _one_window(model, workload, window_s, derive_key(seed, 5, users, number) >> 1)
        for number, model in enumerate(model_draws(fit, DRAWS, seed))
    ]
    return {name: _interval([row[name] for row in rows], level) for name in STEP_METRICS}


def predict_curve(
    fit: CalibrationResult, users: Sequence[int], window_s: float = 60.0, *, seed: int = 1, level: float = 0.9
) -> CapacityCurve:
    """Prediction intervals over load: `predict_window` at each number of users."""
    points = [
        CapacityPoint(count, predict_window(fit, count, window_s, seed=seed, level=level)) for count in sorted(users)
    ]
    return CapacityCurve(tuple(points), "model")


def _one_window(model: ServerModel, workload: ClosedWorkload, window_s: float, seed: int) -> dict[str, float]:
    warm_up_s = warm_up_time_s(model, workload)
    log = simulate_log(model, workload, RunLength(horizon_s=warm_up_s + window_s), seed=seed)
    return window_metrics(log, Window(warm_up_s, warm_up_s + window_s))


def _interval(values: list[float], level: float) -> Interval:
    draws: NDArray[np.float64] = np.array([value for value in values if math.isfinite(value)])
    return Interval.from_draws(draws, level=level, kind="prediction")
