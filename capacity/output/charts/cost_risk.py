"""Charts of cost against risk: what it costs to run out less often, by shape and fleet, and by order policy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from capacity.demand.wording import counted, month_span, number_range, percent
from capacity.output.charts.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    legend_below,
    new_axes,
    tidy,
)
from capacity.planning.frontier import FrontierPoint
from capacity.planning.order_grid import OrderGrid, OrderPolicy
from capacity.planning.shape_choice import ShapeChoice
from loadtests.foundation.errors import InputError

_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (VERMILION, "D"), (SKY_BLUE, "v"), (PURPLE, "P"))
_NAME_LENGTH, _TWO_COLUMNS = 44, 40
_LOG_FROM, _DECADES_FROM = 8.0, 40.0
_LOG_RISKS_FROM = 4.0
_RISK_TICKS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def plot_cost_risk(choice: ShapeChoice, *, ax: Axes | None = None) -> Axes:
    """Draw for each shape what fleets of several sizes cost, and how likely they are too small in some month.

    The line joins what nothing else beats: for any cost, the least risk. A ring marks the chosen fleet, a square
    that of the shape of least regret where it is another one. Of many shapes the six that matter most have a colour.

    Parameters
    ----------
    choice : ShapeChoice
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        When no shape carries the peaks at any risk, or nothing is uncertain.
    """
    if not choice.frontier:
        why = "No shape carries the peaks at any risk" if choice.is_uncertain else "Nothing is uncertain in this choice"
        raise InputError(f"{why}, so there is no cost against risk to draw; see the findings.")
    ax = new_axes(ax, cost_risk_size(choice))
    floor = _floor([point.risk for point in choice.frontier])
    _draw_front(ax, choice, floor)
    handles = [*_draw_shapes(ax, choice, floor), Line2D([], [], color=BLACK, linewidth=1.4, label="least risk by cost")]
    handles += _draw_marks(ax, choice, floor)
    _risk_axis(ax, [point.risk for point in choice.frontier], f"none of {choice.question.draws:,}")
    ax.set_ylabel("probability that some peak is not carried")
    _cost_axis(ax, [point.cost for point in choice.frontier])
    ax.set_xlabel(f"cost of {month_span(min(choice.peaks), max(choice.peaks))} ({choice.currency})")
    tidy(ax)
    ax.set_title("Cost against risk", loc="left")
    legend_below(ax, handles, _columns(handles))
    return ax


def cost_risk_size(choice: ShapeChoice) -> tuple[float, float]:
    """Width and height, in inches, that `plot_cost_risk` wants."""
    return 8.0, 4.6 + 0.2 * min(len(_by_shape(choice)), len(_LOOKS) + 1)


def _by_shape(choice: ShapeChoice) -> dict[str, list[FrontierPoint]]:
    found: dict[str, list[FrontierPoint]] = {}
    for point in choice.frontier:
        found.setdefault(point.shape, []).append(point)
    return found


def _shown(choice: ShapeChoice) -> list[str]:
    """Names of the shapes with a colour: chosen, least regretted, then who is on the line most often."""
    every = _by_shape(choice)
    firsts = [name for name in (choice.cheapest, choice.least_regret) if name in every]
    ranked = sorted(every, key=lambda name: -sum(point.is_efficient for point in every[name]))
    return list(dict.fromkeys([*(name for name in firsts if name), *ranked]))[: len(_LOOKS)]


def _floor(risks: Sequence[float]) -> float:
    """Where a risk of none of the draws stands on the axis of logarithms."""
    return min([0.001, *(risk for risk in risks if risk > 0)]) / 2


def _at(points: Sequence[FrontierPoint], floor: float) -> tuple[list[float], list[float]]:
    return [point.cost for point in points], [max(point.risk, floor) for point in points]


def _draw_front(ax: Axes, choice: ShapeChoice, floor: float) -> None:
    front = sorted(
        (point for point in choice.frontier if point.is_efficient), key=lambda point: (point.cost, point.risk)
    )
    ax.step(*_at(front, floor), where="post", color=BLACK, linewidth=1.4, zorder=1.5)


def _draw_shapes(ax: Axes, choice: ShapeChoice, floor: float) -> list[Line2D]:
    every, shown = _by_shape(choice), _shown(choice)
    handles = []
    others = [point for name, points in every.items() if name not in shown for point in points]
    for name, (colour, marker) in zip(shown, _LOOKS, strict=False):
        ax.plot(
            *_at(every[name], floor), linestyle="none", marker=marker, color=colour, markeredgecolor=BLACK,
            markeredgewidth=0.6, markersize=6, zorder=3,
        )  # fmt: skip
        handles.append(
            Line2D([], [], linestyle="none", marker=marker, color=colour, markeredgecolor=BLACK, label=_short(name))
        )
    if others:
        ax.plot(*_at(others, floor), linestyle="none", marker=".", color=GREY, markersize=5, zorder=2)
        handles.append(
            Line2D([], [], linestyle="none", marker=".", color=GREY, label=f"{len(every) - len(shown)} other shapes")
        )
    return handles


def _draw_marks(ax: Axes, choice: ShapeChoice, floor: float) -> list[Line2D]:
    marks = [(choice.chosen_point, "o", "chosen")]
    if choice.least_regret != choice.cheapest:
        asked, name = choice.question.probability, choice.least_regret
        safe = (item for item in choice.frontier if item.shape == name and item.probability == asked)
        marks.append((next(safe, None), "s", "least regret"))
    handles = []
    for point, marker, word in marks:
        if point is None:
            continue
        look = {"marker": marker, "markersize": 13, "markerfacecolor": "none", "markeredgecolor": BLACK}
        ax.plot(*_at([point], floor), linestyle="none", markeredgewidth=1.8, zorder=4, **look)  # type: ignore[arg-type]
        count = number_range(point.least_instances, point.most_instances)
        text = f"{word}: {_short(point.shape)}, {count} instances"
        handles.append(Line2D([], [], linestyle="none", markeredgewidth=1.8, label=text, **look))  # type: ignore[arg-type]
    return handles


def _risk_axis(ax: Axes, risks: Sequence[float], none: str) -> None:
    """Logarithms where risks differ much, with a place of its own for what none of the draws showed."""
    has_none, floor = min(risks) == 0, _floor(risks)
    bottom = floor if has_none else min(risks)
    if max(risks) < _LOG_RISKS_FROM * bottom:
        room = 0.08 * (max(risks) - bottom) or 0.1 * bottom
        ax.set_ylim(max(bottom - room, -0.02), max(risks) + room)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=5))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value) if 0 <= value <= 1 else ""))
        return
    ax.set_yscale("log")
    ax.set_ylim(bottom / 1.5, max(*risks, 0.1) * 1.5)
    ticks = [tick for tick in _RISK_TICKS if (1.6 * floor if has_none else bottom / 1.5) <= tick <= ax.get_ylim()[1]]
    ax.yaxis.set_major_locator(FixedLocator([floor, *ticks] if has_none else ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: none if value == floor else percent(value)))


def _cost_axis(ax: Axes, costs: Sequence[float]) -> None:
    if 0 < _LOG_FROM * min(costs) < max(costs):
        ax.set_xscale("log")
        is_wide = _DECADES_FROM * min(costs) < max(costs)
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if is_wide else (1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = 0.08 * (max(costs) - min(costs)) or max(0.08 * max(costs), 1.0)
        ax.set_xlim(min(costs) - room, max(costs) + room)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=7))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}" if value >= 0 else ""))


def plot_order_policies(grid: OrderGrid, *, ax: Axes | None = None) -> Axes:
    """Draw what order policies take in instance-hours, and how likely they run out.

    A line joins the risks of one lead time and order size; rings mark the risk of the grid's rules.

    Parameters
    ----------
    grid : OrderGrid
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InputError
        When nothing is uncertain, and for more than twelve pairs of lead time and order size.
    """
    lines = _lines(grid)
    ax = new_axes(ax, (8.0, 4.6 + 0.2 * len(lines)))
    risks = [item.probability_out or 0.0 for item in grid.policies]
    floor, handles = _floor(risks), []
    for place, (label, items) in enumerate(lines.items()):
        colour, marker = _LOOKS[place % len(_LOOKS)]
        face = colour if place < len(_LOOKS) else "white"
        points = sorted((item.instance_hours, max(item.probability_out or 0.0, floor)) for item in items)
        ax.plot(
            *zip(*points, strict=True), color=colour, marker=marker, linewidth=1.0, markerfacecolor=face,
            markeredgecolor=BLACK, markeredgewidth=0.6, markersize=6, zorder=3, label=label,
        )  # fmt: skip
        handles.append(ax.lines[-1])
    chosen = [item for item in grid.policies if item.risk == grid.rules.risk]
    if chosen:
        at = [item.instance_hours for item in chosen], [max(item.probability_out or 0.0, floor) for item in chosen]
        ring = {"marker": "o", "markersize": 12, "markerfacecolor": "none", "markeredgecolor": BLACK}
        text = f"orders at a risk of {percent(grid.rules.risk)}"
        ax.plot(*at, linestyle="none", zorder=4, label=text, **ring)  # type: ignore[arg-type]
        handles.append(ax.lines[-1])
    _risk_axis(ax, risks, f"none of {grid.rules.draws:,}")
    ax.set_ylabel("probability of running out")
    _cost_axis(ax, [item.instance_hours for item in grid.policies])
    ax.set_xlabel(f"instance-hours until month {grid.last_month}")
    tidy(ax)
    ax.set_title(f"Order policies from {counted(grid.fleet, 'instance')} today", loc="left")
    legend_below(ax, handles, 1)
    return ax


def _lines(grid: OrderGrid) -> dict[str, list[OrderPolicy]]:
    found: dict[str, list[OrderPolicy]] = {}
    for item in grid.policies:
        label = f"{item.order_size} at a time, lead time {item.lead_time.format('.3g', 'months')}"
        found.setdefault(label, []).append(item)
    if any(item.probability_out is None for item in grid.policies):
        raise InputError("Nothing is uncertain in this plan, so there is no risk to draw instance-hours against.")
    if len(found) > 2 * len(_LOOKS):
        raise InputError(
            f"There are {len(found)} pairs of lead time and order size; at most {2 * len(_LOOKS)} are told apart, so "
            "compare fewer."
        )
    return found


def _short(name: str) -> str:
    """A long name without its middle: families of shapes differ at their ends."""
    half = _NAME_LENGTH // 2
    return name if len(name) <= _NAME_LENGTH else f"{name[:half].rstrip()} … {name[-half:].lstrip()}"


def _columns(handles: Sequence[Line2D]) -> int:
    longest = max(len(str(handle.get_label())) for handle in handles)
    return 1 if longest > _TWO_COLUMNS else 2
