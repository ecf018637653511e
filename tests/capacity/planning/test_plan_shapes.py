"""A plan chooses between shapes of instances, and every output says so."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from capacity import (
    CapacityPlan,
    FleetRules,
    GrowthProjection,
    InstanceCapacity,
    InstanceShape,
    OrderingRules,
    PlanningPolicy,
    PlanShapes,
    ShapeQuestion,
    choose_shape,
    compare_plans,
    plan_capacity,
)
from capacity.demand.growth_points import GrowthPoint
from capacity.demand.month_dependence import MonthDependence
from capacity.interfaces import cli
from capacity.interfaces.shape_options import ShapeOptions
from capacity.output.report import write_report
from capacity.planning.plan_constraints import PlanConstraints
from capacity.planning.planner import with_constraints, with_orders, with_shapes
from loadtests import Deployment, Interval
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity

GROWTH = GrowthProjection((GrowthPoint(0, 1_000, 900, 1_100), GrowthPoint(3, 3_000, 2_000, 4_500)), Quantity.USERS)
ONE = InstanceCapacity.assumed(500, "users")
SMALL = InstanceShape("small", Deployment(db_pool=20), price_per_hour=0.1, currency="EUR", capacity=500)
LARGE = InstanceShape("large", Deployment(db_pool=40), price_per_hour=0.25, currency="EUR", capacity=1_200)
OFFER = PlanShapes([SMALL, LARGE], question=ShapeQuestion(draws=400))
FILE = """
[[shapes]]
name = "small"
db_pool = 20
capacity = { low = 450, mid = 500, high = 600, level = 0.9 }
price_per_hour = 0.10
currency = "EUR"

[[shapes]]
name = "large"
db_pool = 40
capacity = 1200
price_per_hour = { 0 = 0.25, 2 = 0.20 }
currency = "EUR"
"""


@pytest.fixture(scope="module")
def plan() -> CapacityPlan:
    return plan_capacity(GROWTH, ONE, shapes=OFFER)


def test_the_choice_is_that_of_the_plans_growth_and_interpolation(plan: CapacityPlan) -> None:
    assert plan.shapes == choose_shape(GROWTH, OFFER.shapes, None, OFFER.question)
    straight = plan_capacity(GROWTH, ONE, PlanningPolicy(interpolation="linear"), shapes=OFFER)
    assert straight.shapes is not None
    assert straight.shapes.question.interpolation == "linear"
    assert straight.shapes.peaks[1].mid == pytest.approx(1_666.67, abs=0.01)


def test_findings_of_the_choice_are_findings_of_the_plan_once(plan: CapacityPlan) -> None:
    """Orders and shapes both read the growth's range without a probability: one finding."""
    assert plan.shapes is not None
    assert all(item in plan.findings for item in plan.shapes.findings)
    every = with_orders(plan, OrderingRules(draws=1_000))
    assert [item.code for item in every.findings].count("range-without-probability") == 1
    again = with_shapes(every, PlanShapes([SMALL], question=ShapeQuestion(rules=FleetRules(max_instances=1))))
    assert again.findings[0].code == "no-feasible-shape"
    back = with_shapes(again, OFFER)
    assert "no-feasible-shape" not in {item.code for item in back.findings}
    assert {item.code for item in back.findings} == {item.code for item in every.findings}


def test_asking_for_constraints_again_keeps_what_is_said_of_shapes() -> None:
    rules = FleetRules(database_max_connections=500)
    bare = PlanShapes([replace(SMALL, deployment=Deployment())], question=ShapeQuestion(rules=rules))
    plan = with_constraints(plan_capacity(GROWTH, ONE, shapes=bare), PlanConstraints())
    assert "Shape small, not checked: database_connections" in plan.summary()


def test_a_plan_with_shapes_is_the_same_after_its_file(plan: CapacityPlan, tmp_path: Path) -> None:
    loaded = CapacityPlan.load(plan.save(tmp_path / "plan.json"))
    assert loaded.to_dict() == plan.to_dict()
    assert loaded.shapes == plan.shapes


def test_the_choice_is_in_what_people_read(plan: CapacityPlan, tmp_path: Path) -> None:
    assert "Cheapest: small; least regret: small (months 0-3, each peak carried with" in plan.summary()
    assert "Months of small, cost in EUR" in plan.summary()
    assert "Cheapest: small" in plan._repr_html_()
    plan.save(tmp_path / "plan.json")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<h3>Shapes of instances</h3>" in page
    assert '<td class="words">the cheapest of 2 feasible shapes</td>' in page
    assert "Months of small, cost in EUR:" in page
    assert "Cost of shapes and fleets against the probability" in page


def test_two_plans_differ_by_their_shapes(plan: CapacityPlan) -> None:
    dear = replace(SMALL, price_per_hour=1)
    found = compare_plans(plan, with_shapes(plan, replace(OFFER, shapes=[dear, LARGE])))
    assert (found.is_changed, found.cheapest) == (True, ("small", "large"))
    assert list(found.inputs) == ["shapes"]
    assert "cheapest shape: small -> large" in found.summary()
    assert found.to_dict()["cheapest"] == {"before": "small", "after": "large"}
    assert not compare_plans(plan, plan).is_changed


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "shapes.toml").write_text(FILE)
    (tmp_path / "growth.csv").write_text("month,peak_users,low,high\n0,1000,900,1100\n3,3000,2000,4500\n")
    return tmp_path


def words(files: Path, *more: str) -> list[str]:
    return ["plan", "--growth", str(files / "growth.csv"), "--shapes", str(files / "shapes.toml"), *more]


def test_the_command_compares_the_shapes_of_a_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = words(files, "--instance-capacity", "500", "--quantity", "users", "--risk", "10%", "--seed", "1")
    assert cli.run(asked) == 2
    assert "--seed has no effect" in capsys.readouterr().err
    assert cli.run([*asked[:-2], "--out", str(files / "plan"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["shapes"]["inputs"]["question"]["probability"] == 0.9
    assert document["shapes"]["cheapest"] == "large"
    assert (files / "plan" / "cost_risk.png").stat().st_size > 5_000
    assert cli.run(asked[:-2]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Cheapest: large" in shown
    assert "Months of large, cost in EUR" in shown


def test_ranges_are_read_at_the_level_that_is_asked_for(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The less a range is trusted, the more it takes to be sure: for orders and for shapes."""
    asked = words(files, "--instance-capacity", "500", "--lead-time", "0.5,1,2", "--json", "--range-level")
    found = []
    for level in ("0.95", "60%"):
        assert cli.run([*asked, level]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["orders"]["rules"]["range_level"] == document["shapes"]["inputs"]["question"]["range_level"]
        assert document["orders"]["rules"]["lead_time_months"]["level"] == document["orders"]["rules"]["range_level"]
        hours = {item["shape"]["name"]: item["instance_hours"] for item in document["shapes"]["plans"]}
        found.append((hours["large"], -document["orders"]["orders"][0]["order_by_month"]))
    assert found[0][0] < found[1][0]
    assert found[0][1] < found[1][1]
    assert cli.run([*asked, "100%"]) == 2
    assert "range_level is 1.0; it must lie between 0 and 1" in capsys.readouterr().err


def test_rules_of_the_constraints_hold_for_shapes_too(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five small instances at a time have the database's 100 connections; the last peak asks for more."""
    (files / "constraints.toml").write_text(
        "[rules]\ndatabase_max_connections = 100\nmax_surge = 0\nmax_unavailable = 1\n"
    )
    asked = words(files, "--instance-capacity", "500", "--constraints", str(files / "constraints.toml"), "--json")
    assert cli.run(asked) == 0
    choice = json.loads(capsys.readouterr().out)["shapes"]
    assert choice["inputs"]["question"]["rules"]["database_max_connections"] == 100
    reasons = {item["shape"]["name"]: item["reason"] for item in choice["plans"]}
    assert reasons["small"].startswith("passes database_connections in month")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("0 = 0.25, 2 = 0.20", "1 = 0.25"),
            "Shape large has no price for month 0; state price_per_hour from",
        ),
        (("price_per_hour = 0.10\ncurrency", "currency"), "a price needs both"),
        (("capacity = 1200\n", ""), "No capacity is given for large; state capacity in each shape"),
        (('currency = "EUR"\n\n', 'currency = "USD"\n\n'), "The prices are in EUR and USD"),
        (('"large"', '"small"'), "2 shapes are named small"),
        (("db_pool = 40", "pool = 40"), "no pool is known; allowed are"),
        (("capacity = 1200", "capacity = -1"), "capacity is -1"),
        ((FILE, "shapes = []"), "has no shapes; give at least one"),
        ((FILE, "[[shapes"), "is not valid TOML"),
    ],
)
def test_a_file_that_will_not_do_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], said: str
) -> None:
    assert change[0] in FILE
    (files / "shapes.toml").write_text(FILE.replace(*change))
    assert cli.run(words(files, "--instance-capacity", "500")) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_shape_without_any_price_is_refused(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "shapes.toml").write_text('[[shapes]]\nname = "a"\ncapacity = 100\n')
    assert cli.run(words(files, "--instance-capacity", "500")) == 2
    assert "There is no price for a, so a month of it has no cost" in " ".join(capsys.readouterr().err.split())
    assert cli.run(words(files, "--instance-capacity", "500", "--risk", "0%")) == 2
    assert "risk is 0" in capsys.readouterr().err


def test_a_stated_capacity_beside_a_model_is_refused(files: Path) -> None:
    options = ShapeOptions(files / "shapes.toml", OrderingRules())
    with pytest.raises(InputError, match=r"states a capacity of small, large, and --model computes one"):
        options.with_model(None, {"p95_s": 0.1})  # type: ignore[arg-type]


def test_capacities_that_count_something_else_are_refused() -> None:
    offer = PlanShapes([replace(SMALL, capacity=None)], {"small": InstanceCapacity.assumed(5, "rps")})
    with pytest.raises(InputError, match="The growth counts users, the instance capacity rps"):
        plan_capacity(GROWTH, ONE, shapes=offer)


def test_a_wider_range_of_a_capacity_never_needs_fewer_instances() -> None:
    def needed(low: float) -> list[int | None]:
        unsure = replace(SMALL, capacity=Interval(low, 500, 600, 0.9, "parameter"))
        choice = plan_capacity(GROWTH, ONE, shapes=replace(OFFER, shapes=[unsure])).shapes
        assert choice is not None
        return [fleet.instances for fleet in choice.plan("small").fleets]

    counts = [needed(low) for low in (500, 400, 300, 200)]
    for narrow, wide in pairwise(counts):
        assert all(a <= b for a, b in zip(narrow, wide, strict=True) if a is not None and b is not None)
    assert counts[0] != counts[-1]


@pytest.mark.parametrize(("own", "together"), [(0.0, 0.95), (1.0, 0.95**6)])
def test_months_that_come_high_by_themselves_make_all_months_together_less_likely(own: float, together: float) -> None:
    """Six months alike, each carried in 95 % of 20,000 futures: the probability of all of them within 0.008."""
    months = tuple(
        GrowthPoint(month, 1_000, 800, 1_400, dependence=MonthDependence(own), p99=1_700) for month in range(1, 7)
    )
    growth = GrowthProjection((GrowthPoint(0, 500), *months), Quantity.USERS)
    fine = InstanceShape("fine", Deployment(), price_per_hour=0.01, currency="EUR", capacity=1)
    found = choose_shape(growth, [fine], question=ShapeQuestion(draws=20_000, probability=0.95)).plans[0]
    assert [fleet.probability for fleet in found.fleets[1:]] == pytest.approx([0.95] * 6, abs=0.008)
    assert [fleet.instances for fleet in found.fleets[1:]] == pytest.approx([1_400] * 6, rel=0.01)
    assert found.probability_all_months == pytest.approx(together, abs=0.008)
