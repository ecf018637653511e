"""Tiny runs with exact times, for the stories of `tests/specification`: both engines, both kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from simulations.engines import compiled_engine, inputs, simpy_engine
from simulations.engines.inputs import ClientRules, EngineInput, OpenTimes, RunLength, UserTimes, Work
from simulations.engines.request_log import RequestLog
from simulations.model.clients import Clients
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import Workload

Engine = Callable[[EngineInput], RequestLog]

on_both_engines = pytest.mark.parametrize(
    "run", [simpy_engine.run, compiled_engine.run_events, compiled_engine.run], ids=["simpy", "events", "compiled"]
)
"""The reference, the kernel that covers everything, and the kernel that the chooser takes."""

PATIENT, ALONE = Clients(), Fleet()
NO_LIMITS = Limits()
KEY = 7


def arrivals(
    at_s: Sequence[float], limits: Limits = NO_LIMITS, *, service: ArrayLike = 0.0, cpu: ArrayLike = (),
    database: ArrayLike = (), clients: Clients = PATIENT, fleet: Fleet = ALONE, round_trip_s: float = 0.0,
    horizon_s: float = math.inf, rejection_s: float | None = None,
) -> EngineInput:  # fmt: skip
    """Open arrivals; each stage has one time for all, or one a request, or (requests, attempts) of them."""
    count = len(at_s)
    stages = [_times(stage, (1, count)) for stage in (service, cpu, database)]
    return EngineInput(
        limits, OpenTimes(np.array(at_s, dtype=float)), RunLength(1_000, horizon_s), round_trip_s,
        Work.given(*stages, key=KEY), ClientRules.of(clients), fleet, rejection_s,
    )  # fmt: skip


def users(
    first_s: Sequence[float], think: ArrayLike, limits: Limits = NO_LIMITS, *, service: ArrayLike = 0.0,
    cpu: ArrayLike = (), database: ArrayLike = (), clients: Clients = PATIENT, fleet: Fleet = ALONE,
    round_trip_s: float = 0.0, horizon_s: float = math.inf, are_sessions: bool = False,
    rejection_s: float | None = None,
) -> EngineInput:  # fmt: skip
    """Users with given think times (users, requests); each stage has one time for all, or (users, requests)."""
    think_s = np.array(think, dtype=float)
    stages = [_times(stage, think_s.shape) for stage in (service, cpu, database)]
    times = UserTimes.given(np.array(first_s, dtype=float), think_s, are_sessions=are_sessions)
    return EngineInput(
        limits, times, RunLength(1_000, horizon_s), round_trip_s, Work.given(*stages, key=KEY),
        ClientRules.of(clients), fleet, rejection_s,
    )  # fmt: skip


def drawn(model: ServerModel, workload: Workload, horizon_s: float, fleet: Fleet = ALONE) -> EngineInput:
    """A model under a workload, with its own times (constants come out exactly)."""
    return inputs.prepare(model, workload, RunLength(1_000, horizon_s), KEY, fleet)


def _times(stage: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    given = np.array(stage, dtype=float)
    if given.size == 0:
        return np.empty((0, 0, 0))
    if given.ndim == 0:
        return np.full(shape, given)
    if given.ndim == 1:
        return given.reshape(shape)
    return given[None] if shape[0] == 1 and given.shape[0] == shape[1] else given
