"""Whole recordings without a fault, drawn from a stated range: the model under one run of Locust-like steps.

Range: 1 to 50 workers; service lognormal, gamma or exponential, mean 20 to 250 ms, cv 0.3 to 1.5; think time
exponential, uniform, constant or lognormal, mean 1.5 to 15 service times; round trip 1 to 10 % of the mean service
time; a line of half to three times the workers, or endless; 2 to 5 levels at 0.2 to 1.5 of the saturation population,
mostly rising; windows of 20 to 120 s after the model's own settling time; 1 to 4 load generator processes; 1 to 4
endpoints. The load is bounded at 200 requests a second and 30,000 requests a recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window
from loadtests.foundation.distributions import Constant, Distribution, Exponential, Gamma, LogNormal, Uniform
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.recording import STEP_METRICS, LoadStep, Recording
from loadtests.tables import GENERATOR_COLUMNS, REQUEST_COLUMNS
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

EPOCH_S = 1_700_000_000.0
ENDPOINTS = ("/api/users", "/health", "/api/echo", "/api/metrics")
_MOST_RPS, _MOST_REQUESTS = 200.0, 30_000


@dataclass(frozen=True)
class Setting:
    """What is recorded: a server, levels of users, and the load generator.

    Absent `settle_s`: the model's own settling time is cut from each step; absent `spread_s`: first requests are
    spread over a mean think time (0: users who are spawned together send together).
    """

    model: ServerModel
    think: Distribution
    users: tuple[int, ...]
    window_s: float
    processes: int = 1
    endpoints: int = 1
    load: tuple[float, ...] = ()
    settle_s: float | None = None
    spread_s: float | None = None

    @property
    def saturation_rps(self) -> float:
        """Requests a second that the workers serve at most."""
        return float(self.model.deployment.workers or 1) / self.model.mean_held_s  # type: ignore[arg-type]


def draw_setting(seed: int, case: int) -> Setting:
    """One setting of the stated range."""
    rng = generator(seed, case)
    workers = int(np.exp(rng.uniform(0.0, np.log(50.999))))
    mean_s = max(float(rng.uniform(0.02, 0.25)), workers / _MOST_RPS)
    cv = float(rng.uniform(0.3, 1.5))
    service = (LogNormal(mean_s, cv), Gamma(mean_s, cv), Exponential(mean_s))[int(rng.integers(3))]
    round_trip_s = mean_s * float(rng.uniform(0.01, 0.1))
    think = _think(rng, mean_s * float(np.exp(rng.uniform(np.log(1.5), np.log(15.0)))))
    line: int | str = max(1, round(workers * float(rng.uniform(0.5, 3.0)))) if rng.random() < 0.7 else "unlimited"
    model = ServerModel(Deployment(workers=workers, queue_capacity=line), service, round_trip_s)  # type: ignore[arg-type]
    saturation = workers * (mean_s + round_trip_s + think.mean_s) / mean_s
    loads = np.sort(rng.uniform(0.2, 1.5, size=int(rng.integers(2, 6))))
    if rng.random() < 0.25:
        loads = rng.permutation(loads)
    users = tuple(max(2, round(load * saturation)) for load in loads)
    throughput = float(sum(min(load, 1.0) + max(load - 1.0, 0.0) for load in loads)) * workers / mean_s
    window_s = min(float(rng.uniform(20.0, 120.0)), max(20.0, _MOST_REQUESTS / throughput))
    processes, endpoints = int(rng.integers(1, 5)) if rng.random() < 0.4 else 1, int(rng.integers(1, 5))
    return Setting(model, think, users, window_s, processes, endpoints, tuple(loads.tolist()))


def _think(rng: np.random.Generator, mean_s: float) -> Distribution:
    kinds = (
        Exponential(mean_s), Uniform(0.5 * mean_s, 1.5 * mean_s), Constant(mean_s), LogNormal(mean_s, 1.0),
    )  # fmt: skip
    return kinds[int(rng.choice(4, p=(0.4, 0.3, 0.1, 0.2)))]


def clean_recording(setting: Setting, seed: int) -> Recording:
    """The model, recorded: one run of all levels, ramps included, every row as a listener would write it."""
    windows, population = _timetable(setting)
    end_s = windows[-1].end_s + min(5.0 * setting.think.mean_s, 10.0)
    workload = ClosedWorkload(max(setting.users), setting.think, spread_s=setting.spread_s, population=population)
    log = simulate_log(setting.model, workload, RunLength(horizon_s=end_s), seed=seed)
    rng = generator(seed, 1)
    requests = _rows(log.to_frame(), setting, rng, population)
    steps = tuple(plain_step(requests, window, setting.think.mean_s, setting.think.text()) for window in windows)
    manifest = {
        "plan": {"users": list(setting.users)}, "source": {"kind": "locust-run"},
        "totals": {"locust": len(requests), "journal": len(requests)},
        "generator": {"processes": setting.processes, "loop": "closed"},
    }  # fmt: skip
    return Recording(
        setting.model.deployment, steps, requests, manifest=manifest,
        generator=_generator_table(setting, requests, end_s, rng),
    )  # fmt: skip


def _timetable(setting: Setting) -> tuple[list[Window], tuple[tuple[float, int], ...]]:
    windows, population, now_s = [], [], 0.0
    for step, users in enumerate(setting.users, start=1):
        settle_s = setting.settle_s
        if settle_s is None:
            settle_s = max(1.0, warm_up_time_s(setting.model, ClosedWorkload(users, setting.think)))
        population.append((now_s, users))
        windows.append(Window(step, users, now_s + settle_s, now_s + settle_s + setting.window_s))
        now_s += settle_s + setting.window_s
    return windows, tuple(population)


def _rows(
    log: pd.DataFrame, setting: Setting, rng: np.random.Generator, population: tuple[tuple[float, int], ...]
) -> pd.DataFrame:
    log = log[np.isfinite(log["departure_s"])]
    start_s = log["arrival_s"].to_numpy(dtype=float)
    finish_s = start_s + log["residence_s"].to_numpy(dtype=float)
    user = log["user"].to_numpy(dtype=np.int64)
    served = (log["outcome"] == "served").to_numpy()
    starts = np.array([at for at, _ in population])
    counts = np.array([count for _, count in population])
    weights = np.arange(1, setting.endpoints + 1) / sum(range(1, setting.endpoints + 1))
    table = pd.DataFrame(
        {
            "sent_at": start_s + EPOCH_S + 2e-5 * start_s + rng.exponential(3e-4, len(start_s)),
            "start_s": start_s, "finish_s": finish_s, "worker_id": (user % setting.processes).astype(str),
            "user_id": user // setting.processes, "cycle": log["cycle"].to_numpy(), "method": "GET",
            "endpoint": rng.choice(ENDPOINTS[: setting.endpoints], len(start_s), p=weights),
            "status": np.where(served, 200, 503), "outcome": np.where(served, "served", "shed"),
            "users": counts[np.searchsorted(starts, finish_s, side="right") - 1], "response_bytes": 120,
        }
    )  # fmt: skip
    return table.sort_values("finish_s", kind="stable", ignore_index=True).astype(REQUEST_COLUMNS)


def _generator_table(setting: Setting, requests: pd.DataFrame, end_s: float, rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for process in range(setting.processes):
        times = np.arange(1.0, end_s, 1.0) + rng.normal(0.0, 0.002, len(np.arange(1.0, end_s, 1.0)))
        mine = np.sort(requests.loc[requests["worker_id"] == str(process), "finish_s"].to_numpy(dtype=float))
        done = np.searchsorted(mine, times).astype(float)
        busy = np.diff(done, prepend=0.0) * float(rng.uniform(4e-4, 1.5e-3)) + rng.uniform(0.01, 0.04, len(times))
        parts.append(
            pd.DataFrame(
                {
                    "time_s": times, "worker_id": str(process), "users": max(setting.users) / setting.processes,
                    "requests": done, "cpu_s": np.cumsum(busy),
                    "loop_lag_s": rng.exponential(0.002, len(times)) + 0.03 * (rng.random(len(times)) < 0.02),
                    "open_files": 20.0 + max(setting.users) / setting.processes, "file_limit": 65_536.0,
                    "epoch_offset_s": EPOCH_S + 2e-5 * times + rng.normal(0.0, 2e-5, len(times)),
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True).astype(GENERATOR_COLUMNS)


def plain_step(requests: pd.DataFrame, window: Window, gap_mean_s: float, think: str) -> LoadStep:
    """One step's numbers without their intervals, whose bootstrap would take most of a study's time."""
    finish = requests["finish_s"].to_numpy(dtype=float)
    inside = (finish >= window.start_s) & (finish < window.end_s)
    outcome = requests["outcome"].to_numpy()[inside]
    names, counts = np.unique(outcome.astype(str), return_counts=True)
    times = (finish - requests["start_s"].to_numpy(dtype=float))[inside][outcome == "served"]
    p50, p95, p99 = np.quantile(times, (0.5, 0.95, 0.99)) if times.size else (np.nan,) * 3
    mean, total = times.mean() if times.size else np.nan, len(outcome)
    shed = float(np.mean(outcome == "shed")) if total else np.nan
    values = (total / window.length_s, times.size / window.length_s, shed, mean, p50, p95, p99)
    metrics = {name: Interval.assumed(float(value)) for name, value in zip(STEP_METRICS, values, strict=True)}
    outcomes = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    return LoadStep(
        window.step, window.users, window.start_s, window.end_s, total, metrics, outcomes, gap_mean_s, think
    )  # fmt: skip
