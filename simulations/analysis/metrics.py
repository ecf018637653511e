"""What is read off a run: rates, residence times of served requests, utilizations, conservation.

The same words as in a recording: latencies are of served requests only and as
the client sees them; `shed_rate` is the fraction of attempts that were turned
away at the gate or the queue; `bad_fraction` that of logical requests that
ended in anything but an answer.
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
QUANTILES = (0.50, 0.95, 0.99)


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
    answered_s = log.answered_s
    inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
    served = inside & log.served
    shed = inside & log.shed
    count, good = int(np.count_nonzero(inside)), int(np.count_nonzero(served))
    residence = (answered_s - log.arrival_s)[served]
    p50, p95, p99 = np.quantile(residence, QUANTILES) if good else (math.nan,) * 3
    length = window.length_s
    return {
        "throughput_rps": count / length if length > 0 else math.nan,
        "goodput_rps": good / length if length > 0 else math.nan,
        "shed_rate": int(np.count_nonzero(shed)) / count if count else math.nan,
        "mean_s": float(np.mean(residence)) if good else math.nan,
        "p50_s": float(p50),
        "p95_s": float(p95),
        "p99_s": float(p99),
        "in_flight": _mean_inside(log.arrival_s, log.departure_s, window),
        "busy_workers": _mean_inside(log.start_s, log.departure_s, window),
    }


def utilization(found: dict[str, Interval], model: ServerModel, instances: int = 1) -> dict[str, Interval | None]:
    """Shares of workers, queue, normal and maximum CCU, database pool and cores with their intervals.

    None without a base. Workers, queue and CCU are time averages. The pool and the cores follow from
    the utilization law U = X D: rate of completed work times the model's mean demand [1]_, plus the
    idle CPU.

    Parameters
    ----------
    found : dict of str to Interval
        Metrics of a run; `busy_workers` and `in_flight` of the whole fleet.
    model : ServerModel
    instances : int, default 1

    References
    ----------
    .. [1] P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models",
       ACM Computing Surveys 10(3), 1978.
    """
    inside, busy = found["in_flight"], found["busy_workers"]
    waiting = Interval(
        max(inside.low - busy.high, 0.0),
        max(inside.mid - busy.mid, 0.0),
        max(inside.high - busy.low, 0.0),
        inside.level,
        inside.kind,
    )
    limits, own, done = model.limits, model.deployment, found.get("completed_rps", found["goodput_rps"])
    cpu_s = model.mean_cpu_s if model.resources.cpu_s_per_request is None else model.resources.cpu_s_per_request
    idle = model.resources.idle_cpu * instances
    cores = Interval(done.low * cpu_s + idle, done.mid * cpu_s + idle, done.high * cpu_s + idle, done.level, done.kind)
    return {
        "workers": _share(busy, limits.workers, instances),
        "gate_normal": _share(inside, own.normal_ccu, instances),
        "gate_max": _share(inside, own.max_ccu, instances),
        "queue": _share(waiting, limits.queue, instances),
        "db_pool": _share(done.scaled(model.mean_database_s), limits.db_pool, instances)
        if model.mean_database_s
        else None,
        "cpu": _share(cores, limits.cpu_cores, instances) if cpu_s or idle else None,
    }


def memory_bytes(found: dict[str, Interval], model: ServerModel, instances: int = 1) -> Interval | None:
    """Mean memory of an instance: base plus so much for each request inside; None when neither is stated."""
    use, inside = model.resources, found["in_flight"]
    if use.memory_base_bytes == 0 and use.memory_per_request_bytes == 0:
        return None
    each = [use.memory_base_bytes + use.memory_per_request_bytes * value / instances
            for value in (inside.low, inside.mid, inside.high)]  # fmt: skip
    return Interval(each[0], each[1], each[2], inside.level, inside.kind)


def _mean_inside(enter_s: Floats, leave_s: Floats, window: Window) -> float:
    """Time average of how many are between entering and leaving."""
    if window.length_s <= 0:
        return math.nan
    overlap = np.minimum(leave_s, window.end_s) - np.maximum(enter_s, window.start_s)
    return float(np.sum(np.maximum(overlap, 0.0))) / window.length_s


def _share(amount: Interval, limit: float | None, instances: int) -> Interval | None:
    return None if not limit or math.isinf(limit) else amount.scaled(1.0 / (limit * instances))
