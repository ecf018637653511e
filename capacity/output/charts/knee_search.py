"""Chart of a knee search: which levels were asked for, and what is believed of the knee after all of them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from capacity.output.charts.style import BLACK, BLUE, GREEN, GREY, VERMILION, legend_below, new_axes, tidy
from loadtests.foundation.units import format_duration
from loadtests.knee.knee_search import KneeResult
from loadtests.knee.knee_step import KneeStep

_WITHIN, _BEYOND = (BLUE, "o", "measured within the limits"), (VERMILION, "D", "measured beyond a limit")
_TEXT_TURNS_AT = 0.6


def plot_knee_search(result: KneeResult, *, ax: Axes | None = None) -> Axes:
    """The levels in the order of time, from the top, before the belief in the knee that they led to.

    Parameters
    ----------
    result : KneeResult
    ax : Axes, optional
        Where to draw; default: a new figure. How likely a load keeps the objective has an axis of
        its own on the right.

    Returns
    -------
    Axes
    """
    axes = new_axes(ax, size_of(result))
    most = 1.12 * max(*(step.users for step in result.steps), result.knee_users.high)
    _draw_belief(axes, result, most)
    for place, step in enumerate(result.steps, start=1):
        _draw_step(axes, place, step, is_within=result.is_within(step), is_left=step.users > _TEXT_TURNS_AT * most)
    axes.set_ylim(len(result.steps) + 0.5, 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=15, integer=True, min_n_ticks=1))
    axes.set_ylabel("step, in the order of time")
    axes.set_xlim(0, most)
    axes.set_xlabel("users")
    tidy(axes)
    axes.set_title(f"Search for the knee: {_limits(result)}", loc="left")
    legend_below(axes, axes.get_legend_handles_labels()[0])
    return axes


def size_of(result: KneeResult) -> tuple[float, float]:
    """Inches that give every step its line."""
    return 8.0, 2.6 + 0.3 * len(result.steps)


def _draw_belief(axes: Axes, result: KneeResult, most: float) -> None:
    """The curve on the right axis; the interval as a band and the knee as a line."""
    knee = result.knee_users
    if knee.high > 0:
        axes.axvspan(knee.low, knee.high, color=GREEN, alpha=0.15, linewidth=0, label=f"{knee.level:.0%} interval")
        axes.axvline(knee.mid, color=GREEN, linewidth=1.6, label=f"knee: {knee.format('.4g')} users")
    shares = axes.twinx()
    levels = np.append(result.belief.levels, most)
    kept = np.append(result.belief.at_or_beyond, result.belief.probability_beyond)
    shares.plot(levels, kept, color=GREY, linewidth=1.4, linestyle=(0, (5, 2)))
    axes.plot(
        [],
        [],
        color=GREY,
        linewidth=1.4,
        linestyle=(0, (5, 2)),
        label="probability that so many users keep the objective",
    )
    shares.set_ylim(0.0, 1.05)
    shares.yaxis.set_major_formatter(PercentFormatter(1.0))
    shares.set_ylabel("probability of keeping it")
    shares.spines["top"].set_visible(False)
    axes.set_zorder(shares.get_zorder() + 1)
    axes.patch.set_visible(False)


def _draw_step(axes: Axes, place: int, step: KneeStep, *, is_within: bool, is_left: bool) -> None:
    colour, marker, label = _WITHIN if is_within else _BEYOND
    seen = axes.get_legend_handles_labels()[1]
    axes.plot(
        [step.users], [place], marker, color=colour, markeredgecolor=BLACK, markersize=8,
        label=None if label in seen else label,
    )  # fmt: skip
    axes.annotate(
        _measured(step), (step.users, place), xytext=(-9 if is_left else 9, 0), textcoords="offset points",
        ha="right" if is_left else "left", va="center", fontsize=9,
        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.0},
    )  # fmt: skip


def _measured(step: KneeStep) -> str:
    p95 = "none served" if math.isnan(step.p95_s) else f"P95 {format_duration(step.p95_s)}"
    bad = step.bad / step.requests if step.requests else 1.0
    return f"{step.users:,} users: {p95}, {100 * bad:.3g} % bad"


def _limits(result: KneeResult) -> str:
    p95_s, most_bad = result.objective.p95_s, result.objective.max_bad_fraction
    p95 = [] if p95_s is None else [f"P95 up to {format_duration(p95_s)}"]
    bad = [] if most_bad is None else [f"at most {100 * most_bad:.4g} % bad"]
    return ", ".join([*p95, *bad])
