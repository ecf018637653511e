"""What is measured, against whom, and how much faster it must be: declarations only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import our_side, resources, systems
from benchmarks.measure import Spread
from benchmarks.peers import ciw_open, event_list, simpy_callbacks, simpy_features, simpy_process

Run = Callable[[], Any]
Prepare = Callable[[int], Run]

PROCESSES, CALLBACKS, CIW = "SimPy, idiomatic", "SimPy, callbacks", "Ciw"
CPP, ONE_THREAD = "C++ event list", "one thread"


@dataclass(frozen=True)
class Case:
    """One comparison.

    `ours` and `peer` prepare a run over so many requests; None where a side does not exist (yet, or here).
    `requests` are ours and the peer's. `floor` is the least ratio of requests per second; None: only reported.
    """

    name: str
    against: str
    ours: Prepare | None
    peer: Prepare | None
    requests: tuple[int, int]
    floor: float | None
    wall_only: bool = False


@dataclass(frozen=True)
class Ceiling:
    """Something measured in a process of its own that must stay at or below `ceiling`.

    `measure(scale)` does it over that part of the requests; `{millions}` in the name tells how many. `scales`:
    the ceiling belongs to all of them and shrinks with the scale.
    """

    name: str
    unit: str
    ceiling: float
    measure: Callable[[float], Spread]
    scales: bool = False

    def of_scale(self, scale: float) -> tuple[str, float]:
        """Name and ceiling for a part of the requests."""
        name = self.name.format(millions=f"{resources.LONG * scale / 1e6:g} million")
        return name, self.ceiling * scale if self.scales else self.ceiling


def open_cases(load: float, floors: tuple[float, float]) -> list[Case]:
    """The base case: the same arrays go into every side but Ciw, which takes them in its own order."""
    system = partial(systems.base_case, load)
    name = f"open, load {load}"
    ours = _on(our_side.open_run, system)
    million = 1_000_000
    few, many = (60_000, 200_000) if load < 1 else (150_000, 300_000)  # above 1 the system must first fill up
    return [
        Case(name, PROCESSES, ours, _on(simpy_process.open_run, system), (2 * million, few), floors[0]),
        Case(name, CALLBACKS, ours, _on(simpy_callbacks.open_run, system), (2 * million, many), floors[1]),
        Case(name, CIW, ours, _on(ciw_open.open_run, system), (2 * million, few // 2), 2_000),
        Case(name, CPP, ours, _on(_event_list(), system), (2 * million, 2 * million), None),
    ]


def closed_case(users: int, load: float, requests: tuple[int, int], floor: float) -> Case:
    """Users, thinking: ours draws its own times, the peer takes given ones."""
    system = partial(systems.closed, users, load)
    name = f"closed, {users:,} users, load {load}"
    return Case(
        name, PROCESSES, _on(our_side.closed_run, system), _on(simpy_process.closed_run, system), requests, floor
    )


def feature_cases(load: float) -> list[Case]:
    """What needs an event-driven kernel."""
    features = [
        ("database pool", systems.with_database, our_side.database_run, simpy_features.database_run),
        ("shared cores", systems.with_cpu, our_side.cpu_run, simpy_features.cpu_run),
        ("least connections", systems.balanced, our_side.balanced_run, simpy_features.balanced_run),
        ("timeouts and retries", systems.with_retries, our_side.retries_run, simpy_features.retries_run),
    ]
    return [
        Case(f"{name}, load {load}", CALLBACKS, _on(ours, partial(make, load)), _on(peer, partial(make, load)),
             (1_000_000, 100_000 if load < 1 else 250_000), 30)
        for name, make, ours, peer in features
    ]  # fmt: skip


def end_to_end_case(load: float) -> Case:
    """Own random numbers and statistics on both sides."""
    return Case(
        f"end to end, load {load}", PROCESSES,
        partial(our_side.end_to_end_run, load),
        lambda requests: partial(simpy_process.end_to_end, load, requests),
        (5_000_000, 60_000 if load < 1 else 150_000), 500,
    )  # fmt: skip


def threads_case() -> Case:
    """Eight replications over two threads against the same over one."""

    def over(threads: int) -> Prepare:
        return lambda requests: our_side.replications_run(8, requests // 8, threads)

    return Case("8 replications, two threads", ONE_THREAD, over(2), over(1), (8_000_000, 8_000_000), 1.5, True)


def all_cases() -> list[Case]:
    """In the order of the table."""
    return [
        *open_cases(0.8, (1_500, 200)),
        *open_cases(1.2, (1_000, 150)),
        closed_case(5_000, 0.8, (2_000_000, 60_000), 500),
        closed_case(5_000, 1.2, (2_000_000, 150_000), 500),
        closed_case(150_000, 1.2, (4_000_000, 600_000), 1_000),
        end_to_end_case(0.8),
        end_to_end_case(1.2),
        *feature_cases(0.8),
        *feature_cases(1.2),
        threads_case(),
    ]


def all_ceilings() -> list[Ceiling]:
    """Time, memory, and the start."""
    return [
        Ceiling("{millions} requests, streaming: time", "s", 10, resources.long_run_s, scales=True),
        Ceiling("{millions} requests, streaming: peak memory", "MB", 250, resources.long_run_peak_mb),
        Ceiling(
            "{millions} requests: peak memory beyond that of a tenth of them", "MB", 10, resources.long_run_growth_mb
        ),
        Ceiling(
            "a Python process from its start over the import to the first run, warm cache",
            "s",
            1,
            resources.warm_start_s,
        ),
    ]


def _on(run: Callable[[Any], Run] | None, system: Callable[[int], Any]) -> Prepare | None:
    return None if run is None else lambda requests: run(system(requests))


def _event_list() -> Callable[[systems.System], Run] | None:
    return event_list.open_run if event_list.compiler() else None
