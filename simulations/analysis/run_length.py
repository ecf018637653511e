"""How long a model takes to settle under a workload.

References
----------
.. [1] T. Collings, C. Stoneman, "The M/M/infinity queue with varying arrival and departure rates",
   Operations Research 24(4), 1976: what is missing of the busy workers of an empty M/G/infinity.
.. [2] J. M. Harrison, Brownian Motion and Stochastic Flow Systems, Wiley, 1985, section 5.6.
"""

from __future__ import annotations

import math

import numpy as np

from loadtests.foundation.distributions import Distribution
from simulations.model.server_model import ServerModel
from simulations.model.workload import (
    ClosedWorkload,
    OpenWorkload,
    ProfileWorkload,
    SessionWorkload,
    TraceWorkload,
    Workload,
)

_SETTLING_CYCLES = 6.0
_SETTLING_DRAINS = 2.0
_UNSETTLED_SHARE = 1e-3
_RELAXATIONS = 5.0
_TAIL_POINTS = 4_001
_MOST_FILLING = 1_000_000


def cycle_time_s(model: ServerModel, workload: ClosedWorkload | SessionWorkload) -> float:
    """A user's mean cycle without waiting: think, serve, network round trip."""
    return workload.think_time.mean_s + model.mean_held_s + model.network_round_trip_s


def is_stationary(workload: Workload) -> bool:
    """Whether the load stays the same for ever, so that there is a long run to speak of."""
    if isinstance(workload, ClosedWorkload):
        return not workload.population
    return not isinstance(workload, ProfileWorkload | TraceWorkload)


def offered_rate_rps(model: ServerModel, workload: Workload) -> float:
    """Requests per second that would come if nothing had to wait."""
    if isinstance(workload, ClosedWorkload):
        return workload.users / cycle_time_s(model, workload)
    if isinstance(workload, ProfileWorkload | TraceWorkload):
        return workload.mean_rate_rps
    return workload.arrival_rate_rps


def warm_up_time_s(model: ServerModel, workload: Workload, instances: int = 1) -> float:
    """Time to leave out at a run's front, until an empty system is as good as settled; seconds.

    Closed population: the spread of the first requests, six cycles without waiting, and a full line
    twice. Open arrivals: until the work in service is within 0.1 % of its long run [1]_, plus
    five relaxation times of the line, and beyond saturation the time in which it fills. Sessions:
    six sessions' lengths and that. A profile or a trace is a story with a beginning: nothing is
    left out.

    Parameters
    ----------
    model : ServerModel
    workload : Workload
    instances : int, default 1
        That share the load.
    """
    if isinstance(workload, ClosedWorkload):
        return _closed_warm_up_s(model, workload, instances)
    if isinstance(workload, ProfileWorkload | TraceWorkload):
        return 0.0
    settling_s = held_settling_s(model) + _RELAXATIONS * _line_relaxation_s(model, workload, instances)
    settling_s += _filling_s(model, workload, instances)
    if isinstance(workload, SessionWorkload):
        settling_s += _SETTLING_CYCLES * workload.requests_per_session * cycle_time_s(model, workload)
    return settling_s


def held_settling_s(model: ServerModel, share: float = _UNSETTLED_SHARE) -> float:
    """`service_settling_s` over all that holds a worker, the slowest of the mix deciding."""
    stages = [(item.service_time, item.cpu_time, item.database_time) for item in model.classes]
    times = [time for stage in stages for time in stage if time is not None and time.mean_s > 0]
    return sum(sorted((service_settling_s(time, share) for time in times), reverse=True)[:3])


def service_settling_s(service_time: Distribution, share: float = _UNSETTLED_SHARE) -> float:
    """Time t after which the busy workers of an empty M/G/infinity are within `share` of their long run.

    Their mean is rate times the integral of P(S > u) from 0 to t, so what is missing is
    E[(S - t)+] / E[S] [1]_.

    Parameters
    ----------
    service_time : Distribution
    share : float, default 0.001

    Returns
    -------
    float
        Seconds.
    """
    tail = np.logspace(-12.0, 0.0, _TAIL_POINTS)
    times_s = np.asarray(service_time.upper_quantile_s(np.minimum(tail, 1.0 - 1e-12)), dtype=float)
    # E[(S - t)+] as the integral of P(S > u) over u beyond t = times_s[i]; times fall while the tail grows.
    steps = -np.diff(times_s) * (tail[1:] + tail[:-1]) / 2.0
    beyond = np.concatenate([[0.0], np.cumsum(steps)])
    last = int(np.searchsorted(beyond, share * service_time.mean_s, side="right")) - 1
    return float(times_s[last])


def _closed_warm_up_s(model: ServerModel, workload: ClosedWorkload, instances: int) -> float:
    inside = min(instances * model.limits.most_in_flight, workload.users)
    speed = instances * model.saturation_rps
    drain_s = inside / speed if speed > 0 else 0.0
    return (
        workload.first_request_spread_s
        + _SETTLING_CYCLES * cycle_time_s(model, workload)
        + _SETTLING_DRAINS * min(drain_s, workload.users * model.mean_held_s)
    )


def _filling_s(model: ServerModel, workload: OpenWorkload | SessionWorkload, instances: int) -> float:
    """Time in which arrivals beyond saturation fill a line that has an end, but no longer than a million of them.

    So close to saturation that the line takes longer, the run is taken as it is then.
    """
    beyond_rps = workload.arrival_rate_rps - instances * model.saturation_rps
    inside = instances * model.limits.most_in_flight
    if beyond_rps <= 0 or math.isinf(inside):
        return 0.0
    return min(inside / beyond_rps, _MOST_FILLING / workload.arrival_rate_rps)


def _line_relaxation_s(model: ServerModel, workload: OpenWorkload | SessionWorkload, instances: int) -> float:
    """Of a line between 0 and q with drift d and variance v a second: 1 / (d^2 / (2 v) + pi^2 v / (2 q^2)) [2]_.

    v = rate (ca^2 + cs^2), a diffusion approximation. A line that grows for ever has no long run: 0.
    """
    rate, speed = workload.arrival_rate_rps / instances, model.saturation_rps
    if math.isinf(speed):
        return 0.0
    arrival_cv = workload.gap.cv if isinstance(workload, OpenWorkload) else 1.0
    variance = min(rate, speed) * (arrival_cv**2 + _service_cv(model) ** 2)
    drift = rate - speed
    inside = model.limits.most_in_flight
    room = inside - min(model.limits.workers, model.limits.gate) if math.isfinite(inside) else math.inf
    if variance == 0.0 or (drift >= 0 and math.isinf(room)):
        return 0.0
    between_ends = math.pi**2 * variance / (2.0 * max(room, 1.0) ** 2)
    return 1.0 / (drift**2 / (2.0 * variance) + between_ends)


def _service_cv(model: ServerModel) -> float:
    """Coefficient of variation of the time that a worker is held, over the mix."""
    classes, total = model.classes, sum(item.weight for item in model.classes)
    mean = second = 0.0
    for item in classes:
        stages = [time for time in (item.service_time, item.cpu_time, item.database_time) if time is not None]
        held = sum(time.mean_s for time in stages)
        variance = sum((time.mean_s * time.cv) ** 2 for time in stages if time.mean_s > 0)
        mean += item.weight / total * held
        second += item.weight / total * (held**2 + variance)
    return math.sqrt(max(second - mean**2, 0.0)) / mean if mean > 0 else 0.0
