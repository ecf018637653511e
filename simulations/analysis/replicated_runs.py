"""Independent replications of a model: how long each runs, what is left out, and one row of metrics from each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from loadtests.foundation.checks import non_negative, whole
from loadtests.foundation.errors import InputError
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.replications import quantile_with_less_bias
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, Workload

if TYPE_CHECKING:
    from simulations.engines.simpy_engine import Server

    Side = tuple[ServerModel, Fleet | None, type[Server] | None]

_QUANTILES = {"p50_s": 0.50, "p95_s": 0.95, "p99_s": 0.99}


@dataclass(frozen=True)
class ReplicationPlan:
    """How a model is replicated.

    Parameters
    ----------
    replications : int, default 20
    requests : int, default 10000
        Requests of each after its warm-up, at least 100.
    warm_up_s : float, optional
        Simulated time to leave out at the front of each. Default: by `common_warm_up_s`; a server of one's own
        needs it stated.
    """

    replications: int = 20
    requests: int = 10_000
    warm_up_s: float | None = None

    def __post_init__(self) -> None:
        whole("replications", self.replications, least=2)
        whole("requests", self.requests, least=100)
        if self.warm_up_s is not None:
            non_negative("warm_up_s", self.warm_up_s)


def run_replication(
    model: ServerModel,
    workload: Workload,
    plan: ReplicationPlan,
    seed: int,
    *,
    fleet: Fleet | None = None,
    server: type[Server] | None = None,
) -> dict[str, float]:
    """One replication's row: `window_metrics` after the warm-up, plus the counts ``sheds`` and ``requests``.

    Quantiles are freed from their bias of order 1 / n (`replications.quantile_with_less_bias`).

    Parameters
    ----------
    model : ServerModel
    workload : OpenWorkload or ClosedWorkload
    plan : ReplicationPlan
    seed : int
    fleet : Fleet, optional
        Instances behind a balancer. Default: one instance.
    server : subclass of `simulations.engines.simpy_engine.Server`, optional
        A server of one's own, which only the SimPy engine can run.

    Returns
    -------
    dict of str to float
        SI units; NaN where nothing was served.

    Raises
    ------
    InputError
        When the warm-up lasts as long as the whole run, or when a server of one's own has none stated.
    """
    warm_up_s = settling_time_s(plan, workload, [(model, fleet, server)])
    length = _length(model, workload, plan.requests, warm_up_s, fleet or Fleet())
    log = simulate_log(model, workload, length, seed=seed, fleet=fleet, server=server)
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
    answered_s = log.answered_s
    inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
    residence_s = (answered_s - log.arrival_s)[inside & log.served]
    row.update({name: quantile_with_less_bias(residence_s, share) for name, share in _QUANTILES.items()})
    sheds, count = np.count_nonzero(inside & log.shed), np.count_nonzero(inside)
    return {**row, "sheds": float(sheds), "requests": float(count)}


def settling_time_s(plan: ReplicationPlan, workload: Workload, sides: Iterable[Side]) -> float:
    """The warm-up that a plan states, or else one that is long enough for every side; seconds.

    Parameters
    ----------
    plan : ReplicationPlan
    workload : Workload
    sides : iterable of (ServerModel, Fleet or None, server or None)

    Raises
    ------
    InputError
        When a server of one's own has no warm-up stated.
    """
    if plan.warm_up_s is not None:
        return plan.warm_up_s
    models, fleets, servers = zip(*sides, strict=True)
    for server in servers:
        if server is not None:
            raise InputError(
                f"How long {server.__name__}, a server of your own, takes to settle does not follow from the model. "
                "Give ReplicationPlan(warm_up_s=...) in seconds; simulate(..., server=...) finds it for a single run."
            )
    return common_warm_up_s(models, workload, fleets)


def common_warm_up_s(
    models: Iterable[ServerModel], workload: Workload, fleets: Iterable[Fleet | None] | None = None
) -> float:
    """The longest `run_length.warm_up_time_s` of several models under one workload, seconds.

    `fleets` are those of the models, in their order; one instance where None.
    """
    sides = zip(models, repeat(None) if fleets is None else fleets, strict=False)
    return max(warm_up_time_s(model, workload, 1 if fleet is None else fleet.instances) for model, fleet in sides)


def _length(model: ServerModel, workload: Workload, requests: int, warm_up_s: float, fleet: Fleet) -> RunLength:
    """Long enough for the warm-up and about so many requests after it."""
    rate = offered_rate_rps(model, workload)
    most = fleet.instances * model.saturation_rps
    served = min(rate, most) if isinstance(workload, ClosedWorkload) else rate
    return RunLength(horizon_s=warm_up_s + requests / served)
