"""`simulate`: one model under one workload, by whichever engine fits, with intervals."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from loadtests.foundation.checks import one_of, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from simulations.analysis.cell_metrics import (
    COUNTED,
    CellWindow,
    batch_estimates,
    detected_warm_up_s,
    law_findings,
    window_row,
)
from simulations.analysis.metrics import memory_bytes, utilization
from simulations.analysis.replications import (
    checked_level,
    replication_intervals,
    share_interval,
    shed_cluster_size,
)
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.analysis.running import EngineName, OneRun, Scenario, read_threaded, run_once
from simulations.analysis.sequential import Precision, until_precise_in_batches
from simulations.engines import inputs
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, ProfileWorkload, TraceWorkload, Workload

if TYPE_CHECKING:
    import pandas as pd

    from simulations.engines.simpy_engine import Server

__all__ = ["EngineName", "SimulationResult", "refuse_endless", "simulate", "simulate_log"]


@dataclass(frozen=True, repr=False)
class SimulationResult:
    """What one run, or several replications, showed.

    Parameters
    ----------
    scenario : Scenario
        What was simulated: model, workload, fleet.
    metrics : dict of str to Interval
        `simulations.analysis.metrics.METRIC_NAMES`, ``bad_fraction`` (logical requests without an answer)
        and ``completed_rps`` (requests that workers finished, wanted or not); where clients try again also
        ``total_mean_s`` and ``total_p95_s``, from a logical request's first sending to its good answer.
        Confidence intervals of the long run.
    seed : int
    runs : tuple of OneRun
        One, or one a replication: engine, length, outcomes.
    wall_s : float
        Our own time.
    findings : tuple of Finding
    rows : tuple of dict
        The metrics of each replication, in the order of `runs`; empty for a single run. `replications_to_frame`
        makes a table of them.
    """

    scenario: Scenario
    metrics: dict[str, Interval]
    seed: int
    runs: tuple[OneRun, ...] = field(repr=False)
    wall_s: float
    findings: tuple[Finding, ...] = ()
    rows: tuple[dict[str, float], ...] = field(default=(), repr=False)

    @property
    def model(self) -> ServerModel:
        """What was simulated."""
        return self.scenario.model

    @property
    def workload(self) -> Workload:
        """Under which load."""
        return self.scenario.workload

    @property
    def engine(self) -> str:
        """``compiled`` or ``simpy``."""
        return self.runs[0].engine

    @property
    def engine_reason(self) -> str:
        """Which engine and kernel took the run, and why."""
        return self.runs[0].reason

    @property
    def count(self) -> int:
        """Attempts simulated, warm-up included."""
        return sum(run.cells.attempts for run in self.runs)

    @property
    def requests(self) -> RequestLog | None:
        """The log, with ``keep="requests"``."""
        return self.runs[0].log

    @property
    def simulated_s(self) -> float:
        """Simulated time, warm-up included, of all replications."""
        return sum(run.cells.last_arrival_s for run in self.runs)

    @property
    def outcomes(self) -> dict[str, int]:
        """All attempts by their outcome."""
        return _added([run.cells.outcomes() for run in self.runs])

    @property
    def logical_outcomes(self) -> dict[str, int]:
        """All logical requests by the outcome of their last attempt."""
        return _added([run.cells.outcomes(logical=True) for run in self.runs])

    @property
    def utilization(self) -> dict[str, Interval | None]:
        """Mean shares of what is limited, with their intervals; None where the base is not stated.

        `workers`, `queue`, `db_pool` and `cpu` by their own limits; `gate_normal` and `gate_max` are the
        requests inside over the deployment's normal and maximum CCU.
        """
        return utilization(self.metrics, self.model, self.scenario.fleet.instances)

    @property
    def memory_bytes(self) -> Interval | None:
        """Mean memory of an instance; None where the model states no memory."""
        return memory_bytes(self.metrics, self.model, self.scenario.fleet.instances)

    def to_frame(self) -> pd.DataFrame:
        """One row a metric: metric, low, mid, high, level (SI units)."""
        import pandas as pd

        rows = [
            {"metric": name, "low": item.low, "mid": item.mid, "high": item.high, "level": item.level}
            for name, item in (*self.metrics.items(), *self._known_utilization().items())
        ]
        return pd.DataFrame(rows)

    def replications_to_frame(self) -> pd.DataFrame:
        """One row a replication, in the order in which they count; of a single run, its one row.

        Returns
        -------
        DataFrame
            ``replication`` (from 0); ``seed``, with which `simulate` gives this replication alone, to look at its
            requests (Python integers: exact in a row beside floats too); the metrics over its settled time in SI
            units, named as in `metrics`, quantiles freed from their bias of order 1 / n; and the counts in that
            time: ``requests`` (attempts answered), ``sheds``, ``logical`` (logical requests that ended) and ``bad``
            (those without an answer).
        """
        import pandas as pd

        rows = self.rows or (window_row(_settled_window(self.scenario, self.runs[0])[0]),)
        numbered = [
            {"replication": number, "seed": run.seed, **row, **{name: int(row[name]) for name in COUNTED}}
            for number, (run, row) in enumerate(zip(self.runs, rows, strict=True))
        ]
        return pd.DataFrame(numbered).astype({"seed": object})

    def _known_utilization(self) -> dict[str, Interval]:
        return {f"utilization_{name}": item for name, item in self.utilization.items() if item is not None}

    def to_dict(self) -> dict[str, Any]:
        """JSON form, with the seed, the versions and the inputs."""
        memory = self.memory_bytes
        return {
            "schema_version": SCHEMA_VERSION, **self.scenario.to_dict(),
            "metrics": {name: item.to_dict() for name, item in self.metrics.items()},
            "utilization": {name: None if item is None else item.to_dict() for name, item in self.utilization.items()},
            "memory_bytes": None if memory is None else memory.to_dict(),
            "outcomes": self.outcomes, "logical_outcomes": self.logical_outcomes,
            "seed": self.seed, "engine": self.engine, "engine_reason": self.engine_reason, "requests": self.count,
            "replications": len(self.runs),
            "findings": [item.to_dict() for item in self.findings], "versions": versions_of("numpy", "numba", "simpy"),
        }  # fmt: skip

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        lines += [f"  {name:<23} {item}" for name, item in (*self.metrics.items(), *self._known_utilization().items())]
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        speed = self.count / self.wall_s if self.wall_s > 0 else math.inf
        times = f" in {len(self.runs)} replications" if len(self.runs) > 1 else ""
        return (
            f"SimulationResult({self.count:,} requests{times}, {self.engine} engine, seed {self.seed}, {speed:,.0f}/s)"
        )

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.5g}"))


def simulate(
    model: ServerModel,
    workload: Workload,
    *,
    requests: int | None = None,
    horizon_s: float = math.inf,
    seed: int = 1,
    engine: EngineName = "auto",
    keep: Literal["requests"] | None = None,
    level: float = 0.9,
    fleet: Fleet | None = None,
    replications: int = 1,
    precision: Precision | None = None,
    server: type[Server] | None = None,
) -> SimulationResult:
    """Simulate a model and return its long-run metrics with confidence intervals.

    Parameters
    ----------
    model : ServerModel
    workload : OpenWorkload, ProfileWorkload, TraceWorkload, ClosedWorkload or SessionWorkload
    requests : int, optional
        Number of attempts (of each replication); or
    horizon_s : float, optional
        simulated seconds; at least one of the two, but for profiles and traces, which end by themselves.
    seed : int, default 1
        The same seed gives the same requests in either engine.
    engine : {"auto", "simpy", "compiled"}, default "auto"
        ``auto`` takes the compiled engine wherever it covers the model, and says so in `engine_reason`.
    keep : {"requests"}, optional
        Keep the request log in the result. By default only sums and histograms are kept, so that
        memory does not grow with the requests.
    level : float, default 0.9
        Of the confidence intervals.
    fleet : Fleet, optional
        Instances behind a balancer. Default: one instance.
    replications : int, default 1
        Independent runs, over threads. One run gives intervals by batch means, several by Student's t.
    precision : Precision, optional
        Replicate, over threads too, until its metrics are as precise as it asks, instead of a fixed number;
        its level counts.
    server : subclass of `simulations.engines.simpy_engine.Server`, optional
        A server of your own, which only the SimPy engine can run.

    Returns
    -------
    SimulationResult

    Raises
    ------
    InputError
        When the run has no end, users could send for ever in no time, or it would cost too much.
    """
    one_of("engine", engine, ("auto", "simpy", "compiled"))
    if keep is not None:
        one_of("keep", keep, ("requests",))
    whole("replications", replications, least=1, most=100_000)
    scenario = Scenario(model, workload, fleet or Fleet(), _length(workload, requests, horizon_s), engine, server)
    refuse_endless(model, workload, scenario.fleet)
    began = time.perf_counter()
    if precision is not None:
        found = _until(scenario, precision, seed)
    elif replications > 1:
        found = _replicated(scenario, replications, seed, checked_level(level), keep is not None)
    else:
        found = _single(scenario, seed, checked_level(level), keep is not None)
    said = (*model.findings, *_load_findings(scenario), *found.findings)
    wall_s = time.perf_counter() - began
    return SimulationResult(scenario, found.metrics, seed, tuple(found.runs), wall_s, said, tuple(found.rows))


@dataclass(frozen=True)
class _Found:
    """What one way to intervals gives; a row for each run where there are several."""

    metrics: dict[str, Interval]
    runs: Sequence[OneRun]
    findings: tuple[Finding, ...]
    rows: Sequence[dict[str, float]] = ()


_Replication = tuple[OneRun, dict[str, float]]


def _single(scenario: Scenario, seed: int, level: float, keep: bool) -> _Found:
    run = run_once(scenario, seed, keep=keep)
    window, findings = _settled_window(scenario, run)
    if not scenario.is_stationary:
        without_bound = {name: Interval(0.0, mid, math.inf, level) for name, mid in _named(window).items()}
        return _Found(without_bound, (run,), (*findings, _NOT_STATIONARY))
    estimates = batch_estimates(window, level, _cluster_size(scenario, window.busy_workers))
    too_short = [name for name, item in estimates.items() if item.interval.is_known and not item.is_long_enough]
    said = (_correlated(too_short),) if too_short else ()
    metrics = {name: item.interval for name, item in estimates.items()}
    return _Found(metrics, (run,), (*findings, *said, *law_findings(window)))


def _replications(
    scenario: Scenario, numbers: Sequence[int], seed: int, *, keep: bool = False, forget: bool = False
) -> list[_Replication]:
    """Over threads, in the order of their numbers; each depends on its own number alone."""

    def row_of(run: OneRun) -> dict[str, float]:
        row = window_row(_settled_window(scenario, run)[0])
        if forget:
            run.cells.forget_times()
        return row

    return read_threaded(scenario, [derive_key(seed, 9, number) >> 1 for number in numbers], row_of, keep=keep)


def _replicated(scenario: Scenario, replications: int, seed: int, level: float, keep: bool) -> _Found:
    read = _replications(scenario, range(replications), seed, keep=keep)
    runs, rows = [run for run, _ in read], [row for _, row in read]
    window, findings = _settled_window(scenario, runs[0])
    laws = law_findings(window) if scenario.is_stationary else ()
    metrics = _intervals(rows, level, _cluster_size(scenario, rows[0]["busy_workers"]))
    return _Found(metrics, runs, (*findings, *laws), rows)


def _intervals(rows: list[dict[str, float]], level: float, cluster_size: float) -> dict[str, Interval]:
    """Of every metric; both shares from their counts."""
    found = replication_intervals(rows, level, cluster_size=cluster_size)
    bad, logical = ([row[name] for row in rows] for name in ("bad", "logical"))
    found["bad_fraction"] = share_interval(bad, logical, level, cluster_size=cluster_size)
    return {name: item for name, item in found.items() if name not in COUNTED}


def _until(scenario: Scenario, precision: Precision, seed: int) -> _Found:
    read: list[_Replication] = []

    def run_many(numbers: Sequence[int]) -> list[dict[str, float]]:
        batch = _replications(scenario, numbers, seed, forget=True)
        read.extend(batch)
        return [row for _, row in batch]

    found = until_precise_in_batches(run_many, precision)
    runs, rows = [run for run, _ in read], [row for _, row in read]
    window, findings = _settled_window(scenario, runs[0])
    missed = () if found.reached else (_not_reached(precision, found.replications),)
    named = {name: item for name, item in found.intervals.items() if name not in COUNTED}
    return _Found(named, runs, (*findings, *missed, *law_findings(window)), rows)


def _named(window: CellWindow) -> dict[str, float]:
    return {name: value for name, value in window_row(window).items() if name not in COUNTED}


def _length(workload: Workload, requests: int | None, horizon_s: float) -> RunLength:
    """Profiles and traces end by themselves; everything else needs an end."""
    if requests is None and math.isinf(horizon_s) and isinstance(workload, ProfileWorkload | TraceWorkload):
        horizon_s = max(workload.end_s, 1e-9)
    return RunLength(requests, horizon_s)


def _settled_window(scenario: Scenario, run: OneRun) -> tuple[CellWindow, tuple[Finding, ...]]:
    """The run without its warm-up; half of it, with a finding, where the system needs longer to settle."""
    run_s = run.cells.last_arrival_s
    needed_s = (
        warm_up_time_s(scenario.model, scenario.workload, scenario.fleet.instances)
        if scenario.server is None
        else detected_warm_up_s(run.cells)
    )
    is_short = 2 * needed_s > run_s
    window = CellWindow.after(run.cells, run_s / 2 if is_short else needed_s)
    if window.length_s <= 0:
        raise InputError(f"The run ended after {run.cells.attempts} requests; give more requests or a longer horizon.")
    return window, (_run_too_short(run_s, needed_s),) if is_short else ()


def _cluster_size(scenario: Scenario, busy_workers: float) -> float:
    """Sheds come in clusters: their mean size at this utilization, for the bound where none was seen."""
    workers = scenario.model.limits.workers * scenario.fleet.instances
    if math.isinf(workers):
        return 1.0
    return min(shed_cluster_size(min(busy_workers / workers, 0.999)), 1_000.0)


_NOT_STATIONARY = Finding(
    "not-stationary", "info",
    "The load or the limits change during the run, so it has no long-run mean: the numbers are this run's own, without "
    "intervals.",
    "Give replications=20 for intervals over repetitions of the whole story.",
)  # fmt: skip


def _load_findings(scenario: Scenario) -> tuple[Finding, ...]:
    """Before the run: an open load beyond what the server can do, with nothing to bound the line."""
    model, workload = scenario.model, scenario.workload
    if isinstance(workload, ClosedWorkload) or not scenario.is_stationary:
        return ()
    offered, most = offered_rate_rps(model, workload), scenario.fleet.instances * model.saturation_rps
    bounded = math.isfinite(model.limits.most_in_flight) or math.isfinite(model.limits.patience_s)
    if offered < most or bounded:
        return ()
    return (
        Finding(
            "no-steady-state", "warning",
            f"The load of {offered:,.6g} requests/s is at or above what the server can do ({most:,.6g}/s by the "
            "utilization law), and nothing bounds the line: it grows for ever, and every number depends on how long "
            "the run is.",
            "Lower the load, or state a gate, a queue capacity or a queue timeout.",
            {"offered_rps": offered, "saturation_rps": most},
        ),
    )  # fmt: skip


def _run_too_short(run_s: float, needed_s: float) -> Finding:
    return Finding(
        "run-too-short", "warning",
        f"The run covers {run_s:.3g} s of simulated time; the system needs about {needed_s:.3g} s to settle, so the "
        "numbers may still show the start rather than the long run.",
        f"Simulate at least {2 * needed_s:.3g} s (horizon_s=), or {2 * needed_s / max(run_s, 1e-12):.2g} times more.",
        {"run_s": run_s, "settling_time_s": needed_s},
    )  # fmt: skip


def _correlated(names: Sequence[str]) -> Finding:
    return Finding(
        "batches-correlated", "info",
        f"The run is short against its correlation time: the intervals of {', '.join(names)} are somewhat too narrow.",
        "Simulate longer, or give replications=20.", {"metrics": list(names)},
    )  # fmt: skip


def _not_reached(precision: Precision, replications: int) -> Finding:
    return Finding(
        "precision-not-reached", "warning",
        f"After {replications} replications {', '.join(precision.metrics)} are not yet within {precision.relative:.3g} "
        "of their values.", "Ask for less precision, or make each replication longer.",
        {"replications": replications},
    )  # fmt: skip


def _added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def simulate_log(
    model: ServerModel,
    workload: Workload,
    length: RunLength,
    *,
    seed: int,
    engine: str = "compiled",
    fleet: Fleet | None = None,
    server: type[Server] | None = None,
) -> RequestLog:
    """One run's request log, without statistics. A server of one's own runs on the SimPy engine."""
    refuse_endless(model, workload, fleet or Fleet())
    if engine == "simpy" or server is not None:
        from simulations.engines import simpy_engine

        given = inputs.prepare(model, workload, length, seed, fleet)
        return simpy_engine.run(given, server or simpy_engine.Server)
    from simulations.engines import compiled_engine

    return compiled_engine.run(compiled_engine.prepare(model, workload, length, seed, fleet))


def refuse_endless(model: ServerModel, workload: Workload, fleet: Fleet | None = None) -> None:
    """Refuse a closed workload in which requests can follow each other in no time at all."""
    if not isinstance(workload, ClosedWorkload):
        return
    if workload.think_time.mean_s > 0:
        return
    some_are_rejected = workload.users > model.limits.most_in_flight * (fleet.instances if fleet else 1)
    if some_are_rejected and model.rejected_after_s == 0:
        raise _endless(model.rejection_time_s is not None, "a rejected user would retry")
    if model.network_round_trip_s == 0 and model.mean_held_s == 0:
        raise _endless(False, "a served user would return")


def _endless(states_rejection: bool, why: str) -> InputError:
    missing, remedy = (
        ("rejection time", "rejection_time_s") if states_rejection else ("network round trip", "network_round_trip_s")
    )
    return InputError(
        f"With no think time and no {missing} {why} in no time, without end. "
        f"Give a think time above 0 or a {remedy} above 0."
    )
