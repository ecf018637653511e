"""What moves a plan, and the largest or smallest inputs with which a fleet lasts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import (
    GrowthProjection,
    InstanceCapacity,
    PlanningPolicy,
    conditions_for,
    plan_capacity,
    plan_grid,
    required_instances,
    sensitivity,
)
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

GROWTH = GrowthProjection.from_frame(
    pd.DataFrame({"month": [0, 6], "peak_users": [1_000, 2_000], "low": [1_000, 1_500], "high": [1_000, 4_000]})
)
MEASURED = replace(InstanceCapacity.assumed(100, "users"), value=Interval(90, 100, 120))
PLAN = plan_capacity(GROWTH, MEASURED, PlanningPolicy(safety_factor=(1.0, 1.5)))


def test_each_input_is_moved_alone_and_the_widest_swing_stands_first():
    found = sensitivity(PLAN)
    assert (found.month, found.instances) == (6, 25)
    assert [(item.name, item.at_low, item.at_high) for item in found.swings] == [
        ("peak", 19, 50), ("safety factor", 20, 30), ("instance capacity", 28, 21)
    ]  # fmt: skip
    assert not any(item.is_assumed for item in found.swings)
    assert "instance capacity" in found.summary()
    assert list(found.to_frame()["name"]) == [item["name"] for item in found.to_dict()["swings"]]


def test_an_input_without_a_range_is_moved_by_a_tenth_and_says_so():
    plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy(safety_factor=1.2))
    found = {item.name: item for item in sensitivity(plan, 6).swings}
    assert all(item.is_assumed for item in found.values())
    assert (found["peak"].low, found["peak"].high) == (6_300, 7_700)
    assert (found["safety factor"].low, found["safety factor"].high) == pytest.approx((1.08, 1.32))


def test_factors_are_decimals():
    """(1.1 + 1.3) / 2 in doubles is a little above 1.2, and 10 x 1.2 would be 13."""
    growth, one = GrowthProjection.from_points({0: 10_000}), InstanceCapacity.assumed(1_000)
    assert sensitivity(plan_capacity(growth, one, PlanningPolicy(safety_factor=(1.1, 1.3)))).instances == 12


def test_every_condition_is_the_edge_between_enough_and_one_more():
    for item in conditions_for(PLAN, fleet=23, month=6):
        works = {"peak": 2_000.0, "instance_capacity": 90.0, "safety_factor": 1.0}
        if item.name == "growth_percent_per_month":
            works["peak"] = 1_000 * (1 + item.bound / 100) ** 6
            assert works["peak"] == pytest.approx(23 * 90)
            continue
        works[item.name] = item.bound
        assert required_instances(works["peak"], works["instance_capacity"], works["safety_factor"]) == 23
        works[item.name] *= 1.000001 if item.is_upper else 0.999999
        assert required_instances(works["peak"], works["instance_capacity"], works["safety_factor"]) == 24
        assert item.holds
        assert "holds" in item.text


@given(st.integers(1, 60), st.integers(1, 6), st.sampled_from([1.0, 1.2, 1.5]))
def test_all_conditions_hold_or_none_does(fleet, month, factor):
    """They are the same inequality, solved for one number each."""
    found = conditions_for(PLAN, fleet, month, factor)
    enough = required_instances(PLAN.growth.monthly()[month].peak, 90, factor) <= fleet
    assert {item.holds for item in found if item.name != "growth_percent_per_month"} == {enough}


def test_a_grid_has_a_plan_for_every_combination():
    frame = plan_grid(
        {name: GrowthProjection.from_points([(0, 100), (1, peak)]) for name, peak in (("slow", 110), ("fast", 300))},
        {"small": InstanceCapacity.assumed(50), "large": InstanceCapacity.assumed(150)},
    )  # fmt: skip
    assert len(frame) == 2 * 2 * 2
    last = frame[frame["month"] == 1].set_index(["growth", "capacity"])["instances_low"]
    assert last.to_dict() == {("slow", "small"): 3, ("slow", "large"): 1, ("fast", "small"): 8, ("fast", "large"): 3}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sensitivity(PLAN, 7), "ends with month 6"),
        (lambda: conditions_for(PLAN, 0, 3), "fleet"),
        (lambda: conditions_for(PLAN, 3, 0), "month"),
        (lambda: plan_grid({}, {"one": MEASURED}), "growths is empty"),
    ],
)
def test_what_cannot_be_asked_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_a_fleet_lasts_only_if_it_carries_every_month_until_then():
    """Month 3 needs 30; by month 6 demand has fallen again."""
    growth = GrowthProjection.from_points({0: 1_000, 3: 3_000, 6: 1_200}, "users")
    plan = plan_capacity(growth, InstanceCapacity.assumed(100, "users"))
    assert not any(item.holds for item in conditions_for(plan, 29, 6, 1))
    assert all(item.holds for item in conditions_for(plan, 30, 6, 1))
    named = {item.name: item for item in conditions_for(plan, 30, 6, 1)}
    assert named["peak"].stated == 3_000
    assert named["growth_percent_per_month"].stated == pytest.approx(100 * (3 ** (1 / 3) - 1))
    falling = plan_capacity(GrowthProjection.from_points({0: 900, 2: 500}, "users"), plan.instance_capacity)
    assert {item.name: item.stated for item in conditions_for(falling, 9, 2, 1)}["peak"] == 900


def test_a_factor_below_1_would_plan_too_little_on_purpose():
    plan = plan_capacity(GrowthProjection.from_points({0: 10, 1: 20}), InstanceCapacity.assumed(10))
    with pytest.raises(InputError, match="safety"):
        conditions_for(plan, 2, 1, 0.5)
