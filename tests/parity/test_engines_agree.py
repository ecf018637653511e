"""The same variates in, the same requests shed, the same timestamps out: to the last bit, ties included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Distribution, Exponential, Gamma, LogNormal, Uniform
from parity.random_runs import all_limits, assert_same_bits, client_rules, closed_runs, fleets, full_runs, open_runs
from simulations.analysis.simulation import simulate_log
from simulations.engines import compiled_engine, event_engine, inputs, recursion_engine, simpy_engine
from simulations.engines.inputs import EngineInput, OpenTimes, RunLength, Work
from simulations.engines.kernel_choice import choose_kernel
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits, RequestClass, ServerModel
from simulations.model.workload import (
    ClosedWorkload,
    OpenWorkload,
    ProfileWorkload,
    SessionWorkload,
    TraceWorkload,
    Workload,
)


def both(run: EngineInput) -> None:
    """The reference against the kernel that the chooser takes, and against the one that covers everything."""
    reference = simpy_engine.run(run)
    assert_same_bits(reference, compiled_engine.run(run))
    assert_same_bits(reference, compiled_engine.run_events(run))


@settings(max_examples=300)
@given(open_runs())
def test_open_runs_on_a_grid_of_ties_are_identical(run: EngineInput) -> None:
    both(run)


@settings(max_examples=300)
@given(closed_runs())
def test_closed_runs_on_a_grid_of_ties_are_identical(run: EngineInput) -> None:
    both(run)


@settings(max_examples=1_500)
@given(full_runs())
def test_runs_with_every_feature_on_a_grid_of_ties_are_identical(run: EngineInput) -> None:
    both(run)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(full_runs(), st.integers(1, 5), st.sampled_from([1, 2, 4]))
def test_a_run_left_and_entered_again_all_the_time_is_identical(
    monkeypatch: pytest.MonkeyPatch, run: EngineInput, rows: int, slots: int
) -> None:
    """Few finished rows at once and few slots: calendars are entered, adapted and enlarged at every moment."""
    monkeypatch.setattr(event_engine, "_BUFFER", rows)
    monkeypatch.setattr(event_engine, "_SLOTS_AT_FIRST", slots)
    assert_same_bits(simpy_engine.run(run), compiled_engine.run_events(run))


SERVICE_TIMES: list[Distribution] = [
    Constant(0.05),
    Exponential(0.05),
    LogNormal(0.05, 2.0),
    Gamma(0.05, 0.4),
    Uniform(0.0, 0.1),
    Constant(0.0),
]
THINK_TIMES = [Constant(0.1), Exponential(0.1), Uniform(0.05, 0.15)]
MIX = (
    RequestClass("users", 2.0, database_time=Exponential(0.02)),
    RequestClass("echo", 3.0, cpu_time=Exponential(0.01)),
    RequestClass("health", 1.0, service_time=Constant(0.0), in_objective=False),
)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """One of every kind, with a load around what four workers can do at 50 ms."""
    think = draw(st.sampled_from(THINK_TIMES))
    rate = draw(st.floats(20.0, 200.0))
    clients = draw(st.sampled_from([Clients(), Clients(0.15, Retries(3, 0.05)), Clients(0.3)]))
    return draw(
        st.sampled_from(
            [
                OpenWorkload(rate, clients=clients),
                ProfileWorkload((0.0, 1.0, 1.0, 4.0), (rate, 2 * rate, 0.0, rate), clients),
                TraceWorkload(tuple((np.arange(60) // 3 / rate).tolist()), clients),
                ClosedWorkload(20, think, clients=clients),
                ClosedWorkload(20, think, spawn_rate_per_s=5.0, clients=clients),
                ClosedWorkload(20, think, population=((0.0, 10), (0.7, 20), (1.5, 3), (2.0, 12)), clients=clients),
                SessionWorkload(rate / 4, 4.0, think, clients=clients),
                SessionWorkload(rate / 4, 4, think, "constant", clients),
            ]
        )
    )


@settings(max_examples=300)
@given(workloads(), st.sampled_from(SERVICE_TIMES), st.sampled_from([(), MIX]), all_limits(), fleets(),
       st.sampled_from([None, 0.0001, 0.01, 0.2]), st.integers(0, 2**32))  # fmt: skip
def test_drawn_runs_of_every_workload_are_identical(
    workload: Workload, service: Distribution, mix: tuple[RequestClass, ...], limit: Limits, fleet: Fleet,
    rejection_s: float | None, seed: int,
) -> None:  # fmt: skip
    model = ServerModel(Deployment(), service, 0.001, request_classes=mix)
    length = RunLength(300, 5.0)
    drawn = inputs.prepare(model, workload, length, seed, fleet)
    both(EngineInput(limit, drawn.times, length, 0.001, drawn.work, drawn.clients, fleet, rejection_s))


@settings(max_examples=200)
@given(workloads(), st.sampled_from(SERVICE_TIMES), st.integers(0, 2**32))
def test_the_compiled_preparation_draws_the_same_bits(workload: Workload, service: Distribution, seed: int) -> None:
    model, length = (
        ServerModel(
            Deployment(workers=4, queue_capacity=3), service, 0.002, request_classes=MIX[:1], rejection_time_s=0.0005
        ),
        RunLength(200),
    )
    reference, fast = (make(model, workload, length, seed) for make in (inputs.prepare, compiled_engine.prepare))
    assert reference.waits == fast.waits
    assert_same_bits(simpy_engine.run(reference), simpy_engine.run(fast))
    assert_same_bits(simpy_engine.run(reference), compiled_engine.run(fast))


@settings(max_examples=100)
@given(client_rules(), st.integers(0, 2**32), st.integers(1, 3))
def test_large_crowds_need_more_slots_and_stay_identical(rules: inputs.ClientRules, seed: int, instances: int) -> None:
    """A burst of arrivals into an endless line: the kernel's slots run out and grow."""
    count = 1_500
    service = np.random.default_rng(seed).exponential(0.01, (1, count))
    run = EngineInput(
        Limits(workers=2.0, cpu_cores=1.0), OpenTimes(np.zeros(count)), RunLength(2 * count), 0.0,
        Work.given(service, service[:, ::-1], key=seed), rules, Fleet(instances),
    )  # fmt: skip
    assert_same_bits(simpy_engine.run(run), compiled_engine.run(run))


@settings(max_examples=60)
@given(client_rules(), all_limits(), fleets(), st.integers(0, 2**32))
def test_bursts_gaps_and_heavy_tails_are_identical(
    rules: inputs.ClientRules, limit: Limits, fleet: Fleet, seed: int
) -> None:
    """Times from nothing to 30,000 years: no width of a calendar's buckets fits for long."""
    rng = np.random.default_rng(seed)
    count = 1_000
    scales = rng.choice([0.0, 1e-9, 1e-3, 1.0, 1e6, 1e12], (4, 20), p=[0.2, 0.2, 0.25, 0.25, 0.05, 0.05])
    gaps, *stages = (rng.exponential(np.repeat(row, count // 20)) for row in scales)
    run = EngineInput(
        limit, OpenTimes(np.cumsum(gaps)), RunLength(2 * count), 0.001,
        Work.given(*(stage[None, :] for stage in stages), key=seed), rules, fleet,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_engine, "_BUFFER", 100)
        assert_same_bits(simpy_engine.run(run), compiled_engine.run_events(run))


@pytest.mark.parametrize("load", [0.8, 1.2])
def test_the_guides_instance_at_real_scale_is_identical(load: float) -> None:
    model = ServerModel(Deployment.guide(), LogNormal(0.0054, 1.0))
    workload = OpenWorkload(load * 335 / 0.0054)
    length = RunLength(requests=40_000)
    logs = [simulate_log(model, workload, length, seed=5, engine=engine) for engine in ("simpy", "compiled")]
    assert_same_bits(*logs)
    assert (np.count_nonzero(logs[0].outcome) > 0) == (load > 1)
    events = compiled_engine.run_events(compiled_engine.prepare(model, workload, length, 5))
    assert_same_bits(logs[0], events)


def test_a_horizon_gives_as_many_rows_as_are_needed() -> None:
    model = ServerModel(Deployment(workers=4, queue_capacity=4), Exponential(0.001))
    workload = ClosedWorkload(40, Exponential(0.001))
    logs = [
        simulate_log(model, workload, RunLength(horizon_s=10.0), seed=5, engine=engine)
        for engine in ("simpy", "compiled")
    ]
    assert len(logs[0]) > 4 * recursion_engine._STRETCH
    assert_same_bits(*logs)


def test_the_recursion_is_refused_where_a_departure_is_not_known_at_admission() -> None:
    times, length = OpenTimes(np.arange(3.0), np.ones(3)), RunLength(3)
    plain = EngineInput(Limits(workers=1.0), times, length)
    assert choose_kernel(plain).kernel == "recursion"
    for limits, fleet in (
        (Limits(workers=1.0, queue_timeout_s=1.0), Fleet()),
        (Limits(workers=1.0, gate=5.0, gate_reset_s=1.0), Fleet()),
        (Limits(workers=1.0, request_timeout_s=1.0), Fleet()),
        (Limits(workers=1.0), Fleet(2)),
    ):
        choice = choose_kernel(EngineInput(limits, times, length, fleet=fleet))
        assert choice.kernel == "events"
        assert "not known at admission" in choice.reason
    assert math.isinf(plain.limits.patience_s)
