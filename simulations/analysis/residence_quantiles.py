"""Exact quantiles of waiting and residence times in Markovian stations.

An accepted request finds n others inside. Below the servers it is served at once;
otherwise n - c + 1 departures must pass first, each after an exponential time of
rate c mu. So its time counts events of a Poisson process of rate c mu [1]_
(uniformization [2]_): departures while it waits, and then, with one event in c,
its own. Every term of the sum over events is positive, so nothing cancels at 335
servers and 3,350 places, and small tails are exact.

References
----------
.. [1] R. B. Cooper, Introduction to Queueing Theory, 2nd edition, North Holland, 1981, section 3.4.
.. [2] A. Jensen, "Markoff chains as an aid in the study of Markoff processes",
   Skandinavisk Aktuarietidskrift 36 (1953) 87-91.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from simulations.analysis.queueing_theory import closed_mmc_states, erlang_c, mmck_states

Floats = NDArray[np.float64]

_SPREADS, _EXTRA_EVENTS = 14.0, 100
"""Poisson events are summed to mean + 14 standard deviations + 100; what is left out is below 1e-30."""


def mmc_waiting_quantile(arrival_rate: float, service_rate: float, servers: int, probability: ArrayLike) -> Floats:
    """Quantiles of the waiting time in M/M/c: P(W > t) = C exp(-(c mu - lambda) t) [1]_.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0.
    servers : int
        At least 1.
    probability : array_like of float
        At least 0 and below 1.

    Returns
    -------
    array of float
        Seconds, in the shape of `probability`; 0 up to 1 - C.

    Raises
    ------
    InputError
        For an arrival rate of at least servers times service rate, or numbers out of range.

    References
    ----------
    .. [1] R. B. Cooper, Introduction to Queueing Theory, 1981, section 3.4.
    """
    waits, drain_rate = _waits_and_drain(arrival_rate, service_rate, servers)
    tail = 1.0 - _probabilities(probability)
    return np.asarray(np.log(np.maximum(waits / tail, 1.0)) / drain_rate, dtype=float)


def mmc_residence_quantile(arrival_rate: float, service_rate: float, servers: int, probability: ArrayLike) -> Floats:
    """Quantiles of the residence time in M/M/c: an exponential service after the wait [1]_.

    P(T > t) = exp(-mu t) + C a integral_0^t exp(-a s - mu (t - s)) ds with a = c mu - lambda and Erlang's C.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0.
    servers : int
        At least 1.
    probability : array_like of float
        At least 0 and below 1.

    Returns
    -------
    array of float
        Seconds, in the shape of `probability`.

    Raises
    ------
    InputError
        For an arrival rate of at least servers times service rate, or numbers out of range.

    References
    ----------
    .. [1] R. B. Cooper, Introduction to Queueing Theory, 1981, section 3.4.
    """
    waits, drain_rate = _waits_and_drain(arrival_rate, service_rate, servers)
    slow, gap = min(drain_rate, service_rate), abs(drain_rate - service_rate)

    def tail(time_s: float) -> float:
        both_s = time_s * math.exp(-slow * time_s) * float(special.exprel(-gap * time_s))
        alone = math.exp(-service_rate * time_s)
        return (1.0 - waits) * alone + waits * (math.exp(-drain_rate * time_s) + drain_rate * both_s)

    return _inverted(tail, probability, 1.0 / service_rate)


def mmck_waiting_quantile(
    arrival_rate: float, service_rate: float, servers: int, capacity: int, probability: ArrayLike
) -> Floats:
    """Quantiles of the waiting time of accepted requests in M/M/c/K; see `mmck_residence_quantile`.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0.
    servers, capacity : int
        At least 1.
    probability : array_like of float
        At least 0 and below 1.

    Returns
    -------
    array of float
        Seconds, in the shape of `probability`; 0 up to the share that is served at once.

    Raises
    ------
    InputError
        For numbers out of range.
    """
    station = _accepted(arrival_rate, service_rate, servers, capacity)
    return _inverted(station.waiting_tail, probability, 1.0 / service_rate)


def mmck_residence_quantile(
    arrival_rate: float, service_rate: float, servers: int, capacity: int, probability: ArrayLike
) -> Floats:
    """Quantiles of the residence time of accepted requests in M/M/c/K [1]_.

    Accepted arrivals find n < K inside with the share p(n) / (1 - p(K)) (Poisson arrivals see time
    averages); they stay for an exponential time, after an Erlang(n - c + 1, c mu) wait when n >= c.

    Parameters
    ----------
    arrival_rate, service_rate : float
        Requests per second, the service rate of one server; above 0. The arrival rate may exceed the servers.
    servers, capacity : int
        At least 1.
    probability : array_like of float
        At least 0 and below 1.

    Returns
    -------
    array of float
        Seconds, in the shape of `probability`.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] D. Gross, C. M. Harris, Fundamentals of Queueing Theory, 2nd edition, Wiley, 1985, section 2.4.
    """
    station = _accepted(arrival_rate, service_rate, servers, capacity)
    return _inverted(station.residence_tail, probability, 1.0 / service_rate)


def closed_mmc_residence_quantile(
    users: int, servers: int, service_time_s: float, think_time_s: float, probability: ArrayLike
) -> Floats:
    """Quantiles of the residence time in a closed M/M/c station (machine repairman).

    An arriving user finds the others as they are in the long run with one user less [1]_. Exponential
    service; the result holds for any think-time distribution with this mean.

    Parameters
    ----------
    users, servers : int
        At least 1.
    service_time_s, think_time_s : float
        Means, above 0.
    probability : array_like of float
        At least 0 and below 1.

    Returns
    -------
    array of float
        Seconds, in the shape of `probability`.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] S. S. Lavenberg, M. Reiser, "Stationary state probabilities at arrival instants for
       closed queueing networks", Journal of Applied Probability 17 (1980) 1048-1061.
    """
    others, count = whole("users", users, least=1) - 1, whole("servers", servers, least=1)
    mean_s, think_s = positive("service_time_s", service_time_s), positive("think_time_s", think_time_s)
    found = closed_mmc_states(others, count, mean_s, think_s)
    return _inverted(_Station(found, 1.0 / mean_s, count).residence_tail, probability, mean_s)


@dataclass(frozen=True)
class _Station:
    """Shares of arrivals that find 0, 1, 2, ... others inside, and the servers that serve them."""

    found: Floats
    service_rate: float
    servers: int

    def waiting_tail(self, time_s: float) -> float:
        """P(W > t): more departures are needed than have happened."""
        chances, events = self._events(time_s)
        return float(np.dot(chances, self._still_waiting(events)))

    def residence_tail(self, time_s: float) -> float:
        """P(T > t): still waiting, or in service with all of its chances to leave missed."""
        chances, events = self._events(time_s)
        return float(np.dot(chances, self._still_waiting(events) + self._in_service(events)))

    def _events(self, time_s: float) -> tuple[Floats, int]:
        """Probabilities of 0, 1, ..., n events up to a time, and n."""
        mean = self.servers * self.service_rate * time_s
        events = int(mean + _SPREADS * math.sqrt(mean) + _EXTRA_EVENTS)
        count = np.arange(events + 1)
        chances = np.exp(special.xlogy(count, mean) - mean - special.gammaln(count + 1))
        return chances / np.sum(chances), events

    def _departures_needed(self, events: int) -> Floats:
        """Shares of arrivals that must let 0, 1, ..., `events` others go before they are served."""
        at_once = np.sum(self.found[: self.servers])
        needed = np.concatenate([[at_once], self.found[self.servers :]])[: events + 1]
        return np.pad(needed, (0, events + 1 - needed.size))

    def _still_waiting(self, events: int) -> Floats:
        """Share that waits after 0, 1, ..., `events` events."""
        beyond = float(np.sum(self.found[self.servers + events :]))
        needed = self._departures_needed(events)
        return np.asarray(np.append(np.cumsum(needed[:0:-1])[::-1], 0.0) + beyond, dtype=float)

    def _in_service(self, events: int) -> Floats:
        """Share that is in service after each event: s(j) = s(j - 1) (1 - 1 / c) + those who just began."""
        stays = 1.0 - 1.0 / self.servers
        began = self._departures_needed(events).tolist()
        return np.asarray(list(accumulate(began, lambda held, new: held * stays + new)), dtype=float)


def _accepted(arrival_rate: float, service_rate: float, servers: int, capacity: int) -> _Station:
    share = mmck_states(arrival_rate, service_rate, servers, capacity)
    return _Station(share[:-1] / np.sum(share[:-1]), service_rate, servers)


def _waits_and_drain(arrival_rate: float, service_rate: float, servers: int) -> tuple[float, float]:
    """Erlang's C, and the rate c mu - lambda at which a line drains."""
    rate, speed = positive("arrival_rate", arrival_rate), positive("service_rate", service_rate)
    return erlang_c(servers, rate / speed), servers * speed - rate


def _probabilities(probability: ArrayLike) -> Floats:
    wanted = np.asarray(probability, dtype=float)
    if not np.all((wanted >= 0.0) & (wanted < 1.0)):
        raise InputError(f"probability is {wanted.tolist()}; it must be at least 0 and below 1, for example 0.95.")
    return wanted


def _inverted(tail: Callable[[float], float], probability: ArrayLike, scale_s: float) -> Floats:
    """Times at which a falling tail reaches 1 - p, one root each."""
    wanted = _probabilities(probability)
    return np.reshape([_root(tail, 1.0 - p, scale_s) for p in wanted.ravel().tolist()], wanted.shape)


def _root(tail: Callable[[float], float], target: float, scale_s: float) -> float:
    if tail(0.0) <= target:
        return 0.0
    high_s = scale_s
    while tail(high_s) > target:
        high_s *= 2.0
    found = optimize.brentq(lambda time_s: tail(time_s) - target, 0.0, high_s, xtol=1e-13 * high_s, rtol=1e-13)
    return float(found)
