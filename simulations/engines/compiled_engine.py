"""The compiled engine: checks and names around the kernels, the same input and log as the SimPy engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from simulations.engines import event_engine, recursion_kernels
from simulations.engines.inputs import (
    ClientRules,
    EngineInput,
    OpenTimes,
    RunLength,
    UserTimes,
    Work,
    arrivals_to_draw,
    cached_table,
    within_memory,
)
from simulations.engines.inputs import (
    prepare as prepare_by_numpy,
)
from simulations.engines.kernel_choice import choose_kernel
from simulations.engines.request_log import RequestLog
from simulations.engines.waits import waits_of
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import OpenWorkload, Workload

Floats = NDArray[np.float64]

_ROWS_AT_FIRST = 1 << 17
_MOST_WORKERS = 1 << 24


def prepare(
    model: ServerModel, workload: Workload, length: RunLength, seed: int, fleet: Fleet | None = None
) -> EngineInput:
    """As `inputs.prepare`, with arrivals of a plain open workload drawn by a kernel: the same bits."""
    if not isinstance(workload, OpenWorkload):
        return prepare_by_numpy(model, workload, length, seed, fleet)
    key = derive_key(seed)
    arrival_s = np.empty(arrivals_to_draw(workload, length))
    recursion_kernels.draw_arrivals(np.uint64(key), 0, 0.0, cached_table(workload.gap), arrival_s)
    return EngineInput(
        model.limits, OpenTimes(arrival_s), length, model.network_round_trip_s, Work.of(model, key),
        ClientRules.of(workload.clients), fleet or Fleet(),
    )  # fmt: skip


def run(given: EngineInput) -> RequestLog:
    """Simulate one run; the same rows as `simpy_engine.run`, bit for bit."""
    if choose_kernel(given).kernel == "events":
        return run_events(given)
    return _run_open(given, given.times) if isinstance(given.times, OpenTimes) else _run_closed(given, given.times)


def run_events(given: EngineInput) -> RequestLog:
    """Simulate one run with the event-driven kernel, which covers every model."""
    parts: list[NDArray[np.void]] = []
    event_engine.run_rows(given, lambda rows: parts.append(rows.copy()))
    rows = np.concatenate(parts)
    within_memory(len(rows))
    rows = rows[np.argsort(rows["row"])]
    columns = {name: rows[name].copy() for name in event_engine.LOG_COLUMNS}
    return RequestLog(**columns, outcome=rows["outcome"].astype(np.int8), waits=waits_of(given))


@dataclass(frozen=True)
class Station:
    """A recursion kernel's view of the limits: worker tree, line, and how many may wait."""

    workers: int
    gate_room: int
    queue_room: int
    node_time: Floats
    node_leaf: NDArray[np.int64]
    ring: Floats
    state_s: Floats
    state: NDArray[np.int64]

    @classmethod
    def build(cls, limits: Limits, most_waiting: float) -> Station:
        """`most_waiting`: more can never wait (the users, or the requests), however long the line may be."""
        most_served = min(limits.workers, limits.gate)
        if math.isinf(most_served):
            return cls(0, -1, -1, np.empty(1), np.zeros(1, np.int64), np.empty(1), *_nobody_waits())
        workers = int(most_served)
        if workers > _MOST_WORKERS:
            raise InputError(
                f"The model has {workers:,} workers; at most {_MOST_WORKERS:,}, or state them as unlimited."
            )
        gate_room = -1 if math.isinf(limits.gate) else int(limits.gate) - workers
        # Behind a gate at or below the workers nobody waits: the gate is what rejects.
        queue_room = -1 if math.isinf(limits.queue) or limits.gate <= limits.workers else int(limits.queue)
        room = min((r for r in (gate_room, queue_room) if r >= 0), default=0)
        room = int(min(room, most_waiting))
        node_time, node_leaf, _ = _loser_tree(np.full(workers, -np.inf))
        ring = np.empty(_power_of_two(room + 1))
        return cls(workers, gate_room, queue_room, node_time, node_leaf, ring, *_nobody_waits())

    @property
    def arguments(self) -> tuple[int | Floats | NDArray[np.int64], ...]:
        """In the order of the kernels' parameters."""
        return (
            self.workers, self.gate_room, self.queue_room, self.node_time, self.node_leaf, self.ring,
            self.state_s, self.state,
        )  # fmt: skip


def _nobody_waits() -> tuple[Floats, NDArray[np.int64]]:
    """Earliest free time; its worker, head of the ring, how many wait."""
    return np.full(1, -np.inf), np.zeros(3, np.int64)


def _run_open(given: EngineInput, times: OpenTimes) -> RequestLog:
    count = int(np.searchsorted(times.arrival_s, given.length.horizon_s, side="right"))
    count = within_memory(int(min(count, given.length.most_rows)))
    arrival_s = times.arrival_s[:count]
    service_s, kind = _service_of_open(given, times, count)
    start_s, departure_s, outcome = np.empty(count), np.empty(count), np.empty(count, np.int8)
    station = Station.build(given.limits, count)
    recursion_kernels.run_open(arrival_s, service_s, *station.arguments, start_s, departure_s, outcome)
    zeros = np.zeros(count, np.int64)
    return RequestLog(
        arrival_s, start_s, departure_s, outcome, zeros, np.arange(count, dtype=np.int64), zeros, zeros, kind,
        waits_of(given),
    )  # fmt: skip


def _service_of_open(given: EngineInput, times: OpenTimes, count: int) -> tuple[Floats, NDArray[np.int64]]:
    kind = np.zeros(count, np.int64)
    if times.service_s is not None:
        return times.service_s[:count], kind
    if given.work.is_given:
        return np.ascontiguousarray(given.work.service_given[0, :count, 0]), kind
    service_s = np.empty(count)
    work = given.work
    recursion_kernels.draw_services(np.uint64(work.key), 0, work.class_upto, work.service, service_s, kind)
    return service_s, kind


def _run_closed(given: EngineInput, times: UserTimes) -> RequestLog:
    """Run with a guess of the number of rows; when the horizon asks for more, run again with twice the room."""
    asked = given.length.requests
    rows = _ROWS_AT_FIRST if asked is None else within_memory(asked)
    if times.think_given.size:
        rows = times.think_given.size if asked is None else min(rows, times.think_given.size)
    while True:
        log, filled = _closed_rows(given, times, rows)
        if asked is not None or times.think_given.size or filled < rows:
            return log
        rows = _rows_for(given.length.horizon_s, float(log.arrival_s[-1]), rows)


def _rows_for(horizon_s: float, reached_s: float, rows: int) -> int:
    """Room for the whole horizon, from how far the rows so far have reached."""
    needed = max(2.0, 1.2 * horizon_s / max(reached_s, 1e-9)) * rows if reached_s > 0 else 4.0 * rows
    within_memory(int(needed / 2))
    return int(needed)


def _closed_rows(given: EngineInput, times: UserTimes, rows: int) -> tuple[RequestLog, int]:
    station = Station.build(given.limits, times.users)
    user_time, user_leaf, first_user = _loser_tree(times.first_s)
    floats = [np.empty(rows) for _ in range(3)]
    outcome, (user, cycle, kind) = np.empty(rows, np.int8), (np.empty(rows, np.int64) for _ in range(3))
    work = given.work
    filled = recursion_kernels.run_closed(
        np.uint64(work.key), work.class_upto, work.service, times.think, work.service_given, times.think_given,
        given.network_round_trip_s, given.length.horizon_s,
        first_user, times.first_s[first_user], user_time, user_leaf, *station.arguments,
        *floats, outcome, user, cycle, kind,
    )  # fmt: skip
    arrival_s, start_s, departure_s = (column[:filled] for column in floats)
    zeros = np.zeros(filled, np.int64)
    return RequestLog(
        arrival_s, start_s, departure_s, outcome[:filled], user[:filled], cycle[:filled], zeros, zeros, kind[:filled],
        waits_of(given),
    ), filled  # fmt: skip


def _loser_tree(times: Floats) -> tuple[Floats, NDArray[np.int64], int]:
    """Node times, node leaves and the winner's leaf over `times`, padded with infinity to a power of two."""
    leaves = _power_of_two(len(times))
    padded = np.full(leaves, np.inf)
    padded[: len(times)] = times
    node_time, node_leaf = np.full(leaves, np.inf), np.zeros(leaves, np.int64)
    winner = recursion_kernels.build_tree(padded, node_time, node_leaf)
    return node_time, node_leaf, int(winner)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()
