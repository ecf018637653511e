"""All profiles together: as JSON, and as a table of a policy file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import capacity
from capacity import PlanningPolicy, thresholds
from capacity.thresholds import BandProfile, IncidentProfile, ScalingProfile, ThresholdProfiles, band_of
from loadtests.foundation.errors import InputError

OWN = """
[thresholds.daily]
name = "night"

[thresholds.daily.bands]
p95_s = {warning_from = 0.3, critical_from = 1.0}
shed_rate = {critical_from = 0.01}

[[thresholds.scaling.rules]]
metric = "ccu_utilization_max"
threshold = 0.6
duration_s = 30
"""


@pytest.mark.parametrize(
    "profile",
    [
        BandProfile.guide("daily"),
        BandProfile.guide("alert", ccu_base="max"),
        ScalingProfile.guide(),
        IncidentProfile.guide(),
        ThresholdProfiles.guide(ccu_base="max"),
    ],
)
def test_a_profile_survives_its_json(profile: Any) -> None:
    assert type(profile).from_dict(json.loads(json.dumps(profile.to_dict()))) == profile


def test_the_guides_profiles_are_the_default_and_their_names_tell_them_apart() -> None:
    guide = ThresholdProfiles.guide()
    assert ThresholdProfiles.from_dict({}) == ThresholdProfiles() == guide
    names = (guide.daily.name, guide.alert.name, guide.readiness.name, guide.scaling.name, guide.incident.name)
    assert names == ("daily", "alert", "readiness", "scaling", "incident")


def test_numbers_are_written_as_people_write_them() -> None:
    written = ThresholdProfiles.guide().to_dict()
    assert written["daily"]["bands"]["throughput_rps"] == {"warning_from": 50_000, "critical_from": 100_000}
    assert written["daily"]["bands"]["ccu_utilization_normal"] == {"warning_from": 0.67, "critical_from": 0.8}
    assert written["alert"]["bands"]["queue_utilization"] == {"warning_from": 0.8}
    assert written["incident"]["severities"]["P0"] == {"respond_within_s": 0}


def test_a_policy_file_may_state_profiles_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(OWN, encoding="utf-8")
    own = PlanningPolicy.read(path).thresholds
    assert own is not None
    band = band_of(own.daily, "p95_s", 0.5)
    assert (band.profile, band.level) == ("night", "warning")
    assert own.scaling.name == "scaling"
    assert [(rule.metric, rule.action) for rule in own.scaling.rules] == [("ccu_utilization_max", "scale")]
    assert own.alert == BandProfile.guide("alert")


def test_a_policy_with_profiles_survives_its_json() -> None:
    policy = PlanningPolicy(thresholds=ThresholdProfiles.guide())
    assert PlanningPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert "thresholds" not in PlanningPolicy().to_dict()


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ([], "table of thresholds is .*; it must be an object"),
        ({"weekly": {}}, "has no weekly; allowed are alert, daily, incident, readiness, scaling"),
        ({"daily": 3}, "thresholds daily: The profile is 3"),
        ({"daily": {"edges": {}}}, "thresholds daily: The profile has no edges; allowed are bands, name"),
        ({"daily": {}}, "'daily' has no bands"),
        ({"daily": {"bands": []}}, "table of bands is .*; it must be an object"),
        ({"daily": {"bands": {"p95_s": 3}}}, "table of bands of p95_s is 3"),
        ({"daily": {"bands": {"p95_s": {"critical": 3}}}}, "has no critical; allowed are critical_from, warning_from"),
        ({"daily": {"bands": {"p95_s": {"critical_from": "3"}}}}, "critical_from of p95_s is '3'"),
        ({"daily": {"bands": {"p95": {"critical_from": 3}}}}, "'p95' is not known"),
        ({"daily": {"bands": {"ccu_utilization": {"critical_from": 0.8}}}}, "does not say its base"),
        ({"scaling": {"rules": {}}}, "rules of a scaling profile are {}; they must be a list"),
        ({"scaling": {"rules": [3]}}, "scaling rule is 3"),
        ({"scaling": {"rules": [{"metric": "p95_s"}]}}, "must also state threshold, duration_s"),
        ({"scaling": {"rules": [{"metric": [], "threshold": 1, "duration_s": 1}]}}, "is not known"),
        ({"scaling": {"rules": [{"for": 3}]}}, "has no for; allowed are action, duration_s, metric, threshold"),
        ({"incident": {"severities": {"P4": {}}}}, "has no P4; allowed are P0, P1, P2, P3"),
        ({"incident": {"severities": {"P0": {"severity": "P0"}}}}, "The P0 has no severity"),
        ({"incident": {"severities": {"P0": {}}}}, "has the severities P0; it must have P0, P1, P2, P3"),
        ({"alert": {"name": "daily", "bands": {"p95_s": {"warning_from": 1}}}}, "Two profiles are named daily"),
    ],
)
def test_a_table_that_makes_no_sense_is_named(table: Any, named: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"thresholds": table}), encoding="utf-8")
    with pytest.raises(InputError, match=named) as caught:
        PlanningPolicy.read(path)
    assert str(path) in str(caught.value)


def test_the_public_names_are_these() -> None:
    assert capacity.thresholds is thresholds
    assert sorted(thresholds.__all__) == [
        "Band", "BandProfile", "IncidentProfile", "IncidentRule", "Measurements", "Metric", "MetricBands",
        "ScalingProfile", "ScalingRule", "ScalingVerdict", "ThresholdProfiles", "ThresholdReport",
        "UnreachableThreshold", "Verdict", "band_of", "judge_thresholds", "severity", "triggered", "unreachable",
        "verdict",
    ]  # fmt: skip
    for name in thresholds.__all__:
        assert getattr(thresholds, name).__doc__


def test_thresholds_load_nothing_but_the_standard_library() -> None:
    use = "from capacity.thresholds import *; ThresholdProfiles.guide(); import sys; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", use], check=True)
