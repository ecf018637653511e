"""Between which loads a capacity must lie, from the operational laws; refusals where nothing bounds it."""

from __future__ import annotations

import math

from loadtests.foundation.errors import InputError
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.load_roots import LoadScale
from simulations.analysis.objective import Objective
from simulations.analysis.run_length import cycle_time_s
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload

_MOST_USERS = 2_000_000
_LIGHTEST = 1e-3
_HALF = 0.5
"""Share of bad requests that the search goes up to when nobody limits it."""


def load_scale(
    model: ServerModel, workload: SteadyWorkload, objective: Objective, fleet: Fleet | None = None
) -> LoadScale:
    """The loads to search: from one user (a thousandth of saturation) to one that no such objective survives.

    Users who are not inside send at least every think time, so beyond
    (inside + saturation x (Z + RTT)) / (1 - bad) more than the allowed share ends badly; open arrivals beyond
    saturation / (1 - bad). Where the line is long enough, N = X (R + Z) puts the mean residence time at
    twice the limit of the percentile, and open arrivals beyond saturation make it grow.

    Raises
    ------
    InputError
        When the model has no limit that would bound the objective, or the population would be too large.
    """
    instances = 1 if fleet is None else fleet.instances
    top_rps = instances * model.saturation_rps
    inside = _most_inside(model, workload, instances)
    if math.isinf(top_rps) or (math.isinf(inside) and math.isinf(objective.slowest_s)):
        raise InputError(_nothing_bounds(objective))
    if isinstance(workload, ClosedWorkload):
        return LoadScale(True, 1.0, _too_many_users(model, workload, objective, top_rps, inside))
    slow_s = 2 * objective.slowest_s
    most = 2.0 * top_rps if inside >= top_rps * slow_s else 1.1 * top_rps / (1.0 - _allowed(objective))
    return LoadScale(False, _LIGHTEST * top_rps, most)


def requests_to_overload(objective: Objective, scale: LoadScale) -> float:
    """Requests after which open arrivals at twice the saturation wait for twice the limit of the percentile."""
    return 0.0 if scale.is_whole or math.isinf(objective.slowest_s) else 6.0 * scale.most * objective.slowest_s


def refuse_if_met(model: ServerModel, workload: SteadyWorkload, objective: Objective, most: float) -> None:
    """Say why no load breaks the objective; `most` was tried in vain."""
    load = f"{most:,.0f} users" if isinstance(workload, ClosedWorkload) else f"{most:,.4g} requests a second"
    if math.isfinite(_most_inside(model, workload, 1)):
        raise InputError(
            f"The objective {objective.to_dict()} is still met at {load}, where about half of the requests end "
            "badly: behind a bounded line the served ones stay fast. Give max_bad_fraction too."
        )
    raise InputError(_nothing_bounds(objective))


def _nothing_bounds(objective: Objective) -> str:
    return (
        f"The objective {objective.to_dict()} is met at any load: the model has no limit that would bound it. "
        "State workers and gate in the deployment."
    )


def _most_inside(model: ServerModel, workload: SteadyWorkload, instances: int) -> float:
    """Requests in the system at most; those that give up in time are no more than saturation x their patience."""
    longest_s = min(model.limits.patience_s, workload.clients.timeout_s)
    retries = workload.clients.retries
    if retries is not None:
        longest_s = retries.most_attempts * longest_s + float(retries.waits_s().sum())
    waiting = math.inf if math.isinf(longest_s) else instances * model.saturation_rps * longest_s
    return min(instances * model.limits.most_in_flight, waiting)


def _too_many_users(
    model: ServerModel, workload: ClosedWorkload, objective: Objective, top_rps: float, inside: float
) -> float:
    away_s = workload.think_time.mean_s + model.network_round_trip_s
    slow_s = 2 * objective.slowest_s
    if inside >= top_rps * slow_s:
        load = top_rps * (away_s + slow_s)
    else:
        longest_away_s = workload.think_time.mean_s + max(model.network_round_trip_s, model.rejected_after_s)
        load = (inside + top_rps * longest_away_s) / (1.0 - _allowed(objective))
    users = math.ceil(1.1 * max(top_rps * cycle_time_s(model, workload), load)) + 10
    if users > _MOST_USERS:
        raise InputError(
            f"The search would have to simulate {users:,} users, more than {_MOST_USERS:,}: a think time of "
            f"{workload.think_time.mean_s:.3g} s is long against the service. Search in requests per second instead: "
            f"{OpenWorkload.__name__}."
        )
    return float(users)


def _allowed(objective: Objective) -> float:
    return _HALF if objective.max_bad_fraction is None else objective.max_bad_fraction
