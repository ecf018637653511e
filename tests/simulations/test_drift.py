"""A live service is told from the model when it has changed, and seldom when it has not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from loadtests import Deployment, Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.units import Quantity
from loadtests.live.windows import LIVE_METRICS, ObservedWindow, windows_of_recording
from loadtests.recording import Recording
from simulations import CalibrationResult, DriftOptions, ServerModel, calibrate, check_drift
from simulations.calibration.drift import judge_series
from simulations.calibration.drift_result import DriftReport
from simulations.calibration.live_series import (
    LiveRun,
    LiveSetting,
    runs_of_windows,
    simulate_run,
    simulated_series,
)
from simulations.calibration.prediction_draws import series_draws
from simulations.model.fleet import Fleet
from support.synthetic_recordings import record_model

TRUTH = ServerModel(Deployment(gate_limit=14, workers=6, queue_capacity=8), LogNormal(0.06, 0.8), 0.001)
THINK = Exponential(0.6)
DAY = (20, 30, 45, 60, 75, 90, 75, 60, 45, 30)
WINDOW_S = 20.0
SERIES = 60


@pytest.fixture(scope="module")
def fit() -> CalibrationResult:
    return calibrate(record_model(TRUTH, [20, 50, 75, 100], THINK))


@pytest.fixture(scope="module")
def runs(fit: CalibrationResult) -> tuple[LiveRun, ...]:
    """Half an hour apart, under users that come and go."""
    return runs_of_windows(fit, [_window(place, users, {"mean_s": 0.1}) for place, users in enumerate(DAY)])


@pytest.fixture(scope="module")
def draws(fit: CalibrationResult, runs: tuple[LiveRun, ...]) -> list[NDArray[np.float64]]:
    return [simulated_series(fit, runs, LiveSetting(), is_one_speed=one, seed=4) for one in (True, False)]


def _window(place: int, users: int, metrics: dict[str, float]) -> ObservedWindow:
    bounds = {name: (value, value) for name, value in metrics.items() if math.isfinite(value)}
    return ObservedWindow(1_800.0 * place, WINDOW_S, users, Quantity.USERS, bounds)


def _live(runs: Sequence[LiveRun], servers: Sequence[ServerModel], seed: int) -> tuple[LiveRun, ...]:
    """The same windows, measured on a server of each."""
    found = []
    for place, (run, server) in enumerate(zip(runs, servers, strict=True)):
        row = simulate_run(server, run, Fleet(), derive_key(seed, place) >> 1)[0]
        window = _window(place, int(run.windows[0].load), dict(zip(LIVE_METRICS, row, strict=True)))
        found.append(replace(run, windows=(window,)))
    return tuple(found)


@pytest.fixture(scope="module")
def judge(fit: CalibrationResult, runs: tuple[LiveRun, ...], draws: list[NDArray[np.float64]]):
    def judged(servers: Sequence[ServerModel], seed: int, **options: float) -> DriftReport:
        live = _live(runs, servers, seed)
        return judge_series(fit, live, draws, DriftOptions(**options), setting=LiveSetting(), seed=seed)

    return judged


def _slower(model: ServerModel, by: float) -> ServerModel:
    return replace(model, service_time=LogNormal(0.06 * by, 0.8))


@pytest.mark.parametrize("is_one_speed", [True, False])
def test_a_service_that_has_not_changed_raises_at_most_the_stated_false_alarms(
    fit: CalibrationResult, judge, is_one_speed: bool
) -> None:
    """Each series is of another server that the calibration leaves possible, its speed with the stated 1 %."""
    servers = series_draws(fit, SERIES, len(DAY), seed=77, is_one_speed=is_one_speed)
    alarms = sum(judge(models, 1_000 + number).verdict != "inside" for number, models in enumerate(servers))
    assert alarms <= stats.binom.ppf(0.999, SERIES, 0.05)


def test_false_alarms_can_be_asked_for(judge, fit: CalibrationResult) -> None:
    """Half of the series would alarm at 50 % (a quarter and less where the two kinds of speed must agree)."""
    servers = series_draws(fit, SERIES, len(DAY), seed=78, is_one_speed=True)
    reports = [judge(models, 2_000 + number, false_alarms=0.5) for number, models in enumerate(servers)]
    assert 5 <= sum(item.verdict != "inside" for item in reports) <= stats.binom.ppf(0.999, SERIES, 0.5)


def test_a_fifth_more_service_time_is_noticed_with_its_beginning_its_size_and_its_direction(judge) -> None:
    report = judge([TRUTH] * 5 + [_slower(TRUTH, 1.2)] * 5, seed=5)
    found = report.metrics["mean_s"]
    assert (report.verdict, found.pattern, found.direction) == ("drift", "drift", "above")
    assert found.since in (5, 6, 7)
    assert found.change.low > 0.1
    assert report.p_value == found.p_value == 0.01
    finding = next(item for item in report.findings if item.code == "live-drift")
    assert (finding.severity, finding.numbers["since_window"]) == ("critical", found.since)
    assert "mean residence time above" in finding.message
    assert "calibrate" in finding.remedy


def test_a_quicker_service_drifts_below(judge) -> None:
    report = judge([TRUTH] * 4 + [_slower(TRUTH, 0.75)] * 6, seed=6)
    assert report.metrics["mean_s"].direction == "below"
    assert report.metrics["mean_s"].change.high < 0


def test_what_was_slow_all_along_has_no_beginning_in_the_series(judge) -> None:
    report = judge([_slower(TRUTH, 1.25)] * len(DAY), seed=7)
    assert (report.verdict, report.metrics["p50_s"].since) == ("drift", 1)
    assert "capacity validate" in next(item for item in report.findings if item.code == "live-drift").remedy


@pytest.mark.parametrize("place", [3, len(DAY) - 1])
def test_one_bad_window_is_an_excursion_and_no_drift(judge, place: int) -> None:
    servers = [TRUTH] * len(DAY)
    servers[place] = _slower(TRUTH, 2.5)
    report = judge(servers, seed=8)
    assert report.verdict == "excursion"
    assert "p50_s" in report.windows[place].beyond
    finding = next(item for item in report.findings if item.code == "live-excursion")
    assert finding.numbers["at_windows"] == [place + 1]


def test_what_was_not_measured_is_not_judged(
    fit: CalibrationResult, runs: tuple[LiveRun, ...], draws: list[NDArray[np.float64]]
) -> None:
    """Only P95, and that in every other window, of a service that is far off."""
    live = []
    for place, run in enumerate(runs):
        metrics = {"p95_s": 2.0} if place % 2 else {"shed_rate": 0.0}
        live.append(replace(run, windows=(_window(place, DAY[place], metrics),)))
    report = judge_series(fit, live, draws, DriftOptions(), setting=LiveSetting(), seed=1)
    assert set(report.metrics) == {"p95_s", "shed_rate"}
    assert (report.metrics["p95_s"].windows, report.metrics["p95_s"].pattern) == (5, "drift")


def test_bounds_are_taken_where_they_agree_best_with_the_model(
    fit: CalibrationResult, runs: tuple[LiveRun, ...], draws: list[NDArray[np.float64]]
) -> None:
    live = [
        replace(run, windows=(replace(run.windows[0], metrics={"p95_s": (0.01, 10.0)}),)) for run in runs
    ]  # fmt: skip
    report = judge_series(fit, live, draws, DriftOptions(), setting=LiveSetting(), seed=1)
    assert (report.verdict, report.outside_share) == ("inside", 0.0)
    assert "known-in-bounds" in {item.code for item in report.findings}


def test_a_recording_is_cut_into_windows_that_know_of_each_other(fit: CalibrationResult) -> None:
    recording = record_model(TRUTH, [60], THINK, window_s=120.0, seed=11)
    report = check_drift(fit, recording, DriftOptions(window_s=20.0))
    assert (len(report.windows), report.verdict) == (6, "inside")
    slow = record_model(_slower(TRUTH, 1.2), [60], THINK, window_s=120.0, seed=11)
    assert check_drift(fit, slow, DriftOptions(window_s=20.0)).verdict == "drift"


def _as_imported(recording: Recording) -> Recording:
    """As from Prometheus: no single requests, no users, latencies with their intervals."""
    steps = tuple(replace(step, load_quantity=Quantity.IN_FLIGHT) for step in recording.steps)
    return replace(recording, steps=steps, requests=recording.requests.iloc[:0])


def test_live_traffic_without_single_requests_is_compared_by_its_rate_and_bounds(fit: CalibrationResult) -> None:
    day = [20, 40, 50, 40, 30]
    same, slow = (
        check_drift(fit, _as_imported(record_model(model, day, THINK, window_s=40.0, seed=12)))
        for model in (TRUTH, _slower(TRUTH, 1.3))
    )
    assert {window.observed.quantity for window in same.windows} == {Quantity.RPS}
    assert "goodput_rps" not in same.metrics
    assert (same.verdict, slow.verdict) == ("inside", "drift")
    assert "known-in-bounds" in {item.code for item in slow.findings}


def test_a_step_without_single_requests_is_not_cut(fit: CalibrationResult) -> None:
    recording = _as_imported(record_model(TRUTH, [20], THINK))
    with pytest.raises(InputError, match="cannot be cut"):
        check_drift(fit, recording, DriftOptions(window_s=5.0))


def test_open_arrivals_are_not_asked_for_their_goodput(fit: CalibrationResult) -> None:
    """The rate is what was measured, so it cannot be off."""
    windows = [
        ObservedWindow(100.0 * place, 20.0, 60.0, Quantity.RPS, {"goodput_rps": (60.0, 60.0), "p50_s": (0.05, 0.05)})
        for place in range(4)
    ]
    report = check_drift(fit, windows)
    assert set(report.metrics) == {"p50_s"}


def test_windows_of_which_nothing_can_be_compared_are_refused(fit: CalibrationResult) -> None:
    windows = [
        ObservedWindow(100.0 * place, 20.0, 60.0, Quantity.RPS, {"goodput_rps": (60.0, 60.0)}) for place in range(4)
    ]
    with pytest.raises(InputError, match="No measured value can be compared"):
        check_drift(fit, windows)


def test_a_window_in_which_nothing_finishes_is_not_left_out() -> None:
    recording: Recording = record_model(TRUTH, [50], THINK)
    step = recording.steps[0]
    quiet = (step.start_s + 0.25 * step.window_s, step.start_s + 0.55 * step.window_s)
    rows = recording.requests[~recording.requests["finish_s"].between(*quiet)]
    windows = windows_of_recording(Recording(recording.deployment, recording.steps, rows), step.window_s / 20)
    assert len(windows) == 20
    assert [window.metrics["goodput_rps"] for window in windows[6:10]] == [(0.0, 0.0)] * 4


def test_a_load_beyond_the_calibrated_one_is_said(fit: CalibrationResult) -> None:
    report = check_drift(fit, [_window(0, 150, {"shed_rate": 0.5})])
    assert {"beyond-calibrated-range", "few-windows"} <= {item.code for item in report.findings}


def test_the_windows_of_a_recording_have_the_metrics_of_its_steps() -> None:
    recording: Recording = record_model(TRUTH, [50], THINK)
    step, (window,) = recording.steps[0], windows_of_recording(recording)
    for name in LIVE_METRICS:
        assert window.metrics[name][0] == pytest.approx(step.metrics[name].mid, rel=1e-9), name
    halves = windows_of_recording(recording, 10.0)
    assert np.mean([item.metrics["goodput_rps"][0] for item in halves]) == pytest.approx(
        window.metrics["goodput_rps"][0]
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [({"false_alarms": 0.001}, "between 0.01"), ({"false_alarms": 0.9}, "and 0.5"), ({"level": 1.5}, "level")],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DriftOptions(**options)


def test_more_simulation_than_is_sensible_is_refused(fit: CalibrationResult) -> None:
    windows = [ObservedWindow(0.0, 86_400.0, 50_000.0, Quantity.RPS, {"p50_s": (0.1, 0.1)})]
    with pytest.raises(InputError, match="shorter windows"):
        check_drift(fit, windows)
