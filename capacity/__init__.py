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
    from capacity.output import charts
    from capacity.planning.instance_formula import required_instances
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.planner import plan_capacity
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.timeline import ScalingTimeline, scaling_timeline
    from simulations.analysis.capacity_curve import InstanceCapacity

__all__ = [
    "CapacityPlan",
    "GrowthProjection",
    "InstanceCapacity",
    "PlanningPolicy",
    "ScalingTimeline",
    "charts",
    "plan_capacity",
    "read_growth",
    "required_instances",
    "scaling_timeline",
    "thresholds",
]

_MODULES = {"charts": "capacity.output.charts", "thresholds": "capacity.thresholds"}

_load, __dir__ = attach(
    __name__,
    {
        "CapacityPlan": "capacity.planning.plan",
        "GrowthProjection": "capacity.demand.growth",
        "InstanceCapacity": "simulations.analysis.capacity_curve",
        "PlanningPolicy": "capacity.planning.policy",
        "ScalingTimeline": "capacity.planning.timeline",
        "plan_capacity": "capacity.planning.planner",
        "read_growth": "capacity.demand.growth",
        "required_instances": "capacity.planning.instance_formula",
        "scaling_timeline": "capacity.planning.timeline",
    },
)


def __getattr__(name: str) -> Any:
    return import_module(_MODULES[name]) if name in _MODULES else _load(name)
