"""Models drawn from a calibration's uncertainty: joint parameters, limits, and a server's speed from run to run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.comparison.rule import RUN_TO_RUN_CV
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from simulations.calibration.problem import build_model
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
        Limits that were estimated are drawn too; with other workers the service time moves
        along the ridge on which saturation and light load stay as measured.
    """
    rng = generator(seed, 4)
    rows = rng.integers(0, len(fit.draws.values), count)
    speed = np.exp(RUN_TO_RUN_CV * rng.standard_normal(count))
    return [_drawn_model(fit, fit.draws.values[row], factor, rng) for row, factor in zip(rows, speed, strict=True)]


def _drawn_model(
    fit: CalibrationResult, row: NDArray[np.float64], speed: float, rng: np.random.Generator
) -> ServerModel:
    mean_s, cv, round_trip_s = (float(value) for value in row)
    limits = {
        name: _drawn_limit(fit.parameters[name], rng) for name in ("workers", "gate_limit") if name in fit.parameters
    }
    if "workers" in limits:
        moved_s = mean_s * limits["workers"] / fit.parameters["workers"].mid
        round_trip_s = max(mean_s + round_trip_s - moved_s, 0.1 * round_trip_s)
        mean_s = moved_s
    deployment = fit.model.deployment.with_limits(**limits)
    return build_model(deployment, fit.family, np.array([mean_s * speed, cv, round_trip_s]))


def _drawn_limit(interval: Interval, rng: np.random.Generator) -> int:
    """A whole number, normal around the estimate with the interval's width."""
    z = float(special.ndtri(0.5 + interval.level / 2))
    side = rng.standard_normal()
    sd = ((interval.high - interval.mid) if side > 0 else (interval.mid - interval.low)) / z
    return max(1, round(interval.mid + side * sd))
