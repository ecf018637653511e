"""Checks of the plan itself: where the timeline, the formula and the gate disagree."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from capacity.demand.wording import amount, counted, month_list, number_range, percent
from capacity.planning.facts import PlanFacts
from capacity.planning.plan import PlanStep
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity

LINEAR_SCALING = "linear-scaling-assumed"


def check_gate(facts: PlanFacts) -> Iterator[Finding]:
    """Report months whose peak exceeds what the gates, or the normal capacity, of the whole fleet admit."""
    basis = facts.basis
    above_gate = [step for step in facts.steps if basis.is_above_gate(step.peak, step.deployed.at_peak[1])]
    if above_gate:
        yield _above_gate(facts, above_gate)
        return
    above_normal = [step for step in facts.steps if step.deployed.utilization_normal[1] > 1]
    if above_normal:
        yield _above_normal(facts, above_normal)


def _above_gate(facts: PlanFacts, steps: list[PlanStep]) -> Finding:
    basis = facts.basis
    worst = max(steps, key=lambda step: step.deployed.shed_rate or 0.0)
    count = worst.deployed.at_peak[1]
    in_flight = basis.in_flight(worst.peak, count) or 0.0
    gates = (basis.gate or 0) * count
    taken = " (taken to close at normal capacity)" if basis.gate_is_assumed else ""
    message = (
        f"In {month_list(step.month for step in steps)} the plan relies on more than the gate admits{taken}: month "
        f"{worst.month} has {amount(in_flight)} in flight against {amount(gates)} on {counted(count, 'instance')}; "
        f"{percent(worst.deployed.shed_rate or 0.0)} of the requests would be turned away"
    )
    think_share = worst.peak / gates - 1
    reading = ""
    if basis.quantity == Quantity.CCU:
        reading = f", unless it counts users whose think time is at least {think_share:.2g} x their mean residence time"
    return Finding(
        "phase-relies-on-capacity-above-gate",
        "critical" if basis.quantity == Quantity.IN_FLIGHT else "warning",
        f"{message}{reading}.",
        "Add an instance earlier, open the gate if the instance is measured to carry more, or state that users are "
        "counted and their think time (Z >= R (N / C - 1)).",
        {
            "months": [step.month for step in steps], "worst_month": worst.month, "in_flight": plain(in_flight),
            "gate": basis.gate, "gate_is_assumed": basis.gate_is_assumed, "instances": count,
            "shed_rate": worst.deployed.shed_rate, "shed_rates": [step.deployed.shed_rate for step in steps],
            "least_think_per_residence": plain(think_share) if basis.quantity == Quantity.CCU else None,
        },
    )  # fmt: skip


def _above_normal(facts: PlanFacts, steps: list[PlanStep]) -> Finding:
    worst = max(steps, key=lambda step: step.deployed.utilization_normal[1])
    kept = "the objective that it was measured for" if not facts.capacity.is_assumed else "its normal operation"
    return Finding(
        "phase-relies-on-capacity-above-normal", "warning",
        f"In {month_list(step.month for step in steps)} the peak exceeds the normal capacity deployed: month "
        f"{worst.month} has {amount(worst.peak)} {facts.growth.quantity} on "
        f"{counted(worst.deployed.at_peak[1], 'instance')} of {amount(facts.basis.normal)} "
        f"({percent(worst.deployed.utilization_normal[1])}); {kept} is not promised there.",
        "Add an instance earlier (a utilization_percent of 100 or none ends the vertical phase at normal capacity).",
        {
            "months": [step.month for step in steps], "worst_month": worst.month,
            "utilization_normal": worst.deployed.utilization_normal[1],
        },
    )  # fmt: skip


def check_limit_today(facts: PlanFacts) -> Iterator[Finding]:
    """Report a fleet that has no normal capacity left in month 0."""
    today = facts.steps[0]
    used = today.deployed.utilization_normal[1]
    if used < 1:
        return
    shed = today.deployed.shed_rate
    where = "at" if used == 1 else "beyond"
    turned_away = f" If so many are in flight on average, {percent(shed)} are turned away already." if shed else ""
    yield Finding(
        "at-the-limit-today", "warning",
        f"Today's peak of {amount(today.peak)} is {percent(used)} of the normal capacity of "
        f"{counted(today.deployed.at_peak[1], 'instance')}: {where} the limit today.{turned_away}",
        "Add an instance now, or accept running above normal capacity until the next step.",
        {"peak": today.peak, "utilization_normal": used, "shed_rate": shed},
    )  # fmt: skip


def check_formula_against_timeline(facts: PlanFacts) -> Iterator[Finding]:
    """Report months in which even the low factor asks for more than the timeline deploys."""
    short = [step for step in facts.steps if step.instances[0] > step.deployed.max]
    if short:
        worst = max(short, key=lambda step: step.instances[0] - step.deployed.max)
        low, high = facts.policy.safety_factor
        yield Finding(
            "formula-exceeds-timeline", "warning",
            f"In {month_list(step.month for step in short)} the formula asks for more than the timeline deploys: month "
            f"{worst.month} needs {number_range(*worst.instances)} (x{low} to x{high}), the {worst.phase} phase runs "
            f"{worst.deployed.max}. The timeline lets an instance fill up to its maximum of "
            f"{amount(facts.basis.maximum)}, the formula only to normal capacity with headroom.",
            "Follow the formula where the headroom matters more than the cost of an instance.",
            {
                "months": [step.month for step in short],
                "formula": [list(step.instances) for step in short],
                "deployed": [step.deployed.max for step in short],
            },
        )  # fmt: skip


def check_headroom(facts: PlanFacts) -> Iterator[Finding]:
    """Say what the factors leave free, and that normal capacity is itself below the maximum."""
    basis = facts.basis
    if basis.maximum == basis.normal:
        return
    share = basis.normal / basis.maximum
    factors = [exact("safety_factor", factor) for factor in facts.policy.safety_factor]
    free = " and ".join(f"x{given} leaves {percent(1 - 1 / f)}" for given, f in _distinct(facts, factors))
    planned = " to ".join(percent(share / f) for _, f in _distinct(facts, factors))
    yield Finding(
        "headroom-on-headroom", "info",
        f"Of normal capacity {free} free; normal capacity is itself {percent(share)} of the maximum, so a fleet sized "
        f"by the formula peaks at {planned} of its maximum.",
        "Read a safety factor together with the utilization target; they multiply.",
        {
            "free_of_normal": [plain(1 - 1 / f) for f in factors], "normal_of_max": plain(share),
            "planned_utilization_max": [plain(share / f) for f in factors],
        },
    )  # fmt: skip


def _distinct(facts: PlanFacts, factors: list[Fraction]) -> list[tuple[float, Fraction]]:
    pairs = list(zip(facts.policy.safety_factor, factors, strict=True))
    return pairs[:1] if factors[0] == factors[1] else pairs


def check_linear_scaling(facts: PlanFacts) -> Iterator[Finding]:
    """Say that n instances are taken to carry n times as much."""
    most = max(max(step.instances[1], step.deployed.max) for step in facts.steps)
    if most > 1:
        total = most * facts.basis.normal
        yield Finding(
            LINEAR_SCALING, "info",
            f"{most} instances are taken to carry {most} x {amount(facts.basis.normal)} = {amount(total)}; what they "
            "share (database, load balancer, locks) makes it less.",
            "Measure two instances behind the balancer before relying on many, and state what they share as the "
            "contention of the constraints' rules.",
            {"instances": most, "total_normal": plain(total)},
        )  # fmt: skip


def check_spare_instance(facts: PlanFacts) -> Iterator[Finding]:
    """Report months whose peak exceeds the normal capacity that remains when one running instance is lost."""
    exposed = [
        step for step in facts.steps if exact("peak", step.peak) > (step.deployed.at_peak[0] - 1) * facts.basis.normal
    ]
    if exposed:
        last = exposed[-1]
        running = last.deployed.at_peak[0]
        left = (
            f"the other {running - 1} carry {amount((running - 1) * facts.basis.normal)} of {amount(last.peak)}"
            if running > 1
            else "none would be left"
        )
        yield Finding(
            "no-spare-instance", "warning",
            f"In {month_list(step.month for step in exposed)} the peak does not survive the loss of one instance: "
            f"month {last.month} runs {running}, {left}.",
            "Surviving a loss is not part of the formula: run one instance more than the peak needs (N+1).",
            {
                "months": [step.month for step in exposed],
                "running": [step.deployed.at_peak[0] for step in exposed],
                "needed_with_spare": [_with_spare(facts, step) for step in exposed],
            },
        )  # fmt: skip


def _with_spare(facts: PlanFacts, step: PlanStep) -> int:
    """Instances for the peak at normal capacity, and one more: N+1."""
    return -int(-exact("peak", step.peak) // facts.basis.normal) + 1


def check_autoscaling_bounds(facts: PlanFacts) -> Iterator[Finding]:
    """Report a need beyond the policy's largest fleet, which the plan then raises."""
    stated = facts.policy.autoscaling.max
    raised = [phase for phase in facts.phases if phase.phase == "autoscaling" and phase.max_instances > stated]
    for phase in raised:
        yield Finding(
            "autoscaling-max-raised", "warning",
            f"The policy's autoscaler stops at {stated} instances, the peaks need up to {phase.max_instances} "
            f"(x{facts.policy.safety_factor[1]}); the plan raises the bound.",
            "Raise the autoscaler's maximum, and check that database and budget allow it.",
            {"policy_max": stated, "needed": phase.max_instances},
        )  # fmt: skip


FLEET_CHECKS = (
    check_gate,
    check_limit_today,
    check_formula_against_timeline,
    check_spare_instance,
    check_autoscaling_bounds,
    check_headroom,
    check_linear_scaling,
)
