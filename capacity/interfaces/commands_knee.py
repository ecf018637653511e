"""The command that looks for the highest load that meets an objective, on a real server: find-knee."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.commands_loadtests import print_trust, read_limits, requests_of
from capacity.interfaces.console import (
    VERDICT_FAILED,
    envelope,
    known,
    known_duration,
    messages,
    out,
    print_json,
    styled,
    table,
)
from capacity.interfaces.output_targets import check_folder_target
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import parse_duration_s, parse_fraction

if TYPE_CHECKING:
    from loadtests.knee.knee_run import KneeProgress
    from loadtests.knee.knee_search import KneeResult
    from loadtests.recording import Recording

_REASONS = {
    "precise": "known as precisely as asked for",
    "steps": "all steps are used up; --max-steps allows more",
    "time": "the time is used up; --max-time allows more",
    "not-reached": "even the largest allowed level keeps the objective; --most allows more",
    "not-met": "not even the lightest level keeps the objective",
}


def find_knee(
    host: Annotated[str, typer.Option(help="Server under test, for example http://127.0.0.1:8080.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for the recording of all steps.")],
    p95: Annotated[str, typer.Option(help="Largest P95 of served requests, for example 50ms.")] = "",
    max_bad: Annotated[str, typer.Option(help="Largest share of requests that end badly, for example 0.1%.")] = "",
    think: Annotated[str, typer.Option(help="Think time, for example uniform:0.05:0.15.")] = "uniform:0.05:0.15",
    start: Annotated[int, typer.Option(help="Users of the first step.")] = 10,
    most: Annotated[int, typer.Option(help="Never more users than these.")] = 1_000,
    step_time: Annotated[str, typer.Option(help="Length of a step, from when its users run.")] = "20s",
    precision: Annotated[str, typer.Option(help="Stop when the interval is as narrow as this.")] = "10%",
    max_steps: Annotated[int, typer.Option(help="Most steps, repeats included.")] = 14,
    max_time: Annotated[str, typer.Option(help="No further step after this time; empty: no limit.")] = "",
    deployment: Annotated[Path | None, typer.Option(help="Known limits of the server (JSON or TOML).")] = None,
    request: Annotated[
        list[str] | None, typer.Option(help="'METHOD /path weight BODY', the body as text or @FILE; may be repeated.")
    ] = None,
    mix: Annotated[str, typer.Option(help="A named mix instead of --request: guide.")] = "",
    header: Annotated[
        list[str] | None, typer.Option(help="'NAME: env:VARIABLE', or 'NAME: value' kept in clear; may be repeated.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Authorities of the server's certificate (PEM).")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the server's certificate.")] = False,
    request_timeout: Annotated[str, typer.Option(help="A user gives up after this time.")] = "30s",
    processes: Annotated[int, typer.Option(help="Locust processes on this machine that run users.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of think times and request mix.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Find the most users that meet an objective, step by step; exit 99 when no load does."""
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.foundation.server_access import Access, parse_header
    from loadtests.knee.knee_run import find_knee as run_search
    from loadtests.knee.knee_search import KneeOptions
    from loadtests.knee.knee_step import KneeObjective
    from loadtests.load.plan import LoadPlan
    from loadtests.locust_run import LoadGenerator

    if not p95 and not max_bad:
        raise InputError("Give what the server must keep: --p95 (such as 50ms), --max-bad (such as 0.1%), or both.")
    objective = KneeObjective(
        parse_duration_s(p95, "--p95") if p95 else None, parse_fraction(max_bad, "--max-bad") if max_bad else None
    )
    options = KneeOptions(
        start, most, precision=parse_fraction(precision, "--precision"), max_steps=max_steps,
        longest_s=parse_duration_s(max_time, "--max-time") if max_time else None,
    )  # fmt: skip
    plan = LoadPlan(
        users=(start,),
        step_time_s=parse_duration_s(step_time, "--step-time"),
        think=parse_distribution(think),
        requests=requests_of(request, mix),
        seed=seed,
        request_timeout_s=parse_duration_s(request_timeout, "--request-timeout"),
        access=Access(tuple(map(parse_header, header or ())), ca, insecure),
    )
    check_folder_target(folder)
    result, recording = run_search(
        host, plan, objective, folder, options=options, deployment=read_limits(deployment),
        generator=LoadGenerator(processes), on_progress=_say,
    )  # fmt: skip
    if as_json:
        print_json(knee_document(result, recording, host, folder))
    else:
        print_result(result, recording)
        messages().print(f"Wrote {folder}", soft_wrap=True)
    if not result.is_met:
        raise typer.Exit(VERDICT_FAILED)


def knee_document(result: KneeResult, recording: Recording, host: str, folder: Path) -> dict[str, Any]:
    """A knee for machines."""
    manifest = recording.manifest
    inputs = {"host": host, "plan": manifest.get("plan", {})}
    return {
        **envelope(inputs, seed=manifest.get("seed"), packages=("locust", "numpy", "scipy")), **result.to_dict(),
        "recording": str(folder), "trust": manifest["trust"]["verdict"],
    }  # fmt: skip


def _say(seen: KneeProgress) -> None:
    messages().print(f"step {seen.step}: {seen.users} users", soft_wrap=True)


def print_result(result: KneeResult, recording: Recording) -> None:
    """A knee for people."""
    rows = [
        (
            place, step["users"], f"{step['window_s']:.1f} s", f"{step['requests']:,}",
            known_duration(measured.p95_s), known(step["bad_fraction"]["mid"], ".2%"),
            f"{step['probability_kept']:.0%}",
        )
        for place, (measured, step) in enumerate(zip(result.steps, result.to_dict()["steps"], strict=True), start=1)
    ]  # fmt: skip
    columns = ("step", "users", "steady", "requests", "P95", "bad", "keeps it")
    out().print(table("Steps, and how likely so many users keep it", columns, rows))
    style = "bold green" if result.is_met else "bold red"
    out().print(styled(("Knee: ", "bold"), (result.summary(), style)), soft_wrap=True)
    out().print(f"Ended: {_REASONS[result.reason]}.", soft_wrap=True)
    print_trust(recording)


COMMANDS = (find_knee,)
