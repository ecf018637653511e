"""Independent replications of a model: how long each runs, what is left out, and one row of metrics from each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from loadtests.foundation.checks import non_negative, whole
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.replications import quantile_with_less_bias
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel
from simulations.model.workload import OpenWorkload, Workload

_QUANTILES = {"p50_s": 0.50, "p95_s": 0.95, "p99_s": 0.99}
_UNSETTLED_SHARE = 1e-3
_RELAXATIONS = 5.0
_TAIL_POINTS = 4_001


@dataclass(frozen=True)
class ReplicationPlan:
    """How a model is replicated.

    Parameters
    ----------
    replications : int, default 20
    requests : int, default 10000
        Requests of each after its warm-up, at least 100.
    warm_up_s : float, optional
        Simulated time to leave out at the front of each. Default: by `common_warm_up_s`.
    """

    replications: int = 20
    requests: int = 10_000
    warm_up_s: float | None = None

    def __post_init__(self) -> None:
        whole("replications", self.replications, least=2)
        whole("requests", self.requests, least=100)
        if self.warm_up_s is not None:
            non_negative("warm_up_s", self.warm_up_s)

    def with_warm_up(self, warm_up_s: float) -> ReplicationPlan:
        """The plan with this warm-up, unless it states one."""
        return replace(self, warm_up_s=warm_up_s) if self.warm_up_s is None else self


def run_replication(model: ServerModel, workload: Workload, plan: ReplicationPlan, seed: int) -> dict[str, float]:
    """One replication's row: `window_metrics` after the warm-up, plus the counts ``sheds`` and ``requests``.

    Quantiles are freed from their bias of order 1 / n (`replications.quantile_with_less_bias`).

    Parameters
    ----------
    model : ServerModel
    workload : OpenWorkload or ClosedWorkload
    plan : ReplicationPlan
    seed : int

    Returns
    -------
    dict of str to float
        SI units; NaN where nothing was served.

    Raises
    ------
    InputError
        When the warm-up lasts as long as the whole run.
    """
    warm_up_s = common_warm_up_s((model,), workload) if plan.warm_up_s is None else plan.warm_up_s
    log = simulate_log(model, workload, _length(model, workload, plan.requests, warm_up_s), seed=seed)
    window = Window(warm_up_s, float(log.arrival_s[-1]) if len(log) else 0.0)
    if window.length_s <= 0:
        raise InputError(f"Nothing is left after a warm-up of {warm_up_s:g} s; shorten it.")
    return metrics_row(log, window)


def metrics_row(log: RequestLog, window: Window) -> dict[str, float]:
    """A window's metrics as one row of independent replications needs them.

    Parameters
    ----------
    log : RequestLog
    window : Window

    Returns
    -------
    dict of str to float
        `window_metrics` with less biased quantiles, and the counts ``sheds`` and ``requests``.
    """
    row = window_metrics(log, window)
    answered_s = log.departure_s + log.network_round_trip_s
    inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
    residence_s = (answered_s - log.arrival_s)[inside & log.served]
    row.update({name: quantile_with_less_bias(residence_s, share) for name, share in _QUANTILES.items()})
    count = int(np.count_nonzero(inside))
    return {**row, "sheds": float(count - residence_s.size), "requests": float(count)}


def common_warm_up_s(models: Iterable[ServerModel], workload: Workload) -> float:
    """The longest warm-up of several models under one workload, seconds.

    Closed populations: `run_length.warm_up_time_s`. Open arrivals: `open_warm_up_s`.
    """
    if isinstance(workload, OpenWorkload):
        return max(open_warm_up_s(model, workload) for model in models)
    return max(warm_up_time_s(model, workload) for model in models)


def open_warm_up_s(model: ServerModel, workload: OpenWorkload) -> float:
    """Time until an empty server under open arrivals is as good as settled.

    The time until the work in service has come within 0.1 % of its long run
    (`service_settling_s`), plus five relaxation times of the line. A line between
    0 and q with drift d and variance v a second (diffusion approximation,
    v = rate (ca^2 + cs^2)) relaxes with the rate d^2 / (2 v) + pi^2 v / (2 q^2) [1]_.

    Parameters
    ----------
    model : ServerModel
    workload : OpenWorkload

    Returns
    -------
    float
        Seconds; infinity is never returned: a line that grows for ever has no long run,
        and only the first part counts.

    References
    ----------
    .. [1] J. M. Harrison, Brownian Motion and Stochastic Flow Systems, Wiley, 1985, section 5.6.
    """
    return service_settling_s(model.service_time) + _RELAXATIONS * _line_relaxation_s(model, workload)


def _line_relaxation_s(model: ServerModel, workload: OpenWorkload) -> float:
    rate, speed = workload.arrival_rate_rps, model.saturation_rps
    if math.isinf(speed):
        return 0.0
    variance = min(rate, speed) * (workload.gap.cv**2 + model.service_time.cv**2)
    drift = rate - speed
    room = model.limits.most_in_flight - min(model.limits.workers, model.limits.gate)
    if variance == 0.0 or (drift >= 0 and math.isinf(room)):
        return 0.0
    between_ends = math.pi**2 * variance / (2.0 * max(room, 1.0) ** 2)
    return 1.0 / (drift**2 / (2.0 * variance) + between_ends)


def service_settling_s(service_time: Distribution, share: float = _UNSETTLED_SHARE) -> float:
    """Time t after which the busy workers of an empty M/G/infinity are within `share` of their long run.

    Their mean is rate times the integral of P(S > u) from 0 to t, so what is missing is
    E[(S - t)+] / E[S] (T. Collings, C. Stoneman, Operations Research 24(4), 1976).

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


def _length(model: ServerModel, workload: Workload, requests: int, warm_up_s: float) -> RunLength:
    """Long enough for the warm-up and about so many requests after it."""
    if isinstance(workload, OpenWorkload):
        return RunLength(horizon_s=warm_up_s + requests / workload.arrival_rate_rps)
    cycle_s = workload.think_time.mean_s + model.service_time.mean_s + model.network_round_trip_s
    rate = min(workload.users / cycle_s, model.saturation_rps)
    return RunLength(horizon_s=warm_up_s + requests / rate)
