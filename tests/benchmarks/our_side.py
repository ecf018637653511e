"""The library's side of every case: the one file to edit when its interfaces change or grow.

A `..._run(system)` does everything that is not timed and returns what is timed. `result_of` turns what that
returned into a `Result` for the checks, `shed_rate_of` into the share shed. A side that does not exist yet is None:
its case is shown as pending, and counts as missed with --strict.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from benchmarks.systems import (
    CAP,
    SATURATION_RPS,
    SERVICE_CV,
    SERVICE_MEAN_S,
    WORKERS,
    ClosedSystem,
    Floats,
    Result,
    System,
)
from loadtests import Deployment, Exponential, LogNormal
from simulations import ClosedWorkload, OpenWorkload, ServerModel, simulate
from simulations.analysis.simulation import SimulationResult, simulate_log
from simulations.engines import compiled_engine
from simulations.engines.inputs import ClosedTimes, EngineInput, OpenTimes, RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import Limits

Run = Callable[[], Any]

MODEL = ServerModel(
    Deployment(workers=WORKERS, queue_capacity=CAP - WORKERS, gate_limit=CAP), LogNormal(SERVICE_MEAN_S, SERVICE_CV)
)


# ---- the recursion: open and closed


def open_run(system: System) -> Run:
    """The open kernel on given variates: `compiled_engine.run`, log included."""
    times = OpenTimes(system.arrival_s, system.service_s)
    given = EngineInput(_limits(system), times, RunLength(requests=system.requests))
    return partial(compiled_engine.run, given)


def closed_run(system: ClosedSystem) -> Run:
    """A closed run that draws its own times: `simulate_log`."""
    workload = ClosedWorkload(system.users, Exponential(system.think_mean_s))
    return partial(simulate_log, MODEL, workload, RunLength(requests=system.requests), seed=1)


def closed_run_given(system: ClosedSystem, service_s: Floats, think_s: Floats) -> Run:
    """A closed run on given times of shape (users, cycles), `think_s[u, c]` before request c: for the check only."""
    times = ClosedTimes.given(system.first_s, service_s, think_s)
    given = EngineInput(_limits(system), times, RunLength(requests=system.requests))
    return partial(compiled_engine.run, given)


def _limits(system: System | ClosedSystem) -> Limits:
    return Limits(gate=float(system.cap), workers=float(system.workers), queue=float(system.cap - system.workers))


# ---- event-driven features: same signature as `open_run`; None until there is one

database_run: Callable[[System], Run] | None = None
cpu_run: Callable[[System], Run] | None = None
balanced_run: Callable[[System], Run] | None = None
retries_run: Callable[[System], Run] | None = None


# ---- end to end, with own random numbers and statistics


def end_to_end_run(load: float, requests: int, seed: int = 1) -> Run:
    """`simulate` with its intervals, without keeping the log."""
    return partial(simulate, MODEL, OpenWorkload(load * SATURATION_RPS), requests=requests, seed=seed)


def short_run(load: float, requests: int, seed: int, workers: int, cap: int) -> dict[str, float]:
    """Statistics of a whole small run from its first request, comparable with `simpy_process.end_to_end`."""
    deployment = Deployment(workers=workers, queue_capacity=cap - workers, gate_limit=cap)
    model = ServerModel(deployment, LogNormal(SERVICE_MEAN_S, SERVICE_CV))
    log = simulate_log(model, OpenWorkload(load * model.saturation_rps), RunLength(requests=requests), seed=seed)
    length_s, served = log.departure_s.max(), int(log.served.sum())
    mean_s = float(log.residence_s[log.served].mean())
    return {"shed_rate": 1 - served / requests, "mean_s": mean_s, "throughput_rps": float(served / length_s)}


def replications_run(replications: int, requests: int, threads: int) -> Run:
    """Independent runs of the open system over some threads."""

    def one(seed: int) -> SimulationResult:
        return simulate(MODEL, OpenWorkload(0.8 * SATURATION_RPS), requests=requests, seed=seed)

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(one, range(1, replications + 1)):
                pass

    return run


LONG_RUN = """
from benchmarks import our_side
our_side.end_to_end_run(0.8, {requests})()
"""
"""Run in a process of its own: the streaming run, for its time and its peak memory."""

FIRST_RUN = """
import simulations
model = simulations.ServerModel(
    simulations.Deployment(workers=335, queue_capacity=3_015), simulations.LogNormal(0.0054, 1.0)
)
simulations.simulate(model, simulations.OpenWorkload(50_000.0), requests=10_000)
"""
"""Run in a process of its own: import and first run, with a warm compilation cache."""


# ---- reading what a run returned


def result_of(log: RequestLog) -> Result:
    """Departures in order of arrival, nan where shed."""
    return Result(np.where(log.served, log.departure_s, np.nan), int(np.count_nonzero(~log.served)))


def shed_rate_of(returned: object) -> float | None:
    """Sheds per request, where what was returned tells."""
    if isinstance(returned, RequestLog):
        return float(1.0 - returned.served.mean())
    if isinstance(returned, SimulationResult):
        return float(returned.metrics["shed_rate"].mid)
    return None
