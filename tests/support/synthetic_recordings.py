"""Synthetic recordings with a known truth: the model itself, observed for a stated time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from loadtests.estimation.steady_state import Window, summarise_steps
from loadtests.foundation.distributions import Distribution
from loadtests.recording import LoadStep, Recording
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, SessionWorkload


def step_rows(
    log_frame: pd.DataFrame, users: int, offset_s: float, first_user: int, classes: Sequence[str] = ("/work",)
) -> pd.DataFrame:
    """Rows of a requests table from a run's log, its times moved by `offset_s`; endpoints by request class."""
    served = log_frame["outcome"] == "served"
    start_s = log_frame["arrival_s"] + offset_s
    return pd.DataFrame(
        {
            "sent_at": start_s, "start_s": start_s,
            "finish_s": start_s + log_frame["residence_s"], "worker_id": str(first_user),
            "user_id": log_frame["user"] + first_user, "cycle": log_frame["cycle"], "method": "GET",
            "endpoint": np.asarray(classes)[log_frame["request_class"]],
            "status": served.map({True: 200, False: 503}), "outcome": served.map({True: "served", False: "shed"}),
            "users": users, "response_bytes": 0,
        }
    )  # fmt: skip


def record_model(
    model: ServerModel | Sequence[ServerModel],
    users: Sequence[int],
    think: Distribution,
    window_s: float = 20.0,
    seed: int = 7,
    *,
    summarised: bool = True,
) -> Recording:
    """Each level is an independent run, as long as a real step, with the warm-up cut.

    Several models: one for each level, such as one server that is a little faster or slower in each run.
    Not `summarised`, its steps have no metrics: for studies of what is computed from the requests alone.
    """
    frames, windows, offset_s = [], [], 0.0
    models = [model] * len(users) if isinstance(model, ServerModel) else list(model)
    for step, (served_by, count) in enumerate(zip(models, users, strict=True), start=1):
        workload = ClosedWorkload(count, think)
        warm_up_s = warm_up_time_s(served_by, workload)
        log = simulate_log(served_by, workload, RunLength(horizon_s=warm_up_s + window_s), seed=seed * 1_000 + step)
        frames.append(
            step_rows(
                log.to_frame(),
                count,
                offset_s,
                first_user=step * 1_000_000,
                classes=[item.name for item in served_by.request_classes] or ("/work",),
            )
        )
        windows.append(Window(step, count, offset_s + warm_up_s, offset_s + warm_up_s + window_s))
        offset_s += warm_up_s + window_s + 60.0
    requests = pd.concat(frames, ignore_index=True)
    if summarised:
        return Recording(models[0].deployment, summarise_steps(requests, windows, think=think.text()), requests)
    steps = tuple(_bare_step(requests, window, think.text()) for window in windows)
    return Recording(models[0].deployment, steps, requests)


def _bare_step(requests: pd.DataFrame, window: Window, think: str) -> LoadStep:
    inside = (requests["finish_s"] >= window.start_s) & (requests["finish_s"] < window.end_s)
    return LoadStep(window.step, window.users, window.start_s, window.end_s, int(inside.sum()), {}, think=think)


def record_sessions(
    model: ServerModel, workloads: Sequence[SessionWorkload], window_s: float = 20.0, seed: int = 7
) -> Recording:
    """Visitors at each level, as the recorder writes them: every visitor is a user, a step's `users` are sources."""
    frames, windows, offset_s = [], [], 0.0
    for step, workload in enumerate(workloads, start=1):
        warm_up_s = warm_up_time_s(model, workload)
        end_s = warm_up_s + window_s
        log = simulate_log(model, workload, RunLength(horizon_s=end_s + 10.0), seed=seed * 1_000 + step)
        frames.append(step_rows(log.to_frame(), step, offset_s, first_user=step * 1_000_000))
        windows.append(Window(step, step, offset_s + warm_up_s, offset_s + end_s))
        offset_s += end_s + 60.0
    requests = pd.concat(frames, ignore_index=True)
    first = workloads[0]
    steps = summarise_steps(requests, windows, think=first.think_time.text(), users_leave=True)
    pacing = {"kind": "sessions", "rate_rps": 1.0, "requests_per_session": float(first.requests_per_session)}
    manifest = {"generator": {"loop": "sessions"}, "plan": {"pacing": pacing}}
    return Recording(model.deployment, steps, requests, manifest=manifest)
