"""Commands that ask a calibrated model: predict, sweep, slo-capacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import (
    VERDICT_FAILED,
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
from capacity.interfaces.fleet_options import fleet_of, parse_mix
from capacity.interfaces.load_ranges import parse_levels, parse_load
from capacity.interfaces.output_targets import check_file_target
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from loadtests.deployment import Deployment
    from loadtests.foundation.distributions import Distribution
    from loadtests.foundation.intervals import Interval
    from simulations.analysis.capacity_curve import CapacityCurve, CurveFeature, InstanceCapacity
    from simulations.analysis.load_levels import SteadyWorkload
    from simulations.calibration.load_prediction import LoadPrediction
    from simulations.calibration.result import CalibrationResult

_JSON_HELP = "Print JSON on stdout."
_MODEL_HELP = "Model file from `capacity calibrate`."
_THINK_HELP = "Think time, for example exponential:0.3; default as measured."
_SESSION_HELP = (
    "With --arrival-rate: its requests come in sessions of so many on average; visitors arrive by themselves, wait for "
    "their own answers, think, and leave."
)
_PACKAGES = ("numpy", "numba", "scipy")
_SWEEP_DRAWS, _SWEEP_REQUESTS = 40, 12_000


def predict(
    model: Annotated[Path, typer.Argument(help=_MODEL_HELP)],
    users: Annotated[str, typer.Option(help="Users who wait for their answers and think; or:")] = "",
    arrival_rate: Annotated[str, typer.Option(help="Requests per second that wait for nobody.")] = "",
    think: Annotated[str, typer.Option(help=f"With --users or sessions: {_THINK_HELP}")] = "",
    requests_per_session: Annotated[str, typer.Option(help=_SESSION_HELP)] = "",
    window: Annotated[str, typer.Option(help="Length of the measurement that is predicted.")] = "60s",
    deployment: Annotated[Path | None, typer.Option(help="Other limits (JSON or TOML); absent ones stay.")] = None,
    instances: Annotated[int, typer.Option(help="Instances behind a balancer.")] = 1,
    balancer: Annotated[str, typer.Option(help="round-robin (default), random, two-choices, ...")] = "",
    mix: Annotated[str, typer.Option(help="Other weights of request classes: CLASS=WEIGHT,CLASS=WEIGHT.")] = "",
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """What a measurement at a load would show, with prediction intervals."""
    from loadtests.foundation.units import parse_duration_s
    from simulations.calibration.load_prediction import predict_load
    from simulations.calibration.result import CalibrationResult

    load = _Load.of(users, arrival_rate, think, requests_per_session)
    workload = load.workload(parse_load(users or arrival_rate, "--users" if users else "--arrival-rate"))
    window_s, fleet, limits = parse_duration_s(window, "--window"), fleet_of(instances, balancer), _read(deployment)
    fit = CalibrationResult.load(model)
    with progress("simulating") as stage:
        found = predict_load(
            fit, workload(fit), window_s, deployment=limits, fleet=fleet, mix=parse_mix(mix), seed=seed,
            on_progress=stage.show,
        )  # fmt: skip
    if not as_json:
        print_prediction(found)
        return
    asked = {
        "model": model, **load.inputs(), "window_s": window_s, "deployment": deployment, "instances": instances,
        "balancer": fleet.balancer, "mix": parse_mix(mix),
    }  # fmt: skip
    print_json({**envelope(asked, seed=seed, packages=_PACKAGES), **found.to_dict()})


def sweep(
    model: Annotated[Path, typer.Argument(help=_MODEL_HELP)],
    users: Annotated[str, typer.Option(help="Users, FIRST:LAST:STEP or 100,200,400; or:")] = "",
    arrival_rate: Annotated[str, typer.Option(help="Requests per second, FIRST:LAST:STEP or 10,20,40.")] = "",
    think: Annotated[str, typer.Option(help=f"With --users or sessions: {_THINK_HELP}")] = "",
    requests_per_session: Annotated[str, typer.Option(help=_SESSION_HELP)] = "",
    out_file: Annotated[Path | None, typer.Option("--out", help="CSV file to write, one row a level.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """The capacity curve: what the model makes of each load, its knee and its saturation."""
    from loadtests.foundation.files import write_text
    from simulations.calibration.result import CalibrationResult
    from simulations.calibration.standing import standing_findings

    if out_file is not None:
        check_file_target(out_file)
    load = _Load.of(users, arrival_rate, think, requests_per_session)
    levels = parse_levels(users, "--users") if users else parse_levels(arrival_rate, "--arrival-rate")
    fit = CalibrationResult.load(model)
    curve, findings = _swept(fit, load, levels, seed), standing_findings(fit)
    if out_file is not None:
        write_text(out_file, curve.to_frame().to_csv(index=False))
        messages().print(f"Wrote {out_file}", soft_wrap=True)
    if as_json:
        asked = {"model": model, **load.inputs(), "out": out_file}
        document = envelope(asked, seed=seed, packages=(*_PACKAGES, "joblib"))
        print_json({**document, "curve": curve.to_dict(), "findings": [item.to_dict() for item in findings]})
    else:
        print_curve(curve)
        print_findings(findings)


def slo_capacity(
    model: Annotated[Path, typer.Argument(help=_MODEL_HELP)],
    p95: Annotated[str, typer.Option(help="Largest P95 of served requests, for example 50ms.")] = "",
    max_bad: Annotated[str, typer.Option(help="Largest share of requests that end badly, for example 0.1%.")] = "",
    think: Annotated[str, typer.Option(help=_THINK_HELP)] = "",
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON_HELP)] = False,
) -> None:
    """The largest load that keeps an objective; exit 99 when no load does."""
    from capacity.interfaces.commands_plan import capacity_document
    from loadtests.foundation.units import parse_duration_s, parse_fraction
    from simulations.analysis.objective import Objective, ObjectiveNotMetError
    from simulations.calibration.capacity import capacity_of_fit
    from simulations.calibration.result import CalibrationResult

    objective = Objective(
        parse_duration_s(p95, "--p95") if p95 else None, parse_fraction(max_bad, "--max-bad") if max_bad else None
    )
    think_time = _think_time(think)
    fit = CalibrationResult.load(model)
    asked = {
        "model": str(model), "p95_s": objective.p95_s, "max_bad_fraction": objective.max_bad_fraction,
        "think": think or None,
    }  # fmt: skip
    try:
        with progress("searching"):
            found = capacity_of_fit(
                fit, p95_s=objective.p95_s, max_bad_fraction=objective.max_bad_fraction, think_time=think_time,
                seed=seed,
            )  # fmt: skip
    except ObjectiveNotMetError as reason:
        messages().print(f"capacity: {reason}", style="red", soft_wrap=True)
        if as_json:
            document = envelope(asked, seed=seed, packages=_PACKAGES)
            print_json({**document, "instance_capacity": None, "reason": str(reason)})
        raise typer.Exit(VERDICT_FAILED) from None
    if as_json:
        print_json(capacity_document(found, asked, seed))
    else:
        print_capacity(found)


@dataclass(frozen=True)
class _Load:
    """The load as given: users who think, arrivals, or sessions of arrivals."""

    users: str
    arrival_rate: str
    think: str
    requests_per_session: str

    @classmethod
    def of(cls, users: str, arrival_rate: str, think: str, requests_per_session: str) -> _Load:
        """Refuse both kinds of load, none, and what has no effect."""
        if bool(users) == bool(arrival_rate):
            raise InputError("Give either --users (they wait and think) or --arrival-rate, one of the two.")
        if users and requests_per_session:
            raise InputError("--requests-per-session has no effect with --users, who never leave. Leave it out.")
        if not users and think and not requests_per_session:
            raise InputError("--think has no effect with --arrival-rate: arrivals wait for nobody. Leave it out.")
        return cls(users, arrival_rate, think, requests_per_session)

    def workload(self, load: float) -> Callable[[CalibrationResult], SteadyWorkload]:
        """What to simulate at a load, once the model is there with its measured think times."""
        from simulations.model.workload import ClosedWorkload, OpenWorkload, SessionWorkload

        think_time = _think_time(self.think)
        if self.requests_per_session:
            length = parse_load(self.requests_per_session, "--requests-per-session")
            return lambda fit: SessionWorkload(load / length, length, think_time or fit.think_time)
        if not self.users:
            arrivals = OpenWorkload(load)
            return lambda _: arrivals
        count = whole("users", load, least=1)
        return lambda fit: ClosedWorkload(count, think_time or fit.think_time)

    def levels(self, levels: list[float]) -> list[float]:
        """As the sweep counts them: sessions a second where there are any."""
        if not self.requests_per_session:
            return levels
        length = parse_load(self.requests_per_session, "--requests-per-session")
        return [level / length for level in levels]

    def inputs(self) -> dict[str, Any]:
        """For machines, as given; null: the other kind of load, think times as measured, no sessions."""
        given = ("users", "arrival_rate", "think", "requests_per_session")
        return {name: getattr(self, name) or None for name in given}


def _think_time(text: str) -> Distribution | None:
    from loadtests.foundation.distributions import parse_distribution

    return parse_distribution(text) if text else None


def _swept(fit: CalibrationResult, load: _Load, levels: list[float], seed: int) -> CapacityCurve:
    """Each draw of the calibration at each level, on all processors."""
    from simulations.analysis.load_sweep import SweepSize, sweep_load
    from simulations.calibration.prediction_draws import model_draws

    template = load.workload(1.0)(fit)
    draws = model_draws(fit, _SWEEP_DRAWS, seed)
    asked, size = load.levels(levels), SweepSize(requests=_SWEEP_REQUESTS)
    with progress(f"simulating {len(levels)} levels"):
        return sweep_load(fit.model, template, asked, draws=draws, size=size, seed=seed, jobs=-1)


def _read(path: Path | None) -> Deployment | None:
    from loadtests.deployment import read_deployment

    return None if path is None else read_deployment(path)


def print_prediction(found: LoadPrediction) -> None:
    """A prediction for people."""
    metrics = found.metrics
    rows = [
        ("answers/s", _range(metrics["throughput_rps"])), ("served/s", _range(metrics["goodput_rps"])),
        ("bad", _percent(metrics["shed_rate"])),
        *((label, _duration(metrics[name])) for label, name in _TIMES),
        ("requests inside", _range(metrics["in_flight"])),
        *((f"{label} in use", _percent(found.utilization[name])) for name, label in _SHARES),
    ]  # fmt: skip
    level = metrics["goodput_rps"].level
    columns = ("", f"low ({level:.0%})", "middle", "high")
    title = f"Predicted for {_load_in_words(found)}, measured for {found.window_s:g} s"
    out().print(table(title, columns, [(name, *cells) for name, cells in rows if cells is not None]))
    print_findings(found.findings)


_TIMES = (("mean", "mean_s"), ("P50", "p50_s"), ("P95", "p95_s"), ("P99", "p99_s"))
_SHARES = (
    ("workers", "workers"), ("gate_normal", "normal CCU"), ("gate_max", "maximum CCU"), ("queue", "queue"),
    ("db_pool", "database pool"), ("cpu", "processor cores"),
)  # fmt: skip


def _load_in_words(found: LoadPrediction) -> str:
    given = found.workload.to_dict()
    if given["kind"] == "sessions":
        load = f"{given['session_rate_per_s']:g} sessions a second of {given['requests_per_session']:g} requests"
    elif "users" in given:
        load = f"{given['users']:,} users"
    else:
        load = f"{given['arrival_rate_rps']:g} arrivals a second"
    return load if found.fleet.instances == 1 else f"{load} on {found.fleet.instances} instances"


def _cells(interval: Interval, text: Any) -> tuple[str, str, str]:
    return text(interval.low), text(interval.mid), text(interval.high)


def _range(interval: Interval) -> tuple[str, str, str]:
    return _cells(interval, lambda value: known(value, ".4g"))


def _duration(interval: Interval) -> tuple[str, str, str]:
    return _cells(interval, known_duration)


def _percent(interval: Interval | None) -> tuple[str, str, str] | None:
    return None if interval is None else _cells(interval, lambda value: known(value, ".2%"))


def print_curve(curve: CapacityCurve) -> None:
    """A curve for people, with knee and saturation."""
    rows = []
    for point in curve.points:
        item = point.metrics
        rows.append(
            (
                f"{point.load:,.6g}", item["goodput_rps"].format(), known(item["shed_rate"].mid, ".2%"),
                known_duration(item["mean_s"].mid), _times(item["p95_s"]), known_duration(item["p99_s"].mid),
            )
        )  # fmt: skip
    unit = "users" if curve.quantity.value == "users" else "arrivals/s"
    level = curve.points[0].metrics["goodput_rps"].level
    columns = (unit, f"served/s ({level:.0%} interval)", "bad", "mean", "P95", "P99")
    out().print(table("Capacity curve of one instance, by the calibrated model", columns, rows))
    for feature in (curve.knee(), curve.saturation()):
        _print_feature(feature, unit)


def _times(interval: Interval) -> str:
    low, mid, high = _duration(interval)
    return f"{mid} ({low} to {high})"


def _print_feature(feature: CurveFeature, unit: str) -> None:
    print_findings(feature.findings)
    if feature.load is None or feature.goodput_rps is None:
        return
    text = f"{feature.name}: at {feature.load.format('.4g', unit)}, {feature.goodput_rps.format('.4g', 'served/s')}"
    out().print(text, soft_wrap=True)


def print_capacity(found: InstanceCapacity) -> None:
    """A capacity for people."""
    rows = [(f"largest load ({found.quantity.value})", found.value.format(".4g"))]
    if found.arrival_rate_rps is not None:
        rows.append(("requests/s", found.arrival_rate_rps.format(".4g")))
    if found.in_flight is not None:
        rows.append(("requests inside", found.in_flight.format(".4g")))
    if found.max_value is not None:
        rows.append((f"until too many end badly ({found.quantity.value})", found.max_value.format(".4g")))
    rows.append(("what stops a larger load", found.bound_by.replace("_", " ")))
    if found.valid_up_to is not None:
        rows.append((f"heaviest measured load ({found.quantity.value})", f"{found.valid_up_to:g}"))
    title = f"One instance within {_objective_in_words(found.objective)}"
    out().print(table(title, ("", f"value ({found.value.level:.0%} interval)"), rows))
    print_findings(found.findings)


def _objective_in_words(objective: dict[str, Any]) -> str:
    parts = []
    if "p95_s" in objective:
        parts.append(f"P95 <= {known_duration(objective['p95_s'])}")
    if "max_bad_fraction" in objective:
        parts.append(f"at most {100 * objective['max_bad_fraction']:.4g} % bad")
    return ", ".join(parts)


COMMANDS = (predict, sweep, slo_capacity)
