"""Charts of recordings and models: labels, units, held-out steps apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from capacity import charts
from capacity.output.charts.style import new_figure
from loadtests import compare_steps
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.knee.knee_search import KneeOptions, KneeResult, belief_after
from loadtests.knee.knee_step import KneeObjective, KneeStep
from loadtests.recording import Cut, Recording
from simulations.analysis.capacity_curve import CapacityCurve, InstanceCapacity
from simulations.model.server_model import ServerModel
from support.synthetic_recordings import record_model


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded(seed=7)


def recorded(seed: int) -> Recording:
    model = ServerModel(Deployment(workers=8, queue_capacity=8), Exponential(0.05), 0.001)
    return record_model(model, (10, 30, 80), Exponential(0.2), window_s=5.0, seed=seed)


def test_a_load_test_fit_shows_units_and_what_was_held_out(recording: Recording) -> None:
    _, (axes,) = new_figure()
    predicted = CapacityCurve.from_steps(recording.steps)
    assert charts.plot_load_test_fit(recording, predicted, metric="p95_s", held_out=[2], ax=axes) is axes
    assert axes.get_xlabel() == "users"
    assert "(ms)" in axes.get_ylabel()
    labels = axes.get_legend_handles_labels()[1]
    assert {"measured, calibrated on", "measured, held out", "model, 90% interval"} <= set(labels)
    assert axes.get_ylim()[1] > 1e3 * max(step.metrics["p95_s"].mid for step in recording.steps)


def test_a_capacity_curve_marks_the_capacity_with_its_interval(recording: Recording) -> None:
    _, (axes,) = new_figure()
    capacity = InstanceCapacity(Quantity.USERS, Interval(25, 28, 30, kind="parameter"), Interval(50, 52, 55), "p95")
    charts.plot_capacity_curve(CapacityCurve.from_steps(recording.steps), capacity=capacity, ax=axes)
    labels = axes.get_legend_handles_labels()[1]
    assert "capacity within the objective: 28 (25 to 30) users" in labels
    assert axes.get_ylabel() == "requests per second"


def test_what_was_cut_is_shaded_apart_from_ramps(recording: Recording) -> None:
    _, (axes,) = new_figure()
    cut = [replace(step, cut=Cut(0.5, 10, "planned settling time")) for step in recording.steps]
    assert charts.plot_steady_windows(replace(recording, steps=tuple(cut)), ax=axes) is axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels.count("warm-up, cut") == 1
    assert "(s)" in axes.get_xlabel()
    spans = [patch for patch in axes.patches if patch.get_hatch() == "///"]
    assert [span.get_x() + span.get_width() for span in spans] == pytest.approx([step.start_s for step in cut])
    assert [text.get_text() for text in axes.texts] == [f"{step.users} users" for step in cut]


def test_a_recording_without_single_requests_has_no_seconds_to_draw(recording: Recording) -> None:
    with pytest.raises(InputError, match="no single requests"):
        charts.plot_steady_windows(replace(recording, requests=recording.requests.iloc[:0]))


@pytest.mark.parametrize("metric", ["latency", ""])
def test_an_unknown_metric_is_named(recording: Recording, metric: str) -> None:
    with pytest.raises(InputError, match="cannot be drawn"):
        charts.plot_load_test_fit(recording, CapacityCurve.from_steps(recording.steps), metric=metric)


def test_without_axes_a_chart_opens_a_pyplot_figure(recording: Recording) -> None:
    mpl.use("agg")
    from matplotlib import pyplot

    draw: Callable[..., object] = charts.plot_capacity_curve
    axes = draw(CapacityCurve.from_steps(recording.steps))
    assert pyplot.gcf() is axes.figure  # type: ignore[attr-defined]
    pyplot.close("all")


def test_a_comparison_shows_harm_to_the_right_and_every_judged_difference(recording: Recording) -> None:
    slower = ServerModel(Deployment(workers=8, queue_capacity=8), Exponential(0.1), 0.001)
    found = compare_steps(recording, record_model(slower, (10, 30, 80), Exponential(0.2), window_s=5.0))
    _, (axes,) = new_figure()
    assert charts.plot_comparison(found, ax=axes) is axes
    labels = [item.get_text() for item in axes.get_yticklabels()]
    assert len(labels) == len(found.judged)
    assert {"goodput, 80 users", "P95, all steps"} <= set(labels)
    assert axes.get_title(loc="left") == "Two recordings: worse"
    middles = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert middles
    assert min(middles) > 5


def test_a_comparison_in_which_nothing_was_judged_is_not_drawn(recording: Recording) -> None:
    nothing = replace(compare_steps(recording, recorded(seed=8)), differences=())
    with pytest.raises(InputError, match="Nothing was judged"):
        charts.plot_comparison(nothing)


def knee_result() -> KneeResult:
    """Three steps around a knee of about 60 users, the last one without a served request."""
    steps = (
        KneeStep(30, 5.0, 900, 0, 20, 0.120, 0.03, math.nan),
        KneeStep(60, 5.0, 1800, 9, 20, 0.190, 0.03, 2.0),
        KneeStep(120, 5.0, 0, 0, 20, math.nan, math.nan, math.nan),
    )
    objective, options = KneeObjective(0.2, 0.01), KneeOptions(most_users=400)
    belief = belief_after(steps, objective, options)
    return KneeResult(objective, belief.interval(), "steps", "p95", steps, belief)


def test_a_knee_search_shows_its_steps_in_order_and_what_is_believed() -> None:
    _, (axes,) = new_figure()
    result = knee_result()
    assert charts.plot_knee_search(result, ax=axes) is axes
    assert [text.get_text() for text in axes.texts] == [
        "30 users: P95 120 ms, 0 % bad", "60 users: P95 190 ms, 0.5 % bad", "120 users: none served, 100 % bad",
    ]  # fmt: skip
    points = {line.get_marker(): [] for line in axes.lines if line.get_marker() in ("o", "D")}
    for line in axes.lines:
        if line.get_marker() in points:
            points[line.get_marker()].append((line.get_xdata()[0], line.get_ydata()[0]))
    assert points == {"o": [(30, 1), (60, 2)], "D": [(120, 3)]}
    assert axes.get_title(loc="left") == "Search for the knee: P95 up to 200 ms, at most 1 % bad"
    labels = axes.get_legend_handles_labels()[1]
    assert f"knee: {result.knee_users.format('.4g')} users" in labels
    assert labels.count("measured within the limits") == 1
    (belief,) = (other for other in axes.figure.axes if other is not axes)
    assert belief.get_ylim()[0] == 0.0
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first step stands at the top"


def test_rate_and_latency_keep_to_lanes_of_their_own(recording: Recording) -> None:
    _, (below,) = new_figure()
    charts.plot_steady_windows(recording, ax=below)
    (above,) = (other for other in below.figure.axes if other is not below)
    rates, times = (axes.lines[0].get_ydata() for axes in (below, above))
    assert max(rates) < sum(below.get_ylim()) / 2
    assert np.nanmin(times) >= sum(above.get_ylim()) / 2 == pytest.approx(0.0)
    assert min(above.get_yticks()) == 0.0
