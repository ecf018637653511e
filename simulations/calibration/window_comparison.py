"""Measured windows beside windows of the same length that the fitted model shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtests.foundation.distributions import Distribution
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.threads import mapped
from loadtests.recording import LoadStep, Recording
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.calibration.observations import has_closed_users
from simulations.calibration.prediction_draws import estimate_draws, model_draws
from simulations.calibration.result import CalibrationResult
from simulations.calibration.window_rows import Floats, rows_of_log, rows_of_step
from simulations.calibration.window_statistics import WindowSummary, summarise
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

WINDOWS = 40
"""Simulated windows a step, each with its own draw of the parameters."""
_LEAST_REQUESTS, _MOST_REQUESTS = 50, 40_000


@dataclass(frozen=True)
class ComparedStep:
    """One step as measured, and as the model shows it again and again.

    Parameters
    ----------
    step : LoadStep
    measured : WindowSummary or None
        None where its requests are not known one by one.
    simulated : tuple of WindowSummary
        One a draw of the parameters.
    rate_limited : int
        Requests answered 429 inside the window.
    knows_users : bool
        Whether its requests name their users.
    compared_s : float
        Length of the windows: the step's own, or what holds as many requests as are compared.
    """

    step: LoadStep
    measured: WindowSummary | None
    simulated: tuple[WindowSummary, ...] = field(repr=False)
    rate_limited: int
    knows_users: bool
    compared_s: float

    def measured_value(self, name: str) -> float:
        """A statistic as measured; levels also from the step's metrics where there are no single requests."""
        return self._level(name) if self.measured is None else self.measured.statistics[name]

    def simulated_values(self, name: str) -> Floats:
        """The same statistic in every simulated window; NaN where one cannot tell."""
        return np.array([item.statistics[name] for item in self.simulated])

    def _level(self, name: str) -> float:
        metric = {"goodput": "goodput_rps", "mean": "mean_s", "shed_rate": "shed_rate"}.get(name)
        value = self.step.metrics[metric].mid if metric in self.step.metrics else math.nan
        if name == "shed_rate" or math.isnan(value):
            return value
        return math.log(value) if value > 0 else math.nan


def compare_windows(fit: CalibrationResult, recording: Recording, *, seed: int = 3) -> tuple[ComparedStep, ...]:
    """Every step of a closed load beside `WINDOWS` windows from draws of the fitted model.

    Parameters
    ----------
    fit : CalibrationResult
    recording : Recording
        Steps that the fit has seen, or others.
    seed : int, default 3

    Returns
    -------
    tuple of ComparedStep
        Without the steps whose users are not known.
    """
    models = estimate_draws(fit, WINDOWS, seed) if _is_hopeless(fit) else model_draws(fit, WINDOWS, seed)
    return compare_draws(models, fit.think_time, recording, seed=seed)


def _is_hopeless(fit: CalibrationResult) -> bool:
    """Whether its draws are widened so far that nothing lies outside of what they show: it is refused in any case."""
    return any(item.code == "poor-fit" and item.severity == "critical" for item in fit.findings)


def compare_draws(
    models: Sequence[ServerModel], think: Distribution, recording: Recording, *, seed: int
) -> tuple[ComparedStep, ...]:
    """As `compare_windows`, from models of one's own.

    Parameters
    ----------
    models : sequence of ServerModel
        One a window.
    think : Distribution
    recording : Recording
    seed : int

    Returns
    -------
    tuple of ComparedStep
    """
    closed = [step for step in recording.steps if has_closed_users(recording, step)]
    return tuple(_compare(models, ClosedWorkload(step.users, think), recording, step, seed) for step in closed)


def _compare(
    models: Sequence[ServerModel], workload: ClosedWorkload, recording: Recording, step: LoadStep, seed: int
) -> ComparedStep:
    window_s = min(step.window_s, step.window_s * _MOST_REQUESTS / max(step.requests, 1))

    def window(asked: tuple[int, ServerModel]) -> WindowSummary:
        number, model = asked
        return _simulated(model, workload, window_s, derive_key(seed, 21, step.step, number) >> 1)

    simulated = tuple(mapped(window, list(enumerate(models))))
    rows = rows_of_step(recording, step, window_s)
    if rows.finished.sum() < min(_LEAST_REQUESTS, 0.5 * step.requests):
        return ComparedStep(step, None, simulated, step.outcomes.get("rate_limited", 0), False, window_s)
    rate_limited = int((rows.rate_limited & rows.finished).sum())
    return ComparedStep(step, summarise(rows), simulated, rate_limited, rows.knows_users, window_s)


def _simulated(model: ServerModel, workload: ClosedWorkload, window_s: float, seed: int) -> WindowSummary:
    warm_up_s = warm_up_time_s(model, workload)
    log = simulate_log(model, workload, RunLength(horizon_s=warm_up_s + window_s), seed=seed)
    return summarise(rows_of_log(log, workload.users, warm_up_s, window_s))
