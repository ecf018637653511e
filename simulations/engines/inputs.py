"""What both engines run on: limits, clients, fleet, how long the run is, and the times, drawn or given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.distributions import Distribution, Exponential
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from simulations.engines.random_streams import (
    STAGE_FIRST_REQUEST,
    STAGE_SESSION,
    quantile_table,
    times_s,
    uniforms,
)
from simulations.engines.request_log import OUTCOME_NAMES, Waits
from simulations.model.clients import Clients
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import (
    ClosedWorkload,
    OpenWorkload,
    ProfileWorkload,
    SessionWorkload,
    TraceWorkload,
    Workload,
)

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

MOST_REQUESTS = 50_000_000
"""Rows of a request log, about 60 bytes each: more are refused."""
MOST_STREAMED = 5_000_000_000
"""Requests of a run that keeps none of them."""
REQUESTS_PER_WALL_S = 5e6
"""A cautious figure for the estimate of a run's cost in error messages."""

NOTHING = np.empty((0, 0, 0))
_UNIT_GAP = Exponential(1.0)
WITHOUT_END = -1


@dataclass(frozen=True)
class RunLength:
    """When to stop: after so many arrivals, or with the first arrival after the horizon, whichever comes first.

    Parameters
    ----------
    requests : int or None
        Attempts count, retries included.
    horizon_s : float
    """

    requests: int | None = None
    horizon_s: float = math.inf

    def __post_init__(self) -> None:
        if self.requests is None and math.isinf(self.horizon_s):
            raise InputError("A run needs an end: give requests= or horizon_s=.")
        if self.requests is not None:
            object.__setattr__(self, "requests", affordable(whole("requests", self.requests, least=1)))
        if not self.horizon_s > 0:
            raise InputError(f"horizon_s is {self.horizon_s!r}; it must be above 0.")

    @property
    def most_rows(self) -> float:
        """Requests at which the run stops; infinity without such a limit."""
        return math.inf if self.requests is None else self.requests


@dataclass(frozen=True)
class OpenTimes:
    """Arrivals of an open workload in order (seconds), and their service times where they are given."""

    arrival_s: Floats
    service_s: Floats | None = None

    def __post_init__(self) -> None:
        if self.arrival_s.ndim != 1 or np.any(np.diff(self.arrival_s) < 0):
            raise InputError("Arrival times must be one-dimensional and ascend.")
        if self.service_s is not None and self.service_s.shape != self.arrival_s.shape:
            raise InputError("arrival_s and service_s must be one-dimensional and of the same length.")
        if self.service_s is not None and np.any(self.service_s < 0):
            raise InputError("Service times must not be negative.")


@dataclass(frozen=True)
class DrawnArrivals:
    """Arrivals of an open workload that are drawn while the run goes on, so that none need be kept.

    Parameters
    ----------
    key : int
        The run's 64-bit key.
    gap : array
        `random_streams.quantile_table` of the time between arrivals.
    draw : callable
        Key, position of the first, time of the one before, table: the next arrivals.
    """

    key: int
    gap: Floats = field(repr=False)
    draw: Callable[[int, int, float, Floats], Floats] = field(repr=False)

    def parts(self, length: RunLength) -> Iterator[Floats]:
        """The arrivals in parts, to just past the horizon or the number of requests."""
        first, now_s = 0, 0.0
        while first < length.most_rows and now_s <= length.horizon_s:
            part = self.draw(self.key, first, now_s, self.gap)
            yield part
            first, now_s = first + len(part), float(part[-1])


@dataclass(frozen=True)
class UserTimes:
    """A population or a stream of sessions: who starts when, how long they think, when they stop.

    Parameters
    ----------
    first_s : array, shape (users,)
        Each user's first arrival; infinity for one who never comes.
    think : array
        `random_streams.quantile_table` of the think time.
    think_given : array, shape (users, cycles)
        Given think times instead (empty: drawn): `[u, c]` passes between answer c - 1 and request c.
    stop_s : array, shape (users,)
        Nobody sends at or after this time.
    cycles : array of int, shape (users,)
        Logical requests of each user, `WITHOUT_END` for no limit.
    are_sessions : bool
        First arrivals ascend and most users come after others have gone.
    """

    first_s: Floats
    think: Floats = field(repr=False)
    think_given: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    stop_s: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    cycles: Whole = field(default_factory=lambda: np.empty(0, np.int64), repr=False)
    are_sessions: bool = False

    def __post_init__(self) -> None:
        if not self.stop_s.size:
            object.__setattr__(self, "stop_s", np.full(self.users, np.inf))
        if not self.cycles.size:
            object.__setattr__(self, "cycles", np.full(self.users, WITHOUT_END, np.int64))

    @classmethod
    def given(cls, first_s: Floats, think_s: Floats, *, are_sessions: bool = False) -> UserTimes:
        """Think times from an array of shape (users, cycles) (parity tests, replays)."""
        if think_s.ndim != 2 or len(first_s) != len(think_s):
            raise InputError("think_s must have the shape (users, cycles), first_s the shape (users,).")
        cycles = np.full(len(first_s), think_s.shape[1], np.int64)
        return cls(
            np.asarray(first_s, dtype=float), np.zeros((2, 1)), np.asarray(think_s, dtype=float), cycles=cycles,
            are_sessions=are_sessions,
        )  # fmt: skip

    @property
    def users(self) -> int:
        """Size of the population."""
        return len(self.first_s)

    @property
    def never_stop(self) -> bool:
        """True for users who go on for ever."""
        return bool(np.all(np.isinf(self.stop_s)) and np.all(self.cycles == WITHOUT_END))


@dataclass(frozen=True)
class Work:
    """What each attempt needs at the server, drawn by identity or given.

    Parameters
    ----------
    key : int
        The run's 64-bit key.
    class_upto : array, shape (classes,)
        Cumulative shares of the request classes, the last one 1.
    service, cpu, database : arrays, shape (classes, 2, cells + 1)
        Quantile tables; `cpu` and `database` empty where no request has such a stage.
    service_given, cpu_given, database_given : arrays, shape (users, cycles, attempts)
        Given times instead (all attempts beyond the last given one repeat it); open workloads
        have one user and their arrivals as cycles.
    """

    key: int = 0
    class_upto: Floats = field(default_factory=lambda: np.ones(1))
    service: Floats = field(default_factory=lambda: NOTHING, repr=False)
    cpu: Floats = field(default_factory=lambda: NOTHING, repr=False)
    database: Floats = field(default_factory=lambda: NOTHING, repr=False)
    service_given: Floats = field(default_factory=lambda: NOTHING, repr=False)
    cpu_given: Floats = field(default_factory=lambda: NOTHING, repr=False)
    database_given: Floats = field(default_factory=lambda: NOTHING, repr=False)

    @classmethod
    def given(cls, service_s: Floats, cpu_s: Floats = NOTHING, database_s: Floats = NOTHING, *, key: int = 0) -> Work:
        """Times from arrays of shape (users, cycles) or (users, cycles, attempts)."""
        shaped = [times if times.ndim == 3 else times[:, :, None] for times in (service_s, cpu_s, database_s)]
        if any(times.size and times.shape[:2] != shaped[0].shape[:2] for times in shaped):
            raise InputError("Given times must agree in their shape (users, cycles).")
        return cls(key, service_given=shaped[0], cpu_given=shaped[1], database_given=shaped[2])

    @classmethod
    def of(cls, model: ServerModel, key: int) -> Work:
        """Drawn by identity from the model's distributions."""
        classes = model.classes
        weights = np.array([item.weight for item in classes])
        upto = np.cumsum(weights) / np.sum(weights)
        upto[-1] = 1.0
        stages = (
            [item.service_time for item in classes], [item.cpu_time for item in classes],
            [item.database_time for item in classes],
        )  # fmt: skip
        service, cpu, database = (_tables(tuple(times)) for times in stages)
        nothing = [np.any(times > 0) for times in (cpu, database)]
        return cls(key, upto, service, cpu if nothing[0] else NOTHING, database if nothing[1] else NOTHING)

    @property
    def is_given(self) -> bool:
        """True when the times come from arrays."""
        return self.service_given.size > 0

    @property
    def has_stages(self) -> bool:
        """True when some request has CPU or database time."""
        return any(times.size > 0 for times in (self.cpu, self.database, self.cpu_given, self.database_given))


@dataclass(frozen=True)
class ClientRules:
    """`Clients` as both engines read it.

    Parameters
    ----------
    timeout_s, keep_alive_s : float
    waits_s : array
        Before attempts 2, 3, ...; so many more attempts a request has at most.
    jitter : float
    is_retried : tuple of bool
        By outcome code.
    """

    timeout_s: float = math.inf
    keep_alive_s: float = math.inf
    waits_s: Floats = field(default_factory=lambda: np.empty(0))
    jitter: float = 0.0
    is_retried: tuple[bool, ...] = (False,) * len(OUTCOME_NAMES)

    @classmethod
    def of(cls, clients: Clients) -> ClientRules:
        """Read a workload's clients."""
        retries = clients.retries
        if retries is None:
            return cls(clients.timeout_s, clients.keep_alive_s)
        retried = tuple(any(name.startswith(chosen) for chosen in retries.on) for name in OUTCOME_NAMES)
        return cls(clients.timeout_s, clients.keep_alive_s, retries.waits_s(), retries.jitter, retried)

    @property
    def are_patient(self) -> bool:
        """True when nobody gives up or tries again."""
        return math.isinf(self.timeout_s) and self.waits_s.size == 0


@dataclass(frozen=True)
class EngineInput:
    """One run, complete: both engines take exactly this and return a `RequestLog`."""

    limits: Limits
    times: OpenTimes | DrawnArrivals | UserTimes
    length: RunLength
    network_round_trip_s: float = 0.0
    work: Work = field(default_factory=Work)
    clients: ClientRules = field(default_factory=ClientRules)
    fleet: Fleet = field(default_factory=Fleet)
    rejection_time_s: float | None = None

    @property
    def waits(self) -> Waits:
        """What a log has to know of the run, so that durations can be derived from its timestamps."""
        return Waits(
            self.network_round_trip_s, self.limits.request_timeout_s, self.clients.timeout_s,
            len(self.clients.waits_s) + 1, self.clients.is_retried, self.rejection_time_s,
        )  # fmt: skip

    def __post_init__(self) -> None:
        if isinstance(self.times, OpenTimes) and self.times.service_s is not None:
            object.__setattr__(self, "work", Work.given(self.times.service_s[None, :]))


def arrival_parts(given: EngineInput) -> Iterator[Floats]:
    """First arrivals of open requests or of sessions, part by part; none for a population."""
    times = given.times
    if isinstance(times, OpenTimes):
        yield times.arrival_s
    elif isinstance(times, DrawnArrivals):
        yield from times.parts(given.length)
    elif times.are_sessions:
        yield times.first_s


def prepare(
    model: ServerModel, workload: Workload, length: RunLength, seed: int, fleet: Fleet | None = None
) -> EngineInput:
    """Everything an engine needs for one run, drawn from `seed`."""
    key = derive_key(seed)
    return EngineInput(
        model.limits, _times(workload, length, key), length, model.network_round_trip_s, Work.of(model, key),
        ClientRules.of(workload.clients), fleet or Fleet(), model.rejection_time_s,
    )  # fmt: skip


def _times(workload: Workload, length: RunLength, key: int) -> OpenTimes | UserTimes:
    if isinstance(workload, ClosedWorkload):
        return _closed_times(workload, key)
    if isinstance(workload, SessionWorkload):
        return _session_times(workload, length, key)
    return OpenTimes(open_arrivals(workload, length, key))


def open_arrivals(workload: OpenWorkload | ProfileWorkload | TraceWorkload, length: RunLength, key: int) -> Floats:
    """Arrival i comes gap i after arrival i - 1; the gap belongs to (i, attempt 0)."""
    if isinstance(workload, TraceWorkload):
        return np.asarray(workload.arrivals_s)
    count = arrivals_to_draw(workload, length)
    _, gap_unit = uniforms(key, np.arange(count))
    if isinstance(workload, ProfileWorkload):
        expected = np.cumsum(times_s(cached_table(_UNIT_GAP), gap_unit))
        arrival_s = workload.time_of(expected)
        return arrival_s[np.isfinite(arrival_s)]
    return np.cumsum(times_s(cached_table(workload.gap), gap_unit))


def arrivals_to_draw(workload: OpenWorkload | ProfileWorkload | SessionWorkload, length: RunLength) -> int:
    """Arrivals (of requests or sessions) to draw so that the run's end is reached."""
    asked = MOST_REQUESTS if length.requests is None else length.requests
    if math.isinf(length.horizon_s) and not isinstance(workload, ProfileWorkload):
        return within_memory(asked)
    return within_memory(min(asked, expected_arrivals(workload, length.horizon_s)))


def expected_arrivals(workload: OpenWorkload | ProfileWorkload | SessionWorkload, horizon_s: float) -> int:
    """Arrivals within the horizon but for one run in a billion (mean plus 6 sigma)."""
    if isinstance(workload, ProfileWorkload):
        mean, cv = float(workload.expected_by(np.array([min(horizon_s, workload.end_s)]))[0]), 1.0
    elif isinstance(workload, SessionWorkload):
        mean, cv = workload.session_rate_per_s * horizon_s, 1.0
    else:
        mean, cv = workload.arrival_rate_rps * horizon_s, max(workload.gap.cv, 0.1)
    return affordable(math.ceil(mean + 6.0 * cv * math.sqrt(mean) + 10))


def within_memory(count: int) -> int:
    """Refuse a run that would keep more rows than a log may have."""
    if count > MOST_REQUESTS:
        raise InputError(
            f"The run would keep about {count:,} requests, at most {MOST_REQUESTS:,} "
            f"({MOST_REQUESTS * 60 / 1e9:.0f} GB). Shorten the horizon, or run it without keep=, which streams."
        )
    return count


def affordable(requests: float) -> int:
    """Refuse a run of more requests than anybody waits for, with the estimate of its cost."""
    if requests > MOST_STREAMED:
        hours = requests / REQUESTS_PER_WALL_S / 3600
        raise InputError(
            f"The run would have about {requests:,.0f} requests, some {hours:,.0f} hours of work; at most "
            f"{MOST_STREAMED:,}. Give fewer requests or shorten the horizon."
        )
    return int(requests)


def _closed_times(workload: ClosedWorkload, key: int) -> UserTimes:
    start_s, stop_s = workload.lives()
    if workload.spawn_rate_per_s is None:
        first_unit, _ = uniforms(key, 0, np.arange(len(start_s)), stage=STAGE_FIRST_REQUEST)
        first_s = start_s + first_unit * workload.first_request_spread_s
    else:
        first_s = start_s + _rank_within(start_s) / workload.spawn_rate_per_s
    first_s = np.where(first_s < stop_s, first_s, np.inf)
    return UserTimes(first_s, cached_table(workload.think_time), stop_s=stop_s)


def _rank_within(start_s: Floats) -> Floats:
    """Position of each user among those who start at the same time."""
    _, first, inverse = np.unique(start_s, return_index=True, return_inverse=True)
    return np.asarray(np.arange(len(start_s)) - first[inverse], dtype=float)


def _session_times(workload: SessionWorkload, length: RunLength, key: int) -> UserTimes:
    count = arrivals_to_draw(workload, length)
    gap_unit, length_unit = uniforms(key, 0, np.arange(count), stage=STAGE_SESSION)
    gaps = times_s(cached_table(_UNIT_GAP), gap_unit) / workload.session_rate_per_s
    return UserTimes(
        np.cumsum(gaps), cached_table(workload.think_time), cycles=workload.lengths(length_unit), are_sessions=True
    )


@lru_cache(maxsize=64)
def cached_table(distribution: Distribution) -> Floats:
    """`random_streams.quantile_table`, kept; not to be written to."""
    return quantile_table(distribution)


@lru_cache(maxsize=64)
def _tables(distributions: tuple[Distribution, ...]) -> Floats:
    return np.stack([cached_table(item) for item in distributions])
