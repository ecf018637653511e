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
    return [
        fit.form.model_of(dict(zip(fit.draws.names, fit.draws.values[row].tolist(), strict=True)), float(speed))
        for row, speed in zip(rows, speeds, strict=True)
    ]
