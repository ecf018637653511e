"""The choice between shapes of instances as a part of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from capacity.planning.alternatives import choose_shape
from capacity.planning.shape_choice import ShapeChoice, ShapeQuestion
from capacity.planning.shape_inputs import Capacity
from capacity.planning.shapes import InstanceShape

if TYPE_CHECKING:
    from capacity.planning.plan import CapacityPlan


@dataclass(frozen=True, eq=False)
class PlanShapes:
    """Shapes that a plan is to choose between.

    Parameters
    ----------
    shapes : sequence of InstanceShape
        All with a price, in one currency.
    capacities : mapping of str to ShapeCapacity, InstanceCapacity, Interval, number or array of draws, optional
        By name, in the plan's quantity; of the others the capacity counts that they state themselves.
    question : ShapeQuestion, optional
        Its interpolation is the plan's.
    """

    shapes: Sequence[InstanceShape]
    capacities: Mapping[str, Capacity] = field(default_factory=dict)
    question: ShapeQuestion = field(default_factory=ShapeQuestion)


def choice_of_plan(plan: CapacityPlan, shapes: PlanShapes) -> ShapeChoice:
    """Choose a shape for the plan's growth.

    Parameters
    ----------
    plan : CapacityPlan
    shapes : PlanShapes

    Returns
    -------
    ShapeChoice
    """
    question = replace(shapes.question, interpolation=plan.policy.interpolation)
    return choose_shape(plan.growth, shapes.shapes, shapes.capacities, question)
