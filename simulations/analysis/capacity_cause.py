"""What stops a load larger than the capacity."""

from __future__ import annotations

import math

from simulations.analysis.capacity_runs import JudgedRuns, value
from simulations.analysis.load_roots import LoadScale
from simulations.analysis.metrics import window_metrics
from simulations.analysis.objective import Judged, Judgement

_BUSY = 0.9
_STEPS = (50, 25, 12, 6)


def what_stops(runs: JudgedRuns, capacity: float, scale: LoadScale) -> tuple[str, str | None]:
    """Name what binds just above the capacity, and the request class whose limit it is (None: all that count).

    The limit that breaks first decides. Bad requests: ``gate`` when most of them are shed there, ``bad``
    when the line is full. When they time out, are abandoned or fail, and for a percentile: the model's
    bottleneck (``workers``, ``gate``, ``db_pool``, ``cpu``) where that is more than 90 % busy, else
    ``bad`` or the percentile (``p95``).

    Parameters
    ----------
    runs : JudgedRuns
    capacity : float
        The load found.
    scale : LoadScale
    """
    for part in _STEPS:
        above = capacity + max(1.0, capacity // part) if scale.is_whole else capacity * (1.0 + 1.0 / part)
        broken = _first_broken(runs.at(capacity), runs.at(above))
        if broken is not None:
            break
    else:
        broken = max(runs.at(capacity).parts, key=value)
    return _cause(runs, above, broken), broken.limit.request_class


def _first_broken(within: Judgement, beyond: Judgement) -> Judged | None:
    """The limit that a straight line between two loads breaks first."""
    pairs = [(value(a), value(b), b) for a, b in zip(within.parts, beyond.parts, strict=True) if value(b) > 0]
    if not pairs:
        return None
    return min(pairs, key=lambda pair: _share_of_way(pair[0], pair[1]))[2]


def _share_of_way(start: float, end: float) -> float:
    if start >= 0 or not math.isfinite(end):
        return 0.0
    return -start / (end - start)


def _cause(runs: JudgedRuns, load: float, broken: Judged) -> str:
    name, outcomes = broken.limit.name, runs.at(load).outcomes
    if broken.limit.probability is None:
        late = outcomes["timed_out"] + outcomes["abandoned"] + outcomes["failed"]
        at_gate, at_line = outcomes["shed_at_gate"], outcomes["shed_at_queue"]
        if late <= max(at_gate, at_line):
            return "gate" if at_gate >= at_line else name
    return runs.model.bottleneck if _bottleneck_share(runs, load) > _BUSY else name


def _bottleneck_share(runs: JudgedRuns, load: float) -> float:
    """How busy the model's bottleneck is; by the utilization law where that is not the workers."""
    model, instances = runs.model, runs.question.instances
    found = window_metrics(*runs.log_at(load))
    if model.bottleneck == "workers":
        return found["busy_workers"] / (instances * model.limits.workers)
    return found["goodput_rps"] / (instances * model.saturation_rps)
