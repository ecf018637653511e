"""Decide what to deploy, and when: growth, the instance formula, plans and timelines.

Names load on first use; planning loads no simulator, no load generator and no charts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from capacity import thresholds
    from capacity.demand.conversion import convert_growth
    from capacity.demand.dated_events import DatedEvent, EventCalendar, read_events
    from capacity.demand.forecast import forecast_growth
    from capacity.demand.forecast_result import DemandForecast
    from capacity.demand.growth import GrowthProjection, read_growth
    from capacity.demand.growth_curves import (
        DemandEvent,
        compound_growth,
        growth_from_percentages,
        linear_growth,
        logistic_growth,
        with_events,
    )
    from capacity.demand.growth_points import GrowthPoint
    from capacity.demand.history import TrafficHistory, read_history
    from capacity.demand.peak_factor import PeakFactor, estimate_peak_factor
    from capacity.output import charts
    from capacity.planning.actuals_table import read_actuals
    from capacity.planning.alternatives import choose_shape
    from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
    from capacity.planning.constraint_report import ConstraintReport
    from capacity.planning.constraints import required_by_constraints
    from capacity.planning.fleet_rules import FleetRules
    from capacity.planning.instance_formula import required_instances
    from capacity.planning.order_grid import OrderGrid, order_grid
    from capacity.planning.ordering import order_timeline
    from capacity.planning.orders import OrderingRules, OrderTimeline
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.plan_actuals import actuals_against_plan
    from capacity.planning.plan_comparison import compare_plans
    from capacity.planning.plan_constraints import PlanConstraints
    from capacity.planning.plan_shapes import PlanShapes
    from capacity.planning.planner import plan_capacity
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.shape_capacity import ShapeObjective, capacities_of_shapes, capacity_of_shape
    from capacity.planning.shape_choice import ShapeChoice, ShapeQuestion
    from capacity.planning.shapes import InstanceShape, ShapeCapacity, read_shapes
    from capacity.planning.timeline import ScalingTimeline, scaling_timeline
    from capacity.planning.what_if import conditions_for, plan_grid, sensitivity
    from simulations.analysis.capacity_curve import InstanceCapacity

__all__ = [
    "CapacityPlan",
    "ConstraintReport",
    "DatedEvent",
    "DemandEvent",
    "DemandForecast",
    "EventCalendar",
    "FleetRules",
    "GrowthPoint",
    "GrowthProjection",
    "InstanceCapacity",
    "InstanceLimits",
    "InstanceShape",
    "OrderGrid",
    "OrderTimeline",
    "OrderingRules",
    "PeakFactor",
    "PlanConstraints",
    "PlanShapes",
    "PlanningPolicy",
    "ScalingTimeline",
    "ServiceDemand",
    "ShapeCapacity",
    "ShapeChoice",
    "ShapeObjective",
    "ShapeQuestion",
    "TrafficHistory",
    "actuals_against_plan",
    "capacities_of_shapes",
    "capacity_of_shape",
    "charts",
    "choose_shape",
    "compare_plans",
    "compound_growth",
    "conditions_for",
    "convert_growth",
    "estimate_peak_factor",
    "forecast_growth",
    "growth_from_percentages",
    "linear_growth",
    "logistic_growth",
    "order_grid",
    "order_timeline",
    "plan_capacity",
    "plan_grid",
    "read_actuals",
    "read_events",
    "read_growth",
    "read_history",
    "read_shapes",
    "required_by_constraints",
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
        "ConstraintReport": "capacity.planning.constraint_report",
        "DatedEvent": "capacity.demand.dated_events",
        "DemandEvent": "capacity.demand.growth_curves",
        "DemandForecast": "capacity.demand.forecast_result",
        "EventCalendar": "capacity.demand.dated_events",
        "FleetRules": "capacity.planning.fleet_rules",
        "GrowthPoint": "capacity.demand.growth_points",
        "GrowthProjection": "capacity.demand.growth",
        "InstanceCapacity": "simulations.analysis.capacity_curve",
        "InstanceLimits": "capacity.planning.constraint_inputs",
        "InstanceShape": "capacity.planning.shapes",
        "OrderGrid": "capacity.planning.order_grid",
        "OrderTimeline": "capacity.planning.orders",
        "OrderingRules": "capacity.planning.orders",
        "PeakFactor": "capacity.demand.peak_factor",
        "PlanConstraints": "capacity.planning.plan_constraints",
        "PlanShapes": "capacity.planning.plan_shapes",
        "PlanningPolicy": "capacity.planning.policy",
        "ScalingTimeline": "capacity.planning.timeline",
        "ServiceDemand": "capacity.planning.constraint_inputs",
        "ShapeCapacity": "capacity.planning.shapes",
        "ShapeChoice": "capacity.planning.shape_choice",
        "ShapeObjective": "capacity.planning.shape_capacity",
        "ShapeQuestion": "capacity.planning.shape_choice",
        "TrafficHistory": "capacity.demand.history",
        "actuals_against_plan": "capacity.planning.plan_actuals",
        "capacities_of_shapes": "capacity.planning.shape_capacity",
        "capacity_of_shape": "capacity.planning.shape_capacity",
        "choose_shape": "capacity.planning.alternatives",
        "compare_plans": "capacity.planning.plan_comparison",
        "compound_growth": "capacity.demand.growth_curves",
        "conditions_for": "capacity.planning.what_if",
        "convert_growth": "capacity.demand.conversion",
        "estimate_peak_factor": "capacity.demand.peak_factor",
        "forecast_growth": "capacity.demand.forecast",
        "growth_from_percentages": "capacity.demand.growth_curves",
        "linear_growth": "capacity.demand.growth_curves",
        "logistic_growth": "capacity.demand.growth_curves",
        "order_grid": "capacity.planning.order_grid",
        "order_timeline": "capacity.planning.ordering",
        "plan_capacity": "capacity.planning.planner",
        "plan_grid": "capacity.planning.what_if",
        "read_actuals": "capacity.planning.actuals_table",
        "read_events": "capacity.demand.dated_events",
        "read_growth": "capacity.demand.growth",
        "read_history": "capacity.demand.history",
        "read_shapes": "capacity.planning.shapes",
        "required_by_constraints": "capacity.planning.constraints",
        "required_instances": "capacity.planning.instance_formula",
        "scaling_timeline": "capacity.planning.timeline",
        "sensitivity": "capacity.planning.what_if",
        "with_events": "capacity.demand.growth_curves",
    },
)


def __getattr__(name: str) -> Any:
    return import_module(_MODULES[name]) if name in _MODULES else _load(name)
