"""A refused model says so wherever it is used; a valid range is one of loads, whatever users think."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from capacity.interfaces.cli import run
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential, LogNormal
from loadtests.foundation.findings import Finding
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.recording import Recording
from loadtests.store import write_recording
from simulations.calibration.baselines import BaselineLoad, baseline_predictions
from simulations.calibration.capacity import capacity_of_fit
from simulations.calibration.fitting import calibrate
from simulations.calibration.load_prediction import predict_load
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import validate_model
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload
from support.synthetic_recordings import record_model

SERVER = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.06, 0.8), 0.001)
THINK = Exponential(0.3)
BAD = Finding("poor-fit", "critical", "The model misses the measurements.", "Record again.")
DOUBT = Finding("times-drift", "warning", "Times change.", "Measure longer.")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record_model(SERVER, [10, 30, 50, 70], THINK)


@pytest.fixture(scope="module")
def fit(recording: Recording) -> CalibrationResult:
    return calibrate(recording.only([1, 3, 4]))


def codes(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {item.code: item.severity for item in findings}


def test_a_good_model_has_no_standing_finding(fit: CalibrationResult) -> None:
    found = predict_load(fit, ClosedWorkload(40, THINK), 10.0)
    assert not {"model-refused", "model-in-doubt"} & set(codes(found.findings))


def test_a_refused_model_is_said_to_be_by_predictions_and_capacities(fit: CalibrationResult) -> None:
    refused = replace(fit, findings=(BAD, DOUBT))
    found = predict_load(refused, ClosedWorkload(40, THINK), 10.0)
    assert codes(found.findings).items() >= {"model-refused": "critical", "model-in-doubt": "warning"}.items()
    (said,) = (item for item in found.findings if item.code == "model-refused")
    assert "poor-fit" in said.message
    assert said.numbers["codes"] == ["poor-fit"]
    carried = capacity_of_fit(refused, p95_s=0.5, max_bad_fraction=0.05)
    assert set(codes(carried.findings)) == {"model-refused", "model-in-doubt"}
    assert type(carried).from_dict(carried.to_dict()) == carried


def test_every_command_says_that_the_model_is_refused(
    fit: CalibrationResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = replace(fit, findings=(BAD,)).save(tmp_path / "model.json")
    asked = [
        ["predict", str(model), "--users", "40", "--window", "5s"],
        ["sweep", str(model), "--users", "20,40"],
        ["slo-capacity", str(model), "--p95", "500ms", "--max-bad", "5%"],
        ["plan", "--growth", "guide", "--model", str(model), "--p95", "500ms", "--max-bad", "5%"],
    ]
    for command in asked:
        assert run(command) == 0, command
        printed = capsys.readouterr()
        assert "model-refused" in printed.out + printed.err, command[0]
        assert run([*command, "--json"]) == 0
        assert "model-refused" in json.dumps(json.loads(capsys.readouterr().out)), command[0]


def test_a_recording_that_the_trust_checks_refuse_validates_nothing(
    fit: CalibrationResult, recording: Recording
) -> None:
    held_out = recording.only([2])
    assert validate_model(fit, held_out).verdict in ("pass", "fail")
    why = Finding("generator-saturated", "critical", "The generator was saturated.", "Use more processes.")
    trust = {"verdict": "refused", "findings": [why.to_dict()]}
    report = validate_model(fit, replace(held_out, manifest={**held_out.manifest, "trust": trust}))
    assert report.verdict == "refused"
    (said,) = (item for item in report.findings if item.code == "held-out-refused")
    assert "generator-saturated" in said.message


def test_calibrate_writes_a_refused_model_and_exits_with_99(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = Finding("generator-saturated", "critical", "The generator was saturated.", "Use more processes.")
    trust = {"verdict": "refused", "findings": [why.to_dict()]}
    for name, manifest, code in (("good", {"seed": 1}, 0), ("bad", {"seed": 1, "trust": trust}, 99)):
        folder, model = tmp_path / name, tmp_path / f"{name}.json"
        folder.mkdir()
        gauges = pd.DataFrame(columns=list(GAUGE_COLUMNS))
        write_recording(folder, replace(recording.only([1, 3, 4]), gauges=gauges, manifest=manifest))
        assert run(["calibrate", str(folder), "--out", str(model)]) == code, name
        said = {item.code for item in CalibrationResult.load(model).findings if item.severity == "critical"}
        assert said == ({"recording-refused"} if code else set())
    capsys.readouterr()


def test_the_valid_range_is_one_of_loads_whatever_users_think(fit: CalibrationResult) -> None:
    """70 users who think 0.3 s offer what 11.6 without a pause do, and 1,000 with 5 s."""
    cases = [(60, Constant(0.0), True), (11, Constant(0.0), False), (900, Exponential(5.0), False)]
    for users, think, is_beyond in cases:
        found = predict_load(fit, ClosedWorkload(users, think), 5.0)
        assert ("beyond-calibrated-range" in codes(found.findings)) == is_beyond, (users, think)
    assert fit.heaviest_users(THINK) == pytest.approx(70, rel=0.02)


def test_interpolation_and_extrapolation_are_told_apart_for_each_instance(fit: CalibrationResult) -> None:
    light, heavy = record_model(SERVER, [20, 120], THINK, seed=9).steps
    held_out = Recording(SERVER.deployment, (light, heavy), record_model(SERVER, [20, 120], THINK, seed=9).requests)
    report = validate_model(fit, held_out)
    assert [item.inside_calibrated_range for item in report.steps] == [True, False]
    assert set(report.medians_by_range()) == {"inside", "outside"}
    assert "median outside the calibrated loads" in report.summary()
    assert report.to_frame()["inside_calibrated_range"].nunique() == 2
    shared = validate_model(fit, held_out, fleet=Fleet(2))
    assert [item.inside_calibrated_range for item in shared.steps] == [True, True]


def test_baselines_are_told_of_the_change_as_the_model_is(fit: CalibrationResult) -> None:
    """Two instances with twice the users answer twice as much; more workers wait less."""
    one = baseline_predictions(fit, BaselineLoad.of(fit, ClosedWorkload(50, THINK)))
    two = baseline_predictions(fit, BaselineLoad.of(fit, ClosedWorkload(100, THINK), instances=2))
    for name, said in one.items():
        assert two[name]["goodput_rps"] == pytest.approx(2 * said["goodput_rps"]), name
        assert two[name]["mean_s"] == pytest.approx(said["mean_s"]), name
    more = baseline_predictions(fit, BaselineLoad.of(fit, ClosedWorkload(50, THINK), Deployment(workers=16)))
    assert more["closed_mmc"]["mean_s"] < one["closed_mmc"]["mean_s"]
    slow = BaselineLoad.of(fit, ClosedWorkload(50, Exponential(3.0)))
    assert baseline_predictions(fit, slow)["no_waiting"]["goodput_rps"] < 20
