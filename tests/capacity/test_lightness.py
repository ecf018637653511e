"""Who only plans loads nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("simpy", "numba", "locust", "gevent", "matplotlib", "pydantic", "pandas", "pyarrow", "statsmodels")
PLAN = """
from capacity import GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity, scaling_timeline
plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3350), PlanningPolicy.guide())
plan.summary(), scaling_timeline(plan).summary(), plan.to_json()
"""


CHOICE = """
from capacity import FleetRules, InstanceLimits, InstanceShape, ServiceDemand, ShapeQuestion, choose_shape
from capacity import required_by_constraints
from loadtests import Deployment
required_by_constraints(ServiceDemand(ccu=7000), InstanceLimits(normal_ccu=3350), FleetRules(), 1.2).summary()
shape = InstanceShape("small", Deployment.guide(), price_per_hour=0.2, currency="EUR")
choose_shape({0: 7000}, [shape], {"small": 3350}).to_json()
"""


@pytest.mark.parametrize("code", ["import capacity", PLAN, CHOICE])
def test_planning_stays_light(code: str) -> None:
    look = f"\nimport sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    import capacity

    assert sorted(capacity.__all__) == [
        "CapacityPlan", "ConstraintReport", "DatedEvent", "DemandEvent", "DemandForecast", "EventCalendar",
        "FleetRules", "GrowthPoint", "GrowthProjection", "InstanceCapacity", "InstanceLimits", "InstanceShape",
        "OrderGrid", "OrderTimeline", "OrderingRules", "PeakFactor", "PlanConstraints", "PlanShapes", "PlanningPolicy",
        "ScalingTimeline", "ServiceDemand", "ShapeCapacity", "ShapeChoice", "ShapeObjective", "ShapeQuestion",
        "TrafficHistory", "actuals_against_plan", "capacities_of_shapes", "capacity_of_shape", "charts",
        "choose_shape", "compare_plans", "compound_growth", "conditions_for", "convert_growth",
        "estimate_peak_factor", "forecast_growth", "growth_from_percentages", "linear_growth", "logistic_growth",
        "order_grid", "order_timeline", "plan_capacity", "plan_grid", "read_actuals", "read_events", "read_growth",
        "read_history", "read_shapes", "required_by_constraints", "required_instances", "scaling_timeline",
        "sensitivity", "thresholds", "with_events",
    ]  # fmt: skip
    for name in capacity.__all__:
        assert getattr(capacity, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        capacity.nothing  # noqa: B018
