"""SimPy as its documentation teaches it: a process for every request or user, and a `Resource` for the workers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import simpy

from benchmarks.systems import CAP, SATURATION_RPS, SERVICE_CV, SERVICE_MEAN_S, WORKERS, ClosedSystem, Result, System

Process = Generator[simpy.Event, Any, Any]
NAN = float("nan")


def serve(env: simpy.Environment, workers: simpy.Resource, cap: int, service_s: float) -> Process:
    """From gate to answer; returns whether the request was shed."""
    if workers.count + len(workers.queue) >= cap:
        return True
    with workers.request() as turn:
        yield turn
        yield env.timeout(service_s)
    return False


# ---- open


def open_run(system: System) -> Callable[[], Result]:
    """Prepare a run with given gaps and service times."""
    env = simpy.Environment()
    workers = simpy.Resource(env, system.workers)
    departure_s = [NAN] * system.requests
    env.process(_arrivals(env, workers, system, departure_s))

    def run() -> Result:
        env.run()
        return Result(np.array(departure_s), sum(d != d for d in departure_s))

    return run


def _arrivals(env: simpy.Environment, workers: simpy.Resource, system: System, departure_s: list[float]) -> Process:
    times = zip(system.gap_s.tolist(), system.service_s.tolist(), strict=True)
    for number, (gap_s, service_s) in enumerate(times):
        yield env.timeout(gap_s)
        env.process(_request(env, workers, system.cap, (number, service_s), departure_s))


def _request(
    env: simpy.Environment,
    workers: simpy.Resource,
    cap: int,
    request: tuple[int, float],
    departure_s: list[float],
) -> Process:
    number, service_s = request
    shed = yield from serve(env, workers, cap, service_s)
    if not shed:
        departure_s[number] = env.now


# ---- closed


@dataclass
class _Arrivals:
    """Departures in order of arrival; the run ends when the first `most` requests are answered."""

    most: int
    finished: simpy.Event
    departure_s: list[float] = field(default_factory=list)
    answered: int = 0

    def answer(self) -> None:
        self.answered += 1
        if self.answered == self.most:
            self.finished.succeed()


def closed_run(
    system: ClosedSystem, times_of: Callable[[int], Iterator[tuple[float, float]]] | None = None
) -> Callable[[], Result]:
    """Prepare a run; `times_of(user)` gives (service, think after it), by default everyone's from one pool."""
    env = simpy.Environment()
    workers = simpy.Resource(env, system.workers)
    pool = zip(system.service_s.tolist(), system.think_s.tolist(), strict=True)
    arrivals = _Arrivals(system.requests, env.event())
    for user, first_s in enumerate(system.first_s.tolist()):
        times = pool if times_of is None else times_of(user)
        env.process(_user(env, workers, (first_s, times), system.cap, arrivals))

    def run() -> Result:
        env.run(until=arrivals.finished)
        departure_s = np.array(arrivals.departure_s)
        return Result(departure_s, int(np.isnan(departure_s).sum()))

    return run


def _user(
    env: simpy.Environment,
    workers: simpy.Resource,
    times: tuple[float, Iterator[tuple[float, float]]],
    cap: int,
    arrivals: _Arrivals,
) -> Process:
    first_s, cycles = times
    yield env.timeout(first_s)
    for service_s, think_s in cycles:
        number = len(arrivals.departure_s)
        if number >= arrivals.most:
            return
        arrivals.departure_s.append(NAN)
        shed = yield from serve(env, workers, cap, service_s)
        if not shed:
            arrivals.departure_s[number] = env.now
        arrivals.answer()
        yield env.timeout(think_s)


# ---- open, end to end: own random numbers, statistics at the end


def end_to_end(load: float, requests: int, seed: int = 1, workers: int = WORKERS, cap: int = CAP) -> dict[str, float]:
    """Draw, simulate and summarise: what a modeller writes for one number."""
    env, rng = simpy.Environment(), random.Random(seed)
    station = simpy.Resource(env, workers)
    residence_s: list[float] = []
    rate_rps = load * SATURATION_RPS * workers / WORKERS

    def request(service_s: float) -> Process:
        arrival_s = env.now
        shed = yield from serve(env, station, cap, service_s)
        if not shed:
            residence_s.append(env.now - arrival_s)

    def arrivals() -> Process:
        sigma = np.sqrt(np.log1p(SERVICE_CV**2)).item()
        mu = np.log(SERVICE_MEAN_S).item() - sigma**2 / 2
        for _ in itertools.repeat(None, requests):
            yield env.timeout(rng.expovariate(rate_rps))
            env.process(request(rng.lognormvariate(mu, sigma)))

    env.process(arrivals())
    env.run()
    return _statistics(residence_s, requests, env.now)


def _statistics(residence_s: list[float], requests: int, length_s: float) -> dict[str, float]:
    times_s = np.array(residence_s)
    p50_s, p95_s, p99_s = np.percentile(times_s, [50, 95, 99]).tolist()
    return {
        "shed_rate": 1 - len(times_s) / requests, "throughput_rps": len(times_s) / length_s,
        "mean_s": times_s.mean().item(), "p50_s": p50_s, "p95_s": p95_s, "p99_s": p99_s,
        "mean_in_flight": times_s.sum().item() / length_s,
    }  # fmt: skip
