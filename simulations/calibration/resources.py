"""CPU seconds and memory per request, from what the server's gauges said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import t_quantile
from loadtests.recording import LoadStep, Recording
from loadtests.trust.plateau import plateau_of
from simulations.model.server_model import ResourceUse, ServerModel

Floats = NDArray[np.float64]

CPU_NAMES = ("cpu_s_per_request", "idle_cpu")
MEMORY_NAMES = ("memory_per_request_bytes", "memory_base_bytes")
_CPU_COLUMNS = ("server_cpu_s", "process_cpu_s")
_MEMORY_COLUMNS = ("server_resident_bytes", "process_resident_bytes")
_FEWEST_POLLS, _FEWEST_STEPS = 4, 3
_MOST_GROWTH, _SIGMAS = 0.25, 4.0
"""Share of the steps' difference in memory that may come while the load stays the same, and standard errors that chance
may make of it: the number inside wanders."""


@dataclass(frozen=True)
class MeasuredResources:
    """What requests cost, as far as gauges tell.

    Parameters
    ----------
    parameters : dict of str to Interval
        ``cpu_s_per_request`` and ``idle_cpu``, ``memory_per_request_bytes`` and ``memory_base_bytes``; nothing of a
        pair with fewer than three steps that show it.
    unsure : tuple of str
        Parameters that gauges cannot tell from something else.
    findings : tuple of Finding
    """

    parameters: dict[str, Interval] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    def used_by(self, model: ServerModel) -> ServerModel:
        """The model with these costs; without gauges it keeps its own."""
        found = {name: max(interval.mid, 0.0) for name, interval in self.parameters.items()}
        return replace(model, resources=replace(model.resources, **found)) if found else model


def measured_resources(recording: Recording, level: float) -> MeasuredResources:
    """What requests cost in CPU and memory.

    The processor time that the server used in a step's window, per second, is a straight line in the requests that
    it finished: idle use plus a cost for each. Its mean resident memory is one in the mean number of requests inside.
    All come from least squares over the steps.

    Parameters
    ----------
    recording : Recording
    level : float
        Of the intervals.

    Returns
    -------
    MeasuredResources
    """
    cpu = _pair(recording, _cores_used, CPU_NAMES, level)
    memory = _pair(recording, _memory_used, MEMORY_NAMES, level)
    growing = tuple(_growing(recording)) if memory else ()
    return MeasuredResources(cpu | memory, MEMORY_NAMES[:1] if growing else (), growing)


def resources_of(parameters: dict[str, Interval], model: ServerModel) -> dict[str, Interval]:
    """Every cost of a request: as measured, else what the model takes, of kind ``assumed``.

    Parameters
    ----------
    parameters : dict of str to Interval
    model : ServerModel

    Returns
    -------
    dict of str to Interval
    """
    use: ResourceUse = model.resources
    cpu_s = model.mean_cpu_s if use.cpu_s_per_request is None else use.cpu_s_per_request
    taken = {
        "cpu_s_per_request": cpu_s, "idle_cpu": use.idle_cpu,
        "memory_per_request_bytes": use.memory_per_request_bytes, "memory_base_bytes": use.memory_base_bytes,
    }  # fmt: skip
    return {name: parameters.get(name) or Interval.assumed(value) for name, value in taken.items()}


_Point = tuple[float, float]


def _pair(
    recording: Recording, look: Callable[[Recording, LoadStep], _Point | None], names: tuple[str, ...], level: float
) -> dict[str, Interval]:
    """Slope and intercept of what a look at each step shows, by name."""
    points = [found for step in recording.steps if (found := look(recording, step)) is not None]
    if len(points) < _FEWEST_STEPS or len({load for load, _ in points}) < _FEWEST_STEPS:
        return {}
    loads, used = np.array(points).T
    return dict(zip(names, _line(loads, used, level), strict=True))


def _cores_used(recording: Recording, step: LoadStep) -> _Point | None:
    """Requests per second and mean cores in use over a step's window."""
    for time_s, used_s in _polled(recording, step, _CPU_COLUMNS):
        span_s, spent_s = float(time_s[-1] - time_s[0]), float(used_s[-1] - used_s[0])
        if span_s > 0 and spent_s >= 0:
            return step.requests / step.window_s, spent_s / span_s
    return None


def _memory_used(recording: Recording, step: LoadStep) -> _Point | None:
    """Mean number of requests inside and mean resident bytes over a step's window."""
    for _, resident in _polled(recording, step, _MEMORY_COLUMNS):
        return _mean_inside(recording, step), float(resident.mean())
    return None


def _mean_inside(recording: Recording, step: LoadStep) -> float:
    """Of the requests themselves; where they are not known one by one of the served ones, by Little's law."""
    if recording.requests.empty:
        return step.metrics["goodput_rps"].mid * step.metrics["mean_s"].mid
    plateau = plateau_of(recording, step)
    return float(plateau.in_flight(plateau.edges_s(1))[0])


def _polled(recording: Recording, step: LoadStep, columns: tuple[str, ...]) -> Iterator[tuple[Floats, Floats]]:
    """Times and values of the gauges that say enough in a step's window, the most trusted first."""
    gauges = recording.gauges
    if gauges.empty:
        return
    rows = gauges[(gauges["time_s"] >= step.start_s) & (gauges["time_s"] <= step.end_s)]
    for column in columns:
        known = rows[np.isfinite(rows[column])] if column in rows else rows[:0]
        if len(known) >= _FEWEST_POLLS:
            yield known["time_s"].to_numpy(dtype=float), known[column].to_numpy(dtype=float)


def _growing(recording: Recording) -> Iterator[Finding]:
    """Memory that grows while the load stays the same: levels that follow each other would pass it for their own."""
    found = [next(_polled(recording, step, _MEMORY_COLUMNS), None) for step in recording.steps]
    known = [item for item in found if item is not None]
    means = [float(resident.mean()) for _, resident in known]
    growths = np.array([_grown(time_s, resident) for time_s, resident in known])
    grown, error = float(growths[:, 0].sum()), float(np.sqrt(np.sum(growths[:, 1] ** 2)))
    between = max(means) - min(means)
    if grown > max(_MOST_GROWTH * between, _SIGMAS * error):
        yield Finding(
            "memory-grows-with-time", "info",
            f"The server's memory grew by {grown / 2**20:,.3g} MiB while the load stayed the same, and differs by "
            f"{between / 2**20:,.3g} MiB between the steps: memory_per_request_bytes may be growth over time.",
            "Record the levels in another order, or longer, until memory settles.",
            {"within_steps_bytes": grown, "between_steps_bytes": between},
        )  # fmt: skip


def _grown(time_s: Floats, resident: Floats) -> tuple[float, float]:
    """Bytes by a straight line over the window, and their standard error."""
    length_s = float(time_s[-1] - time_s[0])
    line = stats.linregress(time_s, resident)
    return float(line.slope) * length_s, float(line.stderr) * length_s


def _line(loads: Floats, used: Floats, level: float) -> tuple[Interval, Interval]:
    """Slope and intercept of a straight line, each with Student's interval."""
    design = np.column_stack([loads, np.ones(loads.size)])
    (slope, intercept), *_ = np.linalg.lstsq(design, used, rcond=None)
    freedom = loads.size - 2
    variance = float(np.sum((used - design @ np.array([slope, intercept])) ** 2)) / freedom
    errors = np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    factor = float(t_quantile(0.5 + level / 2, freedom))
    halves = (factor * errors).tolist()
    return _around(float(slope), halves[0], level), _around(float(intercept), halves[1], level)


def _around(mid: float, half: float, level: float) -> Interval:
    return Interval(mid - half, mid, mid + half, level, "parameter")
