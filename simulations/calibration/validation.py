"""`validate_model`: predictions at steps that the calibration has not seen, against what was measured there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from loadtests.recording import STEP_METRICS, LoadStep, Recording
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.run_length import offered_rate_rps
from simulations.calibration.baselines import BaselineLoad, baseline_predictions
from simulations.calibration.binned_steps import class_shares_of_bins
from simulations.calibration.load_prediction import LoadPrediction, predict_load
from simulations.calibration.observations import trust_findings, workload_of
from simulations.calibration.result import CalibrationResult
from simulations.model.fleet import Fleet
from simulations.model.workload import ClosedWorkload

if TYPE_CHECKING:
    import pandas as pd

Region = Literal["below", "knee", "beyond"]
Verdict = Literal["pass", "fail", "refused"]

LIMITS = {"goodput_rps": 0.015, "mean_s": 0.03, "p95_s": 0.05, "p99_s": 0.08, "shed_rate": 0.005}
"""Median error at unseen steps that a good model keeps: relative, and absolute for the shed rate."""
CPU_BOUND_P95 = 0.15
"""Instead of the P95's limit where requests share cores: what else runs on a machine takes part in that."""
STEPS_FOR_MEDIANS = 3
"""From so many held-out steps on, medians are judged by their stricter limits too."""
STEPS_FOR_COVERAGE, LEAST_COVERAGE = 2, 0.5
"""From two steps on, at least half of the measured values must lie in their 90 % prediction intervals. (The metrics
of a step move together, so one step far off is no proof.)"""
SINGLE_STEP_FACTOR = 2.5
"""Nine in ten single errors stay within this many times the median's limit."""
NOISE_FACTOR = 1.5
"""A step is not asked to be closer than this many times its own sampling noise."""
KNEE = (0.85, 1.1)
"""Load over saturation load within which a step counts as at the knee."""


@dataclass(frozen=True)
class MetricComparison:
    """One metric at one step.

    Parameters
    ----------
    measured_interval : Interval
        What the step showed, with its sampling noise.
    predicted : Interval
        Prediction interval for a measurement of the step's own length.
    limit : float
        The error allowed here, relative (absolute for the shed rate); NaN where the metric is not judged.
    """

    name: str
    measured_interval: Interval
    predicted: Interval
    limit: float

    @property
    def measured(self) -> float:
        """The measured value."""
        return self.measured_interval.mid

    @property
    def absolute_error(self) -> float:
        """Predicted minus measured."""
        return self.predicted.mid - self.measured

    @property
    def relative_error(self) -> float:
        """Relative to the measured value; NaN where that is 0 and for the shed rate."""
        if self.name == "shed_rate" or self.measured == 0:
            return math.nan
        return self.absolute_error / self.measured

    @property
    def judged_error(self) -> float:
        """The size of the error that the limit is about."""
        return abs(self.absolute_error if self.name == "shed_rate" else self.relative_error)

    @property
    def noise(self) -> float:
        """Half-width of the measured interval: relative, absolute for the shed rate; NaN where it is not known."""
        return _noise(self.name, self.measured_interval)

    @property
    def is_judged(self) -> bool:
        """Whether the verdict is about this metric."""
        return self.name in LIMITS

    @property
    def is_measured(self) -> bool:
        """False where the step shows nothing to compare with (nothing was served)."""
        return math.isfinite(self.measured) and not math.isnan(self.judged_error)

    @property
    def passes(self) -> bool:
        """Within the limit, or not judged."""
        return not self.is_judged or (self.is_measured and self.judged_error <= self.limit)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "measured": self.measured, "predicted": self.predicted.to_dict(), "relative_error": self.relative_error,
            "absolute_error": self.absolute_error, "limit": self.limit, "passes": self.passes,
        }  # fmt: skip


@dataclass(frozen=True)
class StepValidation:
    """One held-out step."""

    step: int
    users: int
    region: Region
    inside_calibrated_range: bool
    comparisons: dict[str, MetricComparison]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "step": self.step, "users": self.users, "region": self.region,
            "inside_calibrated_range": self.inside_calibrated_range,
            "metrics": {name: item.to_dict() for name, item in self.comparisons.items()},
        }  # fmt: skip


@dataclass(frozen=True, repr=False)
class ValidationReport:
    """Predictions against measurements, beside trivial baselines, with a verdict.

    Parameters
    ----------
    steps : tuple of StepValidation
    median_errors : dict of str to float
        Median size of the error by metric (relative; absolute for the shed rate).
    baselines : dict of str to dict of str to float
        The same for each baseline; NaN where a baseline says nothing.
    interval_coverage : float
        Share of measured values inside their prediction intervals.
    verdict : {"pass", "fail", "refused"}
        `refused`: a step shows nothing to compare with, the calibration itself has a critical finding, or the trust
        checks refuse the held-out recording.
    seed : int
    limits : dict of str to float
        Of the medians.
    findings : tuple of Finding
        Warnings and worse of the calibration, and that the trust checks refuse the held-out recording.
    """

    steps: tuple[StepValidation, ...]
    median_errors: dict[str, float]
    baselines: dict[str, dict[str, float]]
    interval_coverage: float
    verdict: Verdict
    seed: int
    limits: dict[str, float] = field(default_factory=lambda: dict(LIMITS))
    findings: tuple[Finding, ...] = ()

    def medians_by_range(self) -> dict[str, dict[str, float]]:
        """Median errors of the steps ``inside`` the calibrated loads and ``outside`` of them, where there are any."""
        parts = {
            name: [item for item in self.steps if item.inside_calibrated_range == inside]
            for name, inside in (("inside", True), ("outside", False))
        }
        return {
            name: {
                metric: _median([item.comparisons[metric].judged_error for item in steps if metric in item.comparisons])
                for metric in LIMITS
            }
            for name, steps in parts.items() if steps
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "schema_version": SCHEMA_VERSION, "steps": [item.to_dict() for item in self.steps],
            "median_relative_error": self.median_errors, "median_error_by_range": self.medians_by_range(),
            "baselines": self.baselines,
            "interval_coverage": self.interval_coverage, "verdict": self.verdict,
            "limits": {**self.limits, "single_step_factor": SINGLE_STEP_FACTOR, "noise_factor": NOISE_FACTOR},
            "findings": [item.to_dict() for item in self.findings],
            "seed": self.seed, "versions": versions_of("numpy", "numba", "scipy"),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a step and metric: measured, predicted low/mid/high, errors, limit, passes.

        `inside_calibrated_range` tells interpolation from extrapolation.
        """
        import pandas as pd

        rows = [
            {"step": item.step, "users": item.users, "region": item.region,
             "inside_calibrated_range": item.inside_calibrated_range, "metric": name, "measured": c.measured,
             "low": c.predicted.low, "mid": c.predicted.mid, "high": c.predicted.high,
             "relative_error": c.relative_error, "absolute_error": c.absolute_error, "limit": c.limit,
             "passes": c.passes}
            for item in self.steps for name, c in item.comparisons.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        for item in self.steps:
            errors = ", ".join(f"{name} {item.comparisons[name].judged_error:.1%}" for name in LIMITS)
            where = "between calibrated loads" if item.inside_calibrated_range else "outside the calibrated loads"
            lines.append(f"  step {item.step} ({item.users} users, {item.region}, {where}): errors {errors}")
        for name, medians in self.medians_by_range().items():
            said = ", ".join(f"{metric} {value:.1%}" for metric, value in medians.items() if not math.isnan(value))
            lines.append(f"  median {name} the calibrated loads: {said}")
        for name, errors_of in self.baselines.items():
            said = ", ".join(f"{metric} {value:.1%}" for metric, value in errors_of.items() if not math.isnan(value))
            lines.append(f"  baseline {name}: {said}")
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"ValidationReport({self.verdict}, {len(self.steps)} steps, interval coverage {self.interval_coverage:.0%})"
        )

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}"))


def validate_model(
    fit: CalibrationResult, held_out: Recording, *, fleet: Fleet | None = None, seed: int = 2, level: float = 0.9
) -> ValidationReport:
    """Predict each step of `held_out` and compare with what was measured.

    Parameters
    ----------
    fit : CalibrationResult
    held_out : Recording
        Steps that the calibration has not seen (`recording.only([...])`). Its own limits, think times and mix count
        where they differ from the calibrated ones: then the question is whether the model transfers.
    fleet : Fleet, optional
        Instances behind a balancer that `held_out` was measured on. Default: one.
    seed : int, default 2
    level : float, default 0.9
        Of the prediction intervals.

    Raises
    ------
    InputError
        When there is no step, or a step was part of the calibration.
    """
    if not held_out.steps:
        raise InputError("There is no step to validate on; keep at least one step out of the calibration.")
    unseen = unseen_steps(fit, held_out)
    seen = [step.step for step in held_out.steps if step.step not in unseen]
    if seen:
        raise InputError(f"Steps {seen} were part of the calibration; validate on steps that it has not seen.")
    steps = tuple(_validate_step(fit, held_out, step, _Run(fleet or Fleet(), seed, level)) for step in held_out.steps)
    compared = [c for item in steps for c in item.comparisons.values()]
    inside = [c.predicted.contains(c.measured) for c in compared if c.predicted.is_known and math.isfinite(c.measured)]
    coverage = float(np.mean(inside)) if inside else math.nan
    doubts = (*(item for item in fit.findings if item.severity != "info"), *_refused_by_trust(held_out))
    is_refused = any(item.severity == "critical" for item in doubts)
    return ValidationReport(
        steps=steps,
        median_errors={name: _median([item.comparisons[name].judged_error for item in steps]) for name in LIMITS},
        baselines=_baseline_errors(fit, held_out, (fleet or Fleet()).instances),
        interval_coverage=coverage,
        verdict="refused" if is_refused else _verdict(steps, coverage, limits_for(fit)),
        seed=seed,
        limits=limits_for(fit),
        findings=doubts,
    )


def _refused_by_trust(held_out: Recording) -> Iterator[Finding]:
    for item in trust_findings(held_out):
        checks = item.numbers["checks"]
        yield Finding(
            "held-out-refused", "critical",
            f"The trust checks refuse the held-out recording ({', '.join(checks)}), so it validates nothing.",
            "Remove the cause (capacity check says more) and record these steps again.", {"checks": checks},
        )  # fmt: skip


def _verdict(steps: tuple[StepValidation, ...], coverage: float, limits: dict[str, float]) -> Verdict:
    """Single steps always; medians and interval coverage where there are enough steps to judge them."""
    judged = [c for item in steps for c in item.comparisons.values() if c.is_judged]
    if not all(c.is_measured for c in judged):
        return "refused"
    good = all(c.passes for c in judged)
    if len(steps) >= STEPS_FOR_COVERAGE:
        good = good and coverage >= LEAST_COVERAGE
    if len(steps) >= STEPS_FOR_MEDIANS:
        good = good and all(_median_passes(limits, name, [item.comparisons[name] for item in steps]) for name in limits)
    return "pass" if good else "fail"


def _median_passes(limits: dict[str, float], name: str, comparisons: list[MetricComparison]) -> bool:
    """The stricter limit of the median, not below the steps' own noise."""
    noise = _median([NOISE_FACTOR * _noise(name, c.measured_interval) for c in comparisons])
    return _median([c.judged_error for c in comparisons]) <= max(limits[name], 0.0 if math.isnan(noise) else noise)


def unseen_steps(fit: CalibrationResult, recording: Recording) -> list[int]:
    """Numbers of the steps that were not part of the calibration."""
    calibrated = {(step.step, step.users, step.start_s, step.requests) for step in fit.steps}
    return [
        step.step for step in recording.steps if (step.step, step.users, step.start_s, step.requests) not in calibrated
    ]


@dataclass(frozen=True)
class _Run:
    """How each step is predicted."""

    fleet: Fleet
    seed: int
    level: float


def _validate_step(fit: CalibrationResult, held_out: Recording, step: LoadStep, run: _Run) -> StepValidation:
    """Under the load, the limits and the mix of the held-out recording, which may differ from the calibrated ones."""
    workload = workload_of(held_out, step)
    predicted = predict_load(
        fit, workload, step.window_s, deployment=held_out.deployment, mix=mix_of_step(fit, held_out, step),
        fleet=run.fleet, seed=run.seed, level=run.level,
    )  # fmt: skip
    limits = limits_for(fit)
    comparisons = {
        name: MetricComparison(name, step.metrics[name], predicted.metrics[name], _limit(limits, name, step))
        for name in STEP_METRICS
    }
    region = _region(fit, workload, predicted)
    return StepValidation(step.step, step.users, region, _is_inside(fit, workload, run.fleet), comparisons)


def _is_inside(fit: CalibrationResult, workload: SteadyWorkload, fleet: Fleet) -> bool:
    """Whether an instance's load lies between the calibrated ones: in users, or in requests per second that were seen.

    Users who think for another time count as those who would offer as much with the calibrated one.
    """
    valid = fit.valid_range
    if isinstance(workload, ClosedWorkload):
        low, high = fit.users_range
        scale = fit.heaviest_users(workload.think_time) / fit.heaviest_users()
        return low * scale <= workload.users / fleet.instances <= high * scale
    return valid.lowest_rps <= workload.arrival_rate_rps / fleet.instances <= valid.highest_rps


def mix_of_step(fit: CalibrationResult, held_out: Recording, step: LoadStep) -> dict[str, float] | None:
    """Shares of the calibrated classes in a step; None where there is one class, or endpoints are not known.

    Parameters
    ----------
    fit : CalibrationResult
    held_out : Recording
    step : LoadStep

    Returns
    -------
    dict of str to float or None

    Raises
    ------
    InputError
        When a request belongs to no calibrated class.
    """
    names = fit.form.mix.names
    rows = held_out.requests_in(step)
    if not names:
        return None
    if rows.empty:
        return class_shares_of_bins(held_out, step, names)
    endpoints = rows["endpoint"].where(rows["endpoint"].isin(names), "other")
    shares = endpoints.value_counts(normalize=True)
    unknown = [str(name) for name in shares.index if name not in names]
    if unknown:
        raise InputError(
            f"Step {step.step} has requests of a class that was not calibrated; calibrated are {', '.join(names)}. "
            "Calibrate on a recording that has them all."
        )
    return {str(name): float(share) for name, share in shares.items()}


def limits_for(fit: CalibrationResult) -> dict[str, float]:
    """`LIMITS`, with the wider line of CPU-bound servers for the P95 where requests share cores.

    Parameters
    ----------
    fit : CalibrationResult

    Returns
    -------
    dict of str to float
    """
    return {**LIMITS, "p95_s": CPU_BOUND_P95} if fit.form.stage == "cores" else dict(LIMITS)


def _limit(limits: dict[str, float], name: str, step: LoadStep) -> float:
    """The single-step limit, not below what the measurement's own noise allows; NaN for metrics without a limit."""
    if name not in limits:
        return math.nan
    noise = _noise(name, step.metrics[name])
    return max(SINGLE_STEP_FACTOR * limits[name], 0.0 if math.isnan(noise) else NOISE_FACTOR * noise)


def _noise(name: str, measured: Interval) -> float:
    """Half-width of the measured interval: relative, absolute for the shed rate; NaN where it is not known."""
    half_width = (measured.high - measured.low) / 2
    if name == "shed_rate":
        return half_width
    return half_width / measured.mid if measured.mid else math.nan


def _region(fit: CalibrationResult, workload: SteadyWorkload, predicted: LoadPrediction) -> Region:
    """Place on the way to saturation: what would come if nothing had to wait, over what can be served."""
    model = fit.model.with_deployment(predicted.deployment)
    load = offered_rate_rps(model, workload) / (predicted.fleet.instances * model.saturation_rps)
    return "below" if load < KNEE[0] else "knee" if load <= KNEE[1] else "beyond"


def _baseline_errors(fit: CalibrationResult, held_out: Recording, instances: int) -> dict[str, dict[str, float]]:
    steps = held_out.steps
    loads = [BaselineLoad.of(fit, workload_of(held_out, step), held_out.deployment, instances) for step in steps]
    predictions = [baseline_predictions(fit, load) for load in loads]

    def median_error(name: str, metric: str) -> float:
        said = [prediction[name].get(metric, math.nan) for prediction in predictions]
        return _median([_error(metric, value, step) for value, step in zip(said, steps, strict=True)])

    return {
        name: {metric: median_error(name, metric) for metric in LIMITS}
        for name in (predictions[0] if predictions else ())
    }


def _error(metric: str, predicted: float, step: LoadStep) -> float:
    measured = step.metrics[metric].mid
    if metric == "shed_rate":
        return abs(predicted - measured)
    return abs(predicted / measured - 1.0) if measured else math.nan


def _median(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
