"""Periods in which nothing was answered, and what users who were stuck in them did not measure.

Between two answers the expected number of answers grows with the rate at which this server answers
when as many requests are inside (its hazard). Were service times exponential, the hazard between two
answers would be exponential with mean 1, for any load. It is more spread where few requests are
served at a time and service times vary more: then the longest of the services in progress decides.
The threshold takes service times as lognormal with 1.3 times the coefficient of variation that the
residence times of the lightest step have (a sample of a long tail shows too little of it), at most
1.5: a stall itself makes some residence times long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.units import format_duration
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.plateau import Floats, Plateau, plateau_of

CODE, OMISSION_CODE = "stall", "coordinated-omission"
_CV_SAFETY, _LEAST_CV, _MOST_CV = 1.3, 0.5, 1.5
_SHORTEST_S, _FEWEST_ANSWERS = 0.2, 50
CAVEAT_SHARE, REFUSED_SHARE = 0.01, 0.1
"""Shares of a window: from 1 % on a stall reaches P99; shorter ones are stated."""
_USUAL_TIME = 0.995
_LEAST_UNDERSTATED = 0.05
_QUANTILES = {"P50": 0.5, "P90": 0.9, "P95": 0.95, "P99": 0.99}


@dataclass(frozen=True)
class Stall:
    """A period without an answer.

    Parameters
    ----------
    step : LoadStep
        The step in whose window it ended.
    start_s, end_s : float
        The answers before and after it, or the border of the window.
    hazard : float
        Answers that were to be expected meanwhile.
    """

    step: LoadStep
    start_s: float
    end_s: float
    hazard: float

    @property
    def length_s(self) -> float:
        """Seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class _Service:
    """Mean and coefficient of variation of a service time."""

    mean_s: float
    cv: float


@dataclass(frozen=True)
class _Path:
    """Number inside over time: `level[i]` from `time_s[i]` to the next; answers are where `is_answer`.

    The window's borders are the first and last entry; they stand for answers there, as silence may reach beyond them.
    """

    step: LoadStep
    time_s: Floats
    level: NDArray[np.int64]
    is_answer: NDArray[np.bool_]

    @property
    def spent_s(self) -> Floats:
        return np.asarray(np.diff(self.time_s, append=self.time_s[-1:]))


def find_stalls(recording: Recording) -> tuple[Stall, ...]:
    """Periods without an answer that are too long for chance.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    tuple of Stall
        In the order of time. Requests that were turned away count neither as answers nor as inside.
    """
    plateaus = [plateau_of(recording, step, only_admitted=True) for step in recording.steps]
    paths = [_path(item) for item in plateaus if item.finished_s.size >= _FEWEST_ANSWERS]
    if not paths:
        return ()
    rate = _answer_rates(paths)
    service = _service(plateaus)
    chances = sum(int(path.is_answer.sum()) for path in paths)
    return tuple(stall for path in paths for stall in _improbable(path, rate, service, chances))


def _service(plateaus: Sequence[Plateau]) -> _Service:
    """Residence times of the step where they are shortest: those of the services as well as can be seen."""
    times = [item.finish_s - item.start_s for item in plateaus if item.finished_s.size >= _FEWEST_ANSWERS]
    lightest = min(times, key=lambda item: float(np.mean(item)))
    mean = float(np.mean(lightest))
    cv = float(np.std(lightest)) / mean if mean > 0 else 0.0
    return _Service(mean, float(np.clip(_CV_SAFETY * cv, _LEAST_CV, _MOST_CV)))


def _path(plateau: Plateau) -> _Path:
    step = plateau.step
    times = np.concatenate([plateau.start_s, plateau.finish_s])
    change = np.repeat([1, -1], [plateau.start_s.size, plateau.finish_s.size])
    order = np.lexsort((change, times))
    times, change = times[order], change[order]
    level = np.cumsum(change)
    first, last = np.searchsorted(times, [step.start_s, step.end_s])
    at_start, at_end = (int(level[place - 1]) if place else 0 for place in (first, last))
    inside = slice(first, last)
    return _Path(
        step, np.concatenate([[step.start_s], times[inside], [step.end_s]]),
        np.concatenate([[at_start], level[inside], [at_end]]),
        np.concatenate([[True], change[inside] < 0, [True]]),
    )  # fmt: skip


def _answer_rates(paths: Sequence[_Path]) -> Floats:
    """Answers a second by the number inside, of all steps together.

    It never falls with the number (isotonic regression) and is that of the usual numbers for those that are
    hardly ever reached: a stall makes such numbers, and the burst of answers after it would pass for a high rate.
    """
    levels = max(int(path.level.max()) for path in paths) + 2
    spent, answers = np.zeros(levels), np.zeros(levels)
    for path in paths:
        spent += np.bincount(path.level, path.spent_s, minlength=levels)
        answers += np.bincount(path.level[1:-1][path.is_answer[1:-1]] + 1, minlength=levels)
    usual = int(np.searchsorted(np.cumsum(spent), _USUAL_TIME * spent.sum()))
    spent[usual], answers[usual] = spent[usual:].sum(), answers[usual:].sum()
    seen = (spent > 0) & (np.arange(levels) <= usual)
    seen[0] = False
    rate = np.zeros(levels)
    if seen.any():
        fitted = optimize.isotonic_regression(answers[seen] / spent[seen], weights=spent[seen]).x
        rate[1:] = np.interp(np.arange(1, levels), np.flatnonzero(seen), fitted)
    return rate


def _improbable(path: _Path, rate: Floats, service: _Service, chances: int) -> list[Stall]:
    passed = np.concatenate([[0.0], np.cumsum(rate[path.level] * path.spent_s)[:-1]])
    answered, hazard = path.time_s[path.is_answer], passed[path.is_answer]
    lengths, hazards = np.diff(answered), np.diff(hazard)
    candidates = np.flatnonzero((lengths >= max(_SHORTEST_S, service.mean_s)) & (hazards > math.log(chances)))
    found = []
    for place in candidates:
        parallel = service.mean_s * hazards[place] / lengths[place]
        if chance_of(hazards[place], parallel, service.cv) < FALSE_ALARM_RATE / chances:
            stall = Stall(path.step, float(answered[place]), float(answered[place + 1]), float(hazards[place]))
            found.append(stall)
    return found


def chance_of(hazard: float, parallel: float, cv: float) -> float:
    """Probability that as much hazard passes between two answers.

    With c services in progress none ends within x mean service times with probability S_e(x)^c, where
    S_e is the equilibrium (residual life) distribution of the service time; the hazard is then c x.

    Parameters
    ----------
    hazard : float
        Answers that were to be expected.
    parallel : float
        Services in progress, c.
    cv : float
        Coefficient of variation of the (lognormal) service time.

    Returns
    -------
    float
        Never less than exp(-hazard), the limit for many services in progress.
    """
    services = max(parallel, 1.0)
    return max(math.exp(-hazard), math.pow(_residual_survival(hazard / services, cv), services))


def _residual_survival(times: float, cv: float) -> float:
    """Probability that the rest of a lognormal service exceeds `times` means: E[(X - x)+] / E[X]."""
    sigma = math.sqrt(math.log1p(cv**2))
    upper = (-math.log(times) + sigma**2 / 2) / sigma
    return max(float(special.ndtr(upper) - times * special.ndtr(upper - sigma)), 0.0)


def look_at_stalls(recording: Recording) -> Looked:
    """Look for periods in which nothing was answered although requests were inside."""
    if recording.requests.empty:
        return NotApplicable("no single requests")
    found = []
    for step, stalls in _by_step(find_stalls(recording)):
        longest = max(stalls, key=lambda item: item.length_s)
        share = sum(item.length_s for item in stalls) / step.window_s
        message = (
            f"In step {step.step} nothing was answered for {format_duration(longest.length_s)} from "
            f"{longest.start_s:.2f} s, where {longest.hazard:.0f} answers were to be expected; such stalls take "
            f"{share:.1%} of its window."
        )
        remedy = "Find what stood still (garbage collection, a lock, the load generator), or leave this step out."
        numbers = {"step": step.step, "stalls": len(stalls), "longest_s": longest.length_s, "share": share}
        found.append(Finding(CODE, _severity(share), message, remedy, numbers))
    return found


def _severity(share: float) -> Severity:
    if share >= REFUSED_SHARE:
        return "critical"
    return "warning" if share >= CAVEAT_SHARE else "info"


def look_at_omissions(recording: Recording) -> Looked:
    """Estimate how much percentiles are understated as stuck users did not send (coordinated omission)."""
    if recording.requests.empty:
        return NotApplicable("no single requests")
    found = []
    for step, stalls in _by_step(find_stalls(recording)):
        found += _omission(recording, step, stalls)
    return found


def _by_step(stalls: Sequence[Stall]) -> list[tuple[LoadStep, list[Stall]]]:
    steps = {stall.step.step: stall.step for stall in stalls}
    return [(step, [item for item in stalls if item.step.step == number]) for number, step in steps.items()]


def _omission(recording: Recording, step: LoadStep, stalls: Sequence[Stall]) -> list[Finding]:
    """Requests that would have been sent at the step's rate during a stall wait for its end, as in HdrHistogram."""
    plateau = plateau_of(recording, step)
    rows = recording.requests_in(step)
    served = rows[rows["outcome"] == "served"]
    times = (served["finish_s"] - served["start_s"]).to_numpy(dtype=float)
    stood_s = sum(stall.length_s for stall in stalls)
    sent = sum(_sent(plateau, stall) for stall in stalls)
    moving_s = step.window_s - stood_s
    if times.size == 0 or moving_s <= 0:
        return []
    rate = (plateau.started_s.size - sent) / moving_s
    omitted = [np.linspace(0.0, s.length_s, max(round(rate * s.length_s) - _sent(plateau, s), 0)) for s in stalls]
    complete = np.concatenate([times, *omitted])
    pairs = {name: (np.quantile(times, q), np.quantile(complete, q)) for name, q in _QUANTILES.items()}
    worst = max(pairs, key=lambda name: pairs[name][1] / pairs[name][0])
    measured, corrected = (float(value) for value in pairs[worst])
    if corrected <= measured * (1 + _LEAST_UNDERSTATED):
        return []
    missing = complete.size - times.size
    message = (
        f"In step {step.step} users were stuck for {stood_s / step.window_s:.1%} of the time and about {missing} "
        f"requests were not sent; with them {worst} would be about {format_duration(corrected)} instead of "
        f"{format_duration(measured)}."
    )
    remedy = "Do not quote this step's percentiles for users who arrive by themselves; remove the stall and repeat."
    numbers = {"step": step.step, "omitted": missing, "percentile": worst, "measured_s": measured,
               "corrected_s": corrected}  # fmt: skip
    return [Finding(OMISSION_CODE, "warning", message, remedy, numbers)]


def _sent(plateau: Plateau, stall: Stall) -> int:
    return int(np.count_nonzero((plateau.start_s >= stall.start_s) & (plateau.start_s < stall.end_s)))
