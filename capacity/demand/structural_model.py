"""A structural model of logarithms, and the single periods unlike all others that it sees. It loads statsmodels."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata
from statsmodels.tsa.statespace.representation import Representation
from statsmodels.tsa.statespace.structural import UnobservedComponents, UnobservedComponentsResults

from capacity.demand.bounded_states import KalmanFilter, states_given_bounds
from capacity.demand.candidates import (
    YEARS_FOR_A_WAVE,
    YEARS_FOR_ALL_WAVES,
    StandingOut,
    Task,
    finite_paths,
)
from capacity.demand.history import Floats
from loadtests.foundation.quantiles import normal_quantile

_HARMONICS = 3
_MOST_ITERATIONS, _FEWEST_FREE = 60, 3
_BODY = 0.95
_TAIL_FROM = normal_quantile(_BODY)
_STANDS_OUT = 6.0
"""Standard errors by which a period differs from what all others lead to expect, if it counts as one of a kind."""
_LEAST_FACTOR = math.log(1.5)
"""And by so much at least: of a history that hardly moves, nothing else need be said."""
_TWICE = 2.0
"""And by so much more than any period that does not stand out: of bursts of all sizes the largest is no other kind."""
_RARE = 0.05
_SUSPECT = 4.0
"""As much, roughly, of a first look that needs no fit."""
_NORMAL_MAD = normal_quantile(0.75)


def structural_paths(task: Task) -> Floats:
    """Futures of a structural model of the logarithms: a level that wanders around a trend, a yearly pattern, noise.

    The pattern is the sum of three harmonics; of one where less than two years are known, and none below one and a
    quarter. Trend and pattern are states with a diffuse start, so what a short history leaves open about them is in
    the futures; the two variances are fitted by maximum likelihood (A. C. Harvey, *Forecasting, Structural Time Series
    Models and the Kalman Filter*, 1989, sections 2.3 and 4.1). Noise is normal up to a step's 95 % quantile; beyond it,
    the highest residuals stand in where they lie further out, so that rare bursts stay in the tail.

    Raises
    ------
    ModelFailedError
        When the fit does not end in finite numbers.
    """
    return finite_paths(_structural, task)


def standing_out(logs: Floats, bounds: Floats, year: float, steps: int) -> StandingOut:
    """Single periods unlike all others, and what they do to the forecast of the structural model.

    A period stands out that lies six standard errors, half the load, and twice as far as any that does not, from
    what the model expects of it when it has seen all others (deletion residuals: P. de Jong, J. Penzer, "Diagnosing
    shocks in time series", Journal of the American Statistical Association 93, 1998). More than one in twenty are not
    rare: then none does. A forecast is made with them all the same: whether they come again nobody can tell from one.

    Parameters
    ----------
    logs : array, shape (n,)
        With something in the place of what is not known.
    bounds : array, shape (n,)
        NaN where `logs` was observed.
    year : float
        Periods of a year; 0 where that is not known.
    steps : int
        Periods ahead.
    """
    known, shape = np.where(np.isnan(bounds), logs, np.nan), _shape(len(logs), year)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            inner = _odd(known, shape)
            found = {**inner, **_odd_last(known, inner, shape)}
            return StandingOut(found, len(found) > len(inner), _pull(known, [*found], shape, steps) if found else 0.0)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):  # what cannot be fitted says nothing
            return StandingOut()


def _odd_last(known: Floats, odd: dict[int, float], shape: dict[str, Any]) -> dict[int, float]:
    """What the others lead to expect of the last period, where it stands out."""
    rises = np.diff(known)
    if not abs(rises[-1]) > _SUSPECT * _spread(rises):  # nor where one of the two is not known
        return {}
    last = len(known) - 1
    before = _left_open(known, [*odd, last])
    expected, error = _expected(_fit(before, shape), before, shape, [last])[last]
    return {last: expected} if _is_odd(known[-1] - expected, error) else {}


def _pull(known: Floats, places: list[int], shape: dict[str, Any], steps: int) -> float:
    """How much further the middle of the steps ahead lies because of some periods, the mean over the steps."""
    with_them, without = (
        _fit(logs, shape).get_forecast(steps).predicted_mean for logs in (known, _left_open(known, places))
    )
    return float(np.mean(with_them - without))


def _shape(periods: int, year: float) -> dict[str, Any]:
    """Of the structural model, by what so many periods can show."""
    years = periods / year if year else 0.0
    waves = _HARMONICS if years >= YEARS_FOR_ALL_WAVES else int(years >= YEARS_FOR_A_WAVE)
    pattern = {"period": year, "harmonics": waves}
    yearly = {"freq_seasonal": [pattern], "stochastic_freq_seasonal": [False]} if waves else {}
    return {"level": "local linear deterministic trend", **yearly}


def _fit(logs: Floats, shape: dict[str, Any]) -> UnobservedComponentsResults:
    return UnobservedComponents(logs, **shape).fit(disp=False, maxiter=_MOST_ITERATIONS, cov_type="none")


def _odd(known: Floats, shape: dict[str, Any]) -> dict[int, float]:
    """What is expected of the periods that stand out. Suspects are judged without each other: two would hide two."""
    suspects = _suspects(known)
    if not suspects:
        return {}
    left = _left_open(known, suspects)
    without = _fit(left, shape)
    usual = float(np.abs(without.smoothed_measurement_disturbance[0]).max())
    odd = _apart(known, _expected(without, left, shape, suspects), usual)
    return odd if len(odd) <= max(1, math.floor(_RARE * np.isfinite(known).sum())) else {}


def _apart(logs: Floats, expected: dict[int, tuple[float, float]], usual: float) -> dict[int, float]:
    """Of the suspects those that are odd, and twice as far from what was expected as any that is not among them."""
    order = sorted(expected, key=lambda place: -abs(logs[place] - expected[place][0]))
    sizes = [abs(logs[place] - expected[place][0]) for place in order]
    are_odd = [_is_odd(size, expected[place][1]) for place, size in zip(order, sizes, strict=True)]
    number = len(order)
    while number and not (all(are_odd[:number]) and sizes[number - 1] > _TWICE * max([usual, *sizes[number:]])):
        number -= 1
    return {place: expected[place][0] for place in order[:number]}


def _suspects(logs: Floats) -> list[int]:
    """Periods above both neighbours, or below both, by more than rises usually are; no ends: these have but one."""
    rises = np.diff(logs)
    here, next_one = rises[:-1], -rises[1:]
    away = np.where(here * next_one > 0, np.minimum(np.abs(here), np.abs(next_one)), 0.0)
    return [int(place) + 1 for place in np.flatnonzero(away > _SUSPECT * _spread(rises))]


def _left_open(logs: Floats, places: list[int]) -> Floats:
    left = logs.copy()
    left[places] = np.nan
    return left


def _is_odd(away: float, error: float) -> bool:
    return abs(away) > max(_STANDS_OUT * error, _LEAST_FACTOR)


def _spread(rises: Floats) -> float:
    """Standard deviation by the median of absolute values, which single large ones do not move."""
    known = rises[np.isfinite(rises)]
    return float(np.median(np.abs(known))) / _NORMAL_MAD if known.size else math.inf


def _expected(
    fit: UnobservedComponentsResults, left: Floats, shape: dict[str, Any], places: list[int]
) -> dict[int, tuple[float, float]]:
    """What a fit that has not seen some periods expects of them, and the standard errors.

    The start is exactly diffuse here: with a large variance in its place, those of early gaps drown in rounding.
    """
    if not places:
        return {}
    exact = UnobservedComponents(left, use_exact_diffuse=True, **shape).smooth(fit.params)
    space = exact.model.ssm
    design, noise = space["design"][0], space["obs_cov"][0, 0]
    spreads = np.einsum("i,ijt,j->t", design, exact.smoothed_state_cov, design)
    return {
        place: (float(design @ exact.smoothed_state[:, place]), math.sqrt(max(spreads[place], 0.0) + noise))
        for place in places
    }


def _structural(task: Task) -> Floats:
    bounds = np.full(len(task.logs), np.nan) if task.bounds is None else task.bounds
    shape, is_known = _shape(len(task.logs), task.year), np.isnan(bounds)
    fit = _fit(np.where(is_known, task.logs, np.nan), shape)
    residuals = _Residuals.of(fit.smoothed_measurement_disturbance[0, is_known], fit.loglikelihood_burn)
    today = fit.predicted_state[:, -1], fit.predicted_state_cov[:, :, -1]
    if not is_known.all():
        today = _bounded_today(UnobservedComponents(task.logs, **shape).filter(fit.params), bounds, task)
    return _futures(fit.model.ssm, today, residuals, task)


def _bounded_today(fit: UnobservedComponentsResults, bounds: Floats, task: Task) -> tuple[Floats, Floats]:
    """States expected next, one a draw, and their variance; `fit` is as if every period were known."""
    space, filtered = fit.model.ssm, fit.filter_results
    run = KalmanFilter(
        space["design"][0], space["transition"], fit.predicted_state[:, 0], filtered.kalman_gain[:, 0, :].T,
        filtered.forecasts_error_cov[0, 0], int(fit.loglikelihood_burn),
    )  # fmt: skip
    return states_given_bounds(run, task.logs, bounds, task.draws, task.rng), fit.predicted_state_cov[:, :, -1]


@dataclass(frozen=True, eq=False)
class _Residuals:
    """What a fit leaves as noise, in standard deviations, and on how many independent ones it rests."""

    sizes: Floats
    number: int

    @classmethod
    def of(cls, noise: Floats, burn: float) -> _Residuals:
        spread = float(noise.std())
        sizes = (noise - noise.mean()) / spread if spread > 0.0 else np.zeros(1)
        return cls(sizes, noise.size - int(burn))

    def further(self, noise: Floats) -> Floats:
        """Standard normal noise, its upper twentieth moved out to the residual of that rank where that is larger."""
        made, high = noise.copy(), noise > _TAIL_FROM
        made[high] = np.maximum(noise[high], np.quantile(self.sizes, ndtr(noise[high])))
        return made


def _futures(space: Representation, today: tuple[Floats, Floats], residuals: _Residuals, task: Task) -> Floats:
    """Drawn forward from the state that is expected next: all futures at once, where statsmodels goes one by one.

    The scale of all variances is as uncertain as so many residuals leave it, less two for what was fitted: futures are
    Student's t (Harvey, section 3.2.2).
    """
    centre, spread = today
    number = residuals.number
    transition, design = space["transition"], space["design"][0]
    scale = np.sqrt(number / task.rng.chisquare(max(number - 2, _FEWEST_FREE), (task.draws, 1)))
    zero = np.zeros(len(spread))
    states = centre + scale * task.rng.multivariate_normal(zero, spread, size=task.draws, method="eigh")
    shocks = scale * np.sqrt(np.diag(space["selection"] @ space["state_cov"] @ space["selection"].T))
    noise = scale[:, 0] * np.sqrt(space["obs_cov"][0, 0])
    made = np.empty((task.draws, task.steps))
    for step in range(task.steps):
        level, place = states @ design, task.rng.standard_normal(task.draws)
        made[:, step] = _spliced(level + noise * place, level + noise * residuals.further(place))
        states = states @ transition.T + shocks * task.rng.standard_normal(states.shape)
    return made


def _spliced(body: Floats, tail: Floats) -> Floats:
    """The values of `body` up to its 95 % quantile and those of `tail` beyond it, in the order of `tail`."""
    split = math.floor(_BODY * (body.size - 1)) + 2  # behind both values between which that quantile is interpolated
    values = np.concatenate([np.sort(body)[:split], np.sort(tail)[split:]])
    return np.asarray(values[rankdata(tail, method="ordinal") - 1], dtype=np.float64)
