"""The event-driven half of the compiled engine: state around `event_kernel`, entered again and again until the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulations.engines import event_kernel as kernel
from simulations.engines.inputs import (
    MOST_REQUESTS,
    EngineInput,
    UserTimes,
    arrival_parts,
    within_memory,
)
from simulations.engines.request_log import RequestLog
from simulations.model.fleet import BALANCERS

Records = NDArray[Any]
Tree = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
Calendar = tuple[Records, NDArray[np.int32], Records, Records]

_SLOTS_AT_FIRST = 1 << 8
_BUFFER = 1 << 11
_ROWS_AT_FIRST = 1 << 16


@dataclass
class _State:
    """All that changes during a run. A tree is (time, winner, place, row), a calendar (plans, buckets, near, state)."""

    numbers: Records
    jobs: Records
    instances: Records
    clients: Records
    free_jobs: NDArray[np.uint32]
    free_clients: NDArray[np.uint32]
    heap_s: NDArray[np.float64]
    heap_job: NDArray[np.uint32]
    core_tree: Tree
    calendar: Calendar
    client_calendar: Calendar
    rows: Records


class LogColumns:
    """The columns of a log that finished rows are put into; they grow as needed."""

    def __init__(self, given: EngineInput) -> None:
        wanted = given.length.most_rows
        self._columns = self._empty(int(min(wanted, MOST_REQUESTS)) if math.isfinite(wanted) else _ROWS_AT_FIRST)
        self._waits = given.waits

    def take(self, rows: Records) -> None:
        """Put rows into their places."""
        if len(rows):
            self._reserve(int(rows["row"].max()) + 1)
            kernel.place_rows(rows, *self._columns)

    def log(self, count: int) -> RequestLog:
        """The first `count` rows, all of which have been taken."""
        arrival_s, start_s, departure_s, outcome, *whole = (column[:count] for column in self._columns)
        user, cycle, attempt, instance, request_class = whole
        return RequestLog(
            arrival_s, start_s, departure_s, outcome, user, cycle, attempt, instance, request_class, self._waits
        )

    def _reserve(self, count: int) -> None:
        size = len(self._columns[0])
        if count <= size:
            return
        larger = self._empty(within_memory(max(count, min(2 * size, MOST_REQUESTS))))
        for column, old in zip(larger, self._columns, strict=True):
            column[:size] = old
        self._columns = larger

    @staticmethod
    def _empty(size: int) -> list[NDArray[Any]]:
        return [np.empty(size, kind) for kind in (*[np.float64] * 3, np.int8, *[np.int64] * 5)]


def run_rows(given: EngineInput, take: Callable[[Records], None]) -> int:
    """Simulate one run; finished rows come to `take` in parts, in the order in which they finished.

    Parameters
    ----------
    given : EngineInput
    take : callable
        Given an array of `event_kernel.ROW`, which is used again afterwards.

    Returns
    -------
    int
        Number of attempts.
    """
    rules, fixed, state = _rules(given), _fixed(given), _first_state(given)
    arrivals, arrival_s = arrival_parts(given), np.empty(0)
    state.numbers["more_to_come"] = 1
    while True:
        code = kernel.run(
            rules, state.numbers, *fixed[:3], arrival_s, *fixed[3:], state.jobs, state.instances, state.clients,
            state.free_jobs, state.free_clients, state.heap_s, state.heap_job, state.core_tree,
            state.calendar, state.client_calendar, state.rows,
        )  # fmt: skip
        if code == kernel.NEEDS_JOBS:
            _more_jobs(state)
        elif code == kernel.NEEDS_CLIENTS:
            _more_clients(state)
        elif code == kernel.NEEDS_ARRIVALS:
            state.numbers["first_arrival"] += len(arrival_s)
            arrival_s = next(arrivals, np.empty(0))
            state.numbers["more_to_come"] = len(arrival_s) > 0
        else:
            take(state.rows[: state.numbers["written"][0]])
            state.numbers["written"] = 0
            if code == kernel.ENDED:
                return int(state.numbers["rows"][0])


def _rules(given: EngineInput) -> Records:
    limits, clients, users = given.limits, given.clients, given.times
    is_population = isinstance(users, UserTimes) and not users.are_sessions
    waits = not clients.are_patient or math.isfinite(limits.request_timeout_s)
    rules = np.zeros(1, kernel.RULES)
    values = {
        "round_trip_s": given.network_round_trip_s, "request_timeout_s": limits.request_timeout_s,
        "rejection_s": given.waits.answer_delay_s[kernel.SHED_AT_GATE],
        "patience_s": limits.patience_s, "gate_reset_s": limits.gate_reset_s, "client_timeout_s": clients.timeout_s,
        "keep_alive_s": clients.keep_alive_s, "jitter": clients.jitter, "horizon_s": given.length.horizon_s,
        "most_rows": given.length.most_rows, "database": given.fleet.database_connections or math.inf,
        "key": np.uint64(given.work.key), "balancer": BALANCERS.index(given.fleet.balancer),
        "is_open": not isinstance(users, UserTimes), "is_population": is_population,
        # Clients of open arrivals matter only where they try again.
        "has_clients": isinstance(users, UserTimes) or (waits and given.clients.waits_s.size > 0),
        "is_watched": math.isfinite(min(limits.request_timeout_s, clients.timeout_s)),
    }  # fmt: skip
    for name, value in values.items():
        rules[name] = value
    return rules


def _fixed(given: EngineInput) -> tuple[Any, ...]:
    """The kernel's arguments that do not change: work, users, arrivals, clients, changes."""
    work, times = given.work, given.times
    needs = tuple(np.ascontiguousarray(getattr(work, item.name)) for item in fields(work) if item.name != "key")
    if isinstance(times, UserTimes):
        users = (times.think, times.think_given, times.stop_s, times.cycles)
    else:
        users = (np.zeros((2, 1)), np.empty((0, 0)), np.empty(0), np.empty(0, np.int64))
    return (
        needs, *(np.ascontiguousarray(item) for item in users), given.clients.waits_s,
        np.array(given.clients.is_retried), _changes(given),
    )  # fmt: skip


def _changes(given: EngineInput) -> Records:
    ordered = sorted(given.fleet.changes, key=lambda item: item.at_s)
    changes = np.zeros(len(ordered), kernel.CHANGED)
    for number, change in enumerate(ordered):
        changes[number]["at_s"] = change.at_s
        changes[number]["instance"] = kernel.NOBODY if change.instance is None else change.instance
        for name in ("gate", "workers", "queue", "db_pool", "cpu_cores"):
            changes[number][name] = change.limits.get(name, math.nan)
    return changes


def _first_state(given: EngineInput) -> _State:
    jobs, clients = _slots_at_first(given), _clients_at_first(given)
    has_cpu = given.work.cpu.size > 0 or given.work.cpu_given.size > 0
    instances = _instances(given)
    numbers = np.zeros(1, kernel.NUMBERS)
    numbers["free_jobs"], numbers["database_head"] = jobs, kernel.NOBODY
    state = _State(
        numbers, np.zeros(jobs, kernel.JOB), instances, np.zeros(clients, kernel.CLIENT), _freed(0, jobs),
        _freed(0, clients), np.zeros((len(instances), jobs if has_cpu else 0)),
        np.zeros((len(instances), jobs if has_cpu else 0), np.uint32), _tree(len(instances)), _calendar(jobs),
        _calendar(clients), np.zeros(_BUFFER, kernel.ROW),
    )  # fmt: skip
    numbers["free_clients"] = clients
    if isinstance(given.times, UserTimes) and not given.times.are_sessions:
        _seat_population(state, given.times, given.length.horizon_s)
    return state


def _slots_at_first(given: EngineInput) -> int:
    """Few job slots at first, as they grow."""
    inside = given.limits.most_in_flight * given.fleet.instances
    return _SLOTS_AT_FIRST if given.fleet.changes or math.isinf(inside) else int(min(inside + 1, _SLOTS_AT_FIRST))


def _clients_at_first(given: EngineInput) -> int:
    if not isinstance(given.times, UserTimes):
        return _SLOTS_AT_FIRST if given.clients.waits_s.size else 1
    return _SLOTS_AT_FIRST if given.times.are_sessions else max(given.times.users, 1)


def _instances(given: EngineInput) -> Records:
    instances = np.zeros(given.fleet.instances, kernel.INSTANCE)
    for name in ("line_head", "line_second", "line_tail", "pool_head", "pool_tail"):
        instances[name] = kernel.NOBODY
    for name in ("gate", "workers", "queue", "db_pool", "cpu_cores"):
        instances[name] = getattr(given.limits, name)
    return instances


def _seat_population(state: _State, times: UserTimes, horizon_s: float) -> None:
    """Every user who comes at all has a slot for good, and its first request planned."""
    state.numbers["free_clients"] = 0
    users = np.arange(times.users)
    state.clients["owner"][users] = state.clients["user"][users] = users
    state.clients["job"] = state.clients["instance"] = kernel.NOBODY
    plans = state.client_calendar[0]
    comes = times.first_s <= np.minimum(horizon_s, np.finfo(float).max)
    plans["at_s"][users], plans["place"][users] = times.first_s, (kernel.ARRIVAL << kernel.KIND_SHIFT) | users
    coming = users[comes]
    plans["after"][coming] = np.append(coming[1:], kernel.NOBODY)
    if len(coming):
        kernel.file_events(state.client_calendar, coming[0], 0.0)


def _tree(instances: int) -> Tree:
    """A tournament in which nobody has an event yet: of two, the first wins."""
    leaves = _leaves(instances)
    winner = np.zeros(2 * leaves, np.int64)
    winner[leaves:] = np.arange(leaves)
    for node in range(leaves - 1, 0, -1):
        winner[node] = winner[2 * node]
    return np.full(2 * leaves, np.inf), winner, np.zeros(leaves, np.int64), np.zeros(leaves, np.int64)


def _leaves(slots: int) -> int:
    """The next power of two."""
    return 1 << (slots - 1).bit_length()


def _calendar(slots: int) -> Calendar:
    """An empty calendar, with as many buckets as slots or more."""
    state = np.zeros(1, kernel.CALENDAR)
    state["first"] = state["last"] = kernel.NOBODY
    state["first_s"], state["per_s"] = math.inf, 1.0
    near = np.zeros(slots, kernel.EVENT)
    near["at_s"] = math.inf
    return np.zeros(slots, kernel.PLAN), np.full(_leaves(slots), kernel.NOBODY, np.int32), near, state


def _more_jobs(state: _State) -> None:
    """Twice as many job slots."""
    old = len(state.jobs)
    state.jobs = np.concatenate([state.jobs, np.zeros(old, kernel.JOB)])
    state.free_jobs = _freed(old, old)
    state.numbers["free_jobs"] = old
    if state.heap_s.shape[1]:
        more = ((0, 0), (0, old))
        state.heap_s, state.heap_job = np.pad(state.heap_s, more), np.pad(state.heap_job, more)
    state.calendar = _grown(state.calendar, 2 * old, state.numbers)


def _more_clients(state: _State) -> None:
    """Twice as many client slots."""
    old = len(state.clients)
    state.clients = np.concatenate([state.clients, np.zeros(old, kernel.CLIENT)])
    state.free_clients = _freed(old, old)
    state.numbers["free_clients"] = old
    state.client_calendar = _grown(state.client_calendar, 2 * old, state.numbers)


def _freed(old: int, new: int) -> NDArray[np.uint32]:
    """The new slots on a stack that has room for all."""
    return np.concatenate([np.arange(old, old + new)[::-1], np.zeros(old)]).astype(np.uint32)


def _grown(calendar: Calendar, slots: int, numbers: Records) -> Calendar:
    first = kernel.gather_events(calendar)
    plans, _, _, state = calendar
    larger = _calendar(slots)
    larger[0][: len(plans)] = plans
    larger[3][:] = state
    kernel.file_events(larger, first, numbers["now_s"][0])
    return larger
