"""What both engines run on: limits, how long the run is, and the times, drawn or given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from simulations.engines.random_streams import (
    STAGE_FIRST_REQUEST,
    quantile_table,
    times_s,
    uniforms,
)
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload

Floats = NDArray[np.float64]

MOST_REQUESTS = 50_000_000
"""A run keeps about 41 bytes a request; more than 2 GB of them are refused."""


@dataclass(frozen=True)
class RunLength:
    """When to stop: after so many arrivals, or with the first arrival after the horizon, whichever comes first.

    Parameters
    ----------
    requests : int or None
    horizon_s : float
    """

    requests: int | None = None
    horizon_s: float = math.inf

    def __post_init__(self) -> None:
        if self.requests is None and math.isinf(self.horizon_s):
            raise InputError("A run needs an end: give requests= or horizon_s=.")
        if self.requests is not None:
            object.__setattr__(self, "requests", whole("requests", self.requests, least=1, most=MOST_REQUESTS))
        if not self.horizon_s > 0:
            raise InputError(f"horizon_s is {self.horizon_s!r}; it must be above 0.")


@dataclass(frozen=True)
class OpenTimes:
    """Arrivals of an open workload and their service times, in order of arrival (seconds)."""

    arrival_s: Floats
    service_s: Floats

    def __post_init__(self) -> None:
        if self.arrival_s.shape != self.service_s.shape or self.arrival_s.ndim != 1:
            raise InputError("arrival_s and service_s must be one-dimensional and of the same length.")
        if np.any(np.diff(self.arrival_s) < 0) or np.any(self.service_s < 0):
            raise InputError("Arrival times must ascend and service times must not be negative.")


@dataclass(frozen=True)
class ClosedTimes:
    """Times of a closed population, drawn by identity from two quantile tables.

    Parameters
    ----------
    key : int
        The run's 64-bit key.
    first_s : array, shape (users,)
        Each user's first arrival.
    service_table, think_table : arrays
        `random_streams.quantile_table` of the two distributions.
    service_trace, think_trace : arrays, shape (users, cycles), optional
        Given times instead of drawn ones (both or neither): `think_trace[u, c]`
        passes between answer c - 1 and request c. A user stops after its last cycle.
    """

    key: int
    first_s: Floats
    service_table: Floats = field(repr=False)
    think_table: Floats = field(repr=False)
    service_trace: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)
    think_trace: Floats = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    @classmethod
    def given(cls, first_s: Floats, service_s: Floats, think_s: Floats) -> ClosedTimes:
        """Times from arrays instead of distributions (parity tests, replays)."""
        if service_s.shape != think_s.shape or service_s.ndim != 2 or len(first_s) != len(service_s):
            raise InputError("service_s and think_s must have the shape (users, cycles), first_s the shape (users,).")
        nothing = np.zeros((2, 1))
        return cls(0, np.asarray(first_s, dtype=float), nothing, nothing, service_s, think_s)

    @property
    def users(self) -> int:
        """Size of the population."""
        return len(self.first_s)

    @property
    def is_given(self) -> bool:
        """True when the times come from arrays."""
        return self.service_trace.size > 0


@dataclass(frozen=True)
class EngineInput:
    """One run, complete: both engines take exactly this and return a `RequestLog`."""

    limits: Limits
    times: OpenTimes | ClosedTimes
    length: RunLength
    network_round_trip_s: float = 0.0


def draw_open(model: ServerModel, workload: OpenWorkload, length: RunLength, seed: int) -> OpenTimes:
    """Arrival i comes gap i after arrival i - 1; gap and service time belong to (i, attempt 0)."""
    key = derive_key(seed)
    count = length.requests or expected_requests(workload, length.horizon_s)
    service_unit, gap_unit = uniforms(key, np.arange(count))
    arrival_s = np.cumsum(times_s(quantile_table(workload.gap), gap_unit))
    return OpenTimes(arrival_s, times_s(quantile_table(model.service_time), service_unit))


def expected_requests(workload: OpenWorkload, horizon_s: float) -> int:
    """Arrivals to draw so that the horizon is passed but for one run in a billion (mean plus 6 sigma)."""
    mean = workload.arrival_rate_rps * horizon_s
    spread = max(workload.gap.cv, 0.1) * math.sqrt(mean)
    count = math.ceil(mean + 6.0 * spread + 10)
    if count > MOST_REQUESTS:
        raise InputError(
            f"horizon_s is {horizon_s:g} at {workload.arrival_rate_rps:g} requests/s: {count:,} requests, more than "
            f"{MOST_REQUESTS:,}. Shorten the horizon."
        )
    return count


def prepare_closed(model: ServerModel, workload: ClosedWorkload, seed: int) -> ClosedTimes:
    """The tables and first arrivals of a closed population."""
    key = derive_key(seed)
    first_unit, _ = uniforms(key, 0, np.arange(workload.users), stage=STAGE_FIRST_REQUEST)
    return ClosedTimes(
        key=key,
        first_s=first_unit * workload.first_request_spread_s,
        service_table=quantile_table(model.service_time),
        think_table=quantile_table(workload.think_time),
    )
