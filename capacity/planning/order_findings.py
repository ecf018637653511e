"""What a reader of order dates must know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from capacity.demand.wording import month_list, percent
from capacity.planning.orders import OrderTimeline
from capacity.planning.range_findings import BARE_RANGE, bare_ranges
from capacity.planning.uncertain import is_bare_range
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    from capacity.planning.plan import CapacityPlan

LATE, CERTAIN, BEYOND = "order-is-late", "order-without-probability", "projection-too-short"
WITHOUT_CONSTRAINTS = "orders-without-constraints"
ORDER_CODES = (LATE, CERTAIN, BEYOND, WITHOUT_CONSTRAINTS, BARE_RANGE)


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
    yield from _left_out(plan)
    bare = [name for name, ranges in _drawn_from(plan, orders).items() if any(map(is_bare_range, ranges))]
    if bare:
        yield bare_ranges(bare, orders.rules.range_level)
    if not orders.orders:
        yield Finding(
            BEYOND, "info",
            f"{orders.fleet} instance(s) last for the whole projection of {orders.months[-1].month} months"
            f"{_chance(orders)}: it names no order.",
            _further(plan), {"fleet": orders.fleet},
        )  # fmt: skip


def _further(plan: CapacityPlan) -> str:
    if plan.growth.points[-1].p99 is not None:
        return "Forecast further (capacity forecast --horizon) to see when they end."
    return "Project further (extrapolate_to) to see when they end."


def _left_out(plan: CapacityPlan) -> Iterator[Finding]:
    """Orders follow the load alone; constraints that ask for more are a reason to order more, and earlier."""
    if plan.constraints is None:
        return
    more = [
        (month.low.instances, step.instances[0], step.month)
        for month, step in zip(plan.constraints.months, plan.steps, strict=True)
        if month.low.instances is not None and month.low.instances > step.instances[0]
    ]
    if more:
        needed, planned, month = max(more, key=lambda item: item[0] - item[1])
        yield Finding(
            WITHOUT_CONSTRAINTS, "warning",
            f"Order dates are of the load that an instance carries; constraints ask for more instances in "
            f"{month_list(item[2] for item in more)} (month {month}: {needed} instead of {planned}).",
            "Order what the constraints ask for, earlier than these dates; or plan with the capacity that they leave.",
            {"months": [item[2] for item in more], "month": month, "needed": needed, "planned": planned},
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
