"""The recursive half of the compiled engine: stretches of a run by `recursion_kernels`, with the state in between."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from simulations.engines import recursion_kernels as kernels
from simulations.engines.inputs import DrawnArrivals, EngineInput, OpenTimes, UserTimes, arrival_parts
from simulations.engines.random_streams import times_s
from simulations.model.server_model import Limits

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_STRETCH = 1 << 14
_MOST_WORKERS = 1 << 24

# Buckets of a calendar: how many may be passed for a row, by what the width then changes, and its bounds. They decide
# about speed only.
_MOST_STEPS = 16
_NARROWER, _WIDER = 8.0, 4.0
_FEWEST_BUCKETS = 64
_LEAST_PER_S, _MOST_PER_S, _MOST_BUCKETS_PAST = 2.0**-60, 2.0**60, 2.0**50
_ROUGHLY = 1_000


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


def _per_bucket(most: int, is_named: bool) -> float:
    """How many entries a bucket is meant for; users come in batches, of a sixteenth of a small population."""
    return min(max(most / 16, 1.0), kernels.NAMED_PLACES / 2) if is_named else 8.0


@dataclass
class _Calendar:
    """Entries in order of time: the departures to come, or the users' next arrivals; buckets of a kernel and its state.

    Parameters
    ----------
    most : int
        Entries at once.
    expected_per_s : float
        Entries that come due per second, roughly: it sets the width at first.
    is_named : bool, default False
        Entries have a number, which also orders equal times.
    """

    most: int
    expected_per_s: float
    is_named: bool = False
    per_s: float = field(init=False)
    arrays: tuple[NDArray[Any], ...] = field(init=False, repr=False)
    numbers: Whole = field(init=False, repr=False)
    late_s: Floats = field(init=False, repr=False)
    late_who: Whole = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = kernels.NAMED_PLACES if self.is_named else kernels.PLACES
        buckets = max(_power_of_two(self.most // (places // 8)), _FEWEST_BUCKETS)
        room, late = self.most + 2 * kernels.LANES, self.most if self.is_named else 0
        self.arrays = (
            np.empty(places * buckets), np.empty(places * buckets if self.is_named else 0, np.int64),
            np.zeros(buckets, np.int64), *(np.zeros(room, kind) for kind in (float, np.int64, float, np.int64)),
        )  # fmt: skip
        self.late_s, self.late_who = np.empty(late), np.zeros(late, np.int64)
        self.numbers = np.zeros(10, np.int64)
        self.numbers[kernels.FAR_DUE], self.numbers[kernels.MOST_OPEN] = kernels.NEVER, 4 * places
        self.per_s = min(max(self.expected_per_s / _per_bucket(self.most, self.is_named), _LEAST_PER_S), _MOST_PER_S)

    def fill(self, times_s: Floats) -> None:
        """The first entries, named by their position; who never comes is left out."""
        (comes,) = np.nonzero(np.isfinite(times_s))
        self.arrays[5][: len(comes)], self.arrays[6][: len(comes)] = times_s[comes], comes
        self.numbers[kernels.FAR] = len(comes)
        self._refile()

    def adapt(self, now_s: float, rows: int) -> None:
        """After a stretch of so many rows: narrower buckets if some were crowded, wider ones if too short a time."""
        numbers = self.numbers
        if numbers[kernels.IS_CROWDED]:
            self.per_s = min(_NARROWER * self.per_s, _MOST_PER_S)
            if self.per_s * now_s > _MOST_BUCKETS_PAST:  # neighbouring times would not be told apart
                numbers[kernels.MOST_OPEN] = kernels.NEVER
        elif (
            numbers[kernels.STEPS] > _MOST_STEPS * rows + _FEWEST_BUCKETS
            or 2 * numbers[kernels.FAR] > numbers[kernels.INSIDE] > _FEWEST_BUCKETS
            or self.per_s * now_s > _MOST_BUCKETS_PAST
        ):
            self.per_s = max(min(self.per_s / _WIDER, _MOST_BUCKETS_PAST / max(now_s, 1.0)), _LEAST_PER_S)
        else:
            numbers[kernels.STEPS] = 0
            return
        self._refile()

    def _refile(self) -> None:
        kernels.refile(self.arrays, self.numbers, self.late_s, self.late_who, self.per_s)


@dataclass(frozen=True)
class _Station:
    """A kernel's view of the limits and its state: workers, room to wait, the latest starts, the departures to come."""

    workers: int
    room: int
    shed_as: int
    starts: Floats
    waited: Whole
    calendar: _Calendar

    @classmethod
    def build(cls, limits: Limits, most_waiting: float, mean_service_s: float) -> _Station:
        """`most_waiting`: more can never wait (the users, or the requests), however long the line may be."""
        most_served = min(limits.workers, limits.gate)
        if math.isinf(most_served):
            return cls(0, -1, 0, np.empty(1), np.zeros(1, np.int64), _Calendar(1, 1.0))
        workers = int(most_served)
        if workers > _MOST_WORKERS:
            raise InputError(
                f"The model has {workers:,} workers; at most {_MOST_WORKERS:,}, or state them as unlimited."
            )
        room, shed_as = min(
            (limits.gate - workers, kernels.SHED_AT_GATE),
            # Behind a gate at or below the workers nobody waits: the gate is what rejects.
            (math.inf if limits.gate <= limits.workers else limits.queue, kernels.SHED_AT_QUEUE),
        )
        room = int(room) if room < most_waiting else -1  # so many can never wait
        # Zeros: before the first start nobody waits.
        starts = np.zeros(_power_of_two(room + 1))
        calendar = _Calendar(int(min(workers, most_waiting)), workers / max(mean_service_s, 1.0 / _MOST_PER_S))
        return cls(workers, room, shed_as, starts, np.zeros(1, np.int64), calendar)

    @property
    def arguments(self) -> tuple[object, ...]:
        """In the order of the kernels' parameters."""
        return (
            self.workers, self.room, self.shed_as, self.starts, self.waited, self.calendar.arrays,
            self.calendar.numbers, self.calendar.per_s,
        )  # fmt: skip


def _open(given: EngineInput) -> Iterator[Stretch]:
    start_s, departure_s, outcome = np.empty(_STRETCH), np.empty(_STRETCH), np.empty(_STRETCH, np.int8)
    zeros, places, positions = np.zeros(_STRETCH, np.int64), np.arange(_STRETCH), np.empty(_STRETCH, np.int64)
    first, station = 0, None
    for arrival_s, service_s, kind in _short_parts(given):
        within_horizon = int(np.searchsorted(arrival_s, given.length.horizon_s, side="right"))
        count = int(min(within_horizon, given.length.most_rows - first))
        if count <= 0:
            return
        if station is None:
            station = _Station.build(given.limits, given.length.most_rows, float(service_s[:count].mean()))
        station.calendar.adapt(float(arrival_s[count - 1]), _STRETCH)
        done = 0
        while done < count:
            began = done
            done = kernels.serve(done, count, *station.arguments, arrival_s, service_s, start_s, departure_s, outcome)
            station.calendar.adapt(float(arrival_s[done - 1]), done - began)
        position = np.add(places[:count], first, out=positions[:count])
        yield Stretch(arrival_s[:count], start_s[:count], departure_s[:count], outcome[:count], zeros[:count], position,
                      kind[:count])  # fmt: skip
        first += count


def _short_parts(given: EngineInput) -> Iterator[tuple[Floats, Floats, Whole]]:
    """Arrivals, service times and classes in parts that fit the buffers."""
    if isinstance(given.times, DrawnArrivals):
        yield from _drawn_parts(given, given.times)
        return
    kind = np.zeros(_STRETCH, np.int64)
    for part in arrival_parts(given):
        for first in range(0, len(part), _STRETCH):
            arrival_s = part[first : first + _STRETCH]
            yield arrival_s, *_services(given, first, len(arrival_s), kind[: len(arrival_s)])


def _drawn_parts(given: EngineInput, arrivals: DrawnArrivals) -> Iterator[tuple[Floats, Floats, Whole]]:
    work, first, now_s = given.work, 0, 0.0
    arrival_s, service_s, kind = np.empty(_STRETCH), np.empty(_STRETCH), np.empty(_STRETCH, np.int64)
    while first < given.length.most_rows and now_s <= given.length.horizon_s:
        kernels.draw_open(
            np.uint64(work.key), first, now_s, work.class_upto, arrivals.gap, work.service, arrival_s, service_s, kind
        )
        yield arrival_s, service_s, kind
        first, now_s = first + _STRETCH, float(arrival_s[-1])


def _services(given: EngineInput, first: int, count: int, kind: Whole) -> tuple[Floats, Whole]:
    """Service times and classes of `count` arrivals from position `first` on; `kind` has room for them, and zeros."""
    work = given.work
    if isinstance(given.times, OpenTimes) and given.times.service_s is not None:
        return given.times.service_s[first : first + count], kind
    if work.is_given:
        return np.ascontiguousarray(work.service_given[0, first : first + count, 0]), kind
    service_s = np.empty(count)
    kernels.draw_services(np.uint64(work.key), first, work.class_upto, work.service, service_s, kind, np.empty(count))
    return service_s, kind


def _closed(given: EngineInput, times: UserTimes) -> Iterator[Stretch]:
    work, rows = given.work, _STRETCH
    service_s, think_s = _mean_times(given, times)
    station = _Station.build(given.limits, times.users, service_s)
    users = _Calendar(times.users, times.users / max(service_s + think_s, 1.0 / _MOST_PER_S), is_named=True)
    users.fill(times.first_s)
    room = times.users + 2 * kernels.LANES
    drawn, rank = tuple(np.zeros(room, item) for item in (np.int64, np.int64, float, float)), np.zeros(room, np.int64)
    cycles = np.zeros(times.users, np.int64)
    floats = [np.empty(rows) for _ in range(4)]
    outcome, whole = np.empty(rows, np.int8), [np.empty(rows, np.int64) for _ in range(3)]
    round_trip_s, rejection_s = given.waits.answer_delay_s[[kernels.SERVED, kernels.SHED_AT_GATE]]
    left = given.length.most_rows
    while left > 0:
        filled = kernels.run_closed(
            np.uint64(work.key), work.class_upto, work.service, times.think, work.service_given, times.think_given,
            float(round_trip_s), float(rejection_s), given.length.horizon_s, int(min(left, rows)),
            users.arrays, users.numbers, users.per_s, cycles, users.late_s, users.late_who, drawn, rank,
            *station.arguments, *floats, outcome, *whole,
        )  # fmt: skip
        is_crowded = users.numbers[kernels.IS_CROWDED] or station.calendar.numbers[kernels.IS_CROWDED]
        if filled == 0 and not is_crowded:
            return
        left -= filled
        arrival_s, _, start_s, departure_s = (item[:filled] for item in floats)
        user, cycle, kind = (item[:filled] for item in whole)
        if filled:
            yield Stretch(arrival_s, start_s, departure_s, outcome[:filled], user, cycle, kind)
        for calendar in (users, station.calendar):
            calendar.adapt(float(arrival_s[-1]) if filled else 0.0, filled)


def _mean_times(given: EngineInput, times: UserTimes) -> tuple[float, float]:
    """Mean service and think time, roughly: of a few uniforms, or of what is given."""
    if given.work.is_given:
        return float(given.work.service_given.mean()), float(np.mean(times.think_given))
    units = (np.arange(_ROUGHLY) + 0.5) / _ROUGHLY
    return float(times_s(given.work.service[0], units).mean()), float(times_s(times.think, units).mean())


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()
