"""`find_capacity`: the largest load that keeps an objective, how sure that is, and what stops a larger one.

The load is found by root finding on a simulation with common random numbers. Its confidence interval
holds the loads at which the limit lies inside the confidence interval of what is limited (inversion of
the test [1]_): at the true capacity the value *is* the limit, so the interval of the capacity holds the
truth as often as that of the value does. Measured coverage stands in docs/evidence.md.

References
----------
.. [1] G. Casella, R. L. Berger, Statistical Inference, 2nd edition, Duxbury, 2002, section 9.2.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from simulations.analysis.batch_means import RECOMMENDED_BATCHES
from simulations.analysis.capacity_bounds import load_scale, refuse_if_met, requests_to_overload
from simulations.analysis.capacity_cause import what_stops
from simulations.analysis.capacity_curve import InstanceCapacity
from simulations.analysis.capacity_runs import End, JudgedRuns, Question, lower_end, upper_end, value
from simulations.analysis.cell_metrics import CellWindow, batch_estimates
from simulations.analysis.load_levels import at_load, quantity_of, steady
from simulations.analysis.load_roots import Excess, LoadScale, bracket, crossing, known_bracket
from simulations.analysis.objective import Objective, ObjectiveNotMetError
from simulations.analysis.replications import checked_level
from simulations.analysis.run_length import warm_up_time_s
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import Workload

_COARSE_REQUESTS, _COARSE = 20_000, 0.02
_DRAW_REQUESTS = 60_000
_LEAST_REQUESTS, _MOST_REQUESTS = 120_000, 1_500_000
_BAD_SEEN = 300
"""Bad requests that a run at the limit should hold."""
_LONGER, _ENOUGH = 4, 1.3
_SETTLINGS = 2
"""Settling times in a batch of open arrivals: a batch of one is correlated, and its interval too narrow."""
_NEAR, _FAR = 0.01, 0.05
"""First distance from a good guess, and from another model's capacity, as a share of the load."""


def find_capacity(
    model: ServerModel,
    workload: Workload,
    *,
    p95_s: float | None = None,
    max_bad_fraction: float | None = None,
    objective: Objective | None = None,
    draws: Sequence[ServerModel] = (),
    fleet: Fleet | None = None,
    seed: int = 1,
    level: float = 0.9,
) -> InstanceCapacity:
    """The largest load that an instance (or a fleet) carries within an objective.

    Parameters
    ----------
    model : ServerModel
    workload : ClosedWorkload, OpenWorkload or SessionWorkload
        Who sends; its number of users, or its rate, is what is searched for, so any will do.
    p95_s : float, optional
        Largest 95th percentile of the total time of served requests, seconds.
    max_bad_fraction : float, optional
        Largest share of logical requests that are shed, time out, are abandoned or fail.
    objective : Objective, optional
        Instead of those two: other percentiles, limits of single request classes, one class alone.
    draws : sequence of ServerModel, optional
        Models drawn from a calibration's uncertainty; each is searched with random numbers
        of its own, and the interval is that of their capacities (kind ``parameter``).
        Without them the interval is that of the simulation's own noise (kind ``confidence``).
    fleet : Fleet, optional
        Instances behind a balancer; the capacity is then that of all together. Default: one instance.
    seed : int, default 1
    level : float, default 0.9
        Of the interval.

    Returns
    -------
    InstanceCapacity
        In users, or for open workloads and sessions in logical requests per second; `max_value` is the
        largest load within the limit on bad requests alone, when that is set.

    Raises
    ------
    ObjectiveNotMetError
        When even the lightest load breaks the objective: one user, a thousandth of saturation.
    InputError
        When no load breaks it, or for an objective or workload that cannot be searched for.
    """
    wanted = _one_objective(objective, p95_s, max_bad_fraction)
    wanted.check(model)
    question = Question(steady(workload), wanted, fleet, checked_level(level), seed)
    scale = load_scale(model, question.workload, wanted, fleet)
    return _Search(question, model, scale).capacity(draws)


def _one_objective(given: Objective | None, p95_s: float | None, max_bad_fraction: float | None) -> Objective:
    if given is None:
        return Objective(p95_s, max_bad_fraction)
    if p95_s is not None or max_bad_fraction is not None:
        raise InputError("Give either objective= or p95_s= and max_bad_fraction=, not both.")
    return given


@dataclass(frozen=True)
class _Search:
    """The search over one model and its draws."""

    question: Question
    model: ServerModel
    scale: LoadScale

    def capacity(self, draws: Sequence[ServerModel]) -> InstanceCapacity:
        """The capacity, its maximum by bad requests alone, and what stops a larger load."""
        asked = self.question
        overload = requests_to_overload(asked.objective, self.scale)
        coarse = JudgedRuns(asked, self.model, min(max(_COARSE_REQUESTS, overload), _MOST_REQUESTS))
        if coarse.at(self.scale.most).is_met:
            refuse_if_met(self.model, asked.workload, asked.objective, self.scale.most)
        drawn = [self._of_draw(model, number) for number, model in enumerate(draws)]
        runs, best = self._estimate(coarse, with_intervals=not draws)
        if self._tried(best) == 0:
            self._refuse()
        found = self._interval(runs, best, drawn)
        rate, inside = self._at_draws(runs, best, drawn) if drawn else self._at_best(runs, found.mid)
        cause, request_class = what_stops(runs, found.mid, self.scale)
        return InstanceCapacity(
            quantity_of(asked.workload), found, self._within_bad_alone(coarse, runs, drawn, found), cause,
            rate if self.scale.is_whole else found, inside, asked.objective.to_dict(), request_class=request_class,
        )  # fmt: skip

    def _estimate(self, coarse: JudgedRuns, *, with_intervals: bool) -> tuple[JudgedRuns, float]:
        """Runs that are long enough for their intervals to be trusted, and the crossing by them."""
        guess = self._guess(coarse.excess(value))
        level = self.question.level if with_intervals else None
        runs = JudgedRuns(self.question, self.model, self._requests_at(guess), level)
        best = self._crossing(runs, value, guess)
        if self._tried(best) == 0 or not with_intervals:
            return runs, best
        needed = self._requests_at(best)
        if not self._is_long_enough(runs, best):
            needed = min(_LONGER * runs.requests, 2 * _MOST_REQUESTS)
        if needed <= _ENOUGH * runs.requests:
            return runs, best
        longer = JudgedRuns(self.question, self.model, needed, level)
        return longer, self._crossing(longer, value, best)

    def _requests_at(self, guess: float) -> float:
        """Enough to see bad requests at the limit, and for each batch of open arrivals to be as long as settling."""
        most_bad = self.question.objective.max_bad_fraction
        wanted = _BAD_SEEN / most_bad if most_bad else 0.0
        if not self.scale.is_whole and guess > 0:
            workload = at_load(self.question.workload, guess)
            settling_s = warm_up_time_s(self.model, workload, self.question.instances)
            wanted = max(wanted, _SETTLINGS * RECOMMENDED_BATCHES * guess * settling_s)
        return min(max(_LEAST_REQUESTS, wanted), _MOST_REQUESTS)

    def _is_long_enough(self, runs: JudgedRuns, best: float) -> bool:
        """Whether the interval of what comes closest to its limit can be trusted."""
        return max(runs.at(self._tried(best)).parts, key=value).is_long_enough

    def _guess(self, excess: Excess) -> float:
        return crossing(excess, self.scale, bracket(excess, self.scale, self.scale.most / 2, 0.25), _COARSE)

    def _crossing(
        self, runs: JudgedRuns, end: End, guess: float, *, bad_alone: bool = False, width: float = _NEAR
    ) -> float:
        excess = runs.excess(end, bad_alone=bad_alone)
        around = known_bracket(excess, list(runs.known), 2 * width) or bracket(excess, self.scale, guess, width)
        return crossing(excess, self.scale, around)

    def _tried(self, load: float) -> float:
        """The largest load not above `load` that can be tried."""
        return float(math.floor(load + 1e-9)) if self.scale.is_whole else load

    def _interval(
        self, runs: JudgedRuns, best: float, drawn: Sequence[JudgedRuns], *, bad_alone: bool = False
    ) -> Interval:
        """Of the draws' capacities; without draws, of the loads at which the limit is not ruled out."""
        mid = self._tried(best)
        if drawn:
            return self._of_draws(self._loads_of_draws(drawn, best, bad_alone=bad_alone), mid)
        low, high = (
            self._tried(self._crossing(runs, end, best, bad_alone=bad_alone)) for end in (upper_end, lower_end)
        )
        return Interval(min(low, mid), mid, max(high, mid), self.question.level)

    def _within_bad_alone(
        self, coarse: JudgedRuns, runs: JudgedRuns, drawn: Sequence[JudgedRuns], found: Interval
    ) -> Interval | None:
        objective, alone = self.question.objective, coarse.excess(value, bad_alone=True)
        if objective.max_bad_fraction is None or alone(self.scale.most) <= 0:
            return None
        if len(objective.limits) == 1:
            return found
        guess = self._guess(alone)
        best = self._crossing(runs, value, guess, bad_alone=True)
        # Both crossings are lines through neighbouring runs: where bad requests bind, they differ by that alone.
        return self._interval(runs, best, drawn, bad_alone=True) if best > found.mid else found

    def _of_draw(self, model: ServerModel, number: int) -> JudgedRuns:
        seed = derive_key(self.question.seed, 6, number) >> 1
        return JudgedRuns(replace(self.question, seed=seed), model, _DRAW_REQUESTS)

    def _loads_of_draws(self, drawn: Sequence[JudgedRuns], best: float, *, bad_alone: bool = False) -> list[float]:
        found = (self._crossing(item, value, best, bad_alone=bad_alone, width=_FAR) for item in drawn)
        return [self._tried(load) for load in found]

    def _of_draws(self, values: Sequence[float], mid: float) -> Interval:
        return Interval.from_draws(np.array(values), level=self.question.level, kind="parameter", mid=mid)

    def _at_draws(self, runs: JudgedRuns, best: float, drawn: Sequence[JudgedRuns]) -> tuple[Interval, Interval]:
        """Logical requests per second and requests inside, of each draw at its own capacity."""
        loads = self._loads_of_draws(drawn, best)
        each = [item.at(max(load, self.scale.least)) for item, load in zip(drawn, loads, strict=True)]
        middle = runs.at(self._tried(best))
        return (
            self._of_draws([item.rate_rps for item in each], middle.rate_rps),
            self._of_draws([item.in_flight for item in each], middle.in_flight),
        )

    def _at_best(self, runs: JudgedRuns, load: float) -> tuple[Interval, Interval]:
        """Logical requests per second and requests inside, in the long run at a load."""
        log, window = runs.log_at(load)
        found = batch_estimates(CellWindow.of(log, window), self.question.level)
        attempts = found["throughput_rps"].interval
        return attempts.scaled(runs.at(load).rate_rps / attempts.mid), found["in_flight"].interval

    def _refuse(self) -> None:
        least = "One user alone" if self.scale.is_whole else f"Even a load of {self.scale.least:.3g} requests a second"
        raise ObjectiveNotMetError(
            f"{least} breaks the objective {self.question.objective.to_dict()}: a served request takes "
            f"{self.model.mean_held_s:.3g} s on average. Relax the objective or speed the service up."
        )
