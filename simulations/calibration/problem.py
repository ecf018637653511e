"""The least-squares problem of a calibration: measured statistics against simulated ones.

The distance is the generalised one of the method of simulated moments [1]_: differences are weighted by the
inverse of their joint covariance, which many windows simulated at a preliminary fit show (sampling noise of the
measurement and of the simulation), plus what is not asked to be explained (`StepView.floors`) and what rounding
hides. Weak priors keep what a recording does not tell from running away.

References
----------
.. [1] D. McFadden, "A method of simulated moments for estimation of discrete response models without numerical
   integration", Econometrica 57(5), 1989.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from loadtests.comparison.rule import RUN_TO_RUN_CV
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.threads import mapped
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.calibration.model_form import ModelForm
from simulations.calibration.observations import StepObservation
from simulations.calibration.step_view import Answers
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel

Floats = NDArray[np.float64]

FINE, COARSE = 8.0, 2.0
"""A simulated step sees about this many times the measured window; coarse for searches."""
_LAST_MOVE, _LAST_MOVE_COARSE = 1e-4, 1e-3
"""A fit ends when it moves, or gains, relatively less; a coarse objective shows nothing smaller than its noise."""
NOISE_WINDOWS, LAST_NOISE_WINDOWS = 60, 150
"""Windows that the noise of a step's statistics is taken from: in a search, and for what intervals rest on."""

_TRUSTED = 6.0
"""Standard errors beyond which a residual counts less while a fit is under way: far starts do not blow up."""
_NOT_SHOWN = 100.0
"""Standard errors charged for a statistic that the model does not show."""
_LEAST_REQUESTS, _MOST_REQUESTS = 2_500, 8_000
"""Of a step's simulation, for each window that it sees."""
_NOISE_REQUESTS = (330, 3_300)
"""Of each window that the noise is taken from."""
_MOST_WINDOWS = 60.0
_STEPS = {"service_mean_s": 0.02, "service_cv": 0.05, "cpu_mean_s": 0.02, "database_mean_s": 0.02,
          "network_round_trip_s": 0.3}  # fmt: skip
"""Steps of derivatives: a small time needs a large one, or the change drowns in requests that swap places."""
_CENTRAL = 1.5
"""Central differences take wider steps by this factor."""
_SPEED_STEP = 0.03
_SMALL_ROUND_TRIP, _LEAST_PLACE = 0.02, 1e-5
"""Of the lightest step's mean; and how near nothing, on the search's scale, a round trip may come."""
_SHRINKAGE = 0.95
"""Correlations of the noise are estimated from few windows: they are taken a little smaller."""
_PRIOR_SPREADS = {"service_mean_s": 3.0, "service_cv": 1.0, "cpu_mean_s": 3.0, "database_mean_s": 3.0,
                  "network_round_trip_s": 1.5}  # fmt: skip
"""Standard deviations of the priors, of logarithms."""


@dataclass(frozen=True)
class Fit:
    """The best numbers of one form.

    Parameters
    ----------
    form : ModelForm
    theta : array
        Transformed numbers, in the order of `form.names`.
    chi_square : float
        Weighted squared distance, priors included.
    """

    form: ModelForm
    theta: Floats
    chi_square: float

    @property
    def model(self) -> ServerModel:
        """The server model of this fit."""
        return self.form.model(self.theta)

    @property
    def numbers(self) -> dict[str, float]:
        """The fitted numbers by name."""
        return dict(zip(self.form.names, self.form.values(self.theta).tolist(), strict=True))


@dataclass(frozen=True)
class Problem:
    """Measured statistics against simulated ones.

    Parameters
    ----------
    observations : tuple of StepObservation
    seed : int
    whitening : tuple of array
        A matrix a step, from differences to standard ones; places that are not used are left out of its rows.
    windows : float, default 8
        That a simulated step sees.
    """

    observations: tuple[StepObservation, ...]
    seed: int
    whitening: tuple[Floats, ...]
    windows: float = FINE
    known: dict[ModelForm, Fit] = field(default_factory=dict, repr=False, compare=False)
    """Fits of forms that a search comes back to."""

    @classmethod
    def of(cls, observations: tuple[StepObservation, ...], seed: int, windows: float = FINE) -> Problem:
        """With rough errors, to begin with."""
        matrices = [_whitening(item, np.diag(item.view.first_errors**2)) for item in observations]
        return cls(observations, seed, tuple(matrices), windows)

    def with_noise_of(self, best: Fit, windows: float | None = None, *, is_last: bool = False) -> Problem:
        """With the noise that windows of a fitted model show, and a server's speed that differs from run to run.

        Parameters
        ----------
        best : Fit
        windows : float, optional
            That a simulated step sees from now on.
        is_last : bool, default False
            Intervals will rest on it: more windows, and a covariance whose inverse is unbiased.

        Returns
        -------
        Problem
        """
        seen, model = self.windows if windows is None else windows, best.model

        def noise(item: StepObservation) -> Floats:
            sampled = _noise(model, item, self.seed, is_last=is_last)
            return sampled * (1 + 1 / seen) + _run_to_run(best, item, self.seed)

        noises = mapped(noise, self.observations)
        matrices = [_whitening(item, noise) for item, noise in zip(self.observations, noises, strict=True)]
        return replace(self, whitening=tuple(matrices), windows=seen, known={})

    @property
    def used(self) -> int:
        """Number of statistics."""
        return sum(len(matrix) for matrix in self.whitening)

    def residual_blocks(self, model: ServerModel) -> list[Floats]:
        """Standardised differences (simulated less measured), a block a step."""
        return self.blocks([model])[0]

    def blocks(self, models: Sequence[ServerModel]) -> list[list[Floats]]:
        """`residual_blocks` of several models, over all cores."""
        steps = list(zip(self.observations, self.whitening, strict=True))

        def block(asked: tuple[ServerModel, tuple[StepObservation, Floats]]) -> Floats:
            model, (item, matrix) = asked
            return _standardised(simulate_step(model, item, self.seed, self.windows) - item.values, matrix)

        found = mapped(block, list(product(models, steps)))
        return [found[first : first + len(steps)] for first in range(0, len(found), len(steps))]

    def residuals(self, form: ModelForm, theta: Floats) -> Floats:
        """All standardised differences, then the priors' rows."""
        return self._residuals_at(form, [theta])[0]

    def _residuals_at(self, form: ModelForm, places: Sequence[Floats]) -> list[Floats]:
        """`residuals` at several places."""
        blocks = self.blocks([form.model(theta) for theta in places])
        return [
            np.concatenate([*found, self.prior_residuals(form, theta)])
            for found, theta in zip(blocks, places, strict=True)
        ]

    def chi_square(self, form: ModelForm, theta: Floats) -> float:
        """Squared length of `residuals`."""
        found = self.residuals(form, theta)
        return float(found @ found)

    def fit(self, form: ModelForm, start: Floats, evaluations: int) -> Fit:
        """The best numbers of a form, by trust-region least squares."""
        scale = _SearchScale.of(form, self.lightest_mean_s)
        low, high = (scale.of_theta(end) for end in form.bounds)
        seen: dict[bytes, Floats] = {}

        def residuals(place: Floats) -> Floats:
            # Derivatives and the end ask again for places that the search has been at.
            key = place.tobytes()
            if key not in seen:
                seen[key] = self.residuals(form, scale.theta(place))
            return seen[key]

        def jacobian(place: Floats) -> Floats:
            here, steps = residuals(place), _steps(form)
            moved = self._residuals_at(form, [scale.theta(place + move) for move in np.diag(steps)])
            return np.stack([(there - here) / step for there, step in zip(moved, steps, strict=True)], axis=1)

        last = _LAST_MOVE if self.windows >= FINE else _LAST_MOVE_COARSE
        solution = optimize.least_squares(
            residuals, np.clip(scale.of_theta(start), low, high), jac=jacobian, max_nfev=evaluations, xtol=last,
            ftol=last, bounds=(low, high), loss="huber", f_scale=_TRUSTED, x_scale=0.3,
        )  # fmt: skip
        found = residuals(solution.x)
        return Fit(form, scale.theta(solution.x), float(found @ found))

    def jacobian(self, best: Fit) -> Floats:
        """Derivatives of the residuals at a fit by its numbers on the search's scale, by central differences."""
        form, scale = best.form, _SearchScale.of(best.form, self.lightest_mean_s)
        here, steps = scale.of_theta(best.theta), _CENTRAL * _steps(form)
        places = [scale.theta(here + side * move) for side in (1.0, -1.0) for move in np.diag(steps)]
        seen = np.array(self._residuals_at(form, places))
        return np.asarray((seen[: len(steps)] - seen[len(steps) :]).T / (2 * steps))

    @property
    def lightest_mean_s(self) -> float:
        """Mean residence time of the lightest step that tells one, seconds: the unit of small times."""
        return next((item.mean_s for item in self.observations if math.isfinite(item.mean_s)), 0.05)

    def prior_residuals(self, form: ModelForm, theta: Floats) -> Floats:
        """Rows that pull weakly to the usual (cv 0.7, a round trip of 2 % of the lightest mean), of (..., names)."""
        lightest_s = self.lightest_mean_s
        usual = {"service_mean_s": lightest_s, "service_cv": 0.7, "cpu_mean_s": 0.5 * lightest_s,
                 "database_mean_s": 0.5 * lightest_s, "network_round_trip_s": 0.02 * lightest_s}  # fmt: skip
        kinds = [name.partition("[")[0] for name in form.names]
        centre = form.transformed(np.array([usual[kind] for kind in kinds]))
        return np.asarray((theta - centre) / np.array([_PRIOR_SPREADS[kind] for kind in kinds]))


@dataclass(frozen=True)
class _SearchScale:
    """The scale on which a fit moves: logarithms, but of the round trip asinh(time / small).

    A round trip far below all other times changes nothing, nor does its logarithm's derivative: a search that has
    come there by way of an unsuitable shape would stay. This scale is straight below `small_s`, logarithmic above.
    """

    small_s: float
    is_round_trip: NDArray[np.bool_]

    @classmethod
    def of(cls, form: ModelForm, unit_s: float) -> _SearchScale:
        return cls(_SMALL_ROUND_TRIP * unit_s, np.array([name == "network_round_trip_s" for name in form.names]))

    def of_theta(self, theta: Floats) -> Floats:
        return np.where(self.is_round_trip, np.arcsinh(np.exp(theta) / self.small_s), theta)

    def theta(self, place: Floats) -> Floats:
        time_s = self.small_s * np.sinh(np.where(self.is_round_trip, np.maximum(place, _LEAST_PLACE), 1.0))
        return np.where(self.is_round_trip, np.log(time_s), place)


def _steps(form: ModelForm) -> Floats:
    return np.array([_STEPS[name.partition("[")[0]] for name in form.names])


def simulate_step(model: ServerModel, observation: StepObservation, seed: int, windows: float = FINE) -> Floats:
    """The statistics that windows as long as the measured one show on average, at a step's load.

    A quantile of few requests, or a logarithm, is not on average that of many: so like is compared with like [1]_.

    Parameters
    ----------
    model : ServerModel
    observation : StepObservation
    seed : int
    windows : float, default 8
        That the simulation sees.

    Returns
    -------
    array, shape (len(observation.view.names),)

    References
    ----------
    .. [1] C. Gourieroux, A. Monfort, E. Renault, "Indirect inference", J. Applied Econometrics 8, 1993, section 2:
       statistics of simulated samples of the observed size.
    """
    requests = (round(windows * _LEAST_REQUESTS), round(windows * _MOST_REQUESTS))
    log, warm_up_s, length_s = _simulated(model, observation, windows, requests, derive_key(seed, 2, observation.step))
    rows = _rows(log, observation, (warm_up_s, length_s), max(1, round(length_s / observation.window_s)))
    shown = np.isfinite(rows)
    sums = np.sum(np.where(shown, rows, 0.0), axis=0)
    return np.where(shown.mean(axis=0) > 0.5, sums / np.maximum(shown.sum(axis=0), 1), np.nan)


def _simulated(
    model: ServerModel, observation: StepObservation, windows: float, requests: tuple[int, int], key: int
) -> tuple[RequestLog, float, float]:
    """A log, its warm-up and the time after it: so many windows, within so many requests."""
    workload = observation.workload
    warm_up_s = warm_up_time_s(model, workload)
    rate_rps = max(min(offered_rate_rps(model, workload), 2.0 * model.saturation_rps), 1e-9)
    wanted_s = np.clip(windows * observation.window_s, requests[0] / rate_rps, requests[1] / rate_rps)
    # A trial with absurdly slow service must not be simulated until it has served thousands.
    window_s = min(float(wanted_s), max(_MOST_WINDOWS, windows) * observation.window_s)
    warm_up_s = min(warm_up_s, 10 * _MOST_WINDOWS * observation.window_s)
    log = simulate_log(model, workload, RunLength(horizon_s=warm_up_s + window_s), seed=key >> 1)
    return log, warm_up_s, window_s


def _rows(log: RequestLog, observation: StepObservation, span_s: tuple[float, float], count: int) -> Floats:
    """The statistics of so many windows, one after the other; `span_s`: where they begin, and their length together."""
    begin_s, length_s = span_s
    answered = log.answered_s
    inside = np.flatnonzero((answered >= begin_s) & (answered < begin_s + length_s))
    place = np.minimum((answered[inside] - begin_s) * (count / length_s), count - 1).astype(np.int64)
    residence_s = answered[inside] - log.arrival_s[inside]
    answers = Answers(residence_s, log.served[inside], log.request_class[inside])
    return observation.view.vectors(answers, place, count, length_s / count)


def _noise(model: ServerModel, observation: StepObservation, seed: int, *, is_last: bool) -> Floats:
    """Covariance of a window's statistics; the last one so that its inverse has no bias.

    The inverse of a covariance of p numbers from n windows is too large by (n - 1) / (n - p - 2) [1]_.

    References
    ----------
    .. [1] J. Hartlap, P. Simon, P. Schneider, "Why your model parameter confidences might be too optimistic",
       Astronomy & Astrophysics 464, 2007, equation 17.
    """
    used = int(np.count_nonzero(np.isfinite(observation.values)))
    windows = max(LAST_NOISE_WINDOWS, 4 * used) if is_last else NOISE_WINDOWS
    requests = (windows * _NOISE_REQUESTS[0], windows * _NOISE_REQUESTS[1])
    log, warm_up_s, length_s = _simulated(model, observation, windows, requests, derive_key(seed, 6, observation.step))
    count = max(int(length_s / observation.window_s), windows // 2)
    window_s = length_s / count  # shorter than measured where that would cost too much: the noise is scaled
    found = _rows(log, observation, (warm_up_s, length_s), count)
    known = np.isfinite(found).mean(axis=0) > 0.5
    found = np.where(np.isfinite(found), found, np.nanmean(np.where(known, found, 0.0), axis=0))
    covariance = np.atleast_2d(np.cov(found.T)) * (window_s / observation.window_s)
    rough = observation.view.first_errors
    covariance = np.where(known[:, None] & known, covariance, 0.0) + np.diag(np.where(known, 0.0, rough**2))
    return np.asarray(covariance * ((count - 1) / (count - used - 2) if is_last else 1.0))


def _run_to_run(best: Fit, observation: StepObservation, seed: int) -> Floats:
    """Covariance of a step's statistics when all times at the server are a little longer or shorter in each run."""
    slow, fast = (
        simulate_step(best.form.model_of(best.numbers, speed), observation, seed)
        for speed in (1 + _SPEED_STEP, 1 - _SPEED_STEP)
    )
    slope = np.where(np.isfinite(slow - fast), (slow - fast) / (2 * _SPEED_STEP), 0.0)
    return np.asarray(RUN_TO_RUN_CV**2 * np.outer(slope, slope))


def _whitening(observation: StepObservation, noise: Floats) -> Floats:
    """What makes differences of the used places standard: the inverse Cholesky factor of their covariance."""
    used = np.flatnonzero(np.isfinite(observation.values))
    shrunk = _SHRINKAGE * noise + (1 - _SHRINKAGE) * np.diag(np.diag(noise))
    covariance = shrunk + np.diag(observation.view.floors**2 + observation.rounding**2)
    factor = linalg.cholesky(covariance[np.ix_(used, used)], lower=True)
    matrix = np.zeros((used.size, len(observation.values)))
    matrix[:, used] = linalg.solve_triangular(factor, np.eye(used.size), lower=True)
    return matrix


def _standardised(difference: Floats, matrix: Floats) -> Floats:
    missing = ~np.isfinite(difference)
    found = matrix @ np.where(missing, 0.0, difference)
    hidden = missing & (np.abs(matrix).sum(axis=0) > 0)
    if hidden.any():
        found = found + _NOT_SHOWN / math.sqrt(len(found))
    return np.asarray(found)
