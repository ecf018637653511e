"""The constraints of every month of a plan: what its peak asks of an instance beside the planned capacity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capacity.demand.wording import counted, html_table, month_list, number_range, text_table
from capacity.planning.basis import instance_basis
from capacity.planning.constraint_inputs import LOADS, InstanceLimits, ServiceDemand
from capacity.planning.constraint_report import ConstraintReport
from capacity.planning.constraints import required_by_constraints
from capacity.planning.fleet_rules import FleetRules
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain
from loadtests.foundation.files import read_json_or_toml
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

    from capacity.planning.plan import CapacityPlan

BINDS, UNCHECKED = "constraint-binds", "constraint-not-checked"
MEASURED = "constraint-from-calibration"
REPLACED, TOO_MANY = "constraint-capacity-replaced", "autoscaler-beyond-ceiling"
CONSTRAINT_CODES = (
    BINDS, UNCHECKED, MEASURED, "constraint-ceiling-passed", "constraint-cannot-be-met", TOO_MANY, REPLACED,
)  # fmt: skip
_HEADER = ("month", "instances", "bound by", "next", "most that ceilings allow")
_PARTS = ("per_unit", "limits", "rules", "measured")
_MIB, _BASE = 2.0**20, "memory_base_bytes"
_MEASURED_USE = {
    "cpu_s_per_request": ("cpu_cores", "cpu_s_per_request", 1.0),
    "memory_mib_per_in_flight": ("memory_mib", "memory_per_request_bytes", _MIB),
}
"""What a calibration can fill in: the limit that asks for it, the measured cost, and its unit."""


@dataclass(frozen=True)
class PlanConstraints:
    """What a plan's peaks ask of an instance, and the rules that a fleet must keep.

    Parameters
    ----------
    per_unit : ServiceDemand
        Loads for each unit of the peak (``arrival_rate_rps=1.8``: 1.8 requests per second for each user); times and
        sizes of a request as they are. The peak itself is filled in.
    limits : InstanceLimits
        Of one instance. Its normal capacity in the plan's quantity is filled in.
    rules : FleetRules
    measured : tuple of str
        Names that a calibration's gauges filled in (`with_measured`).
    """

    per_unit: ServiceDemand = field(default_factory=ServiceDemand)
    limits: InstanceLimits = field(default_factory=InstanceLimits)
    rules: FleetRules = field(default_factory=FleetRules)
    measured: tuple[str, ...] = ()

    def with_measured(self, resources: Mapping[str, Interval]) -> PlanConstraints:
        """With what a calibration's gauges told of cores and memory, where a limit is stated and its use is not.

        Parameters
        ----------
        resources : mapping of str to Interval
            `CalibrationResult.resources`. The upper ends are taken, so that a cost that is hardly known is not
            planned too low; what was only assumed is left out.

        Returns
        -------
        PlanConstraints
        """
        told = {name: max(item.high, 0.0) for name, item in resources.items() if item.kind != "assumed"}
        use = {
            name: _short(told[source] / unit)
            for name, (limit, source, unit) in _MEASURED_USE.items()
            if source in told and getattr(self.limits, limit) is not None and getattr(self.per_unit, name) is None
        }
        has_base = "memory_mib_per_in_flight" in use and not self.limits.memory_base_mib
        base = {"memory_base_mib": _short(told[_BASE] / _MIB)} if has_base and _BASE in told else {}
        return replace(
            self, per_unit=replace(self.per_unit, **use), limits=replace(self.limits, **base), measured=(*use, *base)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `measured` where a calibration filled in something."""
        parts = {"per_unit": self.per_unit.to_dict(), "limits": self.limits.to_dict(), "rules": self.rules.to_dict()}
        return {**parts, "measured": list(self.measured)} if self.measured else parts

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanConstraints:
        """Read `to_dict`'s form; absent parts take the defaults, unknown names are an error that lists the known."""
        unknown = sorted(set(data) - set(_PARTS))
        if unknown:
            raise InputError(f"The constraints have no {', '.join(unknown)}; allowed are {', '.join(_PARTS)}.")
        return cls(
            ServiceDemand.from_dict(data.get("per_unit", {})),
            InstanceLimits.from_dict(data.get("limits", {})),
            FleetRules.from_dict(data.get("rules", {})),
            tuple(data.get("measured", ())),
        )

    @classmethod
    def read(cls, path: str | Path) -> PlanConstraints:
        """Read a file with these parts as tables, JSON or TOML by its ending."""
        path = Path(path)
        try:
            return cls.from_dict(read_json_or_toml(path, "constraints file"))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _short(value: float) -> int | float:
    """Four digits, as far as a gauge tells."""
    return plain(float(f"{value:.4g}"))


@dataclass(frozen=True)
class MonthConstraints:
    """The constraints of one month at the low and at the high safety factor."""

    month: int
    low: ConstraintReport
    high: ConstraintReport

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"month": self.month, "low": self.low.to_dict(), "high": self.high.to_dict()}


@dataclass(frozen=True)
class ConstraintTimeline:
    """Instances as the largest need over all constraints, month by month. Made by `constraints_of_plan`.

    Parameters
    ----------
    inputs : PlanConstraints
    months : tuple of MonthConstraints
    """

    inputs: PlanConstraints
    months: tuple[MonthConstraints, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"inputs": self.inputs.to_dict(), "months": [item.to_dict() for item in self.months]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConstraintTimeline:
        """Read what `to_dict` wrote."""
        months = tuple(
            MonthConstraints(
                item["month"], ConstraintReport.from_dict(item["low"]), ConstraintReport.from_dict(item["high"])
            )
            for item in data["months"]
        )
        return cls(PlanConstraints.from_dict(data["inputs"]), months)

    def to_frame(self) -> pd.DataFrame:
        """One row a month: month, instances_low, instances_high, binding, runner_up, is_feasible (high factor)."""
        import pandas as pd

        rows = [
            {
                "month": item.month, "instances_low": item.low.instances, "instances_high": item.high.instances,
                "binding": item.high.binding.name, "runner_up": _name(item.high),
                "is_feasible": item.high.is_feasible,
            }
            for item in self.months
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def as_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows for people."""
        return _HEADER, [_row(item) for item in self.months]

    def summary(self) -> str:
        """A table of the months for people."""
        return text_table(*self.as_table())

    def _repr_html_(self) -> str:
        return html_table(*self.as_table(), "Constraints")


def _row(item: MonthConstraints) -> tuple[str, ...]:
    low, high = item.low.instances, item.high.instances
    needed = "none will do" if low is None or high is None else number_range(low, high)
    ceilings = [ceiling.most_instances for ceiling in item.high.ceilings]
    most = f"{min(ceilings)}{'' if item.high.is_feasible else ' (passed)'}" if ceilings else "-"
    return str(item.month), needed, _words(item.high.binding.name), _words(_name(item.high)), most


def _words(name: str | None) -> str:
    return "-" if name is None else name.replace("_", " ")


def _name(report: ConstraintReport) -> str | None:
    return None if report.runner_up is None else report.runner_up.name


def constraints_of_plan(plan: CapacityPlan, inputs: PlanConstraints) -> ConstraintTimeline:
    """The largest need of every month, over the planned capacity and every constraint that is stated.

    Parameters
    ----------
    plan : CapacityPlan
    inputs : PlanConstraints

    Returns
    -------
    ConstraintTimeline
    """
    basis = instance_basis(plan.growth, plan.instance_capacity, plan.policy)
    limits = replace(inputs.limits, **{f"normal_{basis.quantity}": plain(basis.normal)})
    found = []
    for step in plan.steps:
        loads = {
            name: plain(exact(name, value) * exact("peak", step.peak))
            for name in LOADS.values()
            if (value := getattr(inputs.per_unit, name)) is not None
        }
        demand = replace(inputs.per_unit, **loads).peaked(basis.quantity, step.peak)
        low, high = (
            required_by_constraints(demand, limits, inputs.rules, factor) for factor in plan.policy.safety_factor
        )
        found.append(MonthConstraints(step.month, low, high))
    return ConstraintTimeline(inputs, tuple(found))


def constraint_findings(plan: CapacityPlan, found: ConstraintTimeline) -> Iterator[Finding]:
    """Months in which something asks for more than the formula, or for more than a ceiling lets through; the rest.

    Parameters
    ----------
    plan : CapacityPlan
    found : ConstraintTimeline

    Yields
    ------
    Finding
    """
    formula = {step.month: step.instances[1] for step in plan.steps}
    more = [item for item in found.months if item.high.instances is None or item.high.instances > formula[item.month]]
    if more:
        yield _binds(more, formula)
    passed = [item for item in found.months if not item.high.is_feasible]
    if passed:
        yield from _passed(passed)
    yield from _too_many(plan, found)
    yield from (item for item in found.months[-1].high.findings if item.code == UNCHECKED)
    yield from _replaced(plan, found.inputs)
    yield from _from_calibration(found.inputs)


def _too_many(plan: CapacityPlan, found: ConstraintTimeline) -> Iterator[Finding]:
    """An autoscaler that may start more instances than there can be."""
    ceilings = found.months[-1].high.ceilings
    most = max((phase.max_instances for phase in plan.phases if phase.phase == "autoscaling"), default=0)
    if not ceilings or most <= (lowest := min(ceilings, key=lambda item: item.most_instances)).most_instances:
        return
    yield Finding(
        TOO_MANY, "warning",
        f"The autoscaler may run {counted(most, 'instance')}; {_words(lowest.name)} allows {lowest.most_instances} "
        f"({lowest.formula}). What starts beyond that cannot work, and may take from those that do.",
        f"Lower the autoscaler's maximum to {lowest.most_instances}, or raise the ceiling.",
        {"autoscaler_max": most, "ceiling": lowest.name, "most_instances": lowest.most_instances},
    )  # fmt: skip


def _replaced(plan: CapacityPlan, inputs: PlanConstraints) -> Iterator[Finding]:
    """A normal capacity in the file that is not the plan's: an instance has one."""
    basis = instance_basis(plan.growth, plan.instance_capacity, plan.policy)
    name = f"normal_{basis.quantity}"
    stated = getattr(inputs.limits, name)
    if stated is not None and exact(name, stated) != basis.normal:
        yield Finding(
            REPLACED, "warning",
            f"The constraints state {name} = {plain(stated)}; the plan's capacity of {plain(basis.normal)} counts.",
            f"Leave {name} out of the constraints, or plan with that capacity.",
            {name: plain(stated), "capacity": plain(basis.normal)},
        )  # fmt: skip


def _from_calibration(inputs: PlanConstraints) -> Iterator[Finding]:
    if not inputs.measured:
        return
    own = (inputs.per_unit, inputs.limits)
    values = {name: getattr(next(part for part in own if hasattr(part, name)), name) for name in inputs.measured}
    told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    yield Finding(
        MEASURED, "info",
        f"Taken from the calibration's gauges, at the upper ends of their intervals: {told}.",
        "State them in the constraints file where you know better.", values,
    )  # fmt: skip


def _binds(more: Sequence[MonthConstraints], formula: Mapping[int, int]) -> Finding:
    last = more[-1]
    needed = last.high.instances
    count = "no number of instances will do" if needed is None else counted(needed, "instance")
    return Finding(
        BINDS, "warning",
        f"In {month_list(item.month for item in more)} a constraint asks for more than the formula: "
        f"{_words(last.high.binding.name)} in month {last.month}, {count} instead of {formula[last.month]} "
        f"({last.high.binding.formula}).",
        "Deploy what the constraint asks for, or give an instance more of what binds.",
        {"months": [item.month for item in more], "binding": last.high.binding.name, "instances": needed},
    )  # fmt: skip


def _passed(passed: Sequence[MonthConstraints]) -> Iterator[Finding]:
    """As the month says that asks for most: what is changed by its numbers is enough for all."""
    worst = max(passed, key=lambda item: math.inf if item.high.instances is None else item.high.instances)
    when = month_list(item.month for item in passed)
    where = f"In {when}, most in month {worst.month}" if len(passed) > 1 else f"In {when}"
    for finding in worst.high.findings:
        if finding.severity == "critical":
            numbers = {**finding.numbers, "months": [item.month for item in passed]}
            yield replace(finding, message=f"{where}: {finding.message}", numbers=numbers)
