"""Charts as figures and files: which charts belong to a plan and to a measurement."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capacity.output.charts import (
    plot_capacity_curve,
    plot_cost_risk,
    plot_growth_capacity,
    plot_instances_outlook,
    plot_load_test_fit,
    plot_order_dates,
    plot_parameter_posteriors,
    plot_quantile_quantile,
    plot_residuals_over_time,
    plot_sensitivity,
    plot_timeline,
)
from capacity.output.charts.cost_risk import cost_risk_size
from capacity.output.charts.orders import order_dates_size, sensitivity_size
from capacity.output.charts.style import Figure, new_figure
from capacity.planning.plan import CapacityPlan
from capacity.planning.what_if import sensitivity
from loadtests.foundation.files import replacing
from loadtests.recording import Recording
from simulations.analysis.capacity_curve import CapacityCurve, InstanceCapacity
from simulations.calibration.fit_quality import StepFit, StepResiduals
from simulations.calibration.prediction import predict_curve
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import unseen_steps

Figures = dict[str, Figure]

_LEVELS = 14
_FIT_METRICS = ("goodput_rps", "shed_rate", "mean_s", "p50_s", "p95_s", "p99_s")


def plan_figures(plan: CapacityPlan) -> Figures:
    """Growth against capacity, timeline, what moves the last month; order dates, outlook, cost and risk where known."""
    growth, (growth_axes,) = new_figure()
    plot_growth_capacity(plan, ax=growth_axes)
    timeline, (timeline_axes,) = new_figure(size=(8.0, 3.4))
    plot_timeline(plan, ax=timeline_axes)
    figures = {"growth_capacity": growth, "timeline": timeline}
    if plan.orders is not None:
        figures["order_dates"], (order_axes,) = new_figure(size=order_dates_size(plan.orders))
        plot_order_dates(plan.orders, ax=order_axes)
        figures["instances_outlook"], (outlook_axes,) = new_figure()
        plot_instances_outlook(plan.orders, ax=outlook_axes)
    if plan.shapes is not None and plan.shapes.frontier:
        figures["cost_risk"], (risk_axes,) = new_figure(size=cost_risk_size(plan.shapes))
        plot_cost_risk(plan.shapes, ax=risk_axes)
    moved = sensitivity(plan)
    figures["sensitivity"], (moved_axes,) = new_figure(size=sensitivity_size(moved))
    plot_sensitivity(moved, ax=moved_axes)
    return figures


def measurement_figures(recording: Recording, fit: CalibrationResult, capacity: InstanceCapacity | None) -> Figures:
    """The load test against the model, metric by metric, and the capacity curve."""
    held_out = unseen_steps(fit, recording)
    window_s = float(np.median([step.window_s for step in recording.steps]))
    predicted = predict_curve(fit, _levels(recording), window_s, seed=fit.seed)
    comparison, panels = new_figure(len(_FIT_METRICS), size=(5.2, 4.0), columns=2)
    for place, (metric, axes) in enumerate(zip(_FIT_METRICS, panels, strict=True)):
        plot_load_test_fit(
            recording, predicted, metric=metric, held_out=held_out, calibrated=fit.users_range, ax=axes
        )  # fmt: skip
        if place and axes.legend_ is not None:
            axes.set_title("", loc="left")
            axes.legend_.remove()
    curve, (curve_axes,) = new_figure()
    measured = CapacityCurve.from_steps(recording.steps)
    plot_capacity_curve(predicted, measured=measured, capacity=capacity, ax=curve_axes)
    return {"load_test_fit": comparison, "capacity_curve": curve}


def check_figures(fit: CalibrationResult, fits: Sequence[StepFit], residuals: Sequence[StepResiduals]) -> Figures:
    """Parameters, and where there are single requests quantile against quantile and residuals over time."""
    count = len(fit.draws.names)
    parameters, (parameter_axes,) = new_figure(size=(9.0, 0.5 + 2.1 * -(-count // 3)))
    plot_parameter_posteriors(fit, ax=parameter_axes)
    figures = {"parameters": parameters}
    if fits:
        figures["quantiles"], (quantile_axes,) = new_figure(size=(6.0, 5.6))
        plot_quantile_quantile(fits, ax=quantile_axes)
    if residuals:
        figures["residuals"], (residual_axes,) = new_figure(size=(10.0, 4.2))
        plot_residuals_over_time(residuals, ax=residual_axes)
    return figures


def write_figures(figures: Figures, folder: Path) -> list[Path]:
    """Write each figure as a PNG, whole or not at all; return the paths."""
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        with replacing(path) as partial:
            figure.savefig(partial, format="png")
        paths.append(path)
    return paths


def write_plan_figures(plan: CapacityPlan, folder: Path) -> list[Path]:
    """The charts of a plan as files."""
    return write_figures(plan_figures(plan), folder)


def data_address(figure: Figure) -> str:
    """A figure as a ``data:`` address, for pages that stand alone."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _levels(recording: Recording) -> list[int]:
    """Loads from a light one to a little beyond the heaviest step."""
    heaviest = max(step.users for step in recording.steps)
    return sorted({max(1, round(level)) for level in np.linspace(0.08, 1.05, _LEVELS) * heaviest})
