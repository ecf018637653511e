"""Thresholds that cannot be reached, because a configured limit stops the metric before them.

References
----------
.. [1] J. D. C. Little, A proof for the queuing formula L = lambda W, Operations Research 9 (3), 1961.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from capacity.thresholds.bands import BandProfile
from capacity.thresholds.metrics import Metric
from capacity.thresholds.scaling import ScalingProfile
from capacity.thresholds.threshold import Threshold
from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain

_BASE_ON_NORMAL = "Base the threshold on normal capacity, or watch the shed rate."
_WATCH_SHED_RATE = "Lower the threshold to what the gate admits, or watch the shed rate."
_WITHOUT_QUEUE = "Drop the threshold, or watch the CCU utilization and the shed rate."


@dataclass(frozen=True)
class Reach:
    """The most that a metric can be on one instance.

    Parameters
    ----------
    at_most : Fraction
        In the metric's unit, exact. A threshold at it can be reached, one above it cannot.
    because : str
        The limits that make it so, with their numbers.
    remedy : str
        What to do about a threshold above it.
    """

    at_most: Fraction
    because: str
    remedy: str


@dataclass(frozen=True)
class UnreachableThreshold:
    """A threshold that cannot fire, and the most that its metric can be.

    Parameters
    ----------
    threshold : Threshold
    reach : Reach
        At most, why, and what to do.
    """

    threshold: Threshold
    reach: Reach

    @property
    def message(self) -> str:
        """One sentence, with the profile's name and the numbers."""
        threshold = self.threshold
        return (
            f"{threshold.profile}: {threshold.meaning} at {threshold.metric} {_shown(threshold.value)} cannot "
            f"be reached, it is at most {_shown(self.reach.at_most)} ({self.reach.because})."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "profile": self.threshold.profile,
            "metric": str(self.threshold.metric),
            "meaning": self.threshold.meaning,
            "threshold": plain(exact("threshold", self.threshold.value)),
            "at_most": plain(self.reach.at_most),
            "because": self.reach.because,
            "remedy": self.reach.remedy,
        }


def reach_of(metric: Metric, deployment: Deployment, *, residence_time_s: float | None = None) -> Reach | None:
    """Return the most that a metric can be under the limits of one instance, None where they do not bound it.

    The gate bounds the requests in flight, and with them both CCU utilizations; the line's
    utilization by how many may wait; throughput by Little's law, X = L / R [1]_.

    Parameters
    ----------
    metric : Metric
    deployment : Deployment
        Limits that are not stated bound nothing. Where `gate_reset_s` is stated, the server's own
        count of requests in flight keeps its bound, but more are inside, so throughput has none.
    residence_time_s : float, optional
        Mean residence time of served requests at the gate, above 0; needed for throughput.

    Returns
    -------
    Reach or None

    Raises
    ------
    InputError
        For a residence time that is not above 0.
    """
    gate = deployment.gate if isinstance(deployment.gate, int) else None
    if metric is Metric.QUEUE_UTILIZATION:
        return _queue_reach(deployment, gate)
    if gate is None:
        return None
    if metric is Metric.CCU_UTILIZATION_MAX:
        return _ccu_reach(gate, deployment.max_ccu, "the maximum is", _BASE_ON_NORMAL)
    if metric is Metric.CCU_UTILIZATION_NORMAL:
        return _ccu_reach(gate, deployment.normal_ccu, "normal capacity is", _WATCH_SHED_RATE)
    if metric is Metric.THROUGHPUT_RPS and residence_time_s is not None and deployment.gate_reset_s is None:
        return _throughput_reach(gate, residence_time_s)
    return None


def unreachable(
    profile: BandProfile | ScalingProfile, deployment: Deployment, *, residence_time_s: float | None = None
) -> tuple[UnreachableThreshold, ...]:
    """Return the thresholds of a profile that cannot fire on an instance with these limits.

    Parameters
    ----------
    profile : BandProfile or ScalingProfile
    deployment : Deployment
    residence_time_s : float, optional
        Mean residence time of served requests at the gate; with it throughput is bounded too.

    Returns
    -------
    tuple of UnreachableThreshold
        In the order of the profile; empty when the stated limits forbid none.

    Raises
    ------
    InputError
        For a residence time that is not above 0.

    Examples
    --------
    >>> from capacity.thresholds import BandProfile
    >>> from loadtests import Deployment
    >>> silent = unreachable(BandProfile.guide("alert", ccu_base="max"), Deployment.guide())
    >>> [(item.threshold.meaning, item.threshold.value, float(item.reach.at_most)) for item in silent]
    [('warning', 0.8, 0.67), ('critical', 0.95, 0.67)]
    """
    return tuple(_beyond(profile.thresholds(), deployment, residence_time_s))


def _beyond(
    thresholds: Iterable[Threshold], deployment: Deployment, residence_time_s: float | None
) -> Iterable[UnreachableThreshold]:
    for threshold in thresholds:
        reach = reach_of(threshold.metric, deployment, residence_time_s=residence_time_s)
        if reach is not None and exact("threshold", threshold.value) > reach.at_most:
            yield UnreachableThreshold(threshold, reach)


def _ccu_reach(gate: int, base: int | None, words: str, remedy: str) -> Reach | None:
    if not base:
        return None
    return Reach(Fraction(gate, base), f"the gate closes at {gate:,} in flight, {words} {base:,}", remedy)


def _queue_reach(deployment: Deployment, gate: int | None) -> Reach | None:
    """How full the line can get: not at all where nobody waits, else as far as the gate lets in more than workers."""
    workers, queue = deployment.workers, deployment.queue_capacity
    if queue == 0:
        return Reach(Fraction(0), "there is no queue", _WITHOUT_QUEUE)
    if queue == UNLIMITED:
        return Reach(Fraction(0), "an unlimited queue has nothing to be a share of", _WITHOUT_QUEUE)
    if workers == UNLIMITED:
        return Reach(Fraction(0), "with unlimited workers nobody waits", _WITHOUT_QUEUE)
    if gate is None or queue is None or workers is None:
        return None
    waiting = min(max(gate - workers, 0), queue)
    because = f"the gate closes at {gate:,}, which leaves {waiting:,} to wait behind {workers:,} workers for {queue:,} "
    return Reach(Fraction(waiting, queue), f"{because}places", _WATCH_SHED_RATE)


def _throughput_reach(gate: int, residence_time_s: float) -> Reach:
    mean = exact("residence_time_s", residence_time_s)
    if mean <= 0:
        raise InputError(f"residence_time_s is {residence_time_s!r}; it must be above 0.")
    because = f"the gate closes at {gate:,} in flight, each for {float(mean):g} s on average"
    return Reach(gate / mean, because, _WATCH_SHED_RATE)


def _shown(number: Fraction | float) -> str:
    return f"{float(number):,.0f}" if number >= 100 else f"{float(number):.4g}"
