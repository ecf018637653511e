"""What the server answered: limits per client, missing endpoints, failures; and whether the gate was seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from loadtests.deployment import UNLIMITED
from loadtests.foundation.findings import Finding, Severity
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import Looked, NotApplicable
from loadtests.trust.plateau import plateau_of

LIMIT_CODE, CLIENT_CODE, FAILED_CODE, GATE_CODE = (
    "rate-limited", "client-errors", "failed-requests", "gate-unobserved",
)  # fmt: skip
FAILED = ("server_error", "timeout", "refused", "reset", "failed")
TOLERATED_SHARE, REFUSED_SHARE = 0.01, 0.05
_MOSTLY, _MOST_NAMED = 0.5, 10


def look_at_rate_limits(recording: Recording) -> Looked:
    """Look for 429: a limit per client holds back the load generator, not what real users share."""
    return [
        Finding(
            LIMIT_CODE, "critical" if share > REFUSED_SHARE else "warning",
            f"{share:.2%} of step {step.step}'s answers are 429: a limit per client holds the load generator back.",
            "Exempt the load generator from the limit, or send from as many addresses as users would.",
            {"step": step.step, "share": share},
        )
        for step, share in _shares(recording, ("rate_limited",))
        if share > 0
    ]  # fmt: skip


def look_at_failures(recording: Recording) -> Looked:
    """Look for steps with more than 1 % of requests that ended neither served nor turned away."""
    found = []
    for step, share in _shares(recording, FAILED):
        if share > TOLERATED_SHARE:
            kinds = ", ".join(f"{name} {step.outcomes[name]:,}" for name in FAILED if step.outcomes.get(name))
            severity: Severity = "critical" if share > _MOSTLY else "warning"
            message = f"{share:.1%} of step {step.step}'s requests failed ({kinds}); their latency is not the server's."
            remedy = "Find what failed before trusting this step; calibrate refuses steps with more than 1 % failed."
            found.append(Finding(FAILED_CODE, severity, message, remedy, {"step": step.step, "share": share}))
    return found


def _shares(recording: Recording, outcomes: Iterable[str]) -> list[tuple[LoadStep, float]]:
    names = tuple(outcomes)
    return [
        (step, sum(step.outcomes.get(name, 0) for name in names) / step.requests)
        for step in recording.steps
        if step.requests
    ]


def look_at_client_errors(recording: Recording) -> Looked:
    """Look for endpoints that answer 4xx (other than 429): the test sends what nobody serves."""
    if recording.requests.empty:
        return _client_errors_of_steps(recording)
    rows = recording.requests
    errors = rows[rows["outcome"] == "client_error"]
    found = []
    for (method, endpoint), bad in errors.groupby(["method", "endpoint"], sort=True):
        count = int((rows["method"].eq(str(method)) & rows["endpoint"].eq(str(endpoint))).sum())
        if len(bad) > TOLERATED_SHARE * count:
            found.append(_client_error(f"{method} {endpoint}", bad, count))
    return _folded(found)


def _client_error(name: str, bad: pd.DataFrame, count: int) -> Finding:
    share, status = len(bad) / count, int(bad["status"].mode().iloc[0])
    severity: Severity = "critical" if share > _MOSTLY else "warning"
    message = f"{name} answered {status} to {share:.0%} of its {count:,} requests."
    numbers = {"endpoint": name, "share": share, "status": status}
    return Finding(CLIENT_CODE, severity, message, _client_remedy(status), numbers)


def _folded(found: list[Finding]) -> list[Finding]:
    """The first few endpoints, and how many more there are (a recording may have millions of names)."""
    worst = sorted(found, key=lambda item: -float(item.numbers["share"]))
    if len(worst) <= _MOST_NAMED:
        return worst
    message = f"{len(worst) - _MOST_NAMED:,} more endpoints answer 4xx."
    rest = Finding(CLIENT_CODE, "warning", message, _client_remedy(400), {"endpoints": len(worst) - _MOST_NAMED})
    return [*worst[:_MOST_NAMED], rest]


def _client_errors_of_steps(recording: Recording) -> list[Finding]:
    return [
        Finding(
            CLIENT_CODE, "critical" if share > _MOSTLY else "warning",
            f"{share:.1%} of step {step.step}'s answers are client errors (4xx).", _client_remedy(400),
            {"step": step.step, "share": share},
        )
        for step, share in _shares(recording, ("client_error",))
        if share > TOLERATED_SHARE
    ]  # fmt: skip


def _client_remedy(status: int) -> str:
    if status in (401, 403):
        return "Give the credentials that the endpoint wants (--header), or leave it out of the mix."
    if status == 404:
        return "Correct the path, or leave it out of the mix; a missing page is answered faster than a real one."
    return "Correct the request, or leave it out of the mix."


def look_at_the_gate(recording: Recording) -> Looked:
    """Say whether the gate was reached: below it nothing can be learnt about it."""
    if not recording.steps:
        return NotApplicable("no steps")
    if any(step.outcomes.get("shed", 0) for step in recording.steps):
        return []
    limit = recording.deployment.gate
    most = _most_in_flight(recording)
    users = max(step.users for step in recording.steps)
    if limit == UNLIMITED:
        return NotApplicable("the server has no gate")
    stated = f"below the stated limit of {limit}" if isinstance(limit, int) else "and no limit is stated"
    inside = f"at most {most} requests were inside at once, " if most is not None else ""
    message = (
        f"No request was turned away in any step of up to {users} users: {inside}{stated}. The gate is unobserved."
    )
    remedy = "To measure the gate, go on to more users, until requests are turned away; else take the limit as stated."
    return [Finding(GATE_CODE, "info", message, remedy, {"users": users, "most_in_flight": most, "gate": limit})]


def _most_in_flight(recording: Recording) -> int | None:
    if recording.requests.empty:
        return None
    return max(_peak(recording, step) for step in recording.steps)


def _peak(recording: Recording, step: LoadStep) -> int:
    plateau = plateau_of(recording, step)
    times = np.concatenate([plateau.start_s, plateau.finish_s])
    change = np.repeat([1, -1], [plateau.start_s.size, plateau.finish_s.size])
    return int(np.cumsum(change[np.lexsort((change, times))]).max(initial=0))
