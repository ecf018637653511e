"""Capacity of one instance by a calibrated model, with the calibration's uncertainty."""

from __future__ import annotations

import math
from dataclasses import replace

from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.capacity_search import find_capacity
from simulations.calibration.prediction_draws import model_draws
from simulations.calibration.result import CalibrationResult
from simulations.calibration.standing import standing_findings
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
        In users, its interval of kind ``parameter`` (40 draws), `valid_up_to` the users who would offer as much as at
        the heaviest calibrated step, `findings` what the calibration says of its model.

    Raises
    ------
    InputError
        When nothing bounds the objective, or it is met beyond the measured loads by a model
        whose workers or gate the recording does not show.
    """
    think = think_time or fit.think_time
    heaviest = fit.heaviest_users(think)
    workload = ClosedWorkload(math.ceil(heaviest), think)
    found = find_capacity(
        fit.model, workload, p95_s=p95_s, max_bad_fraction=max_bad_fraction,
        draws=model_draws(fit, CAPACITY_DRAWS, seed), seed=seed, level=level,
    )  # fmt: skip
    _refuse_blind(fit, found, heaviest)
    return replace(found, valid_up_to=heaviest, findings=standing_findings(fit))


def _refuse_blind(fit: CalibrationResult, found: InstanceCapacity, heaviest: float) -> None:
    """Refuse a capacity beyond the measured loads where the recording has not shown what stops a larger load."""
    unseen = [name for name in ("workers", "gate_limit") if fit.identified.get(name) is False]
    if unseen and found.value.high > heaviest:
        raise InputError(
            f"The recording does not show {' and '.join(unseen)}, and the capacity would lie beyond its "
            f"{heaviest:,.4g} users: nothing measured says what stops a larger load. Record a step with about "
            f"{2 * heaviest:,.4g} users, or state {' and '.join(unseen)} in the deployment."
        )
