"""Intervals from one simulation run: batch means after a warm-up.

The run after the warm-up is cut into equal stretches of time, each of which gives
every metric once; `batch_means` makes intervals of them that allow for the
correlation of neighbours.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.intervals import Interval
from simulations.analysis.batch_means import (
    RECOMMENDED_BATCHES,
    BatchInterval,
    batch_interval_from_series,
    batch_share_interval,
)
from simulations.analysis.metrics import METRIC_NAMES, Window, window_metrics
from simulations.analysis.replications import none_seen_interval, student_quantile
from simulations.engines.request_log import RequestLog

__all__ = [
    "BATCHES", "WARM_UP_FRACTION", "batch_estimates", "batch_intervals", "batch_rows", "batch_windows",
    "none_seen_bound", "student_quantile",
]  # fmt: skip

BATCHES = RECOMMENDED_BATCHES
WARM_UP_FRACTION = 0.1


def batch_windows(window: Window, batches: int = BATCHES) -> list[Window]:
    """Equal stretches of a window."""
    edges = np.linspace(window.start_s, window.end_s, batches + 1).tolist()
    return [Window(start, end) for start, end in pairwise(edges)]


def batch_rows(log: RequestLog, window: Window, batches: int = BATCHES) -> list[dict[str, float]]:
    """`window_metrics` of each stretch of a window, in order."""
    # Metrics look at the client's answer and at the server's departure, whichever is later.
    longest_s = float(np.max(np.maximum(log.answered_s, log.departure_s) - log.arrival_s)) if len(log) else 0.0
    return [window_metrics(_inside(log, part, longest_s), part) for part in batch_windows(window, batches)]


def batch_intervals(log: RequestLog, window: Window, level: float, *, cluster_size: float = 1.0) -> dict[str, Interval]:
    """Every metric over the window with its confidence interval from batch means: `batch_estimates`, intervals only."""
    found = batch_estimates(log, window, level, cluster_size=cluster_size)
    return {name: item.interval for name, item in found.items()}


def batch_estimates(
    log: RequestLog, window: Window, level: float, *, cluster_size: float = 1.0
) -> dict[str, BatchInterval]:
    """Every metric over the window, with its interval and whether the run was long enough for it.

    Parameters
    ----------
    log : RequestLog
    window : Window
        After the warm-up.
    level : float
    cluster_size : float, default 1
        Sheds that come together, for the bound where none is seen (`replications.shed_cluster_size`).

    Returns
    -------
    dict of str to BatchInterval
        One each of `METRIC_NAMES`, none below 0.
    """
    whole_run, rows = window_metrics(log, window), batch_rows(log, window)
    columns = {name: np.array([row[name] for row in rows]) for name in METRIC_NAMES}
    found = {name: _estimate(columns[name], whole_run[name], level) for name in METRIC_NAMES}
    requests = columns["throughput_rps"] * window.length_s / len(rows)
    found["shed_rate"] = batch_share_interval(columns["shed_rate"], requests, level, cluster_size=cluster_size)
    return found


def none_seen_bound(trials: int, level: float) -> float:
    """Upper bound of a share of which nothing was seen in independent trials: `none_seen_interval`'s end."""
    return none_seen_interval(trials, level).high


def _estimate(values: NDArray[np.float64], mid: float, level: float) -> BatchInterval:
    """Batch means around the whole run's value; no metric is below 0."""
    if math.isnan(mid):
        return BatchInterval(Interval.unknown(level), 0, math.nan, False)
    found = batch_interval_from_series(values, level=level, mid=mid)
    plain = found.interval
    if not plain.is_known:
        return found
    return replace(found, interval=Interval(max(plain.low, 0.0), plain.mid, plain.high, level))


def _inside(log: RequestLog, window: Window, longest_s: float) -> RequestLog:
    """The requests that can have been inside during a window: its metrics then cost its own length only."""
    first = int(np.searchsorted(log.arrival_s, window.start_s - longest_s, side="left"))
    last = int(np.searchsorted(log.arrival_s, window.end_s, side="right"))
    columns: dict[str, Any] = {item.name: getattr(log, item.name) for item in fields(log)}
    cut: dict[str, Any] = {name: value[first:last] for name, value in columns.items() if isinstance(value, np.ndarray)}
    return replace(log, **cut)
