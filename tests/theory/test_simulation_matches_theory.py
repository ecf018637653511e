"""Both engines against theory, inside the run's own confidence interval.

Each case compares 3 numbers with an interval of level 1 - 1e-6 / 27, so that the
whole file gives a false alarm in one of a million seeds (Bonferroni); the seeds
are fixed, so a failure is a change of the code.
"""

from __future__ import annotations

import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal, Uniform
from simulations.analysis.queueing_theory import StationMetrics, closed_mmc, erlang_b, mmc, mmck
from simulations.analysis.simulation import EngineName, simulate
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, Workload

COMPARISONS = 27
LEVEL = 1 - 1e-6 / COMPARISONS

CASES = [
    ("mm1", Deployment(workers=1, queue_capacity="unlimited"), OpenWorkload(6.0), 0.1, mmc(6, 10, 1)),
    ("mmc", Deployment(workers=10, queue_capacity="unlimited"), OpenWorkload(80.0), 0.1, mmc(80, 10, 10)),
    ("mmck-below", Deployment(workers=4, queue_capacity=6), OpenWorkload(32.0), 0.1, mmck(32, 10, 4, 10)),
    ("mmck-beyond", Deployment(workers=4, queue_capacity=6), OpenWorkload(55.0), 0.1, mmck(55, 10, 4, 10)),
    ("gate", Deployment(gate_limit=8, workers=4, queue_capacity=99), OpenWorkload(48.0), 0.1, mmck(48, 10, 4, 8)),
    ("closed", Deployment(workers=5, queue_capacity="unlimited"), ClosedWorkload(40, Exponential(0.6)), 0.1,
     closed_mmc(40, 5, 0.1, 0.6)),
    ("closed-uniform-think", Deployment(workers=5, queue_capacity="unlimited"), ClosedWorkload(25, Uniform(0.2, 1.0)),
     0.1, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "deployment", "workload", "service_s", "theory"), CASES, ids=[c[0] for c in CASES])
def test_the_long_run_agrees_with_theory(
    name: str, deployment: Deployment, workload: Workload, service_s: float, theory: StationMetrics | None
) -> None:
    model = ServerModel(deployment, Exponential(service_s))
    found = simulate(model, workload, requests=600_000, seed=20, level=LEVEL).metrics
    if theory is None:  # the mean think time is enough where the line is short: only the response-time law is exact
        users, think_s = workload.users, workload.think_time.mean_s  # type: ignore[union-attr]
        law = users / found["throughput_rps"].mid - think_s
        assert found["mean_s"].contains(law)
        return
    assert found["mean_s"].contains(theory.residence_time_s), name
    assert found["goodput_rps"].contains(theory.throughput_rps), name
    assert found["shed_rate"].contains(theory.blocked_fraction), name


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_loss_system_loses_by_erlang_b_whatever_the_service_distribution(engine: EngineName) -> None:
    model = ServerModel(Deployment(gate_limit=10, workers="unlimited"), LogNormal(0.1, 1.5))
    requests = 60_000 if engine == "simpy" else 600_000
    shed = simulate(model, OpenWorkload(80.0), requests=requests, seed=3, engine=engine, level=LEVEL).metrics[
        "shed_rate"
    ]
    assert shed.contains(erlang_b(10, 8.0))
