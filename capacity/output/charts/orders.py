"""Charts of when to order, of what the months may ask for, and of what moves a plan."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from capacity.demand.wording import amount, counted, percent
from capacity.output.charts.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SKY_BLUE,
    VERMILION,
    legend_below,
    month_axis,
    new_axes,
    tidy,
)
from capacity.planning.orders import OrderDate, OrderTimeline
from capacity.planning.plan import CapacityPlan
from capacity.planning.what_if import Sensitivity
from loadtests.foundation.errors import InputError

_MOST_ROWS = 24


def plot_order_dates(orders: OrderTimeline | CapacityPlan, *, ax: Axes | None = None) -> Axes:
    """Draw for each further instance when to order it and when it is needed.

    A diamond is the latest order at the stated risk, a bar the months in which 90 % of the scenarios need the instance,
    a tick the order by the central values. Left of month 0 it is late. At most 24 instances are shown, evenly chosen.

    Parameters
    ----------
    orders : OrderTimeline or CapacityPlan
        Of a plan, its order dates.
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    orders = _orders_of(orders)
    chosen = _shown(orders)
    ax = new_axes(ax, order_dates_size(orders))
    last = orders.months[-1].month
    for row, order in enumerate(chosen):
        _draw_order(ax, row, order, last)
    month_axis(ax, last)
    starts = [item.order_by_month for item in chosen if item.order_by_month is not None]
    ax.set_xlim(min([-0.5, *(start - 0.5 for start in starts)]), last + 0.5)
    ax.axvline(0, color=GREY, linewidth=1, linestyle=":")
    ax.set_ylim(max(len(chosen), 1) - 0.5, -0.5)
    ax.set_yticks(range(len(chosen)), [str(item.instances) for item in chosen])
    ax.set_ylabel("instances there will be")
    tidy(ax)
    ax.set_title(f"Order dates from {counted(orders.fleet, 'instance')} today", loc="left")
    if not chosen:
        ax.text(0.5, 0.5, _why_none(orders), transform=ax.transAxes, ha="center", color=BLACK)
    by = f"latest order at a risk of {percent(orders.rules.risk)}"
    risk = by if orders.is_uncertain else "order by the central values"
    legend_below(
        ax,
        [
            Line2D([], [], marker="D", linestyle="none", color=VERMILION, label=risk),
            *_legend_of_uncertainty(is_uncertain=orders.is_uncertain),
        ],
    )
    return ax


def _why_none(orders: OrderTimeline) -> str:
    ceiling = orders.ceiling
    if ceiling is None or (not ceiling.probability and not math.isfinite(ceiling.passed_month.mid)):
        return "no order within the projection"
    name = ceiling.name.replace("_", " ")
    most = "" if ceiling.instances is None else f" of {counted(ceiling.instances, 'instance')}"
    return f"no order helps: demand passes the ceiling{most} by {name}"


def _orders_of(given: OrderTimeline | CapacityPlan) -> OrderTimeline:
    if isinstance(given, OrderTimeline):
        return given
    if given.orders is None:
        raise InputError("The plan has no order dates; plan with ordering=OrderingRules(...).")
    return given.orders


def order_dates_size(orders: OrderTimeline) -> tuple[float, float]:
    """Width and height, in inches, that `plot_order_dates` wants."""
    return 8.0, 1.8 + 0.24 * max(len(_shown(orders)), 6)


def _shown(orders: OrderTimeline) -> tuple[OrderDate, ...]:
    return orders.orders[:: max(1, math.ceil(len(orders.orders) / _MOST_ROWS))]


def _legend_of_uncertainty(*, is_uncertain: bool) -> list[Line2D | Patch]:
    needed = "needed (90 % of the scenarios, median)" if is_uncertain else "needed"
    found: list[Line2D | Patch] = [Patch(facecolor=SKY_BLUE, label=needed)]
    if is_uncertain:
        found.append(
            Line2D([], [], marker="|", markersize=9, linestyle="none", color=BLACK, label="order by the central values")
        )
    return found


def _draw_order(ax: Axes, row: int, order: OrderDate, last: int) -> None:
    end = last + 0.5
    low, mid, high = (
        min(value, end) for value in (order.needed_month.low, order.needed_month.mid, order.needed_month.high)
    )
    ax.barh(row, max(high - low, 0.06), left=low, height=0.5, color=SKY_BLUE, linewidth=0)
    ax.plot([mid, mid], [row - 0.25, row + 0.25], color=BLUE, linewidth=1.6)
    if order.order_by_month is not None:
        ax.plot([order.order_by_month, low], [row, row], color=GREY, linewidth=0.8, zorder=0.5)
        ax.plot([order.order_by_month], [row], marker="D", markersize=5.5, color=VERMILION, zorder=4)
    if order.mid_line_month is not None and order.probability_late_today is not None:
        ax.plot([order.mid_line_month], [row], marker="|", markersize=9, color=BLACK, zorder=3)


def plot_instances_outlook(orders: OrderTimeline | CapacityPlan, *, ax: Axes | None = None) -> Axes:
    """Draw the instances that each month's peak needs without a factor: median, 90 % range, and those at the risk.

    Parameters
    ----------
    orders : OrderTimeline or CapacityPlan
        Of a plan, its order dates.
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    orders = _orders_of(orders)
    ax = new_axes(ax)
    months = [item.month for item in orders.months]
    edges = [month - 0.5 for month in months] + [months[-1] + 0.5]
    handles: list[Line2D | Patch] = []
    if orders.is_uncertain:
        low, high = ([getattr(item.instances, end) for item in orders.months] for end in ("low", "high"))
        ax.stairs(high, edges, baseline=low, fill=True, color=SKY_BLUE, alpha=0.5)
        handles.append(Patch(facecolor=SKY_BLUE, alpha=0.5, label="90 % of the scenarios"))
        ax.stairs([item.at_risk for item in orders.months], edges, baseline=None, color=VERMILION, linewidth=2)
        handles.append(
            Line2D([], [], color=VERMILION, linewidth=2, label=f"enough at a risk of {percent(orders.rules.risk)}")
        )
    ax.stairs([item.instances.mid for item in orders.months], edges, baseline=None, color=BLUE, linewidth=1.6)
    handles.append(Line2D([], [], color=BLUE, linewidth=1.6, label="median" if orders.is_uncertain else "needed"))
    ax.axhline(orders.fleet, color=BLACK, linewidth=1.2, linestyle="--")
    handles.append(Line2D([], [], color=BLACK, linewidth=1.2, linestyle="--", label=f"today's fleet, {orders.fleet}"))
    month_axis(ax, months[-1])
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("instances")
    tidy(ax)
    ax.set_title("Instances that the peak needs", loc="left")
    legend_below(ax, handles)
    return ax


def sensitivity_size(found: Sensitivity) -> tuple[float, float]:
    """Width and height, in inches, that `plot_sensitivity` wants."""
    return 8.0, 1.8 + 0.55 * len(found.swings)


def plot_sensitivity(found: Sensitivity, *, ax: Axes | None = None) -> Axes:
    """Draw a tornado: how far each input moves a month's instances, the widest on top.

    Parameters
    ----------
    found : Sensitivity
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax, sensitivity_size(found))
    ends = [end for item in found.swings for end in (item.at_low, item.at_high) if end is not None]
    middle = max(ends, default=1) if found.instances is None else found.instances
    least, most = min(ends, default=middle), max(ends, default=middle)
    room = 0.16 * max(most - least, 2)
    for row, item in enumerate(found.swings):
        for count, value, colour, hatch in (
            (item.at_low, item.low, SKY_BLUE, ""),
            (item.at_high, item.high, ORANGE, "//"),
        ):
            end = most + room if count is None else count
            ax.barh(
                row, end - middle, left=middle, height=0.5, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            side = 1 if end > middle or (end == middle and value == item.high) else -1
            text = f"{amount(value)}: none is enough" if count is None else amount(value)
            if item.at_low is None and item.at_high is None:  # both texts would stand at the same place
                text = f"{amount(item.low)} to {amount(item.high)}: none is enough" if value == item.low else ""
            ax.annotate(
                text, (end, row), (5 * side, 0),
                textcoords="offset points", va="center", fontsize=9, ha="left" if side > 0 else "right", color=BLACK,
            )  # fmt: skip
    ax.axvline(middle, color=BLACK, linewidth=1)
    is_open = any(end is None for item in found.swings for end in (item.at_low, item.at_high))
    ax.set_xlim(least - room, most + (4 if is_open else 1) * room)
    ax.set_yticks(range(len(found.swings)), [f"{item.name}{' *' if item.is_assumed else ''}" for item in found.swings])
    ax.set_ylim(len(found.swings) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    star = "; * no range stated, moved by a tenth" if any(item.is_assumed for item in found.swings) else ""
    ax.set_xlabel(f"instances in month {found.month}{star}")
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.set_title(found.title, loc="left")
    legend_below(
        ax,
        [
            Patch(facecolor=SKY_BLUE, label="at its low end"),
            Patch(facecolor=ORANGE, hatch="//", label="at its high end"),
        ],
    )
    return ax
