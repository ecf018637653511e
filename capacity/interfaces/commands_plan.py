"""Commands that decide: instances, plan, report."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import VERDICT_FAILED, envelope, messages, out, print_findings, print_json, table
from capacity.interfaces.output_targets import check_file_target, check_folder_target
from capacity.interfaces.shape_options import ShapeOptions
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from capacity.demand.growth import GrowthProjection
    from capacity.planning.orders import OrderingRules, OrderTimeline
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.plan_constraints import PlanConstraints
    from capacity.planning.policy import PlanningPolicy
    from capacity.planning.shape_choice import ShapeChoice
    from loadtests.foundation.intervals import Interval
    from simulations.analysis.capacity_curve import InstanceCapacity
    from simulations.calibration.result import CalibrationResult

_JSON_HELP = "Print JSON on stdout."
GUIDE = "guide"
DEFAULT_MAX_BAD, DEFAULT_SEED = "0.1%", 1
_MOST_ORDERS = 12


def instances(
    peak: Annotated[str, typer.Option(help="Peak load, in the unit of the capacity.")],
    instance_capacity: Annotated[str, typer.Option(help="Load that one instance carries normally.")],
    safety_factor: Annotated[str, typer.Option(help="One factor or several, each at least 1.")] = "1.2,1.5",
    instance_max: Annotated[str, typer.Option(help="Most that one instance takes; default capacity / 67 %.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Required instances = peak / capacity x safety factor, rounded up, in exact arithmetic."""
    from capacity.planning.instance_formula import instance_requirement

    factors = [_exact("--safety-factor", part) for part in safety_factor.split(",")]
    top = _exact("--instance-max", instance_max) if instance_max else None
    found = instance_requirement(
        _exact("--peak", peak), _exact("--instance-capacity", instance_capacity), factors, instance_max=top
    )
    if as_json:
        inputs = {
            "peak": peak, "instance_capacity": instance_capacity, "safety_factor": safety_factor,
            "instance_max": instance_max or None,
        }  # fmt: skip
        print_json({**envelope(inputs), **found.to_dict()})
        return
    rows = [
        (
            item["safety_factor"],
            item["instances"],
            _percent(item["utilization_normal"]),
            _percent(item["utilization_max"]),
        )
        for item in found.to_dict()["results"]
    ]
    title = f"Instances for a peak of {peak} at {instance_capacity} each"
    out().print(table(title, ("safety factor", "instances", "of normal capacity", "of maximum"), rows))


def plan(
    growth: Annotated[str, typer.Option(help="Growth CSV, - for stdin, or the word guide.")],
    instance_capacity: Annotated[str, typer.Option(help="Assumed normal capacity of one instance.")] = "",
    instance_max: Annotated[str, typer.Option(help="Assumed maximum of one instance.")] = "",
    model: Annotated[Path | None, typer.Option(help="Calibrated model, instead of an assumed capacity.")] = None,
    p95: Annotated[str, typer.Option(help="With --model: largest P95, for example 50ms.")] = "",
    max_bad: Annotated[str, typer.Option(help="With --model: largest share of shed requests; default 0.1%.")] = "",
    think: Annotated[str, typer.Option(help="With --model: think time; default as measured.")] = "",
    quantity: Annotated[str, typer.Option(help="What is counted: users, connections, in_flight, rps or ccu.")] = "",
    policy: Annotated[str, typer.Option(help="Policy file (JSON or TOML), or the word guide.")] = "",
    extrapolate_to: Annotated[int, typer.Option(help="Continue the last growth segment to this month.")] = 0,
    risk: Annotated[
        str,
        typer.Option(help="Accepted probability of running out before an order arrives, and with --shapes in a month."),
    ] = "5%",
    lead_time: Annotated[
        str,
        typer.Option(help="Months from an order to its capacity: 1, or low,mid,high; default the policy's."),
    ] = "",
    fleet: Annotated[
        int | None, typer.Option(help="Instances today, at least 1; default what the plan runs today.")
    ] = None,
    constraints: Annotated[
        Path | None, typer.Option(help="File (JSON or TOML) with per_unit, limits and rules of a fleet.")
    ] = None,
    shapes: Annotated[
        Path | None,
        typer.Option(help="File (TOML, JSON or CSV) of instance shapes with prices: which is the cheapest to plan on?"),
    ] = None,
    range_level: Annotated[
        str, typer.Option(help="Probability that stated ranges (low, high) are taken to enclose.")
    ] = "90%",
    start: Annotated[
        str, typer.Option(help="Date of month 0, for example 2026-12-01; default that of a growth with dates.")
    ] = "",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for plan.json, charts and, with --model, capacity.json.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --model: seed of its simulations; default 1.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit 99 when a finding is a warning or worse.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """How many instances, in which phase, month by month, and why."""
    from capacity.planning.planner import plan_capacity

    if bool(instance_capacity) == (model is not None):
        raise InputError("Give either --instance-capacity N (assumed) or --model FILE (measured), one of the two.")
    if model is None:
        _refuse_without_effect(
            "--instance-capacity", {"--p95": p95, "--max-bad": max_bad, "--think": think, "--seed": seed}
        )
    else:
        _refuse_without_effect("--model", {"--instance-max": instance_max})
    if out_folder is not None:
        check_folder_target(out_folder)
    chosen, drawn = _read_policy(policy, measured=model is not None), DEFAULT_SEED if seed is None else seed
    ordering = OrderingOptions(risk, lead_time, fleet, start, range_level).rules(chosen, drawn)
    more = None if constraints is None else _read_constraints(constraints)
    compared = None if shapes is None else ShapeOptions(shapes, ordering, more)
    demand = _read_growth(growth, quantity, extrapolate_to)
    if model is None:
        one = _assumed(instance_capacity, instance_max, quantity)
        offered = None if compared is None else compared.with_stated_capacities()
        made = plan_capacity(demand, one, chosen, ordering=ordering, constraints=more, shapes=offered)
    else:
        question = ModelQuestion(model, p95, max_bad or DEFAULT_MAX_BAD, think, drawn)
        more = None if more is None else more.with_measured(question.fit().resources)
        offered = None if compared is None else compared.with_model(question.fit(), question.objective())
        made = plan_capacity(demand, question.capacity(), chosen, ordering=ordering, constraints=more, shapes=offered)
        made = replace(made, seed=question.seed, capacity_inputs=question.inputs())
    if out_folder is not None:
        _write_plan(made, out_folder)
    if as_json:
        print_json(made.to_dict())
    else:
        print_plan(made)
    if strict and any(item.severity != "info" for item in made.findings):
        raise typer.Exit(VERDICT_FAILED)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a demo, or of record, calibrate and plan.")],
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """One self-contained HTML page of everything found in a folder."""
    from capacity.output.report import REPORT, write_report

    if folder.is_dir():
        check_file_target(folder / REPORT, "The report")
    path = write_report(folder)
    if as_json:
        print_json({**envelope({"folder": folder}), "report": str(path)})
    else:
        out().print(f"Wrote {path}", soft_wrap=True)


def print_plan(made: CapacityPlan) -> None:
    """A plan for people: the months, the phases with their rules, the findings."""
    console = out()
    quantity = made.quantity.value
    title = f"Plan: one instance carries {made.instance_capacity.value.format('.4g', quantity)}"
    console.print(table(title, *made.months_as_table()))
    if any(step.interpolated for step in made.steps):
        console.print("* interpolated between the stated months", style="dim")
    if any(step.extrapolated for step in made.steps):
        console.print("** beyond the last stated month", style="dim")
    for phase in made.phases:
        months = f"month {phase.from_month}" + ("+" if phase.to_month is None else f" to {phase.to_month}")
        counts = _range(phase.min_instances, phase.max_instances)
        console.print(
            f"{months}: {phase.phase}, {counts} {'instance' if phase.max_instances == 1 else 'instances'}", style="bold"
        )
        console.print(f"    {phase.reason}", soft_wrap=True)
    if made.constraints is not None:
        console.print(table("Largest need over all constraints", *made.constraints.as_table()))
    if made.shapes is not None:
        print_shapes(made.shapes)
    if made.orders is not None:
        print_orders(made.orders)
    print_findings(made.findings, with_remedies_of_info=True)


def print_shapes(choice: ShapeChoice) -> None:
    """The alternatives for people, and the months of the cheapest."""
    for title, header, rows in (choice.as_table(), choice.months_as_table()):
        if rows:
            out().print(table(title, header, rows))


def print_orders(orders: OrderTimeline) -> None:
    """Order dates for people, the first of them."""
    about, header, rows = orders.as_table()
    out().print(table("Order dates", header, rows[:_MOST_ORDERS]))
    out().print(about, style="dim", soft_wrap=True)
    if len(rows) > _MOST_ORDERS:
        out().print(f"{len(rows) - _MOST_ORDERS} later orders stand in the plan's JSON document.", style="dim")


@dataclass(frozen=True)
class OrderingOptions:
    """How order dates are found, as given on the command line."""

    risk: str
    lead_time: str
    fleet: int | None
    start: str
    range_level: str

    def rules(self, policy: PlanningPolicy, seed: int) -> OrderingRules:
        """The rules, in numbers."""
        from capacity.planning.orders import OrderingRules
        from loadtests.foundation.units import parse_fraction

        level = parse_fraction(self.range_level, "--range-level")
        return OrderingRules(
            risk=parse_fraction(self.risk, "--risk"), lead_time_months=self._lead_time(policy, level),
            fleet=self._fleet(), start=self._start(), range_level=level, seed=seed,
        )  # fmt: skip

    def _lead_time(self, policy: PlanningPolicy, level: float) -> Interval | float:
        from loadtests.foundation.intervals import Interval

        if not self.lead_time:
            return float(policy.lead_time_months)
        ends = [float(_exact("--lead-time", part)) for part in self.lead_time.split(",")]
        if len(ends) == 1:
            return ends[0]
        if len(ends) != 3:
            raise InputError(f"--lead-time is {self.lead_time!r}; give months as one number, or as low,mid,high.")
        low, mid, high = ends
        return Interval(low, mid, high, level, "prediction")

    def _fleet(self) -> int | None:
        if self.fleet is not None and self.fleet < 1:
            raise InputError(
                f"--fleet is {self.fleet}; it must be at least 1. Leave it out to take what the plan runs today."
            )
        return self.fleet

    def _start(self) -> date | None:
        if not self.start:
            return None
        try:
            return date.fromisoformat(self.start)
        except ValueError:
            raise InputError(f"--start is {self.start!r}; write a date such as 2026-12-01.") from None


@dataclass(frozen=True)
class ModelQuestion:
    """What is asked of a calibrated model, as given on the command line."""

    model: Path
    p95: str
    max_bad: str
    think: str
    seed: int

    def inputs(self) -> dict[str, Any]:
        """The question for machines, in SI units; null: no limit, or the think time as measured."""
        from loadtests.foundation.units import parse_duration_s, parse_fraction

        return {
            "model": str(self.model),
            "p95_s": parse_duration_s(self.p95, "--p95") if self.p95 else None,
            "max_bad_fraction": parse_fraction(self.max_bad, "--max-bad"),
            "think": self.think or None,
        }

    def fit(self) -> CalibrationResult:
        """The model."""
        from simulations.calibration.result import CalibrationResult

        return CalibrationResult.load(self.model)

    def objective(self) -> dict[str, Any]:
        """What an instance must keep: `p95_s`, `max_bad_fraction`, and the `think_time` of its users."""
        from loadtests.foundation.distributions import parse_distribution

        asked = self.inputs()
        think = parse_distribution(self.think) if self.think else None
        return {"p95_s": asked["p95_s"], "max_bad_fraction": asked["max_bad_fraction"], "think_time": think}

    def capacity(self) -> InstanceCapacity:
        """The capacity of one instance by the model, with its interval."""
        from simulations.calibration.capacity import capacity_of_fit

        return capacity_of_fit(self.fit(), **self.objective(), seed=self.seed)


def capacity_document(capacity: InstanceCapacity, inputs: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """The content of ``capacity.json``."""
    return {
        **envelope(inputs, seed=seed, packages=("numpy", "numba", "scipy")),
        "instance_capacity": capacity.to_dict(),
    }


def _refuse_without_effect(beside: str, options: dict[str, str | int | None]) -> None:
    given = [name for name, value in options.items() if value not in ("", None)]
    if given:
        raise InputError(f"{', '.join(given)} has no effect with {beside}; leave it out, or give the other of the two.")


def _assumed(instance_capacity: str, instance_max: str, quantity: str) -> InstanceCapacity:
    from simulations.analysis.capacity_curve import InstanceCapacity

    top = float(_exact("--instance-max", instance_max)) if instance_max else None
    return InstanceCapacity.assumed(float(_exact("--instance-capacity", instance_capacity)), quantity or "ccu", top)


def _read_growth(source: str, quantity: str, extrapolate_to: int) -> GrowthProjection:
    from capacity.demand.growth import GrowthProjection, read_growth
    from loadtests.foundation.units import Quantity

    beyond = extrapolate_to or None
    if source == GUIDE:
        growth = replace(GrowthProjection.guide(), extrapolate_to=beyond)
        return replace(growth, quantity=Quantity.parse(quantity)) if quantity else growth
    return read_growth(sys.stdin if source == "-" else Path(source), quantity or None, extrapolate_to=beyond)


def _read_constraints(path: Path) -> PlanConstraints:
    from capacity.planning.plan_constraints import PlanConstraints

    return PlanConstraints.read(path)


def _read_policy(source: str, *, measured: bool) -> PlanningPolicy:
    """Without a file: the default; a measured capacity brings its own maximum, so no utilization is assumed for it."""
    from capacity.planning.policy import PlanningPolicy

    if source == GUIDE:
        return PlanningPolicy.guide()
    if source:
        return PlanningPolicy.read(source)
    return PlanningPolicy(utilization_percent=None) if measured else PlanningPolicy()


def _write_plan(made: CapacityPlan, folder: Path) -> None:
    from capacity.output.figures import write_plan_figures
    from loadtests.foundation.files import write_json

    paths = [made.save(folder / "plan.json"), *write_plan_figures(made, folder)]
    if not made.instance_capacity.is_assumed:
        document = capacity_document(made.instance_capacity, made.capacity_inputs, made.seed)
        paths.append(write_json(folder / "capacity.json", document))
    for path in paths:
        messages().print(f"Wrote {path}", soft_wrap=True)


def _exact(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip().replace("_", ""))
    except InvalidOperation:
        if "," in text:
            raise InputError(f"{name} is {text!r}; write it without commas, for example 3350.5 or 33_500.") from None
        raise InputError(f"{name} is {text!r}; it must be a number, for example 3350 or 1.2.") from None
    if not number.is_finite():
        raise InputError(f"{name} is {text!r}; it must be a finite number.")
    return number


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


COMMANDS = (instances, plan, report)
