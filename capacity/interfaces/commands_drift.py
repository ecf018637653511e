"""The command that holds a live service against its model: drift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from capacity.interfaces.fleet_options import fleet_of
from capacity.interfaces.output_targets import check_chart_target, check_file_target
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from loadtests.live.windows import ObservedWindow
    from loadtests.recording import Recording
    from simulations.calibration.drift import DriftOptions
    from simulations.calibration.drift_result import DriftReport
    from simulations.calibration.live_series import LiveSetting

_PACKAGES = ("numpy", "numba", "scipy")
_STYLES = {"inside": "bold green", "excursion": "bold yellow", "drift": "bold red"}
_SAID = {
    "inside": "the live service lies where the model predicts it",
    "excursion": "single windows lie outside what the model predicts",
    "drift": "the live service no longer lies where the model predicts it",
}
_COLUMNS = ("metric", "pattern", "since", "change against the model", "p", "windows outside")
_WINDOW_COLUMNS = ("window", "load", "outside its interval", "beyond the series' limit")
_MOST_WINDOWS = 20


def drift(
    model: Annotated[Path, typer.Argument(help="Model file from `capacity calibrate`.")],
    live: Annotated[
        Path, typer.Argument(metavar="LIVE", help="Recording folder (also of an import), or a CSV or JSON of windows.")
    ],
    window: Annotated[str, typer.Option(help="Cut a recording's steps into windows of about this length.")] = "",
    think: Annotated[str, typer.Option(help="Of windows with users: their think time; default as calibrated.")] = "",
    deployment: Annotated[
        Path | None, typer.Option(help="Limits of a live instance (JSON or TOML); default as calibrated or recorded.")
    ] = None,
    instances: Annotated[int, typer.Option(help="Instances that the live service runs on.")] = 1,
    balancer: Annotated[str, typer.Option(help="round-robin (default), random, two-choices, ...")] = "",
    false_alarms: Annotated[str, typer.Option(help="Probability of a false alarm over the whole series.")] = "5%",
    out_file: Annotated[Path | None, typer.Option("--out", help="File for the result, such as drift.json.")] = None,
    chart: Annotated[Path | None, typer.Option(help="PNG file for the chart.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Is the live service still the one that the model describes? Exit 99 when it is not, or for single windows."""
    from loadtests.foundation.files import write_json
    from simulations.calibration.drift import check_drift
    from simulations.calibration.result import CalibrationResult

    if out_file is not None:
        check_file_target(out_file)
    if chart is not None:
        check_chart_target(chart)
    question = _Question(window, think, false_alarms)
    fit, measured = CalibrationResult.load(model), _read_live(live, question)
    setting = _setting(measured, deployment, instances, balancer)
    with progress("simulating") as stage:
        found = check_drift(fit, measured, question.options(), setting=setting, seed=seed, on_progress=stage.show)
    asked = {
        "model": model, "live": live, "window": window or None, "think": think or None, "deployment": deployment,
        "instances": instances, "balancer": setting.fleet.balancer,
    }  # fmt: skip
    document = {**envelope(asked, seed=seed, packages=_PACKAGES), **found.to_dict()}
    if out_file is not None:
        write_json(out_file, document)
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if chart is not None:
        _draw(found, chart)
    if as_json:
        print_json(document)
    else:
        print_drift(found)
    if found.verdict != "inside":
        raise typer.Exit(VERDICT_FAILED)


@dataclass(frozen=True)
class _Question:
    """How the series is compared, as given on the command line."""

    window: str
    think: str
    false_alarms: str

    def options(self) -> DriftOptions:
        """In numbers."""
        from loadtests.foundation.distributions import parse_distribution
        from loadtests.foundation.units import parse_duration_s, parse_fraction
        from simulations.calibration.drift import DriftOptions

        return DriftOptions(
            window_s=parse_duration_s(self.window, "--window") if self.window else None,
            think=parse_distribution(self.think) if self.think else None,
            false_alarms=parse_fraction(self.false_alarms, "--false-alarms"),
        )


def _read_live(path: Path, question: _Question) -> Recording | tuple[ObservedWindow, ...]:
    from loadtests.live.windows_file import read_live_windows
    from loadtests.store import read_recording

    question.options()
    if path.is_dir():
        if question.think:
            raise InputError("--think has no effect with a recording, which brings its own; leave it out.")
        return read_recording(path)
    if question.window:
        raise InputError(
            "--window cuts the steps of a recording; the windows of a file are as they stand. Leave it out."
        )
    return read_live_windows(path)


def _setting(live: Any, deployment: Path | None, instances: int, balancer: str) -> LiveSetting:
    from loadtests.deployment import read_deployment
    from loadtests.recording import Recording
    from simulations.calibration.live_series import LiveSetting

    own = live.deployment if isinstance(live, Recording) else None
    stated = own if deployment is None else read_deployment(deployment)
    return LiveSetting(stated, fleet_of(instances, balancer))


def print_drift(found: DriftReport) -> None:
    """A drift report for people."""
    console = out()
    title = f"{len(found.windows)} live windows against the model ({found.level:.0%} prediction intervals)"
    console.print(table(title, _COLUMNS, found.metric_rows()))
    rows = [
        (f"{number} ({item.observed.starts})", item.observed.load_text, ", ".join(item.outside) or "-",
         ", ".join(item.beyond) or "-")
        for number, item in enumerate(found.windows, start=1) if item.outside
    ]  # fmt: skip
    if rows:
        console.print(table("Windows with a metric outside", _WINDOW_COLUMNS, rows[:_MOST_WINDOWS]))
    if len(rows) > _MOST_WINDOWS:
        console.print(f"{len(rows) - _MOST_WINDOWS} more stand in the JSON document.", style="dim")
    console.print(
        f"{found.outside_share:.0%} of the measured values lie outside their own interval; "
        f"{1 - found.level:.0%} are to be expected.", soft_wrap=True,
    )  # fmt: skip
    print_findings(found.findings, with_remedies_of_info=True)
    console.print(styled(
        ("Verdict: ", ""), (found.verdict, _STYLES[found.verdict]),
        (f": {_SAID[found.verdict]} (p {found.p_value:.2f}; false alarms in at most {found.false_alarms:.0%} of such "
         "series).", ""),
    ), soft_wrap=True)  # fmt: skip


def _draw(found: DriftReport, path: Path) -> None:
    from capacity.output.charts import plot_drift
    from capacity.output.charts.style import new_figure
    from capacity.output.figures import write_figures

    figure, panels = new_figure(len(found.metrics), size=(6.2, 3.4), columns=min(2, len(found.metrics)))
    for metric, axes in zip(found.metrics, panels, strict=True):
        plot_drift(found, metric=metric, ax=axes)
    write_figures({path.stem: figure}, path.parent)
    messages().print(f"Wrote {path}", soft_wrap=True)


COMMANDS = (drift,)
