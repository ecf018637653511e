"""Decide what to deploy, and when: growth, the instance formula, plans and timelines.

Names load on first use; planning loads no simulator, no load generator and no charts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from capacity.demand.forecast import forecast_growth
    from capacity.demand.forecast_result import DemandForecast
    from capacity.demand.growth import GrowthProjection, read_growth
    from capacity.demand.history import TrafficHistory, read_history
    from capacity.demand.peak_factor import PeakFactor, estimate_peak_factor
    from capacity.output import charts
    from capacity.planning.instance_formula import required_instances
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.planner import plan_capacity
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.timeline import ScalingTimeline, scaling_timeline
    from simulations.analysis.capacity_curve import InstanceCapacity

__all__ = [
    "CapacityPlan",
    "DemandForecast",
    "GrowthProjection",
    "InstanceCapacity",
    "PeakFactor",
    "PlanningPolicy",
    "ScalingTimeline",
    "TrafficHistory",
    "charts",
    "estimate_peak_factor",
    "forecast_growth",
    "plan_capacity",
    "read_growth",
    "read_history",
    "required_instances",
    "scaling_timeline",
]

_load, __dir__ = attach(
    __name__,
    {
        "CapacityPlan": "capacity.planning.plan",
        "DemandForecast": "capacity.demand.forecast_result",
        "GrowthProjection": "capacity.demand.growth",
        "InstanceCapacity": "simulations.analysis.capacity_curve",
        "PeakFactor": "capacity.demand.peak_factor",
        "PlanningPolicy": "capacity.planning.policy",
        "ScalingTimeline": "capacity.planning.timeline",
        "TrafficHistory": "capacity.demand.history",
        "estimate_peak_factor": "capacity.demand.peak_factor",
        "forecast_growth": "capacity.demand.forecast",
        "plan_capacity": "capacity.planning.planner",
        "read_growth": "capacity.demand.growth",
        "read_history": "capacity.demand.history",
        "required_instances": "capacity.planning.instance_formula",
        "scaling_timeline": "capacity.planning.timeline",
    },
)


def __getattr__(name: str) -> Any:
    return import_module("capacity.output.charts") if name == "charts" else _load(name)
