"""Write the golden plan of the guide: ./run python tests/golden/make_guide_plan.py."""

from pathlib import Path
from typing import Any

from capacity import GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity
from loadtests.foundation.files import write_json

GOLDEN = Path(__file__).with_name("guide_plan.json")


def document() -> dict[str, Any]:
    """The guide's plan as JSON, without the versions that it was computed with."""
    plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide())
    return {name: value for name, value in plan.to_dict().items() if name != "versions"}


if __name__ == "__main__":
    write_json(GOLDEN, document())
