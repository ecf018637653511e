"""The cheapest shape that is sure enough, the least regretted one, and a reason for every other."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity import GrowthProjection, InstanceCapacity
from capacity.planning.alternatives import choose_shape
from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
from capacity.planning.constraints import required_by_constraints
from capacity.planning.fleet_rules import FleetRules
from capacity.planning.shape_choice import HOURS_A_MONTH, ShapeChoice, ShapeQuestion
from capacity.planning.shapes import InstanceShape, ShapeCapacity
from loadtests import Deployment, Interval
from loadtests.foundation.errors import InputError

FEW_DRAWS = ShapeQuestion(draws=200)


def shape(name: str, price: float = 1, **others: Any) -> InstanceShape:
    limits = others.pop("deployment", Deployment())
    return InstanceShape(name, limits, price_per_hour=price, currency="EUR", **others)


SMALL, LARGE = shape("small", 0.1, capacity=1_000), shape("large", 0.35, capacity=4_000)
CAPACITIES: dict[str, Any] = {"small": 1_000, "large": 4_000}


def counts(choice: ShapeChoice, name: str) -> list[int | None]:
    return [fleet.instances for fleet in choice.plan(name).fleets]


def test_hours_prices_and_the_cheapest_are_counted_by_hand() -> None:
    """2,000 then 3,900: small 2 + 4 instances, 6 x 730 h x 0.10 = 438; large 1 + 1, 2 x 730 x 0.35 = 511."""
    choice = choose_shape({0: 2_000, 1: 3_900}, [LARGE, SMALL], CAPACITIES)
    assert (counts(choice, "small"), counts(choice, "large")) == ([2, 4], [1, 1])
    assert choice.plan("small").instance_hours == 6 * HOURS_A_MONTH
    assert [plan.cost for plan in choice.plans] == [438, 511]
    assert choice.cheapest == choice.least_regret == "small"
    assert choice.plan("small").reason == "the cheapest of 2 feasible shapes"
    assert choice.rejected == {"large": "dearer by 16.7 % than small (511.00 against 438.00 EUR)"}


def test_a_count_that_is_whole_is_not_rounded_up() -> None:
    choice = choose_shape({0: 33_500}, [SMALL], {"small": 3_350}, ShapeQuestion(safety_factor=1.1))
    assert counts(choice, "small") == [11]


def test_months_between_stated_ones_come_from_the_growth() -> None:
    growth = GrowthProjection.from_points({0: 3_350, 1: 4_000, 3: 5_000, 6: 7_000})
    question = ShapeQuestion(safety_factor=1.5)
    choice = choose_shape(growth, [SMALL], {"small": InstanceCapacity.assumed(3_350)}, question)
    assert [counts(choice, "small")[month] for month in (0, 1, 3, 6)] == [2, 2, 3, 4]
    assert len(choice.plan("small").fleets) == 7


def test_draws_are_carried_in_the_asked_share() -> None:
    """Peaks of 1 to 10 instances, equally often: 9 of them carry nine in ten futures."""
    draws = np.arange(1, 11) * 1_000.0
    choice = choose_shape({0: draws}, [SMALL], {"small": 1_000}, ShapeQuestion(probability=0.9, draws=1_000))
    assert counts(choice, "small") == [9]
    assert choice.plan("small").fleets[0].probability == 0.9
    assert "few-draws" in {item.code for item in choice.findings}


def test_rows_of_months_stay_together() -> None:
    """Month 1 is large exactly when month 0 is small, so 2 + 2 instances carry both months in half of the futures."""
    peaks = {0: np.array([1_500.0, 2_500.0]), 1: np.array([2_500.0, 1_500.0])}
    choice = choose_shape(peaks, [SMALL], {"small": 1_000}, ShapeQuestion(probability=0.5, draws=100))
    assert counts(choice, "small") == [2, 2]
    assert [fleet.probability for fleet in choice.plan("small").fleets] == [0.5, 0.5]
    assert choice.plan("small").probability_all_months == 0


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.99])
def test_the_stated_probability_holds_in_draws_of_our_own(probability: float) -> None:
    """One million independent futures from the lognormal laws that the intervals state.

    The standard error of the share is below sqrt(p (1 - p) (1 / 10,000 + 1 / 1,000,000)): the plan's own draws and
    ours. Five of them have a false-alarm rate below 3e-7 a side; six comparisons together below 2e-6.
    """
    growth, capacity = Interval(40_000, 50_000, 62_500), Interval(800, 1_000, 1_250)
    choice = choose_shape({0: growth}, [SMALL], {"small": capacity}, ShapeQuestion(probability))
    (needed,) = counts(choice, "small")
    rng = np.random.default_rng(20_261)
    spread = math.log(1.25) / 1.6448536269514722
    peaks = 50_000 * np.exp(spread * rng.standard_normal(1_000_000))
    each = 1_000 * np.exp(spread * rng.standard_normal(1_000_000))
    assert needed is not None
    error = 5 * math.sqrt(probability * (1 - probability) * (1 / 10_000 + 1 / 1_000_000))
    assert np.mean(needed * each >= peaks) >= probability - error
    assert np.mean((needed - 1) * each >= peaks) < probability + error


def test_losses_are_survived_in_every_month() -> None:
    """2 and 4 instances carry the peaks: 3 in 3 zones lose 1, and 6 lose 2."""
    rules = FleetRules(spare_instances=1, zones=3, survives_zone_loss=True)
    choice = choose_shape({0: 2_000, 1: 4_000}, [SMALL], {"small": 1_000}, ShapeQuestion(rules=rules))
    assert counts(choice, "small") == [3, 6]


def test_a_shape_that_passes_the_database_is_rejected_with_its_month() -> None:
    """Pools of 20 on 97 connections: 4 instances at a time, one of them an update's."""
    small = replace(SMALL, deployment=Deployment(db_pool=20))
    rules = FleetRules(database_max_connections=100, database_reserved_connections=3)
    choice = choose_shape({0: 2_000, 1: 3_900}, [small, LARGE], CAPACITIES, ShapeQuestion(rules=rules))
    assert choice.cheapest == "large"
    assert choice.rejected["small"].startswith(
        "passes database_connections in month 1: 4 instances needed, at most 3 allowed (97 connections / 20 = 4"
    )
    assert choice.plan("small").cost is None
    assert "database_connections: db_pool not stated" in choice.summary()


def test_memory_that_the_capacity_does_not_know_ends_a_shape() -> None:
    """0.5 requests in flight a user at 4 MiB each: 1,000 MiB carry 500 users, whatever the capacity says."""
    small = replace(SMALL, memory_mib=1_100, memory_base_mib=100)
    question = ShapeQuestion(per_unit=ServiceDemand(in_flight=0.5, memory_mib_per_in_flight=4))
    choice = choose_shape({0: 2_000}, [small, LARGE], CAPACITIES, question)
    assert counts(choice, "small") == [4]
    assert choice.plan("small").capacity == Interval.assumed(500.0)
    assert "The resources of shape small end at 500, below its capacity of 1,000 to 1,000" in choice.summary()
    assert "Shape large, not checked: memory: memory_mib not stated" in choice.summary()


def test_a_third_of_an_instance_is_counted_exactly() -> None:
    """0.003 s of CPU a unit on one core carry 1,000 / 3 units; three instances carry 1,000, not four."""
    small = replace(SMALL, deployment=Deployment(cpu_cores=1.0))
    question = ShapeQuestion(per_unit=ServiceDemand(arrival_rate_rps=1, cpu_s_per_request=0.003))
    assert counts(choose_shape({0: 1_000}, [small], {"small": 9_999}, question), "small") == [3]


def test_a_shape_that_carries_nothing_is_rejected() -> None:
    half = np.array([0.0, 1_000.0])
    broken = ShapeCapacity(LARGE, None, reason="One user alone breaks the objective.")
    choice = choose_shape({0: 2_000}, [SMALL, LARGE], {"small": half, "large": broken}, FEW_DRAWS)
    assert choice.cheapest is None
    assert choice.rejected == {
        "small": "carries nothing in 50 % of the draws: no number of instances carries month 0 with 95 %",
        "large": "One user alone breaks the objective.",
    }
    assert choice.findings[0].code == "no-feasible-shape"
    assert choice.summary().startswith("No shape is feasible")


def test_no_peak_still_keeps_one_instance() -> None:
    assert counts(choose_shape({0: 0}, [SMALL], {"small": 10}), "small") == [1]


def test_least_regret_may_differ_from_the_cheapest() -> None:
    """Sure 1,000 against 600 to 2,000: at low capacity the cheap shape needs 10 x 1.6, the sure one 6 x 2."""
    sure, bold = shape("sure", 2), shape("bold", 1.6)
    capacities = {"sure": 1_000, "bold": Interval(600, 1_500, 2_000, kind="parameter")}
    choice = choose_shape({0: 6_000}, [sure, bold], capacities, ShapeQuestion(probability=0.5))
    assert (choice.cheapest, choice.least_regret) == ("bold", "bold")
    assert choice.largest_regrets == {"sure": (12 - 4.8) * HOURS_A_MONTH, "bold": 4 * HOURS_A_MONTH}
    wary = choose_shape(
        {0: 6_000}, [sure, bold], capacities | {"bold": Interval(250, 1_500, 2_000, kind="parameter")},
        ShapeQuestion(probability=0.5),
    )  # fmt: skip
    assert (wary.cheapest, wary.least_regret) == ("bold", "sure")
    assert "least-regret-differs" in {item.code for item in wary.findings}


def test_a_future_that_only_others_carry_rules_a_shape_out_of_least_regret() -> None:
    rules = FleetRules(max_instances=5)
    peaks = {0: Interval(1_000, 2_000, 6_000, level=1, kind="assumed")}
    choice = choose_shape(peaks, [SMALL, LARGE], CAPACITIES, ShapeQuestion(0.5, rules=rules))
    assert (choice.cheapest, choice.least_regret) == ("small", "large")
    assert choice.largest_regrets["small"] is None
    assert "range-without-probability" in {item.code for item in choice.findings}


def test_a_future_that_no_shape_carries_is_said() -> None:
    peaks = {0: Interval(1_000, 2_000, 60_000, level=1, kind="assumed")}
    choice = choose_shape(peaks, [SMALL, LARGE], CAPACITIES, ShapeQuestion(0.1, rules=FleetRules(max_instances=5)))
    (said,) = [item for item in choice.findings if item.code == "scenario-not-carried"]
    assert said.numbers["scenarios"] == [["high", "low"], ["high", "mid"], ["high", "high"]]
    assert "range-without-probability" in {item.code for item in choice.findings}


def test_equal_costs_go_to_fewer_instance_hours() -> None:
    twin = shape("twin", 0.2)
    choice = choose_shape({0: 2_000}, [SMALL, twin], {"small": 1_000, "twin": 2_000})
    assert choice.cheapest == "twin"
    assert choice.rejected == {"small": "costs the same as twin and needs more instance-hours"}


def test_a_shape_that_is_paid_for_costs_nothing() -> None:
    choice = choose_shape({0: 2_000}, [shape("owned", 0), SMALL], {"owned": 10, "small": 1_000})
    assert (choice.cheapest, choice.plan("owned").cost) == ("owned", 0)
    assert choice.rejected["small"] == "dearer than owned (146.00 against 0.00 EUR)"


def test_capacities_share_their_luck() -> None:
    """Two shapes with the same interval need the same instances in every draw: common random numbers."""
    interval = Interval(800, 1_000, 1_250, kind="parameter")
    choice = choose_shape({0: 50_000}, [SMALL, LARGE], {"small": interval, "large": interval})
    first, second = (choice.plan(name).fleets[0] for name in ("small", "large"))
    assert (first.instances, first.probability) == (second.instances, second.probability)


NO_PRICE = InstanceShape("free", Deployment())


@pytest.mark.parametrize(
    ("peaks", "shapes", "capacities", "named"),
    [
        ({0: 1}, [], {}, "No shape is given"),
        ({0: 1}, ["small"], {"small": 1}, "make it with InstanceShape"),
        ({0: 1}, [SMALL, SMALL], CAPACITIES, "2 shapes are named small"),
        ({0: 1}, [NO_PRICE], {"free": 1}, "no price for free"),
        ({0: 1}, [SMALL, replace(LARGE, currency="USD")], CAPACITIES, "EUR and USD"),
        ({0: 1}, [SMALL], CAPACITIES, "There is no shape large; the shapes are small"),
        ({0: 1, 1: 2, 2: 3}, [replace(SMALL, price_per_hour={2: 1})], {"small": 1},
         "Shape small has no price for months 0-1; state price_per_hour from month 0 on"),
        ({0: 1}, [SMALL, replace(LARGE, capacity=None)], {"small": 1}, "No capacity is given for large; state"),
        ({}, [SMALL], {"small": 1}, "No peak is given"),
        ({0: 1, 3: 2}, [SMALL], {"small": 1}, "no peak for month 1, 2"),
        ({0: -1}, [SMALL], {"small": 1}, "the peak of month 0 is -1"),
        ({0: 1}, [SMALL], {"small": -1}, "the capacity of small is -1"),
        ({0: 1}, [SMALL], {"small": np.array([1.0, math.nan])}, "finite numbers"),
        ({0: 1}, [SMALL], {"small": "many"}, "must be a number"),
        ({0: Interval.unknown()}, [SMALL], {"small": 1}, "finite"),
        (GrowthProjection.from_points({0: 5}, "users"), [SMALL], {"small": InstanceCapacity.assumed(5, "rps")}, "rps"),
        ({0: 1}, [SMALL, LARGE], {"small": InstanceCapacity.assumed(5, "rps"),
                                  "large": InstanceCapacity.assumed(5, "users")}, "different things"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named(peaks: Any, shapes: Any, capacities: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        choose_shape(peaks, shapes, capacities)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"probability": 1}, "below 1"), ({"range_level": 1}, "range_level is 1"),
     ({"probability": 0}, "above 0"), ({"safety_factor": 0.9}, "at least 1"),
     ({"draws": 0}, "draws"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_a_question_out_of_range_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ShapeQuestion(**changes)


UNCERTAIN = {0: Interval(900, 1_000, 1_200), 1: Interval(1_500, 2_000, 3_000)}


def test_the_same_seed_gives_the_same_choice_and_json_reads_back() -> None:
    rules = FleetRules(spare_instances=1, max_instances=100)
    question = ShapeQuestion(rules=rules, per_unit=ServiceDemand(in_flight=1, memory_mib_per_in_flight=1), seed=5)
    first, second = (choose_shape(UNCERTAIN, [SMALL, LARGE], CAPACITIES, question) for _ in range(2))
    assert first == second
    assert ShapeChoice.from_dict(json.loads(first.to_json())) == first
    with pytest.raises(InputError, match="shape-choice"):
        ShapeChoice.from_dict({"kind": "plan"})


def test_the_choice_is_shown_as_tables() -> None:
    choice = choose_shape(UNCERTAIN, [SMALL, LARGE], CAPACITIES, FEW_DRAWS)
    frame, regrets = choice.to_frame(), choice.regrets_to_frame()
    assert list(frame["shape"]) == ["small", "small", "large", "large"]
    assert frame["cost"].sum() == sum(plan.cost or 0 for plan in choice.plans)
    assert len(regrets) == 18
    assert (regrets.groupby(["growth", "capacity"])["regret"].min() == 0).all()
    assert "Cheapest: small" in choice._repr_html_()
    assert "cheapest small" in repr(choice)
    with pytest.raises(InputError, match="no shape 'other'"):
        choice.plan("other")


def test_a_price_that_changes_counts_from_its_month_on() -> None:
    """2 instances in three months: 1,460 hours each, at 0.10, 0.10 and 0.05."""
    choice = choose_shape({0: 2_000, 1: 2_000, 2: 2_000}, [replace(SMALL, price_per_hour={0: 0.1, 2: 0.05})], None)
    assert [fleet.cost for fleet in choice.plan("small").fleets] == [146, 146, 73]
    assert choice.plan("small").cost == 365
    assert {item.costs["small"] for item in choice.scenarios} == {365}


def test_a_shape_may_state_its_capacity_itself_and_a_given_one_goes_before_it() -> None:
    assert counts(choose_shape({0: 2_000}, [SMALL]), "small") == [2]
    assert counts(choose_shape({0: 2_000}, [SMALL], {"small": 500}), "small") == [4]


def test_without_ranges_there_are_no_probabilities() -> None:
    choice = choose_shape({0: 2_000}, [SMALL], {"small": 1_000})
    assert not choice.is_uncertain
    assert (choice.frontier, choice.chosen_point, choice.plan("small").probability_all_months) == ((), None, None)
    assert choice.plan("small").fleets[0].probability is None
    assert "central values, no probabilities" in choice.summary()
    assert "%" not in choice.table_summary()
    assert {item.code for item in choice.findings} == {"choice-without-probability", "whole-months-are-paid"}


def test_the_months_of_the_cheapest_are_a_table() -> None:
    title, header, rows = choose_shape({0: 2_000, 1: 3_900}, [SMALL, LARGE]).months_as_table()
    assert title == "Months of small, cost in EUR"
    assert header == ("month", "instances", "instance-hours", "cost", "carried with")
    assert rows == [("0", "2", "1,460", "146.00", "-"), ("1", "4", "2,920", "292.00", "-")]
    nothing = choose_shape({0: 2_000}, [SMALL], None, ShapeQuestion(rules=FleetRules(max_instances=1)))
    assert nothing.months_as_table()[2] == []


def test_the_frontier_tells_what_less_risk_costs() -> None:
    """Peaks of 1 to 10 instances, equally often: n run out in 10 - n of ten futures, at 73 EUR each."""
    choice = choose_shape({0: np.arange(1, 11) * 1_000.0}, [SMALL], {"small": 1_000}, ShapeQuestion(0.7, draws=10_000))
    found = {point.most_instances: (point.cost, point.risk) for point in choice.frontier}
    assert {count: found[count] for count in (5, 7, 9, 10)} == {
        5: (5 * 73, 0.5), 7: (7 * 73, 0.3), 9: (9 * 73, 0.1), 10: (10 * 73, 0),
    }  # fmt: skip
    assert all(point.is_efficient for point in choice.frontier)
    assert choice.chosen_point is not None
    assert (choice.chosen_point.most_instances, choice.chosen_point.probability) == (7, 0.7)
    assert list(choice.frontier_to_frame()["instance_hours"]) == [730 * count for count in sorted(found)]


def test_fleets_beyond_a_ceiling_are_not_on_the_frontier() -> None:
    rules = FleetRules(max_instances=7)
    peaks = {0: np.arange(1, 11) * 1_000.0}
    choice = choose_shape(peaks, [SMALL], {"small": 1_000}, ShapeQuestion(0.9, rules=rules))
    assert choice.cheapest is None
    assert choice.chosen_point is None
    assert max(point.most_instances for point in choice.frontier) == 7 - 1  # one more during an update


def test_risks_that_few_draws_lie_beyond_are_not_tried() -> None:
    choice = choose_shape(UNCERTAIN, [SMALL, LARGE], CAPACITIES, FEW_DRAWS)
    assert {point.probability for point in choice.frontier} <= {0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95}


shape_lists = st.lists(st.tuples(st.integers(50, 2_000), st.integers(1, 50)), min_size=1, max_size=4)


@given(shape_lists, st.integers(10, 20_000), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_frontier_is_in_order_and_nothing_on_it_is_beaten(
    offers: list[tuple[int, int]], peak: int, growth: int
) -> None:
    """Surer fleets of a shape never cost less and never run out more often; the line is what brute force finds."""
    peaks = {month: Interval(0.7 * at, at, 1.6 * at) for month, at in enumerate((peak, peak + growth))}
    shapes = [shape(f"s{number}", price / 10, capacity=one) for number, (one, price) in enumerate(offers)]
    choice = choose_shape(peaks, shapes, None, FEW_DRAWS)
    for name in {point.shape for point in choice.frontier}:
        mine = sorted((item for item in choice.frontier if item.shape == name), key=lambda item: item.probability)
        assert [item.cost for item in mine] == sorted(item.cost for item in mine)
        assert [item.risk for item in mine] == sorted((item.risk for item in mine), reverse=True)
    for point in choice.frontier:
        better = [
            other for other in choice.frontier
            if (other.cost < point.cost and other.risk <= point.risk)
            or (other.cost <= point.cost and other.risk < point.risk)
        ]  # fmt: skip
        assert point.is_efficient == (not better)
    chosen, best = choice.chosen_point, choice.plan(choice.cheapest or "")
    assert chosen is not None
    assert best.probability_all_months is not None
    assert (chosen.cost, chosen.instance_hours) == (best.cost, best.instance_hours)
    assert chosen.risk == pytest.approx(1 - best.probability_all_months)


@given(shape_lists, st.integers(10, 20_000), st.integers(0, 20_000), st.integers(1, 99))
@settings(max_examples=30, deadline=None)
def test_no_shape_gets_cheaper_by_more_demand_nor_worse_by_a_better_price(
    offers: list[tuple[int, int]], peak: int, more: int, cut: int
) -> None:
    def chosen(peak: int, first_price: float) -> ShapeChoice:
        prices = [first_price, *(price for _, price in offers[1:])]
        shapes = [
            shape(f"s{number}", price / 10, capacity=Interval(0.8 * one, one, 1.1 * one, 0.9, "parameter"))
            for number, ((one, _), price) in enumerate(zip(offers, prices, strict=True))
        ]
        return choose_shape({0: Interval(0.7 * peak, peak, 1.6 * peak)}, shapes, None, FEW_DRAWS)

    def place(choice: ShapeChoice) -> int:
        return [plan.shape.name for plan in choice.plans].index("s0")

    price = offers[0][1]
    base, busier, cheaper = chosen(peak, price), chosen(peak + more, price), chosen(peak, price * cut / 100)
    for plan in base.plans:
        after = busier.plan(plan.shape.name)
        assert (after.fleets[0].instances or 0) >= (plan.fleets[0].instances or 0)
        assert (after.cost or 0) >= (plan.cost or 0)
    assert place(cheaper) <= place(base)
    before, after_cut = base.largest_regrets["s0"], cheaper.largest_regrets["s0"]
    assert before is not None
    assert after_cut is not None
    assert after_cut <= before + 1e-9


factors = st.integers(100, 300).map(lambda value: value / 100)


@given(st.integers(1, 10**5), st.integers(0, 10**4), st.integers(1, 10**4), factors, st.integers(0, 3))
@settings(max_examples=40)
def test_more_demand_never_costs_less_and_a_better_price_never_more(
    peak: int, more: int, capacity: int, factor: float, spare: int
) -> None:
    question = ShapeQuestion(0.9, factor, FleetRules(spare_instances=spare), draws=200)

    def cost(peak: int, price: float, capacity: int) -> float:
        spread = Interval(0.8 * peak, peak, 1.3 * peak)
        return choose_shape({0: spread}, [shape("one", price)], {"one": capacity}, question).plans[0].cost or 0

    base = cost(peak, 1, capacity)
    assert cost(peak + more, 1, capacity) >= base
    assert cost(peak, 1.5, capacity) == pytest.approx(1.5 * base)
    assert cost(peak, 1, capacity + more) <= base


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.integers(1, 20), st.integers(5, 95))
@settings(max_examples=40)
def test_the_fewest_that_are_sure_enough_are_found(peaks: list[int], capacity: int, percent: int) -> None:
    """Brute force over every row and every count."""
    question = ShapeQuestion(percent / 100, draws=len(peaks))
    choice = choose_shape({0: np.array(peaks, dtype=float)}, [SMALL], {"small": capacity}, question)
    needed = next(
        n for n in range(1, 1_001) if sum(n * capacity >= peak for peak in peaks) * 100 >= percent * len(peaks)
    )
    assert counts(choice, "small") == [needed]


@given(st.integers(1, 10**5), st.integers(1, 10**4), factors, st.integers(0, 3), st.integers(0, 60))
@settings(max_examples=60)
def test_without_uncertainty_it_is_what_the_constraints_ask_for(
    peak: int, capacity: int, factor: float, spare: int, percent: int
) -> None:
    rules = FleetRules(spare_instances=spare, zones=3, survives_zone_loss=True, max_unavailable=f"{percent}%")
    choice = choose_shape({0: peak}, [SMALL], {"small": capacity}, ShapeQuestion(0.9, factor, rules, draws=20))
    asked = required_by_constraints(ServiceDemand(ccu=peak), InstanceLimits(normal_ccu=capacity), rules, factor)
    assert counts(choice, "small") == [asked.instances]
