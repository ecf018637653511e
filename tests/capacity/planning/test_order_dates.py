"""Order dates: the latest that keeps the risk, the mid-line beside it, and no probability that nobody stated."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pandas as pd
import pytest

from capacity import (
    CapacityPlan,
    GrowthProjection,
    InstanceCapacity,
    OrderingRules,
    PlanningPolicy,
    compound_growth,
    order_timeline,
    plan_capacity,
)
from capacity.planning.ordering import timeline_of
from capacity.planning.orders import date_after
from capacity.planning.planner import with_orders
from capacity.planning.scenarios import Scenarios
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import normal_quantile

MONTHLY = 1.1
GROWTH = GrowthProjection.from_points([(0, 1_000), (24, 1_000 * MONTHLY**24)], "users")
RANGED = GrowthProjection.from_frame(
    pd.DataFrame({"month": [0, 24], "peak_users": [1_000, 9_850], "low": [1_000, 5_000], "high": [1_000, 30_000]})
)
LEAD = Interval(0.5, 1.0, 3.0, 0.9, "prediction")


def plan_of(growth=GROWTH, capacity=None, **ordering):
    one = InstanceCapacity.assumed(100, "users") if capacity is None else capacity
    return plan_capacity(growth, one, PlanningPolicy(), ordering=OrderingRules(**ordering))


def passed_month(instances, growth=MONTHLY):
    """When the load exceeds one instance less."""
    return math.log((instances - 1) * 100 / 1_000) / math.log(growth)


def test_without_ranges_the_order_is_the_lead_time_before_the_load_passes_the_fleet_and_no_probability_is_given():
    orders = plan_of(lead_time_months=2.0, fleet=12).orders
    assert orders.orders[0].instances == 13
    for item in orders.orders:
        assert item.order_by_month == item.mid_line_month == pytest.approx(passed_month(item.instances) - 2.0)
        assert item.probability_late_today is None
    assert (orders.is_uncertain, orders.never_exceeded) == (False, None)
    assert {month.exceeds_fleet for month in orders.months} == {None}
    assert [month.instances.mid for month in orders.months[:3]] == [10, 11, 13]


def test_an_uncertain_lead_time_moves_the_order_to_its_long_end():
    """Only the lead time varies, so the latest order is the passage less its 95 % point; 5 standard errors allowed."""
    order = plan_of(lead_time_months=LEAD, fleet=12).orders.orders[0]
    assert order.order_by_month == pytest.approx(passed_month(13) - 3.0, abs=5 * order.order_by_error)
    assert order.mid_line_month == pytest.approx(passed_month(13) - 1.0)
    assert 0 < order.order_by_error < 0.05


def test_an_uncertain_growth_moves_the_order_to_its_fast_end():
    """A path keeps its place, so the latest order is the passage of the path at the risk's quantile."""
    order = plan_of(RANGED, lead_time_months=1.0, fleet=15, risk=0.02).orders.orders[0]
    spread = math.log(30_000 / 9_850) / normal_quantile(0.95)
    fast = math.exp((math.log(9_850 / 1_000) + normal_quantile(0.98) * spread) / 24)
    assert order.order_by_month == pytest.approx(passed_month(16, fast) - 1.0, abs=5 * order.order_by_error)


def test_the_stated_risk_is_the_share_of_scenarios_that_come_too_late():
    """By the draws themselves: at the date no more than the risk, a day later more."""
    rng = np.random.default_rng(2)
    paths = 1_000 * np.exp(np.cumsum(rng.normal(0.05, 0.1, (4_000, 13)), axis=1))
    drawn = Scenarios.of(paths, rng.lognormal(math.log(100), 0.1, 4_000), rng.gamma(4.0, 0.25, 4_000))
    rules = OrderingRules(risk=0.1)
    found = timeline_of(drawn, plan_capacity(GROWTH, InstanceCapacity.assumed(100, "users")), rules, 16)
    passed = drawn.first_passages([16])[:, 0]
    latest = found.orders[0].order_by_month
    assert np.mean(passed < latest + drawn.lead_time_months) <= 0.1
    assert np.mean(passed < latest + 1 / 30 + drawn.lead_time_months) > 0.1
    assert found.never_exceeded == np.mean(np.isinf(passed))
    for month in found.months:
        assert month.exceeds_fleet == np.mean(passed <= month.month)
        enough = np.mean(paths[:, month.month] <= month.at_risk * drawn.capacity)
        assert enough >= 0.9 > np.mean(paths[:, month.month] <= (month.at_risk - 1) * drawn.capacity)
        assert sum(month.phases.values()) == pytest.approx(1.0)


def forecast_plan(points, **ordering):
    """Of a growth whose months are months, not points in time: as from a forecast."""
    growth = GrowthProjection.from_points(points, "users")
    return plan_of(replace(growth, months_end=True), **ordering)


def test_a_forecast_month_is_passed_at_a_constant_rate_within_it():
    """A launch in month 3: a share h of the scenarios passes then, 1 - (1 - h)^t by a part t of the month."""
    launch = [(0, 1_000), (1, 1_000), (2, 1_000), (3, (1_200, 1_500, 1_875)), (4, 1_000), (6, 1_000)]
    order = forecast_plan(launch, fleet=15, risk=0.05, lead_time_months=1).orders.orders[0]
    by_then = math.log(1 - 0.05) / math.log(1 - 0.5)
    assert order.order_by_month == pytest.approx(2 + by_then - 1, abs=5 * order.order_by_error)
    between = plan_of(GrowthProjection.from_points(launch, "users"), fleet=15, risk=0.05, lead_time_months=1)
    assert between.orders.orders[0].order_by_month > 1.5  # a point in time is climbed to
    certain = forecast_plan([(0, 1_000), (2, 1_000), (3, (2_400, 2_500, 2_600))], fleet=15, lead_time_months=1).orders
    assert certain.orders[0].order_by_month == pytest.approx(1.0, abs=1e-9)  # on any day of it, on the first too
    assert certain.orders[0].mid_line_month == 1.5


def test_what_a_forecast_month_exceeds_today_is_exceeded_today():
    late = forecast_plan([(0, 1_000), (6, 1_000)], fleet=9, risk=0.05, lead_time_months=1).orders
    assert late.orders[0].mid_line_month == -1.0


def test_orders_for_demand_without_trend_keep_their_risk():
    """Days that are alike after a quiet month: peaks as scenarios, and 20,000 other futures by the day to judge dates.

    The bound is 4 standard errors of both samples above the risk: a false alarm in 30,000.
    """
    rng, months, days, one = np.random.default_rng(11), 13, 30, 100.0
    drawn = np.exp(rng.normal(7.0, 0.1, (4_000, months, days))).max(axis=2)
    drawn[:, 0] = 1_000.0
    judged = np.exp(rng.normal(7.0, 0.1, (20_000, months * days)))
    plan = forecast_plan([(0, 1_000), (12, 1_000)])
    rules = OrderingRules(risk=0.05, lead_time_months=1)
    scenarios = Scenarios.of(drawn, np.full(4_000, one), np.ones(4_000))
    dated = [item for item in timeline_of(scenarios, plan, rules, 12).orders if item.order_by_month is not None]
    assert len(dated) >= 2
    for order in dated:
        until = max(math.floor((order.order_by_month + 1) * days), 0) + days  # the first month is today's
        late = np.mean(judged[:, days:until].max(axis=1, initial=0.0) > (order.instances - 1) * one)
        assert late <= 0.05 + 4 * math.sqrt(0.05 * 0.95 * (1 / 4_000 + 1 / 20_000))


def test_more_risk_orders_later_and_more_load_orders_earlier():
    measured = replace(InstanceCapacity.assumed(100, "users"), value=Interval(80, 100, 115))
    by_risk = [
        plan_of(RANGED, measured, risk=risk, lead_time_months=LEAD, fleet=20).orders.orders[0].order_by_month
        for risk in (0.01, 0.05, 0.2, 0.5)
    ]
    by_load = [
        plan_of(RANGED.scaled(factor), measured, lead_time_months=LEAD, fleet=20).orders.orders[0].order_by_month
        for factor in (1.0, 1.1, 1.4)
    ]
    assert by_risk == sorted(by_risk)
    assert by_load == sorted(by_load, reverse=True)
    assert len({*by_risk, *by_load}) == 6  # 5 % of the unscaled load stands in both


def test_an_order_that_is_late_is_said_with_its_probability():
    made = plan_of(RANGED, lead_time_months=LEAD, fleet=11)
    (late,) = (finding for finding in made.findings if finding.code == "order-is-late")
    assert late.severity == "warning"
    assert late.numbers["probability_late_today"] > 0.05
    assert late.numbers["instances"] > 11
    assert made.orders.orders[0].order_by_month < 0


def test_a_fleet_that_lasts_has_no_order_and_the_plan_says_how_far_it_looked():
    made = plan_of(fleet=200)
    assert made.orders.orders == ()
    assert made.orders.exhaustion.mid == math.inf
    assert "24 months" in next(item.message for item in made.findings if item.code == "projection-too-short")


def test_the_guide_is_at_its_limit_today_and_needs_a_third_instance_in_month_six():
    made = plan_capacity(
        GrowthProjection.guide(), InstanceCapacity.assumed(3_350), ordering=OrderingRules(start=date(2026, 12, 1))
    )
    second, third = made.orders.orders
    assert (second.needed_month.mid, second.order_by_month) == (0.0, -1.0)
    assert third.needed_month.mid == pytest.approx(5.0 + math.log(6_700 / 6_257) / math.log(7_000 / 6_257), abs=0.01)
    steps = made.to_dict()["steps"]
    assert [step["date"] for step in steps[:2]] == ["2026-12-01", "2027-01-01"]
    assert {step["month"]: step["order_by"] for step in steps if step["order_by"]} == {0: "2026-11-01", 6: "2027-04-19"}


def test_a_plan_with_orders_is_the_same_after_its_file(tmp_path):
    made = plan_of(RANGED, lead_time_months=LEAD, fleet=11, start=date(2026, 12, 31))
    read = CapacityPlan.load(made.save(tmp_path / "plan.json"))
    assert read.to_dict() == made.to_dict()
    assert json.dumps(read.to_dict(), allow_nan=False)
    assert read.orders.order_for(13) == made.orders.order_for(13)
    assert list(made.orders.to_frame()["instances"]) == [item.instances for item in made.orders.orders]
    assert "by the mid-line" in made.summary()


def test_asking_again_replaces_the_findings_about_orders():
    made = with_orders(plan_of(RANGED, lead_time_months=LEAD, fleet=11), OrderingRules(fleet=2_000))
    assert "order-is-late" not in {item.code for item in made.findings}


def test_the_default_lead_time_is_the_policy_s():
    plan = plan_capacity(GROWTH, InstanceCapacity.assumed(100, "users"), PlanningPolicy(lead_time_months=3))
    assert order_timeline(plan).rules.lead_time.mid == 3.0


@pytest.mark.parametrize(
    ("months", "then"),
    [(0, "2027-01-31"), (1, "2027-02-28"), (-1.5, "2026-12-15"), (12, "2028-01-31"), (0.5, "2027-02-14")],
)
def test_months_are_added_by_the_calendar(months, then):
    assert date_after(date(2027, 1, 31), months).isoformat() == then


def test_dates_never_go_back_while_months_go_on():
    dates = [date_after(date(2027, 1, 31), months / 100) for months in range(400)]
    assert dates == sorted(dates)


def test_a_timestamp_counts_as_its_day_and_a_text_as_the_date_it_spells():
    assert OrderingRules(start=datetime(2026, 12, 1, 13)).start == date(2026, 12, 1)
    assert OrderingRules(start="2026-12-01").start == date(2026, 12, 1)


@pytest.mark.parametrize("last", [6, 12])
def test_a_projection_that_is_shorter_than_the_lead_time_makes_no_order_look_later(last):
    """What lies beyond the end is not known, so dates may only be earlier than with more months, and risks higher."""
    lead = Interval(3.0, 6.0, 12.0, 0.9, "prediction")

    def orders(months):
        growth = compound_growth(1_000, (2, 5, 9), months, "users")
        rules = OrderingRules(lead_time_months=lead, fleet=12)
        return plan_capacity(growth, InstanceCapacity.assumed(100, "users"), ordering=rules).orders

    short, long = orders(last), orders(24)
    for item in short.orders:
        full = long.order_for(item.instances)
        assert item.probability_late_today >= full.probability_late_today
        if item.order_by_month is not None:
            assert item.order_by_month <= full.order_by_month


def test_a_fleet_that_lasts_in_most_scenarios_is_said_with_the_probability():
    made = plan_capacity(
        compound_growth(1_000, (2, 5, 9), 6, "users"), InstanceCapacity.assumed(100, "users"),
        ordering=OrderingRules(fleet=17),
    )  # fmt: skip
    assert 0.95 < made.orders.never_exceeded < 1.0
    (short,) = (item for item in made.findings if item.code == "projection-too-short")
    assert "with a probability of 9" in short.message


def test_thousands_of_instances_are_ordered_in_steps_up_to_the_largest_need():
    growth = GrowthProjection.from_points({0: 1_000, 3: 2_000, 6: 3_000})
    orders = plan_capacity(growth, InstanceCapacity.assumed(1), ordering=OrderingRules(fleet=1)).orders
    listed = [item.instances for item in orders.orders]
    assert listed[:30] == list(range(2, 32))  # what comes next, one by one
    assert 200 < len(listed) <= 400
    assert listed[-1] == 3_000
    assert max(np.diff(listed)[30:] / listed[31:]) < 0.04


def test_today_s_peak_that_the_fleet_just_carries_does_not_exceed_it():
    growth = GrowthProjection.from_frame(
        pd.DataFrame({"month": [0, 6], "peak": [3_350, 7_000], "low": [3_350, 6_000], "high": [3_350, 9_000]})
    )
    orders = plan_capacity(growth, InstanceCapacity.assumed(3_350), ordering=OrderingRules(fleet=1)).orders
    assert (orders.months[0].exceeds_fleet, orders.months[0].instances.mid) == (0.0, 1)
    assert orders.months[1].exceeds_fleet == 1.0


def test_a_stated_maximum_stays_where_it_is_in_every_scenario():
    one = replace(InstanceCapacity.assumed(100, "users", 125), value=Interval(80, 100, 120))
    outlook = plan_capacity(GrowthProjection.from_points({0: 130}, "users"), one, ordering=OrderingRules()).orders
    assert outlook.months[0].phases["vertical"] < 0.02  # only where an instance is drawn to carry more than 130


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"risk": 0.0}, "risk is 0.0; it must lie between 0 and 1"),
        ({"risk": math.nan}, "risk"),
        ({"fleet": 0}, "fleet"),
        ({"lead_time_months": -1.0}, "lead_time_months"),
        ({"lead_time_months": Interval.unknown()}, "lead_time_months is unknown"),
        ({"draws": 10}, "draws"),
        ({"lead_time_months": 30_000.0}, "between 0 and 1,200"),
        ({"start": "tomorrow"}, "start is 'tomorrow'; write it as"),
        ({"range_level": 1.0}, "range_level"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rules, said):
    with pytest.raises(InputError, match=said):
        OrderingRules(**rules)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_orders_go_on_as_long_as_more_scenarios_than_the_risk_ask_for_them(seed):
    """Also where a scenario that never asks has so long a lead time that its bound comes before the others' dates."""
    growth = GrowthProjection.from_frame(
        pd.DataFrame({"month": [0, 12], "peak_users": [1_000, 2_000], "low": [1_000, 1_500], "high": [1_000, 3_000]})
    )
    lead = Interval(1.0, 2.0, 4.0, 0.9, "prediction")
    orders = plan_of(growth, lead_time_months=lead, draws=5_000, seed=seed).orders
    assert orders.orders[-1].instances >= orders.months[12].at_risk
    dates = [item.order_by_month for item in orders.orders if item.order_by_month is not None]
    assert dates == sorted(dates)
