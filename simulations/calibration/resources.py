"""CPU seconds and memory per request, from what the server's gauges said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import t_quantile
from loadtests.recording import LoadStep, Recording
from simulations.model.server_model import ResourceUse, ServerModel

Floats = NDArray[np.float64]

_CPU_COLUMNS = ("server_cpu_s", "process_cpu_s")
_FEWEST_POLLS, _FEWEST_STEPS = 4, 3


def resource_parameters(
    recording: Recording, model: ServerModel, level: float
) -> tuple[ServerModel, dict[str, Interval]]:
    """The model with its CPU cost, and the intervals of that cost.

    The processor time that the server used in a step's window, per second, is a straight line in the requests that
    it finished: idle use plus a cost for each. Both come from least squares over the steps, weighted by their
    length. Memory is not among the gauges that a recording holds; it stays what the caller assumes.

    Parameters
    ----------
    recording : Recording
    model : ServerModel
    level : float

    Returns
    -------
    ServerModel, dict of str to Interval
        ``cpu_s_per_request`` and ``idle_cpu``; nothing with fewer than three steps that show processor time.
    """
    points = [found for step in recording.steps if (found := _cores_used(recording, step)) is not None]
    if len(points) < _FEWEST_STEPS or len({rate for rate, _ in points}) < _FEWEST_STEPS:
        return model, {}
    rates, cores = np.array(points).T
    cost, idle = _line(rates, cores, level)
    used = ResourceUse(max(cost.mid, 0.0), max(idle.mid, 0.0))
    return replace(model, resources=used), {"cpu_s_per_request": cost, "idle_cpu": idle}


def _cores_used(recording: Recording, step: LoadStep) -> tuple[float, float] | None:
    """Requests per second and mean cores in use over a step's window."""
    gauges = recording.gauges
    if gauges.empty:
        return None
    rows = gauges[(gauges["time_s"] >= step.start_s) & (gauges["time_s"] <= step.end_s)]
    for column in _CPU_COLUMNS:
        known = rows[np.isfinite(rows[column])] if column in rows else rows[:0]
        if len(known) >= _FEWEST_POLLS:
            span_s = float(known["time_s"].iloc[-1] - known["time_s"].iloc[0])
            used_s = float(known[column].iloc[-1] - known[column].iloc[0])
            if span_s > 0 and used_s >= 0:
                return step.requests / step.window_s, used_s / span_s
    return None


def _line(rates: Floats, cores: Floats, level: float) -> tuple[Interval, Interval]:
    """Slope and intercept of a straight line, each with Student's interval."""
    design = np.column_stack([rates, np.ones(rates.size)])
    (slope, intercept), *_ = np.linalg.lstsq(design, cores, rcond=None)
    freedom = rates.size - 2
    variance = float(np.sum((cores - design @ np.array([slope, intercept])) ** 2)) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    factor = float(t_quantile(0.5 + level / 2, freedom))
    halves = (factor * errors).tolist()
    return _around(float(slope), halves[0], level), _around(float(intercept), halves[1], level)


def _around(mid: float, half: float, level: float) -> Interval:
    return Interval(mid - half, mid, mid + half, level, "parameter")
