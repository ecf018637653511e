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


@pytest.mark.parametrize("code", ["import capacity", PLAN])
def test_planning_stays_light(code: str) -> None:
    look = f"\nimport sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    import capacity

    assert sorted(capacity.__all__) == [
        "CapacityPlan", "DemandForecast", "GrowthProjection", "InstanceCapacity", "PeakFactor", "PlanningPolicy",
        "ScalingTimeline", "TrafficHistory", "charts", "estimate_peak_factor", "forecast_growth", "plan_capacity",
        "read_growth", "read_history", "required_instances", "scaling_timeline",
    ]  # fmt: skip
    for name in capacity.__all__:
        assert getattr(capacity, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        capacity.nothing  # noqa: B018
