"""What is simulated: the base case of the benchmark and its variations, with every variate given.

Base case: one instance with 335 workers and at most 3,350 requests inside; Poisson arrivals; lognormal
service times with a mean of 5.4 ms and cv 1. A load of 1 is what the workers can serve.

A request's path: least-connections choice of an instance, gate (shed when full), FIFO wait for a worker, which it
holds until it leaves; then CPU work (processor sharing: each of n jobs runs at rate min(1, cores / n)), a FIFO
pool of database connections, and at last its service time. A client gives up `timeout_s` after an attempt's
arrival, which the server does not notice; after a shed or timed-out attempt (the a-th, from 0) it tries again
`backoff_s` * `factor` ** a later, until it has made `attempts` attempts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WORKERS, CAP = 335, 3_350
SERVICE_MEAN_S, SERVICE_CV = 0.0054, 1.0
SATURATION_RPS = WORKERS / SERVICE_MEAN_S
SEED = 20_250


@dataclass(frozen=True)
class Stage:
    """A station that a request visits while it holds its worker: times needed there, and cores or connections."""

    time_s: Floats
    servers: int


@dataclass(frozen=True)
class Clients:
    """What clients do when the answer is late or a 503."""

    timeout_s: float
    attempts: int
    backoff_s: float
    factor: float


@dataclass(frozen=True)
class System:
    """An open system with its variates.

    `arrival_s` is exactly the running sum of `gap_s`. `service_s` has the shape (requests,), or with `clients`
    (attempts, requests). `workers` and `cap` are those of one instance.
    """

    gap_s: Floats
    arrival_s: Floats
    service_s: Floats
    workers: int = WORKERS
    cap: int = CAP
    instances: int = 1
    cpu: Stage | None = None
    database: Stage | None = None
    clients: Clients | None = None

    @property
    def requests(self) -> int:
        return len(self.arrival_s)


@dataclass(frozen=True)
class ClosedSystem:
    """A population of users; `service_s` and `think_s` are pools of variates for a side that takes given ones."""

    users: int
    think_mean_s: float
    requests: int
    first_s: Floats
    service_s: Floats
    think_s: Floats
    workers: int = WORKERS
    cap: int = CAP


@dataclass(frozen=True)
class Result:
    """What a side found: departures in order of arrival (nan where shed; shaped like the service times), and counts.

    Closed runs count what was shed among the first `requests` arrivals and leave `departure_s` in order of arrival.
    """

    departure_s: Floats
    shed: int
    timed_out: int = 0
    mean_s: float = math.nan


def lognormal(rng: np.random.Generator, mean_s: float, size: int | tuple[int, ...], cv: float = SERVICE_CV) -> Floats:
    """Lognormal times of the given mean and coefficient of variation."""
    sigma = math.sqrt(math.log1p(cv**2))
    return rng.lognormal(math.log(mean_s) - sigma**2 / 2, sigma, size)


def _arrivals(rng: np.random.Generator, rate_rps: float, requests: int) -> tuple[Floats, Floats]:
    gap_s = rng.exponential(1.0 / rate_rps, requests)
    return gap_s, np.cumsum(gap_s)


@lru_cache(maxsize=4)
def base_case(load: float, requests: int) -> System:
    """Gate, queue and workers only."""
    rng = np.random.default_rng(SEED)
    gaps = _arrivals(rng, load * SATURATION_RPS, requests)
    return System(*gaps, lognormal(rng, SERVICE_MEAN_S, requests))


@lru_cache(maxsize=4)
def with_database(load: float, requests: int) -> System:
    """0.6 ms of every 5.4 ms are spent with one of 46 connections: at a load of 0.8 they are 65 % busy."""
    rng = np.random.default_rng(SEED)
    gaps = _arrivals(rng, load * SATURATION_RPS, requests)
    database = Stage(lognormal(rng, 0.0006, requests), 46)
    return System(*gaps, lognormal(rng, 0.0048, requests), database=database)


@lru_cache(maxsize=4)
def with_cpu(load: float, requests: int) -> System:
    """0.3 ms of every 5.4 ms are CPU work on 20 cores: at a load of 0.8 they are 74 % busy."""
    rng = np.random.default_rng(SEED)
    gaps = _arrivals(rng, load * SATURATION_RPS, requests)
    cpu = Stage(rng.exponential(0.0003, requests), 20)
    return System(*gaps, lognormal(rng, 0.0051, requests), cpu=cpu)


@lru_cache(maxsize=4)
def balanced(load: float, requests: int) -> System:
    """Four instances of the base case behind a least-connections balancer."""
    rng = np.random.default_rng(SEED)
    gaps = _arrivals(rng, 4 * load * SATURATION_RPS, requests)
    return System(*gaps, lognormal(rng, SERVICE_MEAN_S, requests), instances=4)


@lru_cache(maxsize=4)
def with_retries(load: float, requests: int) -> System:
    """Clients wait 30 ms, then try again, at most three times in all."""
    rng = np.random.default_rng(SEED)
    gaps = _arrivals(rng, load * SATURATION_RPS, requests)
    clients = Clients(timeout_s=0.03, attempts=3, backoff_s=0.05, factor=2.0)
    return System(*gaps, lognormal(rng, SERVICE_MEAN_S, (clients.attempts, requests)), clients=clients)


@lru_cache(maxsize=2)
def closed(users: int, load: float, requests: int) -> ClosedSystem:
    """Users whose think time makes them send `load` times what the workers can serve."""
    rng = np.random.default_rng(SEED)
    think_mean_s = users / (load * SATURATION_RPS) - _mean_residence_s(load)
    return ClosedSystem(
        users, think_mean_s, requests,
        rng.exponential(think_mean_s, users),
        lognormal(rng, SERVICE_MEAN_S, requests + users),
        rng.exponential(think_mean_s, requests + users),
    )  # fmt: skip


def _mean_residence_s(load: float) -> float:
    """Of all requests: hardly any wait below saturation; above it 1 / load of them find the system full."""
    return SERVICE_MEAN_S if load < 1 else CAP / SATURATION_RPS / load
