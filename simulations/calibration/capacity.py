"""Capacity of one instance by a calibrated model, with the calibration's uncertainty."""

from __future__ import annotations

from dataclasses import replace

from loadtests.foundation.distributions import Distribution
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.load_sweep import find_capacity
from simulations.calibration.prediction import model_draws
from simulations.calibration.result import CalibrationResult
from simulations.model.workload import ClosedWorkload

CAPACITY_DRAWS = 40


def capacity_of_fit(
    fit: CalibrationResult,
    *,
    p95_s: float | None = None,
    max_bad_fraction: float | None = None,
    think_time: Distribution | None = None,
    seed: int = 1,
    level: float = 0.9,
) -> InstanceCapacity:
    """`find_capacity` over the calibration's joint parameter draws.

    Parameters
    ----------
    fit : CalibrationResult
    p95_s, max_bad_fraction : float, optional
        The objective; at least one.
    think_time : Distribution, optional
        Default: the measured gaps.
    seed : int, default 1
    level : float, default 0.9

    Returns
    -------
    InstanceCapacity
        In users, its interval of kind ``parameter`` (40 draws), `valid_up_to` the heaviest calibrated step.
    """
    workload = ClosedWorkload(fit.users_range[1], think_time or fit.think_time)
    found = find_capacity(
        fit.model, workload, p95_s=p95_s, max_bad_fraction=max_bad_fraction,
        draws=model_draws(fit, CAPACITY_DRAWS, seed), seed=seed, level=level,
    )  # fmt: skip
    return replace(found, valid_up_to=float(fit.users_range[1]))
