"""The reference engine: the model in executable form, written to be read and extended.

A request's life: it arrives at the gate; if too many are inside, it is rejected
at once; otherwise it takes a free worker or waits in line; its service holds the
worker; then the answer leaves and the worker goes to the longest waiting.

Simultaneous events follow a total order that belongs to the model, not to
SimPy: completions, grants, arrivals; within a kind by the request's owner.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator
from heapq import heappush
from typing import Any, NewType, cast

import numpy as np
import simpy

from simulations.engines.inputs import ClosedTimes, EngineInput, OpenTimes
from simulations.engines.random_streams import times_s, uniforms
from simulations.engines.request_log import SERVED, SHED_AT_GATE, SHED_AT_QUEUE, RequestLog
from simulations.model.server_model import Limits

Kind = NewType("Kind", int)
COMPLETION, GRANT, ARRIVAL = Kind(0), Kind(3), Kind(7)
"""Places in the order of simultaneous events. Free between them: database releases (1), instance
changes (2), timeouts (4), gate resets and control ticks (5), retries (6)."""

_OWNER_BITS = 48
_CYCLES_DRAWN_AT_ONCE = 64

Process = Generator[simpy.Event, Any, None]


class OrderedEnvironment(simpy.Environment):
    """A SimPy environment with absolute times and a total order of simultaneous events."""

    def at(self, time_s: float, kind: Kind, owner: int, event: simpy.Event | None = None) -> simpy.Event:
        """Let `event` (a new one by default) happen at exactly `time_s`, placed by kind, then by owner.

        SimPy's own scheduling takes a delay, and now + delay would round.
        """
        event = event or simpy.Event(self)
        event._ok, event._value = True, None
        priority = (kind << _OWNER_BITS) | owner
        heappush(self._queue, (time_s, cast(Any, priority), next(self._eid), event))
        return event


class Server:
    """The gate, the line and the workers of one instance."""

    def __init__(self, env: OrderedEnvironment, limits: Limits) -> None:
        self.env = env
        self.limits = limits
        self.in_flight = 0
        self.busy_workers = 0
        self.line: deque[tuple[simpy.Event, int]] = deque()

    def admit(self) -> int:
        """Decide at the gate: an outcome code; `SERVED` means come in."""
        if self.in_flight >= self.limits.gate:
            return SHED_AT_GATE
        if self.busy_workers >= self.limits.workers and len(self.line) >= self.limits.queue:
            return SHED_AT_QUEUE
        self.in_flight += 1
        return SERVED

    def serve(self, owner: int, service_s: float) -> Generator[simpy.Event, Any, tuple[float, float]]:
        """Wait for a worker, hold it for `service_s`; return start and departure."""
        if self.busy_workers < self.limits.workers:
            self.busy_workers += 1
        else:
            granted = simpy.Event(self.env)
            self.line.append((granted, owner))
            yield granted
        start_s = self.env.now
        yield self.env.at(start_s + service_s, COMPLETION, owner)
        self.leave()
        return start_s, self.env.now

    def leave(self) -> None:
        """A request is done: its worker goes to the head of the line."""
        self.in_flight -= 1
        if not self.line:
            self.busy_workers -= 1
            return
        granted, owner = self.line.popleft()
        self.env.at(self.env.now, GRANT, owner, granted)


class _Rows:
    """Rows of the log in order of arrival; a request fills its row when it is answered."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.rows: list[list[float]] = []

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= self.most

    def arrived(self, user: int, cycle: int, arrival_s: float) -> list[float]:
        row = [arrival_s, math.nan, math.nan, SERVED, user, cycle]
        self.rows.append(row)
        return row

    def to_log(self, network_round_trip_s: float) -> RequestLog:
        table = np.array(self.rows, dtype=float).reshape(-1, 6)
        arrival, start, departure, outcome, user, cycle = table.T
        return RequestLog(
            arrival.copy(), start.copy(), departure.copy(), outcome.astype(np.int8), user.astype(np.int64),
            cycle.astype(np.int64), network_round_trip_s,
        )  # fmt: skip


def run(given: EngineInput) -> RequestLog:
    """Simulate one run; requests that arrived before the end are followed to their answers."""
    env = OrderedEnvironment()
    server = Server(env, given.limits)
    rows = _Rows(math.inf if given.length.requests is None else given.length.requests)
    if isinstance(given.times, OpenTimes):
        env.process(_open_arrivals(env, server, given.times, rows, given.length.horizon_s))
    else:
        for user in range(given.times.users):
            env.process(_user(server, given, given.times, user, rows))
    env.run()
    return rows.to_log(given.network_round_trip_s)


def _attempt(server: Server, owner: int, service_s: float, row: list[float]) -> Process:
    """One request from gate to answer, written into its row."""
    arrival_s = server.env.now
    outcome = server.admit()
    if outcome == SERVED:
        start_s, departure_s = yield from server.serve(owner, service_s)
    else:
        start_s = departure_s = arrival_s
    row[1:4] = [start_s, departure_s, outcome]


def _open_arrivals(env: OrderedEnvironment, server: Server, times: OpenTimes, rows: _Rows, horizon_s: float) -> Process:
    for position, (arrival_s, service_s) in enumerate(
        zip(times.arrival_s.tolist(), times.service_s.tolist(), strict=True)
    ):
        if rows.is_full or arrival_s > horizon_s:
            return
        yield env.at(arrival_s, ARRIVAL, position)
        row = rows.arrived(0, position, arrival_s)
        env.process(_attempt(server, position, service_s, row))


def _user(server: Server, given: EngineInput, times: ClosedTimes, user: int, rows: _Rows) -> Process:
    arrival_s = float(times.first_s[user])
    for cycle, (service_s, next_think_s) in enumerate(_user_times(times, user)):
        if arrival_s > given.length.horizon_s:
            return
        yield server.env.at(arrival_s, ARRIVAL, user)
        if rows.is_full:
            return
        row = rows.arrived(user, cycle, arrival_s)
        yield from _attempt(server, user, service_s, row)
        arrival_s = (row[2] + given.network_round_trip_s) + next_think_s


def _user_times(times: ClosedTimes, user: int) -> Iterator[tuple[float, float]]:
    """Per cycle: the service time of this request and the think time before the next one."""
    if times.is_given:
        thinks = [*times.think_trace[user, 1:].tolist(), math.inf]
        yield from zip(times.service_trace[user].tolist(), thinks, strict=True)
        return
    cycle = 0
    while True:
        index = np.arange(cycle, cycle + _CYCLES_DRAWN_AT_ONCE + 1)
        service_unit, think_unit = uniforms(times.key, index, user)
        service = times_s(times.service_table, service_unit[:-1]).tolist()
        think = times_s(times.think_table, think_unit[1:]).tolist()
        yield from zip(service, think, strict=True)
        cycle += _CYCLES_DRAWN_AT_ONCE
