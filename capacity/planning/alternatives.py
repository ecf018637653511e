"""Which shape of instance, and how many a month: the cheapest that is sure enough, and the one least regretted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from capacity.demand.wording import percent
from capacity.planning.alternative_findings import choice_findings
from capacity.planning.frontier import with_efficiency
from capacity.planning.regret import Scenario, largest_regrets, least_regret, scenarios_of
from capacity.planning.shape_choice import ShapeChoice, ShapePlan, ShapeQuestion
from capacity.planning.shape_fleets import ShapeFleets, frontier_points
from capacity.planning.shape_inputs import Capacity, Peaks, ShapeCase
from capacity.planning.shapes import InstanceShape
from capacity.planning.uncertain import summarised

DEFAULT_QUESTION = ShapeQuestion()


def choose_shape(
    peaks: Peaks,
    shapes: Sequence[InstanceShape],
    capacities: Mapping[str, Capacity] | None = None,
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
    capacities : mapping of str to ShapeCapacity, InstanceCapacity, Interval, number or array of draws, optional
        Load of one instance by the shape's name, in the quantity of the peaks; where it is left out, the capacity that
        the shape states itself.
    question : ShapeQuestion, optional

    Returns
    -------
    ShapeChoice
        Shapes that carry nothing or pass a ceiling are among its plans, with the reason.

    Raises
    ------
    InputError
        Without shapes, for a shape without a price (of a month) or a capacity, unknown names, several currencies,
        months that are left out, and quantities that differ.

    References
    ----------
    .. [1] L. J. Savage, "The theory of statistical decision", Journal of the American Statistical Association
       46(253), 1951.
    """
    case = ShapeCase.of(peaks, shapes, capacities or {}, question)
    peak_draws = case.peak_draws()
    every = {shape.name: ShapeFleets(case, shape, peak_draws) for shape in case.shapes}
    outlines = [_outline(fleets) for fleets in every.values()]
    feasible = sorted((plan for plan in outlines if plan.is_feasible), key=_order)
    plans = [*(_judged(plan, feasible) for plan in feasible), *(plan for plan in outlines if not plan.is_feasible)]
    scenarios = scenarios_of(every, lambda name, growth, end: every[name].cost_in(growth, end))
    costs = {plan.shape.name: plan.cost for plan in plans}
    choice = ShapeChoice(
        question, {month: summarised(peak) for month, peak in case.peaks.items()}, tuple(plans), scenarios,
        feasible[0].shape.name if feasible else None, least_regret(_of_feasible(scenarios, feasible), costs),
        case.currency, with_efficiency(point for fleets in every.values() for point in frontier_points(fleets)),
    )  # fmt: skip
    return replace(choice, findings=choice_findings(case, choice))


def _of_feasible(scenarios: tuple[Scenario, ...], feasible: list[ShapePlan]) -> dict[str, int | float | None]:
    """Largest regrets of the shapes that are feasible at all."""
    largest = largest_regrets(scenarios)
    return {plan.shape.name: largest.get(plan.shape.name) for plan in feasible}


def _outline(fleets: ShapeFleets) -> ShapePlan:
    """A shape's fleets at the asked probability, their cost, and the reason if it is not feasible."""
    months = fleets.at(fleets.case.question.probability)
    reason = fleets.obstacle(months)
    hours = None if reason else sum(fleet.instance_hours or 0 for fleet in months)
    return ShapePlan(
        fleets.shape, fleets.capacity, months, fleets.ceiling, not reason, hours,
        None if reason else fleets.cost_of(months), fleets.carried_in_all(months), reason,
    )  # fmt: skip


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
