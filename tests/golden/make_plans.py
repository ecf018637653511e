"""Write the golden plans, of the guide and of five other services: ./run python tests/golden/make_plans.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from capacity import (
    CapacityPlan,
    DemandEvent,
    GrowthProjection,
    InstanceCapacity,
    InstanceShape,
    OrderingRules,
    PlanningPolicy,
    PlanShapes,
    ShapeQuestion,
    compound_growth,
    logistic_growth,
    plan_capacity,
    with_events,
)
from loadtests.deployment import Deployment
from loadtests.foundation.files import write_json
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity

FOLDER = Path(__file__).parent
DIGITS = 6
"""Of a date that comes from draws: the last bits of logarithms differ between machines."""


def guide() -> CapacityPlan:
    """The guide as it stands."""
    return plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide())


def measured_shop() -> CapacityPlan:
    """Users with a think time on a measured instance; everything is uncertain, with order dates and two shapes."""
    growth = compound_growth(2_400, (1, 4, 9), 18, "users")
    one = InstanceCapacity(Quantity.USERS, Interval(180, 200, 215), bound_by="p95", valid_up_to=240)
    lead = Interval(0.5, 1.0, 2.5, kind="prediction")
    rules = OrderingRules(risk=0.05, lead_time_months=lead, fleet=16, start=date(2026, 12, 1), draws=20_000)
    shapes = [
        InstanceShape(
            "as measured", Deployment(), price_per_hour={0: 0.20, 12: 0.17}, currency="EUR", capacity=one.value
        ),
        InstanceShape(
            "twice as large", Deployment(), price_per_hour=0.38, currency="EUR", capacity=Interval(330, 380, 430)
        ),
    ]
    offer = PlanShapes(shapes, question=ShapeQuestion(draws=2_000))
    return plan_capacity(growth, one, PlanningPolicy(utilization_percent=None), ordering=rules, shapes=offer)


def seasonal_api() -> CapacityPlan:
    """Requests per second with a holiday and a campaign, on more instances than the autoscaler's ten."""
    growth = with_events(
        GrowthProjection.from_points([(0, 8_000), (6, 11_000), (12, 15_000)], "rps"),
        [DemandEvent("holidays", 3, 4, 1.6), DemandEvent("campaign", 4, 4, 1.25)],
    )
    rules = OrderingRules(lead_time_months=2.0, fleet=12, start=date(2026, 12, 31))
    return plan_capacity(growth, InstanceCapacity.assumed(900, "rps"), ordering=rules)


def shrinking_service() -> CapacityPlan:
    """A load that falls: phases never go back, and nothing is ordered."""
    growth = GrowthProjection.from_points([(0, 9_000), (3, 5_000), (9, 2_000)], "in_flight")
    policy = PlanningPolicy(interpolation="linear", lead_time_months=2)
    return plan_capacity(growth, InstanceCapacity.assumed(1_000, "in_flight"), policy, ordering=OrderingRules())


def saturating_launch() -> CapacityPlan:
    """A launch towards a market's size, one factor, a gate that is stated."""
    policy = PlanningPolicy(safety_factor=1.3, deployment=Deployment(gate_limit=400, workers=64))
    growth = logistic_growth(150, 6_000, 60, 24, "in_flight")
    return plan_capacity(growth, InstanceCapacity.assumed(300, "in_flight"), policy, ordering=OrderingRules(fleet=1))


def a_single_month() -> CapacityPlan:
    """Only today is known."""
    return plan_capacity(GrowthProjection.from_points({0: 120}, "users"), InstanceCapacity.assumed(200, "users"))


PLANS: dict[str, Callable[[], CapacityPlan]] = {
    "guide_plan": guide, "measured_shop": measured_shop, "seasonal_api": seasonal_api,
    "shrinking_service": shrinking_service, "saturating_launch": saturating_launch, "a_single_month": a_single_month,
}  # fmt: skip


def document(name: str) -> dict[str, Any]:
    """A plan as JSON, without the versions that it was computed with."""
    plan = PLANS[name]()
    whole = {key: value for key, value in plan.to_dict().items() if key != "versions"}
    if plan.orders is None or not plan.orders.is_uncertain:
        return whole
    rounded: dict[str, Any] = _rounded(whole)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    for each in PLANS:
        write_json(FOLDER / f"{each}.json", document(each))
