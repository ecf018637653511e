"""The same variates in, the same requests shed, the same timestamps out: to the last bit, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential, Gamma, LogNormal, Uniform
from simulations.analysis.simulation import simulate_log
from simulations.engines import compiled_engine, inputs, simpy_engine
from simulations.engines.inputs import ClosedTimes, EngineInput, OpenTimes, RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload

COLUMNS = ("arrival_s", "start_s", "departure_s", "outcome", "user", "cycle")


def assert_same_bits(reference: RequestLog, fast: RequestLog) -> None:
    assert len(reference) == len(fast)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(reference, name), getattr(fast, name), err_msg=name)


def both(run: EngineInput) -> None:
    assert_same_bits(simpy_engine.run(run), compiled_engine.run(run))


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Every combination of present and absent limits, the gate below the workers included."""
    few = st.one_of(st.integers(1, 6).map(float), st.just(math.inf))
    return Limits(draw(few), draw(few), draw(st.one_of(st.integers(0, 4).map(float), st.just(math.inf))))


@st.composite
def grid_times(draw: st.DrawFn, count: int) -> list[float]:
    """Times on a coarse grid (many exact ties, zeros included), sometimes shifted off the exact binary grid."""
    unit = draw(st.sampled_from([1.0, 0.5, 0.1, 1 / 3]))
    return [draw(st.integers(0, 4)) * unit for _ in range(count)]


@st.composite
def open_runs(draw: st.DrawFn) -> EngineInput:
    count = draw(st.integers(1, 40))
    arrivals = np.cumsum(draw(grid_times(count)))
    times = OpenTimes(arrivals, np.array(draw(grid_times(count))))
    horizon = draw(st.sampled_from([math.inf, max(float(arrivals[count // 2]), 0.5), 3.0]))
    return EngineInput(draw(limits()), times, RunLength(count, horizon))


@st.composite
def closed_runs(draw: st.DrawFn) -> EngineInput:
    users, cycles = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    shape = (users, cycles)
    service = np.array(draw(grid_times(users * cycles))).reshape(shape)
    think = np.array(draw(grid_times(users * cycles))).reshape(shape)
    times = ClosedTimes.given(np.array(draw(grid_times(users))), service, think)
    length = RunLength(draw(st.integers(1, users * cycles)), draw(st.sampled_from([math.inf, 2.0, 5.0])))
    return EngineInput(draw(limits()), times, length, draw(st.sampled_from([0.0, 0.5, 0.1])))


@given(open_runs())
def test_open_runs_on_a_grid_of_ties_are_identical(run: EngineInput) -> None:
    both(run)


@given(closed_runs())
def test_closed_runs_on_a_grid_of_ties_are_identical(run: EngineInput) -> None:
    both(run)


SERVICE_TIMES = [
    Constant(0.05),
    Exponential(0.05),
    LogNormal(0.05, 2.0),
    Gamma(0.05, 0.4),
    Uniform(0.0, 0.1),
    Constant(0.0),
]


@given(st.sampled_from(SERVICE_TIMES), limits(), st.floats(0.3, 2.0), st.integers(0, 2**32))
def test_drawn_open_runs_are_identical(service: object, limit: Limits, load: float, seed: int) -> None:
    model = ServerModel(Deployment(), service)  # type: ignore[arg-type]
    workload, length = OpenWorkload(load * min(limit.workers, 4) / 0.05), RunLength(requests=300)
    reference = inputs.draw_open(model, workload, length, seed)
    fast = compiled_engine.draw_open(model, workload, length, seed)
    np.testing.assert_array_equal(reference.arrival_s, fast.arrival_s)
    np.testing.assert_array_equal(reference.service_s, fast.service_s)
    assert_same_bits(
        simpy_engine.run(EngineInput(limit, reference, length)), compiled_engine.run(EngineInput(limit, fast, length))
    )


@given(
    st.sampled_from(SERVICE_TIMES), limits(), st.sampled_from([Constant(0.1), Exponential(0.1), Uniform(0.05, 0.15)]),
    st.integers(1, 30), st.integers(0, 2**32),
)  # fmt: skip
def test_drawn_closed_runs_are_identical(
    service: object, limit: Limits, think: object, users: int, seed: int
) -> None:  # fmt: skip
    model = ServerModel(Deployment(), service)  # type: ignore[arg-type]
    times = inputs.prepare_closed(model, ClosedWorkload(users, think), seed)  # type: ignore[arg-type]
    both(EngineInput(limit, times, RunLength(requests=500), 0.001))


@pytest.mark.parametrize("load", [0.8, 1.2])
def test_the_guides_instance_at_real_scale_is_identical(load: float) -> None:
    model = ServerModel(Deployment.guide(), LogNormal(0.0054, 1.0))
    workload = OpenWorkload(load * model.saturation_rps)
    length = RunLength(requests=40_000)
    logs = [simulate_log(model, workload, length, seed=5, engine=engine) for engine in ("simpy", "compiled")]
    assert_same_bits(*logs)
    assert (np.count_nonzero(logs[0].outcome) > 0) == (load > 1)


def test_a_horizon_gives_as_many_rows_as_are_needed() -> None:
    model = ServerModel(Deployment(workers=4, queue_capacity=4), Exponential(0.001))
    workload = ClosedWorkload(40, Exponential(0.001))
    logs = [
        simulate_log(model, workload, RunLength(horizon_s=10.0), seed=5, engine=engine)
        for engine in ("simpy", "compiled")
    ]
    assert len(logs[0]) > compiled_engine._ROWS_AT_FIRST
    assert_same_bits(*logs)
