"""Charts of how well a calibrated model fits: quantile against quantile, parameters, residuals over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from capacity.output.charts.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILION, new_axes, tidy
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from simulations.calibration.fit_quality import StepFit, StepResiduals
from simulations.calibration.result import CalibrationResult

_SERIES = {
    "shed_rps": ("requests shed a second", VERMILION, "-"),
    "throughput_rps": ("requests a second", BLUE, (0, (5, 1.5))),
    "mean_s": ("mean residence time", GREY, (0, (1, 1))),
}
_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY_BLUE, BLACK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_NOISE = 2.0
_MOST_RESIDUAL = 12.0
_BINS = 24
_UNITS = {"_s": ("ms", 1e3)}


def plot_quantile_quantile(fits: Sequence[StepFit], *, ax: Axes | None = None) -> Axes:
    """Quantiles of served residence times, simulated against measured, on logarithmic axes.

    Parameters
    ----------
    fits : sequence of StepFit
        `simulations.goodness_of_fit`; each step is drawn in a colour and with a marker of its own.
        Bars: where nine in ten simulated windows lie. On the diagonal the two agree.
    ax : Axes, optional
        Where to draw; default: a new figure.

    Raises
    ------
    InputError
        Without any step.
    """
    if not fits:
        raise InputError("No step has single requests, so there are no quantiles to draw; record with a request log.")
    axes = new_axes(ax, size=(6.0, 5.6))
    for place, item in enumerate(fits):
        _quantiles(axes, item, place)
    ends = [value * 1e3 for item in fits for pair in item.pairs for value in (pair.measured_s, pair.low_s, pair.high_s)]
    low, high = 0.85 * max(min(ends), 1e-6), 1.15 * max(ends)
    axes.plot([low, high], [low, high], color=BLACK, linewidth=0.9, zorder=1)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("measured residence time (ms)")
    axes.set_ylabel("simulated residence time (ms)")
    _plain_logarithms(axes)
    tidy(axes)
    axes.grid(visible=True, axis="x", color=GREY, alpha=0.25, linewidth=0.7)
    axes.set_title("Quantiles of residence times", loc="left")
    axes.legend(loc="upper left", frameon=False, fontsize=8, title="users: distance (noise)", title_fontsize=8)
    return axes


def _plain_logarithms(axes: Axes) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, written out."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())


def _quantiles(axes: Axes, item: StepFit, place: int) -> None:
    """Filled markers for the first steps, hollow ones once the colours are used up."""
    colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
    measured, simulated, low, high = (
        np.array([getattr(pair, name) for pair in item.pairs]) * 1e3
        for name in ("measured_s", "simulated_s", "low_s", "high_s")
    )
    label = f"{item.users:,}: {item.distance:.1%} ({item.noise:.1%})"
    face = colour if place < len(_COLOURS) else "white"
    bars = np.maximum([simulated - low, high - simulated], 0.0)
    axes.errorbar(
        measured, simulated, yerr=bars, fmt=marker, color=colour, markersize=4.5, elinewidth=0.8, alpha=0.85,
        markeredgewidth=0.9, markerfacecolor=face, label=label if item.fits else f"{label} off",
    )  # fmt: skip


def plot_parameter_posteriors(fit: CalibrationResult, *, ax: Axes | None = None) -> Axes:
    """Marginal draws of every fitted parameter with its interval, one small panel each.

    Parameters
    ----------
    fit : CalibrationResult
    ax : Axes, optional
        Place for all panels, which share it; default: a new figure.

    Returns
    -------
    Axes
        The place, with the panels as its inset axes (`Axes.child_axes`).
    """
    names = list(fit.draws.names)
    columns = min(len(names), 3)
    rows = math.ceil(len(names) / columns)
    axes = new_axes(ax, size=(3.0 * columns, 0.5 + 2.1 * rows))
    axes.set_axis_off()
    axes.set_title("What the recording tells of the parameters", loc="left")
    for place, name in enumerate(names):
        panel = axes.inset_axes(_place(place, rows, columns))
        values = np.asarray(fit.draws.values[:, place], dtype=float)
        _posterior(panel, name, values, fit.parameters.get(name), known=fit.identified.get(name, True))
    return axes


def _place(place: int, rows: int, columns: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a panel as shares, with room for its title above and its ticks below."""
    row, column = divmod(place, columns)
    width, height = 1.0 / columns, 1.0 / rows
    return (column * width + 0.03 * width, 1.0 - (row + 1) * height + 0.22 * height, 0.9 * width, 0.55 * height)


def _posterior(panel: Axes, name: str, values: NDArray[np.float64], interval: Interval | None, *, known: bool) -> None:
    unit, scale = next((told for end, told in _UNITS.items() if _stem(name).endswith(end)), ("", 1.0))
    shown = values[np.isfinite(values)] * scale
    panel.hist(shown, bins=_bins(shown).tolist(), color=BLUE if known else GREY, alpha=0.55, linewidth=0)
    if interval is not None:
        panel.axvline(interval.mid * scale, color=BLACK, linewidth=1.4)
        for end in (interval.low, interval.high):
            panel.axvline(end * scale, color=BLACK, linewidth=1.0, linestyle=(0, (4, 2)))
    panel.set_yticks([])
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.xaxis.set_major_locator(MaxNLocator(nbins=4))
    panel.tick_params(labelsize=8)
    words = name.replace("_", " ") if not unit else _without_unit(name).replace("_", " ")
    panel.set_title(f"{words}{f' ({unit})' if unit else ''}{'' if known else ', not told'}", fontsize=9, loc="left")


def _bins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole counts have a bar each where there are few of them."""
    low, high = float(values.min(initial=math.inf)), float(values.max(initial=-math.inf))
    if not values.size or low == high:
        middle = low if values.size else 0.0
        return np.array([middle - 0.5, middle + 0.5])
    if np.all(values == np.round(values)) and high - low <= _BINS:
        return np.arange(low - 0.5, high + 1.0)
    return np.linspace(low, high, _BINS + 1)


def _stem(name: str) -> str:
    return name.split("[")[0]


def _without_unit(name: str) -> str:
    stem = _stem(name)
    return stem.removesuffix("_s") + name[len(stem) :]


def plot_residuals_over_time(
    residuals: Sequence[StepResiduals], *, metrics: Sequence[str] = ("shed_rps", "mean_s"), ax: Axes | None = None
) -> Axes:
    """Standardised residuals in intervals of time, step by step; a gate that forgets makes a sawtooth of them.

    Parameters
    ----------
    residuals : sequence of StepResiduals
        `simulations.residuals_over_time`.
    metrics : sequence of str, default ("shed_rps", "mean_s")
        Any of ``shed_rps``, ``throughput_rps``, ``mean_s``.
    ax : Axes, optional
        Where to draw; default: a new figure. Time between the steps is left out.

    Raises
    ------
    InputError
        Without any step, or for a metric that residuals do not have.
    """
    unknown = sorted(set(metrics) - set(_SERIES))
    if unknown or not residuals:
        raise InputError(
            f"Residuals of {', '.join(unknown)} cannot be drawn; choose of {', '.join(_SERIES)}." if unknown
            else "No step has single requests, so there are no residuals over time; record with a request log."
        )  # fmt: skip
    axes = new_axes(ax, size=(10.0, 4.2))
    axes.axhspan(
        -_NOISE, _NOISE, color=GREY, alpha=0.15, linewidth=0, label="nineteen in twenty, if the model is right"
    )
    axes.axhline(0.0, color=BLACK, linewidth=0.8)
    start_s = 0.0
    for place, item in enumerate(residuals):
        start_s = _residuals(axes, item, metrics, start_s, labelled=place == 0)
    _limit(axes, residuals, metrics)
    axes.set_xlim(0.0, start_s)
    axes.text(-0.01, 1.01, "users:", fontsize=8, ha="right", va="bottom", transform=axes.transAxes)
    axes.set_xlabel("steady time, steps end to end (s)")
    axes.set_ylabel("residual (standard deviations)")
    tidy(axes)
    axes.set_title("Measured minus simulated over time", loc="left", pad=20)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4, frameon=False, fontsize=9)
    return axes


def _residuals(axes: Axes, item: StepResiduals, metrics: Sequence[str], start_s: float, *, labelled: bool) -> float:
    """Draw one step from `start_s` on; return where it ends."""
    times = np.array(item.time_s)
    length_s = float(times[1] - times[0])
    shown = start_s + (np.arange(times.size) + 0.5) * length_s
    end_s = start_s + times.size * length_s
    for metric in metrics:
        label, colour, style = _SERIES[metric]
        values = np.clip(item.residuals[metric], -_MOST_RESIDUAL, _MOST_RESIDUAL)
        axes.plot(shown, values, color=colour, linestyle=style, linewidth=1.4, label=label if labelled else None)
    axes.axvline(end_s, color=GREY, linewidth=0.6)
    axes.text(
        (start_s + end_s) / 2, 1.01, f"{item.users:,}", fontsize=8, ha="center", va="bottom",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    return end_s


def _limit(axes: Axes, residuals: Sequence[StepResiduals], metrics: Sequence[str]) -> None:
    values = np.abs([value for item in residuals for name in metrics for value in item.residuals[name]])
    most = float(np.max(values[np.isfinite(values)], initial=0.0))
    limit = 1.1 * min(max(most, 1.5 * _NOISE), _MOST_RESIDUAL)
    axes.set_ylim(-limit, limit)
    if most > _MOST_RESIDUAL:
        axes.annotate(
            f"cut at {_MOST_RESIDUAL:g}; the largest is {most:,.3g}", (0.995, 0.02), xycoords="axes fraction",
            ha="right", fontsize=8, color=GREY,
        )  # fmt: skip
