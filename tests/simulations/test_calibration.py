"""Calibration finds the truth behind synthetic recordings, and says what it cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window, summarise_steps
from loadtests.foundation.distributions import Constant, Exponential, Gamma, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import write_json
from loadtests.foundation.findings import Finding
from loadtests.recording import Recording
from simulations.calibration.capacity import capacity_of_fit
from simulations.calibration.fitting import _of_draws_and_fit, calibrate
from simulations.calibration.model_form import ModelForm
from simulations.calibration.observations import observe, trust_findings
from simulations.calibration.prediction_draws import model_draws
from simulations.calibration.problem import Problem
from simulations.calibration.result import CalibrationResult
from simulations.calibration.service_shapes import ServiceShape
from simulations.calibration.validation import validate_model
from simulations.model.server_model import ServerModel

MakeRecording = Callable[..., Recording]
THINK = Exponential(0.3)
TRUTH = ServerModel(Deployment(workers=20, queue_capacity=30), LogNormal(0.08, 0.8), 0.002)
LEVELS = (40, 70, 100, 130, 200)
CAUCHY = {"shape": "cauchy", "stage": "none", "classes": [], "weights": [], "deployment": {}}


@pytest.fixture(scope="module")
def recording(make_recording: MakeRecording) -> Recording:
    return make_recording(TRUTH, LEVELS, THINK)


@pytest.fixture(scope="module")
def fit(recording: Recording) -> CalibrationResult:
    return calibrate(recording.without([4]), seed=1)


def test_the_known_times_lie_near_the_estimates(fit: CalibrationResult) -> None:
    """Five times the interval's half-width: 8 standard errors, so only a wrong fit falls outside."""
    for name, truth, width in (("service_mean_s", 0.08, 0.05), ("service_cv", 0.8, 0.1),
                               ("network_round_trip_s", 0.002, 1.0)):  # fmt: skip
        interval = fit.parameters[name]
        half_width = (interval.high - interval.low) / 2
        assert abs(interval.mid - truth) < 5 * half_width + 0.02 * truth, name
        assert half_width < width * truth, name
    assert all(fit.identified[name] for name in fit.draws.names)


def test_a_recording_that_the_trust_checks_refuse_gives_a_model_that_is_refused(recording: Recording) -> None:
    """It says why, and which data to collect instead."""
    found = Finding("generator-stalled", "critical", "The generator stood still for 3 s.", "Use a second machine.")
    manifest = {"trust": {"verdict": "refused", "findings": [found.to_dict()]}}
    (said,) = trust_findings(replace(recording, manifest=manifest))
    assert (said.code, said.severity) == ("recording-refused", "critical")
    assert "model is refused" in said.message
    assert found.message in said.message
    assert "record the same steps again" in said.remedy
    assert "Use a second machine." in said.remedy
    assert trust_findings(recording) == ()


def test_scores_stand_in_the_order_of_the_choice(fit: CalibrationResult) -> None:
    """By one noise, that of the comparison; the chosen form comes first and is the best of those without a stage."""
    scores = [item.held_out_score for item in fit.scores]
    assert fit.scores[0].form == fit.family
    assert scores == sorted(scores, reverse=True)
    assert len({item.chi_square for item in fit.scores}) == len(scores) > 1


@pytest.mark.parametrize(
    ("fitted", "expected"),
    [(0.5, (0.05, 0.5, 0.95)), (0.01, (0.01, 0.5, 0.95)), (1.2, (0.05, 0.5, 1.2)), (0.06, (0.05, 0.06, 0.95))],
)
def test_a_fit_outside_of_its_draws_is_reported_by_their_median(
    fitted: float, expected: tuple[float, float, float]
) -> None:
    """Predictions take the draws; the interval does not get narrower for that."""
    found = _of_draws_and_fit(np.arange(1, 1000) / 1000, fitted, 0.9)
    assert (found.low, found.mid, found.high) == pytest.approx(expected)


def test_a_constant_service_time_is_told_as_one(make_recording: MakeRecording) -> None:
    limits = Deployment(workers=20, queue_capacity=30)
    truth = ServerModel(limits, Constant(0.08), 0.002)
    found = calibrate(make_recording(truth, (30, 60, 100, 180), THINK, window_s=25.0))
    assert found.model.service_time.cv < 0.02
    assert found.parameters["service_cv"].high < 0.02
    assert found.parameters["service_mean_s"].mid == pytest.approx(0.08, rel=0.02)
    assert found.identified["service_cv"]


def test_what_is_measured_apart_is_told_only_where_its_interval_is_narrower_than_its_value(
    fit: CalibrationResult,
) -> None:
    for name in ("generator_overhead_s", "rejection_time_s"):
        interval = fit.parameters[name]
        assert fit.identified[name] == (interval.high - interval.low <= abs(interval.mid)), name
    assert not fit.identified["generator_overhead_s"]  # users think as stated: it is nothing


def test_residence_times_of_nothing_are_refused(recording: Recording) -> None:
    requests = recording.requests.assign(finish_s=recording.requests["start_s"])
    with pytest.raises(InputError, match=r"half of the served requests took .* Record with start and finish times"):
        calibrate(Recording(recording.deployment, recording.steps, requests))


def test_a_step_that_shed_everything_asks_for_less_load(recording: Recording) -> None:
    requests = recording.requests.assign(outcome="shed", status=503)
    with pytest.raises(InputError, match=r"has 0 served requests .* were shed.* lower the load"):
        calibrate(Recording(recording.deployment, recording.steps, requests))


def test_the_family_of_the_service_times_is_told(make_recording: MakeRecording) -> None:
    gamma = ServerModel(TRUTH.deployment, Gamma(0.08, 0.8), 0.002)
    assert calibrate(make_recording(gamma, LEVELS, THINK)).form.shape.name == "gamma"
    assert calibrate(make_recording(TRUTH, LEVELS, THINK)).form.shape.name == "lognormal"


def test_the_held_out_step_is_predicted_better_than_by_the_baselines(
    fit: CalibrationResult, recording: Recording
) -> None:
    report = validate_model(fit, recording.only([4]))
    assert report.verdict == "pass"
    assert report.steps[0].region == "beyond"
    errors = report.median_errors
    assert errors["mean_s"] < report.baselines["no_waiting"]["mean_s"]
    assert errors["p95_s"] < report.baselines["interpolation"]["p95_s"]


def test_a_wrong_model_fails_the_validation(fit: CalibrationResult, make_recording: MakeRecording) -> None:
    slower = ServerModel(TRUTH.deployment, LogNormal(0.1, 0.8), 0.002)
    report = validate_model(fit, make_recording(slower, (90, 150), THINK, seed=9))
    assert report.verdict == "fail"


def test_workers_and_gate_that_nobody_stated_are_found(make_recording: MakeRecording) -> None:
    seen = make_recording(TRUTH, LEVELS, THINK)
    blind = Recording(Deployment(), seen.steps, seen.requests)
    found = calibrate(blind)
    assert abs(found.parameters["workers"].mid - 20) <= 1
    assert abs(found.parameters["gate_limit"].mid - 50) <= 2
    assert found.identified["workers"]
    assert found.identified["gate_limit"]
    assert "workers-or-pool" in {item.code for item in found.findings}


def test_limits_that_were_never_reached_are_reported_as_not_identified(make_recording: MakeRecording) -> None:
    light = make_recording(TRUTH, (5, 10, 20), THINK)
    found = calibrate(Recording(Deployment(), light.steps, light.requests))
    assert found.identified["workers"] is False
    assert found.identified["gate_limit"] is False
    assert {"workers-not-identified", "gate-limit-not-identified"} <= {item.code for item in found.findings}


def test_a_capacity_that_an_unseen_limit_would_bound_is_refused(make_recording: MakeRecording) -> None:
    light = make_recording(TRUTH, (5, 10, 20), THINK)
    found = calibrate(Recording(Deployment(), light.steps, light.requests))
    assert found.model.deployment.workers == "unlimited"
    assert found.parameters["service_mean_s"].mid == pytest.approx(0.08, rel=0.1)
    with pytest.raises(InputError, match=r"workers and gate_limit|met at any load"):
        capacity_of_fit(found, p95_s=0.5, max_bad_fraction=0.01)


def test_failed_requests_are_refused_or_said(make_recording: MakeRecording) -> None:
    clean = make_recording(TRUTH, (40, 100), THINK)
    for share, refused in ((0.3, True), (0.005, False)):
        requests = clean.requests.copy()
        hit = (requests["outcome"] == "served") & (requests.index % round(1 / share) == 0)
        requests.loc[hit, "outcome"] = "server_error"
        broken = Recording(clean.deployment, clean.steps, requests)
        if refused:
            with pytest.raises(InputError, match="server error"):
                calibrate(broken)
        else:
            assert "failed-requests-left-out" in {item.code for item in calibrate(broken).findings}


def test_a_step_in_which_nothing_was_served_refuses_the_verdict(
    fit: CalibrationResult, make_recording: MakeRecording
) -> None:
    seen = make_recording(TRUTH, (90,), THINK, seed=9)
    requests = seen.requests.assign(outcome="server_error")
    window = Window(1, 90, seen.steps[0].start_s, seen.steps[0].end_s)
    dead = Recording(seen.deployment, summarise_steps(requests, [window]), requests)
    assert validate_model(fit, dead).verdict == "refused"


def test_a_server_that_became_a_little_slower_fails_at_saturation(
    fit: CalibrationResult, make_recording: MakeRecording
) -> None:
    """5 % slower: inside the limits of single steps, outside the intervals."""
    slower = ServerModel(TRUTH.deployment, LogNormal(0.084, 0.8), 0.002)
    report = validate_model(fit, make_recording(slower, (130, 150, 180), THINK, window_s=60.0, seed=9))
    assert report.verdict == "fail"


def test_a_model_that_shows_nothing_is_not_taken_for_a_good_one(recording: Recording) -> None:
    problem = Problem.of(observe(recording), 1)
    form = ModelForm(TRUTH.deployment, ServiceShape("lognormal"))
    right, wrong = (form.transformed(np.array([mean_s, 0.8, 0.002])) for mean_s in (0.08, 50.0))
    assert problem.chi_square(form, wrong) > 100 * problem.chi_square(form, right)


def test_estimated_limits_move_in_the_draws(make_recording: MakeRecording) -> None:
    seen = make_recording(ServerModel(Deployment(workers=50, queue_capacity=150), LogNormal(0.1, 0.7), 0.002),
                          (100, 250, 450), Exponential(0.3), window_s=10.0)  # fmt: skip
    found = calibrate(Recording(Deployment(workers=50, queue_capacity="unlimited"), seen.steps, seen.requests))
    assert found.model.deployment.gate == "unlimited"
    found = calibrate(Recording(Deployment(workers=50), seen.steps, seen.requests))
    gate = found.parameters["gate_limit"]
    assert gate.low - 3 <= 200 <= gate.high + 3
    drawn = {model.deployment.gate for model in model_draws(found, 60, 1)}
    assert len(drawn) > 1 or gate.low == gate.high


@pytest.mark.parametrize(
    "damage",
    [
        {"parameters": [1]}, {"draws": {"names": ["a"], "values": [[1], [2, 3]]}},
        {"draws": {"names": [], "values": []}},
        {"level": "abc"}, {"steps": []}, {"form": CAUCHY}, {"schema_version": 99}, {"model": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_model_file_is_named(damage: dict[str, object], fit: CalibrationResult, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    write_json(path, {**fit.to_dict(), **damage})
    with pytest.raises(InputError, match="model file"):
        CalibrationResult.load(path)


def test_a_stated_gate_that_was_never_reached_is_said(make_recording: MakeRecording) -> None:
    found = calibrate(make_recording(TRUTH, (20, 60), THINK))
    assert "gate-not-reached" in {item.code for item in found.findings}


def test_a_model_survives_its_file(fit: CalibrationResult, tmp_path: Path) -> None:
    again = CalibrationResult.load(fit.save(tmp_path / "model.json"))
    assert again.to_dict() == fit.to_dict()
    assert again.model == fit.model


def test_the_same_seed_gives_the_same_fit(recording: Recording) -> None:
    few = recording.only([1, 5])
    assert calibrate(few, seed=3).to_dict() == calibrate(few, seed=3).to_dict()


def test_one_level_is_refused(recording: Recording) -> None:
    with pytest.raises(InputError, match="at least two"):
        calibrate(recording.only([1]))


def test_too_few_served_requests_are_refused(make_recording: MakeRecording) -> None:
    with pytest.raises(InputError, match="served requests"):
        calibrate(make_recording(TRUTH, (1, 40), THINK, window_s=2.0))


def test_validation_on_a_calibrated_step_is_refused(fit: CalibrationResult, recording: Recording) -> None:
    with pytest.raises(InputError, match="part of the calibration"):
        validate_model(fit, recording.only([1]))


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"schema_version": 1}')
    with pytest.raises(InputError, match="capacity calibrate"):
        CalibrationResult.load(path)
