"""Which shape of instance, and how many a month: the cheapest that is sure enough, and the one least regretted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from capacity.demand.wording import counted, percent
from capacity.planning.alternative_findings import choice_findings
from capacity.planning.constraint_report import Ceiling
from capacity.planning.constraints import fleet_ceilings, largest_load, required_fleet
from capacity.planning.regret import Scenario, largest_regrets, least_regret, scenarios_of
from capacity.planning.shape_choice import HOURS_A_MONTH, MonthlyFleet, ShapeChoice, ShapePlan, ShapeQuestion
from capacity.planning.shape_inputs import Capacity, Peaks, ShapeCase
from capacity.planning.shapes import InstanceShape, ShapeCapacity
from capacity.planning.uncertain import Floats, summarised
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.intervals import Interval

DEFAULT_QUESTION = ShapeQuestion()
_ROUNDING = 1e-12


def choose_shape(
    peaks: Peaks,
    shapes: Sequence[InstanceShape],
    capacities: Mapping[str, Capacity],
    question: ShapeQuestion = DEFAULT_QUESTION,
) -> ShapeChoice:
    """Compare shapes of instances over the months of a growth: fleets, cost, risk, regret.

    For each shape and month: the fewest instances that carry the month's peak in at least the asked share of the
    draws, with the safety factor, and left by every loss that the rules want survived. A draw is one future: one
    course of growth over all months, and one error of the capacity, shared by all shapes (common random numbers: a
    calibration that is wrong for one shape is wrong for all in the same direction). Numbers are read as their
    shortest decimals before an instance count is rounded up.

    Cost: every month counts 730 hours (8,760 / 12) of all its instances.

    Regret [1]_: the shape is chosen now, the number of instances follows what then happens. In each of nine futures
    (low, mid, high growth; low, mid, high capacity: ends of the intervals, the central 90 % of draws) the regret of a
    shape is its cost above the cheapest shape of that future.

    Parameters
    ----------
    peaks : GrowthProjection, or mapping of month to Interval, number or array of draws
        Arrays of several months keep their rows together.
    shapes : sequence of InstanceShape
        All with a price, in one currency.
    capacities : mapping of str to ShapeCapacity, InstanceCapacity, Interval, number or array of draws
        Load of one instance by the shape's name, in the quantity of the peaks.
    question : ShapeQuestion, optional

    Returns
    -------
    ShapeChoice
        Shapes that carry nothing or pass a ceiling are among its plans, with the reason.

    Raises
    ------
    InputError
        Without shapes, for a shape without a price or a capacity, unknown names, several currencies, months that
        are left out, and quantities that differ.

    References
    ----------
    .. [1] L. J. Savage, "The theory of statistical decision", Journal of the American Statistical Association
       46(253), 1951.
    """
    case = ShapeCase.of(peaks, shapes, capacities, question)
    peak_draws = case.peak_draws()
    outlines = [_Outline(case, shape, peak_draws).plan() for shape in case.shapes]
    feasible = sorted((plan for plan in outlines if plan.is_feasible), key=_order)
    plans = [*(_judged(plan, feasible) for plan in feasible), *(plan for plan in outlines if not plan.is_feasible)]
    names = [shape.name for shape in case.shapes]
    scenarios = scenarios_of(names, lambda name, growth, end: _scenario_cost(case, name, growth, end))
    costs = {plan.shape.name: plan.cost for plan in plans}
    choice = ShapeChoice(
        question, {month: summarised(peak) for month, peak in case.peaks.items()}, tuple(plans), scenarios,
        feasible[0].shape.name if feasible else None, least_regret(_of_feasible(scenarios, feasible), costs),
        case.currency,
    )  # fmt: skip
    return replace(choice, findings=choice_findings(case, choice))


def _of_feasible(scenarios: tuple[Scenario, ...], feasible: list[ShapePlan]) -> dict[str, int | float | None]:
    """Largest regrets of the shapes that are feasible at all."""
    largest = largest_regrets(scenarios)
    return {plan.shape.name: largest.get(plan.shape.name) for plan in feasible}


@dataclass(frozen=True)
class _Outline:
    """One shape over all months."""

    case: ShapeCase
    shape: InstanceShape
    peak_draws: dict[int, Floats]

    def plan(self) -> ShapePlan:
        """Its fleets, cost, and the reason if it is not feasible."""
        capacity = self.case.capacity_draws(self.shape.name)
        loads = {month: _filled(peak, capacity) for month, peak in self.peak_draws.items()}
        fleets = tuple(self._fleet(month, load, capacity) for month, load in loads.items())
        ceiling = _lowest_ceiling(self.case, self.shape)
        reason = self._obstacle(fleets, ceiling, capacity)
        hours = None if reason else sum(fleet.instance_hours or 0 for fleet in fleets)
        return ShapePlan(
            self.shape, self._capacity(), fleets, ceiling, not reason, hours,
            None if hours is None else _cost(self.shape, hours), self._all_months(fleets, loads), reason,
        )  # fmt: skip

    def _capacity(self) -> Interval:
        stated, most = summarised(self.case.capacities[self.shape.name]), self.case.most_by_resources(self.shape.name)
        low, mid, high = (min(float(most), end) for end in (stated.low, stated.mid, stated.high))
        return Interval(low, mid, high, stated.level, stated.kind)

    def _fleet(self, month: int, load: Floats, capacity: Floats) -> MonthlyFleet:
        question, row = self.case.question, _row_of(load, self.case.question)
        filled = self.case.exact_load(float(self.peak_draws[month][row]), float(capacity[row]), self.shape.name)
        if filled is None:
            return MonthlyFleet(month, None, None, None, None)
        count = max(1, required_fleet(filled, question.rules, _factor(question)))
        hours = count * HOURS_A_MONTH
        return MonthlyFleet(month, count, float(self._carried(count, load).mean()), hours, _cost(self.shape, hours))

    def _carried(self, count: int, load: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        most = float(largest_load(count, self.case.question.rules, _factor(self.case.question)))
        return np.asarray(load <= most * (1 + _ROUNDING), dtype=bool)

    def _all_months(self, fleets: tuple[MonthlyFleet, ...], loads: dict[int, Floats]) -> float | None:
        """Share of the draws in which every month is carried."""
        if any(fleet.instances is None for fleet in fleets):
            return None
        each = [self._carried(fleet.instances or 0, loads[fleet.month]) for fleet in fleets]
        return float(np.all(each, axis=0).mean())

    def _obstacle(self, fleets: tuple[MonthlyFleet, ...], ceiling: Ceiling | None, capacity: Floats) -> str:
        given = self.case.given[self.shape.name]
        if isinstance(given, ShapeCapacity) and given.capacity is None:
            return given.reason or "it carries nothing within the objective"
        for fleet in fleets:
            if fleet.instances is None:
                return self._carries_nothing(fleet.month, capacity)
            if ceiling is not None and fleet.instances > ceiling.most_instances:
                return (
                    f"passes {ceiling.name} in month {fleet.month}: {counted(fleet.instances, 'instance')} needed, "
                    f"at most {ceiling.most_instances:,} allowed ({ceiling.formula})"
                )
        return ""

    def _carries_nothing(self, month: int, capacity: Floats) -> str:
        share = percent(float((capacity == 0).mean()))
        asked = percent(exact("probability", self.case.question.probability))
        return f"carries nothing in {share} of the draws: no number of instances carries month {month} with {asked}"


def _filled(peak: Floats, capacity: Floats) -> Floats:
    """Instances that each draw's peak fills; infinite where an instance carries nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(peak > 0, peak / capacity, 0.0), dtype=float)


def _row_of(load: Floats, question: ShapeQuestion) -> int:
    """The draw that at least the asked share of all draws does not exceed."""
    rank = math.ceil(exact("probability", question.probability) * load.size) - 1
    return int(np.argsort(load, kind="stable")[rank])


def _factor(question: ShapeQuestion) -> Fraction:
    return exact("safety_factor", question.safety_factor)


def _cost(shape: InstanceShape, hours: int) -> int | float:
    return plain(hours * exact("price_per_hour", shape.price_per_hour or 0))


def _lowest_ceiling(case: ShapeCase, shape: InstanceShape) -> Ceiling | None:
    return next(iter(fleet_ceilings(shape.limits, case.question.rules)), None)


def _scenario_cost(case: ShapeCase, name: str, growth: str, end: str) -> int | float | None:
    """Cost of all months at one end of the growth and one of the capacity; None where a shape cannot carry it."""
    shape, question = case.shape(name), case.question
    ceiling, capacity = _lowest_ceiling(case, shape), getattr(summarised(case.capacities[name]), end)
    total = 0
    for peak in case.peaks.values():
        filled = case.exact_load(getattr(summarised(peak), growth), capacity, name)
        if filled is None:
            return None
        count = max(1, required_fleet(filled, question.rules, _factor(question)))
        if ceiling is not None and count > ceiling.most_instances:
            return None
        total += count
    return _cost(shape, total * HOURS_A_MONTH)


def _order(plan: ShapePlan) -> tuple[float, int]:
    return plan.cost or 0, plan.instance_hours or 0


def _judged(plan: ShapePlan, feasible: list[ShapePlan]) -> ShapePlan:
    """The plan with its reason: chosen, or dearer than the chosen one."""
    best = feasible[0]
    if plan is best:
        chosen = "the only feasible shape" if len(feasible) == 1 else f"the cheapest of {len(feasible)} feasible shapes"
        return replace(plan, reason=chosen)
    cost, least = plan.cost or 0, best.cost or 0
    if cost == least:
        more = "needs more instance-hours" if _order(plan) > _order(best) else "stands later in the list"
        return replace(plan, reason=f"costs the same as {best.shape.name} and {more}")
    by = f" by {percent(cost / least - 1)}" if least else ""
    amounts = f"{cost:,.2f} against {least:,.2f} {plan.shape.currency}"
    return replace(plan, reason=f"dearer{by} than {best.shape.name} ({amounts})")
