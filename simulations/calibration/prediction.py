"""What a measurement of a stated length would show at a load, with a prediction interval.

Each draw takes one joint parameter draw, one run-to-run speed and its own
random numbers, and simulates exactly the window that would be measured. So the
spread holds parameter uncertainty, the window's sampling noise and the stated
run-to-run part together.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.foundation.distributions import Distribution
from loadtests.foundation.intervals import Interval
from loadtests.recording import STEP_METRICS
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint
from simulations.calibration.load_prediction import predict_load
from simulations.calibration.result import CalibrationResult
from simulations.model.workload import ClosedWorkload


def predict_window(
    fit: CalibrationResult,
    users: int,
    window_s: float = 60.0,
    *,
    think_time: Distribution | None = None,
    seed: int = 1,
    level: float = 0.9,
) -> dict[str, Interval]:
    """Prediction intervals of `STEP_METRICS` for one measurement of a closed load on one instance.

    `predict_load` takes other loads, other deployments and fleets.

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
    found = predict_load(fit, workload, window_s, seed=seed, level=level)
    return {name: found.metrics[name] for name in STEP_METRICS}


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
