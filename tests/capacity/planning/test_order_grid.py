"""Order policies side by side: instance-hours and the chance of running out, counted by hand and by brute force."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import (
    CapacityPlan,
    GrowthProjection,
    InstanceCapacity,
    OrderingRules,
    PlanningPolicy,
    order_grid,
    plan_capacity,
)
from capacity.demand.growth_points import GrowthPoint
from capacity.planning.scenarios import draw_scenarios
from loadtests import Interval
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity

LINEAR = PlanningPolicy(interpolation="linear")
LEAD = Interval(0.5, 1.0, 2.0, 0.9, "prediction")


def certain_plan() -> CapacityPlan:
    """100 units more each month, 100 an instance."""
    return plan_capacity(
        GrowthProjection.from_points({0: 100, 4: 500}, "users"), InstanceCapacity.assumed(100, "users"), LINEAR
    )


def unsure_plan(high: float = 2_400) -> CapacityPlan:
    growth = GrowthProjection((GrowthPoint(0, 1_000), GrowthPoint(6, 1_800, 1_500, high)), Quantity.USERS)
    one = InstanceCapacity(Quantity.USERS, Interval(90, 100, 110), bound_by="p95")
    return plan_capacity(growth, one, LINEAR)


@pytest.mark.parametrize(
    ("size", "orders", "months"),
    [(1, 4, 4 + 3 + 3 + 2 + 1), (2, 2, 4 + 2 * 3 + 2 * 2), (5, 1, 4 + 5 * 3)],
)
def test_hours_are_counted_from_the_arrival_of_an_order(size: int, orders: int, months: int) -> None:
    """A lead time of one month: what is needed at once is ordered today and comes in month 1, the rest in time."""
    rules = OrderingRules(fleet=1, lead_time_months=1)
    (policy,) = order_grid(certain_plan(), (0.05,), order_sizes=(size,), rules=rules).policies
    assert (policy.orders, policy.first_order_month, policy.instance_hours) == (orders, -1, 730 * months)
    assert policy.probability_out is None


def test_a_fleet_that_is_large_enough_orders_nothing() -> None:
    (policy,) = order_grid(certain_plan(), (0.05,), rules=OrderingRules(fleet=9)).policies
    assert (policy.orders, policy.first_order_month, policy.instance_hours) == (0, None, 9 * 4 * 730)


@pytest.mark.parametrize("risk", [0.02, 0.2])
@pytest.mark.parametrize("size", [1, 3])
def test_the_chance_of_running_out_is_what_brute_force_counts(risk: float, size: int) -> None:
    """Each scenario is walked in steps of a hundredth of a month; shortages shorter than a step may be missed."""
    plan, draws = unsure_plan(), 1_000
    rules = OrderingRules(fleet=11, lead_time_months=LEAD, draws=draws)
    (policy,) = order_grid(plan, (risk,), order_sizes=(size,), rules=rules).policies
    drawn = draw_scenarios(plan.growth.monthly("linear"), plan.instance_capacity.value, LEAD, count=draws)
    times = np.arange(0, 6, 0.01)
    loads = np.array([np.interp(times, np.arange(7), np.exp(path)) for path in drawn.log_peaks])
    loads /= drawn.capacity[:, None]
    starts = []
    for fleet in range(11, 60, size):
        passed = np.array([times[np.argmax(row > fleet)] if row.max() > fleet else math.inf for row in loads])
        if np.mean(np.isfinite(passed)) <= risk:
            break
        slack = np.sort(np.minimum(passed, 6) - drawn.lead_time_months)
        starts.append(slack[math.floor(risk * draws)])
    assert policy.orders == len(starts)
    assert policy.first_order_month == pytest.approx(starts[0], abs=0.02)
    arrivals = np.maximum(np.array(starts), 0)[None, :] + drawn.lead_time_months[:, None]
    there = 11 + size * (arrivals[:, :, None] <= times).sum(axis=1)
    assert policy.probability_out == pytest.approx(np.mean((loads > there).any(axis=1)), abs=0.012)
    assert policy.instance_hours == pytest.approx(730 * 6 * there.mean(), rel=0.002)


@given(st.floats(1_900, 6_000), st.integers(1, 20), st.integers(1, 5), st.floats(0.1, 4))
@settings(max_examples=25, deadline=None)
def test_less_risk_never_takes_fewer_hours_nor_runs_out_more_often(
    high: float, fleet: int, size: int, lead: float
) -> None:
    rules = OrderingRules(
        fleet=fleet, lead_time_months=Interval(lead / 2, lead, 2 * lead, 0.9, "prediction"), draws=1_000
    )
    found = order_grid(unsure_plan(high), (0.01, 0.05, 0.2, 0.5), order_sizes=(size,), rules=rules).policies
    hours, chances = [item.instance_hours for item in found], [item.probability_out or 0 for item in found]
    assert hours == sorted(hours, reverse=True)
    assert chances == sorted(chances)
    assert [item.orders for item in found] == sorted((item.orders for item in found), reverse=True)


def test_every_combination_is_a_row() -> None:
    rules = OrderingRules(fleet=11, draws=1_000)
    grid = order_grid(unsure_plan(), (0.05, 0.1), lead_times=(1, LEAD), order_sizes=(1, 4), rules=rules)
    frame = grid.to_frame()
    assert list(frame["lead_time_high"]) == [1] * 4 + [2] * 4
    assert list(frame["order_size"]) == [1, 1, 4, 4] * 2
    assert list(frame["risk"]) == [0.05, 0.1] * 4
    assert len(json.loads(json.dumps(grid.to_dict()))["policies"]) == 8
    assert "Order policies from 11 instances today to month 6" in grid.summary()
    assert "runs out" in grid._repr_html_()


def test_the_rules_of_the_plan_are_the_default() -> None:
    plan = plan_capacity(
        unsure_plan().growth, unsure_plan().instance_capacity, LINEAR, ordering=OrderingRules(fleet=13, draws=1_000)
    )
    grid = order_grid(plan, (0.05,))
    assert (grid.fleet, grid.rules.draws) == (13, 1_000)
    assert order_grid(certain_plan(), (0.05,)).fleet == certain_plan().steps[0].deployed.at_peak[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"risks": ()}, "risks or order_sizes is empty"),
        ({"order_sizes": ()}, "risks or order_sizes is empty"),
        ({"risks": (0,)}, "risk is 0"),
        ({"risks": (1.5,)}, "risk is 1.5"),
        ({"order_sizes": (0,)}, "order_size is 0"),
        ({"order_sizes": (1.5,)}, "order_size is 1.5"),
        ({"lead_times": (-1,)}, "lead_time_months is"),
    ],
)
def test_what_is_no_policy_is_refused(changes: dict[str, tuple[float, ...]], said: str) -> None:
    with pytest.raises(InputError, match=said):
        order_grid(unsure_plan(), **{"rules": OrderingRules(draws=1_000), **changes})  # type: ignore[arg-type]


def test_too_many_orders_and_no_time_are_refused() -> None:
    huge = plan_capacity(
        GrowthProjection.from_points({0: 100, 4: 90_000}, "users"), InstanceCapacity.assumed(100, "users"), LINEAR
    )
    with pytest.raises(InputError, match=r"order_size 1 makes 899 orders from 1 to 900 instances.*at least 3\."):
        order_grid(huge, (0.05,), rules=OrderingRules(fleet=1))
    today = plan_capacity(GrowthProjection.from_points({0: 100}, "users"), InstanceCapacity.assumed(100, "users"))
    with pytest.raises(InputError, match="The plan has only month 0"):
        order_grid(today)
