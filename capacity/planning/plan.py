"""A capacity plan: a step for every month, the phases, and what a reader must know about both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capacity.demand.growth import GrowthProjection
from capacity.demand.month_dates import date_after
from capacity.demand.wording import amount, html_table, number_range, percent, text_table
from capacity.planning.orders import OrderTimeline
from capacity.planning.plan_constraints import ConstraintTimeline
from capacity.planning.policy import PlanningPolicy
from capacity.planning.shape_choice import ShapeChoice
from capacity.planning.timeline import PhaseName, ScalingPhase, scaling_timeline
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json, to_json, write_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from simulations.analysis.capacity_curve import InstanceCapacity

if TYPE_CHECKING:
    import pandas as pd

_TABLE = ("month", "peak", "formula", "phase", "deployed", "at peak", "of normal", "of max", "shed", "")


@dataclass(frozen=True)
class FactorNeed:
    """What the formula asks for at one safety factor, over the uncertainty of capacity and peak.

    Parameters
    ----------
    safety_factor : float
    instances : int
        For the stated peak at the low end of the capacity: what the plan uses.
    at_mid : int
        For the stated peak at the central capacity.
    least, most : int
        Over both intervals: low peak on high capacity, high peak on low capacity.
    """

    safety_factor: float
    instances: int
    at_mid: int
    least: int
    most: int


@dataclass(frozen=True)
class FleetRange:
    """What is deployed in a month, and how full it is at the peak.

    Parameters
    ----------
    min, max : int
        Fewest and most instances that the phase allows.
    max_load : float
        Largest load that `max` instances are ever given: `max` x the maximum of one.
    at_peak : (int, int)
        Instances that run at the peak: the formula's counts at the low and at
        the high factor, kept within `min` and `max`.
    utilization_normal, utilization_max : (float, float)
        Peak as a fraction of normal and of maximum capacity, for both counts of `at_peak`.
    shed_rate : float, optional
        Expected share of requests turned away at the peak with the larger count
        of `at_peak`; None when not known.
    """

    min: int
    max: int
    max_load: float
    at_peak: tuple[int, int]
    utilization_normal: tuple[float, float]
    utilization_max: tuple[float, float]
    shed_rate: float | None


@dataclass(frozen=True)
class PlanStep:
    """One month of a plan.

    Parameters
    ----------
    month : int
        From today (0).
    peak : float
        In the plan's quantity.
    peak_low, peak_high : float, optional
        Range of the peak, where the growth states one.
    interpolated, extrapolated : bool
        True when nobody stated this month's peak.
    needs : (FactorNeed, FactorNeed)
        At the low and at the high safety factor.
    phase : {"vertical", "horizontal", "autoscaling"}
    deployed : FleetRange
    bound_by : str
        What sets the number deployed: ``instance_max``, ``normal_capacity``,
        ``autoscaling_min`` or ``autoscaling_max``.
    reason : str
    """

    month: int
    peak: float
    peak_low: float | None
    peak_high: float | None
    interpolated: bool
    extrapolated: bool
    needs: tuple[FactorNeed, FactorNeed]
    phase: PhaseName
    deployed: FleetRange
    bound_by: str
    reason: str

    @property
    def instances(self) -> tuple[int, int]:
        """What the formula asks for at the low and at the high factor."""
        return self.needs[0].instances, self.needs[1].instances

    def to_dict(self, quantity: Quantity, orders: OrderTimeline | None = None) -> dict[str, Any]:
        """JSON form; the peak's name carries the quantity, order dates come from the plan's."""
        fleet = self.deployed
        ends = zip(("low", "high"), fleet.at_peak, fleet.utilization_normal, fleet.utilization_max, strict=True)
        at_peak = {end: {"instances": n, "utilization_normal": u, "utilization_max": v} for end, n, u, v in ends}
        return {
            "month": self.month, **_dates(self.month, orders),
            "interpolated": self.interpolated, "extrapolated": self.extrapolated,
            f"peak_{quantity}": self.peak, "peak_low": self.peak_low, "peak_high": self.peak_high,
            "instances": {"low": self.instances[0], "high": self.instances[1]},
            "needs": [vars(need) for need in self.needs], "phase": self.phase,
            "deployed": {"min": fleet.min, "max": fleet.max, f"max_{quantity}": fleet.max_load},
            "at_peak": at_peak, "shed_rate": fleet.shed_rate,
            "bound_by": self.bound_by, "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], quantity: Quantity) -> PlanStep:
        """Read what `to_dict` wrote."""
        ends = [data["at_peak"][end] for end in ("low", "high")]
        counts, of_normal, of_max = (
            (ends[0][name], ends[1][name]) for name in ("instances", "utilization_normal", "utilization_max")
        )
        fleet = FleetRange(
            data["deployed"]["min"], data["deployed"]["max"], data["deployed"][f"max_{quantity}"],
            counts, of_normal, of_max, data["shed_rate"],
        )  # fmt: skip
        low, high = (FactorNeed(**need) for need in data["needs"])
        return cls(
            data["month"], data[f"peak_{quantity}"], data["peak_low"], data["peak_high"], data["interpolated"],
            data["extrapolated"], (low, high), data["phase"], fleet, data["bound_by"], data["reason"],
        )  # fmt: skip


@dataclass(frozen=True)
class CapacityPlan:
    """What to deploy, month by month, and why. Made by `plan_capacity`.

    Parameters
    ----------
    growth : GrowthProjection
    instance_capacity : InstanceCapacity
    policy : PlanningPolicy
        The inputs.
    steps : tuple of PlanStep
        One for every month from 0.
    phases : tuple of ScalingPhase
    findings : tuple of Finding
        Most severe first.
    versions : dict
        What it was computed with.
    seed : int, optional
        Of the simulations behind the capacity; None where nothing was drawn.
    capacity_inputs : dict
        What the capacity came from (model file, objective, think time); empty for an assumed one.
    orders : OrderTimeline, optional
        Order dates, where they were asked for.
    constraints : ConstraintTimeline, optional
        The largest need over further constraints, where they were stated.
    shapes : ShapeChoice, optional
        The cheapest and the least regretted shape of instance, where shapes were stated.
    """

    growth: GrowthProjection
    instance_capacity: InstanceCapacity
    policy: PlanningPolicy
    steps: tuple[PlanStep, ...]
    phases: tuple[ScalingPhase, ...]
    findings: tuple[Finding, ...] = ()
    versions: dict[str, str] = field(default_factory=lambda: versions_of("numpy", "scipy"))
    seed: int | None = None
    capacity_inputs: dict[str, Any] = field(default_factory=dict)
    orders: OrderTimeline | None = None
    constraints: ConstraintTimeline | None = None
    shapes: ShapeChoice | None = None

    @property
    def quantity(self) -> Quantity:
        """What the peaks count, as the growth says it."""
        return self.growth.quantity

    @property
    def start(self) -> date | None:
        """Date of month 0, where the order dates or the growth state one."""
        return self.growth.start if self.orders is None else self.orders.rules.start

    def to_dict(self) -> dict[str, Any]:
        """JSON form, complete enough for `from_dict`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "versions": dict(self.versions),
            "seed": self.seed,
            "inputs": {
                "growth": self.growth.to_dict(),
                "policy": self.policy.to_dict(),
                **({"capacity": dict(self.capacity_inputs)} if self.capacity_inputs else {}),
            },
            "quantity": self.quantity.value,
            "instance_capacity": self.instance_capacity.to_dict(),
            "steps": [step.to_dict(self.quantity, self.orders) for step in self.steps],
            "phases": [phase.to_dict() for phase in self.phases],
            "findings": [finding.to_dict() for finding in self.findings],
            "orders": None if self.orders is None else self.orders.to_dict(),
            "constraints": None if self.constraints is None else self.constraints.to_dict(),
            "shapes": None if self.shapes is None else self.shapes.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CapacityPlan:
        """Read what `to_dict` wrote.

        Raises
        ------
        InputError
            For another schema version, or a document that is not a plan.
        """
        version = data.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"The plan has schema_version {version!r}; this version reads {SCHEMA_VERSION}.")
        try:
            quantity = Quantity.parse(data["quantity"])
            return cls(
                GrowthProjection.from_dict(data["inputs"]["growth"]),
                InstanceCapacity.from_dict(data["instance_capacity"]),
                PlanningPolicy.from_dict(data["inputs"]["policy"]),
                tuple(PlanStep.from_dict(step, quantity) for step in data["steps"]),
                tuple(ScalingPhase.from_dict(phase) for phase in data["phases"]),
                tuple(Finding.from_dict(finding) for finding in data["findings"]),
                dict(data["versions"]),
                data.get("seed"),
                dict(data["inputs"].get("capacity", {})),
                OrderTimeline.from_dict(data["orders"]) if data.get("orders") else None,
                ConstraintTimeline.from_dict(data["constraints"]) if data.get("constraints") else None,
                ShapeChoice.from_dict(data["shapes"]) if data.get("shapes") else None,
            )
        except InputError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"The document is not a plan ({type(error).__name__}: {error}); make it anew.") from None

    def to_json(self) -> str:
        """The JSON document as text."""
        return to_json(self.to_dict())

    def save(self, path: str | Path) -> Path:
        """Write the JSON document, whole or not at all; return the path."""
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> CapacityPlan:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            For a missing file, or one that is not a plan of this schema version.
        """
        try:
            return cls.from_dict(read_json(path, "plan"))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None

    def to_frame(self) -> pd.DataFrame:
        """One row a month.

        Columns: month, peak_<quantity>, peak_low, peak_high, interpolated,
        extrapolated, instances_low, instances_high (the formula at the two
        factors), phase, deployed_min, deployed_max (what the phase allows),
        at_peak_low, at_peak_high (what runs at the peak), utilization_normal_low,
        utilization_normal_high, utilization_max_low, utilization_max_high (of the
        two, fractions), shed_rate (fraction), bound_by, reason.
        """
        import pandas as pd

        return pd.DataFrame([_flat(step, self.quantity) for step in self.steps])

    def summary(self) -> str:
        """The plan for people: months, phases, findings."""
        parts = [self._title(), text_table(_TABLE, self._rows()), "", scaling_timeline(self).summary()]
        if self.constraints is not None:
            parts += ["", "Constraints", self.constraints.summary()]
        if self.shapes is not None:
            parts += ["", "Shapes", self.shapes.table_summary()]
        if self.orders is not None:
            parts += ["", self.orders.summary()]
        if self.findings:
            parts += ["", "Findings"]
            parts += [f"  {f.severity}: {f.message} [{f.code}]\n      {f.remedy}" for f in self.findings]
        return "\n".join(parts)

    def months_as_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows for people: instances, utilization by both bases, and what is shed at the peak.

        An asterisk marks interpolated months, two extrapolated ones.
        """
        marks = {"": "", "interpolated": " *", "extrapolated": " **"}
        return _TABLE[:-1], [(f"{row[0]}{marks[row[-1]]}", *row[1:-1]) for row in self._rows()]

    def _title(self) -> str:
        low, high = self.policy.safety_factor
        each = self.instance_capacity.value.format(",.6g", str(self.instance_capacity.quantity))
        return f"Plan for {self.growth!r} at {each} an instance, factors {low} and {high}"

    def _rows(self) -> list[tuple[str, ...]]:
        return [_table_row(step) for step in self.steps]

    def __repr__(self) -> str:
        last = self.steps[-1]
        ways = " > ".join(phase.phase for phase in self.phases)
        worst = self.findings[0].severity if self.findings else "none"
        return (
            f"CapacityPlan(months 0-{last.month}, peak {amount(last.peak)} {self.quantity}, {ways}, "
            f"{len(self.findings)} findings, worst: {worst})"
        )

    def _repr_html_(self) -> str:
        findings = [(f.severity, f.code, f.message, f.remedy, f.numbers_text) for f in self.findings]
        parts = [part._repr_html_() for part in (self.constraints, self.shapes, self.orders) if part is not None]
        return "".join([
            html_table(_TABLE, self._rows(), self._title()), *parts,
            html_table(("severity", "code", "finding", "what to do", "numbers"), findings, "Findings"),
        ])  # fmt: skip


def _dates(month: int, orders: OrderTimeline | None) -> dict[str, Any]:
    """The month's date and the latest order of what it adds; null where they are not known."""
    start = None if orders is None else orders.rules.start
    order = None if orders is None else orders.order_in(month)
    at = None if order is None else order.order_by_month
    return {
        "date": None if start is None else date_after(start, month).isoformat(),
        "order_by_month": at,
        "order_by": None if start is None or at is None else date_after(start, at).isoformat(),
    }


def _flat(step: PlanStep, quantity: Quantity) -> dict[str, Any]:
    fleet = step.deployed
    return {
        "month": step.month, f"peak_{quantity}": step.peak, "peak_low": step.peak_low, "peak_high": step.peak_high,
        "interpolated": step.interpolated, "extrapolated": step.extrapolated,
        "instances_low": step.instances[0], "instances_high": step.instances[1],
        "phase": step.phase, "deployed_min": fleet.min, "deployed_max": fleet.max,
        "at_peak_low": fleet.at_peak[0], "at_peak_high": fleet.at_peak[1],
        "utilization_normal_low": fleet.utilization_normal[0], "utilization_normal_high": fleet.utilization_normal[1],
        "utilization_max_low": fleet.utilization_max[0], "utilization_max_high": fleet.utilization_max[1],
        "shed_rate": fleet.shed_rate, "bound_by": step.bound_by, "reason": step.reason,
    }  # fmt: skip


def _table_row(step: PlanStep) -> tuple[str, ...]:
    fleet = step.deployed
    standing = "extrapolated" if step.extrapolated else "interpolated" if step.interpolated else ""
    return (
        str(step.month), amount(step.peak), number_range(*step.instances), step.phase,
        number_range(fleet.min, fleet.max), number_range(*fleet.at_peak),
        _ends(fleet.utilization_normal), _ends(fleet.utilization_max),
        "-" if fleet.shed_rate is None else percent(fleet.shed_rate), standing,
    )  # fmt: skip


def _ends(pair: tuple[float, float]) -> str:
    least, most = sorted(pair)
    same = percent(least) == percent(most)
    return percent(most) if same else f"{percent(least).removesuffix(' %')} to {percent(most)}"
