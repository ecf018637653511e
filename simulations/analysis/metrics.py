"""What is read off a request log: rates, residence times of served requests, utilizations, conservation.

The same words as in a recording: latencies are of served requests only and as
the client sees them; `shed_rate` is a fraction of all requests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.intervals import Interval
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel

Floats = NDArray[np.float64]

METRIC_NAMES = (
    "throughput_rps",
    "goodput_rps",
    "shed_rate",
    "mean_s",
    "p50_s",
    "p95_s",
    "p99_s",
    "in_flight",
    "busy_workers",
)
_QUANTILES = (0.50, 0.95, 0.99)


@dataclass(frozen=True)
class Window:
    """A stretch of time in a log, seconds; requests belong to it by the moment the client had the answer."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """End minus start."""
        return self.end_s - self.start_s


def full_window(log: RequestLog, warm_up_fraction: float = 0.0) -> Window:
    """From the end of the warm-up to the last arrival: after that the system only drains."""
    if not len(log):
        return Window(0.0, 0.0)
    first, last = float(log.arrival_s[0]), float(log.arrival_s[-1])
    return Window(first + warm_up_fraction * (last - first), last)


def window_metrics(log: RequestLog, window: Window) -> dict[str, float]:
    """Every metric of `METRIC_NAMES` inside a window; NaN where nothing was observed."""
    answered_s = log.departure_s + log.network_round_trip_s
    inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
    served = inside & log.served
    count, good = int(np.count_nonzero(inside)), int(np.count_nonzero(served))
    residence = (answered_s - log.arrival_s)[served]
    p50, p95, p99 = np.quantile(residence, _QUANTILES) if good else (math.nan,) * 3
    length = window.length_s
    return {
        "throughput_rps": count / length if length > 0 else math.nan,
        "goodput_rps": good / length if length > 0 else math.nan,
        "shed_rate": 1.0 - good / count if count else math.nan,
        "mean_s": float(np.mean(residence)) if good else math.nan,
        "p50_s": float(p50),
        "p95_s": float(p95),
        "p99_s": float(p99),
        "in_flight": _mean_inside(log.arrival_s, log.departure_s, window),
        "busy_workers": _mean_inside(log.start_s, log.departure_s, window),
    }


def utilization(found: dict[str, Interval], model: ServerModel) -> dict[str, Interval | None]:
    """Shares of workers, queue, normal and maximum CCU with their intervals; None without a base."""
    inside, busy = found["in_flight"], found["busy_workers"]
    waiting = Interval(
        max(inside.low - busy.high, 0.0),
        max(inside.mid - busy.mid, 0.0),
        max(inside.high - busy.low, 0.0),
        inside.level,
    )
    limits, own = model.limits, model.deployment
    return {
        "workers": _share(busy, limits.workers),
        "gate_normal": _share(inside, own.normal_ccu),
        "gate_max": _share(inside, own.max_ccu),
        "queue": _share(waiting, limits.queue),
    }


def conservation_error(log: RequestLog, window: Window) -> float:
    """Relative difference of mean in flight and throughput times residence (Little's law), inside a window.

    Exact up to the requests that straddle the window's ends, so small for long windows.
    """
    answered_s = log.departure_s
    inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
    by_little = float(np.sum((answered_s - log.arrival_s)[inside])) / window.length_s
    by_time = _mean_inside(log.arrival_s, answered_s, window)
    return abs(by_little - by_time) / by_time if by_time > 0 else 0.0


def _mean_inside(enter_s: Floats, leave_s: Floats, window: Window) -> float:
    """Time average of how many are between entering and leaving."""
    if window.length_s <= 0:
        return math.nan
    overlap = np.minimum(leave_s, window.end_s) - np.maximum(enter_s, window.start_s)
    return float(np.sum(np.maximum(overlap, 0.0))) / window.length_s


def _share(amount: Interval, limit: float | None) -> Interval | None:
    return None if not limit or math.isinf(limit) else amount.scaled(1.0 / limit)
