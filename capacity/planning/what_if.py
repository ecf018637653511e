"""What moves a plan most, plans over grids of inputs, and what would have to be true for a fleet to last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from itertools import product, zip_longest
from typing import TYPE_CHECKING, Any

from capacity.demand.growth import GrowthProjection
from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.wording import amount, html_table, text_table
from capacity.planning.constraints import largest_load
from capacity.planning.fleet_loads import FleetLoads
from capacity.planning.instance_formula import checked_factor
from capacity.planning.ordering import fleets_of_plan
from capacity.planning.plan import CapacityPlan
from capacity.planning.planner import plan_capacity
from capacity.planning.policy import PlanningPolicy
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain
from simulations.analysis.capacity_curve import InstanceCapacity

if TYPE_CHECKING:
    import pandas as pd

    from capacity.planning.plan_constraints import MonthConstraints, PlanConstraints

ASSUMED_CHANGE = 0.1
"""Inputs without a range are moved by this share up and down, and marked as such."""
_HEADER = ("input", "from", "to", "instances at its low", "at its high", "")


@dataclass(frozen=True)
class Swing:
    """How far one input moves the number of instances, the others at their central values.

    Parameters
    ----------
    name : str
    low, high : float
        Ends of the input.
    at_low, at_high : int, optional
        Instances that the formula, or the plan's constraints, ask for at these ends; None: no number is enough.
    is_assumed : bool
        True: the input has no range of its own and was moved by `ASSUMED_CHANGE`.
    """

    name: str
    low: float
    high: float
    at_low: int | None
    at_high: int | None
    is_assumed: bool

    @property
    def width(self) -> float:
        """Instances between the ends; infinite where no number is enough at one of them alone."""
        if self.at_low is None or self.at_high is None:
            return 0.0 if self.at_low is self.at_high else math.inf
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True)
class Sensitivity:
    """Swings of a month's instances, the widest first: what a tornado chart shows.

    Parameters
    ----------
    month : int
    instances : int, optional
        At the central values of all inputs, at the middle of the safety factors; None: no number is enough.
    swings : tuple of Swing
    """

    month: int
    instances: int | None
    swings: tuple[Swing, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"month": self.month, "instances": self.instances, "swings": [vars(item) for item in self.swings]}

    def to_frame(self) -> pd.DataFrame:
        """One row an input: name, low, high, at_low, at_high, is_assumed."""
        import pandas as pd

        return pd.DataFrame([vars(item) for item in self.swings])

    def summary(self) -> str:
        """A table for people."""
        return f"{self.title}\n{text_table(_HEADER, self._rows())}"

    @property
    def title(self) -> str:
        """What is shown."""
        if self.instances is None:
            return f"No number of instances is enough in month {self.month}"
        return f"What moves the {self.instances:,} instances of month {self.month}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                item.name, amount(item.low), amount(item.high), _count(item.at_low), _count(item.at_high),
                f"no range stated: {ASSUMED_CHANGE:.0%} up and down" if item.is_assumed else "",
            )
            for item in self.swings
        ]  # fmt: skip

    def _repr_html_(self) -> str:
        return html_table(_HEADER, self._rows(), self.title)


def _count(instances: int | None) -> str:
    return "none is enough" if instances is None else f"{instances:,}"


def sensitivity(plan: CapacityPlan, month: int | None = None) -> Sensitivity:
    """Move peak, capacity and safety factor one by one between their ends, under the plan's constraints.

    Parameters
    ----------
    plan : CapacityPlan
    month : int, optional
        Default: the last.

    Returns
    -------
    Sensitivity

    Raises
    ------
    InputError
        For a month that the plan does not have.
    """
    peak = _month_of(plan, month)
    capacity = plan.instance_capacity.value
    first, last = (float(factor) for factor in plan.policy.safety_factor)
    mid = {
        "peak": float(peak.peak),
        "instance capacity": float(capacity.mid),
        "safety factor": plain((first + last) / 2),
    }
    ends = {
        "peak": _ends(peak.peak, peak.low, peak.high),
        "instance capacity": _ends(capacity.mid, capacity.low, capacity.high),
        "safety factor": (first, last, False)
        if first < last
        else (plain(max(0.9 * first, 1.0)), plain(1.1 * first), True),
    }
    fleets = fleets_of_plan(plan)
    swings = [
        Swing(name, low, high, _instances({**mid, name: low}, fleets), _instances({**mid, name: high}, fleets), assumed)
        for name, (low, high, assumed) in ends.items()
    ]
    return Sensitivity(peak.month, _instances(mid, fleets), tuple(sorted(swings, key=lambda item: -item.width)))


def _ends(mid: float, low: float | None, high: float | None) -> tuple[float, float, bool]:
    if low is None or high is None or low == high:
        return plain((1 - ASSUMED_CHANGE) * mid), plain((1 + ASSUMED_CHANGE) * mid), True
    return float(low), float(high), False


def _instances(inputs: Mapping[str, float], fleets: FleetLoads | None) -> int | None:
    factor = checked_factor(inputs["safety factor"])
    return None if fleets is None else fleets.required(inputs["peak"], inputs["instance capacity"], factor)


def _month_of(plan: CapacityPlan, month: int | None) -> MonthlyPeak:
    months = plan.growth.monthly(plan.policy.interpolation)
    chosen = months[-1].month if month is None else whole("month", month)
    if chosen >= len(months):
        raise InputError(f"The plan ends with month {months[-1].month}; month {chosen} is beyond it.")
    return months[chosen]


@dataclass(frozen=True)
class Condition:
    """A number that would have to be true, the others staying as they are.

    Parameters
    ----------
    name : str
        ``growth_percent_per_month``, ``peak``, ``instance_capacity`` or ``safety_factor``.
    bound : float
        The largest that still works, or the smallest; what nothing meets (-100 % of growth, an infinite capacity, a
        factor of 0) where another input must change first.
    is_upper : bool
        Whether `bound` is a largest.
    stated : float
        What the plan says.
    """

    name: str
    bound: float
    is_upper: bool
    stated: float

    @property
    def holds(self) -> bool:
        """Whether what is stated keeps the bound."""
        return self.stated <= self.bound if self.is_upper else self.stated >= self.bound

    @property
    def text(self) -> str:
        """For people."""
        if math.isinf(self.bound):
            return f"{self.name.replace('_', ' ')}: none is enough (stated: {amount(self.stated)}; does not hold)"
        sign = "at most" if self.is_upper else "at least"
        verdict = "holds" if self.holds else "does not hold"
        return f"{self.name.replace('_', ' ')} {sign} {amount(self.bound)} (stated: {amount(self.stated)}; {verdict})"


def conditions_for(
    plan: CapacityPlan, fleet: int, month: int, safety_factor: float | None = None
) -> tuple[Condition, ...]:
    """What would have to be true for a fleet to last until a month, that month included, one input at a time.

    With n instances of capacity C and a factor f every peak P until then must satisfy P f <= n C: the largest one
    counts. Under the plan's constraints n C is what those leave of it, and what no bound of an input can mend is a
    bound that nothing meets. The growth is the compound one from today's peak to the month m of the largest peak after
    today: (n C / (f P(0)))^(1/m) - 1.

    Parameters
    ----------
    plan : CapacityPlan
    fleet : int
        Instances, at least 1.
    month : int
        1 to the plan's last.
    safety_factor : float, optional
        Default: the low one of the policy.

    Returns
    -------
    tuple of Condition

    Raises
    ------
    InputError
        For month 0, a month that the plan does not have, a fleet below 1 and a factor below 1.
    """
    count, last = whole("fleet", fleet, least=1), _month_of(plan, whole("month", month, least=1)).month
    factor = checked_factor(plan.policy.safety_factor[0] if safety_factor is None else safety_factor)
    one = exact("capacity", plan.instance_capacity.value.low)
    held = _Held.of(plan, count)
    first, *later = plan.growth.monthly(plan.policy.interpolation)[: last + 1]
    at = max(later, key=lambda item: item.peak)
    today, then = exact("peak", first.peak), exact("peak", at.peak)
    peak, largest = max(today, then), held.peak(one, factor)

    def compound(end: float) -> float:
        return 100.0 * math.expm1(math.log(end / float(today)) / at.month) if end > 0 else -100.0

    growth = compound(float(largest)) if today <= largest else -100.0
    return (
        Condition("growth_percent_per_month", growth, True, compound(float(then))),
        Condition("peak", _inside(largest, ROUND_FLOOR), True, plain(peak)),
        Condition("instance_capacity", held.capacity(peak, factor), False, plain(one)),
        Condition("safety_factor", held.factor(peak, one), True, plain(factor)),
    )


@dataclass(frozen=True)
class _Held:
    """What a fleet carries, in exact arithmetic.

    Parameters
    ----------
    fleets : FleetLoads, optional
        None: the constraints leave nothing.
    count : int
        Instances, of which a ceiling lets no more run.
    """

    fleets: FleetLoads | None
    count: int

    @classmethod
    def of(cls, plan: CapacityPlan, count: int) -> _Held:
        fleets = fleets_of_plan(plan)
        ceiling = None if fleets is None else fleets.ceiling
        return cls(fleets, count if ceiling is None else min(count, ceiling.most_instances))

    def peak(self, one: Fraction, factor: Fraction) -> Fraction:
        """Largest peak, of instances with this capacity."""
        return self._each(one) * self._load(factor)

    def capacity(self, peak: Fraction, factor: Fraction) -> float:
        """Smallest capacity for a peak; infinite where none is enough."""
        load = self._load(factor)
        most = math.inf if self.fleets is None or self.fleets.most_each is None else self.fleets.most_each
        needed = peak / load if load else None
        return math.inf if needed is None or needed > most else _inside(needed, ROUND_CEILING)

    def factor(self, peak: Fraction, one: Fraction) -> float:
        """Largest factor for a peak; 0 where a loss, which has a factor of its own, is not survived by any."""
        if self.fleets is None or self.count == 0:
            return 0.0
        most = self._each(one) * self.fleets.rules.carried(self.count) / peak
        return _inside(most, ROUND_FLOOR) if self.peak(one, most) >= peak else 0.0

    def _each(self, one: Fraction) -> Fraction:
        most = None if self.fleets is None else self.fleets.most_each
        return one if most is None else min(one, most)

    def _load(self, factor: Fraction) -> Fraction:
        return Fraction(0) if self.fleets is None else largest_load(self.count, self.fleets.rules, factor)


def _inside(bound: Fraction, rounding: str) -> float:
    """A bound of 12 significant digits that still works."""
    if bound == 0:
        return 0.0
    digits = Context(prec=12, rounding=rounding)
    return plain(Fraction(digits.divide(Decimal(bound.numerator), Decimal(bound.denominator))))


def plan_grid(
    growths: Mapping[str, GrowthProjection],
    capacities: Mapping[str, InstanceCapacity],
    policies: Mapping[str, PlanningPolicy] | None = None,
    constraints: PlanConstraints | None = None,
) -> pd.DataFrame:
    """A plan for every combination of named growths, capacities and policies.

    Parameters
    ----------
    growths, capacities : mapping of str
    policies : mapping of str, optional
        Default: the default policy.
    constraints : PlanConstraints, optional
        The same for all of them.

    Returns
    -------
    pandas.DataFrame
        One row a combination and month: growth, capacity, policy, month, peak, instances_low, instances_high, phase,
        deployed_min, deployed_max; under constraints also constrained_low, constrained_high (missing: no number is
        enough) and bound_by (at the high factor).

    Raises
    ------
    InputError
        When one of them is empty.
    """
    import pandas as pd

    chosen = {"default": PlanningPolicy()} if policies is None else policies
    for name, given in (("growths", growths), ("capacities", capacities), ("policies", chosen)):
        if not given:
            raise InputError(f"{name} is empty; give at least one, by a name.")
    every = product(growths.items(), capacities.items(), chosen.items())
    frame = pd.DataFrame([row for cell in every for row in _grid_rows(*cell, constraints)])
    return (
        frame if constraints is None else frame.astype(dict.fromkeys(("constrained_low", "constrained_high"), "Int64"))
    )


def _constrained(month: MonthConstraints) -> dict[str, Any]:
    return {
        "constrained_low": month.low.instances, "constrained_high": month.high.instances,
        "bound_by": month.high.binding.name,
    }  # fmt: skip


def _grid_rows(
    growth: tuple[str, GrowthProjection],
    capacity: tuple[str, InstanceCapacity],
    policy: tuple[str, PlanningPolicy],
    constraints: PlanConstraints | None,
) -> Iterator[dict[str, Any]]:
    plan = plan_capacity(growth[1], capacity[1], policy[1], constraints=constraints)
    months = () if plan.constraints is None else plan.constraints.months
    for step, month in zip_longest(plan.steps, months):
        bound = {} if month is None else _constrained(month)
        yield {
            "growth": growth[0], "capacity": capacity[0], "policy": policy[0], "month": step.month, "peak": step.peak,
            "instances_low": step.instances[0], "instances_high": step.instances[1], "phase": step.phase,
            "deployed_min": step.deployed.min, "deployed_max": step.deployed.max, **bound,
        }  # fmt: skip
