"""The latest orders that scenarios allow: months until a fleet is exceeded, less the lead time, and their quantile."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from capacity.planning.scenarios import Scenarios

Floats = NDArray[np.float64]


def slack_months(scenarios: Scenarios, needed: Floats) -> Floats:
    """Latest month of an order by scenario, for fleets that are exceeded after `needed` months.

    Where demand stays below a fleet to the end of the projection, it is taken to exceed it right after: to be safe.

    Parameters
    ----------
    scenarios : Scenarios
    needed : array, shape (scenarios, fleets)
        As of `Scenarios.first_passages`: infinite where a fleet is never exceeded.

    Returns
    -------
    array, shape (scenarios, fleets)
    """
    last = scenarios.months - 1.0
    return np.asarray(np.where(np.isinf(needed), last, needed) - scenarios.lead_time_months[:, None])


def is_due(needed: Floats, risk: float) -> NDArray[np.bool_]:
    """Whether more than a share of `risk` of the scenarios exceed a fleet within the projection, shape (fleets,)."""
    return np.asarray(np.isfinite(needed).mean(axis=0) > risk)


def rank_at(risk: float, count: int) -> int:
    """Place, in ascending order, of the latest order below which no more than a share of `risk` lies."""
    return min(math.floor(risk * count), count - 1)
