"""Random runs for the parity tests: every feature of the model, times on a coarse grid so that everything ties."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from simulations.engines.inputs import ClientRules, EngineInput, OpenTimes, RunLength, UserTimes, Work
from simulations.engines.request_log import RequestLog
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import BALANCERS, Fleet, LimitChange
from simulations.model.server_model import Limits

COLUMNS = (
    "arrival_s", "start_s", "departure_s", "outcome", "user", "cycle", "attempt", "instance", "request_class",
)  # fmt: skip


def assert_same_bits(reference: RequestLog, fast: RequestLog) -> None:
    """Equal rows, to the last bit."""
    assert len(reference) == len(fast)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(reference, name), getattr(fast, name), err_msg=name)


few = st.one_of(st.integers(1, 6).map(float), st.just(math.inf))
line = st.one_of(st.integers(0, 4).map(float), st.just(math.inf))
a_while = st.one_of(st.just(math.inf), st.sampled_from([0.5, 1.0, 2.0, 0.1, 1 / 3]))
rejections = st.sampled_from([None, 0.0, 0.1, 0.5, 2.0])
"""At once, faster and slower than a round trip, and longer than some clients wait."""
units = st.sampled_from([1.0, 0.5, 0.1, 1 / 3])


@st.composite
def plain_limits(draw: st.DrawFn) -> Limits:
    """Every combination of present and absent limits, the gate below the workers included."""
    return Limits(draw(few), draw(few), draw(line))


@st.composite
def all_limits(draw: st.DrawFn) -> Limits:
    """With patience, a gate that forgets, a database pool and shared cores too."""
    cores = st.one_of(st.sampled_from([0.5, 1.0, 2.0, 2.5]), st.just(math.inf))
    return Limits(draw(few), draw(few), draw(line), draw(a_while), draw(a_while), draw(a_while), draw(few), draw(cores))


@st.composite
def client_rules(draw: st.DrawFn) -> ClientRules:
    """Patient or not, trying again or not, with and without jitter."""
    retries = None
    if draw(st.booleans()):
        on = draw(st.lists(st.sampled_from(["shed", "timed_out", "abandoned"]), min_size=1, unique=True))
        retries = Retries(draw(st.integers(1, 4)), draw(st.sampled_from([0.0, 0.5, 1.0])), 2.0, 3.0,
                          draw(st.sampled_from([0.0, 0.0, 1.0])), tuple(on))  # fmt: skip
    return ClientRules.of(Clients(draw(a_while), retries, draw(a_while)))


@st.composite
def changes(draw: st.DrawFn, instances: int) -> LimitChange:
    """Some limits of one or all instances, at a moment on the grid; a pool may be closed for a while."""
    names = draw(st.lists(st.sampled_from(["gate", "workers", "queue", "db_pool", "cpu_cores"]), min_size=1))
    values = {name: draw(few if name != "cpu_cores" else st.sampled_from([0.5, 2.0, math.inf])) for name in names}
    return LimitChange(draw(st.integers(0, 12)) * 0.5, **values,
                       instance=draw(st.one_of(st.none(), st.integers(0, instances - 1))))  # fmt: skip


@st.composite
def pauses(draw: st.DrawFn) -> list[LimitChange]:
    """Now and then workers or connections are closed for a while, longer than the other changes last."""
    name = draw(st.sampled_from(["workers", "db_pool", "", ""]))
    start = draw(st.integers(0, 12)) * 0.5
    return [LimitChange(start, **{name: 0}), LimitChange(8.0, **{name: draw(st.integers(1, 3))})] if name else []


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """One to four instances, every balancer, a shared database, limits that change."""
    instances = draw(st.integers(1, 4))
    return Fleet(
        instances, draw(st.sampled_from(BALANCERS)), draw(st.one_of(st.none(), st.integers(1, 4))),
        (*draw(st.lists(changes(instances), max_size=3)), *draw(pauses())),
    )  # fmt: skip


@st.composite
def grid_times(draw: st.DrawFn, count: int) -> np.ndarray:
    """Times on a coarse grid (many exact ties, zeros included), sometimes shifted off the exact binary grid."""
    unit = draw(units)
    seed = draw(st.integers(0, 2**16))
    return np.random.default_rng(seed).integers(0, 5, count) * unit


@st.composite
def open_runs(draw: st.DrawFn, limits: st.SearchStrategy[Limits] | None = None) -> EngineInput:
    """Given arrivals and service times, without further features."""
    count = draw(st.integers(1, 40))
    arrivals = np.cumsum(draw(grid_times(count)))
    times = OpenTimes(arrivals, draw(grid_times(count)))
    horizon = draw(st.sampled_from([math.inf, max(float(arrivals[count // 2]), 0.5), 3.0]))
    return EngineInput(draw(limits or plain_limits()), times, RunLength(count, horizon))


@st.composite
def closed_runs(draw: st.DrawFn) -> EngineInput:
    """Given think and service times of a population, without further features."""
    users, cycles = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    shape = (users, cycles)
    service, think = (draw(grid_times(users * cycles)).reshape(shape) for _ in range(2))
    length = RunLength(draw(st.integers(1, users * cycles)), draw(st.sampled_from([math.inf, 2.0, 5.0])))
    return EngineInput(
        draw(plain_limits()), UserTimes.given(draw(grid_times(users)), think), length,
        draw(st.sampled_from([0.0, 0.5, 0.1])), Work.given(service), rejection_time_s=draw(rejections),
    )  # fmt: skip


@st.composite
def full_runs(draw: st.DrawFn) -> EngineInput:
    """Everything at once: arrivals, sessions or a population, with every limit, client, balancer and change."""
    users, cycles = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    is_open = draw(st.booleans())
    shape = (1, users * cycles, 2) if is_open else (users, cycles, 2)
    count = users * cycles
    stages = [draw(grid_times(2 * count)).reshape(shape) for _ in range(3)]
    nothing = np.empty((0, 0, 0))
    cpu, database = (stage if draw(st.booleans()) else nothing for stage in stages[1:])
    if is_open:
        times: OpenTimes | UserTimes = OpenTimes(np.cumsum(draw(grid_times(count))))
    else:
        sessions = draw(st.booleans())
        first = draw(grid_times(users))
        times = UserTimes.given(np.sort(first) if sessions else first, draw(grid_times(count)).reshape(users, cycles),
                                are_sessions=sessions)  # fmt: skip
    length = RunLength(draw(st.integers(1, 2 * count)), draw(st.sampled_from([math.inf, 2.0, 5.0])))
    return EngineInput(
        draw(all_limits()), times, length, draw(st.sampled_from([0.0, 0.5, 0.1])),
        Work.given(stages[0], cpu, database, key=draw(st.integers(0, 2**64 - 1))), draw(client_rules()), draw(fleets()),
        draw(rejections),
    )  # fmt: skip
