"""The width of the calendar's buckets, and what fills them badly, never change a bit of the results."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal, Pareto
from parity.random_runs import assert_same_bits
from simulations.analysis.simulation import simulate_log
from simulations.engines import compiled_engine, recursion_engine, simpy_engine
from simulations.engines import recursion_kernels as kernels
from simulations.engines.inputs import EngineInput, OpenTimes, RunLength, UserTimes, Work
from simulations.engines.kernel_choice import choose_kernel
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, Workload

LINES = [Deployment(workers=40, queue_capacity=25), Deployment(workers=40), Deployment(workers=3, queue_capacity=0)]


def test_the_sorting_network_sorts_every_pattern() -> None:
    """A network that sorts all sequences of zeros and ones sorts everything (Knuth, theorem Z)."""
    for pattern in itertools.product((0.0, 1.0), repeat=8):
        for count in range(9):
            found = np.full(8, np.nan)
            kernels._sort_eight(np.array(pattern), np.uint64(0), count, found)
            assert found[:count].tolist() == sorted(pattern[:count], reverse=True)


def same(model: ServerModel, workload: Workload, length: RunLength) -> None:
    logs = [simulate_log(model, workload, length, seed=11, engine=engine) for engine in ("simpy", "compiled")]
    assert_same_bits(*logs)


@pytest.fixture(params=[1e-12, 1e-3, 0.1, 20.0, 1e4, 1e12])
def odd_width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Buckets for far fewer or far more entries than is sensible."""
    kept = recursion_engine._per_bucket
    monkeypatch.setattr(recursion_engine, "_per_bucket", lambda *given: request.param * kept(*given))
    return float(request.param)


@pytest.mark.parametrize("deployment", LINES)
@pytest.mark.parametrize("load", [0.5, 1.3])
def test_open_runs(odd_width: float, deployment: Deployment, load: float) -> None:
    model = ServerModel(deployment, LogNormal(0.01, 1.5))
    same(model, OpenWorkload(load * model.saturation_rps), RunLength(4_000))


@pytest.mark.parametrize("deployment", LINES)
@pytest.mark.parametrize("rejection_s", [None, 0.0002])
def test_closed_runs(odd_width: float, deployment: Deployment, rejection_s: float | None) -> None:
    model = ServerModel(deployment, Exponential(0.01), 0.001, rejection_time_s=rejection_s)
    same(model, ClosedWorkload(300, Exponential(0.03), spawn_rate_per_s=3_000.0), RunLength(4_000))


@pytest.mark.parametrize("service_s", [(0.0,), (0.01,), (0.01, 0.02, 0.03, 0.01)])
@pytest.mark.parametrize("limits", [Limits(), Limits(workers=40.0, queue=25.0), Limits(workers=3.0, queue=0.0)])
def test_a_herd_that_stays_together(service_s: tuple[float, ...], limits: Limits) -> None:
    """Two thousand users who send at the same moments, whom only their numbers tell apart."""
    users, cycles = 2_000, 4
    work = Work.given(np.resize(np.array(service_s), (users, cycles)))
    times = UserTimes.given(np.zeros(users), np.ones((users, cycles)))
    run = EngineInput(limits, times, RunLength(users * cycles), 0.0, work)
    assert choose_kernel(run).kernel == "recursion"
    assert_same_bits(simpy_engine.run(run), compiled_engine.run(run))


def test_tails_that_reach_beyond_the_ring() -> None:
    model = ServerModel(Deployment(workers=200, queue_capacity=50), Pareto(0.01, 5.0))
    same(model, OpenWorkload(0.9 * model.saturation_rps), RunLength(8_000))
    same(model, ClosedWorkload(400, Pareto(0.02, 5.0)), RunLength(8_000))


@pytest.mark.parametrize("gap_s", [1e-9, 1e3, 1e12])
@pytest.mark.parametrize("workers", [7.0, 900.0])
def test_bursts_at_one_instant_with_silence_between(gap_s: float, workers: float) -> None:
    arrival_s = np.repeat(np.arange(6) * gap_s, 700)
    service_s = np.random.default_rng(3).exponential(0.005, len(arrival_s))
    service_s[::3] = 0.004
    run = EngineInput(Limits(workers=workers, queue=100.0), OpenTimes(arrival_s, service_s), RunLength(len(arrival_s)))
    assert choose_kernel(run).kernel == "recursion"
    assert_same_bits(simpy_engine.run(run), compiled_engine.run(run))


@pytest.mark.parametrize("factor", [1e-4, 1e4])
@pytest.mark.parametrize("workload", [OpenWorkload(22_000.0), ClosedWorkload(1_000, Exponential(0.03))])
def test_an_odd_width_is_mended_during_the_run(
    workload: Workload, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, length = ServerModel(Deployment(workers=200, queue_capacity=300), Exponential(0.01)), RunLength(100_000)
    widths: dict[int, tuple[float, float]] = {}
    kept, adapt = recursion_engine._per_bucket, recursion_engine._Calendar.adapt

    def seen(calendar: recursion_engine._Calendar, now_s: float, rows: int) -> None:
        before = calendar.per_s
        adapt(calendar, now_s, rows)
        first, _ = widths.get(id(calendar), (before, before))
        widths[id(calendar)] = first, calendar.per_s

    reference = simulate_log(model, workload, length, seed=11)
    monkeypatch.setattr(recursion_engine, "_per_bucket", lambda *given: factor * kept(*given))
    monkeypatch.setattr(recursion_engine._Calendar, "adapt", seen)
    assert_same_bits(reference, simulate_log(model, workload, length, seed=11))
    assert all(1e-3 < last / (first * factor) < 1e3 for first, last in widths.values())


def test_times_so_late_that_buckets_have_no_number_of_their_own() -> None:
    """A trace that begins after 1e9 seconds."""
    rng = np.random.default_rng(5)
    arrival_s = 1e9 + np.cumsum(rng.exponential(1e-6, 40_000))
    service_s = rng.exponential(1.9e-5, len(arrival_s))
    service_s[0] = 1e-14
    run = EngineInput(Limits(workers=20.0, queue=5.0), OpenTimes(arrival_s, service_s), RunLength(len(arrival_s)))
    assert_same_bits(simpy_engine.run(run), compiled_engine.run(run))


@pytest.mark.parametrize("queue", [48.0, 49.0, 50.0, 10_000.0])
@pytest.mark.parametrize("gate", [49.0, 50.0, 5_000.0])
def test_a_line_with_room_for_more_than_there_are(queue: float, gate: float) -> None:
    """One worker and fifty users: nobody is shed where the line has room for 49."""
    model = ServerModel(Deployment(workers=1, queue_capacity=int(queue), gate_limit=int(gate)), Exponential(0.01))
    same(model, ClosedWorkload(50, Exponential(0.02)), RunLength(3_000))
    log = simulate_log(model, ClosedWorkload(50, Exponential(0.02)), RunLength(3_000), seed=11)
    assert bool(log.served.all()) == (min(queue, gate - 1) >= 49)


@pytest.mark.parametrize("queue", [10, 10_000_000])
def test_an_open_run_shorter_than_its_line(queue: int) -> None:
    model = ServerModel(Deployment(workers=1, queue_capacity=queue), Exponential(0.01))
    same(model, OpenWorkload(300.0), RunLength(2_000))
    same(model, OpenWorkload(300.0), RunLength(horizon_s=5.0))
