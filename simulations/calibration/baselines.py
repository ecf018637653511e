"""What one would say without a simulation: the trivial predictions that a model has to beat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.recording import STEP_METRICS, LoadStep
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.queueing_theory import closed_mmc
from simulations.calibration.result import CalibrationResult
from simulations.model.workload import ClosedWorkload

_RATES = ("throughput_rps", "goodput_rps")


@dataclass(frozen=True)
class BaselineLoad:
    """The load of one of several instances as the baselines see it, and what they are told of a change.

    Parameters
    ----------
    users : int
        On one instance.
    think_time_s : float
    instances : int, default 1
    workers : float
        Of one instance; infinite where nothing limits them.
    """

    users: int
    think_time_s: float
    instances: int
    workers: float

    @classmethod
    def of(
        cls, fit: CalibrationResult, workload: SteadyWorkload, deployment: Deployment | None = None, instances: int = 1
    ) -> BaselineLoad:
        """Closed users as they are; of arrivals and sessions those who would offer their rate without waiting.

        Parameters
        ----------
        fit : CalibrationResult
        workload : ClosedWorkload, OpenWorkload or SessionWorkload
        deployment : Deployment, optional
            Workers that it states replace the calibrated ones.
        instances : int, default 1
            That share the load evenly.
        """
        stated = None if deployment is None else deployment.workers
        workers = fit.model.limits.workers if stated is None else math.inf if stated == UNLIMITED else float(stated)
        think = workload.think_time if isinstance(workload, ClosedWorkload) else fit.think_time
        users = max(1, round(equivalent_users(fit, workload) / instances))
        return cls(users, think.mean_s, instances, workers)


def baseline_predictions(fit: CalibrationResult, load: BaselineLoad) -> dict[str, dict[str, float]]:
    """Predictions by name of the baseline, then by metric; a metric that a baseline cannot say is absent.

    - ``no_waiting``: N / (R + Z) with the residence time of the lightest step;
    - ``closed_mmc``: the machine-repairman formula with the fitted service time, and the workers of the load;
    - ``interpolation``: straight lines between the calibrated steps (held constant beyond them), at the users who would
      offer as much with the calibrated think time.
    """
    return {
        name: {
            metric: value * load.instances if metric in _RATES else value for metric, value in said(fit, load).items()
        }
        for name, said in (("no_waiting", _no_waiting), ("closed_mmc", _closed_mmc), ("interpolation", _interpolation))
    }


def equivalent_users(fit: CalibrationResult, workload: SteadyWorkload) -> int:
    """Users that the baselines are asked about: those of a closed load.

    Of an open load or of sessions those who would offer its rate without waiting: N = X (R + Z).

    Parameters
    ----------
    fit : CalibrationResult
    workload : ClosedWorkload, OpenWorkload or SessionWorkload

    Returns
    -------
    int
    """
    if isinstance(workload, ClosedWorkload):
        return workload.users
    return max(1, round(workload.arrival_rate_rps * _cycle_s(fit, fit.think_time.mean_s)))


def _cycle_s(fit: CalibrationResult, think_s: float) -> float:
    return _lightest(fit).metrics["mean_s"].mid + think_s


def _lightest(fit: CalibrationResult) -> LoadStep:
    return min(fit.steps, key=lambda step: step.users)


def _no_waiting(fit: CalibrationResult, load: BaselineLoad) -> dict[str, float]:
    latencies = {name: _lightest(fit).metrics[name].mid for name in ("mean_s", "p95_s", "p99_s")}
    return {
        "goodput_rps": load.users / _cycle_s(fit, load.think_time_s),
        "shed_rate": 0.0,
        **latencies,
    }


def _closed_mmc(fit: CalibrationResult, load: BaselineLoad) -> dict[str, float]:
    if math.isinf(load.workers):
        return {}
    away_s = load.think_time_s + fit.model.network_round_trip_s
    station = closed_mmc(load.users, int(load.workers), fit.model.mean_held_s, away_s)
    residence_s = station.residence_time_s + fit.model.network_round_trip_s
    return {"goodput_rps": station.throughput_rps, "mean_s": residence_s, "shed_rate": 0.0}


def _interpolation(fit: CalibrationResult, load: BaselineLoad) -> dict[str, float]:
    users = load.users * _cycle_s(fit, fit.think_time.mean_s) / _cycle_s(fit, load.think_time_s)
    ordered = sorted(fit.steps, key=lambda step: step.users)
    levels = [step.users for step in ordered]
    return {
        name: float(np.interp(users, levels, [step.metrics[name].mid for step in ordered])) for name in STEP_METRICS
    }
