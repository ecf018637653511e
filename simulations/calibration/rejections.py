"""What rejected requests show: how fast a rejection comes, and how long the line lets a request wait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import Deployment
from loadtests.estimation.block_bootstrap import exact_fraction_interval
from loadtests.foundation.intervals import Interval
from loadtests.recording import Recording

Floats = NDArray[np.float64]

_FEWEST = 30
_SLOW_FACTOR = 8.0
_LEAST_SLOW_SHARE = 0.02
_NARROW = 0.2
"""Waits that a timeout ends agree with each other this well: interquartile range over median."""


@dataclass(frozen=True)
class Rejections:
    """Latencies of requests that were turned away.

    Parameters
    ----------
    rejection_time_s : Interval
        Median latency of those turned away at once; unknown with fewer than 30.
    queue_timeout_s : Interval
        Latency at which waiting requests are given up; unknown where nothing shows one.
    """

    rejection_time_s: Interval
    queue_timeout_s: Interval


def rejections_of(recording: Recording, level: float = 0.9) -> Rejections:
    """Fast and slow rejections over all steps.

    Slow ones count as a queue timeout where they are at least eight times as slow as the fast ones and agree with
    each other: waits that end for another reason spread.

    Parameters
    ----------
    recording : Recording
    level : float, default 0.9

    Returns
    -------
    Rejections
    """
    times = _shed_times(recording)
    unknown = Interval.unknown(level)
    if times.size < _FEWEST:
        return Rejections(unknown, unknown)
    fastest = float(np.quantile(times, 0.02))
    served = _fastest_served(recording)
    is_slow = times > max(_SLOW_FACTOR * fastest, served)
    slow, fast = times[is_slow], times[~is_slow]
    if fastest > served:  # nobody is turned away at once
        slow, fast = times, times[:0]
    timeout = unknown
    if slow.size >= max(_FEWEST, _LEAST_SLOW_SHARE * times.size) and _spread(slow) < _NARROW:
        timeout = _median(slow, level)
    return Rejections(_median(fast, level) if fast.size >= _FEWEST else unknown, timeout)


def with_queue_timeout(stated: Deployment, rejected: Rejections) -> Deployment:
    """A queue timeout that rejections show, where nobody stated one.

    Parameters
    ----------
    stated : Deployment
    rejected : Rejections

    Returns
    -------
    Deployment
    """
    found = rejected.queue_timeout_s
    if stated.queue_timeout_s is not None or not found.is_known:
        return stated
    fast = rejected.rejection_time_s
    return stated.with_limits(queue_timeout_s=found.mid - (fast.mid if fast.is_known else 0.0))


def _shed_times(recording: Recording) -> Floats:
    if recording.requests.empty or not recording.steps:
        return np.empty(0)
    parts = [recording.requests_in(step) for step in recording.steps]
    shed = [part[part["outcome"] == "shed"] for part in parts]
    return np.concatenate([(part["finish_s"] - part["start_s"]).to_numpy(dtype=float) for part in shed])


def _fastest_served(recording: Recording) -> float:
    rows = recording.requests[recording.requests["outcome"] == "served"]
    return float((rows["finish_s"] - rows["start_s"]).quantile(0.01)) if len(rows) else 0.0


def _spread(times: Floats) -> float:
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
    return float((high - low) / middle)


def _median(times: Floats, level: float) -> Interval:
    """Median by the ranks of the exact interval of a share of one half."""
    half = exact_fraction_interval(times.size // 2, times.size, level)
    low, mid, high = np.quantile(times, [half.low, 0.5, half.high])
    return Interval(float(low), float(mid), float(high), level, "parameter")
