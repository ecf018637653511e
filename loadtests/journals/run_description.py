"""What is noted of a test when it starts, for the recording that is made of it."""

from __future__ import annotations

from datetime import UTC, datetime

from loadtests.deployment import Deployment
from loadtests.foundation.findings import Finding
from loadtests.locust_run import LocustRun


def describe(run: LocustRun, deployment: Deployment, noted: tuple[Finding, ...]) -> dict[str, object]:
    """How the test was started: what a recording says of it, also one that is recovered later.

    Parameters
    ----------
    run : LocustRun
    deployment : Deployment
        Known limits of the server.
    noted : tuple of Finding
        By the preflight.

    Returns
    -------
    dict
    """
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": run.host,
        "command": ["locust", *run.command()],
        "plan": _noted_plan(run),
        "has_steps": True,
        "think": run.plan.think_text,
        "seed": run.plan.seed,
        "deployment": deployment.to_dict(),
        "findings": [finding.to_dict() for finding in noted],
    }


def _noted_plan(run: LocustRun) -> dict[str, object]:
    """The plan; what the users of somebody's own locustfile send is not known."""
    plan = run.plan.to_dict()
    if run.generator.locustfile is not None:
        del plan["requests"]
    return plan
