"""Closed formulas of queueing theory, in forms that stay finite at thousands of servers.

References
----------
.. [1] L. Kleinrock, Queueing Systems, volume 1: Theory, Wiley, 1975, chapter 3.
.. [2] R. Jain, The Art of Computer Systems Performance Analysis, Wiley, 1991, chapters 31 and 33.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.errors import InputError


@dataclass(frozen=True)
class StationMetrics:
    """Long-run means of one station.

    Parameters
    ----------
    throughput_rps : float
        Requests served per second.
    residence_time_s, waiting_time_s : float
        Mean time of a served request at the station, and in its line.
    in_flight : float
        Mean number at the station.
    utilization : float
        Mean share of busy servers.
    blocked_fraction : float
        Share of arrivals that are turned away.
    """

    throughput_rps: float
    residence_time_s: float
    waiting_time_s: float
    in_flight: float
    utilization: float
    blocked_fraction: float = 0.0


def erlang_b(servers: int, offered_load: float) -> float:
    """Share of arrivals blocked in M/G/c/c, by the recursion 1/B(k) = 1 + k / (A B(k-1)) [1]_.

    Parameters
    ----------
    servers : int
        At least 0.
    offered_load : float
        Arrival rate times mean service time (erlangs), at least 0.
    """
    count = whole("servers", servers)
    load = non_negative("offered_load", offered_load)
    if load == 0:
        return 0.0 if count else 1.0
    inverse = 1.0
    for k in range(1, count + 1):
        inverse = 1.0 + inverse * k / load
    return 1.0 / inverse


def erlang_c(servers: int, offered_load: float) -> float:
    """Share of arrivals that wait in M/M/c: C = B / (1 - rho (1 - B)) [1]_; needs load < servers."""
    count = whole("servers", servers, least=1)
    load = non_negative("offered_load", offered_load)
    if load >= count:
        raise InputError(
            f"offered_load is {load}, servers {count}: no steady state; the load must be below the servers."
        )
    blocked = erlang_b(count, load)
    return blocked / (1.0 - load / count * (1.0 - blocked))


def mmc(arrival_rate: float, service_rate: float, servers: int) -> StationMetrics:
    """M/M/c: Poisson arrivals, exponential service, FIFO, unlimited line [1]_."""
    rate, speed = positive("arrival_rate", arrival_rate), positive("service_rate", service_rate)
    waits = erlang_c(servers, rate / speed)
    waiting_s = waits / (servers * speed - rate)
    residence_s = waiting_s + 1.0 / speed
    return StationMetrics(rate, residence_s, waiting_s, rate * residence_s, rate / (servers * speed))


def mmck(arrival_rate: float, service_rate: float, servers: int, capacity: int) -> StationMetrics:
    """M/M/c/K: at most `capacity` requests inside (waiting or served), the rest turned away [1]_."""
    rate, speed = positive("arrival_rate", arrival_rate), positive("service_rate", service_rate)
    count = whole("servers", servers, least=1)
    places = whole("capacity", capacity, least=1)
    level = np.arange(1, places + 1, dtype=float)
    share = _birth_death(np.full(places, rate), speed * np.minimum(level, count))
    return _station(share, rate * (1.0 - float(share[-1])), speed, count, blocked=float(share[-1]))


def closed_mmc(users: int, servers: int, service_time_s: float, think_time_s: float) -> StationMetrics:
    """Machine repairman: `users` alternate between thinking and an M/M/c station [2]_.

    Exponential service; the result holds for any think-time distribution with this mean.

    Parameters
    ----------
    users, servers : int
        At least 1.
    service_time_s : float
        Mean, above 0.
    think_time_s : float
        Mean, at least 0. With 0 everybody is at the station all the time.
    """
    population = whole("users", users, least=1)
    count = whole("servers", servers, least=1)
    speed = 1.0 / positive("service_time_s", service_time_s)
    think = non_negative("think_time_s", think_time_s)
    if think == 0:
        rate = min(population, count) * speed
        residence_s = population / rate
        waiting_s = residence_s - service_time_s
        return StationMetrics(rate, residence_s, waiting_s, float(population), min(population / count, 1.0))
    level = np.arange(1, population + 1, dtype=float)
    share = _birth_death((population - level + 1) / think, speed * np.minimum(level, count))
    busy = float(np.sum(share * np.minimum(np.arange(population + 1), count)))
    return _station(share, busy * speed, speed, count)


def _station(
    share: NDArray[np.float64], throughput_rps: float, service_rate: float, servers: int, blocked: float = 0.0
) -> StationMetrics:
    """Means from the stationary distribution, by Little's law and the utilization law."""
    in_flight = float(np.sum(np.arange(share.size) * share))
    residence_s = in_flight / throughput_rps
    utilization = throughput_rps / (servers * service_rate)
    return StationMetrics(
        throughput_rps, residence_s, residence_s - 1.0 / service_rate, in_flight, utilization, blocked
    )


def _birth_death(births: NDArray[np.float64], deaths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stationary distribution over 0..n from up-rates into and down-rates out of 1..n, normalised in logs."""
    log_share = np.concatenate([[0.0], np.cumsum(np.log(births) - np.log(deaths))])
    return np.asarray(np.exp(log_share - special.logsumexp(log_share)), dtype=float)


def interactive_response_time(users: float, throughput_rps: float, think_time_s: float) -> float:
    """Mean residence time from the response-time law R = N / X - Z [2]_ (infinite without throughput)."""
    return users / throughput_rps - think_time_s if throughput_rps > 0 else math.inf
