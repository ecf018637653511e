"""The numbers of one instance that a plan stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from capacity.demand.growth import GrowthProjection
from capacity.planning.instance_formula import max_capacity
from capacity.planning.policy import PlanningPolicy
from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.units import Quantity
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.queueing_theory import erlang_b

_FLUID_ABOVE = 20_000
_NEVER = 1e-12
_COUNTED_AT_THE_GATE = (Quantity.CCU, Quantity.IN_FLIGHT)


@dataclass(frozen=True)
class InstanceBasis:
    """What one instance carries, exactly, in the plan's quantity.

    Parameters
    ----------
    quantity : Quantity
        What is counted: the specific one where growth or capacity says ``ccu``.
    normal : Fraction
        Normal capacity that the plan uses: the low end of the capacity's interval.
    normal_mid, normal_high : Fraction
        The rest of that interval.
    maximum : Fraction
        Largest load that the policy ever puts on one instance.
    gate : int, optional
        In-flight requests at which the instance turns requests away; None: not known or no gate.
    gate_is_assumed : bool
        True when no deployment states the gate and it is taken to close at normal
        capacity, as the server does.
    in_flight_per_unit : float, optional
        In-flight requests per unit of load, None when it cannot be known.

    Notes
    -----
    Of users, connections and requests per second the in-flight requests are known
    up to the measured load `normal_mid` only: beyond it they grow faster than the load.
    """

    quantity: Quantity
    normal: Fraction
    normal_mid: Fraction
    normal_high: Fraction
    maximum: Fraction
    gate: int | None
    gate_is_assumed: bool
    in_flight_per_unit: float | None

    def shed_rate(self, peak: float, instances: int) -> float | None:
        """Expected share of requests turned away at the gates of `instances`; None when it cannot be known.

        The mean load in flight is `peak`, spread evenly over the instances, each
        a loss system: Erlang's B formula B(C, A) (Kleinrock, Queueing Systems 1,
        1975, section 3.7), for a gate C above 20,000 its fluid limit max(0, 1 - C / A).
        """
        in_flight = self.in_flight(peak, instances)
        if self.gate is None or in_flight is None:
            return None
        offered = in_flight / instances
        if self.gate > _FLUID_ABOVE:
            return max(0.0, 1.0 - self.gate / offered)
        shed = erlang_b(self.gate, offered)
        return plain(shed) if shed > _NEVER else 0.0

    def is_above_gate(self, peak: float, instances: int) -> bool:
        """Whether more is in flight at the peak than the gates of `instances` admit (False when not known)."""
        in_flight = self.in_flight(peak, instances)
        return self.gate is not None and in_flight is not None and in_flight > self.gate * instances

    def in_flight(self, peak: float, instances: int) -> float | None:
        """Requests in flight at the peak on `instances`; None when they cannot be known."""
        if self.quantity in _COUNTED_AT_THE_GATE:
            return peak
        if self.in_flight_per_unit is None or exact("peak", peak) > instances * self.normal_mid:
            return None
        return peak * self.in_flight_per_unit


def instance_basis(growth: GrowthProjection, capacity: InstanceCapacity, policy: PlanningPolicy) -> InstanceBasis:
    """Read the plan's numbers of one instance off its inputs.

    Raises
    ------
    InputError
        When growth and capacity count different things, or the capacity's
        interval reaches down to 0.
    """
    quantity = common_quantity(growth.quantity, capacity.quantity)
    low, mid, high = _ends(capacity)
    gate, assumed = _gate(quantity, capacity, policy.deployment)
    return InstanceBasis(
        quantity,
        low,
        mid,
        high,
        _maximum(low, capacity, policy),
        gate,
        assumed,
        _in_flight_per_unit(quantity, capacity),
    )


def common_quantity(demand: Quantity, capacity: Quantity) -> Quantity:
    """The quantity of both sides; an unspecified CCU takes the other's. Refuses what differs."""
    if demand == capacity or capacity == Quantity.CCU:
        return demand
    if demand == Quantity.CCU:
        return capacity
    raise InputError(
        f"The growth counts {demand}, the instance capacity {capacity}; a plan needs one quantity on both sides. "
        "Convert the growth (convert_growth: users = throughput x (residence time + think time)), "
        f"or measure the capacity in {demand}."
    )


def _ends(capacity: InstanceCapacity) -> tuple[Fraction, Fraction, Fraction]:
    value = capacity.value
    if not all(math.isfinite(end) for end in (value.low, value.high)) or value.low <= 0:
        raise InputError(
            f"The instance capacity is {value.mid:g} with an interval from {value.low:g} to {value.high:g}; "
            "its low end must be above 0 and both ends finite. Measure longer or state a capacity."
        )
    return exact("capacity", value.low), exact("capacity", value.mid), exact("capacity", value.high)


def _maximum(normal: Fraction, capacity: InstanceCapacity, policy: PlanningPolicy) -> Fraction:
    if capacity.max_value is not None and math.isfinite(capacity.max_value.low):
        return max(normal, exact("max_value", capacity.max_value.low))
    return normal if policy.utilization_percent is None else max_capacity(normal, policy.utilization_percent)


def _gate(quantity: Quantity, capacity: InstanceCapacity, deployment: Deployment | None) -> tuple[int | None, bool]:
    """Return the gate's limit, and whether it is only assumed to close at normal capacity."""
    stated = deployment.gate if deployment else None
    if stated is not None:
        return (None, False) if isinstance(stated, str) else (stated, False)
    closes_at_normal = capacity.is_assumed or capacity.bound_by == "gate"
    if quantity in _COUNTED_AT_THE_GATE and closes_at_normal:
        return max(1, math.floor(capacity.value.low)), True
    return None, False


def _in_flight_per_unit(quantity: Quantity, capacity: InstanceCapacity) -> float | None:
    if quantity in _COUNTED_AT_THE_GATE:
        return 1.0
    if capacity.in_flight is None or not capacity.in_flight.is_known:
        return None
    return capacity.in_flight.mid / capacity.value.mid
