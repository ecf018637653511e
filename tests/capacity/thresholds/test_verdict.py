"""A verdict is the worst band, says what crossed, and always names its profile."""

import json

import pytest

from capacity.thresholds import BandProfile, Verdict, verdict
from loadtests.foundation.errors import InputError

DAILY = BandProfile.guide("daily")
CALM = {
    "throughput_rps": 20_000,
    "p95_s": 0.03,
    "error_rate": 0,
    "ccu_utilization_normal": 0.4,
    "queue_utilization": 0.1,
}


def test_a_calm_instance_is_normal_and_nothing_crossed() -> None:
    calm = verdict(DAILY, CALM)
    assert (calm.profile, calm.level, calm.crossed, calm.not_measured) == ("daily", "normal", (), ())
    assert calm.summary() == "daily: normal, 0 of 5 metrics reached a threshold"


def test_one_critical_metric_makes_the_verdict_critical() -> None:
    hot = verdict(DAILY, CALM | {"p95_s": 0.06, "error_rate": 0.02})
    assert hot.level == "critical"
    assert [(item.metric, item.level) for item in hot.crossed] == [("error_rate", "critical"), ("p95_s", "warning")]
    assert "critical: error_rate is 0.02, at or above 0.01" in hot.summary()


def test_every_metric_has_its_band() -> None:
    judged = verdict(DAILY, CALM | {"ccu_utilization_normal": 0.7}).judged
    assert [item.level for item in judged] == ["normal", "normal", "normal", "warning", "normal"]
    assert {item.band.profile for item in judged} == {"daily"}


def test_profiles_disagree_about_the_same_numbers() -> None:
    numbers = {"error_rate": 0.02, "p95_s": 0.1}
    assert verdict(DAILY, numbers).level == "critical"
    assert verdict(BandProfile.guide("alert"), numbers).level == "warning"


def test_what_was_not_measured_is_said() -> None:
    partial = verdict(DAILY, {"p95_s": 0.03, "memory_utilization": 0.99})
    assert partial.level == "normal"
    assert partial.without_bands == ("memory_utilization",)
    assert partial.not_measured == ("throughput_rps", "error_rate", "ccu_utilization_normal", "queue_utilization")
    assert "not measured: throughput_rps" in partial.summary()


def test_one_base_does_not_stand_in_for_the_other() -> None:
    other_base = verdict(DAILY, CALM | {"ccu_utilization_max": 0.9})
    assert (other_base.level, other_base.without_bands) == ("normal", ("ccu_utilization_max",))


def test_shed_requests_are_no_errors() -> None:
    shedding = verdict(DAILY, CALM | {"shed_rate": 0.3})
    assert (shedding.level, shedding.without_bands) == ("normal", ("shed_rate",))


@pytest.mark.parametrize(
    ("measurements", "named"),
    [
        ({}, "Nothing that the profile 'daily' judges was measured [(]given: nothing"),
        ({"memory_utilization": 0.9}, "given: memory_utilization[)]; it has bands of throughput_rps"),
        ({"latency": 0.9}, "'latency' is not known"),
        ({"p95_s": float("nan")}, "finite"),
        ({"p95_s": 0.1, "memory_utilization": -1}, "memory_utilization is -1"),
    ],
)
def test_what_cannot_be_judged_is_refused(measurements: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        verdict(DAILY, measurements)


def test_a_verdict_is_json_and_names_its_profile() -> None:
    hot: Verdict = verdict(DAILY, {"p95_s": 0.06, "error_rate": 0})
    assert json.loads(json.dumps(hot.to_dict())) == {
        "profile": "daily",
        "level": "warning",
        "judged": [
            {"metric": "p95_s", "value": 0.06, "level": "warning", "threshold": 0.05},
            {"metric": "error_rate", "value": 0, "level": "normal", "threshold": None},
        ],
        "not_measured": ["throughput_rps", "ccu_utilization_normal", "queue_utilization"],
        "without_bands": [],
    }
