"""The library's side of every case: the one file to edit when its interfaces change or grow.

A `..._run(system)` does everything that is not timed and returns what is timed. `result_of` turns what that
returned into a `Result` for the checks, `shed_rate_of` into the share shed. A side that does not exist yet is None:
its case is shown as pending, and counts as missed with --strict.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

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
from simulations.analysis.running import Scenario, run_threaded
from simulations.analysis.simulation import SimulationResult, simulate_log
from simulations.engines import compiled_engine, event_engine, recursion_engine
from simulations.engines.inputs import NOTHING, ClientRules, EngineInput, OpenTimes, RunLength, UserTimes, Work
from simulations.engines.request_log import ABANDONED, OUTCOME_NAMES, SERVED, SHED_AT_GATE, SHED_AT_QUEUE, RequestLog
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits

Run = Callable[[], Any]

MODEL = ServerModel(
    Deployment(workers=WORKERS, queue_capacity=CAP - WORKERS, gate_limit=CAP), LogNormal(SERVICE_MEAN_S, SERVICE_CV)
)


# ---- the recursion: open and closed


def open_run(system: System) -> Run:
    """The open kernel on given variates, stretch by stretch as in a streamed run; departures and sheds are kept."""
    times = OpenTimes(system.arrival_s, system.service_s)
    given = EngineInput(_limits(system), times, RunLength(requests=system.requests))
    departure_s = np.full(system.requests, np.nan)

    def run() -> Result:
        shed = first = 0
        for part in recursion_engine.stretches(given):
            last = first + len(part.arrival_s)
            shed += _keep_part(part.departure_s, part.outcome, departure_s[first:last])
            first = last
        return Result(departure_s, shed)

    return run


@njit(cache=True)
def _keep_part(left_s: Floats, outcome: NDArray[np.int8], departure_s: Floats) -> int:
    """When those that entered departed; how many were shed."""
    shed = 0
    for i in range(left_s.size):
        departure_s[i] = left_s[i] if outcome[i] == SERVED else np.nan
        shed += outcome[i] != SERVED
    return shed


def closed_run(system: ClosedSystem) -> Run:
    """A closed run that draws its own times, stretch by stretch; sheds are counted."""
    workload = ClosedWorkload(system.users, Exponential(system.think_mean_s))
    given = compiled_engine.prepare(MODEL, workload, RunLength(requests=system.requests), 1)
    return lambda: sum(np.count_nonzero(part.outcome) for part in recursion_engine.stretches(given)) / system.requests


def closed_run_given(system: ClosedSystem, service_s: Floats, think_s: Floats) -> Run:
    """A closed run on given times of shape (users, cycles), `think_s[u, c]` before request c: for the check only."""
    times, work = UserTimes.given(system.first_s, think_s), Work.given(service_s)
    given = EngineInput(_limits(system), times, RunLength(requests=system.requests), work=work)
    return partial(compiled_engine.run, given)


def _limits(system: System | ClosedSystem) -> Limits:
    cores, pool = getattr(system, "cpu", None), getattr(system, "database", None)
    return Limits(
        gate=float(system.cap), workers=float(system.workers), queue=float(system.cap - system.workers),
        cpu_cores=float(cores.servers) if cores else np.inf, db_pool=float(pool.servers) if pool else np.inf,
    )  # fmt: skip


# ---- event-driven features: the kernel that covers everything


def events_run(system: System) -> Run:
    """Given variates through the event-driven kernel; what the peers keep is kept: departures, and counts."""
    shape = np.shape(np.atleast_2d(system.service_s))
    stages = (_stage(system.service_s), _stage(system.cpu and system.cpu.time_s),
              _stage(system.database and system.database.time_s))  # fmt: skip
    clients = ClientRules()
    if system.clients is not None:
        told = system.clients
        clients = ClientRules.of(
            Clients(
                told.timeout_s, Retries(told.attempts, told.backoff_s, told.factor, 1e9, 0.0, ("shed", "abandoned"))
            )
        )
    given = EngineInput(
        _limits(system), OpenTimes(system.arrival_s), RunLength(requests=shape[0] * system.requests), 0.0,
        Work.given(*stages), clients, Fleet(system.instances, "least-connections"),
    )  # fmt: skip

    def run() -> Result:
        departure_s, ended = np.full(np.shape(system.service_s), np.nan), np.zeros(len(OUTCOME_NAMES), np.int64)
        by_attempt = np.atleast_2d(departure_s)
        event_engine.run_rows(given, lambda rows: _keep(rows, by_attempt, ended))
        return Result(departure_s, int(ended[SHED_AT_GATE] + ended[SHED_AT_QUEUE]), int(ended[ABANDONED]))

    return run


@njit(cache=True)
def _keep(rows: NDArray[Any], departure_s: Floats, ended: NDArray[np.int64]) -> None:
    """Add finished rows: when those that entered departed, and how many ended how."""
    for row in rows:
        ended[row.outcome] += 1
        if row.outcome not in (SHED_AT_GATE, SHED_AT_QUEUE):
            departure_s[row.attempt, row.cycle] = row.departure_s


def _stage(time_s: Floats | None) -> Floats:
    """Times of shape (requests,) or (attempts, requests) as the engine takes them: (users, cycles, attempts)."""
    return NOTHING if time_s is None else np.ascontiguousarray(np.atleast_2d(time_s).T)[None]


database_run = cpu_run = balanced_run = retries_run = events_run


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
    scenario = Scenario(MODEL, OpenWorkload(0.8 * SATURATION_RPS), Fleet(), RunLength(requests))
    return partial(run_threaded, scenario, range(1, replications + 1), threads=threads)


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


def result_of(returned: Result | RequestLog) -> Result:
    """Departures in order of arrival, nan where shed."""
    if isinstance(returned, Result):
        return returned
    if returned.waits.most_attempts == 1:
        return Result(np.where(returned.served, returned.departure_s, np.nan), int(np.count_nonzero(~returned.served)))
    departure_s = np.full((returned.waits.most_attempts, int(returned.cycle.max()) + 1), np.nan)
    entered = (returned.outcome == SERVED) | (returned.outcome == ABANDONED)
    departure_s[returned.attempt[entered], returned.cycle[entered]] = returned.departure_s[entered]
    shed = (returned.outcome == SHED_AT_GATE) | (returned.outcome == SHED_AT_QUEUE)
    return Result(departure_s, int(shed.sum()), int((returned.outcome == ABANDONED).sum()))


def shed_rate_of(returned: object) -> float | None:
    """Sheds per request, where what was returned tells."""
    if isinstance(returned, RequestLog):
        return float(1.0 - returned.served.mean())
    if isinstance(returned, float):
        return returned
    if isinstance(returned, SimulationResult):
        return float(returned.metrics["shed_rate"].mid)
    return None
