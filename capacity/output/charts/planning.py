"""Charts of a plan: growth against capacity, and the timeline of phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from capacity.demand.wording import counted, month_span, number_range
from capacity.output.charts.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY_BLUE,
    VERMILION,
    amount_axis,
    legend_below,
    month_axis,
    new_axes,
    tidy,
    unit_of,
)
from capacity.planning.basis import instance_basis
from capacity.planning.constraint_report import Ceiling
from capacity.planning.plan import CapacityPlan, PlanStep
from capacity.planning.timeline import ScalingPhase, ScalingTimeline, scaling_timeline

_PHASE_FACE = {"vertical": "#FFFFFF", "horizontal": "#E4EEF5", "autoscaling": "#CFE0EC"}
_BAR = {"vertical": (ORANGE, ""), "horizontal": (SKY_BLUE, "//"), "autoscaling": (BLUE, "..")}
_ROOM_FOR_TEXT = 0.42


def plot_growth_capacity(plan: CapacityPlan, *, ax: Axes | None = None) -> Axes:
    """Draw the peak of every month against the capacity of the fleet that runs at the peak.

    Capacities are of the larger fleet (`FleetRange.at_peak`, high factor within
    the phase's bounds): normal capacity as a solid step, maximum as a dashed one.
    Backgrounds are the phases.

    Parameters
    ----------
    plan : CapacityPlan
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax)
    phases = _draw_phases(ax, plan)
    capacities = _draw_capacity(ax, plan)
    peaks = _draw_peaks(ax, plan.steps)
    month_axis(ax, plan.steps[-1].month)
    amount_axis(ax, f"peak load and capacity ({unit_of(plan.quantity)})")
    tidy(ax)
    ax.set_title("Growth against capacity", loc="left")
    legend_below(ax, [*peaks, *capacities, *phases])
    return ax


def _draw_phases(ax: Axes, plan: CapacityPlan) -> list[Patch]:
    last = plan.steps[-1].month
    handles = []
    for phase in plan.phases:
        end = last if phase.to_month is None else phase.to_month
        face = _PHASE_FACE[phase.phase]
        ax.axvspan(phase.from_month - 0.5, end + 0.5, facecolor=face, edgecolor="none", zorder=0)
        if phase.from_month > 0:
            ax.axvline(phase.from_month - 0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=0.5)
        handles.append(Patch(facecolor=face, edgecolor=GREY, label=_phase_text(phase)))
    return handles


def _phase_text(phase: ScalingPhase) -> str:
    span = month_span(phase.from_month, phase.to_month)
    return f"{phase.phase}, {span}: {_instances_text(phase)}"


def _instances_text(phase: ScalingPhase) -> str:
    if phase.min_instances == phase.max_instances:
        return counted(phase.max_instances, "instance")
    return f"{number_range(phase.min_instances, phase.max_instances)} instances"


def _draw_capacity(ax: Axes, plan: CapacityPlan) -> list[Line2D]:
    basis = instance_basis(plan.growth, plan.instance_capacity, plan.policy)
    ceiling = _lowest_ceiling(plan)
    most = math.inf if ceiling is None else ceiling.most_instances
    counts = [min(step.deployed.at_peak[1], most) for step in plan.steps]
    is_cut = any(step.deployed.at_peak[1] > most for step in plan.steps)
    styles: list[tuple[str, float, Literal["-", "--"], str]] = []
    styles.append(("normal capacity of the fleet", float(basis.normal), "-", BLUE))
    if basis.maximum != basis.normal:
        styles.append(("maximum of the fleet", float(basis.maximum), "--", GREY))
    if ceiling is not None and is_cut:
        name = f"{counted(ceiling.most_instances, 'instance')} (ceiling)"
        styles = [(each[0].replace("the fleet", name), *each[1:]) for each in styles]
    edges = [step.month - 0.5 for step in plan.steps] + [plan.steps[-1].month + 0.5]
    handles = []
    for label, each, line, colour in styles:
        heights = [each * count for count in counts]
        ax.stairs(heights, edges, baseline=None, color=colour, linestyle=line, linewidth=2)
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=2, label=label))
    return handles


def _lowest_ceiling(plan: CapacityPlan) -> Ceiling | None:
    ceilings = () if plan.constraints is None else plan.constraints.months[-1].high.ceilings
    return min(ceilings, key=lambda item: item.most_instances, default=None)


def _draw_peaks(ax: Axes, steps: Sequence[PlanStep]) -> list[Artist]:
    ranges = _draw_peak_range(ax, steps)
    known = [step for step in steps if not step.extrapolated]
    beyond = [step for step in steps if step.extrapolated]
    ax.plot([s.month for s in known], [s.peak for s in known], color=VERMILION, linewidth=1.5, zorder=3)
    if beyond:
        tail = [known[-1], *beyond]
        ax.plot(
            [s.month for s in tail], [s.peak for s in tail], color=VERMILION, linewidth=1.5, linestyle=":", zorder=3
        )
    kinds = (
        ("peak, stated", [s for s in known if not s.interpolated], "o", VERMILION),
        ("peak, interpolated", [s for s in known if s.interpolated], "o", "white"),
        ("peak, extrapolated", beyond, "^", "white"),
    )
    marks = [_mark(ax, label, chosen, marker, face) for label, chosen, marker, face in kinds if chosen]
    return [*marks, *ranges]


def _mark(ax: Axes, label: str, steps: Sequence[PlanStep], marker: str, face: str) -> Line2D:
    (handle,) = ax.plot(
        [step.month for step in steps], [step.peak for step in steps], label=label, linestyle="none",
        marker=marker, markersize=6, markerfacecolor=face, markeredgecolor=VERMILION, zorder=4,
    )  # fmt: skip
    return handle


def _draw_peak_range(ax: Axes, steps: Sequence[PlanStep]) -> list[Artist]:
    ranged = [(s.month, s.peak_low, s.peak_high) for s in steps if s.peak_low is not None and s.peak_high is not None]
    if not ranged:
        return []
    months, low, high = (list(column) for column in zip(*ranged, strict=True))
    return [
        ax.fill_between(months, low, high, color=VERMILION, alpha=0.2, linewidth=0, zorder=1, label="range of the peak")
    ]


def plot_timeline(timeline: ScalingTimeline | CapacityPlan, *, ax: Axes | None = None) -> Axes:
    """Draw the phases as bars over the months, with their instances.

    An arrow marks the phase that stays open after the last projected month. Of a plan with order dates, a row below has
    a diamond for each of them, with its instances beside the first and the last; left of month 0 it is late.

    Parameters
    ----------
    timeline : ScalingTimeline or CapacityPlan
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    plan = timeline if isinstance(timeline, CapacityPlan) else None
    chosen = scaling_timeline(timeline) if isinstance(timeline, CapacityPlan) else timeline
    orders = _dated_orders(plan)
    rows = [*(phase.phase for phase in chosen.phases), *(["order by"] if orders else [])]
    ax = new_axes(ax, (8.0, 1.4 + 0.6 * len(rows)))
    for row, phase in enumerate(chosen.phases):
        _draw_bar(ax, row, phase, chosen.last_month)
    month_axis(ax, chosen.last_month)
    if orders:
        _draw_orders(ax, len(rows) - 1, orders, chosen.last_month)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylabel("way of scaling")
    if plan is not None and plan.start is not None:
        ax.set_xlabel(f"months from {plan.start.isoformat()}")
    tidy(ax)
    ax.grid(visible=False)
    ax.set_title("Scaling timeline", loc="left")
    return ax


def _dated_orders(plan: CapacityPlan | None) -> list[tuple[float, int]]:
    """Month of each order that has one, and the instances there will be then."""
    if plan is None or plan.orders is None:
        return []
    return [(item.order_by_month, item.instances) for item in plan.orders.orders if item.order_by_month is not None]


def _draw_orders(ax: Axes, row: int, orders: Sequence[tuple[float, int]], last_month: int) -> None:
    months = [month for month, _ in orders]
    ax.plot(months, [row] * len(orders), marker="D", markersize=5.5, color=VERMILION, linestyle="none", zorder=4)
    ax.set_xlim(min(-0.5, min(months) - 0.5), last_month + 0.5)
    ax.axvline(0, color=GREY, linewidth=1, linestyle=":")
    ends = (orders[0],) if len(orders) == 1 else (orders[0], orders[-1])
    for month, instances in ends:
        ax.annotate(
            str(instances), (month, row), (0, -8), textcoords="offset points", ha="center", va="top", fontsize=9,
            color=BLACK,
        )  # fmt: skip


def _draw_bar(ax: Axes, row: int, phase: ScalingPhase, last_month: int) -> None:
    start = phase.from_month - 0.5
    end = (last_month if phase.to_month is None else phase.to_month) + 0.5
    colour, hatch = _BAR[phase.phase]
    ax.barh(row, end - start, left=start, height=0.55, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
    if phase.to_month is None:
        ax.plot([end], [row], marker=">", markersize=13, color=colour, clip_on=False, linestyle="none")
    text = f"{month_span(phase.from_month, phase.to_month)}: {_instances_text(phase)}"
    _label_bar(ax, row, text, (start, end), last_month)


def _label_bar(ax: Axes, row: int, text: str, span: tuple[float, float], last_month: int) -> None:
    """Write inside a bar that is wide enough, else beside it, on the side with more room."""
    start, end = span
    months = last_month + 1
    if end - start >= _ROOM_FOR_TEXT * months:
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none"}
        ax.text((start + end) / 2, row, text, ha="center", va="center", color=BLACK, fontsize=9, bbox=box)
        return
    on_the_right = last_month + 0.5 - end > start + 0.5
    place, side, shift = (end, "left", 6) if on_the_right else (start, "right", -6)
    ax.annotate(
        text, (place, row), (shift, 0), textcoords="offset points", ha=side, va="center", color=BLACK, fontsize=9
    )  # fmt: skip
