"""The command that judges a recording: check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import VERDICT_FAILED, envelope, out, print_findings, print_json, styled, table

if TYPE_CHECKING:
    from loadtests.foundation.findings import Finding
    from loadtests.trust.report import CheckResult, TrustReport

_VERDICT_STYLES = {"trusted": "bold green", "usable-with-caveats": "bold yellow", "refused": "bold red"}
_PACKAGES = ("numpy", "pandas", "scipy")
_MANY = 3


def check(
    recording: Annotated[Path, typer.Argument(help="Recording folder from `capacity record` or an import.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 99 for caveats too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Trust checks of a recording: trusted, usable with caveats, or refused (exit 99)."""
    from loadtests.store import read_recording
    from loadtests.trust.judge import check_recording

    report = check_recording(read_recording(recording))
    if as_json:
        print_json(check_document(report, recording))
    else:
        print_report(report)
    if report.verdict == "refused" or (strict and report.verdict != "trusted"):
        raise typer.Exit(VERDICT_FAILED)


def check_document(report: TrustReport, recording: Path) -> dict[str, Any]:
    """A trust report for machines."""
    return {**envelope({"recording": recording}, packages=_PACKAGES), **report.to_dict()}


def print_verdict(report: TrustReport) -> None:
    """Verdict and findings with remedies."""
    out().print(styled(("Verdict: ", "bold"), (report.verdict.replace("-", " "), _VERDICT_STYLES[report.verdict])))
    print_findings(_folded(report.findings))


def _folded(findings: Sequence[Finding]) -> list[Finding]:
    """Of several statements of one kind only the first, with how many others there are."""
    kinds = Counter(item.code for item in findings if item.severity == "info")
    shown: list[Finding] = []
    for item in findings:
        if item.severity != "info" or kinds[item.code] < _MANY:
            shown.append(item)
        elif item.code not in {seen.code for seen in shown}:
            others = f"{item.message} The same of {kinds[item.code] - 1} others; see --json."
            shown.append(replace(item, message=others))
    return shown


def print_report(report: TrustReport) -> None:
    """Verdict, findings with remedies, and what each check did."""
    print_verdict(report)
    rows = [(item.code, item.state.replace("-", " "), _reason(item)) for item in report.checks]
    out().print(table("Checks", ("check", "state", "looked at, or why not"), rows))


def _reason(item: CheckResult) -> str:
    return item.why if item.state == "not-applicable" else item.looks_at


COMMANDS = (check,)
