"""What became of a load plan: whether it ran to its end, and how much of the offered load was achieved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loadtests.estimation.steady_state import Window
from loadtests.foundation.files import read_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration
from loadtests.journals.journal import Mark
from loadtests.load.abort import Aborted, abort_notice
from loadtests.load.pacing import Pacing
from loadtests.load.plan import LoadPlan

_SIGMAS, _SHARE_SHORT = 3.0, 0.01
_NOTEWORTHY_LATENESS = 0.1
"""Lateness is said where it adds a tenth to the mean residence time: a convention, as is the 1 % of `_SHARE_SHORT`."""


@dataclass(frozen=True)
class OfferedLoad:
    """Load that a schedule asked for in a steady window, and what was sent of it.

    Parameters
    ----------
    step, users : int
    offered_rps : float
        Users times the rate of each.
    achieved_rps : float
        Requests sent in the window, a second.
    late_share : float
        Share of them that were due while their user still waited for an answer.
    lateness_mean_s, lateness_p95_s, lateness_max_s : float
        From when a request was due until it was sent, seconds; NaN without requests.
    residence_mean_s : float
        Mean residence time of the served ones, seconds; from when they were due it is longer by their lateness.
    """

    step: int
    users: int
    offered_rps: float
    achieved_rps: float
    late_share: float
    lateness_mean_s: float
    lateness_p95_s: float
    lateness_max_s: float
    residence_mean_s: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def read_aborted(journal: Path) -> Aborted | None:
    """Why a test ended early; None when it did not.

    Parameters
    ----------
    journal : Path

    Returns
    -------
    Aborted or None
    """
    path = abort_notice(journal)
    return Aborted.from_dict(read_json(path, "abort notice")) if path.is_file() else None


def offered_loads(plan: LoadPlan, windows: Sequence[Window], requests: pd.DataFrame) -> tuple[OfferedLoad, ...]:
    """Offered against achieved load in each steady window.

    Parameters
    ----------
    plan : LoadPlan
    windows : sequence of Window
    requests : pandas.DataFrame
        With the column ``due_s``.

    Returns
    -------
    tuple of OfferedLoad
        Empty where requests are not due on a schedule.
    """
    if not plan.pacing.is_scheduled or "due_s" not in requests.columns:
        return ()
    ordered = requests.sort_values(["worker_id", "user_id", "cycle"])
    answered_s = ordered.groupby(["worker_id", "user_id"])["finish_s"].shift()
    ordered = ordered.assign(
        lateness_s=(ordered["start_s"] - ordered["due_s"]).clip(lower=0.0), is_late=ordered["due_s"] < answered_s
    )
    return tuple(_offered_load(plan.pacing, window, ordered) for window in windows)


def _offered_load(pacing: Pacing, window: Window, requests: pd.DataFrame) -> OfferedLoad:
    sent = requests[(requests["start_s"] >= window.start_s) & (requests["start_s"] < window.end_s)]
    served = sent[sent["outcome"] == "served"]
    lateness_s = sent["lateness_s"].to_numpy(dtype=float)
    mean, p95, most = (
        (lateness_s.mean(), np.quantile(lateness_s, 0.95), lateness_s.max()) if lateness_s.size else (math.nan,) * 3
    )
    return OfferedLoad(
        step=window.step,
        users=window.users,
        offered_rps=window.users * pacing.rate_rps,
        achieved_rps=len(sent) / window.length_s,
        late_share=float(sent["is_late"].mean()) if len(sent) else math.nan,
        lateness_mean_s=float(mean),
        lateness_p95_s=float(p95),
        lateness_max_s=float(most),
        residence_mean_s=float((served["finish_s"] - served["start_s"]).mean()) if len(served) else math.nan,
    )


def plan_findings(
    plan: LoadPlan,
    marks: Sequence[Mark],
    windows: Sequence[Window],
    offered: Sequence[OfferedLoad],
    aborted: Aborted | None,
) -> tuple[Finding, ...]:
    """What a reader of the recording has to know about its load.

    Parameters
    ----------
    plan : LoadPlan
    marks : sequence of Mark
    windows : sequence of Window
        The steady windows.
    offered : sequence of OfferedLoad
    aborted : Aborted or None

    Returns
    -------
    tuple of Finding
    """
    lengths = {window.step: window.length_s for window in windows}
    found = [_early_end(plan, marks, aborted), None if plan.has_plateaus else _no_plateau(plan)]
    found += [_not_achieved(plan.pacing, load, lengths[load.step]) for load in offered]
    found += [_sent_late(load) for load in offered]
    return tuple(item for item in found if item is not None)


def _early_end(plan: LoadPlan, marks: Sequence[Mark], aborted: Aborted | None) -> Finding | None:
    shape = plan.load_shape
    begun = [mark for mark in marks if mark.event in ("asked", "passing")]
    if aborted is None:
        if not shape.is_sought_limit:
            return None
        message = f"The load rose to {begun[-1].users} users, and no abort condition was met."
        return Finding("breakpoint-not-reached", "info", message, "", {"users": begun[-1].users})
    numbers = {**aborted.to_dict(), "users": begun[-1].users, "step": begun[-1].step}
    if shape.is_sought_limit:
        message = f"At {begun[-1].users} users the load broke: {aborted.text()}."
        return Finding("breakpoint-reached", "info", message, "", numbers)
    message = f"The test was ended early, in step {begun[-1].step} of {len(shape.stretches)}: {aborted.text()}."
    remedy = "What was recorded until then is kept; its last step is cut short. Lower the load, or the condition."
    return Finding("test-aborted", "warning", message, remedy, numbers)


def _no_plateau(plan: LoadPlan) -> Finding:
    message = f"The shape {plan.load_shape.text} has no level that is measured, so this recording has no steps."
    remedy = "Its requests are whole. To calibrate a model, record levels: add +soak:USERS:TIME, or use steps."
    return Finding("no-plateau", "info", message, remedy)


def _not_achieved(pacing: Pacing, load: OfferedLoad, window_s: float) -> Finding | None:
    """Fewer requests than a schedule can give by chance (three standard deviations) and 1 %."""
    wanted = load.offered_rps * window_s
    deviation = math.sqrt(wanted * pacing.count_variance or load.users / 4)
    if load.achieved_rps * window_s >= wanted * (1 - _SHARE_SHORT) - _SIGMAS * deviation:
        return None
    sent = f"Step {load.step} offered {load.offered_rps:.4g} requests/s and {load.achieved_rps:.4g} were sent"
    if pacing.has_sessions:
        message = f"{sent}: answers take so long that its sessions had not yet come to their usual number."
        remedy = "Make the steps longer than several sessions; without a gate a load beyond saturation never settles."
    else:
        message = (
            f"{sent}: its {load.users} users were still waiting for answers ({load.late_share:.0%} of requests were "
            "due before)."
        )
        remedy = "Take it as a closed loop of these users, or record with more users at a lower rate of each."
    return Finding("offered-load-not-achieved", "warning", message, remedy, load.to_dict())


def _sent_late(load: OfferedLoad) -> Finding | None:
    if not load.lateness_mean_s > _NOTEWORTHY_LATENESS * load.residence_mean_s:
        return None
    since_due_s = load.residence_mean_s + load.lateness_mean_s
    message = (
        f"Requests of step {load.step} were sent {format_duration(load.lateness_mean_s)} late on average "
        f"(P95 {format_duration(load.lateness_p95_s)}): from when they were due, answers took about "
        f"{format_duration(since_due_s)}, not {format_duration(load.residence_mean_s)}."
    )
    remedy = "For load that waits for nobody, use more users at a lower rate of each."
    return Finding("requests-sent-late", "warning", message, remedy, load.to_dict())
