"""Commands that decide: instances, plan, report."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capacity.interfaces.console import VERDICT_FAILED, messages, out, print_findings, print_json, table
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from capacity.demand.growth import GrowthProjection
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.policy import PlanningPolicy
    from simulations.analysis.capacity_curve import InstanceCapacity

_JSON_HELP = "Print JSON on stdout."
GUIDE = "guide"


def instances(
    peak: Annotated[str, typer.Option(help="Peak load, in the unit of the capacity.")],
    instance_capacity: Annotated[str, typer.Option(help="Load that one instance carries normally.")],
    safety_factor: Annotated[str, typer.Option(help="One factor or several, each at least 1.")] = "1.2,1.5",
    instance_max: Annotated[str, typer.Option(help="Most that one instance takes; default capacity / 67 %.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Required instances = peak / capacity x safety factor, rounded up, in exact arithmetic."""
    from capacity.planning.instance_formula import instance_requirement
    from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

    found = instance_requirement(
        _exact("--peak", peak), _exact("--instance-capacity", instance_capacity),
        [_exact("--safety-factor", part) for part in safety_factor.split(",")],
        instance_max=_exact("--instance-max", instance_max) if instance_max else None,
    )  # fmt: skip
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **found.to_dict(), "versions": versions_of()})
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
    max_bad: Annotated[str, typer.Option(help="With --model: largest share of shed requests.")] = "0.1%",
    think: Annotated[str, typer.Option(help="With --model: think time; default as measured.")] = "",
    quantity: Annotated[str, typer.Option(help="What is counted: users, connections, in_flight, rps or ccu.")] = "",
    policy: Annotated[str, typer.Option(help="Policy file (JSON or TOML), or the word guide.")] = "",
    extrapolate_to: Annotated[int, typer.Option(help="Continue the last growth segment to this month.")] = 0,
    out_folder: Annotated[Path | None, typer.Option("--out", help="Folder for plan.json and charts.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulations behind --model.")] = 1,
    strict: Annotated[bool, typer.Option(help="Exit 99 when a finding is a warning or worse.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """How many instances, in which phase, month by month, and why."""
    from capacity.planning.planner import plan_capacity

    if bool(instance_capacity) == (model is not None):
        raise InputError("Give either --instance-capacity N (assumed) or --model FILE (measured), one of the two.")
    chosen = _read_policy(policy, measured=model is not None)
    if model is not None:
        capacity = capacity_of_model(model, p95, max_bad, think, seed)
    else:
        capacity = _assumed(instance_capacity, instance_max, quantity)
    made = plan_capacity(_read_growth(growth, quantity, extrapolate_to), capacity, chosen)
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
    from capacity.output.report import write_report

    path = write_report(folder)
    if as_json:
        print_json({"schema_version": 1, "report": str(path)})
    else:
        out().print(f"Wrote {path}", soft_wrap=True)


def print_plan(made: CapacityPlan) -> None:
    """A plan for people: the months, the phases with their rules, the findings."""
    console = out()
    quantity = made.quantity.value
    rows = [
        (
            f"{step['month']}{' *' if step['interpolated'] else ''}", f"{step[f'peak_{quantity}']:,.0f}",
            _range(step["instances"]["low"], step["instances"]["high"]), step["phase"],
            _range(step["deployed"]["min"], step["deployed"]["max"]), step["bound_by"].replace("_", " "),
        )
        for step in made.to_dict()["steps"]
    ]  # fmt: skip
    title = f"Plan: one instance carries {made.instance_capacity.value.format('.4g', quantity)}"
    console.print(table(title, ("month", f"peak {quantity}", "formula", "phase", "deployed", "bound by"), rows))
    if any(step.interpolated for step in made.steps):
        console.print("* interpolated between the stated months", style="dim")
    for phase in made.phases:
        months = f"month {phase.from_month}" + ("+" if phase.to_month is None else f" to {phase.to_month}")
        console.print(
            f"[bold]{months}: {phase.phase}, {_range(phase.min_instances, phase.max_instances)} instance(s)[/]"
        )
        console.print(f"    {phase.reason}", soft_wrap=True)
    print_findings(made.findings)


def capacity_of_model(path: Path, p95: str, max_bad: str, think: str, seed: int) -> InstanceCapacity:
    """The capacity of one instance by a calibrated model, with its interval."""
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.foundation.units import parse_duration_s, parse_fraction
    from simulations.calibration.capacity import capacity_of_fit
    from simulations.calibration.result import CalibrationResult

    fit = CalibrationResult.load(path)
    return capacity_of_fit(
        fit,
        p95_s=parse_duration_s(p95, "--p95") if p95 else None,
        max_bad_fraction=parse_fraction(max_bad, "--max-bad") if max_bad else None,
        think_time=parse_distribution(think) if think else None,
        seed=seed,
    )


def _assumed(instance_capacity: str, instance_max: str, quantity: str) -> InstanceCapacity:
    from simulations.analysis.capacity_curve import InstanceCapacity

    top = float(_exact("--instance-max", instance_max)) if instance_max else None
    return InstanceCapacity.assumed(float(_exact("--instance-capacity", instance_capacity)), quantity or "ccu", top)


def _read_growth(source: str, quantity: str, extrapolate_to: int) -> GrowthProjection:
    from dataclasses import replace

    from capacity.demand.growth import GrowthProjection, read_growth
    from loadtests.foundation.units import Quantity

    beyond = extrapolate_to or None
    if source == GUIDE:
        growth = replace(GrowthProjection.guide(), extrapolate_to=beyond)
        return replace(growth, quantity=Quantity.parse(quantity)) if quantity else growth
    return read_growth(sys.stdin if source == "-" else Path(source), quantity or None, extrapolate_to=beyond)


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

    paths = [made.save(folder / "plan.json"), *write_plan_figures(made, folder)]
    for path in paths:
        messages().print(f"Wrote {path}", soft_wrap=True)


def _exact(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip().replace("_", "").replace(",", ""))
    except InvalidOperation:
        raise InputError(f"{name} is {text!r}; it must be a number, for example 3350 or 1.2.") from None
    if not number.is_finite():
        raise InputError(f"{name} is {text!r}; it must be a finite number.")
    return number


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


COMMANDS = (instances, plan, report)
