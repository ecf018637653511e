"""What one would say without a simulation: the trivial predictions that a model has to beat."""

from __future__ import annotations

import math

import numpy as np

from loadtests.recording import STEP_METRICS, LoadStep
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.queueing_theory import closed_mmc
from simulations.calibration.result import CalibrationResult
from simulations.model.workload import ClosedWorkload


def baseline_predictions(fit: CalibrationResult, users: int) -> dict[str, dict[str, float]]:
    """Predictions by name of the baseline, then by metric; a metric that a baseline cannot say is absent.

    - ``no_waiting``: N / (R + Z) with the residence time of the lightest step;
    - ``closed_mmc``: the machine-repairman formula with the fitted service time and workers;
    - ``interpolation``: straight lines between the calibrated steps (held constant beyond them).
    """
    return {
        "no_waiting": _no_waiting(fit, users),
        "closed_mmc": _closed_mmc(fit, users),
        "interpolation": _interpolation(fit, users),
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
    cycle_s = _lightest(fit).metrics["mean_s"].mid + fit.think_time.mean_s
    return max(1, round(workload.arrival_rate_rps * cycle_s))


def _lightest(fit: CalibrationResult) -> LoadStep:
    return min(fit.steps, key=lambda step: step.users)


def _no_waiting(fit: CalibrationResult, users: int) -> dict[str, float]:
    latencies = {name: _lightest(fit).metrics[name].mid for name in ("mean_s", "p95_s", "p99_s")}
    return {
        "goodput_rps": users / (latencies["mean_s"] + fit.think_time.mean_s),
        "shed_rate": 0.0,
        **latencies,
    }


def _closed_mmc(fit: CalibrationResult, users: int) -> dict[str, float]:
    workers = fit.model.limits.workers
    if math.isinf(workers):
        return {}
    away_s = fit.think_time.mean_s + fit.model.network_round_trip_s
    station = closed_mmc(users, int(workers), fit.model.mean_held_s, away_s)
    residence_s = station.residence_time_s + fit.model.network_round_trip_s
    return {"goodput_rps": station.throughput_rps, "mean_s": residence_s, "shed_rate": 0.0}


def _interpolation(fit: CalibrationResult, users: int) -> dict[str, float]:
    ordered = sorted(fit.steps, key=lambda step: step.users)
    levels = [step.users for step in ordered]
    return {
        name: float(np.interp(users, levels, [step.metrics[name].mid for step in ordered])) for name in STEP_METRICS
    }
