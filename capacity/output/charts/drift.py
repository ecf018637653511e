"""Chart of live windows against what the model predicts for each of them."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from matplotlib import dates
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from capacity.output.charts.style import BLACK, BLUE, SKY_BLUE, VERMILION, legend_below, new_axes, tidy
from loadtests.foundation.errors import InputError
from simulations.calibration.drift_result import DriftReport, JudgedValue, JudgedWindow, change_text

_LABELS = {
    "goodput_rps": ("goodput (requests/s)", 1.0), "shed_rate": ("requests shed (%)", 100.0),
    "mean_s": ("mean residence time (ms)", 1e3), "p50_s": ("P50 (ms)", 1e3), "p95_s": ("P95 (ms)", 1e3),
    "p99_s": ("P99 (ms)", 1e3),
}  # fmt: skip
_WIDTH = 0.6
"""Of the distance between windows, at least."""
_SECONDS_A_DAY = 86_400.0
_MINUTES_FROM, _HOURS_FROM = 600.0, 36_000.0


def plot_drift(report: DriftReport, *, metric: str = "p95_s", ax: Axes | None = None) -> Axes:
    """One metric window by window: measured, the prediction interval, and since when it drifts.

    Parameters
    ----------
    report : DriftReport
    metric : str, default "p95_s"
    ax : Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For a metric that was not compared.
    """
    if metric not in report.metrics:
        raise InputError(f"{metric} was not compared; drawn can be {', '.join(report.metrics)}.")
    axes = new_axes(ax)
    label, scale = _LABELS[metric]
    shown = [item for item in report.windows if metric in item.values]
    places = _Places.of(report)
    for item in shown:
        _draw(axes, places, item, item.values[metric], scale)
    _mark_drift(axes, places, report, metric)
    found = report.metrics[metric]
    said = f"{change_text(found)} against the model" if found.pattern == "drift" else found.pattern
    axes.set_title(f"{label.partition(' (')[0]}: {'inside' if said == 'none' else said}", loc="left", fontsize=10)
    axes.set_ylabel(label)
    axes.set_ylim(0.0, _top(shown, metric, scale))
    places.label(axes)
    tidy(axes)
    legend_below(axes, _legend(report, metric, shown), columns=2)
    return axes


class _Places:
    """Where windows stand on the axis of time: dates where the source has them, else seconds, minutes or hours."""

    def __init__(self, first_s: float, length_s: float, first: datetime | None, least_s: float) -> None:
        self.first_s, self.first, self.least_s = first_s, first, least_s
        self.unit_s, self.unit = (
            (3_600.0, "h") if length_s >= _HOURS_FROM else (60.0, "min") if length_s >= _MINUTES_FROM else (1.0, "s")
        )

    @classmethod
    def of(cls, report: DriftReport) -> _Places:
        seen = [item.observed for item in report.windows]
        first = datetime.fromisoformat(seen[0].begins) if seen[0].begins else None
        apart_s = np.median(np.diff([item.start_s for item in seen])) if len(seen) > 1 else 0.0
        return cls(seen[0].start_s, seen[-1].end_s - seen[0].start_s, first, _WIDTH * float(apart_s))

    def ends(self, item: JudgedWindow) -> tuple[float, float]:
        """A window's ends; short ones far apart are drawn wider, or nobody would see them."""
        seen = item.observed
        middle_s, half_s = (seen.start_s + seen.end_s) / 2, max(seen.window_s, self.least_s) / 2
        return self.at(middle_s - half_s), self.at(middle_s + half_s)

    def at(self, time_s: float) -> float:
        if self.first is not None:
            first: float = dates.date2num(self.first)  # type: ignore[no-untyped-call]
            return first + (time_s - self.first_s) / _SECONDS_A_DAY
        return (time_s - self.first_s) / self.unit_s

    def label(self, axes: Axes) -> None:
        if self.first is None:
            axes.set_xlabel(f"time since the first window ({self.unit})")
            return
        locator = dates.AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.set_xlabel(f"time ({self.first.tzname() or 'UTC'})")


def _draw(axes: Axes, places: _Places, item: JudgedWindow, value: JudgedValue, scale: float) -> None:
    start, end = places.ends(item)
    low, high = (scale * bound for bound in value.measured)
    axes.fill_between(
        [start, end], scale * value.predicted.low, scale * value.predicted.high, color=SKY_BLUE, alpha=0.45, linewidth=0
    )
    axes.plot([start, end], [scale * value.predicted.mid] * 2, color=BLUE, linewidth=1.2)
    middle, is_out = (start + end) / 2, not value.is_inside
    axes.plot([middle, middle], [low, high], color=BLACK, linewidth=1.2)
    marker, size, colour = ("X", 9, VERMILION) if value.is_beyond else ("D", 5, BLACK) if is_out else ("o", 4, BLACK)
    axes.plot([middle], [(low + high) / 2], marker, color=colour, markersize=size, markeredgecolor=BLACK)


def _mark_drift(axes: Axes, places: _Places, report: DriftReport, metric: str) -> None:
    since = report.metrics[metric].since
    if since is not None:
        axes.axvline(places.ends(report.windows[since - 1])[0], color=VERMILION, linewidth=1.2, linestyle="--")


def _top(shown: list[JudgedWindow], metric: str, scale: float) -> float:
    """Above all that is drawn, and at least 1 % of requests shed."""
    ends = [max(item.values[metric].measured[1], item.values[metric].predicted.high) for item in shown]
    return max(1.12 * scale * max(ends), 1.0 if metric == "shed_rate" else 0.0)


def _legend(report: DriftReport, metric: str, shown: list[JudgedWindow]) -> list[Artist]:
    values = [item.values[metric] for item in shown]
    handles: list[Artist] = [
        Patch(facecolor=SKY_BLUE, alpha=0.45, label=f"predicted, {report.level:.0%} of such windows"),
        Line2D([], [], color=BLACK, marker="o", linewidth=0, markersize=4, label="measured"),
    ]
    if any(not value.is_inside and not value.is_beyond for value in values):
        handles.append(Line2D([], [], color=BLACK, marker="D", linewidth=0, markersize=5, label="outside its interval"))
    if any(value.is_beyond for value in values):
        handles.append(
            Line2D([], [], color=VERMILION, marker="X", linewidth=0, markersize=9, markeredgecolor=BLACK,
                   label="beyond the series' limit")
        )  # fmt: skip
    if report.metrics[metric].since is not None:
        handles.append(Line2D([], [], color=VERMILION, linestyle="--", linewidth=1.2, label="drifts since"))
    return handles
