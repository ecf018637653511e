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
from scipy import special

from loadtests.foundation.distributions import Distribution
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key, generator
from loadtests.recording import STEP_METRICS
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.calibration.problem import build_model
from simulations.calibration.result import CalibrationResult
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

RUN_TO_RUN_CV = 0.01
"""Coefficient of variation of a server's speed between runs of the same test. Stated, not fitted: three repeats
of two third-party servers differed by 0.4 to 1.6 % in throughput, sampling noise included."""

DRAWS = 100


def model_draws(fit: CalibrationResult, count: int, seed: int) -> list[ServerModel]:
    """Models drawn from the joint parameter uncertainty, each with its own run-to-run speed.

    Parameters
    ----------
    fit : CalibrationResult
    count : int
        Number of models.
    seed : int

    Returns
    -------
    list of ServerModel
        Limits that were estimated are drawn too; with other workers the service time moves
        along the ridge on which saturation and light load stay as measured.
    """
    rng = generator(seed, 4)
    rows = rng.integers(0, len(fit.draws.values), count)
    speed = np.exp(RUN_TO_RUN_CV * rng.standard_normal(count))
    return [_drawn_model(fit, fit.draws.values[row], factor, rng) for row, factor in zip(rows, speed, strict=True)]


def _drawn_model(
    fit: CalibrationResult, row: NDArray[np.float64], speed: float, rng: np.random.Generator
) -> ServerModel:
    mean_s, cv, round_trip_s = (float(value) for value in row)
    limits = {
        name: _drawn_limit(fit.parameters[name], rng) for name in ("workers", "gate_limit") if name in fit.parameters
    }
    if "workers" in limits:
        moved_s = mean_s * limits["workers"] / fit.parameters["workers"].mid
        round_trip_s = max(mean_s + round_trip_s - moved_s, 0.1 * round_trip_s)
        mean_s = moved_s
    deployment = fit.model.deployment.with_limits(**limits)
    return build_model(deployment, fit.family, np.array([mean_s * speed, cv, round_trip_s]))


def _drawn_limit(interval: Interval, rng: np.random.Generator) -> int:
    """A whole number, normal around the estimate with the interval's width."""
    z = float(special.ndtri(0.5 + interval.level / 2))
    side = rng.standard_normal()
    sd = ((interval.high - interval.mid) if side > 0 else (interval.mid - interval.low)) / z
    return max(1, round(interval.mid + side * sd))


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
    """Prediction intervals over load: `predict_window` at each number of users.

    Parameters
    ----------
    fit : CalibrationResult
    users : sequence of int
        Load levels, in any order.
    window_s : float, default 60
        Length of the measurement that is predicted.
    seed : int, default 1
    level : float, default 0.9

    Returns
    -------
    CapacityCurve
        With the metrics of a recorded step.
    """
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
