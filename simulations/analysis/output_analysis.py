"""Intervals from one simulation run: batch means after a warm-up.

The run after the warm-up is cut into equal stretches of time; each gives every
metric once; the stretches are close to independent when they are long against
the correlation time, so Student's t gives the interval [1]_.

References
----------
.. [1] A. M. Law, Simulation Modeling and Analysis, 5th edition, McGraw-Hill, 2015, section 9.5.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.foundation.intervals import Interval
from simulations.analysis.metrics import METRIC_NAMES, Window, window_metrics
from simulations.engines.request_log import RequestLog

BATCHES = 20
WARM_UP_FRACTION = 0.1


def batch_windows(window: Window, batches: int = BATCHES) -> list[Window]:
    """Equal stretches of a window."""
    edges = np.linspace(window.start_s, window.end_s, batches + 1).tolist()
    return [Window(start, end) for start, end in pairwise(edges)]


def batch_intervals(log: RequestLog, window: Window, level: float) -> dict[str, Interval]:
    """Every metric over the window with its confidence interval from batch means."""
    whole_run = window_metrics(log, window)
    batches = [window_metrics(log, stretch) for stretch in batch_windows(window)]
    found = {name: _interval(whole_run[name], np.array([b[name] for b in batches]), level) for name in METRIC_NAMES}
    if whole_run["shed_rate"] == 0.0:
        requests = round(whole_run["throughput_rps"] * window.length_s)
        found["shed_rate"] = Interval(0.0, 0.0, none_seen_bound(requests, level), level)
    return found


def none_seen_bound(trials: int, level: float) -> float:
    """Upper bound of a probability of which no case was seen: 1 - (1 - level)^(1 / n), exact for independent trials."""
    return -math.expm1(math.log1p(-level) / trials) if trials > 0 else 1.0


def _interval(mid: float, values: NDArray[np.float64], level: float) -> Interval:
    values = values[np.isfinite(values)]
    if math.isnan(mid) or values.size < 2:
        return Interval.unknown(level)
    half = student_quantile(values.size - 1, level) * float(np.std(values, ddof=1)) / math.sqrt(values.size)
    return Interval(max(mid - half, 0.0), mid, mid + half, level)


def student_quantile(degrees: int, level: float) -> float:
    """The t value that leaves (1 - level) / 2 above it."""
    return float(special.stdtrit(degrees, 0.5 + level / 2.0))
