"""Chart of a forecast: the past, the fan of the coming months, and what the backtest says."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from capacity.demand.forecast_result import DemandForecast, share_text
from capacity.demand.forecast_scores import model_rows
from capacity.demand.history import iso
from capacity.demand.history_table import MONTH_S
from capacity.demand.quantile_scores import LEVEL, MEDIAN, QUANTILES
from capacity.output.charts.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    amount_axis,
    legend_below,
    new_axes,
    tidy,
    unit_of,
)

_INNER = (0.25, 0.75)
_LEAST_PAST, _MOST_PAST = 24, 60  # months


def plot_forecast(forecast: DemandForecast, *, ax: Axes | None = None) -> Axes:
    """Draw past period peaks, the fan of the coming months, and the backtest's coverage above.

    The past is the peaks that the models saw, two to five years of them, times the
    factor inside the sampling interval; an arrow upwards marks a peak that is a
    lower bound because requests were shed. Past events, which the models did not see,
    are diamonds, and so are the medians of coming months with an event.

    Parameters
    ----------
    forecast : DemandForecast
    ax : matplotlib Axes, optional
        Where to draw; absent: a new figure, reached as ``ax.figure``.

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(ax)
    handles = [*_draw_past(ax, forecast), *_draw_fan(ax, forecast)]
    ax.axvline(0.0, color=GREY, linewidth=0.8, linestyle=":")
    ax.set_xlim(right=forecast.design.horizon_months + 0.5)
    end = iso(forecast.history.end_s)[:10]
    ax.set_xlabel(f"months from the end of the history, {end}")
    amount_axis(ax, f"peak load ({unit_of(forecast.quantity)})")
    tidy(ax)
    ax.set_title(f"Forecast by {forecast.model.name}", loc="left", pad=34)
    ax.annotate(
        backtest_caption(forecast), (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=9,
        color=GREY, va="bottom",
    )  # fmt: skip
    legend_below(ax, handles, columns=3)
    return ax


def backtest_caption(forecast: DemandForecast) -> str:
    """What the intervals are worth, in two lines."""
    row = model_rows(forecast.tested, forecast.chosen)[forecast.chosen]
    recalibrated = forecast.recalibration.origins > 0
    share = share_text(row["coverage"])
    how = "recalibrated" if recalibrated else "not recalibrated"
    return (
        f"backtest: 90 % intervals ({how}) held {share} of the months\n"
        f"at {row['origins']} origins ({row['effective_origins']:.1f} effective); pinball loss {row['pinball']:.3f}"
    )


def _draw_past(ax: Axes, forecast: DemandForecast) -> list[Artist]:
    peaks, factor = forecast.peaks, forecast.factor.low_mid_high[1]
    months = (peaks.ends_s - forecast.history.end_s - peaks.length_s / 2) / MONTH_S
    shown = months > -np.clip(4 * forecast.design.horizon_months, _LEAST_PAST, _MOST_PAST)
    values = peaks.peaks * factor
    plain = shown & ~peaks.censored
    label = f"peak of each {peaks.period}"
    line = ax.plot(months[shown], values[shown], color=BLACK, linewidth=0.8, zorder=2)[0]
    ax.plot(months[plain], values[plain], color=BLACK, linestyle="none", marker="o", markersize=2.5, zorder=3)
    line.set_label(label)
    handles: list[Artist] = [Line2D([], [], color=BLACK, linewidth=0.8, marker="o", markersize=3, label=label)]
    bound = shown & peaks.censored
    if bound.any():
        (mark,) = ax.plot(
            months[bound], values[bound], color=ORANGE, linestyle="none", marker="^", markersize=7, zorder=4,
            label="lower bound (requests shed)",
        )  # fmt: skip
        handles.append(mark)
    return handles + _draw_past_events(ax, forecast, float(months[shown].min()))


def _draw_past_events(ax: Axes, forecast: DemandForecast, from_month: float) -> list[Artist]:
    end, factor = forecast.history.end_s, forecast.factor.low_mid_high[1]
    places = [((item.start_s + item.end_s) / 2 - end) / MONTH_S for item in forecast.events.past]
    shown = [
        (place, item.peak * factor) for place, item in zip(places, forecast.events.past, strict=True)
        if place > from_month and np.isfinite(item.peak)
    ]  # fmt: skip
    if not shown:
        return []
    (mark,) = ax.plot(
        *zip(*shown, strict=True), color=PURPLE, linestyle="none", marker="D", markersize=5, markerfacecolor="white",
        label="past event (taken out)", zorder=4,
    )  # fmt: skip
    return [mark]


def _draw_fan(ax: Axes, forecast: DemandForecast) -> list[Artist]:
    quantiles = forecast.quantiles
    months = np.arange(1, len(quantiles) + 1) - 0.5
    edges = np.arange(len(quantiles) + 1)
    handles: list[Artist] = []
    points = forecast.to_growth().points[1:]  # their ends hold the uncertainty of the factor inside an interval, too
    outer = [np.array([float(getattr(point, end) or point.peak) for point in points]) for end in ("low", "high")]
    inner = [quantiles[:, QUANTILES.index(end)] for end in _INNER]
    for ends, share, strength in ((outer, LEVEL, 0.22), (inner, _INNER[1] - _INNER[0], 0.40)):
        bottom, upper = (np.append(end, end[-1]) for end in ends)
        handles.append(
            ax.fill_between(
                edges, bottom, upper, step="post", color=BLUE, alpha=strength, linewidth=0,
                label=f"{100 * share:.0f} % interval",
            )
        )  # fmt: skip
    (median,) = ax.plot(
        months, quantiles[:, MEDIAN], color=BLUE, linewidth=2, marker="o", markersize=4, label="median", zorder=3
    )
    far = [math.nan if point.p99 is None else point.p99 for point in points]
    (top,) = ax.plot(
        months, far, color=VERMILION, linestyle="none", marker="_", markersize=8, markeredgewidth=2,
        label="99 % quantile", zorder=3,
    )  # fmt: skip
    with_event = [month for month in range(1, len(quantiles) + 1) if forecast.month_events(month)]
    marks: list[Artist] = []
    if with_event:
        (mark,) = ax.plot(
            np.array(with_event) - 0.5, quantiles[np.array(with_event) - 1, MEDIAN], color=BLUE, linestyle="none",
            marker="D", markersize=7, markerfacecolor="white", label="median of a month with an event", zorder=4,
        )  # fmt: skip
        marks.append(mark)
    return [median, *marks, *handles, top]
