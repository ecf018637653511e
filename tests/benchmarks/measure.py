"""Interleaved pairs: ours, peer, ours, peer, ...; every pair gives one ratio of requests per second."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import our_side
from benchmarks.systems import Result

Prepare = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Side:
    """`prepare` does what is not timed and returns what is: a run over `requests` requests."""

    name: str
    prepare: Prepare
    requests: int


@dataclass(frozen=True)
class Timing:
    """One measurement: requests per second of wall time and of processor time, and the share of requests shed."""

    wall_rps: float
    cpu_rps: float
    shed_rate: float | None


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class PairedTimings:
    """All pairs of one case."""

    ours: list[Timing]
    peer: list[Timing]

    def ratio(self, clock: str) -> Spread:
        """Ours over the peer's, pair by pair."""
        field = f"{clock}_rps"
        return Spread.of([getattr(a, field) / getattr(b, field) for a, b in zip(self.ours, self.peer, strict=True)])


def measure_pairs(ours: Side, peer: Side, pairs: int, least_s: float) -> PairedTimings:
    """Warm up our compilation once, then measure in turns."""
    ours.prepare()()
    timings = PairedTimings([], [])
    for _ in range(pairs):
        timings.ours.append(time_side(ours, least_s))
        timings.peer.append(time_side(peer, least_s))
    return timings


def time_side(side: Side, least_s: float) -> Timing:
    """Whole runs until `least_s` have been timed; preparation, and garbage collection, stay outside for both sides."""
    wall_s = cpu_s = 0.0
    runs = 0
    returned: object = None
    while wall_s < least_s:
        returned = None
        run = side.prepare()
        gc.collect()
        gc.disable()
        try:
            began_wall, began_cpu = time.perf_counter(), time.process_time()
            returned = run()
            cpu_s += time.process_time() - began_cpu
            wall_s += time.perf_counter() - began_wall
        finally:
            gc.enable()
        runs += 1
    done = runs * side.requests
    return Timing(done / wall_s, done / max(cpu_s, 1e-9), shed_rate_of(returned))


def shed_rate_of(returned: object) -> float | None:
    """Sheds per request, where what was returned tells."""
    if isinstance(returned, Result):
        return returned.shed / returned.departure_s.shape[-1]
    if isinstance(returned, dict):
        return float(returned["shed_rate"])
    return our_side.shed_rate_of(returned)
