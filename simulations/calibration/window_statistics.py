"""Statistics of a window that tell a server outside the model family from one inside it.

Positive ones are given as logarithms, so that differences are relative and their spread is nearly normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from simulations.calibration.window_rows import Floats, WindowRows

QUANTILES: Floats = np.asarray((np.arange(200) + 0.5) / 200.0, dtype=np.float64)
"""Probabilities at which windows are compared."""
FEW_INSIDE = 10.0
"""Added to the largest number inside before its logarithm is taken."""
_LEAST_REQUESTS = 50
_LEAST_USERS = 5
_LEAST_SHED = 20
_WAVE_S, _INTERVAL_S = 1.0, 2.0
_FEWEST_INTERVALS, _MOST_INTERVALS = 5, 60
_FAR_INSIDE = 0.99
_LOW_QUANTILE = 0.1


@dataclass(frozen=True)
class WindowSummary:
    """What comparisons need of one window.

    Parameters
    ----------
    statistics : dict of str to float
        NaN where the window cannot tell.
    quantiles_s : array, shape (len(QUANTILES),)
        Of the residence times of served requests, seconds.
    series : dict of str to array, shape (intervals,)
        ``throughput_rps``, ``shed_rps`` and ``mean_s`` in equal intervals of time.
    """

    statistics: dict[str, float]
    quantiles_s: Floats = field(repr=False)
    series: dict[str, Floats] = field(repr=False)


def summarise(rows: WindowRows) -> WindowSummary:
    """All statistics of one window.

    Parameters
    ----------
    rows : WindowRows

    Returns
    -------
    WindowSummary
    """
    times_s = rows.residence_s[rows.counted]
    quantiles_s = np.quantile(times_s, QUANTILES) if times_s.size else np.full(QUANTILES.size, math.nan)
    statistics = {
        "goodput": _log(times_s.size / rows.window_s), "mean": _log(float(times_s.mean()) if times_s.size else 0.0),
        "shed_rate": float(np.mean(rows.turned_away[rows.finished])) if rows.finished.any() else math.nan,
        "low_quantile": low_quantile(rows), "most_inside": most_inside(rows), "disorder": disorder(rows),
        "line_correlation": line_correlation(rows), "slope": slope(rows), "user_spread": user_spread(rows),
        "admission_contrast": admission_contrast(rows), "shed_waves": shed_waves(rows),
    }  # fmt: skip
    return WindowSummary(statistics, quantiles_s, _series(rows))


def low_quantile(rows: WindowRows) -> float:
    """Logarithm of the 10th percentile of residence: mostly requests that waited little."""
    times_s = rows.residence_s[rows.counted]
    return _log(float(np.quantile(times_s, _LOW_QUANTILE))) if times_s.size >= _LEAST_REQUESTS else math.nan


def most_inside(rows: WindowRows) -> float:
    """Logarithm of the number inside that one request in a hundred finds or more, and `FEW_INSIDE` more.

    A gate bounds it. It is no largest number: that is made by one short stall, which the trust checks of a recording
    judge. The few more make one more of a few, which chance makes, a small difference.
    """
    inside = rows.inside_at_sending[rows.sent]
    if inside.size < _LEAST_REQUESTS:
        return math.nan
    return _log(float(np.quantile(inside, _FAR_INSIDE, method="higher")) + 1.0 + FEW_INSIDE)


def disorder(rows: WindowRows) -> float:
    """Logarithm of how many places a request's rank among departures differs from its rank among arrivals.

    Spearman's footrule [1]_ a request, over the mean number inside: an arrival order that a server keeps
    up to its workers gives little, any other order of service gives about the number inside.

    References
    ----------
    .. [1] P. Diaconis, R. L. Graham, "Spearman's footrule as a measure of disarray", JRSS B 39, 1977.
    """
    chosen = rows.served & rows.sent
    if chosen.sum() < _LEAST_REQUESTS:
        return math.nan
    finish_s = rows.finish_s[chosen]
    rank = np.empty(finish_s.size)
    rank[np.argsort(finish_s, kind="stable")] = np.arange(finish_s.size)
    inside = max(float(rows.inside_at_sending[chosen].mean()), 1.0)
    return _log(float(np.mean(np.abs(rank - np.arange(finish_s.size)))) / inside)


def line_correlation(rows: WindowRows) -> float:
    """Correlation of a request's residence time with the number that it found inside: a line makes late ones wait."""
    chosen = rows.counted
    inside, times_s = rows.inside_at_sending[chosen], rows.residence_s[chosen]
    if chosen.sum() < _LEAST_REQUESTS or not np.std(inside) or not np.std(times_s):
        return math.nan
    return float(np.corrcoef(inside, times_s)[0, 1])


def slope(rows: WindowRows) -> float:
    """Relative change of residence times over the window, other things inside being equal.

    Least squares of their logarithms on time and on the number that each request found inside, so that a line
    which grows or drains does not pass for a server that changes.
    """
    chosen = rows.served & rows.sent
    if chosen.sum() < _LEAST_REQUESTS:
        return math.nan
    inside = rows.inside_at_sending[chosen]
    columns = np.column_stack(
        [np.ones(inside.size), rows.start_s[chosen] / rows.window_s - 0.5, inside, np.log1p(np.maximum(inside, 0.0))]
    )
    times = np.log(np.maximum(rows.residence_s[chosen], 1e-9))
    return float(np.linalg.lstsq(columns, times, rcond=None)[0][1])


def user_spread(rows: WindowRows) -> float:
    """Logarithm of variance over mean of the requests that each user got done, those who got none included."""
    if rows.users < _LEAST_USERS or not rows.knows_users or not rows.counted.any():
        return math.nan
    _, each = np.unique(rows.user[rows.counted], return_counts=True)
    counts = np.concatenate([each, np.zeros(max(rows.users - each.size, 0))])
    return _log((float(np.var(counts)) + 0.1) / float(np.mean(counts)))


def admission_contrast(rows: WindowRows) -> float:
    """Probability that a request that was turned away found more inside than one that was served (ties half).

    About 1 behind a gate, which turns away exactly when it is full (the area under a ROC curve).
    """
    shed, served = (rows.inside_at_sending[flag & rows.sent] for flag in (rows.turned_away, rows.served))
    if shed.size < _LEAST_SHED or served.size < _LEAST_SHED:
        return math.nan
    ordered = np.sort(served)
    below, upto = np.searchsorted(ordered, shed, "left"), np.searchsorted(ordered, shed, "right")
    return float(np.mean(below + upto) / (2 * served.size))


def shed_waves(rows: WindowRows) -> float:
    """Logarithm of variance over mean of the requests turned away in each second."""
    times_s = rows.start_s[rows.turned_away & rows.sent]
    if times_s.size < _LEAST_SHED:
        return math.nan
    edges = np.linspace(0.0, rows.window_s, max(int(rows.window_s / _WAVE_S), _FEWEST_INTERVALS) + 1)
    counts = np.histogram(times_s, edges)[0]
    return _log((float(np.var(counts)) + 0.1) / float(np.mean(counts)))


def wasserstein(first_s: Floats, second_s: Floats) -> float:
    """Wasserstein distance of two distributions given by their `QUANTILES`: the mean distance of quantiles."""
    return float(np.mean(np.abs(first_s - second_s)))


def _series(rows: WindowRows) -> dict[str, Floats]:
    intervals = int(np.clip(rows.window_s / _INTERVAL_S, _FEWEST_INTERVALS, _MOST_INTERVALS))
    edges = np.linspace(0.0, rows.window_s, intervals + 1)
    length_s = rows.window_s / intervals
    finished, shed, counted = (
        np.histogram(rows.finish_s[flag], edges)[0].astype(float)
        for flag in (rows.finished, rows.turned_away & rows.finished, rows.counted)
    )
    total_s = np.histogram(rows.finish_s[rows.counted], edges, weights=rows.residence_s[rows.counted])[0]
    mean_s = np.where(counted > 0, total_s / np.maximum(counted, 1.0), math.nan)
    return {"throughput_rps": finished / length_s, "shed_rps": shed / length_s, "mean_s": mean_s}


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan
