"""Checks of the demand: what is counted, what was stated, what was filled in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from capacity.demand.growth_points import GrowthPoint
from capacity.demand.wording import amount, counted, month_list, number_range, signed_percent
from capacity.planning.facts import PlanFacts
from capacity.planning.instance_formula import required_instances
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity

_TOLERATED_POINTS = 1.0
_NAMED_POINTS = 3


def check_quantity(facts: PlanFacts) -> Iterator[Finding]:
    """Report ``ccu``: a count that may mean users, connections or requests in flight."""
    demand, capacity = facts.growth.quantity, facts.capacity.quantity
    if Quantity.CCU not in (demand, capacity):
        return
    numbers = {"growth_quantity": demand.value, "capacity_quantity": capacity.value}
    if demand == capacity:
        message = "Growth and capacity count 'ccu', which may mean users, connections or requests in flight."
    else:
        vague, named = ("growth", capacity) if demand == Quantity.CCU else ("instance capacity", demand)
        message = f"The {vague} counts 'ccu'; the plan takes it to mean {named}, as the other side does."
    yield Finding(
        "ccu-unspecified", "warning", message,
        "Name the quantity (users, connections, in_flight or rps) on both sides; users and requests in flight differ "
        "by the think time: N = X (R + Z), L = X R.", numbers,
    )  # fmt: skip


def check_stated_percents(facts: PlanFacts) -> Iterator[Finding]:
    """Report percentages written beside a peak that differ from the peak's own by more than one point."""
    growth = facts.growth
    off = [
        point for point in growth.points
        if point.stated_percent is not None
        and abs(growth.implied_percent(point) - point.stated_percent) > _TOLERATED_POINTS
    ]  # fmt: skip
    if not off:
        return
    compared = [_compare(facts, point) for point in off]
    changes_count = any(item["instances"] != item["instances_if_stated"] for item in compared)
    factor = facts.policy.safety_factor[1]
    named = "; ".join(_percent_text(item, factor) for item in compared[:_NAMED_POINTS])
    more = f"; and {len(compared) - _NAMED_POINTS} more months" if len(compared) > _NAMED_POINTS else ""
    yield Finding(
        "stated-percent-differs", "warning" if changes_count else "info", f"{named}{more}.",
        "The absolute peak counts. Correct the percentage, or the peak if the percentage was meant.",
        {"months": compared},
    )  # fmt: skip


def _compare(facts: PlanFacts, point: GrowthPoint) -> dict[str, float]:
    stated = exact("stated_percent", point.stated_percent or 0)
    if_stated = exact("peak", facts.growth.points[0].peak) * max(1 + stated / 100, exact("none", 0))
    factor, normal = facts.policy.safety_factor[1], facts.basis.normal
    return {
        "month": point.month,
        "peak": point.peak,
        "stated_percent": plain(stated),
        "implied_percent": plain(facts.growth.implied_percent(point)),
        "peak_if_stated": plain(if_stated),
        "instances": required_instances(point.peak, normal, factor),
        "instances_if_stated": required_instances(if_stated, normal, factor),
    }


def _percent_text(item: dict[str, float], factor: float) -> str:
    needs, if_stated = int(item["instances"]), int(item["instances_if_stated"])
    effect = f"both need {needs}" if needs == if_stated else f"{counted(needs, 'instance')} instead of {if_stated}"
    return (
        f"Month {item['month']} is stated as {item['stated_percent']:+g} %, which is {amount(item['peak_if_stated'])}; "
        f"its peak of {amount(item['peak'])} is {signed_percent(item['implied_percent'] / 100)} "
        f"({effect} at x{factor})"
    )


def check_interpolation(facts: PlanFacts) -> Iterator[Finding]:
    """Report months that nobody stated."""
    months = [step.month for step in facts.steps if step.interpolated]
    if months:
        method = facts.policy.interpolation
        yield Finding(
            "interpolated-months", "info",
            f"The peaks of {month_list(months)} are interpolated ({method}) between the stated ones.",
            "State these peaks, or compare the other interpolation.", {"months": months, "interpolation": method},
        )  # fmt: skip


def check_extrapolation(facts: PlanFacts) -> Iterator[Finding]:
    """Report months beyond the last stated one."""
    months = [step.month for step in facts.steps if step.extrapolated]
    if months:
        last = facts.growth.last_stated_month
        yield Finding(
            "extrapolated", "warning",
            f"The peaks of {month_list(months)} continue the last segment beyond the last stated month, {last}; "
            "nothing stands behind them.",
            "Plan from them only to see where growth like this leads; state the peaks when they are known.",
            {"months": months, "last_stated_month": last},
        )  # fmt: skip


def check_falling_demand(facts: PlanFacts) -> Iterator[Finding]:
    """Report months after a larger peak, in a phase that the plan doesn't leave again."""
    before = list(accumulate((step.peak for step in facts.steps), max))
    fallen = [step for step in facts.steps if step.phase != "vertical" and step.peak < before[step.month]]
    if fallen:
        lowest = min(fallen, key=lambda step: step.peak)
        have = "has" if len(fallen) == 1 else "have"
        yield Finding(
            "demand-falls", "info",
            f"The peaks fall: {month_list(step.month for step in fallen)} {have} less than an earlier month (month "
            f"{lowest.month}: {amount(lowest.peak)} after {amount(before[lowest.month])}). Phases never go back: the "
            f"plan stays {lowest.phase} there, with {number_range(lowest.deployed.min, lowest.deployed.max)} "
            f"instances, where the formula asks for {number_range(*lowest.instances)}.",
            "Make another plan that begins after the fall to see what would do then.",
            {"months": [step.month for step in fallen], "lowest_month": lowest.month, "peak": lowest.peak,
             "largest_before": before[lowest.month]},
        )  # fmt: skip


def check_demand_range(facts: PlanFacts) -> Iterator[Finding]:
    """Report months in which the upper end of the peak's range needs more than the stated peak."""
    factor = facts.policy.safety_factor[1]
    more = {}
    for step in facts.steps:
        if step.peak_high is not None:
            at_high = required_instances(step.peak_high, facts.basis.normal, factor)
            if at_high > step.instances[1]:
                more[step.month] = at_high
    if more:
        month = max(more, key=lambda candidate: more[candidate])
        yield Finding(
            "demand-uncertain", "warning",
            f"The plan uses the stated peaks; the upper ends of their ranges need more instances in "
            f"{month_list(more)} (month {month}: {more[month]} instead of {facts.steps[month].instances[1]} "
            f"at x{factor}).",
            "Plan with the upper ends as peaks where a shortage costs more than an idle instance.",
            {"months": list(more), "instances": list(more.values()), "safety_factor": factor},
        )  # fmt: skip


DEMAND_CHECKS = (
    check_quantity,
    check_stated_percents,
    check_demand_range,
    check_falling_demand,
    check_extrapolation,
    check_interpolation,
)
