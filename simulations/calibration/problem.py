"""The least-squares problem of a calibration: measured statistics against simulated ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from loadtests.deployment import Deployment
from loadtests.foundation.seeds import derive_key
from simulations.analysis.run_length import cycle_time_s, warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.calibration.observations import STATISTICS, Answers, StepObservation, statistics
from simulations.calibration.result import FAMILIES
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

Floats = NDArray[np.float64]

PARAMETERS = ("service_mean_s", "service_cv", "network_round_trip_s")
LOG_BOUNDS = (np.log([1e-6, 0.02, 1e-6]), np.log([1e3, 10.0, 1e2]))
"""Allowed values of the logarithms of `PARAMETERS`."""

SIMULATED_WINDOWS = 4.0
"""A simulated step sees about this many times the measured window."""

_NOT_SHOWN = np.where(np.array(STATISTICS) == "log_shed_latency", 2.0, 100.0)
"""Standard errors charged for a statistic that the model is too slow, or sheds too little, to show."""

_LEAST_REQUESTS, _MOST_REQUESTS = 20_000, 60_000
_MOST_WINDOWS = 30.0
_STEP = 0.02


def build_model(deployment: Deployment, family: str, values: Floats) -> ServerModel:
    """A model from parameter values in the order of `PARAMETERS`."""
    mean_s, cv, round_trip_s = (float(value) for value in values)
    return ServerModel(deployment, FAMILIES[family](mean_s, cv), round_trip_s)


@dataclass(frozen=True)
class Fit:
    """The best times under one deployment and one family."""

    deployment: Deployment
    family: str
    theta: Floats
    chi_square: float

    @property
    def model(self) -> ServerModel:
        """The server model of this fit."""
        return build_model(self.deployment, self.family, np.exp(self.theta))


class Problem:
    """Measured statistics against simulated ones."""

    def __init__(self, observations: tuple[StepObservation, ...], seed: int) -> None:
        self.observations = observations
        self.seed = seed
        self.measured = np.concatenate([item.values for item in observations])
        # The simulation sees more time than the measurement did; its own noise adds the rest.
        self.errors = np.concatenate([item.standard_errors for item in observations]) * math.sqrt(
            1 + 1 / SIMULATED_WINDOWS
        )
        self.used = np.isfinite(self.measured)

    @property
    def degrees_of_freedom(self) -> int:
        """Statistics used, less the fitted times."""
        return int(np.count_nonzero(self.used)) - len(PARAMETERS)

    def simulated(self, model: ServerModel) -> Floats:
        """The model's statistics at every step, in the order of `measured`."""
        return np.concatenate([simulate_step(model, item, self.seed) for item in self.observations])

    def residuals(self, model: ServerModel) -> Floats:
        """Standardised differences; one that was measured and that the model does not show costs `_NOT_SHOWN`."""
        found = self.simulated(model)
        with np.errstate(invalid="ignore"):
            difference = (found - self.measured) / self.errors
        missing = np.tile(_NOT_SHOWN, len(self.observations))
        return np.asarray(np.where(np.isfinite(difference), difference, missing)[self.used])

    def central_jacobian(self, best: Fit, step: float) -> Floats:
        """Derivatives of the residuals at a fit, by central differences with the same step in every log-parameter."""
        moves = step * np.eye(best.theta.size)
        columns = [(self._moved(best, move) - self._moved(best, -move)) / (2 * step) for move in moves]
        return np.stack(columns, axis=1)

    def _moved(self, fit: Fit, move: Floats) -> Floats:
        return self.residuals(build_model(fit.deployment, fit.family, np.exp(fit.theta + move)))

    def cost(self, deployment: Deployment, family: str, theta: Floats) -> float:
        """Chi-square at given times, without fitting."""
        found = self.residuals(build_model(deployment, family, np.exp(np.clip(theta, *LOG_BOUNDS))))
        return float(found @ found)

    def fit(self, deployment: Deployment, family: str, start: Floats, evaluations: int) -> Fit:
        """The best times under fixed limits, by trust-region least squares on their logarithms."""

        def residuals(theta: Floats) -> Floats:
            return self.residuals(build_model(deployment, family, np.exp(theta)))

        def jacobian(theta: Floats) -> Floats:
            here = residuals(theta)
            return np.stack([(residuals(theta + move) - here) / _STEP for move in _STEP * np.eye(theta.size)], axis=1)

        solution = optimize.least_squares(
            residuals,
            np.clip(start, *LOG_BOUNDS),
            jac=jacobian,
            max_nfev=evaluations,
            xtol=1e-4,
            ftol=1e-4,
            bounds=LOG_BOUNDS,
        )
        return Fit(deployment, family, solution.x, float(2 * solution.cost))


def simulate_step(model: ServerModel, observation: StepObservation, seed: int) -> Floats:
    """The statistics that the model shows at a step's load."""
    workload = ClosedWorkload(observation.users, observation.think_time)
    warm_up_s = warm_up_time_s(model, workload)
    served_rps = min(observation.users / cycle_time_s(model, workload), model.saturation_rps)
    wanted_s = np.clip(
        SIMULATED_WINDOWS * observation.window_s, _LEAST_REQUESTS / served_rps, _MOST_REQUESTS / served_rps
    )
    # A trial with absurdly slow service must not be simulated until it has served thousands.
    window_s = min(float(wanted_s), _MOST_WINDOWS * observation.window_s)
    length = RunLength(horizon_s=warm_up_s + window_s)
    log = simulate_log(model, workload, length, seed=derive_key(seed, 2, observation.step) >> 1)
    return _log_statistics(log, warm_up_s, warm_up_s + window_s)


def _log_statistics(log: RequestLog, from_s: float, until_s: float) -> Floats:
    answered = log.answered_s
    inside = (answered >= from_s) & (answered < until_s)
    answers = Answers(answered[inside], log.residence_s[inside], log.served[inside])
    return statistics(answers, until_s - from_s)
