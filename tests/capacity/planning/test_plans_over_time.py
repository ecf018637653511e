"""Two plans beside each other, and a plan beside what really came."""

from __future__ import annotations

import io
from datetime import date

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
    read_growth,
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
    assert "No month asks for something else." in same.summary()
    assert same.compared_by == "month"


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


def _dated(points, start):
    return plan_of(points, ordering=OrderingRules(fleet=12, start=start))


def test_plans_with_dates_are_compared_by_calendar_month():
    """The second plan begins two months later and says the same of the first two months that both have."""
    before = _dated([(0, 1_000), (1, 1_100), (2, 1_200), (3, 1_300), (4, 1_400)], date(2026, 12, 1))
    after = _dated([(0, 1_200), (1, 1_300), (2, 1_500), (3, 1_600)], date(2027, 2, 15))
    found = compare_plans(before, after)
    assert found.compared_by == found.to_dict()["compared_by"] == "date"
    assert [item.calendar_month for item in found.months] == [
        "2026-12", "2027-01", "2027-02", "2027-03", "2027-04", "2027-05",
    ]  # fmt: skip
    both = [item for item in found.months if item.before and item.after]
    assert [(item.month, item.before.peak, item.after.peak) for item in both] == [
        (2, 1_200, 1_200), (3, 1_300, 1_300), (4, 1_400, 1_500),
    ]  # fmt: skip
    assert found.months[0].after is None
    assert found.months[-1].before is None
    assert "Compared by calendar month" in found.summary()
    assert "2027-04" in found.summary()


def test_a_plan_that_begins_earlier_has_months_before_the_first():
    before = _dated([(0, 1_200), (1, 1_300)], date(2027, 2, 1))
    after = _dated([(0, 1_000), (3, 1_300)], date(2026, 12, 1))
    found = compare_plans(before, after)
    assert [item.month for item in found.months] == [-2, -1, 0, 1]
    assert (found.months[0].before, found.months[0].after.peak) == (None, 1_000)


def test_orders_of_dated_plans_are_compared_as_dates():
    """Both need the 13th instance in the same month, which each counts from its own start."""
    first = _dated([(0, 1_000), (1, 1_100), (2, 1_200), (3, 1_300), (4, 1_400)], date(2027, 1, 1))
    later = _dated([(0, 1_100), (1, 1_200), (2, 1_300), (3, 1_400)], date(2027, 2, 1))
    found = compare_plans(first, later).months[3]
    assert found.order_before - found.order_after == pytest.approx(1, abs=0.1)
    assert abs((found.order_date_before - found.order_date_after).days) <= 1


def test_where_only_one_plan_has_a_date_months_are_compared():
    found = compare_plans(_dated([(0, 1_000), (1, 1_100)], date(2027, 1, 1)), plan_of([(0, 1_000), (1, 1_100)]))
    assert (found.compared_by, [item.month for item in found.months]) == ("month", [0, 1])
    assert "not both state its date" in found.summary()


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


def test_plans_by_ends_and_by_beginnings_of_months_meet_in_the_calendar_month() -> None:
    """A forecast whose history ends with November says of December what a plan that begins with December says."""
    points = "100\n2027-01-01,120\n2027-02-01,140\n"
    ends, begins = (
        plan_capacity(read_growth(io.StringIO(text)), InstanceCapacity.assumed(100, "users"))
        for text in (f"month_end,peak_users\n2026-12-01,{points}", "date,peak_users\n2026-12-01,120\n2027-01-01,140\n")
    )
    found = {item.calendar_month: item for item in compare_plans(ends, begins).months}
    assert (found["2026-11"].before.peak, found["2026-11"].after) == (100, None)
    assert [(found[at].before.peak, found[at].after.peak) for at in ("2026-12", "2027-01")] == [(120, 120), (140, 140)]


@pytest.mark.parametrize(
    ("actuals", "said"),
    [({}, "no actuals"), ({9: 5}, "ends with month 4"), ({1: 0}, "peak of month 1"), ({-1: 5}, "month")],
)
def test_actuals_that_are_none_are_refused(actuals, said):
    with pytest.raises(InputError, match=said):
        actuals_against_plan(plan_of([(0, 1_000), (4, 1_600)]), actuals)
