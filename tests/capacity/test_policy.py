"""The rules of a plan, checked and written."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from capacity import PlanningPolicy
from capacity.planning.policy import AutoscalingBounds
from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError

GUIDE_FILES = Path(__file__).parents[2] / "data" / "guide"


def test_the_defaults_are_the_guides_rules_without_its_instance() -> None:
    policy = PlanningPolicy()
    assert (policy.safety_factor, policy.utilization_percent, policy.lead_time_months) == ((1.2, 1.5), 67, 1)
    assert (policy.autoscaling, policy.deployment) == (AutoscalingBounds(3, 10), None)


def test_the_guides_files_say_what_the_code_says() -> None:
    assert PlanningPolicy.read(GUIDE_FILES / "policy.json") == PlanningPolicy.guide()
    assert Deployment.from_dict(json.loads((GUIDE_FILES / "deployment.json").read_text())) == Deployment.guide()


def test_a_policy_survives_its_json() -> None:
    for policy in (PlanningPolicy(), PlanningPolicy.guide(), PlanningPolicy(safety_factor=2, utilization_percent=None)):  # type: ignore[arg-type]
        assert PlanningPolicy.from_dict(policy.to_dict()) == policy


def test_numbers_are_kept_as_json_can_hold_them() -> None:
    written = PlanningPolicy(safety_factor=(Decimal("1.2"), Fraction(3, 2)), utilization_percent=Decimal(67))  # type: ignore[arg-type]
    assert written == PlanningPolicy()
    assert json.loads(json.dumps(written.to_dict()))["utilization_percent"] == 67


def test_a_policy_may_be_toml(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("safety_factor = [1.3, 1.4]\n[autoscaling]\nmin = 2\nmax = 4\n", encoding="utf-8")
    policy = PlanningPolicy.read(path)
    assert (policy.safety_factor, policy.autoscaling) == ((1.3, 1.4), AutoscalingBounds(2, 4))


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"safety_factor": 0.9}, "at least 1"),
        ({"safety_factor": [1.5, 1.2]}, "must not exceed"),
        ({"safety_factor": [1.1, 1.2, 1.3]}, "one factor or a pair"),
        ({"safety_factor": "high"}, "must be a number"),
        ({"safety_factors": 1.2}, "has no safety_factors; allowed are"),
        ({"interpolation": "cubic"}, "one of geometric, linear"),
        ({"lead_time_months": -1}, "lead_time_months"),
        ({"lead_time_months": 0.5}, "lead_time_months"),
        ({"utilization_percent": 0}, "above 0"),
        ({"utilization_percent": 101}, "up to 100"),
        ({"autoscaling": {"min": 5, "max": 3}}, "min 5 above max 3"),
        ({"autoscaling": {"min": 0}}, "autoscaling min"),
        ({"autoscaling": 3}, "must be an object"),
        ({"autoscaling": {"most": 3}}, "has no most"),
        ({"targets": {"p95_s": -1}}, "p95_s"),
        ({"limits": {"rps_warning": 50_000}}, "which thresholds have replaced"),
        ({"thresholds": {"daily": {"bands": {"p95_s": {"warning_from": 0}}}}}, "above 0"),
        ({"vertical_step": {"workers": 5}}, "before, after"),
        ({"vertical_step": {"workers": ["50", "100"]}}, "workers before is '50'; it must be a number"),
        ({"targets": {"rps_per_instance": "50000"}}, "rps_per_instance is '50000'; it must be a number"),
        ({"targets": {"p95_s": True}}, "p95_s is True"),
        ({"utilization_percent": "67"}, "utilization_percent is '67'"),
        ({"deployment": {"cpu_cores": "4"}}, "deployment cpu_cores is '4'; it must be a number"),
        ({"deployment": {"ports": 1}}, "has no ports"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(document: dict[str, Any], named: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=named) as caught:
        PlanningPolicy.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_policy_is_named(tmp_path: Path) -> None:
    for name in ("absent.json", "absent.toml"):
        with pytest.raises(InputError, match=f"{name} does not exist"):
            PlanningPolicy.read(tmp_path / name)
