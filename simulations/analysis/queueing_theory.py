"""Closed formulas of queueing theory, in forms that stay finite at thousands of servers.

Here: Markovian stations (Erlang, M/M/c, M/M/c/K, machine repairman). By the same
name, loaded on first use: `residence_quantiles` (exact quantiles of their times),
`single_server` (M/G/1), `operational_laws` and `usl` (Universal Scalability Law).

References
----------
.. [1] L. Kleinrock, Queueing Systems, volume 1: Theory, Wiley, 1975, chapter 3.
.. [2] R. Jain, The Art of Computer Systems Performance Analysis, Wiley, 1991, chapters 31 and 33.
.. [3] R. B. Cooper, Introduction to Queueing Theory, 2nd edition, North Holland, 1981, chapter 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from simulations.analysis.operational_laws import (
        ClosedBounds,
        asymptotic_bounds,
        flow_balance_error,
        interactive_response_time,
        littles_law,
        utilization_law,
    )
    from simulations.analysis.residence_quantiles import (
        closed_mmc_residence_quantile,
        mmc_residence_quantile,
        mmc_waiting_quantile,
        mmck_residence_quantile,
        mmck_waiting_quantile,
    )
    from simulations.analysis.single_server import md1, mg1, mg1_ps, mg1_ps_residence_of_size
    from simulations.analysis.usl import UslFit, fit_usl

__all__ = [
    "ClosedBounds", "StationMetrics", "UslFit", "asymptotic_bounds", "closed_mmc", "closed_mmc_residence_quantile",
    "erlang_b", "erlang_c", "fit_usl", "flow_balance_error", "interactive_response_time", "littles_law", "md1", "mg1",
    "mg1_ps", "mg1_ps_residence_of_size", "mmc", "mmc_residence_quantile", "mmc_waiting_quantile", "mmck",
    "mmck_residence_quantile", "mmck_waiting_quantile", "utilization_law",
]  # fmt: skip

_LAWS = (
    "ClosedBounds", "asymptotic_bounds", "flow_balance_error", "interactive_response_time", "littles_law",
    "utilization_law",
)  # fmt: skip
_QUANTILES = (
    "closed_mmc_residence_quantile", "mmc_residence_quantile", "mmc_waiting_quantile", "mmck_residence_quantile",
    "mmck_waiting_quantile",
)  # fmt: skip

__getattr__, __dir__ = attach(
    __name__,
    {
        **dict.fromkeys(_LAWS, "simulations.analysis.operational_laws"),
        **dict.fromkeys(_QUANTILES, "simulations.analysis.residence_quantiles"),
        **dict.fromkeys(("md1", "mg1", "mg1_ps", "mg1_ps_residence_of_size"), "simulations.analysis.single_server"),
        **dict.fromkeys(("UslFit", "fit_usl"), "simulations.analysis.usl"),
    },
)

Floats = NDArray[np.float64]


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

    Returns
    -------
    float
        0 to 1; the service times may have any distribution.

    Raises
    ------
    InputError
        For servers that are no whole number or a load that is negative or not finite.

    References
    ----------
    .. [1] R. B. Cooper, Introduction to Queueing Theory, 1981, section 3.3.
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
    """Share of arrivals that wait in M/M/c: C = B / (1 - rho (1 - B)) with Erlang's B [1]_.

    Parameters
    ----------
    servers : int
        At least 1.
    offered_load : float
        Arrival rate times mean service time (erlangs), at least 0 and below `servers`.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    InputError
        For a load of at least the servers (no steady state), or numbers out of range.

    References
    ----------
    .. [1] R. B. Cooper, Introduction to Queueing Theory, 1981, section 3.4.
    """
    count = whole("servers", servers, least=1)
    load = non_negative("offered_load", offered_load)
    if load >= count:
        raise InputError(
            f"offered_load is {load}, servers {count}: no steady state; the load must be below the servers."
        )
    blocked = erlang_b(count, load)
    return blocked / (1.0 - load / count * (1.0 - blocked))


def mmc(arrival_rate: float, service_rate: float, servers: int) -> StationMetrics:
    """M/M/c: Poisson arrivals, exponential service, FIFO, unlimited line; mean wait C / (c mu - lambda) [1]_.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0.
    servers : int
        At least 1.

    Returns
    -------
    StationMetrics

    Raises
    ------
    InputError
        For an arrival rate of at least servers times service rate, or numbers out of range.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 1, 1975, section 3.5.
    """
    rate, speed = positive("arrival_rate", arrival_rate), positive("service_rate", service_rate)
    waits = erlang_c(servers, rate / speed)
    waiting_s = waits / (servers * speed - rate)
    residence_s = waiting_s + 1.0 / speed
    return StationMetrics(rate, residence_s, waiting_s, rate * residence_s, rate / (servers * speed))


def mmck(arrival_rate: float, service_rate: float, servers: int, capacity: int) -> StationMetrics:
    """M/M/c/K: at most `capacity` requests inside (waiting or served), the rest turned away [1]_.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0. The arrival rate may exceed the servers.
    servers, capacity : int
        At least 1. A capacity below the servers leaves some of them idle for ever.

    Returns
    -------
    StationMetrics
        Times are of accepted requests.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] R. Jain, The Art of Computer Systems Performance Analysis, 1991, section 31.5.
    """
    rate, speed, count = _rates(arrival_rate, service_rate, servers)
    share = mmck_states(rate, speed, count, capacity)
    return _station(share, rate * (1.0 - float(share[-1])), speed, count, blocked=float(share[-1]))


def mmck_states(arrival_rate: float, service_rate: float, servers: int, capacity: int) -> Floats:
    """Long-run shares of time with 0..capacity requests inside an M/M/c/K station; parameters as in `mmck`."""
    rate, speed, count = _rates(arrival_rate, service_rate, servers)
    level = np.arange(1, whole("capacity", capacity, least=1) + 1, dtype=float)
    return _birth_death(math.log(rate) - math.log(speed) - np.log(np.minimum(level, count)))


def closed_mmc(users: int, servers: int, service_time_s: float, think_time_s: float) -> StationMetrics:
    """Machine repairman: `users` alternate between thinking and an M/M/c station [1]_.

    Exponential service; the result holds for any think-time distribution with this mean [2]_.

    Parameters
    ----------
    users, servers : int
        At least 1.
    service_time_s : float
        Mean, above 0.
    think_time_s : float
        Mean, at least 0. With 0 everybody is at the station all the time.

    Returns
    -------
    StationMetrics

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 1, 1975, section 3.8 (M/M/m//M).
    .. [2] F. Baskett, K. M. Chandy, R. R. Muntz, F. G. Palacios, "Open, closed, and mixed
       networks of queues with different classes of customers", JACM 22 (1975) 248-260.
    """
    population = whole("users", users, least=1)
    count = whole("servers", servers, least=1)
    speed = 1.0 / positive("service_time_s", service_time_s)
    if non_negative("think_time_s", think_time_s) == 0:
        rate = min(population, count) * speed
        residence_s = population / rate
        waiting_s = residence_s - service_time_s
        return StationMetrics(rate, residence_s, waiting_s, float(population), min(population, count) / count)
    share = closed_mmc_states(population, count, service_time_s, think_time_s)
    busy = float(np.sum(share * np.minimum(np.arange(population + 1), count)))
    return _station(share, busy * speed, speed, count)


def closed_mmc_states(users: int, servers: int, service_time_s: float, think_time_s: float) -> Floats:
    """Long-run shares of time with 0..users requests inside a closed M/M/c station; parameters as in `closed_mmc`."""
    level = np.arange(1, users + 1, dtype=float)
    thinking, busy = np.log(users - level + 1), np.log(np.minimum(level, servers))
    return _birth_death(thinking - busy + (math.log(service_time_s) - math.log(think_time_s)))


def _rates(arrival_rate: float, service_rate: float, servers: int) -> tuple[float, float, int]:
    rate, speed = positive("arrival_rate", arrival_rate), positive("service_rate", service_rate)
    return rate, speed, whole("servers", servers, least=1)


def _station(
    share: Floats, throughput_rps: float, service_rate: float, servers: int, blocked: float = 0.0
) -> StationMetrics:
    """Means from the stationary distribution, by Little's law and the utilization law."""
    in_flight = float(np.sum(np.arange(share.size) * share))
    residence_s = in_flight / throughput_rps
    utilization = throughput_rps / (servers * service_rate)
    waiting_s = max(residence_s - 1.0 / service_rate, 0.0)
    return StationMetrics(throughput_rps, residence_s, waiting_s, in_flight, utilization, blocked)


def _birth_death(log_ratio: Floats) -> Floats:
    """Stationary distribution over 0..n from the logarithms of up-rate into over down-rate out of 1..n [1]_."""
    log_share = np.concatenate([[0.0], np.cumsum(log_ratio)])
    return np.asarray(np.exp(log_share - special.logsumexp(log_share)), dtype=float)
