"""`calibrate`: find the times, and the limits nobody stated, under which the model shows what was measured.

All steps are fitted jointly by the method of simulated moments (`problem`): each evaluation simulates every step
with the compiled engine and common random numbers, so the objective is smooth in the times. Shapes of service
times, stages and open limits are compared by how well each step is predicted from the others (`form_search`,
`scoring`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.recording import Recording
from simulations.calibration.form_search import Candidate, FormSearch, settle
from simulations.calibration.identifiability import (
    identified_of,
    next_step,
    pool_findings,
    timeout_findings,
    unidentified_findings,
)
from simulations.calibration.limit_search import searched_limits
from simulations.calibration.model_checks import findings_of
from simulations.calibration.observations import (
    failure_findings,
    mix_of,
    observe,
    pooled_think_time,
    trust_findings,
)
from simulations.calibration.problem import Fit, Problem
from simulations.calibration.rejections import Rejections, rejections_of, with_queue_timeout
from simulations.calibration.resources import measured_resources
from simulations.calibration.result import CalibrationResult, ParameterDraws
from simulations.calibration.scalability_check import scalability_of
from simulations.calibration.stated_limits import (
    GOOD,
    Contradiction,
    contradiction,
    contradiction_finding,
    disagreements,
)
from simulations.calibration.uncertainty import draws_of, posterior
from simulations.calibration.window_comparison import compare_windows

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

_HOPELESS = 12.0


def calibrate(
    recording: Recording, *, seed: int = 1, level: float = 0.9, on_progress: Progress | None = None
) -> CalibrationResult:
    """Fit a model to all steps of a recording at once.

    Parameters
    ----------
    recording : Recording
        At least two load levels. Limits that its deployment states are taken as known; workers, gate, queue
        timeout, database pool and cores are estimated when they are not stated and show.
        Steps whose requests are known in groups only (histograms, percentiles) count as what they are.
    seed : int, default 1
        Of the simulations and the draws.
    level : float, default 0.9
        Of the parameter intervals.
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    CalibrationResult
        With `.model`, `.parameters` (intervals), `.identified`, `.scores` of the forms compared, `.findings`.

    Raises
    ------
    InputError
        With which data to collect, when the recording cannot carry a fit.
    """
    _refuse_one_level(recording)
    report = on_progress or _say_nothing
    report(0.0, "reading the recording")
    observations, rejected = observe(recording), rejections_of(recording, level)
    stated = with_queue_timeout(recording.deployment, rejected)
    fast = rejected.rejection_time_s
    rejection_s = fast.mid if fast.is_known else None
    search = FormSearch(recording, observations, mix_of(recording), stated, rejection_s, seed, report)
    problem, candidates = search.run()
    report(0.8, "limits")
    problem, best = settle(problem, candidates[0], stated)
    against = None
    if best.score.ratio > GOOD:
        report(0.85, "looking whether a stated limit is contradicted")
        against = contradiction(search, recording.deployment, rejected)
    report(0.9, "intervals")
    known = posterior(problem, best.fit, searched_limits(stated, best.fit.form))
    draws = draws_of(known, generator(seed, 3))
    found = _Found(recording, problem, best, candidates, draws, rejected, against)
    result = _result(found, seed, level)
    report(0.97, "checking the model against the recording")
    compared = compare_windows(result, recording, seed=seed)
    return replace(
        result, findings=(*result.findings, *findings_of(compared)), scalability=scalability_of(compared, level)
    )


def _say_nothing(share: float, what: str) -> None:
    del share, what


def _refuse_one_level(recording: Recording) -> None:
    if len({(step.users, step.load_quantity) for step in recording.steps}) < 2:
        raise InputError(
            f"The recording has {len(recording.steps)} step(s) at one load level; calibration needs at least "
            "two, one of them light (no waiting) and one near saturation."
        )


@dataclass(frozen=True)
class _Found:
    """What the search ended with."""

    recording: Recording
    problem: Problem
    best: Candidate
    candidates: list[Candidate]
    draws: ParameterDraws
    rejected: Rejections
    against: Contradiction | None


def _result(found: _Found, seed: int, level: float) -> CalibrationResult:
    recording, best = found.recording, found.best
    form = best.fit.form
    parameters = {**_times(best.fit, found.draws, level), **_limits(best.fit, found.draws, level)}
    identified = identified_of(parameters, best.unseen)
    deployment, resources = form.deployment, measured_resources(recording, level)
    apart = {**_measured_apart(found, level), **resources.parameters}
    findings = (
        *_fit_findings(found), *unidentified_findings(identified, best.unseen, found.problem, deployment),
        *pool_findings(recording.deployment, deployment), *timeout_findings(found.problem, recording, deployment),
        *failure_findings(recording), *trust_findings(recording), *best.fit.model.findings_of_left_out_limits,
        *resources.findings,
    )  # fmt: skip
    scores = tuple(item.score for item in found.candidates)
    return CalibrationResult(
        model=resources.used_by(best.fit.model), form=form, parameters={**parameters, **apart},
        identified={**identified, **identified_of(apart, resources.unsure)},
        draws=found.draws, scores=scores, think_time=pooled_think_time(recording), steps=recording.steps,
        findings=findings, next_step=next_step(found.problem, best.fit, best.unseen), seed=seed, level=level,
        source=str(recording.path or ""),
    )  # fmt: skip


def _limits(best: Fit, draws: ParameterDraws, level: float) -> dict[str, Interval]:
    """Intervals of the searched limits: whole numbers."""
    found = {}
    for place, name in enumerate(draws.names[len(best.form.names) :], start=len(best.form.names)):
        mid = float(getattr(best.form.deployment, name))
        found[name] = Interval.of_whole_draws(draws.values[:, place], level=level, kind="parameter", mid=mid)
    return found


def _times(best: Fit, draws: ParameterDraws, level: float) -> dict[str, Interval]:
    """Intervals of the fitted numbers, cvs as far as the shape of the service times follows them."""
    low, high = best.form.shape.reach
    found = {}
    for place, (name, mid) in enumerate(best.numbers.items()):
        own = draws.values[:, place]
        if "_cv" in name:
            own, mid = np.clip(own, low, high), float(np.clip(mid, low, high))
        found[name] = _of_draws_and_fit(own, mid, level)
    return found


def _of_draws_and_fit(draws: Floats, fitted: float, level: float) -> Interval:
    """Central interval of draws, around the fitted number where it lies inside, else around their median.

    The fit ends where its own simulations would have it, the draws lie where others, independent of those, see the
    best place. Numbers that trade with each other can end far apart. Predictions take the draws, so their median is
    the estimate then; the interval keeps both, since either set of simulations may be the unlucky one.
    """
    found = Interval.from_draws(draws, level=level, kind="parameter")
    if found.contains(fitted):
        return replace(found, mid=fitted)
    return replace(found, low=min(found.low, fitted), high=max(found.high, fitted))


def _measured_apart(found: _Found, level: float) -> dict[str, Interval]:
    """What is read off the recording without a fit: rejections, and the load generator's own delay."""
    apart = {
        "rejection_time_s": found.rejected.rejection_time_s,
        "generator_overhead_s": _generator_overhead(found.recording, level),
    }
    if found.recording.deployment.queue_timeout_s is None:
        apart["queue_timeout_s"] = found.rejected.queue_timeout_s
    return {name: interval for name, interval in apart.items() if interval.is_known}


def _generator_overhead(recording: Recording, level: float) -> Interval:
    """Measured gaps less the stated think time: what the load generator adds between two requests of a user.

    Its error is that of the drawn think times; the steps are taken as independent.
    """
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.foundation.quantiles import t_quantile

    differences = [
        step.gap_mean_s - parse_distribution(step.think).mean_s
        for step in recording.steps
        if step.think and math.isfinite(step.gap_mean_s)
    ]
    if len(differences) < 2:
        return Interval.unknown(level)
    mean, count = float(np.mean(differences)), len(differences)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    half = float(t_quantile(0.5 + level / 2, count - 1)) * error
    return Interval(mean - half, mean, mean + half, level, "parameter")


def _fit_findings(found: _Found) -> Iterator[Finding]:
    ratio, against = found.best.score.ratio, found.against
    yield from disagreements(found.recording.deployment)
    if ratio <= GOOD:
        return
    why = "the server does something that the compared forms do not explain"
    remedy = "Validate on a held-out step before use, look at the load-test fit chart, and record with single requests."
    if against is not None:
        yield contradiction_finding(against, ratio)
        why = f"the server does not have the {' and '.join(against.stated)} that the deployment states"
        remedy = "Correct the deployment and calibrate again."
    severity: Severity = "critical" if ratio > _HOPELESS else "warning"
    yield Finding(
        "poor-fit", severity,
        f"The model misses the measurements by {math.sqrt(ratio):.1f} times their noise, most at {_worst(found)}: "
        f"{why}. Intervals are widened.",
        remedy, {"chi_square_ratio": ratio},
    )  # fmt: skip


def _worst(found: _Found) -> str:
    """The step that is missed most."""
    blocks = found.problem.residual_blocks(found.best.fit.model)
    place = int(np.argmax([float(block @ block) / len(block) for block in blocks]))
    item = found.problem.observations[place]
    return f"step {item.step} ({item.load_text})"
