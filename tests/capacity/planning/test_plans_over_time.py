"""Two plans beside each other, and a plan beside what really came."""

from __future__ import annotations

import pandas as pd
import pytest

from capacity import (
    GrowthProjection,
    InstanceCapacity,
    InstanceLimits,
    OrderingRules,
    PlanConstraints,
    ServiceDemand,
    actuals_against_plan,
    compare_plans,
    plan_capacity,
)
from loadtests.foundation.errors import InputError

RANGED = GrowthProjection.from_frame(
    pd.DataFrame({"month": [0, 4], "peak_users": [1_000, 1_600], "low": [1_000, 1_300], "high": [1_000, 2_400]})
)


def plan_of(points, quantity="users", one=100, **more):
    return plan_capacity(
        GrowthProjection.from_points(points, quantity), InstanceCapacity.assumed(one, quantity), **more
    )


def test_a_plan_is_no_change_to_itself():
    plan = plan_of([(0, 1_000), (4, 1_600)])
    same = compare_plans(plan, plan)
    assert not same.is_changed
    assert (same.inputs, same.codes_gone, same.codes_new) == ({}, (), ())
    assert same.summary() == "No month asks for something else."


def test_months_that_ask_for_something_else_are_named_with_the_input_behind():
    before = plan_of([(0, 1_000), (4, 1_600)], ordering=OrderingRules(fleet=12))
    after = plan_of([(0, 1_000), (4, 2_000), (5, 2_100)], ordering=OrderingRules(fleet=12))
    found = compare_plans(before, after)
    assert [item.month for item in found.months if item.is_changed] == [1, 2, 3, 4, 5]
    assert found.months[5].before is None
    assert found.months[3].order_before != found.months[3].order_after
    assert list(found.inputs) == ["growth"]
    assert found.to_dict()["changed"] is True
    assert list(found.to_frame()["instances_low_after"])[-1] == 26
    assert "20-24 -> 24-30" in found.summary()


def test_needs_of_constraints_and_rules_of_orders_are_changes_too():
    points = [(0, 1_000), (4, 1_600)]
    busy = PlanConstraints(ServiceDemand(arrival_rate_rps=2, cpu_s_per_request=0.01), InstanceLimits(cpu_cores=1))
    found = compare_plans(plan_of(points), plan_of(points, constraints=busy))
    assert found.is_changed
    assert found.to_dict()["months"][4]["constraints_after"] == (39, 48)
    assert list(found.inputs) == ["constraints"]
    later = compare_plans(
        plan_of(points, ordering=OrderingRules(fleet=12)), plan_of(points, ordering=OrderingRules(fleet=12, risk=0.1))
    )
    assert list(later.inputs) == ["ordering"]


def test_plans_of_other_quantities_do_not_compare():
    with pytest.raises(InputError, match="One plan counts users, the other rps"):
        compare_plans(plan_of([(0, 1)]), plan_of([(0, 1)], "rps"))


def test_actuals_stand_on_a_percentile_of_the_stated_range():
    plan = plan_capacity(RANGED, InstanceCapacity.assumed(100, "users"))
    report = actuals_against_plan(plan, {0: 1_000, 4: 2_400, 2: RANGED.monthly()[2].peak})
    assert [item.month for item in report.months] == [0, 2, 4]
    assert [item.percentile for item in report.months] == [None, pytest.approx(0.5), pytest.approx(0.95)]
    low = actuals_against_plan(plan, {4: 1_300}).months[0]
    assert low.percentile == pytest.approx(0.05)
    assert (low.instances_needed, low.instances_planned) == (16, 20)
    assert "percentile 95%" in report.summary()
    assert actuals_against_plan(plan, {4: 3_000}).outside == (4,)


@pytest.mark.parametrize(
    ("actuals", "said"),
    [({}, "no actuals"), ({9: 5}, "ends with month 4"), ({1: 0}, "peak of month 1"), ({-1: 5}, "month")],
)
def test_actuals_that_are_none_are_refused(actuals, said):
    with pytest.raises(InputError, match=said):
        actuals_against_plan(plan_of([(0, 1_000), (4, 1_600)]), actuals)
