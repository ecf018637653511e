"""Another mix of request classes, and a validation on several instances."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.interfaces.cli import run
from capacity.interfaces.fleet_options import parse_mix
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.errors import InputError
from simulations import ServerModel, calibrate, validate_model
from simulations.calibration.result import CalibrationResult
from simulations.model.server_model import RequestClass
from support.synthetic_recordings import record_model

CLASSES = (RequestClass("/fast", 3.0, LogNormal(0.02, 0.5)), RequestClass("/slow", 1.0, LogNormal(0.2, 0.5)))
TRUTH = ServerModel(Deployment(workers=10, queue_capacity=20), LogNormal(0.05, 0.5), 0.002, request_classes=CLASSES)
THINK = Exponential(0.3)


@pytest.fixture(scope="module")
def fit() -> CalibrationResult:
    return calibrate(record_model(TRUTH, (15, 40, 70), THINK))


def test_the_classes_of_the_mix_are_fitted_apart(fit: CalibrationResult) -> None:
    assert fit.form.mix.names == ("/fast", "/slow")
    assert fit.parameters["service_mean_s[/fast]"].mid == pytest.approx(0.02, rel=0.1)
    assert fit.parameters["service_mean_s[/slow]"].mid == pytest.approx(0.2, rel=0.1)


def test_predict_takes_another_mix(fit: CalibrationResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(fit.save(tmp_path / "model.json"))
    means = []
    for mix in ("", "/slow=1", "/fast=9,/slow=1"):
        assert (
            run(["predict", model, "--users", "10", "--window", "20s", "--json", *(["--mix", mix] if mix else [])]) == 0
        )
        means.append(json.loads(capsys.readouterr().out)["residence_time_s"]["mean"])
    assert means[1]["low"] > means[0]["high"]
    assert means[2]["high"] < means[0]["low"]


@pytest.mark.parametrize("text", ["/a", "/a=0", "/a=-1", "/a=many", "=3", "/a=1,/a=2", "/a=1,,"])
def test_a_mix_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="CLASS=WEIGHT"):
        parse_mix(text)


def test_a_class_that_was_not_calibrated_is_named(fit: CalibrationResult, tmp_path: Path) -> None:
    assert run(["predict", str(fit.save(tmp_path / "m.json")), "--users", "10", "--mix", "/other=1"]) == 2


def test_a_recording_of_another_mix_is_predicted_under_that_mix(fit: CalibrationResult) -> None:
    """One class is ten times as slow: with the calibrated mix the mean would be off by far more than the limit."""
    other = TRUTH.with_mix({"/fast": 1.0, "/slow": 1.0})
    report = validate_model(fit, record_model(other, (20, 45), THINK, window_s=40.0, seed=5))
    assert report.median_errors["mean_s"] < 0.075
