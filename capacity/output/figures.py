"""Charts as figures and files: which charts belong to a plan and to a measurement."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from capacity.output.charts import plot_capacity_curve, plot_growth_capacity, plot_load_test_fit, plot_timeline
from capacity.output.charts.style import Figure, new_figure
from capacity.planning.plan import CapacityPlan
from loadtests.foundation.files import replacing
from loadtests.recording import Recording
from simulations.analysis.capacity_curve import CapacityCurve, InstanceCapacity
from simulations.calibration.prediction import predict_curve
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import unseen_steps

Figures = dict[str, Figure]

_LEVELS = 14


def plan_figures(plan: CapacityPlan) -> Figures:
    """Growth against capacity, and the timeline."""
    growth, (growth_axes,) = new_figure()
    plot_growth_capacity(plan, ax=growth_axes)
    timeline, (timeline_axes,) = new_figure(size=(8.0, 3.4))
    plot_timeline(plan, ax=timeline_axes)
    return {"growth_capacity": growth, "timeline": timeline}


def measurement_figures(recording: Recording, fit: CalibrationResult, capacity: InstanceCapacity | None) -> Figures:
    """The load test against the model (served requests and P95), and the capacity curve."""
    held_out = unseen_steps(fit, recording)
    window_s = float(np.median([step.window_s for step in recording.steps]))
    predicted = predict_curve(fit, _levels(recording), window_s, seed=fit.seed)
    comparison, panels = new_figure(2, size=(6.4, 4.6))
    for metric, axes in zip(("goodput_rps", "p95_s"), panels, strict=True):
        plot_load_test_fit(recording, predicted, metric=metric, held_out=held_out, ax=axes)
    curve, (curve_axes,) = new_figure()
    measured = CapacityCurve.from_steps(recording.steps)
    plot_capacity_curve(predicted, measured=measured, capacity=capacity, ax=curve_axes)
    return {"load_test_fit": comparison, "capacity_curve": curve}


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
