"""The command that looks ahead: forecast."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from capacity.interfaces.console import envelope, messages, out, print_findings, print_json, table
from capacity.interfaces.output_targets import check_file_target
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from capacity.demand.forecast_result import DemandForecast
    from capacity.demand.history import TrafficHistory, ValuesAre

_HORIZON = re.compile(r"^\s*([0-9]{1,4})\s*(mo|month|months|y|year|years)\s*$")


def forecast(
    history: Annotated[Path, typer.Argument(metavar="HISTORY.csv", help="Traffic history: timestamp,value.")],
    horizon: Annotated[str, typer.Option(help="How far ahead, for example 6mo or 1y.")] = "6mo",
    out_file: Annotated[Path | None, typer.Option("--out", help="Growth CSV for `plan --growth`.")] = None,
    quantity: Annotated[str, typer.Option(help="What is counted: users, connections, in_flight, rps or ccu.")] = "ccu",
    values: Annotated[
        str,
        typer.Option(help="What a row's value is: loads (means of the interval) or counts (requests of it, for rps)."),
    ] = "",
    within_interval_peak: Annotated[
        float | None, typer.Option(help="Peak inside a sampling interval over its mean; 1: values are peaks already.")
    ] = None,
    finer: Annotated[
        Path | None, typer.Option(help="History with finer intervals, to estimate the peak inside an interval from.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="CSV of holidays, campaigns and launches: name,first,last,factor,low,high.")
    ] = None,
    models: Annotated[str, typer.Option(help="Further ways for the backtest: prophet (an extra to install).")] = "",
    retry_share: Annotated[
        str, typer.Option(help="Share of the counts that were retries, for example 5%; no demand, taken out.")
    ] = "0",
    timezone: Annotated[
        str, typer.Option(help="Of timestamps that state none, and of the days of events, for example Europe/Berlin.")
    ] = "",
    chart: Annotated[Path | None, typer.Option(help="PNG file for the chart.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Peaks of the coming months from a traffic history, by the way that a backtest chooses."""
    from capacity.demand.dated_events import read_events
    from capacity.demand.forecast import forecast_growth
    from capacity.demand.history import read_history
    from loadtests.foundation.files import write_text
    from loadtests.foundation.units import parse_fraction

    months = parse_months(horizon)
    _check_targets(out_file, chart)
    if finer is not None and within_interval_peak is not None:
        raise InputError("Give --within-interval-peak or --finer, one of the two.")
    zone, share = timezone or None, parse_fraction(retry_share, "--retry-share")
    inside: float | TrafficHistory | None = within_interval_peak
    if finer is not None:
        inside = read_history(finer, timezone=zone)
    seen = read_history(history, timezone=zone, retry_share=share, values_are=_values_are(values))
    calendar = None if events is None else read_events(events, timezone=zone)
    made = forecast_growth(
        seen, months, quantity=quantity, within_interval_peak=inside, events=calendar, models=parse_names(models),
        seed=seed,
    )  # fmt: skip
    written = [] if out_file is None else [write_text(out_file, made.growth_csv())]
    if chart is not None:
        _draw(made, chart)
        written.append(chart)
    for path in written:
        messages().print(f"Wrote {path}", soft_wrap=True)
    if as_json:
        inputs = {
            "history": history, "horizon_months": months, "quantity": quantity,
            "within_interval_peak": within_interval_peak, "finer": finer, "events": events,
            "models": list(parse_names(models)), "timezone": zone, "retry_share": share, "values": values or None,
        }  # fmt: skip
        print_json({**envelope(inputs, seed=seed, packages=("numpy", "scipy", "statsmodels")), **made.to_dict()})
    else:
        print_forecast(made)


def _values_are(text: str) -> ValuesAre | None:
    from loadtests.foundation.checks import one_of

    return cast("ValuesAre", one_of("--values", text, ("loads", "counts"))) if text else None


def parse_months(text: str) -> int:
    """Whole months from ``6mo`` or ``1y``."""
    match = _HORIZON.match(text)
    if match is None:
        raise InputError(f"--horizon is {text!r}; write whole months or years, for example 6mo or 1y.")
    return int(match.group(1)) * (12 if match.group(2).startswith("y") else 1)


def parse_names(text: str) -> tuple[str, ...]:
    """Names from a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def print_forecast(made: DemandForecast) -> None:
    """A forecast for people: the months, the backtest beside them, the findings."""
    from capacity.demand.forecast_result import BACKTEST_HEADER, EVENT_HEADER

    console = out()
    title = f"Forecast by {made.model.name}: {made.model.about}"
    console.print(table(title, ("month", f"peak {made.quantity}", "90 % interval", "99 %"), made.month_rows()))
    console.print(f"Peak inside an interval: {made.factor.text()}", style="dim", soft_wrap=True)
    if made.events.coming:
        console.print(table("Events ahead", EVENT_HEADER, made.event_rows()))
    tested = made.tested
    title = f"Backtest at {tested.scored_origins} origins, {made.design.horizon_months} months apart"
    rows = [(row[-1], *row[:-1]) for row in made.backtest_rows()]
    console.print(table(title, (BACKTEST_HEADER[-1], *BACKTEST_HEADER[:-1]), rows))
    console.print(table(f"{made.model.name} by month ahead", _MONTH_HEADER, _month_scores(made)))
    print_findings(made.findings)


_MONTH_HEADER = ("months ahead", "pinball loss", "coverage of 90 %", "before recalibration", "effective origins")


def _month_scores(made: DemandForecast) -> list[tuple[Any, ...]]:
    from capacity.demand.forecast_result import share_text
    from capacity.demand.forecast_scores import score_rows

    return [
        (
            row["month"], f"{row['pinball']:.4f}", share_text(row["coverage"]),
            share_text(row["coverage_raw"]), f"{row['effective_origins']:.1f}",
        )
        for row in score_rows(made.tested, made.chosen) if row["chosen"]
    ]  # fmt: skip


def _check_targets(out_file: Path | None, chart: Path | None) -> None:
    for target, option in ((out_file, "--out"), (chart, "--chart")):
        if target is not None:
            check_file_target(target, option)
    if chart is not None and chart.suffix != ".png":
        raise InputError(f"--chart is {chart}; charts are written as PNG: name a file that ends in .png.")


def _draw(made: DemandForecast, path: Path) -> None:
    from capacity.output.charts import plot_forecast
    from capacity.output.charts.style import new_figure
    from loadtests.foundation.files import replacing

    figure, (ax,) = new_figure()
    plot_forecast(made, ax=ax)
    with replacing(path) as partial:
        figure.savefig(partial, format="png")


COMMANDS = (forecast,)
