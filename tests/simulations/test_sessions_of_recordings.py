"""Recordings of visitors who come, send several requests and leave: what calibration and validation make of them."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.recording import Recording
from simulations import ServerModel, SessionWorkload, calibrate, validate_model
from simulations.calibration.baselines import equivalent_users
from simulations.calibration.observations import has_closed_users, observe, workload_of
from simulations.calibration.result import CalibrationResult
from simulations.model.workload import ClosedWorkload
from support.synthetic_recordings import record_model, record_sessions

TRUTH = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.05, 0.8), 0.002)
THINK, LENGTH = Exponential(0.3), 4.0
RATES_RPS = (60.0, 110.0, 150.0)


@pytest.fixture(scope="module")
def sessions() -> Recording:
    return record_sessions(TRUTH, [SessionWorkload(rate / LENGTH, LENGTH, THINK) for rate in RATES_RPS])


@pytest.fixture(scope="module")
def closed_fit() -> CalibrationResult:
    return calibrate(record_model(TRUTH, (15, 35, 50, 80), THINK, window_s=20.0), seed=1)


def test_a_step_of_visitors_is_a_load_of_sessions_at_the_measured_rate(sessions: Recording) -> None:
    for step, rate_rps in zip(sessions.steps, RATES_RPS, strict=True):
        workload = workload_of(sessions, step)
        assert isinstance(workload, SessionWorkload)
        assert not has_closed_users(sessions, step)
        assert workload.requests_per_session == LENGTH
        assert workload.arrival_rate_rps == step.requests / step.window_s
        # Requests vary as a compound Poisson process: five deviations.
        deviation = np.sqrt((2 * LENGTH - 1) / (rate_rps * step.window_s))
        assert workload.arrival_rate_rps == pytest.approx(rate_rps, rel=5 * deviation)
        assert workload.think_time.mean_s == pytest.approx(THINK.mean_s, rel=5 / np.sqrt(0.7 * step.requests))


def test_a_visitor_s_last_request_opens_no_gap(sessions: Recording) -> None:
    step = sessions.steps[0]
    gaps = sessions.gaps(step)
    assert (gaps.censored_s == 0).all()
    assert step.gap_mean_s == pytest.approx(gaps.observed_s.mean())
    rows = sessions.requests_in(step)
    assert gaps.observed_s.size < len(rows)


def test_a_fit_on_closed_users_predicts_sessions_of_the_same_server(
    closed_fit: CalibrationResult, sessions: Recording
) -> None:
    """The limits of a transfer: 1.5 times those of the medians, or the noise of 20 s; nominal coverage is 90 %."""
    report = validate_model(closed_fit, sessions)
    assert report.interval_coverage >= 0.7
    for step in report.steps:
        for name in ("goodput_rps", "mean_s", "p95_s"):
            assert step.comparisons[name].passes, (step.step, name)
    assert [step.inside_calibrated_range for step in report.steps] == [True, True, True]
    baselines = report.baselines["no_waiting"]
    assert baselines["goodput_rps"] < 0.2, "asked about the users who would offer the same rate"


def test_sessions_alone_calibrate_the_server_too(sessions: Recording) -> None:
    fit = calibrate(sessions, seed=1)
    service = fit.parameters["service_mean_s"]
    assert service.mid == pytest.approx(0.05, rel=0.05)
    assert [item.unit for item in observe(sessions)] == ["requests per second"] * 3
    assert "checks-need-closed-users" in {item.code for item in fit.findings}


def test_baselines_are_asked_about_users_who_offer_the_same_rate(closed_fit: CalibrationResult) -> None:
    assert equivalent_users(closed_fit, ClosedWorkload(33, THINK)) == 33
    light_s = closed_fit.steps[0].metrics["mean_s"].mid
    expected = 100 * (light_s + closed_fit.think_time.mean_s)
    assert equivalent_users(closed_fit, SessionWorkload(25.0, 4, THINK)) == round(expected)
