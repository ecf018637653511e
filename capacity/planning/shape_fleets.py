"""The fleets of one shape: how many instances each month needs at a probability, what they cost, how often they do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from capacity.demand.wording import counted, percent
from capacity.planning.constraint_report import Ceiling
from capacity.planning.constraints import fleet_ceilings, largest_load, required_fleet
from capacity.planning.frontier import RISKS, FrontierPoint
from capacity.planning.shape_choice import HOURS_A_MONTH, MonthlyFleet
from capacity.planning.shape_inputs import ShapeCase
from capacity.planning.shapes import InstanceShape, ShapeCapacity
from capacity.planning.uncertain import Floats, summarised
from loadtests.foundation.exact_numbers import Number, exact, plain
from loadtests.foundation.intervals import Interval

ENOUGH_BEYOND = 10
"""Draws that should lie beyond a probability."""
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class ShapeFleets:
    """One shape in all draws.

    Parameters
    ----------
    case : ShapeCase
    shape : InstanceShape
    peak_draws : dict of int to array
        Of every month, the same for all shapes.
    """

    case: ShapeCase
    shape: InstanceShape
    peak_draws: dict[int, Floats]

    @cached_property
    def capacity_draws(self) -> Floats:
        """Load of one instance by draw."""
        return self.case.capacity_draws(self.shape.name)

    @cached_property
    def loads(self) -> dict[int, Floats]:
        """Instances that the peak fills, by month and draw; infinite where an instance carries nothing."""
        return {month: _filled(peak, self.capacity_draws) for month, peak in self.peak_draws.items()}

    @cached_property
    def _ranks(self) -> dict[int, NDArray[np.intp]]:
        return {month: np.argsort(load, kind="stable") for month, load in self.loads.items()}

    @cached_property
    def ceiling(self) -> Ceiling | None:
        """The lowest ceiling on the number of instances."""
        return next(iter(fleet_ceilings(self.shape.limits, self.case.question.rules)), None)

    @cached_property
    def capacity(self) -> Interval:
        """Of one instance: low, mid and high, ended by the resources of `per_unit`."""
        stated, most = summarised(self.case.capacities[self.shape.name]), self.case.most_by_resources(self.shape.name)
        low, mid, high = (min(float(most), end) for end in (stated.low, stated.mid, stated.high))
        return Interval(low, mid, high, stated.level, stated.kind)

    def at(self, probability: Number) -> tuple[MonthlyFleet, ...]:
        """The fewest instances of each month whose peak they carry in at least this share of the draws."""
        rank = math.ceil(exact("probability", probability) * self.case.question.draws) - 1
        return tuple(self._fleet(month, int(self._ranks[month][rank])) for month in self.peak_draws)

    def _fleet(self, month: int, row: int) -> MonthlyFleet:
        """What carries the month in the future of this draw."""
        count = self._needed(float(self.peak_draws[month][row]), float(self.capacity_draws[row]))
        if count is None:
            return MonthlyFleet(month, None, None, None, None)
        share = float(self._carried(count, month).mean()) if self.case.is_uncertain else None
        return MonthlyFleet(month, count, share, count * HOURS_A_MONTH, plain(self._cost(month, count)))

    def _needed(self, peak: float, capacity: float) -> int | None:
        """Instances, at least one, under the rules and with the factor, exactly; None when no number carries it."""
        filled = self.case.exact_load(peak, capacity, self.shape.name)
        fleet = None if filled is None else required_fleet(filled, self.case.question.rules, self._factor)
        return None if fleet is None else max(1, fleet)

    @cached_property
    def _factor(self) -> Fraction:
        return exact("safety_factor", self.case.question.safety_factor)

    def _cost(self, month: int, count: int) -> Fraction:
        return count * self._prices[month]

    @cached_property
    def _prices(self) -> dict[int, Fraction]:
        """Of one instance, by month."""
        return {
            month: HOURS_A_MONTH * exact("price_per_hour", self.shape.price_in(month) or 0) for month in self.peak_draws
        }

    def cost_of(self, fleets: Iterable[MonthlyFleet]) -> int | float:
        """Cost of all months."""
        return plain(sum((self._cost(fleet.month, fleet.instances or 0) for fleet in fleets), Fraction(0)))

    def _carried(self, count: int, month: int) -> NDArray[np.bool_]:
        most = float(largest_load(count, self.case.question.rules, self._factor))
        return np.asarray(self.loads[month] <= most * (1 + _ROUNDING), dtype=bool)

    def carried_in_all(self, fleets: tuple[MonthlyFleet, ...]) -> float | None:
        """Share of the draws in which every month's peak is carried; None without a fleet, or where nothing varies."""
        if not self.case.is_uncertain or any(fleet.instances is None for fleet in fleets):
            return None
        each = [self._carried(fleet.instances or 0, fleet.month) for fleet in fleets]
        return float(np.all(each, axis=0).mean())

    def obstacle(self, fleets: tuple[MonthlyFleet, ...]) -> str:
        """Why these fleets will not do; empty where they will."""
        given = self.case.given[self.shape.name]
        if isinstance(given, ShapeCapacity) and given.capacity is None:
            return given.reason or "it carries nothing within the objective"
        for fleet in fleets:
            if fleet.instances is None:
                return self._carries_nothing(fleet.month)
            if self.ceiling is not None and fleet.instances > self.ceiling.most_instances:
                return (
                    f"passes {self.ceiling.name} in month {fleet.month}: {counted(fleet.instances, 'instance')} "
                    f"needed, at most {self.ceiling.most_instances:,} allowed ({self.ceiling.formula})"
                )
        return ""

    def _carries_nothing(self, month: int) -> str:
        share = percent(float((self.capacity_draws == 0).mean()))
        asked = percent(exact("probability", self.case.question.probability))
        return f"carries nothing in {share} of the draws: no number of instances carries month {month} with {asked}"

    def cost_in(self, growth: str, end: str) -> int | float | None:
        """Cost of all months at one end of the growth and one of the capacity; None where it cannot carry them."""
        capacity, total = getattr(summarised(self.case.capacities[self.shape.name]), end), Fraction(0)
        for month, peak in self.case.peaks.items():
            count = self._needed(getattr(summarised(peak), growth), capacity)
            if count is None or (self.ceiling is not None and count > self.ceiling.most_instances):
                return None
            total += self._cost(month, count)
        return plain(total)


def frontier_points(fleets: ShapeFleets) -> list[FrontierPoint]:
    """A shape at every risk that ten draws or more lie beyond, each fleet once, the cheapest first.

    The asked probability goes before the others: fleets that it shares with them belong to it.
    """
    asked, draws = fleets.case.question.probability, fleets.case.question.draws
    tried = [asked, *(plain(1 - exact("risk", risk)) for risk in RISKS if risk * draws >= ENOUGH_BEYOND)]
    found: dict[tuple[int | None, ...], FrontierPoint] = {}
    for probability in tried:
        months = fleets.at(probability)
        counts, carried = tuple(month.instances for month in months), fleets.carried_in_all(months)
        if carried is not None and counts not in found and not fleets.obstacle(months):
            known = [count for count in counts if count is not None]
            found[counts] = FrontierPoint(
                fleets.shape.name, probability, min(known), max(known), sum(known) * HOURS_A_MONTH,
                fleets.cost_of(months), plain(1 - carried),
            )  # fmt: skip
    return sorted(found.values(), key=lambda point: (point.cost, point.instance_hours))


def _filled(peak: Floats, capacity: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(peak > 0, peak / capacity, 0.0), dtype=float)
