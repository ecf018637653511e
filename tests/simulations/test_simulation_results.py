"""`simulate`, sweeps and capacities: what users hold in their hands."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Distribution, Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.recording import STEP_METRICS
from simulations import ClosedWorkload, OpenWorkload, ServerModel, find_capacity, simulate, sweep_load
from simulations.analysis.metrics import Window, full_window, window_metrics
from simulations.analysis.queueing_theory import closed_mmc
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength

SMALL = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(0.05), 0.001)


def test_a_result_answers_what_it_was_computed_from() -> None:
    result = simulate(SMALL, OpenWorkload(60.0), requests=20_000, seed=4)
    document = json.loads(to_json(result.to_dict()))
    assert (document["seed"], document["engine"], document["requests"]) == (4, "compiled", 20_000)
    assert set(STEP_METRICS) <= set(result.to_frame()["metric"])
    assert "20,000 requests" in repr(result)
    assert result.requests is None
    assert len(simulate(SMALL, OpenWorkload(60.0), requests=500, keep="requests").requests or ()) == 500


def test_the_engines_give_the_same_result_for_the_same_seed() -> None:
    results = [simulate(SMALL, ClosedWorkload(20, Exponential(0.1)), requests=5_000, seed=8, engine=e).metrics
               for e in ("simpy", "compiled")]  # fmt: skip
    assert results[0] == results[1]


def test_limits_that_are_not_stated_are_said() -> None:
    result = simulate(ServerModel(Deployment(), Exponential(0.05)), OpenWorkload(10.0), requests=1_000)
    assert [item.code for item in result.findings].count("limit-not-stated") == 3


def test_no_shed_request_gives_a_one_sided_bound_not_a_certain_zero() -> None:
    shed = simulate(SMALL, OpenWorkload(5.0), requests=10_000, level=0.9).metrics["shed_rate"]
    assert (shed.low, shed.mid) == (0.0, 0.0)
    # The window holds 90 to 100 % of the requests, and sheds come nearly alone at this load.
    assert -math.log(0.1) / 10_000 <= shed.high <= 1.1 * -math.log(0.1) / 9_000


def test_overload_without_a_gate_is_flagged_as_having_no_steady_state() -> None:
    endless = ServerModel(Deployment(workers=1, queue_capacity="unlimited"), Constant(0.1))
    codes = [item.code for item in simulate(endless, OpenWorkload(30.0), requests=5_000).findings]
    assert "little-s-law-in-run" in codes


@pytest.mark.parametrize("think", [Constant(0.0)])
def test_users_who_would_retry_in_no_time_are_refused(think: Distribution) -> None:
    with pytest.raises(InputError, match="without end"):
        simulate(
            ServerModel(Deployment(gate_limit=2, workers=2), Exponential(0.1)), ClosedWorkload(3, think), requests=10
        )


def test_a_rejection_that_takes_no_time_is_refused_and_one_that_takes_some_is_enough() -> None:
    eager = ClosedWorkload(3, Constant(0.0))
    model = ServerModel(Deployment(gate_limit=2, workers=2), Exponential(0.1), 0.001, rejection_time_s=0.0)
    with pytest.raises(InputError, match=r"no rejection time a rejected user would retry.*rejection_time_s above 0"):
        simulate(model, eager, requests=10)
    simulate_log(model, ClosedWorkload(2, Constant(0.0)), RunLength(10), seed=1)
    some = replace(model, network_round_trip_s=0.0, rejection_time_s=0.01)
    assert not simulate_log(some, eager, RunLength(100), seed=1).served.all()
    with pytest.raises(InputError, match="no network round trip a served user would return"):
        simulate(replace(some, service_time=Constant(0.0)), eager, requests=10)


def test_a_model_with_a_rejection_time_survives_its_json_form() -> None:
    plain = ServerModel(Deployment(workers=2), Exponential(0.1), 0.003)
    assert "rejection_time_s" not in plain.to_dict()
    assert plain.rejected_after_s == 0.003
    for rejection_s in (0.0, 0.0007):
        model = replace(plain, rejection_time_s=rejection_s)
        assert ServerModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model
        assert model.rejected_after_s == rejection_s


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate(SMALL, OpenWorkload(10.0)), "needs an end"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), requests=0), "requests"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), horizon_s=-1.0), "horizon_s"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), requests=10, engine="abacus"), "engine"),  # type: ignore[arg-type]
        (lambda: OpenWorkload(math.nan), "arrival_rate_rps"),
        (lambda: OpenWorkload(0.0), "arrival_rate_rps"),
        (lambda: OpenWorkload(100.0, Constant(1.0)), "make the mean 1 / rate"),
        (lambda: ClosedWorkload(3, Exponential(1.0), spread_s=-5.0), "spread_s"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), requests=10**12), "hours of work"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), horizon_s=1e12), "shorten the horizon"),
        (lambda: simulate(SMALL, ClosedWorkload(5, Exponential(0.01)), horizon_s=1e12), "shorten the horizon"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), requests=1_000, level=1.0), "level"),
        (lambda: ClosedWorkload(0, Exponential(1.0)), "users"),
        (lambda: ServerModel(Deployment(), Exponential(1.0), -0.1), "network_round_trip_s"),
        (lambda: ServerModel(Deployment(), Exponential(1.0), rejection_time_s=-0.1), "rejection_time_s is -0.1"),
        (lambda: ServerModel(Deployment(), Exponential(1.0), rejection_time_s=math.inf), "rejection_time_s"),
        (lambda: simulate(SMALL, OpenWorkload(10.0), requests=10, seed=-1), "seed"),
        (lambda: find_capacity(SMALL, ClosedWorkload(1, Exponential(1.0))), "needs a limit"),
        (lambda: find_capacity(SMALL, ClosedWorkload(1, Exponential(1.0)), p95_s=0.001), "One user alone"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


@settings(max_examples=40)
@given(
    st.integers(1, 30), st.integers(0, 20), st.integers(1, 60), st.floats(0.01, 0.3), st.floats(0.0, 1.0),
    st.integers(0, 10_000),
)  # fmt: skip
def test_every_request_is_accounted_for_and_littles_law_holds(
    workers: int, queue: int, users: int, service_s: float, think_s: float, seed: int
) -> None:
    model = ServerModel(Deployment(workers=workers, queue_capacity=queue), LogNormal(service_s, 0.7), 0.0005)
    workload = ClosedWorkload(users, Constant(think_s + 0.001))
    log = simulate(model, workload, requests=4_000, seed=seed, keep="requests").requests
    assert log is not None
    assert np.all(log.start_s >= log.arrival_s)
    assert np.all(log.departure_s >= log.start_s)
    window = full_window(log)
    everything = Window(0.0, float(log.departure_s.max()) + 1.0)
    time_inside = window_metrics(log, everything)["in_flight"] * everything.length_s
    assert time_inside == pytest.approx(float(np.sum(log.departure_s - log.arrival_s)), rel=1e-9, abs=1e-9)
    found = window_metrics(log, window)
    assert found["busy_workers"] <= workers + 1e-9
    assert found["in_flight"] <= workers + queue + 1e-9
    for user in range(min(users, 3)):
        cycles = log.cycle[log.user == user]
        assert cycles.tolist() == list(range(len(cycles)))


def test_a_sweep_has_the_columns_of_a_measured_curve() -> None:
    curve = sweep_load(SMALL, ClosedWorkload(1, Exponential(0.2)), [40, 10, 20])
    assert curve.users.tolist() == [10, 20, 40]
    goodput = curve.metric("goodput_rps")[1]
    assert np.all(np.diff(goodput) > 0)
    assert {f"{name}_mid" for name in STEP_METRICS} <= set(curve.to_frame().columns)


def test_capacity_is_the_last_load_that_keeps_the_objective() -> None:
    think = Exponential(0.3)
    found = find_capacity(SMALL, ClosedWorkload(1, think), p95_s=0.2, max_bad_fraction=0.01)
    at = {
        users: simulate(SMALL, ClosedWorkload(users, think), requests=60_000, seed=1).metrics
        for users in (round(found.value.mid * 0.9), round(found.value.mid * 1.1))
    }
    below, above = at.values()
    assert below["p95_s"].mid <= 0.2
    assert below["shed_rate"].mid <= 0.01
    assert above["p95_s"].mid > 0.2 or above["shed_rate"].mid > 0.01
    assert found.max_value is not None
    assert found.max_value.mid >= found.value.mid


def test_a_large_population_is_measured_after_it_has_settled() -> None:
    """10,000 users against the machine-repairman formula, at 1 - 1e-6 confidence."""
    model = ServerModel(Deployment(workers=335, queue_capacity="unlimited"), Exponential(0.05))
    found = simulate(model, ClosedWorkload(10_000, Exponential(1.0)), requests=400_000, level=1 - 1e-6).metrics
    exact = closed_mmc(10_000, 335, 0.05, 1.0)
    assert found["goodput_rps"].contains(exact.throughput_rps)
    assert found["mean_s"].contains(exact.residence_time_s)
    (level,) = sweep_load(model, ClosedWorkload(1, Exponential(1.0)), [10_000], level=1 - 1e-6).points
    assert level.metrics["goodput_rps"].contains(exact.throughput_rps)


def test_a_run_that_ends_before_its_users_have_settled_says_so() -> None:
    model = ServerModel(Deployment(workers=335, queue_capacity="unlimited"), Exponential(0.05))
    result = simulate(model, ClosedWorkload(10_000, Exponential(1.0)), requests=20_000)
    assert "run-too-short" in {item.code for item in result.findings}


def test_the_capacity_of_the_guides_instance_lies_at_its_saturation() -> None:
    """335 workers at 5.4 ms serve 62,037 a second; with 0.1 s of thinking the P95 passes 50 ms a little above."""
    model = ServerModel(Deployment.from_utilization(5_000, 67), LogNormal(0.0054, 1.0))
    found = find_capacity(model, ClosedWorkload(1, Exponential(0.1)), p95_s=0.05, max_bad_fraction=0.001)
    saturated_users = model.saturation_rps * (0.1 + 0.0054)
    assert saturated_users < found.value.mid < model.saturation_rps * (0.1 + 0.05)
    assert found.bound_by == "workers"
    assert found.value.low < found.value.mid < found.value.high
    assert found.arrival_rate_rps is not None
    assert found.arrival_rate_rps.mid == pytest.approx(model.saturation_rps, rel=0.01)


def test_a_full_line_is_not_called_the_gate() -> None:
    for deployment, cause in (
        (Deployment(workers=5, queue_capacity=5, gate_limit=100), "bad"),
        (Deployment(workers=5, queue_capacity=50, gate_limit=10), "gate"),
    ):
        model = ServerModel(deployment, Exponential(0.05))
        assert find_capacity(model, ClosedWorkload(1, Exponential(0.3)), max_bad_fraction=0.01).bound_by == cause


@pytest.mark.parametrize("p95_s", [0.05, None])
def test_an_objective_that_nothing_bounds_is_refused_at_once(p95_s: float | None) -> None:
    with pytest.raises(InputError, match="met at any load"):
        find_capacity(
            ServerModel(Deployment(), Exponential(0.01)), ClosedWorkload(1, Exponential(0.1)),
            p95_s=p95_s, max_bad_fraction=0.001,
        )  # fmt: skip


def test_an_endless_line_needs_no_endless_memory() -> None:
    model = ServerModel(Deployment(workers=5, queue_capacity=10**12), Exponential(0.01))
    assert simulate(model, ClosedWorkload(50, Exponential(0.1)), requests=5_000).metrics["shed_rate"].mid == 0.0


def test_limits_that_are_stated_but_not_simulated_are_said() -> None:
    model = ServerModel(Deployment(workers=4, queue_capacity=4, db_pool=2, cpu_cores=4), Exponential(0.01))
    said = {item.numbers["limit"]: item.severity for item in model.findings if item.code == "limit-not-modelled"}
    assert said == {"db_pool": "info", "cpu_cores": "info"}
    whole = ServerModel(model.deployment, Exponential(0.01), cpu_time=Exponential(0.01), database_time=Constant(0.001))
    assert not whole.findings_of_left_out_limits


def test_utilizations_name_their_base_and_have_intervals() -> None:
    guide = ServerModel(Deployment.from_utilization(300, 67), LogNormal(0.1, 0.7))
    found = simulate(guide, ClosedWorkload(240, Exponential(0.3)), requests=60_000).utilization
    assert set(found) == {"workers", "gate_normal", "gate_max", "queue", "db_pool", "cpu"}
    assert found["db_pool"] is None
    assert found["cpu"] is None
    normal, top = found["gate_normal"], found["gate_max"]
    assert normal is not None
    assert top is not None
    assert normal.mid / top.mid == pytest.approx(300 / 201)
    assert simulate(SMALL, OpenWorkload(20.0), requests=5_000).utilization["gate_normal"] is None


def test_a_stricter_objective_never_allows_more() -> None:
    workload = ClosedWorkload(1, Exponential(0.3))
    loads = [find_capacity(SMALL, workload, p95_s=p95, max_bad_fraction=0.3).value.mid for p95 in (0.16, 0.17, 0.18)]
    assert loads == sorted(loads)
    assert loads[0] < loads[-1]


def test_a_percentile_that_a_bounded_line_never_breaks_is_refused_as_an_objective() -> None:
    with pytest.raises(InputError, match="max_bad_fraction too"):
        find_capacity(SMALL, ClosedWorkload(1, Exponential(0.3)), p95_s=5.0)
