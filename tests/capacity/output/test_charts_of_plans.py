"""Charts of plans: every label is there, and none covers another."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from capacity import (
    CapacityPlan,
    FleetRules,
    GrowthProjection,
    InstanceCapacity,
    InstanceShape,
    OrderingRules,
    PlanningPolicy,
    ShapeQuestion,
    charts,
    choose_shape,
    order_grid,
    order_timeline,
    plan_capacity,
    sensitivity,
)
from capacity.demand.growth_points import GrowthPoint
from loadtests import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity

PLANS = {
    "guide": plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide()),
    "one month": plan_capacity(GrowthProjection.from_points({0: 120}, "users"), InstanceCapacity.assumed(200, "users")),
    "36 months": plan_capacity(
        GrowthProjection.from_points({0: 1_000, 12: 2_600, 24: 5_200}, "rps", extrapolate_to=36),
        InstanceCapacity.assumed(1_500, "rps"),
    ),
    "large": plan_capacity(
        GrowthProjection((GrowthPoint(0, 100, 80, 120), GrowthPoint(12, 90_000, 40_000, 140_000)), Quantity.USERS),
        InstanceCapacity(Quantity.USERS, Interval(190, 200, 215), bound_by="p95"),
    ),
}
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def texts_of(ax: Axes) -> list[Text]:
    figure = ax.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    hidden = set(ticks_out_of_view(ax))
    return [text for text in figure.findobj(Text) if isinstance(text, Text) and is_drawn(text) and text not in hidden]


def is_drawn(text: Text) -> bool:
    return text.get_visible() and bool(text.get_text().strip())


def ticks_out_of_view(ax: Axes) -> Iterator[Text]:
    """Matplotlib keeps labels of ticks outside the limits, and never draws them."""
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        yield from (tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high)


def overlaps(ax: Axes) -> list[tuple[str, str]]:
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(ax)]
    return [(a, b) for (a, first), (b, second) in combinations(boxes, 2) if first.overlaps(second)]


def outside(ax: Axes) -> list[str]:
    frame = ax.figure.bbox.padded(1)
    return [
        text.get_text() for text in texts_of(ax)
        if not (frame.containsx(text.get_window_extent().x0) and frame.containsx(text.get_window_extent().x1))
    ]  # fmt: skip


@every_plan
def test_growth_is_drawn_against_capacity(plan: CapacityPlan, tmp_path: Path) -> None:
    ax = charts.plot_growth_capacity(plan)
    shown = {text.get_text() for text in texts_of(ax)}
    assert {"Growth against capacity", "months from today", "normal capacity of the fleet"} <= shown
    assert any("peak load and capacity (" in text for text in shown)
    for phase in plan.phases:
        assert any(text.startswith(phase.phase) for text in shown)
    assert overlaps(ax) == []
    assert outside(ax) == []
    ax.figure.savefig(tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 5_000


@every_plan
def test_the_timeline_is_drawn_with_its_instances(plan: CapacityPlan) -> None:
    ax = charts.plot_timeline(plan)
    shown = {text.get_text() for text in texts_of(ax)}
    assert {phase.phase for phase in plan.phases} <= shown
    assert "months from today" in shown
    assert overlaps(ax) == []
    assert outside(ax) == []


def test_the_guides_timeline_is_readable_from_its_labels() -> None:
    shown = {text.get_text() for text in texts_of(charts.plot_timeline(PLANS["guide"]))}
    assert {"months 0-2: 1 instance", "months 3-4: 2-3 instances", "month 5 on: 3-10 instances"} <= shown


@every_plan
@pytest.mark.parametrize("fleet", [1, 15, 10_000])
def test_order_dates_and_the_outlook_are_drawn(plan: CapacityPlan, fleet: int) -> None:
    lead = Interval(0.5, 1.0, 2.5, 0.9, "prediction") if fleet == 15 else 1.0
    orders = order_timeline(plan, OrderingRules(fleet=fleet, lead_time_months=lead, draws=2_000))
    for ax, title in (
        (charts.plot_order_dates(orders), "Order dates from"), (charts.plot_instances_outlook(orders), "Instances that")
    ):  # fmt: skip
        shown = {text.get_text() for text in texts_of(ax)}
        assert any(text.startswith(title) for text in shown)
        assert "months from today" in shown
        assert overlaps(ax) == []
        assert outside(ax) == []
        pyplot.close(ax.get_figure(root=True))


@every_plan
def test_what_moves_a_plan_is_drawn_as_a_tornado(plan: CapacityPlan) -> None:
    ax = charts.plot_sensitivity(sensitivity(plan))
    shown = " ".join(text.get_text() for text in texts_of(ax))
    assert all(name in shown for name in ("peak", "instance capacity", "safety factor", "at its low end"))
    assert overlaps(ax) == []
    assert outside(ax) == []
    pyplot.close(ax.get_figure(root=True))


def shape(name: str, price: float, capacity: Interval | float) -> InstanceShape:
    return InstanceShape(name, Deployment(), price_per_hour=price, currency="EUR", capacity=capacity)


LONG = "eu-central-1 / memory-optimised, generation 7 with local disks, reserved for three years, number "
UNSURE = Interval(180, 200, 225)
CHOICES = {
    "one shape": [shape("small", 0.2, UNSURE)],
    "many shapes": [shape(f"s{n}", 0.2 * n, UNSURE.scaled(n**0.9)) for n in range(1, 13)],
    "long names": [shape(f"{LONG}{n}", 0.2 * n, UNSURE.scaled(n)) for n in range(1, 5)],
    "for nothing": [shape("owned", 0, UNSURE), shape("rented", 0.3, 500.0)],
}


@pytest.mark.parametrize("shapes", CHOICES.values(), ids=CHOICES.keys())
@pytest.mark.parametrize("months", [0, 3, 60])
def test_cost_is_drawn_against_risk(shapes: list[InstanceShape], months: int) -> None:
    growth = {
        month: Interval(1_000 * 1.02**month, 1_000 * 1.05**month, 1_000 * 1.09**month) for month in range(months + 1)
    }
    choice = choose_shape(growth, shapes, None, ShapeQuestion(draws=1_000))
    ax = charts.plot_cost_risk(choice)
    shown = {text.get_text() for text in texts_of(ax)}
    assert {"Cost against risk", "probability that some peak is not carried", "least risk by cost"} <= shown
    assert any(text.startswith("cost of month") and text.endswith("(EUR)") for text in shown)
    assert any(text.startswith("chosen: ") for text in shown)
    assert ("6 other shapes" in shown) == (len(shapes) > 6)
    assert len([text for text in shown if text.startswith("eu-central-1")]) == (4 if len(shapes) == 4 else 0)
    assert overlaps(ax) == []
    assert outside(ax) == []
    pyplot.close(ax.get_figure(root=True))


def test_the_least_regretted_shape_has_a_mark_of_its_own() -> None:
    shapes = [shape("sure", 2, 1_000), shape("bold", 1.6, Interval(250, 1_500, 2_000))]
    ax = charts.plot_cost_risk(choose_shape({0: 6_000}, shapes, None, ShapeQuestion(0.5)))
    shown = {text.get_text() for text in texts_of(ax)}
    assert {"chosen: bold, 4 instances", "least regret: sure, 6 instances", "none of 10,000"} <= shown
    assert overlaps(ax) == []
    pyplot.close(ax.get_figure(root=True))


def test_without_risk_there_is_nothing_to_draw_it_against() -> None:
    with pytest.raises(InputError, match="Nothing is uncertain in this choice"):
        charts.plot_cost_risk(choose_shape({0: 500}, [shape("small", 1, 100)]))
    none = ShapeQuestion(rules=FleetRules(max_instances=1))
    with pytest.raises(InputError, match="No shape carries the peaks at any risk"):
        charts.plot_cost_risk(choose_shape({0: Interval(900, 950, 999)}, [shape("small", 1, 100)], None, none))


@pytest.mark.parametrize(
    ("leads", "sizes"), [((1,), (1,)), ((1, Interval(0.5, 1, 2.5)), (1, 4)), ((1, 2, 3, 4), (1, 2, 4))]
)
@pytest.mark.parametrize("fleet", [15, 5_000])
def test_order_policies_are_drawn(leads: tuple[float | Interval, ...], sizes: tuple[int, ...], fleet: int) -> None:
    plan, rules = PLANS["large"], OrderingRules(fleet=fleet, draws=1_000)
    scaled = [size * 20 for size in sizes]
    ax = charts.plot_order_policies(order_grid(plan, lead_times=leads, order_sizes=scaled, rules=rules))
    shown = {text.get_text() for text in texts_of(ax)}
    assert {"probability of running out", "instance-hours until month 12", "orders at a risk of 5 %"} <= shown
    assert len([text for text in shown if "at a time, lead time" in text]) == len(leads) * len(sizes)
    assert overlaps(ax) == []
    assert outside(ax) == []
    pyplot.close(ax.get_figure(root=True))


def test_policies_that_cannot_be_drawn_are_refused() -> None:
    rules = OrderingRules(fleet=15, draws=1_000)
    many = order_grid(PLANS["large"], (0.05,), order_sizes=range(20, 33), rules=rules)
    with pytest.raises(InputError, match="There are 13 pairs of lead time and order size; at most 12"):
        charts.plot_order_policies(many)
    with pytest.raises(InputError, match="Nothing is uncertain in this plan"):
        charts.plot_order_policies(order_grid(PLANS["guide"]))


def test_charts_draw_where_they_are_told() -> None:
    upper, lower = Figure(layout="constrained").subplots(2)
    assert charts.plot_growth_capacity(PLANS["guide"], ax=upper) is upper
    assert charts.plot_timeline(PLANS["guide"], ax=lower) is lower


def test_the_timeline_of_a_plan_with_orders_has_their_dates() -> None:
    growth = GrowthProjection.from_points({0: 1_000, 6: (1_500, 2_000, 3_000)}, "users")
    rules = OrderingRules(fleet=10, start="2026-12-01")  # type: ignore[arg-type]
    plan = plan_capacity(growth, InstanceCapacity.assumed(100, "users"), ordering=rules)
    assert plan.orders is not None
    ax = charts.plot_timeline(plan)
    shown = {text.get_text() for text in texts_of(ax)}
    assert {"order by", "months from 2026-12-01", "11"} <= shown
    (marks,) = (line for line in ax.lines if line.get_marker() == "D")
    drawn = list(marks.get_xdata())  # type: ignore[call-overload]
    assert drawn == [item.order_by_month for item in plan.orders.orders if item.order_by_month is not None]
    assert overlaps(ax) == []
    assert outside(ax) == []


def test_charts_of_orders_take_their_plan() -> None:
    plan = plan_capacity(PLANS["guide"].growth, PLANS["guide"].instance_capacity, ordering=OrderingRules(fleet=2))
    for draw in (charts.plot_order_dates, charts.plot_instances_outlook):
        assert draw(plan).get_title(loc="left")
        with pytest.raises(InputError, match="no order dates"):
            draw(PLANS["guide"])
