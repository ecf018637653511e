"""What moves a plan, and the largest or smallest inputs with which a fleet lasts."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import (
    FleetRules,
    GrowthProjection,
    InstanceCapacity,
    InstanceLimits,
    PlanConstraints,
    PlanningPolicy,
    ServiceDemand,
    conditions_for,
    plan_capacity,
    plan_grid,
    required_instances,
    sensitivity,
)
from capacity.output.charts import plot_sensitivity
from capacity.planning.instance_formula import checked_factor
from capacity.planning.ordering import fleets_of_plan
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from support.constraint_cases import constraints

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


def under(inputs, growth=GROWTH):
    return plan_capacity(growth, MEASURED, PlanningPolicy(safety_factor=(1.0, 1.5)), constraints=inputs)


@given(constraints, st.integers(1, 60), st.integers(1, 6), st.sampled_from([1.0, 1.2, 1.5]), st.sampled_from([None, 9]))
def test_under_constraints_conditions_hold_exactly_where_the_fleet_meets_them(inputs, fleet, month, factor, most):
    inputs = replace(inputs, rules=replace(inputs.rules, max_instances=most))
    plan = under(inputs)
    peak = plan.growth.monthly()[month].peak
    needed = fleets_of_plan(plan).required(peak, 90, checked_factor(factor))
    ceilings = plan.constraints.months[month].low.ceilings
    enough = needed is not None and needed <= min([fleet, *(item.most_instances for item in ceilings)])
    found = conditions_for(plan, fleet, month, factor)
    assert {item.holds for item in found} == {enough}
    assert all(item.text for item in found)


def test_under_constraints_a_bound_is_the_edge_too():
    """Loss of one of three zones: of 24 instances 16 are left, so they carry what 16 do."""
    plan = under(PlanConstraints(rules=FleetRules(zones=3, survives_zone_loss=True)))
    named = {item.name: item for item in conditions_for(plan, 24, 6, 1)}
    assert named["peak"].bound == 16 * 90
    assert not any(item.holds for item in named.values())
    assert named["safety_factor"].bound == 0.0  # the loss has a factor of its own
    assert named["instance_capacity"].bound == 2_000 / 16


def test_a_ceiling_bounds_the_peak_and_a_half_core_the_capacity():
    pool = PlanConstraints(limits=InstanceLimits(db_pool=20), rules=FleetRules(database_max_connections=60))
    plan = under(pool)
    named = {item.name: item for item in conditions_for(plan, 20, 6, 1)}
    assert named["peak"].bound == plan.constraints.months[6].low.ceilings[0].most_instances * 90 < 3 * 90
    busy = PlanConstraints(ServiceDemand(arrival_rate_rps=2, cpu_s_per_request=0.001), InstanceLimits(cpu_cores=0.1))
    named = {item.name: item for item in conditions_for(under(busy), 20, 6, 1)}
    assert named["peak"].bound == 20 * 50
    assert "none is enough" in named["instance_capacity"].text


def test_today_s_peak_counts_for_the_growth_too():
    falling = plan_capacity(GrowthProjection.from_points({0: 1_000, 6: 5}, "users"), InstanceCapacity.assumed(100))
    assert not any(item.holds for item in conditions_for(falling, 5, 6, 1))


def test_sensitivity_counts_what_the_constraints_ask_for():
    assert sensitivity(PLAN).instances == 25
    assert sensitivity(under(PlanConstraints(rules=FleetRules(spare_instances=10)))).instances == 20 + 10
    shared = under(PlanConstraints(rules=FleetRules(contention=0.05)))
    found = sensitivity(shared, 6)
    assert found.instances is None  # at most 20 times one, 25 are asked for
    # n / (1 + 0.05 (n - 1)) is 15 x 1.25 from n = 285 on
    assert {item.name: (item.at_low, item.at_high) for item in found.swings}["peak"] == (285, None)
    assert found.swings[0].width == math.inf
    assert "No number of instances is enough in month 6" in found.summary()
    assert "none is enough" in {text.get_text().partition(": ")[2] for text in plot_sensitivity(found).texts}


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
