"""What a reader of order dates must know."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from capacity.demand.wording import amount, counted, percent
from capacity.planning.fleet_loads import FleetLoads
from capacity.planning.ordering import fleets_of_plan
from capacity.planning.orders import OrderCeiling, OrderTimeline
from capacity.planning.range_findings import BARE_RANGE, bare_ranges
from capacity.planning.uncertain import is_bare_range
from loadtests.foundation.exact_numbers import plain
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    from capacity.planning.plan import CapacityPlan

LATE, CERTAIN, BEYOND = "order-is-late", "order-without-probability", "projection-too-short"
WITHOUT_CONSTRAINTS, BY_CONSTRAINTS, CEILING = "orders-without-constraints", "orders-by-constraints", "no-order-helps"
TOO_MANY = "fleet-beyond-ceiling"
ORDER_CODES = (LATE, CERTAIN, BEYOND, WITHOUT_CONSTRAINTS, BY_CONSTRAINTS, CEILING, TOO_MANY, BARE_RANGE)
_HIGHER = {
    "database_connections": "Fewer connections an instance (db_pool), a pooler, or a database that takes more of them.",
    "max_instances": "A higher quota (max_instances), or larger instances.",
    "contention": "Less of what instances wait for together (contention), or larger instances.",
}


def order_findings(plan: CapacityPlan, orders: OrderTimeline) -> Iterator[Finding]:
    """Orders that are late already, what no probability stands behind, and a projection that ends too early to say.

    Parameters
    ----------
    plan : CapacityPlan
        Whose growth and capacity were drawn from.
    orders : OrderTimeline

    Yields
    ------
    Finding
    """
    late = [item for item in orders.orders if item.order_by_month is not None and item.order_by_month < 0]
    if late:
        yield _late(orders, late[-1].instances, late[0].probability_late_today)
    if not orders.is_uncertain:
        yield Finding(
            CERTAIN, "info",
            "Growth, capacity and lead time are stated without ranges: the order dates are those of the central "
            "values, and no probability stands behind them.",
            "State low and high of the peaks, plan with a measured capacity, or give the lead time as low, mid, high.",
        )  # fmt: skip
    yield from _by_constraints(plan, orders)
    bare = [name for name, ranges in _drawn_from(plan, orders).items() if any(map(is_bare_range, ranges))]
    if bare:
        yield bare_ranges(bare, orders.rules.range_level)
    if not orders.orders and not (orders.ceiling is not None and _is_passed(orders, orders.ceiling)):
        yield Finding(
            BEYOND, "info",
            f"{counted(orders.fleet, 'instance')} last for the whole projection of {orders.months[-1].month} months"
            f"{_chance(orders)}: it names no order.",
            _further(plan), {"fleet": orders.fleet},
        )  # fmt: skip


def _further(plan: CapacityPlan) -> str:
    if plan.growth.points[-1].p99 is not None:
        return "Forecast further (capacity forecast --horizon) to see when they end."
    return "Project further (extrapolate_to) to see when they end."


def _by_constraints(plan: CapacityPlan, orders: OrderTimeline) -> Iterator[Finding]:
    """What constraints leave of an instance and of a fleet, where no order helps, and where none can be followed."""
    if plan.constraints is None:
        return
    fleets = fleets_of_plan(plan)
    if fleets is None:
        yield _left_out(plan)
        return
    reasons = [*_each(plan, fleets), *_together(orders.fleet, fleets)]
    if reasons:
        numbers = {
            "most_each": None if fleets.most_each is None else plain(fleets.most_each),
            "bound_by": fleets.bound_by,
        }
        yield Finding(
            BY_CONSTRAINTS, "info",
            f"Order dates follow the constraints: {'; '.join(reasons)}.",
            "Give an instance more of what binds, or relax a rule of the fleet, where later orders are wanted.",
            {**numbers, "fleet_carries": float(fleets.carried([orders.fleet])[0])},
        )  # fmt: skip
    ceiling = orders.ceiling
    if ceiling is not None and ceiling.instances is not None and ceiling.instances < orders.fleet:
        yield _too_many(orders.fleet, ceiling)
    elif ceiling is not None and _is_passed(orders, ceiling):
        yield _no_help(ceiling)


def _each(plan: CapacityPlan, fleets: FleetLoads) -> Iterator[str]:
    capacity = plan.instance_capacity.value
    if fleets.most_each is not None and fleets.most_each < capacity.high:
        own, bound = capacity.format(",.4g"), _words(fleets.bound_by)
        yield f"an instance carries at most {amount(fleets.most_each)} by {bound}, by its capacity {own}"


def _together(fleet: int, fleets: FleetLoads) -> Iterator[str]:
    carried = float(fleets.carried([fleet])[0])
    if carried < fleet:
        verb = "carries" if fleet == 1 else "carry"
        yield f"{counted(fleet, 'instance')} {verb} as much as {amount(carried)} by losses, updates or contention"


def _words(name: str | None) -> str:
    return (name or "").replace("_", " ")


def _is_passed(orders: OrderTimeline, ceiling: OrderCeiling) -> bool:
    if ceiling.probability is None:
        return math.isfinite(ceiling.passed_month.mid)
    return ceiling.probability > orders.rules.risk


def _no_help(ceiling: OrderCeiling) -> Finding:
    first = ceiling.passed_month.low
    when = f"from month {first:.1f} on" if ceiling.probability is None else (
        f"with a probability of {percent(ceiling.probability)} within the projection"
        + (f", in one of twenty cases by month {first:.1f}" if math.isfinite(first) else "")
    )  # fmt: skip
    what = "no number of instances carries" if ceiling.instances is None else (
        f"{counted(ceiling.instances, 'instance')}, the most there can be ({_words(ceiling.name)}), do not carry"
    )  # fmt: skip
    return Finding(
        CEILING, "critical",
        f"No order helps against a demand that {what}: it comes {when}.",
        _HIGHER[ceiling.name],
        {"name": ceiling.name, "instances": ceiling.instances, "probability": ceiling.probability},
    )  # fmt: skip


def _too_many(fleet: int, ceiling: OrderCeiling) -> Finding:
    return Finding(
        TOO_MANY, "warning",
        f"Today's {counted(fleet, 'instance')} are more than {_words(ceiling.name)} allows, {ceiling.instances} with "
        "room for a rolling update: nothing can be ordered, and the next update or restart may fail.",
        _HIGHER[ceiling.name], {"fleet": fleet, "name": ceiling.name, "instances": ceiling.instances},
    )  # fmt: skip


def _left_out(plan: CapacityPlan) -> Finding:
    """An idle instance that fills its memory carries nothing, so there is no fleet to order by."""
    return Finding(
        WITHOUT_CONSTRAINTS, "warning",
        "Order dates are of the load that an instance carries by its capacity; by its memory it carries nothing, and "
        "no number of instances is enough.",
        "Give the instance more memory than it takes when idle (memory_mib, memory_base_mib).",
        {"months": [step.month for step in plan.steps]},
    )  # fmt: skip


def _drawn_from(plan: CapacityPlan, orders: OrderTimeline) -> dict[str, list[Interval]]:
    return {
        "the growth": [month.range for month in plan.growth.monthly(plan.policy.interpolation)],
        "the instance capacity": [plan.instance_capacity.value],
        "the lead time": [orders.rules.lead_time],
    }


def _chance(orders: OrderTimeline) -> str:
    lasting = orders.never_exceeded
    if lasting is None or lasting == 1.0:
        return ""
    return f" with a probability of {percent(lasting)}, within the accepted risk of {percent(orders.rules.risk)}"


def _late(orders: OrderTimeline, instances: int, probability: float | None) -> Finding:
    chance = "" if probability is None else (
        f" Ordered today, the first comes too late with a probability of {percent(probability)}; accepted are "
        f"{percent(orders.rules.risk)}."
    )  # fmt: skip
    return Finding(
        LATE, "warning",
        f"Up to {instances} instances should have been ordered before today (there are {orders.fleet}).{chance}",
        "Order now, shorten the lead time, or hold the load back until they are there.",
        {"fleet": orders.fleet, "instances": instances, "probability_late_today": probability},
    )  # fmt: skip
