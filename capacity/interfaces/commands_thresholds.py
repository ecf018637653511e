"""The command of thresholds: the profiles, what cannot fire, and what they say of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capacity.interfaces.console import VERDICT_FAILED, envelope, out, print_json, styled, table
from loadtests.foundation.errors import InputError

if TYPE_CHECKING:
    from capacity.thresholds.profiles import ThresholdProfiles
    from capacity.thresholds.report import Measurements, ThresholdReport
    from loadtests.deployment import Deployment

_STYLES = {"normal": "green", "warning": "bold yellow", "critical": "bold red"}


def thresholds(
    measurements: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON or TOML of metrics: numbers, or series over time.")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="A measured value, NAME=VALUE; may be repeated.")] = None,
    degradation: Annotated[str, typer.Option(help="How much slower than usual, for the severity of an incident.")] = "",
    policy: Annotated[
        str, typer.Option(help="Policy file with thresholds and deployment; default the guide's, as the word guide.")
    ] = "guide",
    ccu_base: Annotated[str, typer.Option(help="Of the guide's CCU utilization: normal or max.")] = "",
    deployment: Annotated[Path | None, typer.Option(help="Limits of an instance; default the policy's.")] = None,
    residence_time: Annotated[str, typer.Option(help="Mean at the gate, such as 50ms: bounds throughput too.")] = "",
    strict: Annotated[bool, typer.Option(help="Exit 99 when a profile says critical.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Bands, alerts, readiness, scaling rules and severities: what they say, and which of them cannot fire."""
    from capacity.thresholds.report import judge_thresholds
    from loadtests.foundation.units import parse_duration_s

    profiles, limits = _profiles(policy, ccu_base, deployment)
    measured = _measured(measurements, metric or [], degradation)
    residence_s = parse_duration_s(residence_time, "--residence-time") if residence_time else None
    found = judge_thresholds(profiles, measured, limits, residence_time_s=residence_s)
    if as_json:
        asked: dict[str, Any] = {
            "measurements": measurements, "metric": metric or [], "degradation": degradation or None, "policy": policy,
            "ccu_base": ccu_base or None, "deployment": None if limits is None else limits.to_dict(),
            "residence_time_s": residence_s,
        }  # fmt: skip
        print_json({**envelope(asked), **found.to_dict()})
    else:
        print_thresholds(found, is_measured=measured is not None)
    if strict and found.level == "critical":
        raise typer.Exit(VERDICT_FAILED)


def print_thresholds(found: ThresholdReport, *, is_measured: bool) -> None:
    """What was measured against the profiles, or the profiles themselves; then what cannot fire."""
    if is_measured:
        _print_verdicts(found)
    else:
        _print_profiles(found.profiles)
    for item in found.silent:
        out().print(styled(("cannot fire ", "yellow"), (item.message, "")), soft_wrap=True)
        out().print(f"        {item.reach.remedy}", style="dim", soft_wrap=True)


def _print_verdicts(found: ThresholdReport) -> None:
    from capacity.thresholds.triggers import MAX_GAP_S

    console = out()
    for item in found.verdicts:
        rows = [(one.metric, f"{one.value:g}", one.level, _band(one.band.low, one.band.high)) for one in item.judged]
        console.print(table(f"Profile {item.profile}", ("metric", "value", "level", "band"), rows))
        if item.not_measured:
            console.print(f"Not measured: {', '.join(item.not_measured)}.", style="dim", soft_wrap=True)
    if found.scaling is not None:
        held = [
            (one.rule.metric, f"{one.rule.threshold:g} for {one.rule.duration_s:g} s", one.rule.action,
             f"{one.since_s:g} s", f"{one.triggered_at_s:g} s", "yes" if one.is_holding else "no")
            for one in found.scaling.episodes
        ]  # fmt: skip
        columns = ("metric", "rule", "action", "since", "triggered", "holds still")
        console.print(table(f"Profile {found.scaling.profile}", columns, held))
        if not held:
            console.print(
                "No scaling rule has held for its duration. Over samples more than "
                f"{MAX_GAP_S:g} s apart none is taken to hold."
            )
    if found.without_bands:
        console.print(f"No profile has bands of {', '.join(found.without_bands)}.", style="dim")
    if found.incident is not None:
        console.print(f"If this is an incident, it is {found.incident}.")
    if found.level is not None:
        console.print(styled(("Worst level: ", ""), (found.level, _STYLES[found.level])))


def _print_profiles(profiles: ThresholdProfiles) -> None:
    console = out()
    for profile in (profiles.daily, profiles.alert, profiles.readiness):
        rows = [
            (item.metric, _edge(item.warning_from), _edge(item.critical_from)) for item in profile.bands
        ]  # fmt: skip
        console.print(table(f"Profile {profile.name}", ("metric", "warning from", "critical from"), rows))
    rules = [
        (item.metric, f"{item.threshold:g}", f"{item.duration_s:g} s", item.action) for item in profiles.scaling.rules
    ]
    console.print(table(f"Profile {profiles.scaling.name}", ("metric", "from", "for", "action"), rules))
    severities = [
        (item.severity, _edge(item.error_rate_from), _edge(item.degradation_from), f"{item.respond_within_s:g} s")
        for item in profiles.incident.rules
    ]
    columns = ("severity", "error rate from", "degradation from", "respond within")
    console.print(table(f"Profile {profiles.incident.name}", columns, severities))


def _band(low: float, high: float) -> str:
    return f"from {low:g}" if high == float("inf") else f"{low:g} to below {high:g}"


def _edge(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"


def _profiles(policy: str, ccu_base: str, deployment: Path | None) -> tuple[ThresholdProfiles, Deployment | None]:
    """The profiles and the limits of an instance."""
    from capacity.planning.policy import PlanningPolicy
    from capacity.thresholds.profiles import ThresholdProfiles
    from loadtests.deployment import Deployment, read_deployment

    if policy == "guide":
        base: Any = ccu_base or "normal"
        profiles = ThresholdProfiles.guide(ccu_base=base)
        own: Deployment | None = Deployment.guide()
    else:
        if ccu_base:
            raise InputError("--ccu-base has no effect with a policy file: its metrics name their base. Leave it out.")
        read = PlanningPolicy.read(policy)
        if read.thresholds is None:
            raise InputError(f"{policy} states no thresholds; give a policy file that does, or the word guide.")
        profiles, own = read.thresholds, read.deployment
    return profiles, own if deployment is None else read_deployment(deployment)


def _measured(path: Path | None, given: list[str], degradation: str) -> Measurements | None:
    from capacity.thresholds.report import Measurements
    from loadtests.foundation.files import read_json_or_toml
    from loadtests.foundation.units import parse_fraction

    values: dict[str, Any] = {} if path is None else read_json_or_toml(path, "file of measurements")
    for part in given:
        name, equals, text = part.partition("=")
        if not equals or name in values:
            raise InputError(f"--metric is {part!r}; write NAME=VALUE, such as p95_s=80ms, each metric once.")
        values[name] = _value(name, text)
    if not values:
        if path is not None:
            raise InputError(f"{path} holds no metrics; give at least one.")
        if degradation:
            raise InputError("--degradation has no effect without measurements; give error_rate too.")
        return None
    return Measurements.from_dict(values, parse_fraction(degradation, "--degradation") if degradation else 0.0)


def _value(name: str, text: str) -> float:
    """Times in the grammar of durations, the rest as numbers or per cents."""
    from loadtests.foundation.units import parse_duration_s

    if name.endswith("_s"):
        return parse_duration_s(text, name)
    word, percent = text.strip(), text.strip().endswith("%")
    try:
        return float(word.rstrip("% ")) * (0.01 if percent else 1.0)
    except ValueError:
        raise InputError(f"{name} is {text!r}; write a number, such as 0.8 or 80%.") from None


COMMANDS = (thresholds,)
