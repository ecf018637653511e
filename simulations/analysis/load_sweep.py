"""Load swept over a model: the simulated capacity curve, and the largest load that meets an objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadtests.foundation.checks import positive
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.units import Quantity
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint, InstanceCapacity
from simulations.analysis.metrics import window_metrics
from simulations.analysis.output_analysis import batch_intervals, student_quantile
from simulations.analysis.run_length import cycle_time_s, settled_run
from simulations.analysis.simulation import simulate_log
from simulations.engines.request_log import SHED_AT_GATE, SHED_AT_QUEUE
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

_REQUESTS = 60_000
_MOST_USERS = 2_000_000
_REPLICATIONS = 8


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

    Parameters
    ----------
    model : ServerModel
    users : sequence of int
        Load levels, in any order.
    think_time : Distribution
    seed : int, default 1
    level : float, default 0.9
        Of the confidence intervals.

    Returns
    -------
    CapacityCurve
        The columns of a measured one; each level is measured after it has settled.
    """
    points = [
        CapacityPoint(count, _settled_metrics(model, ClosedWorkload(count, think_time), seed, level))
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
        Models drawn from a calibration's uncertainty; each is searched with random numbers
        of its own, and the interval is that of their capacities (kind ``parameter``).
        Without them the interval is that of the simulation's own noise over eight
        replications (kind ``confidence``).
    seed : int, default 1
    level : float, default 0.9
        Of the interval.

    Returns
    -------
    InstanceCapacity
        In users; `max_value` is the largest load within `max_bad_fraction` alone, when that is set.

    Raises
    ------
    InputError
        When one user alone breaks the objective, or no load does.
    """
    objective = Objective(p95_s, max_bad_fraction)
    search = _Search(model, workload, objective, seed)
    best = search.largest()
    if best == 0:
        raise InputError(
            f"One user alone breaks the objective {objective.to_dict()}: a served request takes "
            f"{model.mean_held_s:.3g} s on average. Relax the objective or speed the service up."
        )
    at_best = _settled_metrics(model, replace(workload, users=best), seed, level)
    return InstanceCapacity(
        Quantity.USERS, search.interval(best, draws, level), _within_bad_alone(search, draws, level),
        search.what_breaks_above(best), at_best["throughput_rps"], at_best["in_flight"], objective.to_dict(),
    )  # fmt: skip


def _settled_metrics(model: ServerModel, workload: ClosedWorkload, seed: int, level: float) -> dict[str, Interval]:
    length, window = settled_run(model, workload, _REQUESTS)
    return batch_intervals(simulate_log(model, workload, length, seed=seed), window, level)


def _within_bad_alone(search: _Search, draws: Sequence[ServerModel], level: float) -> Interval | None:
    if search.objective.max_bad_fraction is None or math.isinf(search.model.limits.most_in_flight):
        return None
    alone = replace(search, objective=Objective(max_bad_fraction=search.objective.max_bad_fraction))
    best = alone.largest()
    return alone.interval(best, draws, level) if best else None


@dataclass(frozen=True)
class _Search:
    """Bisection on the number of users for one model, one objective and one seed."""

    model: ServerModel
    workload: ClosedWorkload
    objective: Objective
    seed: int

    def largest(self, around: int | None = None) -> int:
        """The largest load within the objective; 0 when not even one user is. `around` narrows the bracket."""
        low, high = 0, 0
        if around is not None and around > 32:
            low, high = around - around // 16, around + around // 16
            low = low if self._meets(low) else 0
        if high == 0 or self._meets(high):
            low, high = max(low, high), self._hopeless_load()
            self._refuse_if_met(high)
        while high - low > max(1, low // 500):
            middle = (low + high) // 2
            low, high = (middle, high) if self._meets(middle) else (low, middle)
        return low

    def interval(self, best: int, draws: Sequence[ServerModel], level: float) -> Interval:
        """Of the draws' capacities; without draws, Student's t over replications."""
        if draws:
            found = [
                replace(self, model=model, seed=derive_key(self.seed, 6, number) >> 1).largest(best)
                for number, model in enumerate(draws)
            ]
            return Interval.from_draws(np.array(found, dtype=float), level=level, kind="parameter", mid=float(best))
        seeds = [derive_key(self.seed, 7, number) >> 1 for number in range(_REPLICATIONS)]
        repeated = np.array([replace(self, seed=seed).largest(best) for seed in seeds], dtype=float)
        # The answer itself is one more such search, so the spread of one value counts, not that of a mean.
        half = student_quantile(_REPLICATIONS - 1, level) * float(np.std(repeated, ddof=1))
        return Interval(max(best - half, 0.0), float(best), best + half, level)

    def what_breaks_above(self, best: int) -> str:
        """Just above the capacity: ``gate`` or ``bad`` (a full line) where too much is shed, ``workers`` or ``p95``."""
        users = best + max(1, best // 50)
        workload = replace(self.workload, users=users)
        length, window = settled_run(self.model, workload, _REQUESTS)
        log = simulate_log(self.model, workload, length, seed=self.seed)
        found = window_metrics(log, window)
        limit = self.objective.max_bad_fraction
        if limit is not None and (found["shed_rate"] > limit or self.objective.p95_s is None):
            at_gate, at_queue = (int(np.count_nonzero(log.outcome == code)) for code in (SHED_AT_GATE, SHED_AT_QUEUE))
            return "gate" if at_gate >= at_queue else "bad"
        workers = self.model.limits.workers
        return "workers" if math.isfinite(workers) and found["busy_workers"] > 0.9 * workers else "p95"

    def _hopeless_load(self) -> int:
        """A load that no objective of this kind survives, from the operational laws.

        Users who are not inside send at least every think time, so beyond
        inside + saturation x (Z + RTT) / (1 - bad) more than the allowed share is shed. Where the line
        is long enough, N = X (R + Z) puts the mean residence time at twice the limit of the percentile.
        """
        top_rps, inside = self.model.saturation_rps, self.model.limits.most_in_flight
        if math.isinf(top_rps) or (math.isinf(inside) and self.objective.p95_s is None):
            return 1
        away_s = self.workload.think_time.mean_s + self.model.network_round_trip_s
        allowed = self.objective.max_bad_fraction
        slow_s = math.inf if self.objective.p95_s is None else 2 * self.objective.p95_s
        if inside >= top_rps * slow_s:
            load = top_rps * (away_s + slow_s)
        else:
            load = inside + top_rps * away_s / (1.0 - (0.5 if allowed is None else allowed))
        free = top_rps * cycle_time_s(self.model, self.workload)
        return math.ceil(1.1 * max(free, load)) + 10

    def _refuse_if_met(self, users: int) -> None:
        if users > _MOST_USERS:
            raise InputError(
                f"The search would have to simulate {users:,} users, more than {_MOST_USERS:,}: a think time of "
                f"{self.workload.think_time.mean_s:.3g} s is long against the service. Plan in requests per second."
            )
        if not self._meets(users):
            return
        if math.isfinite(self.model.limits.most_in_flight):
            raise InputError(
                f"The objective {self.objective.to_dict()} is still met at {users:,} users, where about half of the "
                "requests are shed: behind a bounded line the served ones stay fast. Give max_bad_fraction too."
            )
        raise InputError(
            f"The objective {self.objective.to_dict()} is met at any load: the model has no limit that "
            "would bound it. State workers and gate in the deployment."
        )

    def _meets(self, users: int) -> bool:
        if users < 1:
            return True
        workload = replace(self.workload, users=users)
        length, window = settled_run(self.model, workload, _REQUESTS)
        found = window_metrics(simulate_log(self.model, workload, length, seed=self.seed), window)
        slow = self.objective.p95_s is not None and not found["p95_s"] <= self.objective.p95_s
        bad = self.objective.max_bad_fraction is not None and found["shed_rate"] > self.objective.max_bad_fraction
        return not slow and not bad
