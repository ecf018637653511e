"""Contention and coherency of a recording, beside what its calibrated model shows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.files import to_json
from loadtests.recording import Recording
from simulations.analysis.usl import coherency_loss, fit_usl, quick_usl
from simulations.calibration.fitting import calibrate
from simulations.calibration.model_checks import check_model
from simulations.calibration.result import CalibrationResult
from simulations.calibration.scalability import Scalability
from simulations.calibration.scalability_check import coherency_losses, scalability_of
from simulations.calibration.window_comparison import ComparedStep, compare_windows
from simulations.model.server_model import ServerModel
from support.strange_servers import SlowsUnderLoad, record_server

THINK, USERS = Exponential(0.4), (15, 30, 45, 60, 80)
MODEL = ServerModel(Deployment(workers=8, queue_capacity=100), LogNormal(0.05, 0.8), 0.001)


class Thrashes(SlowsUnderLoad):
    EACH = 0.03


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record_server(MODEL, USERS, THINK)


@pytest.fixture(scope="module")
def fit(recording: Recording) -> CalibrationResult:
    return calibrate(recording, seed=1)


@pytest.fixture(scope="module")
def compared(fit: CalibrationResult, recording: Recording) -> tuple[ComparedStep, ...]:
    return compare_windows(fit, recording)


def codes(findings: Sequence[object]) -> set[str]:
    return {item.code for item in findings}  # type: ignore[attr-defined]


def test_coherency_takes_its_share_of_the_throughput() -> None:
    parameters = np.array([0.02, 0.001, 100.0])

    def rate(load: float, beta: float) -> float:
        return 100.0 * load / (1 + 0.02 * (load - 1) + beta * load * (load - 1))

    assert coherency_loss(parameters, 30.0) == pytest.approx(1 - rate(30.0, 0.001) / rate(30.0, 0.0))
    assert coherency_loss(parameters, 0.5) == 0


def test_the_quick_fit_finds_the_law() -> None:
    load = np.array([1.0, 4.0, 9.0, 16.0, 30.0])
    rate = 100.0 * load / (1 + 0.02 * (load - 1) + 0.001 * load * (load - 1))
    np.testing.assert_allclose(quick_usl(load, rate), [0.02, 0.001, 100.0], rtol=1e-4)
    noisy = rate * (1 + 0.02 * np.array([1, -1, 1, -1, 1]))
    best = fit_usl(load, noisy)
    np.testing.assert_allclose(quick_usl(load, noisy), [best.alpha.mid, best.beta.mid, best.gamma.mid], rtol=1e-3)


def test_a_line_of_workers_loses_no_more_than_its_model(fit: CalibrationResult, recording: Recording) -> None:
    scaling = fit.scalability
    assert scaling is not None
    assert "loses-throughput-with-load" not in codes(fit.findings)
    # One request at a time takes 51 ms; the law is a poor picture of a line, so a fifth.
    assert scaling.single_rps.mid == pytest.approx(1 / 0.051, rel=0.2)
    inside = [step.metrics["goodput_rps"].mid * step.metrics["mean_s"].mid for step in recording.steps]
    assert scaling.load == pytest.approx(inside, rel=0.01)
    assert scaling.modelled_loss.low - 0.05 <= scaling.measured_loss <= scaling.modelled_loss.high + 0.05


def test_a_server_that_thrashes_loses_throughput_where_the_model_does_not(fit: CalibrationResult) -> None:
    slow = record_server(MODEL, USERS, THINK, Thrashes)
    found = {item.code: item for item in check_model(fit, slow)}
    said = found["loses-throughput-with-load"]
    assert said.numbers["measured"] > said.numbers["simulated"] + 0.05
    assert "coherency" in said.message


def test_too_few_steps_tell_no_law(compared: tuple[ComparedStep, ...]) -> None:
    assert scalability_of(compared[:3], 0.9) is None
    measured, simulated = coherency_losses(compared[:3])
    assert np.isnan(measured)
    assert simulated.size == 0


def test_scalability_survives_its_file(fit: CalibrationResult) -> None:
    scaling = fit.scalability
    assert scaling is not None
    assert Scalability.from_dict(json.loads(to_json(scaling.to_dict()))) == scaling
    assert "coherency takes" in fit.summary()
    again = CalibrationResult.from_dict(json.loads(to_json(fit.to_dict())))
    assert again.scalability == scaling
