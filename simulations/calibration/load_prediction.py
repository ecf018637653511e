"""`predict_load`: what a measurement of a stated length would show, for any load, deployment and fleet."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtests.deployment import Deployment
from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from simulations.analysis.load_levels import SteadyWorkload, steady
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.replications import checked_level
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.analysis.simulation import refuse_endless, simulate_log
from simulations.calibration.prediction_draws import DRAWS, model_draws
from simulations.calibration.prediction_findings import prediction_findings
from simulations.calibration.result import CalibrationResult
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import TIMED_OUT, RequestLog
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, Workload

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[float, str], None]

UTILIZATIONS = ("workers", "gate_normal", "gate_max", "queue", "db_pool", "cpu")
_RATES = ("throughput_rps", "goodput_rps", "shed_rate")
_TIMES = ("mean", "p50", "p95", "p99")
_METRICS = (*_RATES, *(f"{name}_s" for name in _TIMES), "in_flight")
_MOST_IN_A_WINDOW, _MOST_REQUESTS = 10_000_000, 1_000_000_000
_REQUESTS_PER_WALL_S = 2e6


@dataclass(frozen=True, repr=False)
class LoadPrediction:
    """What one measurement would show.

    Parameters
    ----------
    workload : ClosedWorkload, OpenWorkload or SessionWorkload
    window_s : float
        Length of the measurement.
    deployment : Deployment
        Of each instance, as simulated.
    fleet : Fleet
    metrics : dict of str to Interval
        Prediction intervals of ``throughput_rps``, ``goodput_rps``, ``shed_rate``, ``mean_s``, ``p50_s``,
        ``p95_s``, ``p99_s`` and ``in_flight``; of all instances together. Requests that the server gives up on
        after a wait count as shed, as their 503 does in a recording.
    utilization : dict of str to Interval or None
        Mean shares by what is limited (`UTILIZATIONS`), averaged over the instances; None where the base is
        not stated, or the model does not simulate it.
    findings : tuple of Finding
    seed : int
    """

    workload: SteadyWorkload
    window_s: float
    deployment: Deployment
    fleet: Fleet
    metrics: dict[str, Interval]
    utilization: dict[str, Interval | None]
    findings: tuple[Finding, ...]
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form (keys in docs/files.md)."""
        shares = {name: None if item is None else item.to_dict() for name, item in self.utilization.items()}
        return {
            "schema_version": SCHEMA_VERSION, "workload": self.workload.to_dict(), "window_s": self.window_s,
            "deployment": self.deployment.to_dict(), "fleet": self.fleet.to_dict(),
            **{name: self.metrics[name].to_dict() for name in _RATES},
            "residence_time_s": {name: self.metrics[f"{name}_s"].to_dict() for name in _TIMES},
            "in_flight": self.metrics["in_flight"].to_dict(), "utilization": shares,
            "findings": [item.to_dict() for item in self.findings], "seed": self.seed,
            "versions": versions_of("numpy", "numba", "scipy"),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a metric or share: metric, low, mid, high, level (SI units)."""
        import pandas as pd

        shares = {f"utilization_{name}": item for name, item in self.utilization.items() if item is not None}
        rows = [
            {"metric": name, "low": item.low, "mid": item.mid, "high": item.high, "level": item.level}
            for name, item in (*self.metrics.items(), *shares.items())
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        lines += [f"  {row.metric:<23} {row.mid:.4g} ({row.low:.4g} to {row.high:.4g})"
                  for row in self.to_frame().itertuples()]  # fmt: skip
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        kind = self.workload.to_dict()["kind"]
        return f"LoadPrediction({kind} load, {self.window_s:g} s on {self.fleet.instances} instance(s))"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.5g}"))


def predict_load(
    fit: CalibrationResult,
    workload: Workload,
    window_s: float = 60.0,
    *,
    deployment: Deployment | None = None,
    fleet: Fleet | None = None,
    mix: Mapping[str, float] | None = None,
    seed: int = 1,
    level: float = 0.9,
    on_progress: Progress | None = None,
) -> LoadPrediction:
    """Prediction intervals for one measurement under a load, deployment and fleet of choice.

    Parameters
    ----------
    fit : CalibrationResult
    workload : ClosedWorkload, OpenWorkload or SessionWorkload
    window_s : float, default 60
        Length of the measurement, seconds.
    deployment : Deployment, optional
        Other limits; one that it does not state keeps its calibrated value. Times stay as measured.
    fleet : Fleet, optional
        Default: one instance. Every instance is drawn with the same parameters.
    mix : mapping of str to float, optional
        Other weights of the calibrated request classes, by name; one that is not named is left out.
    seed : int, default 1
    level : float, default 0.9
        Of the intervals; they are of kind ``prediction``.
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    LoadPrediction

    Raises
    ------
    InputError
        For a workload whose load changes over time, or more simulation than is sensible.
    """
    asked, chosen = steady(workload), fleet or Fleet()
    positive("window_s", window_s), checked_level(level)
    stated = {} if deployment is None else deployment.to_dict()
    model = changed_model(fit.model, stated, mix)
    run = _WindowRun(asked, window_s, chosen, seed)
    run.refuse_too_much(model)
    rows = []
    for number, drawn in enumerate(model_draws(fit, DRAWS, seed)):
        rows.append(run.row(changed_model(drawn, stated, mix), number))
        if on_progress is not None:
            on_progress((number + 1) / DRAWS, "simulating")
    found = {name: _interval([row[name] for row in rows], level) for name in rows[0]}
    shares = {name: found[name] if found[name].is_known else None for name in UTILIZATIONS}
    return LoadPrediction(
        asked, window_s, model.deployment, chosen, {name: found[name] for name in _METRICS}, shares,
        prediction_findings(fit, model, asked, chosen, changed=tuple(stated)), seed,
    )  # fmt: skip


@dataclass(frozen=True)
class _WindowRun:
    """Exactly the window that would be measured, simulated once a draw."""

    workload: SteadyWorkload
    window_s: float
    fleet: Fleet
    seed: int

    def row(self, model: ServerModel, number: int) -> dict[str, float]:
        """Metrics and utilizations of one draw; NaN where there is no base."""
        instances = self.fleet.instances
        warm_up_s = warm_up_time_s(model, self.workload, instances)
        length = RunLength(horizon_s=warm_up_s + self.window_s)
        log = simulate_log(model, self.workload, length, seed=self._seed_of(number), fleet=self.fleet)
        window = Window(warm_up_s, warm_up_s + self.window_s)
        found = window_metrics(log, window) | {"shed_rate": turned_away(log, window)}
        return {**found, **_shares(found, model, instances)}

    def _seed_of(self, number: int) -> int:
        if isinstance(self.workload, ClosedWorkload):
            return derive_key(self.seed, 5, self.workload.users, number) >> 1
        return derive_key(self.seed, 10, number) >> 1

    def refuse_too_much(self, model: ServerModel) -> None:
        """Refuse users without an end, and windows that hold too much."""
        refuse_endless(model, self.workload)
        rate_rps = offered_rate_rps(model, self.workload)
        per_window = rate_rps * (warm_up_time_s(model, self.workload, self.fleet.instances) + self.window_s)
        if per_window > _MOST_IN_A_WINDOW or per_window * DRAWS > _MOST_REQUESTS:
            minutes = per_window * DRAWS / _REQUESTS_PER_WALL_S / 60
            raise InputError(
                f"The prediction would simulate about {per_window:.2g} requests (warm-up included) {DRAWS} times, "
                f"about {minutes:,.0f} minutes; at most {_MOST_IN_A_WINDOW:.2g}. Shorten the window or lower the load."
            )


def changed_model(model: ServerModel, stated: dict[str, Any], mix: Mapping[str, float] | None) -> ServerModel:
    """The model under other limits, and with other shares of its request classes.

    Parameters
    ----------
    model : ServerModel
    stated : dict
        Limits of a deployment that take the place of the model's.
    mix : mapping of str to float or None
        Weights of the request classes, by name.

    Returns
    -------
    ServerModel
    """
    mixed = model.with_mix(dict(mix)) if mix else model
    return mixed.with_deployment(mixed.deployment.with_limits(**stated)) if stated else mixed


def turned_away(log: RequestLog, window: Window) -> float:
    """Share of answers that a load test counts as shed: a 503 of the gate, the line, or after too long a wait.

    Parameters
    ----------
    log : RequestLog
    window : Window

    Returns
    -------
    float
        NaN where nothing was answered.
    """
    inside = (log.answered_s >= window.start_s) & (log.answered_s < window.end_s)
    bad = log.shed | (log.outcome == TIMED_OUT)
    return float(bad[inside].mean()) if inside.any() else math.nan


def _shares(found: dict[str, float], model: ServerModel, instances: int) -> dict[str, float]:
    """`UTILIZATIONS` of a window; those of database and cores by the utilization law."""
    limits, own = model.limits, model.deployment
    inside, busy, goodput = found["in_flight"], found["busy_workers"], found["goodput_rps"]
    held = {
        "workers": (busy, limits.workers), "gate_normal": (inside, own.normal_ccu), "gate_max": (inside, own.max_ccu),
        "queue": (max(inside - busy, 0.0), limits.queue),
        "db_pool": (goodput * model.mean_database_s, limits.db_pool if model.mean_database_s > 0 else None),
        "cpu": (goodput * model.mean_cpu_s, limits.cpu_cores if model.mean_cpu_s > 0 else None),
    }  # fmt: skip
    return {
        name: amount / (instances * limit) if limit and math.isfinite(limit) else math.nan
        for name, (amount, limit) in held.items()
    }


def _interval(values: list[float], level: float) -> Interval:
    draws = np.array([value for value in values if math.isfinite(value)])
    return Interval.from_draws(draws, level=level, kind="prediction")
