"""Whether a server loses throughput with load in a way that its model does not hold.

The engines serve at constant speed, or share cores; no time grows with the number inside beyond that. A server whose
locks or caches cost more the more requests are inside is therefore described by the Universal Scalability Law, and
noticed where its coherency is beyond that of windows that the model shows: the law fitted to a line of workers, whose
throughput bends sharply where they are all busy, may find some coherency where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from simulations.analysis.usl import coherency_loss, fit_usl, quick_usl
from simulations.calibration.scalability import Scalability
from simulations.calibration.window_comparison import ComparedStep
from simulations.calibration.window_rows import Floats

_FEWEST_STEPS, _FEWEST_WINDOWS = 4, 10


def coherency_losses(compared: Sequence[ComparedStep]) -> tuple[float, Floats]:
    """Share of the throughput that coherency takes at the heaviest load: measured, and in simulated windows.

    Parameters
    ----------
    compared : sequence of ComparedStep

    Returns
    -------
    float, array
        NaN, and nothing, where fewer than four steps are known.
    """
    measured = _points([item.measured_value("goodput") for item in compared],
                       [item.measured_value("mean") for item in compared])  # fmt: skip
    if measured is None:
        return math.nan, np.empty(0)
    goodput = np.array([item.simulated_values("goodput") for item in compared]).T
    mean = np.array([item.simulated_values("mean") for item in compared]).T
    windows = [_points(rates, times) for rates, times in zip(goodput.tolist(), mean.tolist(), strict=True)]
    simulated = np.array([_loss(*points) for points in windows if points is not None])
    return _loss(*measured), simulated


def scalability_of(compared: Sequence[ComparedStep], level: float) -> Scalability | None:
    """The law through the measured steps, beside the model's windows.

    Parameters
    ----------
    compared : sequence of ComparedStep
    level : float
        Of the intervals.

    Returns
    -------
    Scalability or None
        None where fewer than four steps of users who think are known, the model shows too little, or the steps do
        not bound the law.
    """
    points = _points([item.measured_value("goodput") for item in compared],
                     [item.measured_value("mean") for item in compared])  # fmt: skip
    measured, simulated = coherency_losses(compared)
    if points is None or simulated.size < _FEWEST_WINDOWS:
        return None
    load, rate = points
    try:
        fit = fit_usl(load, rate, level=level)
    except (InputError, np.linalg.LinAlgError):
        return None
    if not np.isfinite([fit.alpha.high, fit.beta.high, fit.gamma.high]).all():
        return None
    modelled = Interval.from_draws(simulated, level=level, kind="prediction")
    return Scalability(fit.alpha, fit.beta, fit.gamma, measured, modelled, tuple(load.tolist()), tuple(rate.tolist()))


def _points(log_goodput: list[float], log_mean: list[float]) -> tuple[Floats, Floats] | None:
    """Served requests inside by Little's law, and served a second; None where too few steps are known."""
    rates, means = np.exp(np.array(log_goodput)), np.exp(np.array(log_mean))
    known = np.isfinite(rates) & np.isfinite(means) & (rates > 0) & (means > 0)
    if known.sum() < _FEWEST_STEPS:
        return None
    return rates[known] * means[known], rates[known]


def _loss(load: Floats, rate: Floats) -> float:
    return coherency_loss(quick_usl(load, rate), float(load.max()))
