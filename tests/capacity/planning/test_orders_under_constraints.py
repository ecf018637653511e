"""Order dates follow the constraints of the plan: exactly where nothing is uncertain, and never later than without."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import (
    CapacityPlan,
    FleetRules,
    GrowthProjection,
    InstanceCapacity,
    InstanceLimits,
    OrderingRules,
    PlanConstraints,
    PlanningPolicy,
    ServiceDemand,
    plan_capacity,
)
from capacity.planning.constraints import largest_load, required_by_constraints
from capacity.planning.fleet_loads import ALONE, FleetLoads, fleets_under
from capacity.planning.order_grid import order_grid
from capacity.planning.planner import with_constraints
from capacity.planning.scenarios import Scenarios
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from support.constraint_cases import constraints, rules

MONTHS = 12
POLICY = PlanningPolicy(safety_factor=(1.0, 1.2))
CERTAIN = OrderingRules(lead_time_months=1.0, fleet=3)
DRAWN = OrderingRules(lead_time_months=Interval(0.5, 1.0, 2.0, 0.9, "prediction"), fleet=3, draws=2_000)
GROWTH = GrowthProjection.from_points([(0, 1_000), (MONTHS, 2_500)], "users")
RANGED = GrowthProjection.from_points([(0, 1_000), (MONTHS, (1_500, 2_500, 4_000))], "users")
MEASURED = InstanceCapacity(Quantity.USERS, Interval(450, 500, 540, 0.9, "parameter"))
HUGE = PlanConstraints(
    ServiceDemand(arrival_rate_rps=2, cpu_s_per_request=0.001, database_time_s=0.001),
    InstanceLimits(cpu_cores=10_000, db_pool=10_000, workers=10_000),
    FleetRules(max_instances=100_000),
)
"""Never binds."""
BUSY = PlanConstraints(ServiceDemand(arrival_rate_rps=2, cpu_s_per_request=0.001), InstanceLimits(cpu_cores=0.5))
"""An instance carries 250 users by its half core."""


def test_the_next_orders_are_listed_where_contention_lets_no_number_carry_the_last_months():
    growth = GrowthProjection.from_points({0: 6_700, 1: 8_000, 3: 10_000, 6: 14_000})
    plan = plan_capacity(
        growth, InstanceCapacity.assumed(3_350), PlanningPolicy.guide(),
        constraints=PlanConstraints(rules=FleetRules(contention=0.3)), ordering=OrderingRules(fleet=2),
    )  # fmt: skip
    listed = [item.instances for item in plan.orders.orders]
    needed = [item.instances.mid for item in plan.orders.months[:3]]
    assert listed[:8] == list(range(3, 11))
    assert needed == [4, 6, 10]
    by_code = {item.code: item for item in plan.findings}
    assert by_code["no-order-helps"].numbers["name"] == "contention"
    assert "linear-scaling-assumed" not in by_code
    assert len(order_grid(plan).policies) > 0


def test_a_fleet_above_its_ceiling_is_said_and_asks_for_no_order():
    plan = plan_capacity(
        GrowthProjection.from_points({0: 6_000, 6: 9_000}), InstanceCapacity.assumed(3_350), PlanningPolicy.guide(),
        constraints=PlanConstraints(rules=FleetRules(max_instances=3)), ordering=OrderingRules(fleet=6),
    )  # fmt: skip
    codes = {item.code for item in plan.findings}
    assert "fleet-beyond-ceiling" in codes
    assert "no-order-helps" not in codes


def plan_of(inputs, ordering=DRAWN, growth=RANGED, capacity=MEASURED):
    return plan_capacity(growth, capacity, POLICY, ordering=ordering, constraints=inputs)


def certain_plan(inputs, peak=2_500):
    growth = GrowthProjection.from_points([(0, 1_000), (MONTHS, peak)], "users")
    return plan_of(inputs, CERTAIN, growth, InstanceCapacity.assumed(500, "users"))


def codes(plan):
    return {item.code: item for item in plan.findings}


def month_of(order):
    return math.inf if order is None or order.order_by_month is None else order.order_by_month


@pytest.mark.parametrize("ordering", [CERTAIN, DRAWN])
def test_constraints_that_never_bind_leave_order_dates_as_they_are(ordering):
    growth, capacity = (GROWTH, InstanceCapacity.assumed(500, "users")) if ordering is CERTAIN else (RANGED, MEASURED)
    free, bound = (plan_of(inputs, ordering, growth, capacity).orders for inputs in (None, HUGE))
    assert bound.ceiling.passed_month.low == math.inf
    assert replace(bound, ceiling=None).to_dict() == free.to_dict()
    assert free.orders


@settings(max_examples=25, deadline=None)
@given(constraints)
def test_order_dates_under_constraints_are_never_later(inputs):
    free, bound = (plan_of(item).orders for item in (None, inputs))
    assert len(bound.orders) >= len(free.orders)
    for order in free.orders:
        assert month_of(bound.order_for(order.instances)) <= month_of(order) + 1e-9
    for mine, other in zip(bound.months, free.months, strict=True):
        assert mine.exceeds_fleet >= other.exceeds_fleet
        assert mine.at_risk >= other.at_risk
        assert mine.phases == other.phases


@settings(max_examples=40, deadline=None)
@given(constraints, st.sampled_from([1_500, 2_500, 6_000]))
def test_without_uncertainty_it_is_the_exact_formula_under_constraints_month_by_month(inputs, peak):
    plan = certain_plan(inputs, peak)
    needed = [item.low.instances for item in plan.constraints.months]
    assert [month.instances.mid for month in plan.orders.months] == needed
    for order in plan.orders.orders:
        first = next(month for month, count in enumerate(needed) if count >= order.instances)
        assert first - 1 - 1e-9 <= order.needed_month.mid <= first + 1e-9  # the former where a month is just carried
    assert max(needed) <= 3 or plan.orders.orders[-1].instances == max(needed)


@settings(max_examples=60, deadline=None)
@given(constraints, st.lists(st.integers(1, 400_000), min_size=1, max_size=20), st.sampled_from([1.0, 1.2]))
def test_scenarios_are_counted_as_the_constraints_of_each_say(inputs, hundredths, factor):
    """Peaks of two decimals from 0.01 to 4,000 and capacities of one; the report is made for each by itself."""
    fleets = fleets_under(inputs, Quantity.USERS)
    peaks = np.array(hundredths) / 100
    capacity = np.arange(1, peaks.size + 1) * 12.5
    drawn = Scenarios.of(peaks[:, None], capacity, np.zeros(peaks.size)).under(fleets)
    wanted = []
    for peak, one in zip(peaks.tolist(), capacity.tolist(), strict=True):
        load = float(Fraction(str(inputs.per_unit.arrival_rate_rps)) * Fraction(str(peak)))
        report = required_by_constraints(
            replace(inputs.per_unit, users=peak, arrival_rate_rps=load),
            replace(inputs.limits, normal_users=one), inputs.rules, factor,
        )  # fmt: skip
        wanted.append(report.instances)
    counted = drawn.instance_counts(factor)[0]
    top = counted.size - 1
    assert np.array_equal(counted, np.bincount([top if n is None else min(n, top) for n in wanted], minlength=top + 1))


@pytest.mark.parametrize("contention", [0, 0.004])
def test_many_scenarios_are_counted_exactly_by_the_compiled_loops_too(contention):
    """Whole multiples of what fleets carry among them; the largest loads pass what contention leaves."""
    fleet_rules = FleetRules(spare_instances=1, max_unavailable="25%", loss_safety_factor=1.25, contention=contention)
    fleets = FleetLoads(fleet_rules, Fraction(40))
    rng = np.random.default_rng(4)
    peaks, capacity = np.round(rng.uniform(1, 8_000, (1_000, 3)), 1), np.round(rng.uniform(35, 45, 1_000), 2)
    peaks[::4, 1] = 32 * rng.integers(1, 200, 250)
    counted = Scenarios.of(peaks, capacity, np.zeros(1_000)).under(fleets).instance_counts()
    for month, row in enumerate(counted):
        wanted = [fleets.required(peak, one, Fraction(1)) for peak, one in zip(peaks[:, month], capacity, strict=True)]
        top = row.size - 1
        assert np.array_equal(row, np.bincount([top if n is None else min(n, top) for n in wanted], minlength=row.size))


@given(rules, st.integers(0, 3_000), st.sampled_from([1.0, 1.2]))
def test_what_fleets_carry_is_the_largest_load_of_each(fleet_rules, count, factor):
    exactly = largest_load(count, fleet_rules, Fraction(str(factor)))
    loads = FleetLoads(fleet_rules).carried([count, count + 1], factor)
    assert loads[0] == pytest.approx(float(exactly), rel=1e-12)
    assert loads[0] <= loads[1] * (1 + 1e-15)
    assert loads[1] <= FleetLoads(fleet_rules).limit


def test_an_instance_carries_the_least_of_its_capacity_and_of_what_its_limits_allow():
    """Half a core serves 500 requests a second of 1 ms, two of each user."""
    fleets = fleets_under(BUSY, Quantity.USERS)
    assert (fleets.most_each, fleets.bound_by, fleets.ceiling) == (250, "cpu", None)
    assert fleets.each(np.array([200.0, 300.0])).tolist() == [200.0, 250.0]
    assert fleets_under(PlanConstraints(), Quantity.USERS) == ALONE


def test_a_half_core_moves_the_order_to_where_the_half_capacity_is_passed():
    """Three instances carry 1,500 users by their capacity, 750 by their cores: fewer than today's 1,000."""
    plan = certain_plan(BUSY)
    assert [item.instances for item in plan.orders.orders] == [4, 5, 6, 7, 8, 9, 10]
    assert plan.orders.orders[0].needed_month.mid == 0.0
    found = codes(plan)["orders-by-constraints"]
    assert (found.numbers["most_each"], found.numbers["bound_by"]) == (250, "cpu")
    assert "an instance carries at most 250 by cpu" in found.message
    assert "orders-without-constraints" not in codes(plan)


def test_a_spare_instance_is_ordered_one_instance_earlier():
    spare = PlanConstraints(rules=FleetRules(spare_instances=1))
    free, bound = (certain_plan(item).orders for item in (None, spare))
    for order in free.orders:
        assert bound.order_for(order.instances + 1).order_by_month == order.order_by_month
    assert "carry as much as 2" in codes(certain_plan(spare))["orders-by-constraints"].message


@pytest.mark.parametrize("ordering", [CERTAIN, DRAWN])
def test_orders_end_at_a_ceiling_and_what_passes_it_is_said(ordering, tmp_path):
    """A database of 100 connections takes five pools of 20, one of them for an update: four instances."""
    pools = PlanConstraints(limits=InstanceLimits(db_pool=20), rules=FleetRules(database_max_connections=100))
    growth, capacity = (GROWTH, InstanceCapacity.assumed(500, "users")) if ordering is CERTAIN else (RANGED, MEASURED)
    plan = plan_of(pools, ordering, growth, capacity)
    assert [item.instances for item in plan.orders.orders] == [4]
    ceiling = plan.orders.ceiling
    assert (ceiling.name, ceiling.instances) == ("database_connections", 4)
    found = codes(plan)["no-order-helps"]
    assert found.severity == "critical"
    assert "4 instances, the most there can be (database connections), do not carry" in found.message
    assert "at most 4 instances by database connections" in plan.orders.summary()
    if ordering is CERTAIN:
        passed = MONTHS * math.log(2) / math.log(2.5)
        assert (ceiling.probability, ceiling.passed_month.mid) == (None, pytest.approx(passed))
    else:
        assert ceiling.probability == pytest.approx(0.8, abs=0.1)
    loaded = CapacityPlan.load(plan.save(tmp_path / "plan.json"))
    assert json.dumps(loaded.to_dict()) == json.dumps(plan.to_dict())
    assert loaded.orders.ceiling == ceiling


def test_no_order_is_named_where_the_fleet_is_at_its_ceiling_and_too_small():
    plan = certain_plan(PlanConstraints(rules=FleetRules(max_instances=4)))
    assert plan.orders.orders == ()
    assert codes(plan)["no-order-helps"].numbers["instances"] == 3
    assert "projection-too-short" not in codes(plan)


def test_a_ceiling_that_is_not_reached_is_no_finding():
    plan = certain_plan(PlanConstraints(rules=FleetRules(max_instances=40)))
    assert plan.orders.ceiling.passed_month.mid == math.inf
    assert "no-order-helps" not in codes(plan)


def test_contention_leaves_a_load_that_no_number_of_instances_carries():
    """At 0.25 no fleet carries four instances' load, 2,000 users, which is passed before month 12."""
    plan = certain_plan(PlanConstraints(rules=FleetRules(contention=0.25)))
    assert (plan.orders.ceiling.name, plan.orders.ceiling.instances) == ("contention", None)
    assert plan.orders.ceiling.passed_month.mid == pytest.approx(MONTHS * math.log(2) / math.log(2.5))
    assert "no number of instances carries" in codes(plan)["no-order-helps"].message
    assert plan.orders.months[-1].at_risk == 20_001


def test_an_instance_that_carries_nothing_by_its_memory_leaves_orders_to_the_load_and_says_so():
    full = PlanConstraints(
        ServiceDemand(in_flight=1, memory_mib_per_in_flight=1), InstanceLimits(memory_mib=512, memory_base_mib=600)
    )
    plan = certain_plan(full)
    assert plan.orders.to_dict() == certain_plan(None).orders.to_dict()
    assert "orders-without-constraints" in codes(plan)


def test_asking_for_other_constraints_makes_order_dates_anew():
    free = certain_plan(None)
    assert with_constraints(free, BUSY).orders == certain_plan(BUSY).orders


def test_ways_of_ordering_are_compared_under_the_same_constraints():
    """With a spare one three instances carry what two do, and none is ordered beyond a quota of five."""
    inputs = PlanConstraints(rules=FleetRules(spare_instances=1, max_instances=6))
    grids = [order_grid(certain_plan(item), rules=CERTAIN) for item in (None, inputs)]
    assert [grid.policies[0].orders for grid in grids] == [2, 2]
    assert grids[1].policies[0].first_order_month < grids[0].policies[0].first_order_month
    drawn = order_grid(plan_of(inputs), (0.05,), order_sizes=(1, 2, 3))
    assert [item.orders for item in drawn.policies] == [2, 1, 0]
    assert all(item.probability_out > 0.05 for item in drawn.policies)
