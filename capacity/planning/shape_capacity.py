"""What one instance of a shape carries, by a calibrated model under the shape's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capacity.demand.wording import amount
from capacity.planning.shapes import InstanceShape, ShapeCapacity
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.objective import Objective
from simulations.calibration.capacity import capacity_of_fit
from simulations.calibration.result import CalibrationResult, ParameterDraws

_STAGES = {"cpu_cores": "cores", "db_pool": "database"}
"""Limits that act in a stage only."""
_BEHIND = ("workers", "db_pool", "cpu_cores")


@dataclass(frozen=True)
class ShapeObjective:
    """What an instance must keep.

    Parameters
    ----------
    p95_s, max_bad_fraction : float, optional
        Largest 95th percentile, seconds, and largest share of bad requests; at least one.
    think_time : Distribution, optional
        Default: the measured gaps.
    """

    p95_s: float | None = None
    max_bad_fraction: float | None = None
    think_time: Distribution | None = None


def capacity_of_shape(
    fit: CalibrationResult, shape: InstanceShape, objective: ShapeObjective, *, seed: int = 1, level: float = 0.9
) -> ShapeCapacity:
    """Capacity of one instance of a shape: from the model, never from its `max_ccu`.

    The calibrated times stay as measured; limits that the shape states replace those of the calibration. Cores act
    where the form has a stage of shared cores, the pool where it has one of the database.

    Parameters
    ----------
    fit : CalibrationResult
    shape : InstanceShape
    objective : ShapeObjective
    seed : int, default 1
    level : float, default 0.9
        Of the interval.

    Returns
    -------
    ShapeCapacity
        Without a capacity, and with the reason, where even one user breaks the objective, or where the recording
        does not show what would stop this shape.

    Raises
    ------
    InputError
        For an objective without limits, or with one out of range.
    """
    Objective(objective.p95_s, objective.max_bad_fraction).check(fit.model)
    shaped = fit_under(fit, shape.deployment)
    try:
        found = capacity_of_fit(
            shaped, p95_s=objective.p95_s, max_bad_fraction=objective.max_bad_fraction,
            think_time=objective.think_time, seed=seed, level=level,
        )  # fmt: skip
    except InputError as error:
        return ShapeCapacity(shape, None, tuple(_claim(fit, shape)), str(error))
    return ShapeCapacity(shape, found, (*found.findings, *_claim(fit, shape), *_beyond(fit, shape, found)))


def capacities_of_shapes(
    fit: CalibrationResult,
    shapes: Sequence[InstanceShape],
    objective: ShapeObjective,
    *,
    seed: int = 1,
    level: float = 0.9,
) -> dict[str, ShapeCapacity]:
    """`capacity_of_shape` of each, by name, with common random numbers: the same seed, so the same parameter draws."""
    return {shape.name: capacity_of_shape(fit, shape, objective, seed=seed, level=level) for shape in shapes}


def fit_under(fit: CalibrationResult, deployment: Deployment) -> CalibrationResult:
    """The calibration under other limits: in its model, its form and its draws.

    Parameters
    ----------
    fit : CalibrationResult
    deployment : Deployment
        One that it does not state keeps its calibrated value. Its gate is stated also by workers and line together.

    Returns
    -------
    CalibrationResult
    """
    stated = _stated(deployment)
    own = [index for index, name in enumerate(fit.draws.names) if name not in stated]
    draws = ParameterDraws(tuple(fit.draws.names[index] for index in own), fit.draws.values[:, own])
    return replace(
        fit,
        model=fit.model.with_deployment(fit.model.deployment.with_limits(**stated)),
        form=fit.form.with_limits(**stated),
        draws=draws,
        identified={name: is_told for name, is_told in fit.identified.items() if name not in stated},
    )


def _stated(deployment: Deployment) -> dict[str, Any]:
    gate = {} if deployment.gate is None else {"gate_limit": deployment.gate}
    return {**deployment.to_dict(), **gate}


def _claim(fit: CalibrationResult, shape: InstanceShape) -> Iterator[Finding]:
    """A `max_ccu` that grows by more than every resource behind it."""
    own, measured = shape.deployment, fit.model.deployment
    claimed = _ratio(own.max_ccu, measured.max_ccu)
    ratios = {name: _ratio(getattr(own, name), getattr(measured, name)) for name in _BEHIND}
    behind = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if claimed is None or claimed <= 1 or any(ratio >= claimed for ratio in behind.values()):
        return
    listed = ", ".join(f"{name} x{ratio:.3g}" for name, ratio in behind.items()) or "no stated resource at all"
    yield Finding(
        "vertical-step-unsupported", "warning",
        f"Shape {shape.name} raises max_ccu from {amount(measured.max_ccu or 0)} to {amount(own.max_ccu or 0)} "
        f"(x{claimed:.3g}), but only {listed}: the setting allows more than the resources are shown to carry.",
        "Rely on the capacity by the model, and measure the shape before buying many.",
        {"shape": shape.name, "max_ccu": [measured.max_ccu, own.max_ccu], "ratios": behind},
    )  # fmt: skip


def _beyond(fit: CalibrationResult, shape: InstanceShape, found: InstanceCapacity) -> Iterator[Finding]:
    """A capacity above the measured loads, where a resource that may stop it is not in the model."""
    heaviest = found.valid_up_to
    if heaviest is None or found.value.high <= heaviest:
        return
    untold = [name for name, stage in _STAGES.items() if fit.form.stage != stage]
    yield Finding(
        "shape-beyond-evidence", "warning",
        f"Shape {shape.name} is said to carry {amount(found.value.mid)} {found.quantity}, bound by {found.bound_by}; "
        f"the calibrated loads end at {amount(heaviest)}. The recording cannot tell whether {' or '.join(untold)} "
        "would stop it first: the model has no stage for it, and times are taken as measured.",
        "Record an instance of this shape at about that load before relying on the number.",
        {"shape": shape.name, "capacity": found.value.mid, "measured": heaviest, "not_told": untold},
    )  # fmt: skip


def _ratio(after: Any, before: Any) -> float | None:
    numbers = isinstance(after, (int, float)) and isinstance(before, (int, float)) and before
    return float(after) / float(before) if numbers else None
