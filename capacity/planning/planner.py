"""From growth, the capacity of one instance and a policy to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date

from capacity.demand.growth import GrowthProjection
from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.wording import amount, percent
from capacity.planning.basis import InstanceBasis, instance_basis
from capacity.planning.facts import PlanFacts
from capacity.planning.findings import most_severe_first, plan_findings
from capacity.planning.fleet_findings import LINEAR_SCALING
from capacity.planning.instance_formula import required_instances, utilization
from capacity.planning.order_findings import ORDER_CODES, order_findings
from capacity.planning.ordering import order_timeline
from capacity.planning.orders import OrderingRules
from capacity.planning.plan import CapacityPlan, FactorNeed, FleetRange, PlanStep
from capacity.planning.plan_constraints import (
    CONSTRAINT_CODES,
    PlanConstraints,
    constraint_findings,
    constraints_of_plan,
)
from capacity.planning.plan_shapes import PlanShapes, choice_of_plan
from capacity.planning.policy import PlanningPolicy
from capacity.planning.timeline import PhaseRules, ScalingPhase, phases_of
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import plain
from loadtests.foundation.findings import Finding
from simulations.analysis.capacity_curve import InstanceCapacity

DEFAULT_POLICY = PlanningPolicy()


def plan_capacity(
    growth: GrowthProjection,
    instance_capacity: InstanceCapacity,
    policy: PlanningPolicy = DEFAULT_POLICY,
    *,
    ordering: OrderingRules | None = None,
    constraints: PlanConstraints | None = None,
    shapes: PlanShapes | None = None,
) -> CapacityPlan:
    """Plan every month of a growth projection.

    Where the capacity is an interval, the plan uses its *low end* throughout
    (counts, phases, utilizations): that is what the evidence assures. Each step
    also carries the counts at the central value and over the whole interval
    (`PlanStep.needs`).

    Parameters
    ----------
    growth : GrowthProjection
        Peak load by month.
    instance_capacity : InstanceCapacity
        Load of one instance: measured, simulated, or `InstanceCapacity.assumed`.
    policy : PlanningPolicy, optional
    ordering : OrderingRules, optional
        With it the plan has order dates (`CapacityPlan.orders`).
    constraints : PlanConstraints, optional
        With it every month has its largest need over them too (`CapacityPlan.constraints`).
    shapes : PlanShapes, optional
        With it the plan says which shape of instance is the cheapest that is sure enough (`CapacityPlan.shapes`).

    Returns
    -------
    CapacityPlan

    Raises
    ------
    InputError
        When growth and capacity count different things (users against requests
        per second), or the capacity's interval reaches down to 0. For shapes see `choose_shape`.

    Examples
    --------
    >>> from capacity import GrowthProjection, InstanceCapacity
    >>> plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350))
    >>> [step.instances for step in plan.steps if not step.interpolated]
    [(2, 2), (2, 2), (2, 3), (3, 4)]
    """
    _check_kinds(growth, instance_capacity, policy)
    basis = instance_basis(growth, instance_capacity, policy)
    peaks = growth.monthly(policy.interpolation)
    rules = PhaseRules(basis.normal, basis.maximum, policy.safety_factor, policy.lead_time_months, policy.autoscaling)
    phases = phases_of([peak.peak for peak in peaks], rules)
    steps = tuple(_step(peak, _phase_of(phases, peak.month), basis, policy) for peak in peaks)
    facts = PlanFacts(growth, instance_capacity, policy, basis, steps, phases)
    made = CapacityPlan(growth, instance_capacity, policy, steps, phases, plan_findings(facts))
    made = made if constraints is None else with_constraints(made, constraints)
    made = made if shapes is None else with_shapes(made, shapes)
    return made if ordering is None else with_orders(made, ordering)


def with_constraints(plan: CapacityPlan, constraints: PlanConstraints) -> CapacityPlan:
    """The same plan with the needs of further constraints, and what a reader must know; order dates are made anew."""
    found = constraints_of_plan(plan, constraints)
    said = (*CONSTRAINT_CODES, *((LINEAR_SCALING,) if constraints.rules.contention else ()))
    findings = _joined(_others(plan, said), constraint_findings(plan, found))
    made = replace(plan, constraints=found, findings=findings)
    return made if plan.orders is None else with_orders(made, plan.orders.rules)


def with_orders(plan: CapacityPlan, ordering: OrderingRules) -> CapacityPlan:
    """The same plan with its order dates, and what a reader must know about them.

    Month 0 has the date of the growth, where that has one.
    """
    orders = order_timeline(plan, _dated(ordering, plan.growth.start))
    findings = _joined(_others(plan, ORDER_CODES), order_findings(plan, orders))
    return replace(plan, orders=orders, findings=findings)


def with_shapes(plan: CapacityPlan, shapes: PlanShapes) -> CapacityPlan:
    """The same plan with the choice between shapes of instances, and what a reader must know about it."""
    choice = choice_of_plan(plan, shapes)
    others = (item for item in plan.findings if item not in _of_shapes(plan))
    return replace(plan, shapes=choice, findings=_joined(others, choice.findings))


def _of_shapes(plan: CapacityPlan) -> tuple[Finding, ...]:
    return () if plan.shapes is None else plan.shapes.findings


def _joined(others: Iterable[Finding], new: Iterable[Finding]) -> tuple[Finding, ...]:
    """Both, what they have in common once."""
    known = list(others)
    return most_severe_first((*known, *(item for item in new if item not in known)))


def _others(plan: CapacityPlan, codes: tuple[str, ...]) -> Iterator[Finding]:
    """Findings that stay when those with these codes are made anew; some are of the shapes and have the same codes."""
    return (item for item in plan.findings if item.code not in codes or item in _of_shapes(plan))


def _dated(ordering: OrderingRules, start: date | None) -> OrderingRules:
    if start is None or ordering.start == start:
        return ordering
    if ordering.start is not None:
        raise InputError(f"The growth begins on {start}, the plan on {ordering.start}; give one date for month 0.")
    return replace(ordering, start=start)


def _check_kinds(growth: object, instance_capacity: object, policy: object) -> None:
    if not isinstance(growth, GrowthProjection):
        raise InputError(f"growth is {growth!r}; make it with GrowthProjection.from_points or read_growth.")
    if not isinstance(instance_capacity, InstanceCapacity):
        raise InputError(
            f"instance_capacity is {instance_capacity!r}; make it with InstanceCapacity.assumed(3350) or find_capacity."
        )
    if not isinstance(policy, PlanningPolicy):
        raise InputError(f"policy is {policy!r}; make it with PlanningPolicy(...) or PlanningPolicy.read.")


def _phase_of(phases: tuple[ScalingPhase, ...], month: int) -> ScalingPhase:
    return next(phase for phase in phases if phase.covers(month))


def _step(peak: MonthlyPeak, phase: ScalingPhase, basis: InstanceBasis, policy: PlanningPolicy) -> PlanStep:
    low, high = (_need(peak, factor, basis) for factor in policy.safety_factor)
    fleet = _fleet(peak.peak, phase, (low.instances, high.instances), basis)
    return PlanStep(
        peak.month, peak.peak, peak.low, peak.high, peak.interpolated, peak.extrapolated, (low, high), phase.phase,
        fleet, _bound_by(phase, high.instances, policy), _reason(peak.peak, phase, (low, high), basis),
    )  # fmt: skip


def _need(peak: MonthlyPeak, factor: float, basis: InstanceBasis) -> FactorNeed:
    lowest = peak.peak if peak.low is None else peak.low
    highest = peak.peak if peak.high is None else peak.high
    return FactorNeed(
        factor,
        instances=required_instances(peak.peak, basis.normal, factor),
        at_mid=required_instances(peak.peak, basis.normal_mid, factor),
        least=required_instances(lowest, basis.normal_high, factor),
        most=required_instances(highest, basis.normal, factor),
    )


def _fleet(peak: float, phase: ScalingPhase, needed: tuple[int, int], basis: InstanceBasis) -> FleetRange:
    fewest, most = (max(phase.min_instances, min(count, phase.max_instances)) for count in needed)
    return FleetRange(
        phase.min_instances,
        phase.max_instances,
        max_load=plain(phase.max_instances * basis.maximum),
        at_peak=(fewest, most),
        utilization_normal=(utilization(peak, fewest, basis.normal), utilization(peak, most, basis.normal)),
        utilization_max=(utilization(peak, fewest, basis.maximum), utilization(peak, most, basis.maximum)),
        shed_rate=basis.shed_rate(peak, most),
    )


def _bound_by(phase: ScalingPhase, needed: int, policy: PlanningPolicy) -> str:
    if phase.phase == "vertical":
        return "instance_max"
    if phase.phase == "horizontal":
        return "normal_capacity"
    if needed > policy.autoscaling.max:
        return "autoscaling_max"
    return "autoscaling_min" if needed <= policy.autoscaling.min else "normal_capacity"


def _reason(peak: float, phase: ScalingPhase, needs: tuple[FactorNeed, FactorNeed], basis: InstanceBasis) -> str:
    low, high = needs
    asked = f"{amount(peak)} / {amount(basis.normal)} asks for {low.instances} (x{low.safety_factor})"
    asked += f" to {high.instances} (x{high.safety_factor})"
    if phase.phase == "vertical":
        return (
            f"One instance: the peak is {percent(utilization(peak, 1, basis.normal))} of its normal and "
            f"{percent(utilization(peak, 1, basis.maximum))} of its maximum capacity, {amount(basis.maximum)}; "
            f"the formula would start more: {asked}." if high.instances > 1
            else f"One instance: {asked}."
        )  # fmt: skip
    if phase.phase == "horizontal":
        return f"{asked}; a fleet set by hand."
    return f"{asked}; the autoscaler runs {phase.min_instances} to {phase.max_instances}."
