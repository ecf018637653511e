"""Commands that model: calibrate, validate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import (
    VERDICT_FAILED,
    envelope,
    known,
    messages,
    out,
    parse_numbers,
    print_findings,
    print_json,
    progress,
    styled,
    table,
)
from capacity.interfaces.fleet_options import fleet_of
from capacity.interfaces.output_targets import check_file_target
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from simulations.calibration.result import CalibrationResult
    from simulations.calibration.validation import ValidationReport

_JSON_HELP = "Print JSON on stdout."


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Recording folder.")],
    out_file: Annotated[Path, typer.Option("--out", help="Model file to write.")] = Path("model.json"),
    steps: Annotated[str, typer.Option(help="Steps to use, for example 1,2,4-6; default all.")] = "",
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Fit a model to a recording, all steps at once; exit 99 when the recording refuses it."""
    from loadtests.store import read_recording
    from simulations.calibration.fitting import calibrate as fit_model

    check_file_target(out_file)
    recording = read_recording(folder)
    chosen = recording.only(parse_numbers(steps, "--steps")) if steps else recording
    with progress("calibrating") as stage:
        fit = fit_model(chosen, seed=seed, on_progress=stage.show)
    fit.save(out_file)
    messages().print(f"Wrote {out_file}", soft_wrap=True)
    if as_json:
        print_json(fit.to_dict())
    else:
        print_fit(fit)
    if any(item.severity == "critical" for item in fit.findings):
        raise typer.Exit(VERDICT_FAILED)


def validate(
    model: Annotated[Path, typer.Argument(help="Model file from `capacity calibrate`.")],
    against: Annotated[Path, typer.Option(help="Recording folder.")],
    steps: Annotated[str, typer.Option(help="Steps to predict; default all that the model has not seen.")] = "",
    out_file: Annotated[
        Path | None, typer.Option("--out", help="File for the result, such as validation.json.")
    ] = None,
    instances: Annotated[int, typer.Option(help="Instances that the recording was measured on.")] = 1,
    balancer: Annotated[str, typer.Option(help="round-robin (default), random, two-choices, ...")] = "",
    seed: Annotated[int, typer.Option(help="Seed.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Predict steps that the calibration has not seen; exit 99 when the limits are missed."""
    from loadtests.foundation.files import write_json
    from loadtests.store import read_recording
    from simulations.calibration.result import CalibrationResult
    from simulations.calibration.validation import unseen_steps, validate_model

    if out_file is not None:
        check_file_target(out_file)
    fit, recording = CalibrationResult.load(model), read_recording(against)
    chosen = parse_numbers(steps, "--steps") if steps else unseen_steps(fit, recording)
    if not chosen:
        raise InputError(f"All steps of {against} were used for the calibration; record more, or calibrate on fewer.")
    found = validate_model(fit, recording.only(chosen), fleet=fleet_of(instances, balancer), seed=seed)
    document = validation_document(found, model, against)
    if out_file is not None:
        write_json(out_file, document)
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if as_json:
        print_json(document)
    else:
        print_validation(found)
    if found.verdict != "pass":
        raise typer.Exit(VERDICT_FAILED)


def validation_document(found: ValidationReport, model: Path, recording: Path) -> dict[str, Any]:
    """A validation for machines, with the model and the recording that it compares."""
    inputs = {"model": model, "recording": recording, "steps": [item.step for item in found.steps]}
    return {**envelope(inputs), **found.to_dict()}


def print_fit(fit: CalibrationResult) -> None:
    """A calibration for people."""
    rows = [
        (name, item.format(), "yes" if fit.identified.get(name, True) else "no")
        for name, item in fit.parameters.items()
    ]
    rows += [(name, f"{item.mid:g}", "assumed") for name, item in fit.assumed_resources.items()]
    title = f"Calibrated on {len(fit.steps)} steps, {fit.valid_range} ({fit.family})"
    out().print(table(title, ("parameter (s)", f"value ({fit.level:.0%} interval)", "told by the data"), rows))
    print_findings(fit.findings)
    if fit.scalability is not None:
        out().print(f"By the {fit.scalability.text}.", soft_wrap=True)
    if fit.next_step is not None:
        out().print(f"Next: {fit.next_step.text}.", soft_wrap=True)


def print_validation(found: ValidationReport) -> None:
    """A validation for people."""
    console = out()
    for item in found.steps:
        place = "" if item.inside_calibrated_range else ", outside the calibrated range"
        rows = [
            (
                name, known(c.measured, ".4g"), c.predicted.format(), known(c.judged_error, ".1%"),
                known(c.limit, ".1%"), "yes" if c.passes else "NO",
            )
            for name, c in item.comparisons.items()
        ]  # fmt: skip
        title = f"Held-out step {item.step}: {item.users} users ({item.region}{place})"
        console.print(table(title, ("metric", "measured", "predicted", "error", "limit", "within"), rows))
    named = {"model": found.median_errors, **found.baselines}
    errors = [(name.replace("_", " "), *_errors(values, found)) for name, values in named.items()]
    console.print(table("Median errors, beside trivial baselines", ("", *found.limits), errors))
    console.print(f"{known(found.interval_coverage, '.0%')} of the measured values lie in their prediction intervals.")
    print_findings(found.findings)
    console.print(styled(("Verdict: ", ""), (found.verdict, "bold")))


def _errors(errors: dict[str, float], found: ValidationReport) -> list[str]:
    return [known(errors[name], ".1%") for name in found.limits]


COMMANDS = (calibrate, validate)
