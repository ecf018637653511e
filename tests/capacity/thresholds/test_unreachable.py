"""Thresholds that a configured limit keeps from ever firing."""

import json
from fractions import Fraction

import pytest

from capacity import GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity
from capacity.thresholds import (
    BandProfile,
    Metric,
    MetricBands,
    ScalingProfile,
    ThresholdProfiles,
    UnreachableThreshold,
    unreachable,
)
from capacity.thresholds.reach import reach_of
from loadtests import Deployment
from loadtests.foundation.errors import InputError

GUIDE = Deployment.guide()


def told(found: tuple[UnreachableThreshold, ...]) -> list[tuple[str, float]]:
    return [(item.threshold.metric, item.threshold.value) for item in found]


def of_max(name: str) -> BandProfile:
    return BandProfile.guide(name, ccu_base="max")  # type: ignore[arg-type]


def test_a_gate_at_normal_capacity_keeps_ccu_of_the_maximum_below_80_and_95_percent() -> None:
    assert told(unreachable(of_max("alert"), GUIDE)) == [("ccu_utilization_max", 0.8), ("ccu_utilization_max", 0.95)]
    assert told(unreachable(ScalingProfile.guide(ccu_base="max"), GUIDE)) == [("ccu_utilization_max", 0.8)]


def test_the_warning_at_67_percent_is_reached_when_the_gate_is_full() -> None:
    (only,) = unreachable(of_max("daily"), GUIDE)
    assert (only.threshold.value, only.threshold.meaning) == (0.8, "critical")
    assert only.reach.at_most == Fraction(67, 100)


def test_on_normal_capacity_every_threshold_can_fire() -> None:
    for profile in ThresholdProfiles.guide().with_thresholds():
        assert unreachable(profile, GUIDE) == ()


def test_with_the_gate_at_the_maximum_every_threshold_can_fire() -> None:
    assert unreachable(of_max("alert"), GUIDE.with_gate_at("max")) == ()


def test_without_a_queue_its_utilization_stays_at_0() -> None:
    (only,) = unreachable(BandProfile.guide("alert"), Deployment(workers=10, queue_capacity=0))
    assert (only.threshold.metric, only.reach.at_most) == ("queue_utilization", 0)
    assert "there is no queue" in only.message


@pytest.mark.parametrize(
    ("deployment", "at_most"),
    [
        (Deployment(gate_limit=60, workers=20, queue_capacity=100), Fraction(2, 5)),
        (Deployment(gate_limit=10, workers=20, queue_capacity=100), 0),
        (Deployment(workers=20, queue_capacity=100), 1),
        (Deployment(gate_limit=500, workers=20, queue_capacity=100), 1),
        (Deployment(gate_limit=60, workers="unlimited", queue_capacity=100), 0),
        (Deployment(gate_limit=60, workers=20, queue_capacity="unlimited"), 0),
        (Deployment(gate_limit="unlimited", workers=20, queue_capacity=100), None),
        (Deployment(queue_capacity=100), None),
    ],
)
def test_the_gate_bounds_how_full_the_queue_can_get(deployment: Deployment, at_most: Fraction | None) -> None:
    reach = reach_of(Metric.QUEUE_UTILIZATION, deployment)
    assert (reach and reach.at_most) == at_most


def test_throughput_is_bounded_by_the_gate_and_the_residence_time() -> None:
    daily = BandProfile.guide()
    assert unreachable(daily, GUIDE) == ()
    assert told(unreachable(daily, GUIDE, residence_time_s=0.05)) == [("throughput_rps", 100_000)]
    assert told(unreachable(daily, GUIDE, residence_time_s=0.1)) == [
        ("throughput_rps", 50_000), ("throughput_rps", 100_000),
    ]  # fmt: skip


def test_littles_law_is_counted_exactly() -> None:
    """3,500 in flight for 70 ms each are 50,000 a second: the edge, which is reached. In doubles it is not."""
    assert 3_500 / 0.07 < 50_000
    found = unreachable(BandProfile.guide(), Deployment(gate_limit=3_500), residence_time_s=0.07)
    assert told(found) == [("throughput_rps", 100_000)]


def test_a_count_that_is_reset_does_not_bound_throughput() -> None:
    as_built = GUIDE.with_limits(gate_reset_s=60)
    assert unreachable(BandProfile.guide(), as_built, residence_time_s=0.1) == ()
    assert len(unreachable(of_max("alert"), as_built)) == 2  # of the server's own, too low, count


@pytest.mark.parametrize("deployment", [Deployment(), Deployment(max_ccu=5_000), Deployment(gate_limit="unlimited")])
def test_limits_that_are_not_stated_forbid_nothing(deployment: Deployment) -> None:
    for profile in ThresholdProfiles.guide(ccu_base="max").with_thresholds():
        assert unreachable(profile, deployment, residence_time_s=1) == ()


def test_a_gate_of_which_the_base_is_not_stated_forbids_nothing() -> None:
    assert unreachable(of_max("alert"), Deployment(gate_limit=10)) == ()


def test_it_says_what_can_be_reached_and_what_to_do() -> None:
    found = unreachable(of_max("daily"), GUIDE, residence_time_s=0.05)
    assert [item.message for item in found] == [
        "daily: critical at throughput_rps 100,000 cannot be reached, it is at most 67,000 (the gate closes at 3,350 "
        "in flight, each for 0.05 s on average).",
        "daily: critical at ccu_utilization_max 0.8 cannot be reached, it is at most 0.67 (the gate closes at 3,350 "
        "in flight, the maximum is 5,000).",
    ]
    assert json.loads(json.dumps(found[1].to_dict())) == {
        "profile": "daily",
        "metric": "ccu_utilization_max",
        "meaning": "critical",
        "threshold": 0.8,
        "at_most": 0.67,
        "because": "the gate closes at 3,350 in flight, the maximum is 5,000",
        "remedy": "Base the threshold on normal capacity, or watch the shed rate.",
    }


@pytest.mark.parametrize("residence_time_s", [0, -1, float("nan"), "0.05"])
def test_a_residence_time_is_above_0(residence_time_s: float) -> None:
    with pytest.raises(InputError, match="residence_time_s"):
        unreachable(BandProfile.guide(), GUIDE, residence_time_s=residence_time_s)


def test_a_plan_says_which_of_its_policys_thresholds_cannot_fire() -> None:
    own = ThresholdProfiles(daily=BandProfile("own", (MetricBands(Metric.CCU_UTILIZATION_MAX, 0.6, 0.7),)))
    policy = PlanningPolicy(deployment=GUIDE, thresholds=own)
    plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), policy)
    (finding,) = (finding for finding in plan.findings if finding.code == "unreachable-threshold")
    assert "ccu_utilization_max is at most 0.67" in finding.message
    assert "own critical at 0.7" in finding.message
    assert (finding.numbers["metric"], finding.numbers["at_most"]) == ("ccu_utilization_max", 0.67)
    assert [item["profile"] for item in finding.numbers["thresholds"]] == ["own"]
    assert finding.remedy
