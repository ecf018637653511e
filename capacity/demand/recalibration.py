"""Intervals made wider where the backtest shows that they are too narrow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.demand.history import Floats
from capacity.demand.quantile_scores import MEDIAN, QUANTILES, in_order

LEAST_ORIGINS = 5


@dataclass(frozen=True)
class Recalibration:
    """By how much each quantile is moved away from the median, in logarithms of the load; all at least 0.

    Parameters
    ----------
    shifts : tuple of float
        One a quantile; 0 where nothing was changed.
    origins : int
        Independent origins that they rest on; 0: not recalibrated.
    """

    shifts: tuple[float, ...] = (0.0,) * len(QUANTILES)
    origins: int = 0

    def applied(self, quantiles: Floats) -> Floats:
        """The quantiles (last axis) in their new places, in order."""
        return in_order(quantiles + np.array([_side(place) * by for place, by in enumerate(self.shifts)]))


def recalibrate(forecasts: Floats, observed: Floats) -> Recalibration:
    """Shifts from past errors by conformalised quantile regression.

    A quantile tau is moved by the quantile tau (n + 1) / n of what past months
    lay beyond it, n the independent origins (Y. Romano, E. Patterson, E. Candes,
    NeurIPS 2019, each end by itself as in their theorem 2). Where n is too small
    for that (below 19 for 0.95, 99 for 0.99) it is the plain quantile tau, which
    promises nothing; what it is worth is measured by `leave_one_out`.
    Months are pooled, because few origins have none to spare; intervals are only
    made wider, because few origins cannot show that they are too wide.

    Parameters
    ----------
    forecasts : array, shape (origins, months, quantiles)
        Of the chosen way; logarithms.
    observed : array, shape (origins, months)
        NaN where nothing was observed.
    """
    known = np.isfinite(observed)
    n = int(known.any(axis=1).sum())
    if n == 0:
        return Recalibration()
    return Recalibration(tuple(_shift(forecasts[known], observed[known], at, n) for at in range(len(QUANTILES))), n)


def _side(place: int) -> float:
    return float(np.sign(place - MEDIAN))


def _shift(forecasts: Floats, observed: Floats, place: int, n: int) -> float:
    if place == MEDIAN:
        return 0.0
    beyond = _side(place) * (observed - forecasts[:, place])
    tau = QUANTILES[place] if place > MEDIAN else 1 - QUANTILES[place]
    corrected = tau * (n + 1) / n
    return max(0.0, float(np.quantile(beyond, corrected if corrected <= 1 else tau, method="higher")))


def leave_one_out(forecasts: Floats, observed: Floats) -> Floats:
    """Each origin's quantiles recalibrated from all other origins: what the recalibrated intervals are worth.

    Unchanged where fewer than five origins were observed. Shapes as in `recalibrate`.
    """
    if enough_origins(observed):
        every = np.arange(len(observed))
        made = [recalibrate(forecasts[every != one], observed[every != one]).applied(forecasts[one]) for one in every]
        return np.stack(made)
    return forecasts


def enough_origins(observed: Floats) -> bool:
    """Whether the origins with an observed month, shape (origins, months), are at least five."""
    return int(np.isfinite(observed).any(axis=1).sum()) >= LEAST_ORIGINS
