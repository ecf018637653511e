"""Who sends requests, and when the next one comes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.distributions import Distribution, Exponential
from loadtests.foundation.errors import InputError
from simulations.model.clients import Clients

Floats = NDArray[np.float64]

_RATE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class OpenWorkload:
    """Arrivals that do not wait for answers.

    Parameters
    ----------
    arrival_rate_rps : float
        Mean arrival rate, requests per second.
    interarrival : Distribution, optional
        Times between arrivals; its mean must be 1 / rate. Default: exponential
        (a Poisson process).
    clients : Clients
        Timeouts and retries; by default everybody waits, nobody tries again.
    """

    arrival_rate_rps: float
    interarrival: Distribution | None = None
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        rate = positive("arrival_rate_rps", self.arrival_rate_rps)
        if self.interarrival is not None and abs(self.interarrival.mean_s * rate - 1.0) > _RATE_TOLERANCE:
            raise InputError(
                f"arrival_rate_rps is {rate:g}, but the interarrival times have a mean of {self.interarrival.mean_s:g} "
                f"s, which is {1 / max(self.interarrival.mean_s, 1e-300):g} a second; make the mean 1 / rate."
            )

    @property
    def gap(self) -> Distribution:
        """Time between arrivals, seconds."""
        return self.interarrival or Exponential(1.0 / self.arrival_rate_rps)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": "open", "arrival_rate_rps": self.arrival_rate_rps, "interarrival": self.gap.text(),
            **_clients(self.clients),
        }  # fmt: skip


@dataclass(frozen=True)
class ProfileWorkload:
    """Poisson arrivals whose rate changes over time: straight lines between given points.

    Arrival i comes where the integral of the rate reaches the sum of i unit-mean gaps
    (time change of a Poisson process [1]_).

    Parameters
    ----------
    times_s, rates_rps : sequences of float
        Points of the rate; times ascend from 0, two equal times make a step, rates are at least 0.
        The rate ends with the last point: no arrivals come after it.
    clients : Clients

    References
    ----------
    .. [1] E. Cinlar, Introduction to Stochastic Processes, Prentice-Hall, 1975, section 4.7.
    """

    times_s: tuple[float, ...]
    rates_rps: tuple[float, ...]
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        times, rates = np.asarray(self.times_s, dtype=float), np.asarray(self.rates_rps, dtype=float)
        if times.ndim != 1 or times.shape != rates.shape or times.size < 2 or times[0] != 0:
            raise InputError("A rate profile needs as many times as rates, at least 2, the first time 0.")
        if not (np.all(np.isfinite(times)) and np.all(np.isfinite(rates)) and np.all(rates >= 0)):
            raise InputError("The times and rates of a profile must be finite, and rates at least 0.")
        if np.any(np.diff(times) < 0) or not np.any(np.diff(self.expected_by(times)) > 0):
            raise InputError("The times of a rate profile must ascend, with a rate above 0 somewhere.")
        object.__setattr__(self, "times_s", tuple(times.tolist()))
        object.__setattr__(self, "rates_rps", tuple(rates.tolist()))

    @property
    def end_s(self) -> float:
        """The last point in time."""
        return self.times_s[-1]

    @property
    def mean_rate_rps(self) -> float:
        """Mean rate over the whole profile."""
        return float(self.expected_by(np.array([self.end_s]))[0]) / self.end_s

    def expected_by(self, at_s: ArrayLike) -> Floats:
        """Expected number of arrivals until each time (integral of the rate)."""
        times, rates = np.asarray(self.times_s, dtype=float), np.asarray(self.rates_rps, dtype=float)
        areas = np.concatenate([[0.0], np.cumsum(np.diff(times) * (rates[1:] + rates[:-1]) / 2)])
        at = np.clip(np.asarray(at_s, dtype=float), 0.0, times[-1])
        piece = np.clip(np.searchsorted(times, at, side="right") - 1, 0, times.size - 2)
        inside = at - times[piece]
        slope = _slopes(times, rates)[piece]
        return np.asarray(areas[piece] + inside * (rates[piece] + slope * inside / 2), dtype=float)

    def time_of(self, expected: Floats) -> Floats:
        """When the expected number of arrivals reaches each value (the inverse of `expected_by`); infinity if never."""
        times, rates = np.asarray(self.times_s, dtype=float), np.asarray(self.rates_rps, dtype=float)
        areas = np.concatenate([[0.0], np.cumsum(np.diff(times) * (rates[1:] + rates[:-1]) / 2)])
        piece = np.clip(np.searchsorted(areas, expected, side="left") - 1, 0, times.size - 2)
        missing = np.maximum(expected - areas[piece], 0.0)
        rate, slope = rates[piece], _slopes(times, rates)[piece]
        # The root of rate x + slope x^2 / 2 = missing, in the form that does not cancel.
        root = np.sqrt(np.maximum(rate * rate + 2 * slope * missing, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(missing > 0, 2 * missing / (rate + root), 0.0)
        found = np.minimum(times[piece] + step, times[piece + 1])
        return np.asarray(np.where(expected > areas[-1], np.inf, found), dtype=float)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": "profile", "times_s": list(self.times_s), "rates_rps": list(self.rates_rps),
            **_clients(self.clients),
        }  # fmt: skip


@dataclass(frozen=True)
class TraceWorkload:
    """Arrivals at given times.

    Parameters
    ----------
    arrivals_s : tuple of float
        Ascending, seconds from 0.
    clients : Clients
    """

    arrivals_s: tuple[float, ...]
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        times = np.asarray(self.arrivals_s, dtype=float)
        if times.ndim != 1 or times.size == 0 or not np.all(np.isfinite(times)) or times[0] < 0:
            raise InputError("A trace needs at least one arrival, all times finite and at least 0.")
        falls = np.flatnonzero(np.diff(times) < 0)
        if falls.size:
            raise InputError(f"The arrivals of a trace must ascend; number {falls[0] + 2} comes before the one above.")
        object.__setattr__(self, "arrivals_s", tuple(times.tolist()))

    @property
    def mean_rate_rps(self) -> float:
        """Arrivals over the time until the last one."""
        return len(self.arrivals_s) / self.end_s if self.end_s > 0 else math.inf

    @property
    def end_s(self) -> float:
        """The last arrival."""
        return self.arrivals_s[-1]

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without the times themselves."""
        return {
            "kind": "trace",
            "arrivals": len(self.arrivals_s),
            "last_s": self.arrivals_s[-1],
            **_clients(self.clients),
        }


@dataclass(frozen=True)
class ClosedWorkload:
    """A population of users: each thinks, sends, waits for the answer (also a 503), and thinks again.

    Parameters
    ----------
    users : int
        Number of users (the largest, where `population` is given).
    think_time : Distribution
        Time between an answer and the user's next request, seconds.
    spread_s : float, optional
        The users' first requests are spread evenly at random over this time.
        Default: one mean think time, so that the population does not arrive as a herd.
    spawn_rate_per_s : float, optional
        Users start one after the other at this rate instead (a ramp); each sends at once.
    population : tuple of (float, int), optional
        Users from each time on, ascending from 0, at most `users`. Where it rises, new users start
        (spread as above); where it falls, those who came last send no more.
    clients : Clients
    """

    users: int
    think_time: Distribution
    spread_s: float | None = None
    spawn_rate_per_s: float | None = None
    population: tuple[tuple[float, int], ...] = ()
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        whole("users", self.users, least=1)
        if self.spread_s is not None:
            non_negative("spread_s", self.spread_s)
        if self.spawn_rate_per_s is not None:
            positive("spawn_rate_per_s", self.spawn_rate_per_s)
        times = [at_s for at_s, _ in self.population]
        if times and (times[0] != 0 or any(not later > sooner for sooner, later in pairwise(times))):
            raise InputError("The times of a population must start at 0 and ascend.")
        for _, count in self.population:
            whole("population", count, most=self.users)

    @property
    def first_request_spread_s(self) -> float:
        """The time over which first requests are spread."""
        if self.spawn_rate_per_s is not None:
            return self.users / self.spawn_rate_per_s
        return self.think_time.mean_s if self.spread_s is None else self.spread_s

    def lives(self) -> tuple[Floats, Floats]:
        """Of every user that ever is: when it starts and when it stops sending (infinity: never), seconds."""
        starts: list[float] = []
        stops: list[float] = []
        active: list[int] = []
        for at_s, count in self.population or ((0.0, self.users),):
            while len(active) > count:
                stops[active.pop()] = at_s
            while len(active) < count:
                active.append(len(starts))
                starts.append(at_s)
                stops.append(math.inf)
        return np.array(starts), np.array(stops)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        optional = {
            "spread_s": self.spread_s, "spawn_rate_per_s": self.spawn_rate_per_s,
            "population": [list(item) for item in self.population] or None,
        }  # fmt: skip
        stated = {name: value for name, value in optional.items() if value is not None}
        return {"kind": "closed", "users": self.users, "think": self.think_time.text(), **stated,
                **_clients(self.clients)}  # fmt: skip


@dataclass(frozen=True)
class SessionWorkload:
    """Users who arrive (Poisson), make several requests with think times between them, and leave.

    This is what production usually is: new users do not wait for anybody's answers, but each
    user's next request waits for the answer to the one before.

    Parameters
    ----------
    session_rate_per_s : float
        Sessions that start per second.
    requests_per_session : float
        Mean number of requests, at least 1.
    think_time : Distribution
        Between an answer and the session's next request, seconds.
    length : {"geometric", "constant"}, default "geometric"
        How the number of requests varies (a constant needs a whole number).
    clients : Clients
    """

    session_rate_per_s: float
    requests_per_session: float
    think_time: Distribution
    length: Literal["geometric", "constant"] = "geometric"
    clients: Clients = field(default_factory=Clients)

    def __post_init__(self) -> None:
        positive("session_rate_per_s", self.session_rate_per_s)
        if self.length == "constant":
            whole("requests_per_session", self.requests_per_session, least=1)
        elif self.length != "geometric":
            raise InputError(f"length is {self.length!r}; it must be geometric or constant.")
        if positive("requests_per_session", self.requests_per_session) < 1:
            raise InputError(f"requests_per_session is {self.requests_per_session!r}; it must be at least 1.")

    @property
    def arrival_rate_rps(self) -> float:
        """Logical requests per second in the long run."""
        return self.session_rate_per_s * self.requests_per_session

    def lengths(self, unit: Floats) -> NDArray[np.int64]:
        """Numbers of requests from uniform numbers: the inverse of the (geometric) distribution."""
        mean = float(self.requests_per_session)
        if self.length == "constant" or mean == 1.0:
            return np.full(unit.shape, round(mean), dtype=np.int64)
        return 1 + np.floor(np.log(unit) / math.log1p(-1.0 / mean)).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": "sessions", "session_rate_per_s": self.session_rate_per_s,
            "requests_per_session": self.requests_per_session, "length": self.length,
            "think": self.think_time.text(), **_clients(self.clients),
        }  # fmt: skip


def _slopes(times: Floats, rates: Floats) -> Floats:
    widths = np.diff(times)
    return np.asarray(np.divide(np.diff(rates), widths, out=np.zeros_like(widths), where=widths > 0), dtype=float)


def _clients(clients: Clients) -> dict[str, Any]:
    return {} if clients == Clients() else {"clients": clients.to_dict()}


Workload = OpenWorkload | ProfileWorkload | TraceWorkload | ClosedWorkload | SessionWorkload
UserWorkload = ClosedWorkload | SessionWorkload
