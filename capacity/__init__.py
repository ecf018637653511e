"""Decide what to deploy, and when: growth, the instance formula, constraints, plans, timelines and shapes.

Names load on first use; planning loads no simulator, no load generator and no charts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from capacity.demand.growth import GrowthProjection, read_growth
    from capacity.output import charts
    from capacity.planning.alternatives import choose_shape
    from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
    from capacity.planning.constraint_report import ConstraintReport
    from capacity.planning.constraints import required_by_constraints
    from capacity.planning.fleet_rules import FleetRules
    from capacity.planning.instance_formula import required_instances
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.planner import plan_capacity
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.shape_capacity import ShapeObjective, capacities_of_shapes, capacity_of_shape
    from capacity.planning.shape_choice import ShapeChoice, ShapeQuestion
    from capacity.planning.shapes import InstanceShape, ShapeCapacity, read_shapes
    from capacity.planning.timeline import ScalingTimeline, scaling_timeline
    from simulations.analysis.capacity_curve import InstanceCapacity

__all__ = [
    "CapacityPlan",
    "ConstraintReport",
    "FleetRules",
    "GrowthProjection",
    "InstanceCapacity",
    "InstanceLimits",
    "InstanceShape",
    "PlanningPolicy",
    "ScalingTimeline",
    "ServiceDemand",
    "ShapeCapacity",
    "ShapeChoice",
    "ShapeObjective",
    "ShapeQuestion",
    "capacities_of_shapes",
    "capacity_of_shape",
    "charts",
    "choose_shape",
    "plan_capacity",
    "read_growth",
    "read_shapes",
    "required_by_constraints",
    "required_instances",
    "scaling_timeline",
]

_load, __dir__ = attach(
    __name__,
    {
        "CapacityPlan": "capacity.planning.plan",
        "ConstraintReport": "capacity.planning.constraint_report",
        "FleetRules": "capacity.planning.fleet_rules",
        "GrowthProjection": "capacity.demand.growth",
        "InstanceCapacity": "simulations.analysis.capacity_curve",
        "InstanceLimits": "capacity.planning.constraint_inputs",
        "InstanceShape": "capacity.planning.shapes",
        "PlanningPolicy": "capacity.planning.policy",
        "ScalingTimeline": "capacity.planning.timeline",
        "ServiceDemand": "capacity.planning.constraint_inputs",
        "ShapeCapacity": "capacity.planning.shapes",
        "ShapeChoice": "capacity.planning.shape_choice",
        "ShapeObjective": "capacity.planning.shape_capacity",
        "ShapeQuestion": "capacity.planning.shape_choice",
        "capacities_of_shapes": "capacity.planning.shape_capacity",
        "capacity_of_shape": "capacity.planning.shape_capacity",
        "choose_shape": "capacity.planning.alternatives",
        "plan_capacity": "capacity.planning.planner",
        "read_growth": "capacity.demand.growth",
        "read_shapes": "capacity.planning.shapes",
        "required_by_constraints": "capacity.planning.constraints",
        "required_instances": "capacity.planning.instance_formula",
        "scaling_timeline": "capacity.planning.timeline",
    },
)


def __getattr__(name: str) -> Any:
    return import_module("capacity.output.charts") if name == "charts" else _load(name)
