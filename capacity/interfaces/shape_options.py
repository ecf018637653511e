"""Shapes of instances as `capacity plan` is asked about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from capacity.planning.orders import OrderingRules
    from capacity.planning.plan_constraints import PlanConstraints
    from capacity.planning.plan_shapes import PlanShapes
    from capacity.planning.shapes import InstanceShape, ShapeCapacity
    from simulations.calibration.result import CalibrationResult


@dataclass(frozen=True)
class ShapeOptions:
    """As given on the command line.

    Parameters
    ----------
    file : Path
        Of the shapes.
    rules : OrderingRules
        Their risk, of a month's peak that is not carried, their range level and seed hold for shapes too.
    constraints : PlanConstraints, optional
        Its rules, and what a unit of the peak asks for, hold for every shape too.
    """

    file: Path
    rules: OrderingRules
    constraints: PlanConstraints | None = None

    def with_stated_capacities(self) -> PlanShapes:
        """Every shape carries what its row says."""
        return self._asked(self._shapes(), {})

    def with_model(self, fit: CalibrationResult, objective: dict[str, Any]) -> PlanShapes:
        """Every shape carries what a calibrated model finds under its limits."""
        from capacity.planning.shape_capacity import ShapeObjective, capacities_of_shapes

        shapes = self._shapes()
        stated = [shape.name for shape in shapes if shape.capacity is not None]
        if stated:
            raise InputError(
                f"The shapes file {self.file} states a capacity of {', '.join(stated)}, and --model computes one of "
                "every shape; leave out one of the two."
            )
        return self._asked(shapes, capacities_of_shapes(fit, shapes, ShapeObjective(**objective), seed=self.rules.seed))

    def _shapes(self) -> tuple[InstanceShape, ...]:
        from capacity.planning.shape_inputs import check_shapes
        from capacity.planning.shapes import read_shapes

        found = read_shapes(self.file)
        check_shapes(found)  # before a model is asked about them
        return found

    def _asked(self, shapes: tuple[InstanceShape, ...], capacities: dict[str, ShapeCapacity]) -> PlanShapes:
        from capacity.planning.fleet_rules import FleetRules
        from capacity.planning.plan_shapes import PlanShapes
        from capacity.planning.shape_choice import ShapeQuestion
        from loadtests.foundation.exact_numbers import exact, plain

        stated = self.constraints
        question = ShapeQuestion(
            plain(1 - exact("risk", self.rules.risk)), seed=self.rules.seed, range_level=self.rules.range_level,
            rules=FleetRules() if stated is None else stated.rules,
            per_unit=None if stated is None else stated.per_unit,
        )  # fmt: skip
        return PlanShapes(shapes, capacities, question)
