"""Load swept over a model: the simulated capacity curve, and the largest load that meets an objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.foundation.checks import positive
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint, InstanceCapacity
from simulations.analysis.metrics import full_window, window_metrics
from simulations.analysis.output_analysis import WARM_UP_FRACTION
from simulations.analysis.simulation import simulate, simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

_REQUESTS = 60_000
_MOST_USERS = 2_000_000
_MOSTLY_SHED = 0.5


@dataclass(frozen=True)
class Objective:
    """What an instance must keep.

    Parameters
    ----------
    p95_s : float, optional
        Largest 95th percentile of the residence time of served requests, seconds.
    max_bad_fraction : float, optional
        Largest share of requests that are shed.
    """

    p95_s: float | None = None
    max_bad_fraction: float | None = None

    def __post_init__(self) -> None:
        if self.p95_s is None and self.max_bad_fraction is None:
            raise InputError("An objective needs a limit: give p95_s= or max_bad_fraction=.")
        if self.p95_s is not None:
            positive("p95_s", self.p95_s)
        if self.max_bad_fraction is not None and not 0 <= self.max_bad_fraction < 1:
            raise InputError(f"max_bad_fraction is {self.max_bad_fraction!r}; it must lie between 0 and 1.")

    def to_dict(self) -> dict[str, float]:
        """Only the limits that are set."""
        given = {"p95_s": self.p95_s, "max_bad_fraction": self.max_bad_fraction}
        return {name: value for name, value in given.items() if value is not None}


def sweep_load(
    model: ServerModel, users: Sequence[int], think_time: Distribution, *, seed: int = 1, level: float = 0.9
) -> CapacityCurve:
    """Simulate a closed population at each level; the same seed at all of them (common random numbers).

    Returns
    -------
    CapacityCurve
        The columns of a measured one.
    """
    points = [
        CapacityPoint(
            count,
            simulate(model, ClosedWorkload(count, think_time), requests=_REQUESTS, seed=seed, level=level).metrics,
        )
        for count in sorted(users)
    ]
    return CapacityCurve(tuple(points), "simulation")


def find_capacity(
    model: ServerModel,
    workload: ClosedWorkload,
    *,
    p95_s: float | None = None,
    max_bad_fraction: float | None = None,
    draws: Sequence[ServerModel] = (),
    seed: int = 1,
    level: float = 0.9,
) -> InstanceCapacity:
    """The largest number of users that one instance carries within an objective.

    Parameters
    ----------
    model : ServerModel
    workload : ClosedWorkload
        Who sends; its number of users is what is searched for, so any will do.
    p95_s : float, optional
        Largest 95th percentile of the residence time of served requests, seconds.
    max_bad_fraction : float, optional
        Largest share of requests that are shed. At least one of the two.
    draws : sequence of ServerModel, optional
        Models drawn from a calibration's uncertainty; the interval is that of their
        capacities. Without them the interval is the simulation's alone and of no width.
    seed : int, default 1
        The same for all models and loads, so that capacities differ by parameters, not by luck.
    level : float, default 0.9

    Returns
    -------
    InstanceCapacity
        In users; `max_value` is the largest load within `max_bad_fraction` alone, when that is set.
    """
    objective, think_time = Objective(p95_s, max_bad_fraction), workload.think_time
    best = _largest(model, think_time, objective, seed)
    if best == 0:
        raise InputError(
            f"One user alone breaks the objective {objective.to_dict()}: a served request takes "
            f"{model.service_time.mean_s:.3g} s on average. Relax the objective or speed the service up."
        )
    capacities = [_largest(item, think_time, objective, seed, around=best) for item in draws]
    at_best = simulate(model, ClosedWorkload(best, think_time), requests=_REQUESTS, seed=seed, level=level).metrics
    return InstanceCapacity(
        Quantity.USERS, _capacity_interval(best, capacities, level),
        _largest_within_bad(model, think_time, objective, draws, seed, level),
        _bound_by(model, think_time, objective, best + max(1, best // 100), seed),
        at_best["throughput_rps"], at_best["in_flight"], objective.to_dict(),
    )  # fmt: skip


def _largest_within_bad(
    model: ServerModel,
    think_time: Distribution,
    objective: Objective,
    draws: Sequence[ServerModel],
    seed: int,
    level: float,
) -> Interval | None:
    if objective.max_bad_fraction is None or math.isinf(model.limits.most_in_flight):
        return None
    only_bad = Objective(max_bad_fraction=objective.max_bad_fraction)
    best = _largest(model, think_time, only_bad, seed)
    if best == 0:
        return None
    return _capacity_interval(best, [_largest(item, think_time, only_bad, seed, around=best) for item in draws], level)


def _capacity_interval(best: int, capacities: Sequence[int], level: float) -> Interval:
    if not capacities:
        return Interval(best, best, best, level, "confidence")
    return Interval.from_draws(np.array(capacities, dtype=float), level=level, kind="parameter", mid=float(best))


def _largest(
    model: ServerModel, think_time: Distribution, objective: Objective, seed: int, around: int | None = None
) -> int:
    """Bisection on the number of users; 0 when not even one fits. `around` starts the bracket near a known answer."""
    low, high = 0, 1
    if around is not None:
        low, high = (around - around // 16 - 1, around + around // 16 + 1)
        if low > 0 and not _meets(model, think_time, objective, low, seed):
            low, high = 0, low
    while _meets(model, think_time, objective, high, seed):
        _refuse_unbounded(model, think_time, objective, high, seed)
        low, high = high, 2 * high
    while high - low > max(1, low // 500):
        middle = (low + high) // 2
        if _meets(model, think_time, objective, middle, seed):
            low = middle
        else:
            high = middle
    return max(low, 0)


def _refuse_unbounded(
    model: ServerModel, think_time: Distribution, objective: Objective, users: int, seed: int
) -> None:
    """Refuse an objective that stays met while most requests are shed, or up to any load."""
    if users >= _MOST_USERS:
        raise InputError(
            f"The objective {objective.to_dict()} is met up to {users:,} users: no limit of the model bounds it."
        )
    if _metrics_at(model, think_time, users, seed)["shed_rate"] > _MOSTLY_SHED:
        raise InputError(
            f"The objective {objective.to_dict()} is still met at {users:,} users, where over half of the requests "
            "are shed: behind a bounded line the served ones stay fast. Give max_bad_fraction too."
        )


def _meets(model: ServerModel, think_time: Distribution, objective: Objective, users: int, seed: int) -> bool:
    found = _metrics_at(model, think_time, users, seed)
    slow = objective.p95_s is not None and found["p95_s"] > objective.p95_s
    bad = objective.max_bad_fraction is not None and found["shed_rate"] > objective.max_bad_fraction
    return not slow and not bad


def _metrics_at(model: ServerModel, think_time: Distribution, users: int, seed: int) -> dict[str, float]:
    requests = max(_REQUESTS, 20 * users)
    log = simulate_log(model, ClosedWorkload(users, think_time), RunLength(requests), seed=seed)
    return window_metrics(log, full_window(log, WARM_UP_FRACTION))


def _bound_by(model: ServerModel, think_time: Distribution, objective: Objective, users: int, seed: int) -> str:
    """What breaks just above the capacity: the gate sheds, or the percentile passes, with all workers busy or not."""
    found = _metrics_at(model, think_time, users, seed)
    if objective.max_bad_fraction is not None and found["shed_rate"] > objective.max_bad_fraction:
        return "gate"
    workers = model.limits.workers
    return "workers" if math.isfinite(workers) and found["busy_workers"] > 0.9 * workers else "p95"
