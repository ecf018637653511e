"""Models drawn from a calibration's uncertainty: joint parameters, limits, and a server's speed from run to run."""

from __future__ import annotations

import numpy as np

from loadtests.comparison.rule import RUN_TO_RUN_CV
from loadtests.foundation.seeds import generator
from simulations.calibration.result import CalibrationResult
from simulations.model.server_model import ServerModel

DRAWS = 100


def model_draws(fit: CalibrationResult, count: int, seed: int) -> list[ServerModel]:
    """Models drawn from the joint parameter uncertainty, each with its own run-to-run speed.

    Parameters
    ----------
    fit : CalibrationResult
    count : int
        Number of models.
    seed : int

    Returns
    -------
    list of ServerModel
        Limits that were estimated are drawn too, each with the times that go with it.
    """
    rng = generator(seed, 4)
    rows = rng.integers(0, len(fit.draws.values), count)
    speeds = np.exp(RUN_TO_RUN_CV * rng.standard_normal(count))
    return [_model(fit, int(row), float(speed)) for row, speed in zip(rows, speeds, strict=True)]


def estimate_draws(fit: CalibrationResult, count: int, seed: int) -> list[ServerModel]:
    """Models of the estimates alone, each with its own run-to-run speed.

    Parameters
    ----------
    fit : CalibrationResult
    count : int
    seed : int

    Returns
    -------
    list of ServerModel
    """
    numbers = {name: fit.parameters[name].mid for name in fit.form.names}
    speeds = np.exp(RUN_TO_RUN_CV * generator(seed, 4).standard_normal(count))
    return [fit.form.model_of(numbers, float(speed)) for speed in speeds]


def series_draws(
    fit: CalibrationResult, count: int, runs: int, seed: int, *, is_one_speed: bool
) -> list[list[ServerModel]]:
    """As `model_draws`, for several runs of one server: each draw has the same parameters in all of them.

    Parameters
    ----------
    fit : CalibrationResult
    count : int
        Number of draws.
    runs : int
        Runs that each draw is for.
    seed : int
    is_one_speed : bool
        Whether the server has one speed in all runs, or another in each.

    Returns
    -------
    list of list of ServerModel
        By draw, then by run.
    """
    rng = generator(seed, 4, int(is_one_speed))
    rows = rng.integers(0, len(fit.draws.values), count)
    errors = np.broadcast_to(rng.standard_normal((count, 1 if is_one_speed else runs)), (count, runs))
    speeds = np.exp(RUN_TO_RUN_CV * errors)
    return [
        [_model(fit, int(row), float(speed)) for speed in of_draw] for row, of_draw in zip(rows, speeds, strict=True)
    ]


def _model(fit: CalibrationResult, row: int, speed: float) -> ServerModel:
    return fit.form.model_of(dict(zip(fit.draws.names, fit.draws.values[row].tolist(), strict=True)), speed)
