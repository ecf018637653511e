"""Cost against risk: what each shape costs as more or fewer instances are bought, and how often they are too few."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from loadtests.foundation.exact_numbers import Number

RISKS = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Of a month, at which fleets are tried."""


@dataclass(frozen=True)
class FrontierPoint:
    """Fleets of one shape in all months: what they cost, and how likely they are too few.

    Parameters
    ----------
    shape : str
    probability : float
        With which each month's peak is carried at least.
    least_instances, most_instances : int
        Of the months.
    instance_hours : int
    cost : float
    risk : float
        Share of the draws in which the peak of any month is not carried.
    is_efficient : bool
        Whether nothing else costs less at no more risk, or risks less at no more cost.
    """

    shape: str
    probability: Number
    least_instances: int
    most_instances: int
    instance_hours: int
    cost: int | float
    risk: int | float
    is_efficient: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def with_efficiency(points: Iterable[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    """The same points, those marked that no other one beats."""
    every, efficient, least = tuple(points), set(), math.inf
    for cost, risk in sorted({(point.cost, point.risk) for point in every}):
        if risk < least:
            efficient.add((cost, risk))
            least = risk
    return tuple(replace(point, is_efficient=(point.cost, point.risk) in efficient) for point in every)
