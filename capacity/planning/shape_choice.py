"""The answer of `choose_shape`: a fleet for every shape and month, the cheapest, and why the others were rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from capacity.demand.growth import Interpolation
from capacity.demand.wording import html_table, number_range, percent, text_table
from capacity.planning.constraint_inputs import ServiceDemand
from capacity.planning.constraint_report import Ceiling, check_document
from capacity.planning.fleet_rules import FleetRules, kept
from capacity.planning.frontier import FrontierPoint
from capacity.planning.instance_formula import checked_factor
from capacity.planning.regret import Scenario, largest_regrets
from capacity.planning.shapes import InstanceShape
from capacity.planning.uncertain import RANGE_LEVEL
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.files import to_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

if TYPE_CHECKING:
    import pandas as pd

HOURS_A_MONTH = 730
"""8,760 hours of a year / 12."""
_KIND = "shape-choice"
_MONTHS = ("month", "instances", "instance-hours", "cost", "carried with")
_QUESTION = ("probability", "safety_factor", "draws", "seed", "interpolation", "range_level")
_TABLE = ("shape", "capacity", "instances", "instance-hours", "cost", "largest regret", "verdict")
_MOST_DRAWS = 10_000_000


@dataclass(frozen=True)
class ShapeQuestion:
    """What a plan of shapes must keep.

    Parameters
    ----------
    probability : float, default 0.95
        Each month's peak is carried with at least this probability, above 0 and below 1.
    safety_factor : number, default 1
        At least 1, on top of the probability.
    rules : FleetRules
        Losses to survive and ceilings.
    per_unit : ServiceDemand, optional
        What one unit of the peak asks of resources that the capacity does not cover (memory, network). A shape
        whose resources end before its capacity is taken to end there.
    draws : int, default 10000
        Futures of growth and capacity; the standard error of a probability p is at most sqrt(p (1 - p) / draws).
    seed : int, default 1
    interpolation : {"geometric", "linear"}
        Between the stated months of a growth projection.
    range_level : float, default 0.9
        Probability that a range is taken to enclose where none is stated with it.

    Raises
    ------
    InputError
        For a probability, a factor or a number of draws out of range.
    """

    probability: Number = 0.95
    safety_factor: Number = 1
    rules: FleetRules = field(default_factory=FleetRules)
    per_unit: ServiceDemand | None = None
    draws: int = 10_000
    seed: int = 1
    interpolation: Interpolation = "geometric"
    range_level: float = RANGE_LEVEL

    def __post_init__(self) -> None:
        if not 0 < exact("probability", self.probability) < 1:
            raise InputError(f"probability is {self.probability}; it must lie above 0 and below 1, such as 0.95.")
        checked_factor(self.safety_factor)
        if not 0 < exact("range_level", self.range_level) < 1:
            raise InputError(f"range_level is {self.range_level}; it must lie above 0 and below 1, such as 0.9.")
        for name in ("probability", "safety_factor"):
            object.__setattr__(self, name, kept(name, getattr(self, name)))
        object.__setattr__(self, "draws", whole("draws", self.draws, least=1, most=_MOST_DRAWS))
        object.__setattr__(self, "seed", whole("seed", self.seed))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        own = {name: getattr(self, name) for name in _QUESTION}
        per_unit = None if self.per_unit is None else self.per_unit.to_dict()
        return {**own, "rules": self.rules.to_dict(), "per_unit": per_unit}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ShapeQuestion:
        """Read what `to_dict` wrote."""
        per_unit = data.get("per_unit")
        parts = {
            "rules": FleetRules.from_dict(data["rules"]),
            "per_unit": None if per_unit is None else ServiceDemand.from_dict(per_unit),
        }
        return cls(**{**data, **parts})


@dataclass(frozen=True)
class MonthlyFleet:
    """One month of one shape.

    Parameters
    ----------
    month : int
    instances : int, optional
        Fewest that carry the peak with the asked probability; None when no number does.
    probability : float, optional
        Share of the draws whose peak they carry; None where nothing is uncertain.
    instance_hours : int, optional
        Instances x 730.
    cost : float, optional
        Instance-hours x price.
    """

    month: int
    instances: int | None
    probability: float | None
    instance_hours: int | None
    cost: int | float | None


@dataclass(frozen=True)
class ShapePlan:
    """One alternative: the same shape in every month.

    Parameters
    ----------
    shape : InstanceShape
    capacity : Interval
        Of one instance: low, mid and high as the scenarios use them, ended by the resources of `per_unit`.
    fleets : tuple of MonthlyFleet
    ceiling : Ceiling, optional
        The lowest.
    is_feasible : bool
    instance_hours, cost : number, optional
        Of all months; None when not feasible.
    probability_all_months : float, optional
        Share of the draws in which the peak of every month is carried; None where nothing is uncertain.
    reason : str
        Why it was chosen, or why not.
    """

    shape: InstanceShape
    capacity: Interval
    fleets: tuple[MonthlyFleet, ...]
    ceiling: Ceiling | None
    is_feasible: bool
    instance_hours: int | None
    cost: int | float | None
    probability_all_months: float | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "shape": self.shape.to_dict(), "capacity": self.capacity.to_dict(),
            "fleets": [asdict(fleet) for fleet in self.fleets],
            "ceiling": None if self.ceiling is None else asdict(self.ceiling), "is_feasible": self.is_feasible,
            "instance_hours": self.instance_hours, "cost": self.cost,
            "probability_all_months": self.probability_all_months, "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ShapePlan:
        """Read what `to_dict` wrote."""
        parts = {
            "shape": InstanceShape.from_dict(data["shape"]), "capacity": Interval.from_dict(data["capacity"]),
            "fleets": tuple(MonthlyFleet(**fleet) for fleet in data["fleets"]),
            "ceiling": None if data["ceiling"] is None else Ceiling(**data["ceiling"]),
        }  # fmt: skip
        return cls(**{**data, **parts})


@dataclass(frozen=True)
class ShapeChoice:
    """Made by `choose_shape`.

    Parameters
    ----------
    question : ShapeQuestion
    peaks : dict of int to Interval
        By month.
    plans : tuple of ShapePlan
        One a shape; feasible ones first, the cheapest first.
    scenarios : tuple of Scenario
        Costs and regrets under low, mid and high growth and capacity.
    cheapest, least_regret : str, optional
        Names of shapes; None when there is none.
    currency : str
    frontier : tuple of FrontierPoint
        Cost against risk: each shape at several risks, the asked one included; empty where nothing is uncertain.
    findings : tuple of Finding
    versions : dict
    """

    question: ShapeQuestion
    peaks: dict[int, Interval]
    plans: tuple[ShapePlan, ...]
    scenarios: tuple[Scenario, ...]
    cheapest: str | None
    least_regret: str | None
    currency: str
    frontier: tuple[FrontierPoint, ...] = ()
    findings: tuple[Finding, ...] = ()
    versions: dict[str, str] = field(default_factory=lambda: versions_of("numpy", "scipy"))

    def plan(self, name: str) -> ShapePlan:
        """The plan of one shape; the error lists the known ones."""
        found = {plan.shape.name: plan for plan in self.plans}
        if name not in found:
            raise InputError(f"There is no shape {name!r}; the plans are of {', '.join(found)}.")
        return found[name]

    @property
    def is_uncertain(self) -> bool:
        """Whether growth or capacities have a range; without one there are no probabilities."""
        return any(fleet.probability is not None for plan in self.plans for fleet in plan.fleets)

    @property
    def chosen_point(self) -> FrontierPoint | None:
        """Where the cheapest shape stands on `frontier`; None when no shape is feasible."""
        asked = self.question.probability
        return next((it for it in self.frontier if it.shape == self.cheapest and it.probability == asked), None)

    @property
    def largest_regrets(self) -> dict[str, int | float | None]:
        """By shape, over the scenarios that any shape carries; None for one that fails in such a scenario."""
        return largest_regrets(self.scenarios)

    @property
    def rejected(self) -> dict[str, str]:
        """The reason for every shape but the cheapest."""
        return {plan.shape.name: plan.reason for plan in self.plans if plan.shape.name != self.cheapest}

    def to_frame(self) -> pd.DataFrame:
        """One row a shape and month.

        Columns: shape, month, instances, probability, instance_hours, cost, currency, is_feasible, reason.
        """
        import pandas as pd

        rows = [
            {"shape": plan.shape.name, **asdict(fleet), "currency": self.currency, "is_feasible": plan.is_feasible,
             "reason": plan.reason}
            for plan in self.plans for fleet in plan.fleets
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def regrets_to_frame(self) -> pd.DataFrame:
        """One row a scenario and shape: growth, capacity, shape, cost, regret."""
        import pandas as pd

        rows = [
            {"growth": item.growth, "capacity": item.capacity, "shape": name, "cost": cost,
             "regret": item.regrets[name]}
            for item in self.scenarios for name, cost in item.costs.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def frontier_to_frame(self) -> pd.DataFrame:
        """One row a shape and fleet: the fields of `FrontierPoint`, and the currency of `cost`."""
        import pandas as pd

        return pd.DataFrame([{**point.to_dict(), "currency": self.currency} for point in self.frontier])

    def as_table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Title, header and rows of the alternatives for people, the cheapest first."""
        return self._title(), _TABLE, self._rows()

    def months_as_table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Title, header and rows of the cheapest shape's months; no rows where none is feasible."""
        if self.cheapest is None:
            return "No shape is feasible", _MONTHS, []
        rows: list[tuple[str, ...]] = [
            (
                str(fleet.month), f"{fleet.instances:,}", f"{fleet.instance_hours:,}", f"{fleet.cost:,.2f}",
                "-" if fleet.probability is None else _share(fleet.probability),
            )
            for fleet in self.plan(self.cheapest).fleets
        ]  # fmt: skip
        return f"Months of {self.cheapest}, cost in {self.currency}", _MONTHS, rows

    def table_summary(self) -> str:
        """The alternatives and the months of the cheapest, without findings."""
        title, header, rows = self.months_as_table()
        lines = [self._title(), text_table(_TABLE, self._rows())]
        return "\n".join([*lines, title, text_table(header, rows)] if rows else lines)

    def summary(self) -> str:
        """The alternatives for people, the cheapest first, and what to know about them."""
        lines = [self.table_summary()]
        return "\n".join([*lines, *(f"  {item.severity}: {item.message} [{item.code}]" for item in self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """JSON form, complete enough for `from_dict`."""
        return {
            "schema_version": SCHEMA_VERSION, "kind": _KIND, "versions": dict(self.versions),
            "seed": self.question.seed,
            "inputs": {
                "question": self.question.to_dict(),
                "peaks": [{"month": month, "peak": peak.to_dict()} for month, peak in self.peaks.items()],
            },
            "hours_a_month": HOURS_A_MONTH, "currency": self.currency, "cheapest": self.cheapest,
            "least_regret": self.least_regret, "largest_regrets": self.largest_regrets,
            "plans": [plan.to_dict() for plan in self.plans],
            "scenarios": [scenario.to_dict() for scenario in self.scenarios],
            "frontier": [point.to_dict() for point in self.frontier],
            "findings": [item.to_dict() for item in self.findings],
        }  # fmt: skip

    def to_json(self) -> str:
        """The JSON document as text."""
        return to_json(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ShapeChoice:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            For another schema version, or a document that is no such choice.
        """
        check_document(data, _KIND)
        try:
            return cls(
                ShapeQuestion.from_dict(data["inputs"]["question"]),
                {int(item["month"]): Interval.from_dict(item["peak"]) for item in data["inputs"]["peaks"]},
                tuple(ShapePlan.from_dict(plan) for plan in data["plans"]),
                tuple(Scenario(**scenario) for scenario in data["scenarios"]), data["cheapest"], data["least_regret"],
                data["currency"], tuple(FrontierPoint(**point) for point in data["frontier"]),
                tuple(Finding.from_dict(item) for item in data["findings"]), dict(data["versions"]),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"The {_KIND} lacks or garbles {error}; make it anew.") from None

    def _title(self) -> str:
        months = number_range(min(self.peaks), max(self.peaks))
        sure = f"each peak carried with probability {percent(exact('probability', self.question.probability))}"
        asked = f"months {months}, {sure if self.is_uncertain else 'central values, no probabilities'}"
        if self.cheapest is None:
            return f"No shape is feasible: {asked}"
        return f"Cheapest: {self.cheapest}; least regret: {self.least_regret or 'none'} ({asked})"

    def _rows(self) -> list[tuple[str, ...]]:
        return [self._row(plan) for plan in self.plans]

    def _row(self, plan: ShapePlan) -> tuple[str, ...]:
        counts = [fleet.instances for fleet in plan.fleets if fleet.instances is not None]
        regret = self.largest_regrets.get(plan.shape.name)
        return (
            plan.shape.name, plan.capacity.format(",.6g"), number_range(min(counts), max(counts)) if counts else "none",
            "-" if plan.instance_hours is None else f"{plan.instance_hours:,}",
            "-" if plan.cost is None else f"{plan.cost:,.2f} {self.currency}",
            "-" if regret is None else f"{regret:,.2f}", plan.reason,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"ShapeChoice({len(self.plans)} shapes, cheapest {self.cheapest}, least regret {self.least_regret})"

    def _repr_html_(self) -> str:
        return html_table(_TABLE, self._rows(), self._title())


def _share(probability: float) -> str:
    """What is not quite certain does not read as certain."""
    return "> 99.9 %" if 0.9995 <= probability < 1 else percent(probability)
