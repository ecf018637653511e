"""Commands that measure: demo, staging, record, recover, locustfile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import (
    Stage,
    envelope,
    known,
    known_duration,
    messages,
    out,
    parse_numbers,
    print_json,
    progress,
    table,
)
from capacity.interfaces.output_targets import check_folder_target
from loadtests.foundation.errors import RunError
from loadtests.foundation.units import parse_duration_s

if TYPE_CHECKING:
    from loadtests.deployment import Deployment
    from loadtests.locust_run import LoadGenerator
    from loadtests.plan import LoadPlan
    from loadtests.progress import Progress
    from loadtests.recording import Recording

_JSON_HELP = "Print JSON on stdout."


def demo(
    folder: Annotated[Path | None, typer.Option("--out", help="New folder; default capacity-demo.")] = None,
    quick: Annotated[bool, typer.Option(help="Shorter steps: under a minute, wider intervals.")] = False,
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """The whole job on the bundled staging server: load test, model, validation, plan, timeline."""
    from capacity.interfaces.demo import DemoOptions, print_demo, run_demo

    result = run_demo(DemoOptions(folder, quick=quick, seed=seed))
    if as_json:
        print_json(result.to_dict())
    else:
        print_demo(result)


def staging(
    port: Annotated[int, typer.Option(help="Port to bind; 0 takes a free one.")] = 8080,
    service_time: Annotated[str, typer.Option(help="Distribution of the service time.")] = "lognormal:50ms:0.8",
    db_time: Annotated[str, typer.Option(help="Time that a query holds its connection.")] = "none",
    deployment: Annotated[Path | None, typer.Option(help="Deployment file (JSON or TOML).")] = None,
    max_ccu: Annotated[int, typer.Option(help="Without a file: maximum of the instance.")] = 300,
    utilization: Annotated[float, typer.Option(help="Without a file: percent meant for normal operation.")] = 67.0,
    workers: Annotated[int, typer.Option(help="Requests served at a time; 0: by the server's rule.")] = 0,
    queue_capacity: Annotated[int, typer.Option(help="Requests that may wait; -1: by the server's rule.")] = -1,
    gate_limit: Annotated[int, typer.Option(help="Requests inside; 0: workers + queue.")] = 0,
    db_pool: Annotated[int, typer.Option(help="Database connections.")] = 20,
    service_log: Annotated[Path | None, typer.Option(help="CSV for planned and realised service times.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the service times.")] = 1,
) -> None:
    """Run the bundled staging server: a real gate, line, workers and database pool. Ctrl-C ends it."""
    from loadtests.deployment import Deployment, read_deployment
    from loadtests.staging.options import StagingOptions
    from loadtests.staging.server import run_staging

    if deployment is None:
        limits = {"workers": workers or None, "gate_limit": gate_limit or None, "db_pool": db_pool or None}
        given = {name: value for name, value in limits.items() if value is not None}
        if queue_capacity >= 0:
            given["queue_capacity"] = queue_capacity
        chosen = Deployment.from_utilization(max_ccu, utilization).with_limits(**given)
    else:
        chosen = read_deployment(deployment)
    run_staging(StagingOptions(chosen, service_time, db_time, port, seed, service_log))


def record(
    host: Annotated[str, typer.Option(help="Server under test, for example http://127.0.0.1:8080.")],
    users: Annotated[str, typer.Option(help="Load levels, for example 5,10,20,40.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    step_time: Annotated[str, typer.Option(help="Length of each level.")] = "30s",
    think: Annotated[str, typer.Option(help="Think time, for example uniform:0.05:0.15.")] = "uniform:0.05:0.15",
    deployment: Annotated[Path | None, typer.Option(help="Known limits of the server (JSON or TOML).")] = None,
    request: Annotated[list[str] | None, typer.Option(help="'METHOD /path weight'; may be repeated.")] = None,
    spawn_rate: Annotated[float, typer.Option(help="Users started a second; 0: chosen by the step.")] = 0.0,
    request_timeout: Annotated[str, typer.Option(help="A user gives up after this time.")] = "30s",
    seed: Annotated[int, typer.Option(help="Seed of think times and request mix.")] = 1,
    processes: Annotated[int, typer.Option(help="Locust processes on this machine that run users.")] = 1,
    expect_workers: Annotated[int, typer.Option(help="Instead, wait for so many workers started elsewhere.")] = 0,
    master_bind: Annotated[str, typer.Option(help="Where those workers reach this machine.")] = "127.0.0.1:5557",
    locustfile: Annotated[Path | None, typer.Option(help="Your own locustfile: its users, its shape if any.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Load a server with Locust, level by level, and keep every request."""
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.locust_run import LoadGenerator
    from loadtests.plan import DEFAULT_REQUESTS, LoadPlan, parse_request

    plan = LoadPlan(
        users=tuple(parse_numbers(users, "--users")),
        step_time_s=parse_duration_s(step_time, "--step-time"),
        think=parse_distribution(think),
        requests=tuple(parse_request(item) for item in request) if request else DEFAULT_REQUESTS,
        spawn_rate=spawn_rate or None,
        seed=seed,
        request_timeout_s=parse_duration_s(request_timeout, "--request-timeout"),
    )
    generator = LoadGenerator(processes, expect_workers, master_bind, locustfile)
    check_folder_target(folder)
    recording = record_with_progress(host, plan, folder, _read(deployment), generator)
    if not recording.steps:
        raise RunError(
            f"No step of {folder} has a steady window, so nothing can be calibrated on it; make --step-time longer "
            "or --spawn-rate higher."
        )
    if as_json:
        print_json(recording_document(recording, host, folder))
    else:
        print_recording(recording)
        messages().print(f"Wrote {folder}", soft_wrap=True)


def recover(
    folder: Annotated[Path, typer.Argument(help="Folder of a test that was interrupted or killed.")],
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Make a recording of the steps that an interrupted or killed test completed."""
    from loadtests.conversion import recover_recording

    recording = recover_recording(folder)
    if as_json:
        print_json(recording_document(recording, recording.manifest["host"], folder))
        return
    print_recording(recording)
    for finding in recording.manifest["findings"]:
        messages().print(finding["message"], soft_wrap=True)


def locustfile(
    listener: Annotated[bool, typer.Option(help="The listener, to record beside your own file.")] = False,
) -> None:
    """Path of the installed locustfile, for stock Locust: locust -f "$(capacity locustfile)" -H URL."""
    import loadtests

    name = "listener.py" if listener else "locustfile.py"
    typer.echo(str(Path(str(loadtests.__file__)).with_name(name)))


def record_with_progress(
    host: str, plan: LoadPlan, folder: Path, deployment: Deployment | None, generator: LoadGenerator | None = None
) -> Recording:
    """`record`, with a bar that shows level and rate, then what was left out; on Ctrl-C what was saved."""
    from loadtests.runner import record as run_record

    try:
        with progress("starting Locust") as stage:
            recording = run_record(
                host, plan, folder, deployment=deployment, generator=generator,
                on_progress=lambda seen: _show(stage, seen),
            )  # fmt: skip
    except KeyboardInterrupt:
        messages().print(_saved(folder), soft_wrap=True)
        raise
    for item in left_out_steps(recording):
        messages().print(f"Step {item['step']} ({item['users']} users) is left out: {item['reason']}.", soft_wrap=True)
    for finding in recording.manifest.get("findings", []):
        messages().print(finding["message"], soft_wrap=True)
    return recording


def left_out_steps(recording: Recording) -> list[dict[str, Any]]:
    """Steps without a steady window: step, users, reason."""
    return list(recording.manifest.get("left_out", []))


def recording_document(recording: Recording, host: str, folder: Path) -> dict[str, Any]:
    """A recording for machines."""
    plan, seed = recording.manifest.get("plan", {}), recording.manifest.get("seed")
    return {
        **envelope({"host": host, "plan": plan}, seed=seed, packages=("locust",)),
        "recording": str(folder), "requests": len(recording.requests),
        "steps": [step.to_dict() for step in recording.steps], "left_out": left_out_steps(recording),
        "findings": recording.manifest.get("findings", []),
    }  # fmt: skip


def _saved(folder: Path) -> str:
    """What an interrupted load test leaves behind, and how to go on."""
    from loadtests.journal import count_rows
    from loadtests.store import JOURNAL, MANIFEST

    if (folder / MANIFEST).is_file():
        return f"Interrupted: the steps that were complete are a recording in {folder}; capacity calibrate reads it."
    rows = count_rows(folder / JOURNAL)
    if not rows:
        return "Interrupted before the first request was saved; there is no recording."
    return (
        f"Interrupted before a step was complete: {rows:,} requests are journalled in {folder / JOURNAL}. That is not "
        "a whole recording, and calibrate refuses it; record again into another folder, with fewer levels or shorter "
        "steps if time is short."
    )


def print_recording(recording: Recording) -> None:
    """The steps of a recording for people."""
    rows = [
        (
            step.step, step.users, f"{step.window_s:.1f} s", f"{step.requests:,}",
            known(step.metrics["goodput_rps"].mid, ".4g"),
            known_duration(step.metrics["mean_s"].mid), known_duration(step.metrics["p95_s"].mid),
            known(step.metrics["shed_rate"].mid, ".2%"),
        )
        for step in recording.steps
    ]  # fmt: skip
    columns = ("step", "users", "steady", "requests", "served/s", "mean", "P95", "shed")
    out().print(table("Measured (latencies of served requests)", columns, rows))


def _show(stage: Stage, seen: Progress) -> None:
    text = f"step {seen.step} of {seen.steps}: {seen.users} users, {seen.rps:,.0f} requests/s"
    stage.show(seen.fraction, text)


def _read(path: Path | None) -> Deployment | None:
    from loadtests.deployment import read_deployment

    return None if path is None else read_deployment(path)


COMMANDS = (demo, staging, record, recover, locustfile)
