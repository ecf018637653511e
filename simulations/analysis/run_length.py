"""How long a closed population takes to settle, and how long a run must be to measure it settled."""

from __future__ import annotations

from simulations.analysis.metrics import Window
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

_SETTLING_CYCLES = 6.0
_SETTLING_DRAINS = 2.0


def cycle_time_s(model: ServerModel, workload: ClosedWorkload) -> float:
    """A user's mean cycle without waiting: think, serve, network round trip."""
    return workload.think_time.mean_s + model.mean_held_s + model.network_round_trip_s


def warm_up_time_s(model: ServerModel, workload: ClosedWorkload) -> float:
    """Time to leave out: the spread of the first requests, six cycles without waiting, and a full line twice."""
    inside = min(model.limits.most_in_flight, workload.users)
    drain_s = inside / model.saturation_rps if model.saturation_rps > 0 else 0.0
    return (
        workload.first_request_spread_s
        + _SETTLING_CYCLES * cycle_time_s(model, workload)
        + _SETTLING_DRAINS * min(drain_s, workload.users * model.mean_held_s)
    )


def settled_run(model: ServerModel, workload: ClosedWorkload, requests: int) -> tuple[RunLength, Window]:
    """A run whose window begins settled and holds at least about `requests` served requests."""
    warm_up_s = warm_up_time_s(model, workload)
    free_rps = workload.users / cycle_time_s(model, workload)
    window_s = requests / min(free_rps, model.saturation_rps)
    return RunLength(horizon_s=warm_up_s + window_s), Window(warm_up_s, warm_up_s + window_s)
