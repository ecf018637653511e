"""What a reader of a drift report must know: what has moved, what to do, and what the answer rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from loadtests.foundation.findings import Finding
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.calibration.drift_result import JudgedWindow, MetricDrift, change_text
from simulations.calibration.live_series import LiveRun, LiveSetting
from simulations.calibration.prediction_findings import prediction_findings
from simulations.calibration.result import CalibrationResult

_ENOUGH_WINDOWS = 3
_MOST_NAMED = 10
_WORDS = {
    "goodput_rps": "goodput", "shed_rate": "share of requests shed", "mean_s": "mean residence time",
    "p50_s": "P50", "p95_s": "P95", "p99_s": "P99",
}  # fmt: skip
_SLOWER = "Look for what changed then (a release, more data, neighbours on the machine, limits)"
_QUICKER = "The model is too cautious now"
_RECALIBRATE = (
    "record a load test of the service as it is, calibrate on it, and make plans anew; until then do not rely on this "
    "model's capacity."
)


def drift_findings(
    fit: CalibrationResult,
    runs: Sequence[LiveRun],
    judged: Sequence[JudgedWindow],
    metrics: Mapping[str, MetricDrift],
    setting: LiveSetting,
) -> tuple[Finding, ...]:
    """Every finding, what has moved first.

    Parameters
    ----------
    fit : CalibrationResult
    runs : sequence of LiveRun
    judged : sequence of JudgedWindow
    metrics : mapping of str to MetricDrift
    setting : LiveSetting

    Returns
    -------
    tuple of Finding
    """
    return (
        *_drifts(judged, metrics), *_excursions(judged, metrics), *_few_windows(judged), *_short_windows(fit, runs),
        *_bounds(judged), *_of_the_prediction(fit, runs, setting),
    )  # fmt: skip


def _drifts(judged: Sequence[JudgedWindow], metrics: Mapping[str, MetricDrift]) -> Iterator[Finding]:
    """One finding for all metrics that moved at the same time."""
    moved = [item for item in metrics.values() if item.pattern == "drift"]
    for since in sorted({item.since or 1 for item in moved}):
        together = [item for item in moved if item.since == since]
        told = ", ".join(f"{_WORDS[item.metric]} {item.direction} ({change_text(item)})" for item in together)
        yield Finding(
            "live-drift", "critical",
            f"{_since(judged, since)} the live service lies outside the model's prediction: {told}.",
            _remedy(together, since),
            {"since_window": since, "start_s": judged[since - 1].observed.start_s,
             "metrics": {item.metric: item.to_dict() for item in together}},
        )  # fmt: skip


def _since(judged: Sequence[JudgedWindow], since: int) -> str:
    if since == 1:
        return "From the first window on"
    return f"Since window {since} (which starts at {judged[since - 1].observed.starts})"


def _remedy(moved: Sequence[MetricDrift], since: int) -> str:
    if since == 1:
        return (
            "Nothing in the series shows when it began: either the service changed before, or the model never "
            f"described it under this traffic (capacity validate on a recording tells). Then {_RECALIBRATE}"
        )
    is_worse = any((item.direction == "above") != (item.metric == "goodput_rps") for item in moved)
    return f"{_SLOWER if is_worse else _QUICKER}; {_RECALIBRATE}"


def _excursions(judged: Sequence[JudgedWindow], metrics: Mapping[str, MetricDrift]) -> Iterator[Finding]:
    for name, item in metrics.items():
        numbers = [number for number, window in enumerate(judged, start=1) if name in window.beyond]
        if item.pattern == "excursion" and numbers:
            listed = ", ".join(map(str, numbers[:_MOST_NAMED])) + (" and others" if len(numbers) > _MOST_NAMED else "")
            yield Finding(
                "live-excursion", "warning",
                f"The {_WORDS[name]} lies {item.direction} what the model shows in window {listed} (the first starts "
                f"at {judged[numbers[0] - 1].observed.starts}), and not in the windows as a whole.",
                "Look for what happened then (a pause, a deployment, a burst); the model need not be calibrated anew "
                "for it.",
                {"metric": name, "at_windows": numbers, "p_value": item.p_value},
            )  # fmt: skip


def _few_windows(judged: Sequence[JudgedWindow]) -> Iterator[Finding]:
    if len(judged) < _ENOUGH_WINDOWS:
        yield Finding(
            "few-windows", "info",
            f"With {len(judged)} window(s) a lasting change cannot be told from a single bad window.",
            "Give at least three windows: cut the steps (--window), or measure longer.", {"windows": len(judged)},
        )  # fmt: skip


def _short_windows(fit: CalibrationResult, runs: Sequence[LiveRun]) -> Iterator[Finding]:
    """Windows that are simulated apart although the one before may still show in them."""
    apart = [run for before, run in pairwise(runs) if _is_soon_after(before, run)]
    slowest_s = max((warm_up_time_s(fit.model, run.workload) for run in apart), default=0.0)
    shortest_s = min((run.length_s for run in apart), default=0.0)
    if shortest_s < slowest_s:
        yield Finding(
            "windows-depend", "warning",
            f"Windows of {shortest_s:.4g} s follow each other under loads that differ, and the model needs "
            f"{slowest_s:.4g} s to settle at one: a line that is left over from the window before is not simulated.",
            f"Measure in windows of at least {slowest_s:.4g} s.",
            {"shortest_s": shortest_s, "settling_s": slowest_s},
        )  # fmt: skip


def _is_soon_after(before: LiveRun, run: LiveRun) -> bool:
    return run.windows[0].start_s - before.windows[-1].end_s < run.windows[0].window_s


def _bounds(judged: Sequence[JudgedWindow]) -> Iterator[Finding]:
    names = {
        name for window in judged for name, value in window.values.items() if value.measured[0] < value.measured[1]
    }
    if names:
        yield Finding(
            "known-in-bounds", "info",
            f"{', '.join(sorted(names))} are known within bounds only (groups of requests, histogram buckets): a drift "
            "inside these bounds is not seen.",
            "Record single requests, or give the histogram finer buckets.", {"metrics": sorted(names)},
        )  # fmt: skip


def _of_the_prediction(fit: CalibrationResult, runs: Sequence[LiveRun], setting: LiveSetting) -> Iterator[Finding]:
    """Those of a prediction at the heaviest load, and critical ones of the calibration."""
    heaviest: SteadyWorkload = max((run.workload for run in runs), key=lambda item: offered_rate_rps(fit.model, item))
    yield from prediction_findings(fit, fit.model, heaviest, setting.fleet, changed=tuple(_changed(fit, setting)))
    yield from (item for item in fit.findings if item.severity == "critical")


def _changed(fit: CalibrationResult, setting: LiveSetting) -> list[str]:
    """Limits that the live service states otherwise than the calibrated model has them."""
    own = fit.model.deployment.to_dict()
    return [name for name, value in setting.stated.items() if own.get(name) != value]
