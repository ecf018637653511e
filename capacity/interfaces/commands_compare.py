"""The command that holds two results against each other: compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from capacity.interfaces.console import (
    VERDICT_FAILED,
    envelope,
    messages,
    out,
    print_findings,
    print_json,
    progress,
    styled,
    table,
)
from capacity.interfaces.output_targets import check_chart_target, check_file_target
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from loadtests.comparison.result import Difference, ModelComparison, RecordingComparison
    from loadtests.comparison.rule import ComparisonRule
    from loadtests.foundation.intervals import Interval

Kind = Literal["recording", "model", "plan"]
_KINDS: dict[str, Kind] = {"a recording": "recording", "a model": "model", "a plan": "plan"}

_ALLOWED = (
    "two recordings (folders of `capacity record`), two models (files of `capacity calibrate`) or two plans (plan.json)"
)
_PACKAGES = ("numpy", "numba", "scipy")
_STYLES = {"worse": "bold red", "not worse": "green", "unclear": "yellow", "not judged": "dim"}


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Recording folder, model or plan file: before.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The same kind: after.")],
    margin: Annotated[str, typer.Option(help="Harm that is accepted, a share of A's value.")] = "5%",
    share_margin: Annotated[
        str, typer.Option(help="The same for shares of requests shed or failed, in points; default as --margin.")
    ] = "",
    level: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.9,
    no_calibrate: Annotated[
        bool, typer.Option("--no-calibrate", help="Recordings: leave the service time out.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 99 also when it is unclear.")] = False,
    out_file: Annotated[Path | None, typer.Option("--out", help="File for the result: comparison.json.")] = None,
    chart: Annotated[Path | None, typer.Option(help="PNG file for the chart.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Did this release get worse? Exit 99 when a difference lies beyond the margin. Of two plans: what changed."""
    from loadtests.foundation.files import write_json

    kind, rule = _kind_of_both(a, b), _rule(margin, share_margin, level)
    _check_targets(out_file, chart)
    if kind == "plan":
        _compare_plans(a, b, out_file, chart, as_json=as_json)
        return
    found = _recordings(a, b, rule, seed, not no_calibrate) if kind == "recording" else _models(a, b, rule, seed)
    asked = {
        "a": a, "b": b, "margin": rule.margin, "share_margin": rule.margin_of_shares, "level": level,
        "no_calibrate": no_calibrate, "strict": strict,
    }  # fmt: skip
    document = {**found.to_dict(), **envelope(asked, seed=seed, packages=_PACKAGES)}
    if out_file is not None:
        write_json(out_file, document)
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if chart is not None:
        _draw(found, chart)
    _show(found, document, as_json=as_json)
    if found.verdict == "worse" or (strict and found.verdict != "not worse"):
        raise typer.Exit(VERDICT_FAILED)


def _check_targets(out_file: Path | None, chart: Path | None) -> None:
    if out_file is not None:
        check_file_target(out_file)
    if chart is not None:
        check_chart_target(chart)


def _kind_of_both(a: Path, b: Path) -> Kind:
    kinds = {name: _kind(path) for name, path in (("A", a), ("B", b))}
    wrong = [f"{name} ({path}) is {kinds[name]}" for name, path in (("A", a), ("B", b))]
    if kinds["A"] != kinds["B"] or kinds["A"] not in _KINDS:
        raise InputError(f"compare takes {_ALLOWED}: {'; '.join(wrong)}.")
    if a.samefile(b):
        raise InputError(
            f"A and B are both {a}: {kinds['A']} against itself differs by nothing. Give the one of the release before "
            "as A and the one of the release after as B."
        )
    return _KINDS[kinds["A"]]


def _kind(path: Path) -> str:
    from loadtests.foundation.files import read_json

    if path.is_dir():
        return "a recording"
    if not path.exists():
        return "not there"
    try:
        document = read_json(path)
    except InputError:
        return "a file without a JSON object"
    return "a model" if document.get("kind") == "calibrated-model" else _named_kind(document)


def _named_kind(document: dict[str, Any]) -> str:
    if "phases" in document and "steps" in document:
        return "a plan"
    return f"JSON of kind {document['kind']!r}" if "kind" in document else "JSON of another kind"


def _rule(margin: str, share_margin: str, level: float) -> ComparisonRule:
    from loadtests.comparison.rule import ComparisonRule
    from loadtests.foundation.units import parse_fraction

    shares = parse_fraction(share_margin, "--share-margin") if share_margin else None
    return ComparisonRule(parse_fraction(margin, "--margin"), shares, level)


def _recordings(a: Path, b: Path, rule: ComparisonRule, seed: int, with_service_time: bool) -> RecordingComparison:
    from loadtests.store import read_recording
    from simulations.calibration.release_comparison import compare_recordings

    before, after = read_recording(a), read_recording(b)
    with progress("comparing") as stage:
        return compare_recordings(
            before, after, rule, with_service_time=with_service_time, seed=seed, on_progress=stage.show
        )


def _models(a: Path, b: Path, rule: ComparisonRule, seed: int) -> ModelComparison:
    from simulations.calibration.release_comparison import compare_fits
    from simulations.calibration.result import CalibrationResult

    before, after = CalibrationResult.load(a), CalibrationResult.load(b)
    with progress("comparing") as stage:
        return compare_fits(before, after, rule, seed=seed, on_progress=stage.show)


def _compare_plans(a: Path, b: Path, out_file: Path | None, chart: Path | None, *, as_json: bool) -> None:
    from capacity.planning.plan import CapacityPlan
    from capacity.planning.plan_comparison import compare_plans
    from loadtests.foundation.files import write_json

    if chart is not None:
        raise InputError("--chart draws recordings and models; of two plans there is a table. Leave it out.")
    found = compare_plans(CapacityPlan.load(a), CapacityPlan.load(b))
    document = {**found.to_dict(), **envelope({"a": a, "b": b})}
    if out_file is not None:
        write_json(out_file, document)
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if as_json:
        print_json(document)
    else:
        out().print(found.summary(), soft_wrap=True, markup=False)


def _draw(found: RecordingComparison | ModelComparison, path: Path) -> None:
    from capacity.output.charts import plot_comparison
    from capacity.output.charts.comparison import size_of
    from capacity.output.charts.style import new_figure
    from capacity.output.figures import write_figures

    figure, (axes,) = new_figure(size=size_of(found))
    plot_comparison(found, ax=axes)
    write_figures({path.stem: figure}, path.parent)
    messages().print(f"Wrote {path}", soft_wrap=True)


def _show(found: RecordingComparison | ModelComparison, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    console = out()
    console.print(table(
        f"{found.b_source or 'B'} against {found.a_source or 'A'} "
        f"(margin {found.rule.margin:.3g}, {found.rule.level:.0%} intervals)",
        ("difference", "at", "A", "B", "change", "verdict"), [_row(item) for item in _worth_showing(found)],
    ))  # fmt: skip
    _print_hints(found.judged)
    print_findings(found.findings)
    console.print(styled(("Verdict: ", ""), (found.verdict, _STYLES[found.verdict]), (f". {found.reason}", "")))


def _worth_showing(found: RecordingComparison | ModelComparison) -> list[Difference]:
    """What is judged, and fitted parameters; the rest is in the JSON."""
    return [item for item in found.differences if item.verdict != "not judged" or item.scope == "parameter"]


def _print_hints(judged: Sequence[Difference]) -> None:
    for item in judged:
        if item.hint:
            out().print(f"{item.metric}, {item.place}: {item.hint}.", style="dim", soft_wrap=True)


def _row(item: Difference) -> tuple[object, ...]:
    from loadtests.comparison.result import format_change

    change = format_change(item.change, is_share=item.is_share)
    return item.metric, item.place, _own(item, item.a), _own(item, item.b), change, item.verdict


def _own(item: Difference, value: Interval) -> str:
    if not value.is_known:
        return "-"
    if item.is_share:
        return f"{value.mid:.2%}"
    return f"{value.mid * 1e3:.4g} ms" if item.metric.endswith("_s") else f"{value.mid:.4g}"


COMMANDS = (compare,)
