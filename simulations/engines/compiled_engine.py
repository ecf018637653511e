"""The compiled engine: checks and names around the kernels, the same input and log as the SimPy engine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from simulations.engines import kernels
from simulations.engines.inputs import MOST_REQUESTS, ClosedTimes, EngineInput, OpenTimes, RunLength, expected_requests
from simulations.engines.random_streams import quantile_table
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import OpenWorkload

Floats = NDArray[np.float64]

_ROWS_AT_FIRST = 1 << 17
_MOST_WORKERS = 1 << 24


@dataclass(frozen=True)
class _Station:
    """A kernel's view of the limits: worker tree, line, and how many may wait."""

    workers: int
    gate_room: int
    queue_room: int
    node_time: Floats
    node_leaf: NDArray[np.int64]
    ring: Floats

    @classmethod
    def build(cls, limits: Limits, most_waiting: int) -> _Station:
        """`most_waiting`: more can never wait (the users, or the requests), however long the line may be."""
        most_served = min(limits.workers, limits.gate)
        if math.isinf(most_served):
            return cls(0, -1, -1, np.empty(1), np.zeros(1, np.int64), np.empty(1))
        workers = int(most_served)
        if workers > _MOST_WORKERS:
            raise InputError(
                f"The model has {workers:,} workers; at most {_MOST_WORKERS:,}, or state them as unlimited."
            )
        gate_room = -1 if math.isinf(limits.gate) else int(limits.gate) - workers
        # Behind a gate at or below the workers nobody waits: the gate is what rejects.
        queue_room = -1 if math.isinf(limits.queue) or limits.gate <= limits.workers else int(limits.queue)
        room = min((r for r in (gate_room, queue_room) if r >= 0), default=0)
        room = min(room, most_waiting)
        node_time, node_leaf, _ = _loser_tree(np.full(workers, -np.inf))
        return cls(workers, gate_room, queue_room, node_time, node_leaf, np.empty(_power_of_two(room + 1)))


def run(given: EngineInput) -> RequestLog:
    """Simulate one run; the same rows as `simpy_engine.run`, bit for bit."""
    if isinstance(given.times, OpenTimes):
        return _run_open(given, given.times)
    return _run_closed(given, given.times)


def draw_open(model: ServerModel, workload: OpenWorkload, length: RunLength, seed: int) -> OpenTimes:
    """As `inputs.draw_open`, compiled: the same bits."""
    count = length.requests or expected_requests(workload, length.horizon_s)
    arrival_s, service_s = np.empty(count), np.empty(count)
    tables = quantile_table(model.service_time), quantile_table(workload.gap)
    kernels.draw_open(np.uint64(derive_key(seed)), *tables, arrival_s, service_s)
    return OpenTimes(arrival_s, service_s)


def _run_open(given: EngineInput, times: OpenTimes) -> RequestLog:
    count = int(np.searchsorted(times.arrival_s, given.length.horizon_s, side="right"))
    count = min(count, len(times.arrival_s) if given.length.requests is None else given.length.requests)
    arrival_s = times.arrival_s[:count]
    start_s, departure_s, outcome = np.empty(count), np.empty(count), np.empty(count, np.int8)
    station = _Station.build(given.limits, count)
    kernels.run_open(
        arrival_s, times.service_s[:count], station.workers, station.gate_room, station.queue_room,
        station.node_time, station.node_leaf, station.ring, start_s, departure_s, outcome,
    )  # fmt: skip
    position = np.arange(count, dtype=np.int64)
    return RequestLog(
        arrival_s, start_s, departure_s, outcome, np.zeros(count, np.int64), position, given.network_round_trip_s
    )


def _run_closed(given: EngineInput, times: ClosedTimes) -> RequestLog:
    """Run with a guess of the number of rows; when the horizon asks for more, run again with twice the room."""
    asked = given.length.requests
    rows = _ROWS_AT_FIRST if asked is None else asked
    if times.is_given:
        rows = min(rows, times.service_trace.size) if asked is not None else times.service_trace.size
    while True:
        log, filled = _closed_rows(given, times, rows)
        if asked is not None or times.is_given or filled < rows:
            return log
        rows = _rows_for(given.length.horizon_s, float(log.arrival_s[-1]), rows)


def _rows_for(horizon_s: float, reached_s: float, rows: int) -> int:
    """Room for the whole horizon, from how far the rows so far have reached."""
    needed = max(2.0, 1.2 * horizon_s / max(reached_s, 1e-9)) * rows if reached_s > 0 else 4.0 * rows
    if needed > 2 * MOST_REQUESTS:
        raise InputError(
            f"horizon_s is {horizon_s:g}: about {needed:,.0f} requests; at most {MOST_REQUESTS:,}. Shorten it."
        )
    return int(needed)


def _closed_rows(given: EngineInput, times: ClosedTimes, rows: int) -> tuple[RequestLog, int]:
    station = _Station.build(given.limits, times.users)
    user_time, user_leaf, first_user = _loser_tree(times.first_s)
    floats = [np.empty(rows) for _ in range(3)]
    outcome, user, cycle = np.empty(rows, np.int8), np.empty(rows, np.int64), np.empty(rows, np.int64)
    filled = kernels.run_closed(
        np.uint64(times.key), times.service_table, times.think_table, times.service_trace, times.think_trace,
        given.network_round_trip_s, given.length.horizon_s,
        first_user, times.first_s[first_user], user_time, user_leaf,
        station.workers, station.gate_room, station.queue_room, station.node_time, station.node_leaf, station.ring,
        *floats, outcome, user, cycle,
    )  # fmt: skip
    arrival_s, start_s, departure_s = (column[:filled] for column in floats)
    return RequestLog(
        arrival_s, start_s, departure_s, outcome[:filled], user[:filled], cycle[:filled], given.network_round_trip_s
    ), filled


def _loser_tree(times: Floats) -> tuple[Floats, NDArray[np.int64], int]:
    """Node times, node leaves and the winner's leaf over `times`, padded with infinity to a power of two."""
    leaves = _power_of_two(len(times))
    padded = np.full(leaves, np.inf)
    padded[: len(times)] = times
    node_time, node_leaf = np.full(leaves, np.inf), np.zeros(leaves, np.int64)
    winner = kernels.build_tree(padded, node_time, node_leaf)
    return node_time, node_leaf, int(winner)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()
