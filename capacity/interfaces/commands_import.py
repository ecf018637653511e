"""Commands that make recordings of what other tools wrote: import-locust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import (
    envelope,
    known,
    known_duration,
    messages,
    out,
    print_findings,
    print_json,
    progress,
    table,
)
from capacity.interfaces.output_targets import check_folder_target

if TYPE_CHECKING:
    from loadtests.foundation.findings import Finding
    from loadtests.foundation.intervals import Interval
    from loadtests.recording import Recording


def import_locust(
    source: Annotated[Path, typer.Argument(help="STEPS.csv, what Locust's --csv was given, or a folder of runs.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    deployment: Annotated[Path | None, typer.Option(help="Known limits of the server (JSON or TOML).")] = None,
    think: Annotated[str, typer.Option(help="Think time where none is stated, for example exponential:1s.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Make a recording of the files that stock Locust wrote: --csv, --json-file, request log."""
    from loadtests.deployment import read_deployment
    from loadtests.importing.locust_files import write_locust_import

    check_folder_target(folder)
    limits = None if deployment is None else read_deployment(deployment)
    with progress("reading") as stage:
        recording = write_locust_import(
            source, folder, deployment=limits, think=think or None,
            on_progress=lambda rows: stage.show(0.5, f"{rows:,} requests read"),
        )  # fmt: skip
    if as_json:
        print_json(import_document(recording, {"source": source}, folder))
    else:
        print_import(recording)
        messages().print(f"Wrote {folder}", soft_wrap=True)


def import_document(recording: Recording, inputs: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An imported recording for machines."""
    manifest = recording.manifest
    return {
        **envelope(inputs, seed=manifest.get("seed")),
        "recording": str(folder), "requests": manifest["requests"], "source": manifest["source"],
        "steps": [step.to_dict() for step in recording.steps], "left_out": manifest.get("left_out", []),
        "findings": manifest.get("findings", []), "trust": manifest.get("trust"),
    }  # fmt: skip


def print_import(recording: Recording) -> None:
    """The steps of an imported recording, what could not be known and whether to believe it, for people."""
    from capacity.interfaces.commands_check import print_verdict
    from loadtests.trust.report import TrustReport

    sources = recording.manifest["source"].get("steps", {})
    rows = [
        (
            step.step, step.users, f"{step.window_s:.1f} s", f"{step.requests:,}",
            known(step.metrics["goodput_rps"].mid, ".4g"), known_duration(step.metrics["mean_s"].mid),
            _range(step.metrics["p95_s"]), known(step.metrics["shed_rate"].mid, ".2%"),
            sources.get(str(step.step), ""),
        )
        for step in recording.steps
    ]  # fmt: skip
    columns = ("step", "users", "steady", "requests", "served/s", "mean", "P95 (low to high)", "shed", "source")
    out().print(table("Imported (latencies of served requests)", columns, rows))
    for item in recording.manifest.get("left_out", []):
        messages().print(f"Step {item['step']} ({item['users']} users) is left out: {item['reason']}.", soft_wrap=True)
    if "trust" in recording.manifest:
        print_verdict(TrustReport.from_dict(recording.manifest["trust"]))
    else:
        print_findings(_findings(recording))


def _range(interval: Interval) -> str:
    ends = f"{known_duration(interval.low)} to {known_duration(interval.high)}"
    return f"{known_duration(interval.mid)} ({ends})"


def _findings(recording: Recording) -> Sequence[Finding]:
    from loadtests.foundation.findings import Finding

    order = ("critical", "warning", "info")
    found = [Finding.from_dict(item) for item in recording.manifest.get("findings", [])]
    return sorted(found, key=lambda item: order.index(item.severity))


COMMANDS = (import_locust,)
