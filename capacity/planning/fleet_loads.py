"""What fleets carry together under constraints, in loads of one instance: the sizes that order dates are about.

Every constraint asks in proportion to the peak, so one instance carries the least of its capacity and of what its
cores, memory, pools and line allow, and n instances carry what the rules of the fleet leave of n times that
(`capacity.planning.constraints.largest_load`). The capacity may be uncertain; all else is stated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from capacity.planning.constraint_report import Ceiling
from capacity.planning.constraint_uses import resource_asks
from capacity.planning.constraints import NO_RULES, fleet_ceilings, left_by_losses, required_fleet
from capacity.planning.fleet_rules import FleetRules
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.units import Quantity

if TYPE_CHECKING:
    from capacity.planning.plan_constraints import PlanConstraints

Floats = NDArray[np.float64]
_NEARLY = 0.99


@dataclass(frozen=True)
class FleetLoads:
    """What one instance and what fleets carry. Made by `fleets_under`; without arguments n carry n times one.

    Parameters
    ----------
    rules : FleetRules, optional
    most_each : Fraction, optional
        Peak that an instance carries at most, whatever its capacity, in the quantity of the plan.
    bound_by : str, optional
        Name of the constraint that says so.
    ceiling : Ceiling, optional
        The lowest that more instances cannot pass.
    """

    rules: FleetRules = NO_RULES
    most_each: Fraction | None = None
    bound_by: str | None = None
    ceiling: Ceiling | None = None

    @property
    def limit(self) -> float:
        """Load in single instances that no number of them carries: by contention, else infinite."""
        factor = float(self.rules.loss_safety_factor) if self._has_losses else 1.0
        return 1.0 / (float(self.rules.contention) * factor) if self.rules.contention else math.inf

    @property
    def most_useful(self) -> float:
        """Instances beyond which more add less than a hundredth of `limit`; infinite without contention."""
        shared = float(self.rules.contention)
        return math.inf if shared == 0.0 else math.ceil(_NEARLY / (1.0 - _NEARLY) * (1.0 - shared) / shared) + 1

    def each(self, capacity: Floats) -> Floats:
        """Load that one instance carries, by its capacity."""
        return capacity if self.most_each is None else np.minimum(capacity, float(self.most_each))

    def carried(self, counts: Sequence[int], safety_factor: float = 1.0) -> Floats:
        """Load, in single instances, that fleets carry by the factor and after every loss; never falls with the count.

        The same as `capacity.planning.constraints.largest_load`, in floating point.
        """
        whole = self._together(np.asarray(counts, dtype=np.float64)) / safety_factor
        left = [list(left_by_losses(int(count), self.rules).values()) for count in counts] if self._has_losses else []
        if not left:
            return whole
        kept = self._together(np.maximum(np.array(left, dtype=np.float64).min(axis=1), 0.0))
        return np.minimum(whole, kept / float(self.rules.loss_safety_factor))

    @property
    def _has_losses(self) -> bool:
        return bool(left_by_losses(1, self.rules))

    def _together(self, counts: Floats) -> Floats:
        return counts / (1.0 + float(self.rules.contention) * (counts - 1.0))

    def required(self, peak: Number, capacity: Number, safety_factor: Fraction) -> int | None:
        """Fewest instances of a capacity for a peak, exactly; None: no number is enough."""
        load = exact("peak", peak) / exact("capacity", capacity)
        if self.most_each is not None:
            load = max(load, exact("peak", peak) / self.most_each)
        return required_fleet(load, self.rules, safety_factor)


ALONE = FleetLoads()
"""n instances carry n times one."""


def fleets_under(inputs: PlanConstraints, quantity: Quantity) -> FleetLoads | None:
    """What a plan's constraints leave of its fleets, beside the planned capacity; None where nothing is left.

    Parameters
    ----------
    inputs : PlanConstraints
    quantity : Quantity
        Of the plan.

    Returns
    -------
    FleetLoads, optional
    """
    asks = resource_asks(inputs.per_unit.peaked(quantity, 1), inputs.limits)
    filled = [(ask.instances, ask.name) for ask in asks if ask.name != quantity]  # the planned capacity is drawn
    if any(share is None for share, _ in filled):
        return None
    ceilings = fleet_ceilings(inputs.limits, inputs.rules)
    ceiling = ceilings[0] if ceilings else None
    share, name = max(((share or Fraction(0), name) for share, name in filled), default=(Fraction(0), ""))
    if share == 0:
        return FleetLoads(inputs.rules, ceiling=ceiling)
    return FleetLoads(inputs.rules, 1 / share, name, ceiling)
