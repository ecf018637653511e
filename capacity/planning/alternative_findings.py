"""What a reader of a choice between shapes must know: what was taken for granted, and where the answers part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from capacity.demand.wording import amount
from capacity.planning.constraint_uses import not_checked
from capacity.planning.range_findings import bare_ranges
from capacity.planning.shape_choice import HOURS_A_MONTH, ShapeChoice
from capacity.planning.shape_fleets import ENOUGH_BEYOND
from capacity.planning.shape_inputs import ShapeCase
from capacity.planning.shapes import ShapeCapacity
from capacity.planning.uncertain import is_bare_range, summarised
from loadtests.foundation.exact_numbers import exact
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

_ORDER = ("critical", "warning", "info")


def choice_findings(case: ShapeCase, choice: ShapeChoice) -> tuple[Finding, ...]:
    """Every finding, most severe first."""
    found = [
        *_nothing_feasible(choice), *_parting(choice), *_nobody_carries(choice), *_of_capacities(case),
        *_unchecked(case), *_ended_by_resources(case), *(_of_draws(case) if case.is_uncertain else _certain()),
        *_whole_months(choice),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda item: _ORDER.index(item.severity)))


def _nothing_feasible(choice: ShapeChoice) -> Iterator[Finding]:
    if choice.cheapest is None:
        listed = "; ".join(f"{name}: {reason}" for name, reason in choice.rejected.items())
        yield Finding(
            "no-feasible-shape", "critical", f"No shape carries the peaks. {listed}.",
            "Raise the ceiling that is passed, add a larger shape, or ask for a lower probability.",
            {"reasons": choice.rejected},
        )  # fmt: skip


def _parting(choice: ShapeChoice) -> Iterator[Finding]:
    best, safe = choice.cheapest, choice.least_regret
    if best is None or safe == best:
        return
    largest = choice.largest_regrets
    regret = largest[best]
    text = "a future that it cannot carry and another shape can"
    if regret is not None:
        text = f"{regret:,.2f} {choice.currency} above the best shape of some future"
    least = "so does every feasible shape" if safe is None else f"{safe} risks {largest[safe]:,.2f}"
    yield Finding(
        "least-regret-differs", "info",
        f"{best} is the cheapest at the asked probability, but risks {text}; {least}.",
        "Take the least regretted shape where a surprise costs more than the difference.",
        {"cheapest": best, "least_regret": safe, "largest_regrets": largest},
    )  # fmt: skip


def _nobody_carries(choice: ShapeChoice) -> Iterator[Finding]:
    lost = [[item.growth, item.capacity] for item in choice.scenarios if not item.is_carried]
    if lost:
        listed = ", ".join(f"{growth} growth with {capacity} capacity" for growth, capacity in lost)
        yield Finding(
            "scenario-not-carried", "warning", f"No shape carries {listed}; regrets leave it out.",
            "Raise the ceiling, or add a larger shape.", {"scenarios": lost},
        )  # fmt: skip


def _of_capacities(case: ShapeCase) -> Iterator[Finding]:
    for name, given in case.given.items():
        if isinstance(given, ShapeCapacity):
            for item in given.findings:
                yield replace(item, numbers={"shape": name, **item.numbers})


def _unchecked(case: ShapeCase) -> Iterator[Finding]:
    rules, per_unit = case.question.rules, case.question.per_unit
    for shape in case.shapes:
        found = [] if per_unit is None else list(not_checked(per_unit, shape.limits))
        found = [text for text in found if not _is_covered(text)]
        if rules.database_max_connections is not None and shape.limits.db_pool is None:
            found.append("database_connections: db_pool not stated")
        if found:
            yield Finding(
                "constraint-not-checked", "info", f"Shape {shape.name}, not checked: {'; '.join(found)}.",
                "State the missing numbers.", {"shape": shape.name, "not_checked": found},
            )  # fmt: skip


def _is_covered(text: str) -> bool:
    """Whether only the price of a request in that resource is missing: then its capacity is taken to cover it."""
    costs = ("cpu_s_per_request", "worker_time_s", "database_time_s", "memory_mib_per_in_flight", "bytes_per_request")
    return any(cost in text for cost in costs)


def _certain() -> Iterator[Finding]:
    yield Finding(
        "choice-without-probability", "info",
        "Growth and capacities are stated without ranges: shapes are compared by their central values, and no "
        "probability stands behind the fleets.",
        "State low and high of the peaks, or take the capacities from a calibrated model.",
    )  # fmt: skip


def _of_draws(case: ShapeCase) -> Iterator[Finding]:
    yield from (*_ranges(case), *_assumed(case), *_few_draws(case))


def _ranges(case: ShapeCase) -> Iterator[Finding]:
    what = ["the growth"] if any(map(is_bare_range, case.peaks.values())) else []
    what += [f"the capacity of {name}" for name, value in case.capacities.items() if is_bare_range(value)]
    if what:
        yield bare_ranges(what, case.question.range_level)


def _assumed(case: ShapeCase) -> Iterator[Finding]:
    names = [
        name for name, value in case.capacities.items()
        if isinstance(value, Interval) and value.kind == "assumed" and value.low == value.high and value.mid > 0
    ]  # fmt: skip
    if names:
        yield Finding(
            "assumed-capacity", "info",
            f"The capacity of {', '.join(names)} is assumed, without uncertainty: the probability is that of the "
            "growth alone.",
            "Take it from a calibrated model with capacity_of_shape.", {"shapes": names},
        )  # fmt: skip


def _few_draws(case: ShapeCase) -> Iterator[Finding]:
    needed = ENOUGH_BEYOND / (1 - exact("probability", case.question.probability))
    sizes = [value.size for value in (*case.peaks.values(), *case.capacities.values()) if isinstance(value, np.ndarray)]
    fewest = min([case.question.draws, *sizes])
    if fewest < needed:
        yield Finding(
            "few-draws", "warning",
            f"A probability of {case.question.probability} rests on {fewest:,} draws; fewer than {ENOUGH_BEYOND} lie "
            "beyond it.",
            f"Give at least {int(needed):,} draws, or ask for a lower probability.",
            {"draws": fewest, "needed": int(needed)},
        )  # fmt: skip


def _ended_by_resources(case: ShapeCase) -> Iterator[Finding]:
    for shape in case.shapes:
        most, stated = case.most_by_resources(shape.name), summarised(case.capacities[shape.name])
        if stated.high > most:
            yield Finding(
                "resources-end-before-capacity", "info",
                f"The resources of shape {shape.name} end at {amount(most)}, below its capacity of "
                f"{amount(stated.low)} to {amount(stated.high)}; it is taken to end there.",
                "Give the shape more of what per_unit asks for.",
                {"shape": shape.name, "most_by_resources": float(most), "capacity": stated.to_dict()},
            )  # fmt: skip


def _whole_months(choice: ShapeChoice) -> Iterator[Finding]:
    yield Finding(
        "whole-months-are-paid", "info",
        f"Every month counts {HOURS_A_MONTH} hours of the instances that its peak needs; an autoscaler that follows "
        "the day runs fewer, and discounts are not in the prices.",
        "Compare shapes by these numbers; do not read them as an invoice.",
        {"hours_a_month": HOURS_A_MONTH, "months": len(choice.peaks)},
    )  # fmt: skip
