"""The command that holds a plan against what really came: actuals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from capacity.interfaces.console import (
    VERDICT_FAILED,
    envelope,
    messages,
    out,
    print_findings,
    print_json,
    table,
)
from capacity.interfaces.output_targets import check_file_target


def actuals(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="plan.json of `capacity plan --out`.")],
    measured: Annotated[
        Path, typer.Argument(metavar="ACTUALS", help="CSV with month (or date) and peak, in the plan's quantity.")
    ],
    out_file: Annotated[Path | None, typer.Option("--out", help="File for the result, such as actuals.json.")] = None,
    strict: Annotated[bool, typer.Option(help="Exit 99 when a finding is a warning or worse.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Measured peaks against a plan: on which percentile of its forecast, and how many instances they ask for."""
    from capacity.planning.actuals_table import read_actuals
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.plan_actuals import actuals_against_plan
    from loadtests.foundation.files import write_json

    if out_file is not None:
        check_file_target(out_file)
    stated = CapacityPlan.load(plan)
    found = actuals_against_plan(stated, read_actuals(measured, stated))
    document = {**envelope({"plan": plan, "actuals": measured}), **found.to_dict()}
    if out_file is not None:
        write_json(out_file, document)
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if as_json:
        print_json(document)
    else:
        header, rows = found.as_table()
        out().print(table(f"Actuals against the plan ({found.quantity})", header, rows))
        out().print(found.standing)
        print_findings(found.findings, with_remedies_of_info=True)
    if strict and any(item.severity != "info" for item in found.findings):
        raise typer.Exit(VERDICT_FAILED)


COMMANDS = (actuals,)
