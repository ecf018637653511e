"""`calibrate`: find the times, and the limits nobody stated, under which the model shows what was measured.

All steps are fitted jointly by weighted least squares on the statistics of
`observations`. Each evaluation simulates every step with the compiled engine
and common random numbers, so the objective is smooth in the times. Limits that
are whole numbers (workers, gate) are found by a search around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.recording import Recording
from simulations.calibration.limit_search import (
    birge_factor,
    is_open,
    limit_report,
    open_what_does_not_show,
    search_limit,
    with_guessed_limits,
)
from simulations.calibration.observations import (
    FLOORS,
    STATISTICS,
    StepObservation,
    failure_findings,
    observe,
    pooled_think_time,
    trust_findings,
)
from simulations.calibration.problem import LOG_BOUNDS, PARAMETERS, SIMULATED_WINDOWS, Fit, Problem
from simulations.calibration.result import FAMILIES, CalibrationResult, FamilyScore, ParameterDraws

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]


_DRAWS = 200
_WIDEST = 1.0
"""An interval wider than this share of its value is not an identification."""
_STEP_OF_DRAWS = 0.03


def calibrate(
    recording: Recording, *, seed: int = 1, level: float = 0.9, on_progress: Progress | None = None
) -> CalibrationResult:
    """Fit a model to all steps of a recording at once.

    Parameters
    ----------
    recording : Recording
        At least two load levels. Limits that its deployment states are taken as known;
        workers and gate are estimated when they are not stated.
    seed : int, default 1
        Of the simulations and the bootstrap.
    level : float, default 0.9
        Of the parameter intervals.
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    CalibrationResult
        With `.model`, `.parameters` (intervals), `.identified`, `.findings`.

    Raises
    ------
    InputError
        With which data to collect, when the recording cannot carry a fit.
    """
    if len({step.users for step in recording.steps}) < 2:
        raise InputError(
            f"The recording has {len(recording.steps)} step(s) at one load level; calibration needs at least "
            "two, one of them light (no waiting) and one near saturation."
        )
    report = on_progress or _say_nothing
    report(0.0, "reading the recording")
    problem = Problem(observe(recording, seed), seed)
    fits = []
    for done, family in enumerate(FAMILIES):
        report(0.05 + 0.7 * done / len(FAMILIES), f"fitting {family} service times")
        times = _fit_times(problem, recording.deployment, family)
        fits.append(_fit_limits(problem, times, recording.deployment))
    best = min(fits, key=lambda fit: fit.chi_square)
    best, unseen = open_what_does_not_show(problem, best, recording.deployment)
    report(0.8, "intervals")
    searched = [name for name in ("workers", "gate_limit") if is_open(recording.deployment, name)]
    freedom = problem.degrees_of_freedom - len(searched)
    scores = tuple(FamilyScore(fit.family, fit.chi_square, freedom) for fit in fits)
    draws = _parameter_draws(problem, best, seed)
    return _result(_Found(recording, problem, best, draws, scores, unseen), seed, level)


def _say_nothing(share: float, what: str) -> None:
    del share, what


def _fit_times(problem: Problem, stated: Deployment, family: str) -> Fit:
    """Fit one family under the stated limits, guessed where nobody stated them."""
    start = _first_guess(problem.observations)
    return problem.fit(with_guessed_limits(stated, problem.observations, start), family, start, evaluations=30)


def _fit_limits(problem: Problem, best: Fit, stated: Deployment) -> Fit:
    """Search gate and workers where they are not stated; each shifts the other, so twice where both are open."""
    open_limits = [name for name in ("gate_limit", "workers") if is_open(stated, name)]
    for name in open_limits * 2 if len(open_limits) > 1 else open_limits:
        best = search_limit(problem, best, name)
    return best


def _first_guess(observations: tuple[StepObservation, ...]) -> Floats:
    """Lightest step: nearly all of the mean is service; a twentieth, or the rejection latency, is network."""
    lightest = observations[0].values
    mean_s = math.exp(lightest[3])
    rejected = [item.values[2] for item in observations if np.isfinite(item.values[2])]
    round_trip_s = min(math.exp(min(rejected)) if rejected else 0.05 * mean_s, 0.3 * mean_s)
    spread = max(math.exp(lightest[8] - lightest[5]), 1.01)  # p95 / p50
    sigma = math.log(spread) / 1.645
    cv = float(np.clip(math.sqrt(math.expm1(sigma**2)), 0.05, 3.0))
    return np.log([mean_s - round_trip_s, cv, round_trip_s])


def _parameter_draws(problem: Problem, best: Fit, seed: int) -> ParameterDraws:
    """Joint draws of the times by the linearised fit: each bootstrap resample of the data moves the estimate.

    theta* = theta + (J'J)^-1 J' (s* - s) / error, scaled by the square root of
    chi-square / degrees of freedom where that exceeds 1 (Birge ratio), so that a
    poor fit is not presented as a sure one.
    """
    gain = np.linalg.pinv(problem.central_jacobian(best, _STEP_OF_DRAWS))
    birge = math.sqrt(birge_factor(problem, best))
    rng = generator(seed, 3)
    moves = np.hstack([item.resamples - item.values for item in problem.observations])[:, problem.used]
    moves = np.where(np.isfinite(moves), moves, 0.0)
    shuffled = _combine_steps(moves, problem, rng)
    simulated = shuffled * math.sqrt(1 + 1 / SIMULATED_WINDOWS)
    floors = np.tile(FLOORS, len(problem.observations))[problem.used] * rng.standard_normal(simulated.shape)
    standard = (simulated + floors) / problem.errors[problem.used]
    theta = best.theta + birge * standard @ gain.T
    return ParameterDraws(PARAMETERS, np.exp(np.clip(theta, *LOG_BOUNDS)))


def _combine_steps(moves: Floats, problem: Problem, rng: np.random.Generator) -> Floats:
    """Steps are independent runs: shuffle each step's resamples apart, keep them joint inside a step."""
    width = len(STATISTICS)
    owner = np.repeat(np.arange(len(problem.observations)), width)[problem.used]
    rows = rng.integers(0, len(moves), size=(_DRAWS, len(problem.observations)))
    return np.asarray(moves[rows[:, owner], np.arange(moves.shape[1])])


@dataclass(frozen=True)
class _Found:
    """What the search ended with."""

    recording: Recording
    problem: Problem
    best: Fit
    draws: ParameterDraws
    scores: tuple[FamilyScore, ...]
    unseen: tuple[str, ...]


def _result(found: _Found, seed: int, level: float) -> CalibrationResult:
    recording, problem, best, draws = found.recording, found.problem, found.best, found.draws
    values = np.exp(best.theta)
    parameters = {
        name: Interval.from_draws(draws.values[:, i], level=level, kind="parameter", mid=float(values[i]))
        for i, name in enumerate(PARAMETERS)
    }
    identified = {name: _is_narrow(interval) for name, interval in parameters.items()}
    limits, limits_seen, findings = limit_report(problem, best, recording.deployment, found.unseen, level)
    findings += _fit_findings(best, problem, identified) + failure_findings(recording) + trust_findings(recording)
    findings += best.model.findings_of_left_out_limits
    return CalibrationResult(
        model=best.model, family=best.family,
        parameters={**parameters, **limits}, identified={**identified, **limits_seen},
        draws=draws, scores=found.scores, think_time=pooled_think_time(recording), steps=recording.steps,
        findings=findings, seed=seed, level=level, source=str(recording.path or ""),
    )  # fmt: skip


def _is_narrow(interval: Interval) -> bool:
    return interval.high - interval.low <= _WIDEST * interval.mid


def _fit_findings(best: Fit, problem: Problem, identified: dict[str, bool]) -> tuple[Finding, ...]:
    findings = []
    ratio = best.chi_square / max(problem.degrees_of_freedom, 1)
    if ratio > 9.0:
        findings.append(
            Finding(
                "poor-fit", "warning",
                f"The model misses the measurements by {math.sqrt(ratio):.1f} times their noise; the "
                "server does something that a gate, a line and workers do not explain. Intervals are widened.",
                "Validate on a held-out step before use, and look at the load-test fit chart.",
                {"chi_square_ratio": ratio},
            )
        )  # fmt: skip
    for name, known in identified.items():
        if not known:
            findings.append(
                Finding(
                    f"{name.replace('_', '-')}-not-identified", "info",
                    f"The recording does not tell {name} apart: its interval is wider than its value.",
                    "Record a lighter and a heavier step; rejected requests show the network round trip.",
                    {"parameter": name},
                )
            )  # fmt: skip
    return tuple(findings)
