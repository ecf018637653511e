"""Chart of a comparison: how far each difference goes for the worse, against the margin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from capacity.output.charts.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, new_axes, tidy
from loadtests.comparison.result import Difference, ModelComparison, RecordingComparison
from loadtests.comparison.rule import Verdict, harm_sign
from loadtests.foundation.errors import InputError

_NAMES = {
    "throughput_rps": "throughput", "goodput_rps": "goodput", "mean_s": "mean residence time", "p50_s": "P50",
    "p95_s": "P95", "p99_s": "P99", "shed_rate": "share shed (points)", "failed_rate": "share failed (points)",
    "service_mean_s": "mean service time",
}  # fmt: skip
_MARKS: dict[Verdict, tuple[str, str]] = {
    "worse": (VERMILION, "D"), "unclear": (ORANGE, "s"), "not worse": (BLUE, "o"), "not judged": (GREY, "o"),
}  # fmt: skip
_FURTHEST = 4.0


def plot_comparison(result: RecordingComparison | ModelComparison, *, ax: Axes | None = None) -> Axes:
    """Each judged difference with its interval, harm to the right, the accepted harm shaded.

    Thick: the interval at the comparison's level. Thin: the one that holds together with all
    others, by which a difference is called worse.

    Parameters
    ----------
    result : RecordingComparison or ModelComparison
    ax : Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        When nothing was judged.
    """
    rows = _ordered(result.judged)
    if not rows:
        raise InputError("Nothing was judged in this comparison, so there is nothing to draw; see its findings.")
    axes = new_axes(ax, size_of(result))
    for place, item in enumerate(rows):
        _draw(axes, place, item)
    axes.axvline(0.0, color=BLACK, linewidth=0.8)
    _frame(axes, rows)
    axes.set_xlabel("change for the worse, B against A (%; shares of requests in points)")
    axes.set_title(f"Two {result.compared}: {result.verdict}", loc="left")
    axes.legend(
        handles=_legend(result, rows), loc="upper center", bbox_to_anchor=(0.4, -0.65 / (0.4 + 0.24 * len(rows))),
        ncols=3, frameon=False, fontsize=9,
    )  # fmt: skip
    return axes


def size_of(result: RecordingComparison | ModelComparison) -> tuple[float, float]:
    """Inches that give every difference its line."""
    return 8.0, 2.0 + 0.24 * len(result.judged)


def _ordered(judged: Sequence[Difference]) -> list[Difference]:
    """By metric in the order of the result, loads ascending, what is over all steps last."""
    metrics = list(dict.fromkeys(item.metric for item in judged))
    return sorted(judged, key=lambda item: (metrics.index(item.metric), item.users is None, item.users or 0))


def _draw(axes: Axes, place: int, item: Difference) -> None:
    colour, marker = _MARKS[item.verdict]
    sign, accepted = 100.0 * harm_sign(item.metric), 100.0 * item.margin
    axes.fill_betweenx([place - 0.5, place + 0.5], 0.0, accepted, color=GREEN, alpha=0.12, linewidth=0)
    axes.plot([accepted, accepted], [place - 0.5, place + 0.5], color=BLACK, linewidth=1.0, linestyle="--")
    for interval, width in ((item.simultaneous, 1.0), (item.change, 3.0)):
        axes.plot([sign * interval.low, sign * interval.high], [place, place], color=colour, linewidth=width)
    axes.plot([sign * item.change.mid], [place], marker, color=colour, markeredgecolor=BLACK, markersize=6)


def _frame(axes: Axes, rows: Sequence[Difference]) -> None:
    """Labels, lines between the metrics, and an axis that one wild interval does not stretch."""
    axes.set_yticks(range(len(rows)), [_label(item) for item in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for place, (above, below) in enumerate(pairwise(rows)):
        if above.metric != below.metric:
            axes.axhline(place + 0.5, color=GREY, linewidth=0.6, alpha=0.6)
    ends = [100 * harm_sign(item.metric) * end for item in rows for end in (item.change.low, item.change.high)]
    widest = _FURTHEST * float(np.quantile(np.abs(ends), 0.9))
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -widest), min(high, widest))
    tidy(axes)
    axes.grid(visible=True, axis="x", color=GREY, alpha=0.25, linewidth=0.7)
    axes.grid(visible=False, axis="y")


def _label(item: Difference) -> str:
    name = _NAMES.get(item.metric, item.metric)
    return name if item.scope == "parameter" else f"{name}, {item.place}"


def _legend(result: RecordingComparison | ModelComparison, rows: Sequence[Difference]) -> list[Artist]:
    seen = {item.verdict for item in rows}
    marks: list[Artist] = [
        Line2D([], [], color=colour, marker=marker, markeredgecolor=BLACK, linewidth=3, label=verdict)
        for verdict, (colour, marker) in _MARKS.items()
        if verdict in seen
    ]
    return [
        *marks,
        Patch(facecolor=GREEN, alpha=0.12, label="accepted harm"),
        Line2D([], [], color=BLACK, linewidth=3, label=f"{result.rule.level:.0%} interval"),
        Line2D([], [], color=BLACK, linewidth=1, label="the same, all together"),
    ]
