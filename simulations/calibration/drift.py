"""`check_drift`: whether a live service is still the one that the model describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import finite
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.live.windows import LIVE_METRICS, ObservedWindow
from loadtests.recording import Recording
from simulations.analysis.replications import checked_level
from simulations.calibration.drift_findings import drift_findings
from simulations.calibration.drift_result import (
    Direction,
    DriftReport,
    DriftVerdict,
    JudgedValue,
    JudgedWindow,
    MetricDrift,
    Pattern,
    ordered,
)
from simulations.calibration.drift_test import SHARES, Ranks, Series, change_since, lasting_since, rank_series
from simulations.calibration.live_series import (
    DRAWS,
    LiveRun,
    LiveSetting,
    Progress,
    runs_of_recording,
    runs_of_windows,
    simulated_series,
)
from simulations.calibration.result import CalibrationResult

Floats = NDArray[np.float64]

_GIVEN_BY_AN_OPEN_LOAD = ("goodput_rps",)
_LEAST_FALSE_ALARMS, _MOST_FALSE_ALARMS = 1 / (DRAWS + 1), 0.5


@dataclass(frozen=True)
class DriftOptions:
    """How a live series is compared.

    Parameters
    ----------
    window_s : float, optional
        Of a recording: cut its steps into windows of about this length. Default: a step is a window.
    think : Distribution, optional
        Of windows with users: their think time. Default: the calibrated one. A recording brings its own.
    false_alarms : float, default 0.05
        Probability of a false alarm over the whole series, 0.01 to 0.5.
    level : float, default 0.9
        Of the prediction intervals of single windows.

    Raises
    ------
    InputError
        For a probability or a level out of range.
    """

    window_s: float | None = None
    think: Distribution | None = None
    false_alarms: float = 0.05
    level: float = 0.9

    def __post_init__(self) -> None:
        checked_level(self.level)
        if not _LEAST_FALSE_ALARMS <= finite("false_alarms", self.false_alarms) <= _MOST_FALSE_ALARMS:
            raise InputError(
                f"false_alarms is {self.false_alarms!r}; it must lie between {_LEAST_FALSE_ALARMS:g} (the series is "
                f"ranked among {DRAWS} simulated ones) and {_MOST_FALSE_ALARMS:g}."
            )


def check_drift(
    fit: CalibrationResult,
    live: Recording | Sequence[ObservedWindow],
    options: DriftOptions | None = None,
    *,
    setting: LiveSetting | None = None,
    seed: int = 4,
    on_progress: Progress | None = None,
) -> DriftReport:
    """Say whether live measurements still lie where the model predicts them, metric by metric and over all.

    The series is ranked among simulated ones twice: with one speed of the server for the whole series, and with
    another in each run, since nobody knows how the stated run-to-run part of 1 % is spread over live traffic. The
    larger of the two p-values counts (`simulations.calibration.drift_test` has the test and its sources).

    Parameters
    ----------
    fit : CalibrationResult
    live : Recording or sequence of ObservedWindow
        A recording brings its own think times, mix and limits.
    options : DriftOptions, optional
    setting : LiveSetting, optional
        Deployment and fleet of the live service. Default: one instance as calibrated, under the recording's limits.
    seed : int, default 4
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    DriftReport

    Raises
    ------
    InputError
        Without windows, for options out of range, and more simulation than is sensible.
    """
    asked = options or DriftOptions()
    if isinstance(live, Recording):
        runs = runs_of_recording(fit, live, asked.window_s)
        setting = setting or LiveSetting(live.deployment)
    else:
        runs = runs_of_windows(fit, live, asked.think)
        setting = setting or LiveSetting()
    report = on_progress or _say_nothing
    draws = [
        simulated_series(
            fit, runs, setting, is_one_speed=is_one_speed, seed=seed,
            on_progress=_half_of(report, place),
        )
        for place, is_one_speed in enumerate((True, False))
    ]  # fmt: skip
    return judge_series(fit, runs, draws, asked, setting=setting, seed=seed)


def judge_series(
    fit: CalibrationResult,
    runs: Sequence[LiveRun],
    draws: Sequence[Floats],
    options: DriftOptions,
    *,
    setting: LiveSetting,
    seed: int,
) -> DriftReport:
    """As `check_drift`, for series that are already simulated.

    Parameters
    ----------
    fit : CalibrationResult
    runs : sequence of LiveRun
    draws : sequence of array
        Of `simulated_series`: with one speed, and with several.
    options : DriftOptions
    setting : LiveSetting
    seed : int

    Returns
    -------
    DriftReport
    """
    windows = [window for run in runs for window in run.windows]
    is_open = any(window.quantity is Quantity.RPS for window in windows)
    left_out = _GIVEN_BY_AN_OPEN_LOAD if is_open else ()
    series = [Series.of(windows, part, left_out) for part in draws]
    ranks = [rank_series(part, options.false_alarms) for part in series]
    judged = _judged_windows(windows, np.concatenate(draws), ranks, series[0], options.level)
    metrics = _metric_drifts(series[0].joined(series[1]), ranks, judged, options)
    if not metrics:
        raise InputError(
            "No measured value can be compared: under an open load the goodput is given by the load. Give the shed "
            "rate, or latencies (mean_s, p50_s, p95_s, p99_s)."
        )
    p_value = max(item.p_value for item in ranks)
    verdict = _verdict(metrics)
    findings = drift_findings(fit, runs, judged, metrics, setting)
    return DriftReport(judged, metrics, p_value, options.false_alarms, verdict, findings, options.level, seed)


def _half_of(report: Progress, place: int) -> Progress:
    def show(share: float, text: str) -> None:
        report((place + share) / 2, text)

    return show


def _say_nothing(share: float, what: str) -> None:
    del share, what


def _judged_windows(
    windows: Sequence[ObservedWindow], draws: Floats, ranks: Sequence[Ranks], series: Series, level: float
) -> tuple[JudgedWindow, ...]:
    is_beyond = np.all([item.is_beyond for item in ranks], axis=0)
    judged = []
    for row, window in enumerate(windows):
        values = {}
        for name in ordered(list(window.metrics)):
            place = LIVE_METRICS.index(name)
            if math.isfinite(series.low[row, place]):
                predicted = Interval.from_draws(draws[:, row, place], level=level, kind="prediction")
                values[name] = JudgedValue(window.metrics[name], predicted, bool(is_beyond[row, place]))
        judged.append(JudgedWindow(window, values))
    return tuple(judged)


def _metric_drifts(
    series: Series, ranks: Sequence[Ranks], judged: Sequence[JudgedWindow], options: DriftOptions
) -> dict[str, MetricDrift]:
    found = {}
    for place, name in enumerate(LIVE_METRICS):
        inside = [window.values[name].is_inside for window in judged if name in window.values]
        if not inside:
            continue
        p_value, lasting_p = (max(float(part[place]) for part in parts) for parts in (
            [item.metric_p for item in ranks], [item.lasting_p for item in ranks],
        ))  # fmt: skip
        outside_share = 1.0 - sum(inside) / len(inside)
        told: dict[str, Any] = {"pattern": "none", "direction": None, "since": None, "change": None}
        if lasting_p <= options.false_alarms:
            told = _drift(series, place, name, options)
        elif p_value <= options.false_alarms:
            told |= {"pattern": "excursion", "direction": _furthest(series, place)}
        found[name] = MetricDrift(name, p_value, outside_share=outside_share, windows=len(inside), **told)
    return found


def _drift(series: Series, place: int, name: str, options: DriftOptions) -> dict[str, Any]:
    since = lasting_since(series, place, options.false_alarms)
    moved = change_since(series, place, since)
    change = Interval.from_draws(
        moved if name in SHARES else np.expm1(moved), level=options.level, kind="prediction"
    )  # fmt: skip
    pattern: Pattern = "drift"
    direction: Direction = "above" if change.mid > 0 else "below"
    return {"pattern": pattern, "direction": direction, "since": since + 1, "change": change}


def _furthest(series: Series, place: int) -> Direction:
    """On which side the window lies that is farthest off."""
    moved = series.nearest[:, place] - series.simulated[:, :, place].mean(axis=0)
    return "above" if moved[np.nanargmax(np.abs(moved))] > 0 else "below"


def _verdict(metrics: dict[str, MetricDrift]) -> DriftVerdict:
    patterns = {item.pattern for item in metrics.values()}
    return "drift" if "drift" in patterns else "excursion" if "excursion" in patterns else "inside"
