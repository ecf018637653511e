"""Predictions for other loads, deployments and fleets, against independent measurements and each other."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from scipy import stats

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from loadtests.recording import STEP_METRICS
from simulations import (
    CalibrationResult,
    Clients,
    ClosedWorkload,
    Fleet,
    OpenWorkload,
    Quantity,
    ServerModel,
    SessionWorkload,
    calibrate,
    predict_load,
    predict_window,
)
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.workload import ProfileWorkload
from support.synthetic_recordings import record_model

TRUTH = ServerModel(
    Deployment(max_ccu=40, utilization_percent=50, workers=8, queue_capacity=12, db_pool=4), Exponential(0.05), 0.002
)
THINK = Exponential(0.2)


@pytest.fixture(scope="module")
def fit() -> CalibrationResult:
    return calibrate(record_model(TRUTH, (10, 25, 40, 60), THINK, window_s=15.0), seed=1)


def test_predictions_hold_what_independent_measurements_show(fit: CalibrationResult) -> None:
    """Four loads x six metrics. At a true coverage of 0.8 so few would hold in fewer than one of a million cases."""
    metrics = ("throughput_rps", "goodput_rps", "mean_s", "p50_s", "p95_s", "in_flight")
    loads = [ClosedWorkload(35, THINK), OpenWorkload(100.0), OpenWorkload(150.0), SessionWorkload(20.0, 5, THINK)]
    held = 0
    for number, workload in enumerate(loads):
        predicted = predict_load(fit, workload, 20.0, seed=3).metrics
        warm_up_s = warm_up_time_s(TRUTH, workload)
        log = simulate_log(TRUTH, workload, RunLength(horizon_s=warm_up_s + 20.0), seed=900 + number)
        measured = window_metrics(log, Window(warm_up_s, warm_up_s + 20.0))
        held += sum(predicted[name].contains(measured[name]) for name in metrics)
    assert held >= stats.binom.ppf(1e-6, len(loads) * len(metrics), 0.8)


def test_a_window_of_users_is_the_same_prediction(fit: CalibrationResult) -> None:
    whole = predict_load(fit, ClosedWorkload(30, THINK), 10.0, seed=4)
    assert predict_window(fit, 30, 10.0, think_time=THINK, seed=4) == {n: whole.metrics[n] for n in STEP_METRICS}
    assert all(item.kind == "prediction" for item in whole.metrics.values())
    assert whole == predict_load(fit, ClosedWorkload(30, THINK), 10.0, seed=4)


def test_utilizations_have_their_base_or_are_unknown(fit: CalibrationResult) -> None:
    found = predict_load(fit, OpenWorkload(150.0), 20.0)
    shares, inside = found.utilization, found.metrics["in_flight"].mid
    assert set(shares) == {"workers", "gate_normal", "gate_max", "queue", "db_pool", "cpu"}
    assert (shares["db_pool"], shares["cpu"]) == (None, None), "the model simulates neither"
    assert shares["gate_normal"] is not None
    assert shares["gate_max"] is not None
    assert shares["workers"] is not None
    # Little's law: 150 a second hold a worker for 50 ms, within the run-to-run speed and a 20 s window's noise.
    assert shares["workers"].mid == pytest.approx(150 * 0.05 / 8, rel=0.05)
    assert shares["gate_normal"].mid == pytest.approx(inside / 20, rel=1e-6)
    assert shares["gate_max"].mid == pytest.approx(inside / 40, rel=1e-6)
    bare = predict_load(fit, OpenWorkload(50.0), 5.0, deployment=Deployment(queue_capacity="unlimited"))
    assert bare.utilization["queue"] is None


def test_what_a_deployment_does_not_state_keeps_its_calibrated_value(fit: CalibrationResult) -> None:
    found = predict_load(fit, OpenWorkload(250.0), 10.0, deployment=Deployment(workers=16))
    assert (found.deployment.workers, found.deployment.queue_capacity, found.deployment.max_ccu) == (16, 12, 40)
    (said,) = (item for item in found.findings if item.code == "times-taken-as-measured")
    assert said.numbers["record_users"] > fit.heaviest_users()  # larger limits are filled by more
    assert f"{said.numbers['record_users']:,} users" in said.remedy
    shed = predict_load(fit, OpenWorkload(250.0), 10.0).metrics["shed_rate"]
    assert found.metrics["shed_rate"].high < shed.low


def test_twice_the_instances_take_twice_the_load(fit: CalibrationResult) -> None:
    """A random split of Poisson arrivals is Poisson again: shares and times as of one instance with half the load.

    The same 100 draws on both sides; the medians of their 2,400 requests each differ by well below 1 %.
    """
    one = predict_load(fit, OpenWorkload(120.0), 20.0)
    two = predict_load(fit, OpenWorkload(240.0), 20.0, fleet=Fleet(2, "random"))
    for name in ("mean_s", "p95_s"):
        assert two.metrics[name].mid == pytest.approx(one.metrics[name].mid, rel=0.05)
    assert two.metrics["goodput_rps"].mid == pytest.approx(2 * one.metrics["goodput_rps"].mid, rel=0.05)
    busy = [found.utilization["workers"] for found in (one, two)]
    assert busy[0] is not None
    assert busy[1] is not None
    assert busy[1].mid == pytest.approx(busy[0].mid, rel=0.05)
    even = predict_load(fit, OpenWorkload(240.0), 20.0, fleet=Fleet(2, "least-connections"))
    assert even.metrics["p95_s"].mid < two.metrics["p95_s"].mid


def codes(fit: CalibrationResult, workload: OpenWorkload | ClosedWorkload, **more: object) -> dict[str, str]:
    found = predict_load(fit, workload, 2.0, **more)  # type: ignore[arg-type]
    return {item.code: item.severity for item in found.findings}


def test_the_valid_range_is_that_of_the_calibrated_steps(fit: CalibrationResult) -> None:
    rates = [step.metrics["throughput_rps"].mid for step in fit.steps]
    assert (fit.valid_range.lowest, fit.valid_range.highest, fit.valid_range.unit) == (10.0, 60.0, "users")
    assert (fit.valid_range.lowest_rps, fit.valid_range.highest_rps) == (min(rates), max(rates))
    assert fit.heaviest_users() == 60.0
    inside = replace(fit, steps=tuple(replace(step, load_quantity=Quantity.IN_FLIGHT) for step in fit.steps))
    heaviest = max(inside.steps, key=lambda step: step.metrics["throughput_rps"].mid)
    cycle_s = heaviest.metrics["mean_s"].mid + 1.0
    assert inside.valid_range.highest == max(rates)
    assert inside.heaviest_users(Exponential(1.0)) == pytest.approx(max(rates) * cycle_s)


def test_a_load_beyond_what_was_measured_is_said(fit: CalibrationResult) -> None:
    name = "beyond-calibrated-range"
    assert name not in codes(fit, ClosedWorkload(60, THINK))
    assert codes(fit, ClosedWorkload(70, THINK))[name] == "info"
    assert codes(fit, ClosedWorkload(200, THINK))[name] == "warning"
    assert name not in codes(fit, ClosedWorkload(120, THINK), fleet=Fleet(2))
    assert codes(fit, OpenWorkload(1_000.0))[name] == "warning"


def test_arrivals_that_nothing_bounds_have_no_steady_state(fit: CalibrationResult) -> None:
    endless = Deployment(queue_capacity="unlimited", gate_limit="unlimited")
    assert codes(fit, OpenWorkload(300.0), deployment=endless)["no-steady-state"] == "warning"
    assert "no-steady-state" not in codes(fit, OpenWorkload(300.0))


def test_the_json_form_has_no_nan(fit: CalibrationResult) -> None:
    found = predict_load(fit, OpenWorkload(0.01, clients=Clients(timeout_s=1.0)), 1.0)
    assert math.isnan(found.metrics["mean_s"].mid)
    document = json.loads(to_json(found.to_dict()))
    assert document["residence_time_s"]["p95"]["mid"] is None
    assert document["workload"]["clients"]["timeout_s"] == 1.0
    assert "LoadPrediction(open load" in found.summary()


@pytest.mark.parametrize(
    ("workload", "more", "message"),
    [
        (ProfileWorkload((0.0, 1.0), (1.0, 1.0)), {}, "ProfileWorkload"),
        (OpenWorkload(10.0), {"window_s": 0.0}, "window_s"),
        (OpenWorkload(10.0), {"level": 1.0}, "level"),
        (OpenWorkload(1e7), {"window_s": 3_600.0}, "Shorten the window"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused(
    fit: CalibrationResult, workload: OpenWorkload, more: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict_load(fit, workload, **more)  # type: ignore[arg-type]
