"""`capacity import-prometheus`: live traffic of one instance as a recording."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import (
    envelope,
    known,
    known_duration,
    messages,
    out,
    print_json,
    table,
)
from capacity.interfaces.output_targets import check_folder_target
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import parse_duration_s

if TYPE_CHECKING:
    from loadtests.prometheus.gauges import PrometheusGauges
    from loadtests.recording import Recording

_AGO = re.compile(r"now\s*(?:-\s*(?P<ago>\S+))?")


def import_prometheus(
    url: Annotated[str, typer.Argument(help="Prometheus server, for example http://127.0.0.1:9090.")],
    query_map: Annotated[Path, typer.Option(help="Which series hold what (JSON or TOML).")],
    begin: Annotated[str, typer.Option("--from", help="2026-11-25T08:00Z, seconds since 1970, or now-2h.")],
    end: Annotated[str, typer.Option("--to", help="Likewise; for example now.")],
    folder: Annotated[Path, typer.Option("--out", help="New folder for the recording.")],
    deployment: Annotated[Path | None, typer.Option(help="Known limits of the instance (JSON or TOML).")] = None,
    levels: Annotated[int, typer.Option(help="Most levels of load to keep.")] = 8,
    step: Annotated[str, typer.Option(help="Distance of the gauges' values; default: the scrape interval.")] = "",
    think: Annotated[str, typer.Option(help="Think time of the users, where it is known.")] = "",
    header: Annotated[str, typer.Option(help="'NAME: env:VAR', for example 'Authorization: env:PROM_AUTH'.")] = "",
    ca_file: Annotated[Path | None, typer.Option(help="Authority to trust for https.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the certificate.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the intervals.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Make a recording of live traffic, for those who cannot load-test: wider intervals, and what they cannot tell."""
    from loadtests.deployment import read_deployment
    from loadtests.foundation.distributions import parse_distribution
    from loadtests.prometheus.client import PrometheusServer
    from loadtests.prometheus.importer import ImportOptions
    from loadtests.prometheus.importer import import_prometheus as run_import
    from loadtests.prometheus.query_map import read_query_map

    now = time.time()
    check_folder_target(folder)
    recording = run_import(
        PrometheusServer(url, header, _verify(ca_file, insecure)),
        read_query_map(query_map),
        (parse_moment(begin, "--from", now), parse_moment(end, "--to", now)),
        folder,
        deployment=None if deployment is None else read_deployment(deployment),
        options=ImportOptions(
            levels=levels,
            step_s=parse_duration_s(step, "--step") if step else None,
            think=parse_distribution(think) if think else None,
            seed=seed,
        ),
    )
    if as_json:
        print_json(import_document(recording, folder))
    else:
        print_import(recording)
        messages().print(f"Wrote {folder}", soft_wrap=True)


def gauges_of(url: str, query_map: Path | None, header: str) -> PrometheusGauges | None:
    """Where `capacity record` takes gauges from; None without an address."""
    from loadtests.prometheus.client import PrometheusServer
    from loadtests.prometheus.gauges import PrometheusGauges
    from loadtests.prometheus.query_map import QueryMap, read_query_map

    if not url:
        if query_map is not None or header:
            raise InputError("--query-map and --prometheus-header are given without --prometheus; name its address.")
        return None
    queries = QueryMap() if query_map is None else read_query_map(query_map)
    return PrometheusGauges(PrometheusServer(url, header), queries)


def parse_moment(text: str, name: str, now_s: float) -> float:
    """Seconds since 1970 of ``now``, ``now-2h``, a number, or an ISO 8601 time with its zone."""
    plain = text.strip()
    relative = _AGO.fullmatch(plain)
    if relative is not None:
        return now_s - (parse_duration_s(relative["ago"], name) if relative["ago"] else 0.0)
    if re.fullmatch(r"\d+(\.\d*)?", plain):
        return float(plain)
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(
            f"{name} is {text!r}; write a time with its zone (2026-11-25T08:00Z, 2026-11-25T09:00+01:00), seconds "
            "since 1970, now, or now-2h."
        )
    return moment.timestamp()


def _verify(ca_file: Path | None, insecure: bool) -> bool | str:
    if ca_file is not None and insecure:
        raise InputError("--ca-file and --insecure contradict each other; give one of them.")
    if ca_file is not None and not ca_file.is_file():
        raise InputError(f"--ca-file is {ca_file}, which is no file; give the authority's certificate (PEM).")
    return str(ca_file) if ca_file is not None else not insecure


def import_document(recording: Recording, folder: Path) -> dict[str, Any]:
    """An imported recording for machines."""
    manifest = recording.manifest
    names = ("identifiability", "findings", "trust", "totals", "left_out_stretches")
    return {
        **envelope(manifest["source"], seed=manifest["seed"], packages=("prometheus-api-client",)),
        "recording": str(folder), "steps": [item.to_dict() for item in recording.steps],
        **{name: manifest[name] for name in names},
    }  # fmt: skip


def print_import(recording: Recording) -> None:
    """The levels found, what is known and what is not, for people."""
    from capacity.interfaces.commands_check import print_verdict
    from loadtests.trust.report import TrustReport

    rows = [
        (
            item.step, item.load_text, f"{item.window_s:.0f} s", f"{item.requests:,}",
            known(item.metrics["throughput_rps"].mid, ".4g"), known_duration(item.metrics["mean_s"].mid),
            _between(item.metrics["p95_s"].low, item.metrics["p95_s"].high),
            known(item.metrics["shed_rate"].mid, ".2%"),
        )
        for item in recording.steps
    ]  # fmt: skip
    columns = ("step", "load", "steady", "requests", "requests/s", "mean", "P95 between", "shed")
    out().print(table("Live traffic (latencies of served requests, at the server)", columns, rows))
    verdict = recording.manifest["identifiability"]
    quantities = [(item["name"], item["status"], item["why"]) for item in verdict["quantities"]]
    out().print(table(f"Identifiability: {verdict['verdict']}", ("quantity", "is", "why"), quantities))
    print_verdict(TrustReport.from_dict(recording.manifest["trust"]))


def _between(low: float, high: float) -> str:
    return f"{known_duration(low)} and {known_duration(high)}"


COMMANDS = (import_prometheus,)
