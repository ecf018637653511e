"""The recursive half of the compiled engine: stretches of a run by `recursion_kernels`, with the state in between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from simulations.engines import recursion_kernels as kernels
from simulations.engines.inputs import DrawnArrivals, EngineInput, OpenTimes, UserTimes, arrival_parts
from simulations.model.server_model import Limits

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_STRETCH = 1 << 14
_MOST_WORKERS = 1 << 24


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows, in order of arrival; the arrays are used again for the next stretch."""

    arrival_s: Floats
    start_s: Floats
    departure_s: Floats
    outcome: NDArray[np.int8]
    user: Whole
    cycle: Whole
    request_class: Whole

    def copy(self) -> Stretch:
        """One that lasts."""
        return Stretch(*(getattr(self, item.name).copy() for item in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Stretch]) -> Stretch:
        """Consecutive stretches as one; empty without any."""
        nothing = cls(*(np.empty(0, kind) for kind in (*[np.float64] * 3, np.int8, *[np.int64] * 3)))
        return cls(*(np.concatenate([getattr(part, item.name) for part in (nothing, *parts)]) for item in fields(cls)))


def stretches(given: EngineInput) -> Iterator[Stretch]:
    """The rows of a run, stretch by stretch. Keep a copy of what has to last."""
    if isinstance(given.times, UserTimes):
        return _closed(given, given.times)
    return _open(given)


@dataclass(frozen=True)
class _Station:
    """A kernel's view of the limits: worker tree, line, and how many may wait; and its state."""

    workers: int
    gate_room: int
    queue_room: int
    node_time: Floats
    node_leaf: Whole
    ring: Floats
    state_s: Floats
    state: Whole

    @classmethod
    def build(cls, limits: Limits, most_waiting: float) -> _Station:
        """`most_waiting`: more can never wait (the users, or the requests), however long the line may be."""
        most_served = min(limits.workers, limits.gate)
        nobody_waits = np.full(1, -np.inf), np.zeros(3, np.int64)
        if math.isinf(most_served):
            return cls(0, -1, -1, np.empty(1), np.zeros(1, np.int64), np.empty(1), *nobody_waits)
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
        return cls(workers, gate_room, queue_room, node_time, node_leaf, np.empty(_power_of_two(room + 1)),
                   *nobody_waits)  # fmt: skip

    @property
    def arguments(self) -> tuple[int | Floats | Whole, ...]:
        """In the order of the kernels' parameters."""
        return (
            self.workers, self.gate_room, self.queue_room, self.node_time, self.node_leaf, self.ring,
            self.state_s, self.state,
        )  # fmt: skip


def _open(given: EngineInput) -> Iterator[Stretch]:
    station = _Station.build(given.limits, given.length.most_rows)
    start_s, departure_s, outcome = np.empty(_STRETCH), np.empty(_STRETCH), np.empty(_STRETCH, np.int8)
    zeros, first = np.zeros(_STRETCH, np.int64), 0
    for arrival_s, service_s, kind in _short_parts(given):
        within_horizon = int(np.searchsorted(arrival_s, given.length.horizon_s, side="right"))
        count = int(min(within_horizon, given.length.most_rows - first))
        if count <= 0:
            return
        kernels.run_open(
            arrival_s[:count], service_s[:count], *station.arguments, start_s[:count], departure_s[:count],
            outcome[:count],
        )  # fmt: skip
        position = np.arange(first, first + count, dtype=np.int64)
        yield Stretch(arrival_s[:count], start_s[:count], departure_s[:count], outcome[:count], zeros[:count], position,
                      kind[:count])  # fmt: skip
        first += count


def _short_parts(given: EngineInput) -> Iterator[tuple[Floats, Floats, Whole]]:
    """Arrivals, service times and classes in parts that fit the buffers."""
    if isinstance(given.times, DrawnArrivals):
        yield from _drawn_parts(given, given.times)
        return
    for part in arrival_parts(given):
        for first in range(0, len(part), _STRETCH):
            arrival_s = part[first : first + _STRETCH]
            yield arrival_s, *_services(given, first, len(arrival_s))


def _drawn_parts(given: EngineInput, arrivals: DrawnArrivals) -> Iterator[tuple[Floats, Floats, Whole]]:
    work, first, now_s = given.work, 0, 0.0
    arrival_s, service_s, kind = np.empty(_STRETCH), np.empty(_STRETCH), np.empty(_STRETCH, np.int64)
    while first < given.length.most_rows and now_s <= given.length.horizon_s:
        kernels.draw_open(
            np.uint64(work.key), first, now_s, work.class_upto, arrivals.gap, work.service, arrival_s, service_s, kind
        )
        yield arrival_s, service_s, kind
        first, now_s = first + _STRETCH, float(arrival_s[-1])


def _services(given: EngineInput, first: int, count: int) -> tuple[Floats, Whole]:
    """Service times and classes of `count` arrivals from position `first` on."""
    kind, work = np.zeros(count, np.int64), given.work
    if isinstance(given.times, OpenTimes) and given.times.service_s is not None:
        return given.times.service_s[first : first + count], kind
    if work.is_given:
        return np.ascontiguousarray(work.service_given[0, first : first + count, 0]), kind
    service_s = np.empty(count)
    kernels.draw_services(np.uint64(work.key), first, work.class_upto, work.service, service_s, kind)
    return service_s, kind


def _closed(given: EngineInput, users: UserTimes) -> Iterator[Stretch]:
    work, rows = given.work, _STRETCH
    station = _Station.build(given.limits, users.users)
    user_time, user_leaf, first_user = _loser_tree(users.first_s)
    next_s, next_user = np.array([users.first_s[first_user]]), np.array([first_user], dtype=np.int64)
    cycles = np.zeros(users.users, np.int64)
    floats = [np.empty(rows) for _ in range(3)]
    outcome, whole = np.empty(rows, np.int8), [np.empty(rows, np.int64) for _ in range(3)]
    left = given.length.most_rows
    while left > 0:
        filled = kernels.run_closed(
            np.uint64(work.key), work.class_upto, work.service, users.think, work.service_given, users.think_given,
            given.network_round_trip_s, given.length.horizon_s, int(min(left, rows)),
            next_s, next_user, user_time, user_leaf, cycles, *station.arguments, *floats, outcome, *whole,
        )  # fmt: skip
        if filled == 0:
            return
        left -= filled
        arrival_s, start_s, departure_s = (item[:filled] for item in floats)
        user, cycle, kind = (item[:filled] for item in whole)
        yield Stretch(arrival_s, start_s, departure_s, outcome[:filled], user, cycle, kind)


def _loser_tree(times: Floats) -> tuple[Floats, Whole, int]:
    """Node times, node leaves and the winner's leaf over `times`, padded with infinity to a power of two."""
    leaves = _power_of_two(len(times))
    padded = np.full(leaves, np.inf)
    padded[: len(times)] = times
    node_time, node_leaf = np.full(leaves, np.inf), np.zeros(leaves, np.int64)
    winner = kernels.build_tree(padded, node_time, node_leaf, np.empty(2 * leaves, np.int64))
    return node_time, node_leaf, int(winner)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()
