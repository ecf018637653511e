"""What a recording offers to a fit: a vector of statistics a step, with its joint sampling noise.

The same function makes the vector from measured and from simulated requests,
so that a difference is a difference of the systems, not of the definitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from loadtests.estimation.block_bootstrap import circular_weights, quantile_draws, ratio_draws, widening
from loadtests.estimation.step_metrics import WindowRows, blocks_of
from loadtests.foundation.distributions import EMPIRICAL_QUANTILES, Distribution, Empirical, parse_distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.seeds import generator
from loadtests.recording import LoadStep, Recording

Floats = NDArray[np.float64]

LATENCY_POINTS = (0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
STATISTICS = (
    "log_goodput",
    "shed_rate",
    "log_shed_latency",
    "log_mean",
    *(f"log_p{p * 100:.0f}" for p in LATENCY_POINTS),
)
FLOORS = np.array([0.003, 0.002, 0.20, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.015])
"""Agreement that is good enough, by statistic: the model is not asked to explain less than this."""

_WIDENING_LEVEL = 0.9
_FEWEST_SERVED = 50
_FEWEST_SHED = 30
_FEWEST_GAPS = 100
_MOST_FAILED = 0.01


@dataclass(frozen=True)
class Answers:
    """Answers inside a window, in any order: when they came, how long they took, whether they were served."""

    finish_s: Floats
    residence_s: Floats
    served: NDArray[np.bool_]


@dataclass(frozen=True)
class StepObservation:
    """One step as the fit sees it.

    Parameters
    ----------
    step, users : int
    think_time : Distribution
        Measured gaps where users are known, else the nominal think time.
    window_s : float
    values : array, shape (len(STATISTICS),)
        Measured statistics; NaN where there is too little to tell.
    resamples : array, shape (resamples, len(STATISTICS))
        Block-bootstrap draws of the same vector: its joint sampling noise.
    """

    step: int
    users: int
    think_time: Distribution
    window_s: float
    values: Floats
    resamples: Floats

    @property
    def standard_errors(self) -> Floats:
        """Sampling noise of each statistic, never below `FLOORS`; NaN where it is not used."""
        known = np.isfinite(self.resamples)
        moves = np.where(known, self.resamples - self.values, 0.0)
        noise = np.sqrt(np.sum(moves**2, axis=0) / np.maximum(np.count_nonzero(known, axis=0), 1))
        return np.asarray(np.where(np.isfinite(self.values), np.hypot(noise, FLOORS), np.nan))


def statistics(answers: Answers, window_s: float) -> Floats:
    """The vector `STATISTICS`; NaN for what too few requests show."""
    good, count = int(np.count_nonzero(answers.served)), len(answers.served)
    result = np.full(len(STATISTICS), np.nan)
    if not count:
        return result
    result[1] = 1.0 - good / count
    if count - good >= _FEWEST_SHED:
        result[2] = math.log(max(float(np.median(answers.residence_s[~answers.served])), 1e-6))
    if good >= _FEWEST_SERVED:
        residence = np.maximum(answers.residence_s[answers.served], 1e-6)
        result[0] = math.log(good / window_s)
        result[3] = math.log(float(np.mean(residence)))
        result[4:] = np.log(np.quantile(residence, LATENCY_POINTS))
    return result


def observe(recording: Recording, seed: int) -> tuple[StepObservation, ...]:
    """One observation a step, in ascending order of users.

    Raises
    ------
    InputError
        When a step has fewer than 50 served requests, no think time can be told, or the recording
        knows its requests in groups only.
    """
    if recording.requests.empty:
        raise InputError(
            "The recording holds no single requests (latencies are known in groups only), and calibration needs them: "
            "record a load test with capacity record."
        )
    ordered = sorted(recording.steps, key=lambda item: (item.users, item.step))
    return tuple(_observe_step(recording, item, seed) for item in ordered)


def trust_findings(recording: Recording) -> tuple[Finding, ...]:
    """That the trust checks refused the recording, where they did."""
    trust = recording.manifest.get("trust") or {}
    if trust.get("verdict") != "refused":
        return ()
    why = "; ".join(item["message"] for item in trust["findings"] if item["severity"] == "critical")
    remedy = "Do not plan with this model. Remove the cause (capacity check says more) and record again."
    return (Finding("recording-refused", "critical", f"The trust checks refuse this recording: {why}", remedy),)


def failure_findings(recording: Recording) -> tuple[Finding, ...]:
    """Requests that were neither served nor shed, a few of which a calibration leaves out."""
    findings = []
    for step in recording.steps:
        failures = _failures(recording.requests_in(step)["outcome"])
        if failures:
            total = sum(failures.values())
            findings.append(
                Finding(
                    "failed-requests-left-out", "warning",
                    f"Step {step.step} ({step.users} users) has {total} failed requests ({_kinds(failures)}), "
                    "which the model does not explain.",
                    "Find out why they failed; the model knows only served and shed requests.",
                    {"step": step.step, "failures": failures},
                )
            )  # fmt: skip
    return tuple(findings)


def _failures(outcome: pd.Series) -> dict[str, int]:
    """Requests by outcome, without served and shed ones."""
    counts = outcome.value_counts()
    return {str(name): int(count) for name, count in counts.items() if name not in ("served", "shed")}


def _kinds(failures: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in failures.items())


def _refuse_failures(step: LoadStep, outcome: pd.Series) -> None:
    """Refuse a step whose failures would bias what is left: a timeout is a slow request that nobody saw the end of."""
    failures = _failures(outcome)
    share = sum(failures.values()) / max(len(outcome), 1)
    if share > _MOST_FAILED:
        raise InputError(
            f"In step {step.step} ({step.users} users) {share:.1%} of the requests failed ({_kinds(failures)}); a "
            f"calibration takes at most {_MOST_FAILED:.0%}, since it knows only served and shed (503) requests. "
            "Mend the cause and record again, or leave the step out (--steps)."
        )


def _observe_step(recording: Recording, step: LoadStep, seed: int) -> StepObservation:
    rows = recording.requests_in(step)
    finish = rows["finish_s"].to_numpy(dtype=float)
    _refuse_failures(step, rows["outcome"])
    outcome = rows["outcome"].to_numpy()
    counted = (outcome == "served") | (outcome == "shed")
    answers = Answers(
        finish[counted],
        (finish - rows["start_s"].to_numpy(dtype=float))[counted],
        (outcome == "served")[counted],
    )
    values = statistics(answers, step.window_s)
    if math.isnan(values[0]):
        raise InputError(
            f"Step {step.step} ({step.users} users) has {int(np.count_nonzero(answers.served))} served requests in its "
            f"steady window; calibration needs at least {_FEWEST_SERVED}. Record longer, or leave the step out."
        )
    return StepObservation(
        step.step, step.users, think_time_of(recording, step), step.window_s, values,
        _block_bootstrap(
            WindowRows.of(rows[counted], step.users, step.start_s, step.window_s), values, generator(seed, 1, step.step)
        ),
    )  # fmt: skip


def think_time_of(recording: Recording, step: LoadStep) -> Distribution:
    """Measured gaps between a user's requests; the nominal think time where users are not known."""
    measured = _measured_think_time(recording, (step,))
    if measured is not None:
        return measured
    if step.think:
        return parse_distribution(step.think)
    raise InputError(f"Step {step.step} states no think time and its users are not known: state think for the step.")


def pooled_think_time(recording: Recording) -> Distribution:
    """The think time over all steps, for predictions at other loads."""
    return _measured_think_time(recording, recording.steps) or think_time_of(recording, recording.steps[0])


def _measured_think_time(recording: Recording, steps: Sequence[LoadStep]) -> Distribution | None:
    """Distribution of the gaps by the Kaplan-Meier estimator, which gives open gaps their due; None without users."""
    if not (recording.requests["user_id"] >= 0).all():
        return None
    gaps = [recording.gaps(step) for step in steps]
    observed = np.concatenate([item.observed_s for item in gaps])
    if observed.size < _FEWEST_GAPS:
        return None
    censored = np.concatenate([item.censored_s for item in gaps])
    estimate = stats.ecdf(stats.CensoredData(uncensored=observed, right=censored)).cdf
    share = estimate.probabilities / estimate.probabilities[-1]
    at = np.linspace(0.0, 1.0, EMPIRICAL_QUANTILES)
    middle = share - np.diff(share, prepend=0.0) / 2
    return Empirical(tuple(np.interp(at, middle, estimate.quantiles).tolist()))


def _block_bootstrap(rows: WindowRows, values: Floats, rng: np.random.Generator) -> Floats:
    """Resample blocks of time as long as the recording's own intervals take them, so that correlation is kept.

    The spread is widened for the number of blocks as theirs is.
    """
    blocks, interval = blocks_of(rows), rows.interval
    weights = circular_weights(blocks.intervals, blocks.length, rng)
    served, residence = rows.served, rows.residence_s
    good = rows.per_interval(served)
    draws = np.full((len(weights), len(STATISTICS)), np.nan)
    with np.errstate(divide="ignore"):
        draws[:, 0] = np.log(weights @ good / rows.length_s)
        draws[:, 1] = 1.0 - ratio_draws(weights, good, rows.per_interval())
        if math.isfinite(values[2]):
            draws[:, 2] = np.log(quantile_draws(weights, residence[~served], interval[~served], [0.5])[:, 0])
        draws[:, 3] = np.log(ratio_draws(weights, rows.per_interval(served, residence), good))
        draws[:, 4:] = np.log(quantile_draws(weights, residence[served], interval[served], LATENCY_POINTS))
    draws[~np.isfinite(draws)] = np.nan
    centre = np.nanmean(np.where(np.isfinite(values), draws, 0.0), axis=0)
    return np.asarray(values + widening(blocks.number, _WIDENING_LEVEL) * (draws - centre))
