"""`sweep_load`: the simulated capacity curve, levels x replications, over as many processors as joblib is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import joblib

from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from simulations.analysis.capacity_curve import CapacityCurve, CapacityPoint
from simulations.analysis.load_levels import SteadyWorkload, at_load, checked_levels, judged_run, quantity_of, steady
from simulations.analysis.metrics import METRIC_NAMES
from simulations.analysis.replicated_runs import metrics_row
from simulations.analysis.replications import checked_level, columns_of, replication_intervals
from simulations.analysis.run_length import offered_rate_rps
from simulations.analysis.simulation import refuse_endless, simulate_log
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import Workload

Row = dict[str, float]

REPLICATIONS = 10
REQUESTS = 6_000
MOST_REQUESTS = 3_000_000_000
_REQUESTS_PER_WALL_S = 2e6


@dataclass(frozen=True)
class SweepSize:
    """How much is simulated at each level.

    Parameters
    ----------
    replications : int, default 10
        At least 2. With draws their number counts instead.
    requests : int, default 6000
        Of each replication after its warm-up, at least 100.
    """

    replications: int = REPLICATIONS
    requests: int = REQUESTS

    def __post_init__(self) -> None:
        whole("replications", self.replications, least=2, most=10_000)
        whole("requests", self.requests, least=100, most=10_000_000)


def sweep_load(
    model: ServerModel,
    workload: Workload,
    levels: Sequence[float],
    *,
    draws: Sequence[ServerModel] = (),
    fleet: Fleet | None = None,
    size: SweepSize | None = None,
    seed: int = 1,
    level: float = 0.9,
    jobs: int | None = None,
) -> CapacityCurve:
    """Simulate a model at each load level, several times over.

    Replication r has the same seed at every level (common random numbers), so that levels differ by their load
    and not by their luck. The result does not depend on the number of jobs or on joblib's backend. Threads are
    the default, for the compiled engine releases the interpreter's lock; ``joblib.parallel_config(backend="dask")``
    around the call sends the runs to a Dask cluster.

    Parameters
    ----------
    model : ServerModel
    workload : ClosedWorkload, OpenWorkload or SessionWorkload
        Who sends; its own load is replaced by the levels.
    levels : sequence of float
        Users; requests per second of open arrivals; sessions per second. In any order.
    draws : sequence of ServerModel, optional
        Models drawn from a calibration's uncertainty: replication r simulates draw r, the intervals are
        those of the draws (kind ``parameter``). Default: the model itself, and intervals of its long run.
    fleet : Fleet, optional
        Instances behind a balancer that share the load. Default: one instance.
    size : SweepSize, optional
        Default: 10 replications of 6,000 requests.
    seed : int, default 1
    level : float, default 0.9
        Of the intervals.
    jobs : int, optional
        Runs at a time; -1 takes all processors. Default: what `joblib.parallel_config` says, else 1.

    Returns
    -------
    CapacityCurve
        The columns of a measured one; sessions are counted by their requests per second.

    Raises
    ------
    InputError
        For no level or too many, a workload whose load changes over time, or more simulation than is sensible.
    """
    template, chosen = steady(workload), size or SweepSize()
    checked_level(level)
    loads = checked_levels(template, levels)
    models = tuple(draws) or (model,) * chosen.replications
    plan = _Plan(template, models, fleet, chosen.requests, seed)
    plan.refuse_too_much(model, loads)
    keys = [(load, number) for load in loads for number in range(len(models))]
    rows: list[Row] = joblib.Parallel(n_jobs=jobs, prefer="threads")(joblib.delayed(plan.row)(*key) for key in keys)
    parts = [rows[start : start + len(models)] for start in range(0, len(rows), len(models))]
    points = [_point(load, part, level, are_draws=bool(draws)) for load, part in zip(loads, parts, strict=True)]
    return CapacityCurve(tuple(points), "simulation", quantity_of(template))


@dataclass(frozen=True)
class _Plan:
    """One sweep, without its levels."""

    workload: SteadyWorkload
    models: tuple[ServerModel, ...]
    fleet: Fleet | None
    requests: int
    seed: int

    def row(self, load: float, number: int) -> Row:
        """One replication at one level: its metrics, after it has settled."""
        model, workload = self.models[number], at_load(self.workload, load)
        length, window = judged_run(model, workload, self.requests, self.fleet)
        seed = derive_key(self.seed, 8, number) >> 1
        return metrics_row(simulate_log(model, workload, length, seed=seed, fleet=self.fleet), window)

    def refuse_too_much(self, model: ServerModel, loads: Sequence[float]) -> None:
        """Refuse users without an end, and a sweep that would take hours."""
        refuse_endless(model, at_load(self.workload, loads[-1]))
        total = len(self.models) * sum(self._requests_at(model, load) for load in loads)
        if total > MOST_REQUESTS:
            raise InputError(
                f"The sweep would simulate about {total:.2g} requests ({len(loads)} levels, {len(self.models)} runs "
                f"each, warm-ups included), about {total / _REQUESTS_PER_WALL_S / 60:,.0f} minutes; at most "
                f"{MOST_REQUESTS:.2g}. Give fewer or lighter levels, or fewer replications."
            )

    def _requests_at(self, model: ServerModel, load: float) -> float:
        workload = at_load(self.workload, load)
        length, _ = judged_run(model, workload, self.requests, self.fleet)
        rate_rps = offered_rate_rps(model, workload)
        return length.horizon_s * rate_rps if math.isfinite(rate_rps) else 0.0


def _point(load: float, rows: Sequence[Row], level: float, *, are_draws: bool) -> CapacityPoint:
    columns = columns_of(rows)
    samples = {name: tuple(columns[name].tolist()) for name in METRIC_NAMES}
    if are_draws:
        found = {name: Interval.from_draws(columns[name], level=level, kind="parameter") for name in METRIC_NAMES}
    else:
        intervals = replication_intervals(rows, level)
        found = {name: intervals[name] for name in METRIC_NAMES}
    return CapacityPoint(load, found, samples)
