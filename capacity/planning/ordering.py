"""When to order: the latest date on which the risk of running out before the order arrives is still acceptable.

Demand passes what n instances carry at a time T; an order arrives a lead time L after it is made. An order at t comes
too late where T < t + L, so with a risk r the latest order is the r-quantile of T - L, taken jointly over the
uncertainty of growth, capacity and lead time. It is the reorder point of inventory theory [1]_ on the time axis.

Between stated points of a growth the demand moves along the curve that the plan's policy says. A month of a forecast is
no point in time: its number is the highest demand within the month, and any moment of it is alike for that.

References
----------
.. [1] E. A. Silver, D. F. Pyke, D. J. Thomas, "Inventory and Production Management in Supply Chains", 4th ed., 2016,
   chapter 6 (continuous review, service level by probability of no stockout).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from capacity.planning.basis import common_quantity, instance_basis
from capacity.planning.fleet_loads import ALONE, FleetLoads, fleets_under
from capacity.planning.order_slack import is_due, rank_at, slack_months
from capacity.planning.orders import MonthOutlook, OrderCeiling, OrderDate, OrderingRules, OrderTimeline
from capacity.planning.scenarios import Scenarios, draw_scenarios
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    from capacity.planning.plan import CapacityPlan

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

PHASES = ("vertical", "horizontal", "autoscaling")
_MOST_ORDERS = 400
_QUANTILES = (0.05, 0.5, 0.95)


def order_timeline(plan: CapacityPlan, rules: OrderingRules | None = None) -> OrderTimeline:
    """Order dates for a plan, jointly over what is uncertain in its growth, its capacity and the lead time.

    An instance carries its normal capacity, or what the plan's constraints leave of it, and a fleet what their rules
    leave of that; no safety factor is applied, since the stated risk takes its place.

    Parameters
    ----------
    plan : CapacityPlan
    rules : OrderingRules, optional
        Default: risk 5 %, the policy's lead time.

    Returns
    -------
    OrderTimeline
    """
    chosen = rules or OrderingRules(lead_time_months=float(plan.policy.lead_time_months))
    fleet = chosen.fleet or plan.steps[0].deployed.at_peak[0]
    return timeline_of(scenarios_of_plan(plan, chosen), plan, chosen, fleet)


def fleets_of_plan(plan: CapacityPlan) -> FleetLoads | None:
    """What one instance and fleets carry under a plan's constraints; None where these leave nothing."""
    if plan.constraints is None:
        return ALONE
    return fleets_under(plan.constraints.inputs, common_quantity(plan.growth.quantity, plan.instance_capacity.quantity))


def scenarios_of_plan(plan: CapacityPlan, rules: OrderingRules) -> Scenarios:
    """Scenarios of a plan's growth and capacity, and of the rules' lead time, under the plan's constraints."""
    drawn = draw_scenarios(
        plan.growth.monthly(plan.policy.interpolation), plan.instance_capacity.value, rules.lead_time,
        seed=rules.seed, count=rules.draws, range_level=rules.range_level,
    )  # fmt: skip
    return _as_planned(drawn, plan, rules)


def _as_planned(scenarios: Scenarios, plan: CapacityPlan, rules: OrderingRules) -> Scenarios:
    """Under the plan's constraints, and with peaks within months where its growth is of such."""
    if plan.constraints is not None:
        scenarios = scenarios.under(fleets_of_plan(plan) or ALONE)
    if plan.growth.months_end and scenarios.moments is None:
        scenarios = scenarios.within_months(rules.seed)
    return scenarios


def timeline_of(scenarios: Scenarios, plan: CapacityPlan, rules: OrderingRules, fleet: int) -> OrderTimeline:
    """The same from scenarios of one's own, for example with a forecast's sample paths as peaks.

    Parameters
    ----------
    scenarios : Scenarios
        In the plan's quantity.
    plan : CapacityPlan
        Its policy, constraints and central values count.
    rules : OrderingRules
    fleet : int
        Instances today.

    Returns
    -------
    OrderTimeline
    """
    scenarios = _as_planned(scenarios, plan, rules)
    is_uncertain = len(scenarios) > 1
    is_geometric = plan.policy.interpolation == "geometric"
    counts = scenarios.instance_counts() if is_uncertain else None
    sizes = _sizes(scenarios, most_instances(scenarios, rules.risk, counts), fleet)
    needed = scenarios.first_passages(sizes, geometric=is_geometric)
    middle = _central(plan, rules, scenarios)
    central = middle.first_passages(sizes, geometric=is_geometric)[0]
    orders = _orders([size for size in sizes if size < _most_ordered(scenarios)], needed, central, scenarios, rules)
    mine = needed[:, 0]
    outlook = _certain(scenarios) if counts is None else _outlook(scenarios, plan, rules, counts, (mine, fleet))
    never = float(np.mean(np.isinf(mine))) if is_uncertain else None
    ceiling = _ceiling(scenarios, middle, is_geometric=is_geometric)
    return OrderTimeline(rules, fleet, is_uncertain, orders, outlook, _months(mine, float(central[0])), never, ceiling)


def _most_ordered(scenarios: Scenarios) -> float:
    """Instances beyond which nothing can be ordered."""
    ceiling = scenarios.fleets.ceiling
    return math.inf if ceiling is None else ceiling.most_instances


def _ceiling(scenarios: Scenarios, central: Scenarios, *, is_geometric: bool) -> OrderCeiling | None:
    fleets = scenarios.fleets
    most = None if fleets.ceiling is None else fleets.ceiling.most_instances
    load = fleets.limit if most is None else float(fleets.carried([most])[0])
    if math.isinf(load):
        return None
    drawn, middle = (
        item.load_passages(np.array([load]), geometric=is_geometric)[:, 0] for item in (scenarios, central)
    )
    chance = float(np.mean(np.isfinite(drawn))) if len(scenarios) > 1 else None
    name = "contention" if fleets.ceiling is None else fleets.ceiling.name
    return OrderCeiling(name, most, _months(drawn, float(middle[0])), chance)


def most_instances(scenarios: Scenarios, risk: float, counts: Counts | None = None) -> int:
    """Instances beyond which no order can be due: all months together exceed them less often than the risk."""
    if len(scenarios) == 1:
        return max(scenarios.exact_counts())
    found = scenarios.instance_counts() if counts is None else counts
    return max(_place(row, 1.0 - risk / max(len(found), 10)) for row in found)


def _sizes(scenarios: Scenarios, most: int, fleet: int) -> list[int]:
    """Fleets that may be exceeded, from today's to one less than the largest that any month needs; at most 400.

    None is as large as a ceiling lets through, but today's, nor so large that more hardly help. Of more than 400 the
    near ones stand close together: what comes next is what has to be ordered.
    """
    last = int(max(min(most, _most_ordered(scenarios), scenarios.fleets.most_useful), fleet + 1)) - 1
    if last - fleet < _MOST_ORDERS:
        return list(range(fleet, last + 1))
    further = np.geomspace(1.0, last - fleet, _MOST_ORDERS - 1)
    return [fleet, *(int(size) for size in np.unique(np.round(fleet + further)))]


def _central(plan: CapacityPlan, rules: OrderingRules, scenarios: Scenarios) -> Scenarios:
    peaks = [float(item.peak) for item in plan.growth.monthly(plan.policy.interpolation)][: scenarios.months]
    one, lead = plan.instance_capacity.value.mid, rules.lead_time.mid
    found = Scenarios.of(np.array([peaks]), np.array([float(one)]), np.array([float(lead)]))
    found = found.under(scenarios.fleets)
    return found if scenarios.moments is None else found.within_months()


def _orders(
    sizes: Sequence[int], needed: Floats, central: Floats, scenarios: Scenarios, rules: OrderingRules
) -> tuple[OrderDate, ...]:
    """Until the first that neither the risk nor the central values ask for within the projection."""
    found = []
    for place, size in enumerate(sizes):
        order = _order(size + 1, needed[:, [place]], float(central[place]), scenarios, rules)
        if order.order_by_month is None and order.mid_line_month is None:
            break
        found.append(order)
    return tuple(found)


def _order(instances: int, needed: Floats, central: float, scenarios: Scenarios, rules: OrderingRules) -> OrderDate:
    mid_line = central - rules.lead_time.mid
    mid, months = mid_line if math.isfinite(mid_line) else None, _months(needed[:, 0], central)
    if len(needed) == 1:
        return OrderDate(instances, months, mid, 0.0, mid, None)
    slack = slack_months(scenarios, needed)[:, 0]
    latest, error = _latest(slack, rules.risk) if is_due(needed, rules.risk)[0] else (None, 0.0)
    return OrderDate(instances, months, latest, error, mid, float(np.mean(slack < 0.0)))


def _latest(slack: Floats, risk: float) -> tuple[float, float]:
    """Largest t with a share of values below t of at most `risk`, and its standard error by order statistics."""
    place = rank_at(risk, slack.size)
    around = round(math.sqrt(slack.size * risk * (1.0 - risk)))
    places = [max(place - around, 0), place, min(place + around, slack.size - 1)]
    low, latest, high = np.partition(slack, sorted(set(places)))[places].tolist()
    return latest, (high - low) / 2


def _months(needed: Floats, central: float) -> Interval:
    if needed.size == 1:
        return Interval(central, central, central, 1.0, "assumed")
    low, mid, high = np.quantile(needed, _QUANTILES, method="inverted_cdf").tolist()
    return Interval(low, mid, high, 0.9, "prediction")


def _outlook(
    scenarios: Scenarios, plan: CapacityPlan, rules: OrderingRules, counts: Counts, passed: tuple[Floats, int]
) -> tuple[MonthOutlook, ...]:
    phases = _phases(scenarios, plan) / len(scenarios)
    needed, fleet = passed
    reached = np.searchsorted(np.sort(needed), np.arange(scenarios.months), side="left") / len(scenarios)
    reached[0] = scenarios.exceeding_today(fleet)
    return tuple(
        MonthOutlook(
            month, float(reached[month]), _counted(counts[month]), _place(counts[month], 1.0 - rules.risk),
            dict(zip(PHASES, phases[month].tolist(), strict=True)),
        )
        for month in range(scenarios.months)
    )  # fmt: skip


def _phases(scenarios: Scenarios, plan: CapacityPlan) -> Floats:
    basis = instance_basis(plan.growth, plan.instance_capacity, plan.policy)
    stated = plan.instance_capacity.max_value
    counted = scenarios.phase_counts(
        float(basis.maximum / basis.normal), float(plan.policy.safety_factor[1]), plan.policy.lead_time_months,
        maximum=None if stated is None else float(basis.maximum),
    )  # fmt: skip
    return counted.astype(np.float64)


def _certain(scenarios: Scenarios) -> tuple[MonthOutlook, ...]:
    counts = scenarios.exact_counts()
    return tuple(MonthOutlook(month, None, Interval.assumed(count), count) for month, count in enumerate(counts))


def _counted(row: Counts) -> Interval:
    low, mid, high = (_place(row, share) for share in _QUANTILES)
    return Interval(low, mid, high, 0.9, "prediction")


def _place(row: Counts, share: float) -> int:
    """Fewest instances that suffice in this share of the scenarios."""
    cumulative = np.cumsum(row)
    return int(np.searchsorted(cumulative, math.ceil(share * cumulative[-1])))
