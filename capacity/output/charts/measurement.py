"""Charts of what was measured and what the model makes of it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from capacity.output.charts.style import BLACK, BLUE, GREY, ORANGE, VERMILION, amount_axis, legend_below, new_axes, tidy
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.recording import LoadStep, Recording
from simulations.analysis.capacity_curve import CapacityCurve, InstanceCapacity

_LABELS = {
    "throughput_rps": ("requests per second", 1.0),
    "goodput_rps": ("served requests per second", 1.0),
    "shed_rate": ("share of requests shed", 1.0),
    "mean_s": ("mean residence time (ms)", 1e3),
    "p50_s": ("median residence time (ms)", 1e3),
    "p95_s": ("95th percentile of residence time (ms)", 1e3),
    "p99_s": ("99th percentile of residence time (ms)", 1e3),
}


_Floats = NDArray[np.float64]

_LOADS = {Quantity.RPS: "arrival rate (requests per second)"}


def plot_load_test_fit(
    recording: Recording,
    predicted: CapacityCurve,
    *,
    metric: str = "p95_s",
    held_out: Collection[int] = (),
    calibrated: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Measured steps against the calibrated model's prediction band.

    Parameters
    ----------
    recording : Recording
        Its steps are drawn as points with their confidence intervals.
    predicted : CapacityCurve
        Prediction intervals over users (`simulations.predict_curve`).
    metric : str, default "p95_s"
        One of the recording's step metrics.
    held_out : collection of int
        Numbers of the steps that the calibration has not seen; drawn hollow.
    calibrated : tuple of float, optional
        Lightest and heaviest calibrated load (`CalibrationResult.users_range`); loads outside are shaded.
    ax : Axes, optional
        Where to draw; default: a new figure.
    """
    label, scale = _label_of(metric)
    axes = new_axes(ax)
    low, mid, high = (values * scale for values in predicted.metric(metric))
    level = next(iter(predicted.points)).metrics[metric].level
    axes.fill_between(
        predicted.users, low, high, color=BLUE, alpha=0.2, linewidth=0, label=f"model, {level:.0%} interval"
    )
    axes.plot(predicted.users, mid, color=BLUE, linewidth=1.8, label="model")
    used = [step for step in recording.steps if step.step not in held_out]
    unseen = [step for step in recording.steps if step.step in held_out]
    _points(axes, used, metric, scale, "measured, calibrated on", filled=True)
    _points(axes, unseen, metric, scale, "measured, held out", filled=False)
    axes.set_xlabel("users")
    amount_axis(axes, label)
    if metric == "shed_rate":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(left=0)
    if calibrated is not None:
        _shade_outside(axes, *calibrated)
    tidy(axes)
    axes.set_title("Load test against model", loc="left")
    axes.legend(loc="best", frameon=False, fontsize=9)
    return axes


def _shade_outside(axes: Axes, lightest: float, heaviest: float) -> None:
    """Hatch the loads that no calibrated step covers."""
    left, right = axes.get_xlim()
    spans = [(begin, end) for begin, end in ((left, lightest), (heaviest, right)) if end > begin]
    for place, (begin, end) in enumerate(spans):
        axes.axvspan(
            begin, end, facecolor=GREY, alpha=0.15, hatch="///", edgecolor=GREY, linewidth=0, zorder=0,
            label="outside the calibrated loads" if place == 0 else None,
        )  # fmt: skip
    axes.set_xlim(left, right)


def plot_capacity_curve(
    curve: CapacityCurve,
    *,
    measured: CapacityCurve | None = None,
    capacity: InstanceCapacity | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Requests sent and served per second over the load, with the capacity marked.

    Parameters
    ----------
    curve : CapacityCurve
        Drawn as lines with bands.
    measured : CapacityCurve, optional
        Drawn as points.
    capacity : InstanceCapacity, optional
        Drawn as a vertical line with its interval; its maximum as a second one.
    ax : Axes, optional
        Where to draw; default: a new figure.
    """
    axes = new_axes(ax)
    for metric, colour, style, name in (
        ("throughput_rps", ORANGE, (0, (5, 2)), "sent"),
        ("goodput_rps", BLUE, "-", "served"),
    ):
        low, mid, high = curve.metric(metric)
        axes.fill_between(curve.load, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(curve.load, mid, color=colour, linestyle=style, linewidth=1.8, label=f"{name} ({curve.source})")
        if measured is not None:
            marker = "s" if metric == "throughput_rps" else "o"
            axes.plot(
                measured.load, measured.metric(metric)[1], marker, color=colour, markeredgecolor="black",
                markersize=6, label=f"{name} ({measured.source})",
            )  # fmt: skip
    if capacity is not None:
        _refuse_other_quantity(curve, capacity)
        unit = capacity.quantity.value
        text = f"capacity within the objective: {capacity.value.format('.4g')} {unit}"
        _mark(axes, capacity.value, VERMILION, "-", text)
        if capacity.max_value is not None and capacity.max_value.mid != capacity.value.mid:
            text = f"largest load without undue shedding: {capacity.max_value.format('.4g')} {unit}"
            _mark(axes, capacity.max_value, GREY, ":", text)
    axes.set_xlabel(_LOADS.get(curve.quantity, curve.quantity.value))
    amount_axis(axes, "requests per second")
    axes.set_xlim(left=0)
    tidy(axes)
    axes.set_title("Capacity of one instance", loc="left")
    legend_below(axes, axes.get_legend_handles_labels()[0])
    return axes


def plot_steady_windows(recording: Recording, *, ax: Axes | None = None) -> Axes:
    """Requests per second (below) and P95 of served requests (above), second by second; what does not count is shaded.

    Parameters
    ----------
    recording : Recording
        One with single requests.
    ax : Axes, optional
        Where to draw; default: a new figure. The P95 has an axis of its own on the right.

    Raises
    ------
    InputError
        When the recording has no single requests.
    """
    if recording.requests.empty:
        raise InputError("The recording has no single requests, so nothing can be drawn second by second.")
    axes = new_axes(ax)
    seconds, rate, p95_ms = _per_second(recording)
    _shade(axes, recording.steps, float(seconds[-1]) + 1.0)
    axes.step(seconds, rate, where="post", color=BLUE, linewidth=1.2, label="requests per second")
    for step in recording.steps:
        axes.text(
            (step.start_s + step.end_s) / 2, 1.0, f"{step.users:,} users", ha="center", va="bottom", fontsize=9,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    times = axes.twinx()
    times.step(seconds, p95_ms, where="post", color=VERMILION, linewidth=1.2, label="P95 of served requests")
    amount_axis(times, "P95 of residence time (ms)")
    times.spines["top"].set_visible(False)
    axes.set_xlabel("time since the start of the recording (s)")
    amount_axis(axes, "requests per second")
    axes.set_xlim(0, float(seconds[-1]) + 1.0)
    tidy(axes)
    _into_lanes(axes, times, float(rate.max()), float(np.nanmax(p95_ms, initial=0.0)))
    axes.set_title("Steady windows", loc="left", pad=18)
    legend_below(axes, [*axes.get_legend_handles_labels()[0], *times.get_legend_handles_labels()[0]])
    return axes


def _into_lanes(below: Axes, above: Axes, most_below: float, most_above: float) -> None:
    """One series in the lower half, the other in the upper one, so that they do not cross; both from 0."""
    ticks = MaxNLocator(nbins=4)
    for axes, most, bottom in ((below, most_below, 0.0), (above, most_above, 1.0)):
        lane = 1.1 * max(most, 1e-9)
        axes.set_ylim(-bottom * lane, (2.0 - bottom) * lane)
        axes.set_yticks([tick for tick in ticks.tick_values(0.0, lane) if 0.0 <= tick <= lane])
        axes.yaxis.label.set_y(0.25 + 0.5 * bottom)
    above.axhline(0.0, color=BLACK, linewidth=0.8)


def _per_second(recording: Recording) -> tuple[_Floats, _Floats, _Floats]:
    """Begin of each second, requests that finished in it, and the P95 (ms) of those served; NaN without any."""
    requests = recording.requests
    finish = requests["finish_s"].to_numpy(dtype=float)
    second = np.floor(np.maximum(finish, 0.0)).astype(np.int64)
    seconds = np.arange(int(second.max()) + 1)
    times_ms = (requests["finish_s"] - requests["start_s"])[requests["outcome"] == "served"] * 1e3
    p95_ms = times_ms.groupby(second[requests["outcome"] == "served"]).quantile(0.95).reindex(seconds)
    rate = np.bincount(second, minlength=seconds.size).astype(float)
    return seconds.astype(float), rate, p95_ms.to_numpy(dtype=float)


def _shade(axes: Axes, steps: Collection[LoadStep], end_s: float) -> None:
    """Grey where no window is, hatched where the users were running but had not settled."""
    ordered = sorted(steps, key=lambda step: step.start_s)
    cuts = [0.0 if step.cut is None else step.cut.seconds for step in ordered]
    starts = [0.0, *(step.end_s for step in ordered)]
    ends = [*(step.start_s - cut for step, cut in zip(ordered, cuts, strict=True)), end_s]
    ramps = [(start, end) for start, end in zip(starts, ends, strict=True) if end > start]
    warm_ups = [(step.start_s - cut, step.start_s) for step, cut in zip(ordered, cuts, strict=True) if cut > 0]
    for spans, colour, hatch, label in (
        (ramps, GREY, None, "ramp, or no steady window"), (warm_ups, ORANGE, "///", "warm-up, cut"),
    ):  # fmt: skip
        for place, (start, end) in enumerate(spans):
            axes.axvspan(
                start, end, facecolor=colour, alpha=0.25, hatch=hatch, edgecolor=colour, linewidth=0,
                label=label if place == 0 else None,
            )  # fmt: skip


def _label_of(metric: str) -> tuple[str, float]:
    if metric not in _LABELS:
        raise InputError(f"The metric {metric!r} cannot be drawn; choose one of {', '.join(_LABELS)}.")
    return _LABELS[metric]


def _points(axes: Axes, steps: Collection[LoadStep], metric: str, scale: float, label: str, *, filled: bool) -> None:
    if not steps:
        return
    intervals = [step.metrics[metric] for step in steps]
    mid = np.array([item.mid for item in intervals]) * scale
    errors = (
        np.array([[item.mid - item.low for item in intervals], [item.high - item.mid for item in intervals]]) * scale
    )
    axes.errorbar(
        [step.users for step in steps], mid, yerr=errors, fmt="o" if filled else "D", color="black",
        markerfacecolor="black" if filled else "white", markersize=6 if filled else 7, capsize=3, linewidth=1.2,
        label=label,
    )  # fmt: skip


def _refuse_other_quantity(curve: CapacityCurve, capacity: InstanceCapacity) -> None:
    if capacity.quantity != curve.quantity:
        raise InputError(
            f"The capacity counts {capacity.quantity}, the curve {curve.quantity}; draw both over the same quantity."
        )


def _mark(axes: Axes, value: Interval, colour: str, style: str, label: str) -> None:
    if value.high > value.low:
        axes.axvspan(value.low, value.high, color=colour, alpha=0.15, linewidth=0)
    axes.axvline(value.mid, color=colour, linestyle=style, linewidth=1.6, label=label)
