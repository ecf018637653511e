"""What `simulate` can be asked for: replications, precision, fleets, servers of one's own; what it says and refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import simpy

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential, LogNormal
from loadtests.foundation.errors import InputError
from simulations import ClosedWorkload, OpenWorkload, ServerModel, SimulationResult, simulate
from simulations.analysis import running
from simulations.analysis.cell_metrics import CellWindow, law_findings
from simulations.analysis.queueing_theory import mmc
from simulations.analysis.running import Scenario, run_once
from simulations.analysis.sequential import Precision, RunMany, SequentialResult, until_precise_in_batches
from simulations.engines.inputs import RunLength
from simulations.engines.simpy_engine import Server
from simulations.engines.simpy_stations import COMPLETION, Request
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Fleet, LimitChange
from simulations.model.server_model import ResourceUse
from simulations.model.workload import ProfileWorkload, SessionWorkload, Workload

SMALL = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(0.05), 0.001)
BUSY = OpenWorkload(60.0)
SURE = 1 - 1e-6
LAWS = {"little-s-law-in-run", "utilization-law-in-run", "flow-balance-in-run"}


def codes(result: SimulationResult) -> set[str]:
    return {item.code for item in result.findings}


class TwiceAsSlow(Server):
    """Every request takes twice its service time."""

    def work(self, request: Request) -> Generator[simpy.Event, Any, None]:
        yield self.env.at(self.env.now + 2 * request.service_s, COMPLETION, request)


# Replications and precision


def test_replications_depend_on_the_seed_alone_not_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(running, "usable_cores", lambda count=threads: count)
        found.append(simulate(SMALL, BUSY, requests=3_000, seed=5, replications=6))
    assert found[0].metrics == found[1].metrics == found[2].metrics
    assert found[0].outcomes == found[2].outcomes
    assert found[0].count == 18_000
    assert simulate(SMALL, BUSY, requests=3_000, seed=6, replications=6).metrics != found[0].metrics


def test_each_replication_has_numbers_of_its_own() -> None:
    runs = simulate(SMALL, BUSY, requests=2_000, seed=5, replications=5).runs
    assert len({run.cells.last_arrival_s for run in runs}) == 5


def test_replications_by_simpy_and_compiled_are_the_same() -> None:
    one, other = (simulate(SMALL, BUSY, requests=1_500, replications=3, engine=name) for name in ("simpy", "compiled"))
    assert one.metrics == other.metrics


def test_replications_give_intervals_that_hold_the_truth() -> None:
    """M/M/4 at 0.7 against theory, at 1 - 1e-6 confidence."""
    model = ServerModel(Deployment(workers=4, queue_capacity="unlimited"), Exponential(0.05))
    found = simulate(model, OpenWorkload(56.0), requests=20_000, replications=20, level=SURE).metrics
    exact = mmc(56.0, 20.0, 4)
    assert found["mean_s"].contains(exact.residence_time_s)
    assert found["in_flight"].contains(exact.in_flight)


def test_replications_keep_their_logs_on_request() -> None:
    result = simulate(SMALL, BUSY, requests=500, replications=3, keep="requests")
    assert [len(run.log or ()) for run in result.runs] == [500, 500, 500]


def test_the_replications_are_there_as_a_table() -> None:
    result = simulate(SMALL, BUSY, requests=2_000, seed=5, replications=6)
    table = result.replications_to_frame()
    assert table.columns.tolist() == [
        "replication", "seed", "throughput_rps", "goodput_rps", "shed_rate", "bad_fraction", "mean_s", "p50_s", "p95_s",
        "p99_s", "in_flight", "busy_workers", "completed_rps", "sheds", "requests", "bad", "logical",
    ]  # fmt: skip
    assert table["replication"].tolist() == list(range(6))
    assert table["seed"].is_unique
    assert table["mean_s"].mean() == pytest.approx(result.metrics["mean_s"].mid, rel=1e-12)
    assert table["sheds"].sum() / table["requests"].sum() == pytest.approx(result.metrics["shed_rate"].mid, rel=1e-12)


def test_a_replications_seed_gives_it_alone() -> None:
    table = simulate(SMALL, BUSY, requests=2_000, replications=3).replications_to_frame()
    third = table.iloc[2]
    alone = simulate(SMALL, BUSY, requests=2_000, seed=third["seed"], keep="requests")
    same = alone.replications_to_frame().iloc[0]
    assert same.drop("replication").to_dict() == third.drop("replication").to_dict()


def test_replications_up_to_a_precision_are_in_the_table_too() -> None:
    wanted = Precision(0.05, ("mean_s", "p95_s"))
    result = simulate(SMALL, OpenWorkload(60.0, clients=Clients(retries=Retries())), requests=500, precision=wanted)
    table = result.replications_to_frame()
    assert len(table) == len(result.runs) >= 20
    assert table["p95_s"].mean() == pytest.approx(result.metrics["p95_s"].mid, rel=1e-12)
    assert {"total_mean_s", "total_p95_s"} <= set(table.columns)
    assert (table["requests"] > table["logical"]).all()  # attempts that were tried again


def test_a_precision_that_can_be_reached_is_reached() -> None:
    wanted = Precision(0.02, ("mean_s",), 0.9)
    result = simulate(SMALL, BUSY, requests=5_000, precision=wanted)
    found = result.metrics["mean_s"]
    assert (found.high - found.low) / 2 <= 0.02 * found.mid
    assert found.level == 0.9
    assert len(result.runs) >= 20
    assert "precision-not-reached" not in codes(result)


def test_replications_up_to_a_precision_do_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, wanted = [], Precision(0.03, ("mean_s", "p95_s"))
    for threads in (1, 2, 5):
        monkeypatch.setattr(running, "usable_cores", lambda count=threads: count)
        found.append(simulate(SMALL, BUSY, requests=500, seed=5, precision=wanted))
    assert len(found[0].runs) > 40  # more than one batch after the first stage
    assert found[0].metrics == found[1].metrics == found[2].metrics
    assert found[0].rows == found[1].rows == found[2].rows
    assert [run.seed for run in found[0].runs] == [run.seed for run in found[2].runs]
    assert found[0].findings == found[1].findings == found[2].findings


def test_a_stricter_precision_takes_more_replications() -> None:
    loose, strict = (simulate(SMALL, BUSY, requests=200, precision=Precision(relative, ("mean_s",)))
                     for relative in (0.05, 0.025))  # fmt: skip
    assert len(strict.runs) > len(loose.runs)


def test_a_precision_that_the_most_replications_do_not_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """About 46 replications would reach it; 30 are allowed here (1,000 otherwise)."""
    monkeypatch.setattr("simulations.analysis.simulation.until_precise_in_batches", _with_at_most_30)
    result = simulate(SMALL, BUSY, requests=200, precision=Precision(0.041, ("mean_s",)))
    (said,) = [item for item in result.findings if item.code == "precision-not-reached"]
    assert said.severity == "warning"
    assert said.numbers["replications"] == len(result.runs) == 30
    found = result.metrics["mean_s"]
    assert (found.high - found.low) / 2 > 0.041 * found.mid


def _with_at_most_30(run_many: RunMany, precision: Precision) -> SequentialResult:
    return until_precise_in_batches(run_many, precision, most=30)


def test_a_hopeless_precision_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(InputError, match=r"would take about [\d,]+ replications"):
        simulate(SMALL, BUSY, requests=200, precision=Precision(0.0001, ("mean_s",)))


# Fleets, servers of one's own, other workloads


def test_a_fleet_is_simulated_and_said() -> None:
    result = simulate(SMALL, OpenWorkload(120.0), requests=400_000, fleet=Fleet(2), level=SURE)
    assert "2 instances behind a balancer" in result.engine_reason
    assert result.to_dict()["fleet"]["instances"] == 2
    alone = simulate(SMALL, BUSY, requests=400_000, level=SURE)
    # Every second arrival of a Poisson process comes more evenly than one at half the rate: less is shed.
    assert result.metrics["shed_rate"].high < alone.metrics["shed_rate"].low
    assert result.utilization["workers"] is not None
    assert result.utilization["workers"].mid == pytest.approx(result.metrics["busy_workers"].mid / 8)


def test_a_server_of_ones_own_runs_on_simpy_and_says_why() -> None:
    result = simulate(SMALL, OpenWorkload(20.0), requests=4_000, server=TwiceAsSlow, keep="requests")
    assert result.engine == "simpy"
    assert "TwiceAsSlow" in result.engine_reason
    plain = simulate(SMALL, OpenWorkload(20.0), requests=4_000, keep="requests")
    assert result.requests is not None
    assert plain.requests is not None
    both = result.requests.served & plain.requests.served
    held = [(log.departure_s - log.start_s)[both] for log in (result.requests, plain.requests)]
    np.testing.assert_allclose(held[0], 2 * held[1], atol=1e-9)


def test_a_server_of_ones_own_cannot_be_compiled() -> None:
    with pytest.raises(InputError, match="SimPy engine only"):
        simulate(SMALL, BUSY, requests=100, server=TwiceAsSlow, engine="compiled")


def test_replications_give_a_story_that_changes_its_intervals() -> None:
    result = simulate(SMALL, ProfileWorkload((0.0, 10.0, 20.0), (20.0, 80.0, 0.0)), replications=20)
    assert "not-stationary" not in codes(result)
    assert result.metrics["mean_s"].low < result.metrics["mean_s"].mid < result.metrics["mean_s"].high


@pytest.mark.parametrize(
    ("model", "rate", "is_said"),
    [
        (ServerModel(Deployment(workers=2, queue_capacity="unlimited"), Exponential(0.1)), 21.0, True),
        (ServerModel(Deployment(workers=2, queue_capacity="unlimited"), Exponential(0.1)), 15.0, False),
        (ServerModel(Deployment(workers=2, queue_capacity=5), Exponential(0.1)), 21.0, False),
        (ServerModel(Deployment(workers=2, queue_timeout_s=1.0), Exponential(0.1)), 21.0, False),
        (ServerModel(Deployment(workers=500, db_pool=2), Constant(0.0), database_time=Exponential(0.1)), 21.0, True),
        (ServerModel(Deployment(workers=500, cpu_cores=2), Constant(0.0), cpu_time=Exponential(0.1)), 21.0, True),
    ],
    ids=["line", "below", "bounded", "patience", "pool", "cores"],
)
def test_a_line_that_would_grow_for_ever_is_said(model: ServerModel, rate: float, is_said: bool) -> None:
    result = simulate(model, OpenWorkload(rate), requests=5_000)
    assert ("no-steady-state" in codes(result)) == is_said


# Refusals


@pytest.mark.parametrize(
    ("workload", "length"),
    [
        (BUSY, {"requests": 10**12}),
        (BUSY, {"horizon_s": 1e12}),
        (ClosedWorkload(10_000, Exponential(1.0)), {"horizon_s": 1e12}),
        (SessionWorkload(10.0, 4.0, Exponential(1.0)), {"horizon_s": 1e12}),
        (ProfileWorkload((0.0, 1e12), (60.0, 60.0)), {}),
    ],
    ids=["requests", "horizon", "users", "sessions", "profile"],
)
def test_what_nobody_waits_for_is_refused_with_its_cost_before_anything_runs(
    workload: Workload, length: dict[str, Any]
) -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"some [\d,]+ hours of work"):
        simulate(SMALL, workload, **length)
    assert time.perf_counter() - began < 1.0


def test_simpy_is_refused_what_would_take_it_hours() -> None:
    with pytest.raises(InputError, match="hours"):
        simulate(SMALL, BUSY, requests=30_000_000, engine="simpy")


def test_a_log_that_would_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="without keep="):
        simulate(SMALL, BUSY, requests=60_000_000, keep="requests")


@pytest.mark.parametrize("count", [0, -1, 2.5, 10**9])
def test_replications_are_a_whole_number(count: Any) -> None:
    with pytest.raises(InputError, match="replications"):
        simulate(SMALL, BUSY, requests=100, replications=count)


# Interruption

LONG_RUN = """
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from simulations import OpenWorkload, ServerModel, simulate
from simulations.model.clients import Clients

model = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(0.05))
workload = OpenWorkload(60.0, clients=Clients(timeout_s=float("{timeout_s}")))
simulate(model, workload, requests=1_000, replications=2)
print("ready", flush=True)
simulate(model, workload, requests=4_000_000_000 // {replications}, replications={replications})
print("not interrupted", flush=True)
"""


@pytest.mark.parametrize("replications", [1, 4])
@pytest.mark.parametrize("timeout_s", ["inf", "1.0"], ids=["recursion", "events"])
def test_an_interrupt_ends_a_long_run(replications: int, timeout_s: str) -> None:
    """Each run would take a quarter of an hour at least; 5 s leave room for a loaded machine."""
    script = LONG_RUN.format(replications=replications, timeout_s=timeout_s)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        began = time.perf_counter()
        process.send_signal(signal.SIGINT)
        try:
            said, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert time.perf_counter() - began < 5.0
    assert process.returncode == -signal.SIGINT
    assert said == ""
    assert error.rstrip().endswith("KeyboardInterrupt")


# What a result accounts for


def test_utilizations_of_pool_and_cores_follow_from_the_work_done() -> None:
    """Utilization law: 20 requests/s x 0.1 s over 4 connections, 20/s x 0.03 s over 2 cores, at 1 - 1e-6."""
    deployment = Deployment(workers=1_000, queue_capacity="unlimited", db_pool=4, cpu_cores=2)
    model = ServerModel(deployment, Constant(0.0), cpu_time=LogNormal(0.03, 1.0), database_time=Exponential(0.1),
                        resources=ResourceUse(idle_cpu=0.2))  # fmt: skip
    found = simulate(model, OpenWorkload(20.0), requests=60_000, level=SURE).utilization
    assert found["db_pool"] is not None
    assert found["cpu"] is not None
    assert found["db_pool"].contains(20.0 * 0.1 / 4)
    assert found["cpu"].contains((20.0 * 0.03 + 0.2) / 2)


def test_work_for_clients_who_have_gone_uses_the_pool_too() -> None:
    """Everybody gives up before the query ends, and the database is as busy as ever."""
    model = ServerModel(Deployment(workers=1_000, queue_capacity="unlimited", db_pool=4), Constant(0.0),
                        database_time=Constant(0.1))  # fmt: skip
    result = simulate(model, OpenWorkload(20.0, clients=Clients(timeout_s=0.05)), requests=20_000, level=SURE)
    assert result.outcomes["abandoned"] == 20_000
    assert result.utilization["db_pool"] is not None
    assert result.utilization["db_pool"].contains(0.5)


def test_memory_is_a_base_and_a_share_for_every_request_inside() -> None:
    use = ResourceUse(memory_base_bytes=1e8, memory_per_request_bytes=1e6)
    model = ServerModel(SMALL.deployment, SMALL.service_time, resources=use)
    for fleet in (Fleet(), Fleet(2)):
        result = simulate(model, BUSY, requests=5_000, fleet=fleet)
        assert result.memory_bytes is not None
        expected = 1e8 + 1e6 * result.metrics["in_flight"].mid / fleet.instances
        assert result.memory_bytes.mid == pytest.approx(expected)
    assert simulate(SMALL, BUSY, requests=5_000).memory_bytes is None


@pytest.mark.parametrize("replications", [1, 3])
def test_attempts_and_logical_requests_are_all_accounted_for(replications: int) -> None:
    """Attempts = sum of outcomes; every logical request with as many attempts as the log says."""
    workload = OpenWorkload(90.0, clients=Clients(0.2, Retries(3, 0.05)))
    result = simulate(SMALL, workload, requests=5_000, replications=replications, keep="requests")
    assert sum(result.outcomes.values()) == result.count == 5_000 * replications
    logical = [run.log.logical() for run in result.runs if run.log is not None]
    assert sum(result.logical_outcomes.values()) == sum(len(ledger) for ledger in logical)
    unfinished = result.count - sum(int(ledger.attempts.sum()) for ledger in logical)
    # Those whose next attempt the end of the run cut off: less than 3 attempts for each that was under way.
    assert 0 <= unfinished < 200 * replications
    assert result.outcomes["served"] == result.logical_outcomes["served"]
    assert result.outcomes["abandoned"] > result.logical_outcomes["abandoned"] > 0
    assert result.outcomes["shed_at_queue"] + result.outcomes["shed_at_gate"] > 0


def test_without_retries_the_two_ledgers_are_one() -> None:
    result = simulate(SMALL, OpenWorkload(90.0, clients=Clients(timeout_s=0.2)), requests=5_000)
    assert result.outcomes == result.logical_outcomes
    assert result.metrics["bad_fraction"].mid > result.metrics["shed_rate"].mid


# The laws that hold in any settled run


def test_littles_law_and_flow_balance_fire_on_an_endless_line() -> None:
    endless = ServerModel(Deployment(workers=1, queue_capacity="unlimited"), Constant(0.1))
    said = codes(simulate(endless, OpenWorkload(30.0), requests=5_000))
    assert {"little-s-law-in-run", "flow-balance-in-run"} <= said
    assert "utilization-law-in-run" not in said


def test_the_utilization_law_fires_while_workers_fill_up() -> None:
    """Work of 30 s in a run of 40 s: the workers fill until 30 s, those that finish began before 10 s."""
    model = ServerModel(Deployment(workers="unlimited"), Constant(30.0))
    assert "utilization-law-in-run" in codes(simulate(model, OpenWorkload(10.0), horizon_s=40.0))


def test_the_laws_never_fire_on_a_settled_run() -> None:
    """0 false alarms over 200 seeds: M/M/4 at 0.7 with 20,000 requests, where the laws err by about 0.1 %."""
    model = ServerModel(Deployment(workers=4, queue_capacity="unlimited"), Exponential(0.05))
    scenario = Scenario(model, OpenWorkload(56.0), Fleet(), RunLength(20_000))
    alarms = [item for seed in range(200)
              for item in law_findings(CellWindow.after(run_once(scenario, seed, keep=False).cells, 5.0))]  # fmt: skip
    assert alarms == []


def test_a_fleet_whose_limits_change_keeps_every_request() -> None:
    fleet = Fleet(2, changes=(LimitChange(20.0, workers=8), LimitChange(40.0, workers=2, instance=0)))
    result = simulate(SMALL, BUSY, horizon_s=100.0, fleet=fleet)
    assert sum(result.outcomes.values()) == result.count
    assert "limits that change" in result.engine_reason
