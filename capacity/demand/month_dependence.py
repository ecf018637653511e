"""How the months of a growth depend on each other, within their ranges.

The position of a month in its range, as a standard normal number x, has two parts: x = sqrt(1 - w) p + sqrt(w) e. The
lasting part p moves from month to month with correlation r, p = r p' + sqrt(1 - r^2) e'; the other belongs to the month
alone. It is a Gaussian copula whose months are a first-order autoregression seen through noise, the shape of a level
that wanders below peaks that scatter around it [1]_. With w = 0 and r = 1 a low path stays low.

References
----------
.. [1] A. C. Harvey, *Forecasting, Structural Time Series Models and the Kalman Filter*, 1989, section 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from loadtests.foundation.checks import finite
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import plain

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MonthDependence:
    """How one month's place in its range depends on the month before.

    Parameters
    ----------
    own_share : float, default 0
        Share of the variance (of the logarithm) that belongs to this month alone, 0 to 1.
    persistence : float, default 1
        Correlation of the rest with that of the month before, 0 to 1.

    Raises
    ------
    InputError
        For numbers outside 0 to 1.
    """

    own_share: float = 0.0
    persistence: float = 1.0

    def __post_init__(self) -> None:
        for name in ("own_share", "persistence"):
            value = finite(name, getattr(self, name))
            if not 0.0 <= value <= 1.0:
                raise InputError(f"{name} is {value:g}; it must lie between 0 and 1.")
            object.__setattr__(self, name, plain(value))

    def to_dict(self) -> dict[str, Any]:
        """JSON form; empty where a path keeps its place."""
        return {} if self == KEPT else {"own_share": self.own_share, "persistence": self.persistence}


KEPT = MonthDependence()
"""A path keeps its place from the month before: low stays low."""


def positions(first: Floats, months: Sequence[MonthDependence], rng: np.random.Generator) -> Floats:
    """Standard normal positions by path and month, those of a month spread evenly.

    Each month's are put on the midpoints of as many equal parts of the distribution, in their order: so its quantiles
    have no error of sampling, as in a Latin hypercube (R. L. Iman, W. J. Conover, Communications in Statistics B11(3),
    1982).

    Parameters
    ----------
    first : array, shape (paths,)
        Of the lasting part in the first month.
    months : sequence of MonthDependence
    rng : numpy Generator

    Returns
    -------
    array, shape (paths, months)
        The months one after another in memory.
    """
    made = np.empty((len(months), first.size))
    even, lasting = ndtri((np.arange(first.size) + 0.5) / first.size), first
    for place, month in enumerate(months):
        if place and month.persistence < 1.0:
            fresh = np.sqrt(1.0 - month.persistence**2) * rng.standard_normal(first.size)
            lasting = month.persistence * lasting + fresh
        found = np.sqrt(1.0 - month.own_share) * lasting
        if month.own_share > 0.0:
            found += np.sqrt(month.own_share) * rng.standard_normal(first.size)
        made[place, np.argsort(found)] = even
    return made.T
