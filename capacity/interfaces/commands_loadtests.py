"""Commands that measure: demo, staging, record, recover, locustfile."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.commands_import_prometheus import gauges_of
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
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import parse_duration_s

if TYPE_CHECKING:
    from rich.table import Table

    from loadtests.deployment import Deployment
    from loadtests.journals.progress import Progress
    from loadtests.load.plan import LoadPlan
    from loadtests.load.planned_requests import Request
    from loadtests.locust_run import LoadGenerator
    from loadtests.prometheus.gauges import PrometheusGauges
    from loadtests.recording import Recording

_JSON_HELP = "Print JSON on stdout."
_SHAPES = (
    "steps:5,10,20:TIME, ramp:FROM:TO:TIME, spike:BASE:PEAK:TIME, soak:USERS:TIME, breakpoint:FROM:BY:EVERY[:MOST], "
    "replay:FILE:PEAK:SPEED; joined by +"
)


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
    cpu_time: Annotated[str, typer.Option(help="CPU time of a request, before its service time.")] = "none",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="KIND:AT:DURATION[:VALUE], such as stall:5s:2s or slow-database:10s:30s:5; may be repeated."),
    ] = None,
    fault_script: Annotated[Path | None, typer.Option(help="JSON file with a list of faults.")] = None,
    fault_log: Annotated[Path | None, typer.Option(help="CSV for what the faults did, and when.")] = None,
) -> None:
    """Run the bundled staging server: a real gate, line, workers and database pool. Ctrl-C ends it."""
    from loadtests.deployment import Deployment, read_deployment
    from loadtests.staging.faults import parse_faults, read_fault_script
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
    faults = parse_faults(fault or ()) + (() if fault_script is None else read_fault_script(fault_script))
    run_staging(
        StagingOptions(
            chosen, service_time, db_time, port, seed, service_log, cpu_time=cpu_time, faults=faults,
            fault_log=fault_log,
        )
    )  # fmt: skip


def record(
    host: Annotated[str, typer.Option(help="Server under test, for example http://127.0.0.1:8080.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    users: Annotated[str, typer.Option(help="Load levels, for example 5,10,20,40.")] = "",
    step_time: Annotated[str, typer.Option(help="Length of each level of --users.")] = "30s",
    shape: Annotated[str, typer.Option(help=f"Instead of --users: {_SHAPES}.")] = "",
    think: Annotated[str, typer.Option(help="Think time, for example uniform:0.05:0.15.")] = "uniform:0.05:0.15",
    pacing: Annotated[
        str,
        typer.Option(
            help="think; poisson:RATE, constant:RATE: requests/s of each user, due on a schedule; or "
            "sessions:RATE:REQUESTS: visitors who come, send so many requests on average, think, and leave."
        ),
    ] = "think",
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
    cert: Annotated[Path | None, typer.Option(help="Client certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, where it is in another file.")] = None,
    abort_if: Annotated[
        list[str] | None,
        typer.Option(help="'error-rate>5%', 'shed-rate>50%', 'p95>2s over 30s': end early; may be repeated."),
    ] = None,
    spawn_rate: Annotated[float, typer.Option(help="Users started a second; 0: chosen by the step.")] = 0.0,
    request_timeout: Annotated[str, typer.Option(help="A user gives up after this time.")] = "30s",
    seed: Annotated[int, typer.Option(help="Seed of think times and request mix.")] = 1,
    prometheus: Annotated[str, typer.Option(help="Prometheus server that scrapes the host, for its gauges.")] = "",
    query_map: Annotated[Path | None, typer.Option(help="Which gauges it has (JSON or TOML).")] = None,
    prometheus_header: Annotated[str, typer.Option(help="'NAME: env:VAR' for the Prometheus server.")] = "",
    processes: Annotated[int, typer.Option(help="Locust processes on this machine that run users.")] = 1,
    expect_workers: Annotated[int, typer.Option(help="Instead, wait for so many workers started elsewhere.")] = 0,
    master_bind: Annotated[str, typer.Option(help="Where those workers reach this machine.")] = "127.0.0.1:5557",
    locustfile: Annotated[Path | None, typer.Option(help="Your own locustfile: its users, its shape if any.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Load a server with Locust, level by level or in another shape, and keep every request."""
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.foundation.server_access import Access, parse_header
    from loadtests.load.abort import parse_abort
    from loadtests.load.load_shapes import parse_shape
    from loadtests.load.pacing import parse_pacing
    from loadtests.load.plan import LoadPlan
    from loadtests.locust_run import LoadGenerator

    if bool(users) == bool(shape):
        raise InputError("Give either --users (levels such as 5,10,20) or --shape (such as ramp:1:50:60s).")
    plan = LoadPlan(
        users=tuple(parse_numbers(users, "--users")) if users else (),
        step_time_s=parse_duration_s(step_time, "--step-time"),
        think=parse_distribution(think),
        requests=requests_of(request, mix),
        spawn_rate=spawn_rate or None,
        seed=seed,
        request_timeout_s=parse_duration_s(request_timeout, "--request-timeout"),
        shape=parse_shape(shape) if shape else None,
        pacing=parse_pacing(pacing),
        access=Access(tuple(map(parse_header, header or ())), ca, insecure, cert, key),
        abort_if=tuple(map(parse_abort, abort_if or ())),
    )
    generator = LoadGenerator(processes, expect_workers, master_bind, locustfile)
    check_folder_target(folder)
    gauges = gauges_of(prometheus, query_map, prometheus_header)
    recording = record_with_progress(host, plan, folder, read_limits(deployment), generator, gauges)
    has_aborted = any(item.code == "test-aborted" for item in load_findings(recording))
    if not recording.steps and plan.has_plateaus and not has_aborted:
        raise RunError(
            f"No step of {folder} has a steady window, so nothing can be calibrated on it; make --step-time longer "
            "or --spawn-rate higher."
        )
    if as_json:
        print_json(recording_document(recording, host, folder))
    else:
        print_recording(recording)
        print_trust(recording)
        messages().print(f"Wrote {folder}", soft_wrap=True)
    if has_aborted:
        raise RunError(f"The test was ended early by --abort-if; what was recorded until then is in {folder}.")


def requests_of(given: list[str] | None, mix: str) -> tuple[Request, ...]:
    """The requests of --request, or of the named --mix, or the default ones."""
    from loadtests.load.planned_requests import DEFAULT_REQUESTS, named_mix, parse_request

    if given and mix:
        raise InputError("Give either --request or --mix.")
    return tuple(map(parse_request, given)) if given else named_mix(mix) if mix else DEFAULT_REQUESTS


def recover(
    folder: Annotated[Path, typer.Argument(help="Folder of a test that was interrupted or killed.")],
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """Make a recording of the steps that an interrupted or killed test completed."""
    from loadtests.journals.conversion import recover_recording

    recording = recover_recording(folder)
    if as_json:
        print_json(recording_document(recording, recording.manifest["host"], folder))
        return
    print_recording(recording)
    print_trust(recording)


def locustfile(
    listener: Annotated[bool, typer.Option(help="The listener, to record beside your own file.")] = False,
) -> None:
    """Path of the installed locustfile, for stock Locust: locust -f "$(capacity locustfile)" -H URL."""
    import loadtests

    name = "listener.py" if listener else "locustfile.py"
    typer.echo(str(Path(str(loadtests.__file__)).with_name(name)))


def record_with_progress(
    host: str,
    plan: LoadPlan,
    folder: Path,
    deployment: Deployment | None,
    generator: LoadGenerator | None = None,
    gauges: PrometheusGauges | None = None,
) -> Recording:
    """`record`, with a bar that shows level and rate, then what was left out; on Ctrl-C what was saved."""
    from loadtests.runner import record as run_record

    try:
        with progress("starting Locust") as stage:
            recording = run_record(
                host, plan, folder, deployment=deployment, generator=generator, prometheus=gauges,
                on_progress=lambda seen: _show(stage, seen),
            )  # fmt: skip
    except KeyboardInterrupt:
        messages().print(_saved(folder), soft_wrap=True)
        raise
    for item in left_out_steps(recording):
        messages().print(f"Step {item['step']} ({item['users']} users) is left out: {item['reason']}.", soft_wrap=True)
    return recording


def left_out_steps(recording: Recording) -> list[dict[str, Any]]:
    """Steps without a steady window: step, users, reason."""
    return list(recording.manifest.get("left_out", []))


def print_trust(recording: Recording) -> None:
    """The verdict of the trust checks, and what was found."""
    from capacity.interfaces.commands_check import print_verdict
    from loadtests.trust.report import TrustReport

    print_verdict(TrustReport.from_dict(recording.manifest["trust"]))


def load_findings(recording: Recording) -> list[Finding]:
    """What the recorder states about its load."""
    return [Finding.from_dict(item) for item in recording.manifest.get("findings", [])]


def recording_document(recording: Recording, host: str, folder: Path) -> dict[str, Any]:
    """A recording for machines."""
    plan, seed = recording.manifest.get("plan", {}), recording.manifest.get("seed")
    return {
        **envelope({"host": host, "plan": plan}, seed=seed, packages=("locust",)),
        "recording": str(folder), "requests": len(recording.requests),
        "steps": [step.to_dict() for step in recording.steps], "left_out": left_out_steps(recording),
        "offered": recording.manifest.get("offered", []), "aborted": recording.manifest.get("aborted"),
        "trust": recording.manifest.get("trust"),
        "findings": recording.manifest.get("findings", []),
    }  # fmt: skip


def _saved(folder: Path) -> str:
    """What an interrupted load test leaves behind, and how to go on."""
    from loadtests.journals.journal import count_rows
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
    """The steps of a recording for people, with what was cut and why."""
    rows = [
        (
            step.step, step.users, "-" if step.cut is None else f"{step.cut.seconds:.1f} s",
            f"{step.window_s:.1f} s", f"{step.requests:,}",
            known(step.metrics["goodput_rps"].mid, ".4g"),
            known_duration(step.metrics["mean_s"].mid), known_duration(step.metrics["p95_s"].mid),
            known(step.metrics["shed_rate"].mid, ".2%"),
        )
        for step in recording.steps
    ]  # fmt: skip
    columns = ("step", "users", "cut", "steady", "requests", "served/s", "mean", "P95", "shed")
    if rows:
        out().print(table("Measured (latencies of served requests)", columns, rows))
    else:
        out().print(f"Measured: {len(recording.requests):,} requests, no steps.")
    offered = recording.manifest.get("offered", [])
    if offered:
        out().print(_offered_table(offered))
    for text in cut_and_few_blocks(recording):
        messages().print(text, soft_wrap=True)


def cut_and_few_blocks(recording: Recording) -> list[str]:
    """Warm-ups beyond the planned settling time, and steps whose intervals come from few blocks of time."""
    from loadtests.estimation.block_bootstrap import ENOUGH_BLOCKS
    from loadtests.estimation.steady_state import PLANNED_SETTLING, step_findings

    lines = [
        f"Step {step.step}: {step.cut.seconds:.1f} s and {step.cut.requests:,} requests cut; {step.cut.reason}."
        for step in recording.steps
        if step.cut is not None and step.cut.reason != PLANNED_SETTLING
    ]
    few = [item.numbers for item in step_findings(recording.steps)]
    if few:
        steps = ", ".join(f"{item['step']} ({item['blocks']})" for item in few)
        lines.append(
            f"The intervals of these steps come from fewer than {ENOUGH_BLOCKS} independent stretches of time (how "
            f"many): {steps}. They are widened; a longer --step-time makes them narrower and surer."
        )
    return lines


def _offered_table(offered: list[dict[str, Any]]) -> Table:
    rows = [
        (
            load["step"], f"{load['offered_rps']:.4g}", f"{load['achieved_rps']:.4g}",
            known(_number(load["late_share"]), ".1%"), known_duration(_number(load["lateness_mean_s"])),
            known_duration(_number(load["lateness_p95_s"])), known_duration(_number(load["lateness_max_s"])),
        )
        for load in offered
    ]  # fmt: skip
    columns = ("step", "offered/s", "sent/s", "late", "late by: mean", "P95", "most")
    return table("Offered against achieved load (late: the user still waited for an answer)", columns, rows)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _show(stage: Stage, seen: Progress) -> None:
    text = f"step {seen.step} of {seen.steps}: {seen.users} users, {seen.rps:,.0f} requests/s"
    stage.show(seen.fraction, text)


def read_limits(path: Path | None) -> Deployment | None:
    """The limits in a deployment file, if one is named."""
    from loadtests.deployment import read_deployment

    return None if path is None else read_deployment(path)


COMMANDS = (demo, staging, record, recover, locustfile)
