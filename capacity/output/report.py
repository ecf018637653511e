"""One self-contained HTML page of all that a folder holds: recording, model, validation, capacity, plans, what came."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from capacity.output.figures import check_figures, data_address, measurement_figures, plan_figures
from capacity.output.later_results import LATER_READERS, LaterSection
from capacity.output.stored_results import (
    find_capacity,
    find_file,
    find_plans,
    find_recording,
    read_capacity,
    read_validation,
)
from capacity.planning.plan import CapacityPlan
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import write_text
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import format_duration
from loadtests.foundation.versions import versions_of
from loadtests.recording import Recording
from loadtests.store import read_recording
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.calibration.fit_quality import fits_of, residuals_of
from simulations.calibration.model_checks import findings_of
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import unseen_steps
from simulations.calibration.window_comparison import compare_windows

REPORT = "report.html"
_MOST_ORDERS = 12
_CHART_TITLES = {
    "load_test_fit": "Measured steps against the calibrated model; hollow diamonds were not used for the calibration; "
    "no calibrated step covers the hatched loads.",
    "capacity_curve": "Requests sent and served over load, and the capacity within the objective.",
    "parameters": "Draws of the parameters that the recording leaves possible, with their intervals.",
    "quantiles": "Quantiles of residence times, measured against simulated; bars hold nine in ten simulated windows.",
    "residuals": "Measured minus simulated over the steady time of the steps, in standard deviations.",
    "growth_capacity": "Growth against the capacity that the plan deploys.",
    "timeline": "The scaling timeline.",
    "order_dates": "When to order each further instance, and when it is needed.",
    "cost_risk": "Cost of shapes and fleets against the probability that they are too small in some month.",
    "sensitivity": "What moves the instances of the last month.",
    "instances_outlook": "Instances that the peak of each month needs, without a safety factor.",
}


@dataclass(frozen=True)
class PlanSection:
    """One plan of the folder."""

    title: str
    plan: CapacityPlan


@dataclass(frozen=True)
class ReportContent:
    """What was found in a folder; each part may be absent."""

    recording: Recording | None = None
    fit: CalibrationResult | None = None
    validation: dict[str, Any] | None = None
    capacity: InstanceCapacity | None = None
    plans: tuple[PlanSection, ...] = field(default=())
    later: tuple[LaterSection, ...] = field(default=())


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a folder and return its path.

    Parameters
    ----------
    folder : str or Path
        Holds any of a recording, `model.json`, `validation.json`, `capacity.json`,
        `plan.json`, `actuals.json` and `drift.json`, each in the folder itself or one folder down; a recording folder
        itself will do too.

    Raises
    ------
    InputError
        When there is nothing to report on, a part cannot be read, or two parts of
        one kind are found one folder down (plans may be several).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist; give a folder that a demo, record or plan has written.")
    content = read_content(folder)
    if content == ReportContent():
        raise InputError(
            f"The folder {folder} holds nothing to report on; expected a recording, model.json, validation.json, "
            "capacity.json, plan.json, actuals.json or drift.json."
        )
    return write_text(folder / REPORT, render(content))


def read_content(folder: Path) -> ReportContent:
    """Read every part that is there."""
    recording, capacity = find_recording(folder), find_capacity(folder)
    model, validation = find_file(folder, "model.json"), find_file(folder, "validation.json")
    plans = (PlanSection(_plan_title(path, folder), CapacityPlan.load(path)) for path in find_plans(folder))
    return ReportContent(
        recording=read_recording(recording) if recording else None,
        fit=CalibrationResult.load(model) if model else None,
        validation=read_validation(validation) if validation else None,
        capacity=read_capacity(capacity) if capacity else None,
        plans=tuple(plans),
        later=tuple(read(path) for name, read in LATER_READERS.items() if (path := find_file(folder, name))),
    )


def render(content: ReportContent) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(interval=_interval, duration=_duration, percent=_percent, number=_number)
    template = environment.from_string(files("capacity.output").joinpath("report.html.j2").read_text(encoding="utf-8"))
    checked, check_charts = _checks(content)
    return template.render(
        content=content, held_out=_held_out(content), measurement_charts=_measurement_charts(content),
        checked=checked, check_charts=check_charts,
        plans=[(section, _charts(plan_figures(section.plan)), section.plan.to_dict()) for section in content.plans],
        order_table=_order_table, later=content.later,
        versions=versions_of("numpy", "numba", "scipy", "pandas", "simpy", "locust", "matplotlib"),
    )  # fmt: skip


def _measurement_charts(content: ReportContent) -> list[tuple[str, str]]:
    if content.recording is None or content.fit is None:
        return []
    return _charts(measurement_figures(content.recording, content.fit, content.capacity))


def _checks(content: ReportContent) -> tuple[tuple[Finding, ...], list[tuple[str, str]]]:
    """What the recording shows that the model does not, and charts of how it fits."""
    if content.recording is None or content.fit is None:
        return (), []
    compared = compare_windows(content.fit, content.recording)
    figures = check_figures(content.fit, fits_of(compared), residuals_of(compared))
    return findings_of(compared), _charts(figures)


def _held_out(content: ReportContent) -> list[int]:
    """Numbers of the measured steps that the model was not calibrated on."""
    return unseen_steps(content.fit, content.recording) if content.fit and content.recording else []


def _charts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [(_CHART_TITLES[name], data_address(figure)) for name, figure in figures.items()]


def _order_table(plan: CapacityPlan) -> tuple[str, tuple[str, ...], list[tuple[str, ...]], int]:
    """What order dates are about, their header, the first rows, and how many more there are."""
    if plan.orders is None:
        return "", (), [], 0
    about, header, rows = plan.orders.as_table()
    return about, header, rows[:_MOST_ORDERS], max(len(rows) - _MOST_ORDERS, 0)


def _plan_title(path: Path, folder: Path) -> str:
    return "Plan" if path.parent == folder else f"Plan: {path.parent.name}"


def _interval(value: Interval | dict[str, Any] | None, unit: str = "", scale: float = 1.0) -> str:
    if value is None:
        return "not stated"
    interval = Interval.from_dict(value) if isinstance(value, dict) else value
    return (interval.scaled(scale) if interval.is_known else interval).format(unit=unit)


def _duration(seconds: float | None) -> str:
    return "unknown" if seconds is None or math.isnan(seconds) else format_duration(seconds)


def _percent(share: float | None, digits: int = 1) -> str:
    return "-" if share is None or math.isnan(share) else f"{share:.{digits}%}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
