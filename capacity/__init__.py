"""Decide what to deploy, and when: growth, the instance formula, plans and timelines.

Names load on first use; planning loads no simulator, no load generator and no charts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from capacity import thresholds
    from capacity.demand.growth import GrowthProjection, read_growth
    from capacity.demand.growth_curves import (
        DemandEvent,
        compound_growth,
        growth_from_percentages,
        linear_growth,
        logistic_growth,
        with_events,
    )
    from capacity.output import charts
    from capacity.planning.instance_formula import required_instances
    from capacity.planning.ordering import order_timeline
    from capacity.planning.orders import OrderingRules, OrderTimeline
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.plan_actuals import actuals_against_plan
    from capacity.planning.plan_comparison import compare_plans
    from capacity.planning.planner import plan_capacity
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.timeline import ScalingTimeline, scaling_timeline
    from capacity.planning.what_if import conditions_for, plan_grid, sensitivity
    from simulations.analysis.capacity_curve import InstanceCapacity

__all__ = [
    "CapacityPlan",
    "DemandEvent",
    "GrowthProjection",
    "InstanceCapacity",
    "OrderTimeline",
    "OrderingRules",
    "PlanningPolicy",
    "ScalingTimeline",
    "actuals_against_plan",
    "charts",
    "compare_plans",
    "compound_growth",
    "conditions_for",
    "growth_from_percentages",
    "linear_growth",
    "logistic_growth",
    "order_timeline",
    "plan_capacity",
    "plan_grid",
    "read_growth",
    "required_instances",
    "scaling_timeline",
    "sensitivity",
    "thresholds",
    "with_events",
]

_MODULES = {"charts": "capacity.output.charts", "thresholds": "capacity.thresholds"}

_load, __dir__ = attach(
    __name__,
    {
        "CapacityPlan": "capacity.planning.plan",
        "DemandEvent": "capacity.demand.growth_curves",
        "GrowthProjection": "capacity.demand.growth",
        "InstanceCapacity": "simulations.analysis.capacity_curve",
        "OrderTimeline": "capacity.planning.orders",
        "OrderingRules": "capacity.planning.orders",
        "sensitivity": "capacity.planning.what_if",
        "conditions_for": "capacity.planning.what_if",
        "plan_grid": "capacity.planning.what_if",
        "compare_plans": "capacity.planning.plan_comparison",
        "actuals_against_plan": "capacity.planning.plan_actuals",
        "PlanningPolicy": "capacity.planning.policy",
        "ScalingTimeline": "capacity.planning.timeline",
        **dict.fromkeys(
            ("compound_growth", "growth_from_percentages", "linear_growth", "logistic_growth", "with_events"),
            "capacity.demand.growth_curves",
        ),
        "order_timeline": "capacity.planning.ordering",
        "plan_capacity": "capacity.planning.planner",
        "read_growth": "capacity.demand.growth",
        "required_instances": "capacity.planning.instance_formula",
        "scaling_timeline": "capacity.planning.timeline",
    },
)


def __getattr__(name: str) -> Any:
    return import_module(_MODULES[name]) if name in _MODULES else _load(name)
