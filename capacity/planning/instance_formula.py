"""The instance formula: peak / instance capacity x safety factor, rounded up, without rounding errors.

Source: the operations guide's capacity planning section, "Required Instances =
(Peak Traffic / Instance Capacity) * Safety Factor", factor 1.2 to 1.5. The
guide has no rounding rule; a fraction of an instance cannot be started, so the
result is the ceiling of the exact value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain


def required_instances(peak: Number, instance_capacity: Number, safety_factor: Number) -> int:
    """Return the instances that a peak needs: ceil(peak / instance_capacity x safety_factor).

    Exact: every number is read as its shortest decimal before the ceiling.

    Parameters
    ----------
    peak : number
        Peak load, at least 0, counted like `instance_capacity`.
    instance_capacity : number
        Load that one instance carries in normal operation, above 0.
    safety_factor : number
        At least 1; 1.2 to 1.5 in the guide.

    Returns
    -------
    int
        0 for a peak of 0, as the formula says; a plan keeps at least one instance.

    Raises
    ------
    InputError
        For a negative peak, a capacity of 0 or less, a factor below 1, NaN or infinity.

    Examples
    --------
    >>> required_instances(peak=7_000, instance_capacity=3_350, safety_factor=1.2)
    3
    >>> required_instances(33_500, 3_350, 1.1)
    11
    """
    return math.ceil(checked_peak(peak) / checked_capacity(instance_capacity) * checked_factor(safety_factor))


def checked_peak(peak: Number) -> Fraction:
    """Return the peak exactly; refuse a negative one."""
    value = exact("peak", peak)
    if value < 0:
        raise InputError(f"peak is {peak}; it must be 0 or more. Give the largest load to be carried.")
    return value


def checked_capacity(instance_capacity: Number) -> Fraction:
    """Return the capacity exactly; refuse 0 and less."""
    value = exact("instance_capacity", instance_capacity)
    if value <= 0:
        raise InputError(
            f"instance_capacity is {instance_capacity}; it must be above 0. "
            "Give the load that one instance carries in normal operation."
        )
    return value


def checked_factor(safety_factor: Number) -> Fraction:
    """Return the safety factor exactly; refuse one below 1."""
    value = exact("safety_factor", safety_factor)
    if value < 1:
        raise InputError(
            f"safety_factor is {safety_factor}; it must be at least 1. "
            "Headroom of 20 % is a factor of 1.2; the guide uses 1.2 to 1.5."
        )
    return value


def max_capacity(instance_capacity: Number, utilization_percent: Number) -> Fraction:
    """Return the maximum of an instance whose normal capacity is a share of it, exactly (3,350 at 67 %: 5,000)."""
    share = exact("utilization_percent", utilization_percent)
    if not 0 < share <= 100:
        raise InputError(f"utilization_percent is {utilization_percent}; it must lie above 0 and up to 100.")
    return checked_capacity(instance_capacity) * 100 / share


@dataclass(frozen=True)
class FactorResult:
    """What one safety factor asks for, and how full that fleet is at the peak.

    Parameters
    ----------
    safety_factor : number
    instances : int
    utilization_normal, utilization_max : float, optional
        Peak as a fraction of the fleet's normal and maximum capacity; None
        without instances or without a known maximum.
    """

    safety_factor: Number
    instances: int
    utilization_normal: float | None
    utilization_max: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "safety_factor": plain(exact("safety_factor", self.safety_factor)),
            "instances": self.instances,
            "utilization_normal": self.utilization_normal,
            "utilization_max": self.utilization_max,
        }


@dataclass(frozen=True)
class InstanceRequirement:
    """The formula's answer for one peak, one result per safety factor."""

    peak: Number
    instance_capacity: Number
    results: tuple[FactorResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form of ``capacity instances``."""
        return {
            "peak": plain(exact("peak", self.peak)),
            "instance_capacity": plain(exact("instance_capacity", self.instance_capacity)),
            "results": [result.to_dict() for result in self.results],
        }


def instance_requirement(
    peak: Number,
    instance_capacity: Number,
    safety_factors: Iterable[Number],
    *,
    instance_max: Number | None = None,
    utilization_percent: Number | None = 67,
) -> InstanceRequirement:
    """Apply the formula at several safety factors.

    Parameters
    ----------
    peak, instance_capacity : number
        As in `required_instances`.
    safety_factors : iterable of number
        Each at least 1, in the order of the results.
    instance_max : number, optional
        Maximum of one instance. Absent: instance_capacity x 100 / utilization_percent.
    utilization_percent : number, optional
        Normal capacity as a percentage of the maximum, 67 in the guide. With
        None and no `instance_max` the utilization of the maximum is null.

    Raises
    ------
    InputError
        As `required_instances`; also without any factor and for a maximum below the capacity.
    """
    factors = tuple(safety_factors)
    if not factors:
        raise InputError("No safety factor is given; give at least one, such as 1.2 or 1.2,1.5.")
    top = _checked_max(instance_capacity, instance_max, utilization_percent)
    results = tuple(_factor_result(peak, instance_capacity, factor, top) for factor in factors)
    return InstanceRequirement(peak, instance_capacity, results)


def _checked_max(normal: Number, top: Number | None, utilization_percent: Number | None) -> Fraction | None:
    if top is None:
        return None if utilization_percent is None else max_capacity(normal, utilization_percent)
    value = exact("instance_max", top)
    if value < checked_capacity(normal):
        raise InputError(f"instance_max is {top}, below the normal capacity {normal}; give the larger limit.")
    return value


def _factor_result(peak: Number, normal: Number, factor: Number, top: Fraction | None) -> FactorResult:
    count = required_instances(peak, normal, factor)
    return FactorResult(factor, count, _known_utilization(peak, count, normal), _known_utilization(peak, count, top))


def _known_utilization(peak: Number, instances: int, capacity: Number | None) -> float | None:
    return utilization(peak, instances, capacity) if instances and capacity is not None else None


def utilization(peak: Number, instances: int, capacity: Number) -> float:
    """Return the peak as a fraction of `instances` (at least 1) times `capacity`."""
    return float(checked_peak(peak) / (instances * checked_capacity(capacity)))
