"""How well a fitted model's windows look like the measured ones: distances, quantile pairs, residuals over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from loadtests.recording import Recording
from simulations.calibration.result import CalibrationResult
from simulations.calibration.window_comparison import ComparedStep, compare_windows
from simulations.calibration.window_rows import Floats
from simulations.calibration.window_statistics import QUANTILES, WindowSummary, wasserstein

PAIRS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99)
"""Probabilities of the quantile pairs."""
_BAND = (0.05, 0.95)


@dataclass(frozen=True)
class QuantilePair:
    """One quantile of served residence times, measured and simulated (seconds).

    Parameters
    ----------
    probability : float
    measured_s, simulated_s : float
    low_s, high_s : float
        Between which nine in ten simulated windows have it.
    """

    probability: float
    measured_s: float
    simulated_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True)
class StepFit:
    """One step's goodness of fit.

    Parameters
    ----------
    step, users : int
    distance : float
        Wasserstein distance between measured and simulated residence times of served requests, over the
        simulated mean.
    noise : float
        The distance that nineteen in twenty simulated windows stay within: what sampling alone gives.
    pairs : tuple of QuantilePair
    """

    step: int
    users: int
    distance: float
    noise: float
    pairs: tuple[QuantilePair, ...] = field(repr=False)

    @property
    def fits(self) -> bool:
        """Whether sampling alone explains the distance."""
        return self.distance <= self.noise

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "fits": self.fits}


@dataclass(frozen=True)
class StepResiduals:
    """Standardised residuals over time at one step: measured minus simulated, over the simulated spread.

    Parameters
    ----------
    step, users : int
    time_s : tuple of float
        Middles of the intervals, on the recording's clock.
    residuals : dict of str to tuple of float
        Of ``throughput_rps``, ``shed_rps`` and ``mean_s``; NaN where an interval tells nothing.
    """

    step: int
    users: int
    time_s: tuple[float, ...]
    residuals: dict[str, tuple[float, ...]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def goodness_of_fit(fit: CalibrationResult, recording: Recording, *, seed: int = 3) -> tuple[StepFit, ...]:
    """Wasserstein distance and quantile pairs of every step with single requests.

    Parameters
    ----------
    fit : CalibrationResult
    recording : Recording
    seed : int, default 3
        Of the simulated windows.

    Returns
    -------
    tuple of StepFit
    """
    return fits_of(compare_windows(fit, recording, seed=seed))


def residuals_over_time(fit: CalibrationResult, recording: Recording, *, seed: int = 3) -> tuple[StepResiduals, ...]:
    """Standardised residuals in intervals of about 2 s, of every step with single requests.

    Parameters
    ----------
    fit : CalibrationResult
    recording : Recording
    seed : int, default 3
        Of the simulated windows.

    Returns
    -------
    tuple of StepResiduals
    """
    return residuals_of(compare_windows(fit, recording, seed=seed))


def fits_of(compared: Sequence[ComparedStep]) -> tuple[StepFit, ...]:
    """As `goodness_of_fit`, for windows that are already simulated."""
    return tuple(_fit_of(item, measured) for item, measured in _with_served(compared))


def residuals_of(compared: Sequence[ComparedStep]) -> tuple[StepResiduals, ...]:
    """As `residuals_over_time`, for windows that are already simulated."""
    return tuple(_residuals(item, item.measured) for item in compared if item.measured is not None)


def distances(item: ComparedStep, measured: WindowSummary) -> tuple[float, Floats]:
    """The measured window's distance from the simulated mean quantiles, and those of the simulated windows.

    Each simulated window is compared with the mean of the others, as the measured one is with all.
    """
    windows = _quantiles(item)
    total, count = windows.sum(axis=0), len(windows)
    scale = float(total.mean()) / count
    others = [wasserstein(one, (total - one) / (count - 1)) / scale for one in windows]
    return wasserstein(measured.quantiles_s, total / count) / scale, np.array(others)


def _quantiles(item: ComparedStep) -> Floats:
    windows = np.array([one.quantiles_s for one in item.simulated])
    return np.asarray(windows[np.all(np.isfinite(windows), axis=1)])


def _with_served(compared: Sequence[ComparedStep]) -> Iterator[tuple[ComparedStep, WindowSummary]]:
    """Steps in which requests were served, as measured and in the model."""
    for item in compared:
        if item.measured is not None and np.all(np.isfinite(item.measured.quantiles_s)) and len(_quantiles(item)) > 1:
            yield item, item.measured


def _fit_of(item: ComparedStep, measured: WindowSummary) -> StepFit:
    distance, noise = distances(item, measured)
    return StepFit(
        item.step.step, item.step.users, distance, float(np.quantile(noise, _BAND[1])), _pairs(item, measured)
    )


def _pairs(item: ComparedStep, measured: WindowSummary) -> tuple[QuantilePair, ...]:
    windows = _quantiles(item)
    middle = windows.mean(axis=0)
    low, high = np.quantile(windows, _BAND, axis=0)
    curves = (measured.quantiles_s, middle, low, high)
    rows = np.array([[np.interp(p, QUANTILES, curve) for curve in curves] for p in PAIRS]).tolist()
    return tuple(QuantilePair(p, *row) for p, row in zip(PAIRS, rows, strict=True))


def _residuals(item: ComparedStep, measured: WindowSummary) -> StepResiduals:
    names = tuple(measured.series)
    count = len(measured.series[names[0]])
    length_s = item.compared_s / count
    times = tuple(float(item.step.start_s + (place + 0.5) * length_s) for place in range(count))
    least = {name: 1.0 / length_s if name.endswith("_rps") else 1e-9 for name in names}
    found = {
        name: _standardised(measured.series[name], [one.series[name] for one in item.simulated], least[name])
        for name in names
    }
    return StepResiduals(item.step.step, item.step.users, times, found)


def _standardised(measured: Floats, simulated: Sequence[Floats], least: float) -> tuple[float, ...]:
    """Over the spread of intervals in all windows; of a rate at least that of one request an interval."""
    values = np.concatenate(list(simulated))
    values = values[np.isfinite(values)]
    if not values.size:
        return (math.nan,) * measured.size
    return tuple(((measured - values.mean()) / max(float(values.std()), least)).tolist())
