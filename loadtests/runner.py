"""Runs a load plan with Locust, as a child process, into a recording folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from loadtests.conversion import convert_journal
from loadtests.deployment import Deployment
from loadtests.foundation.errors import CapacityError, InputError
from loadtests.foundation.files import write_json
from loadtests.foundation.http_client import check_host
from loadtests.foundation.limits import raise_file_limit
from loadtests.gauges import GaugePoller
from loadtests.journal import gauges_path, run_path
from loadtests.locust_run import LoadGenerator, LocustRun, OnProgress
from loadtests.plan import LoadPlan
from loadtests.preflight import preflight
from loadtests.recording import Recording
from loadtests.store import LOCUST, check_new_folder


def record(
    host: str,
    plan: LoadPlan,
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    generator: LoadGenerator | None = None,
    on_progress: OnProgress | None = None,
) -> Recording:
    """Load a server step by step and record every request.

    Parameters
    ----------
    host : str
        Base address, ``http://NAME:PORT``.
    plan : LoadPlan
    out : str or Path
        New folder for the recording.
    deployment : Deployment, optional
        The configured limits of the server, as far as known; kept in the recording.
    generator : LoadGenerator, optional
        Number of load generating processes, and a locustfile of your own. Absent: one process,
        the plan's own users.
    on_progress : callable, optional
        Is called with a `Progress` a few times a second.

    Returns
    -------
    Recording
        As `read_recording` would read it from `out`.

    Raises
    ------
    InputError
        When `host` is no address or holds credentials, `out` is not empty, or a path of the
        plan does not exist on the server.
    RunError
        When the host does not answer, Locust fails or is killed, no request finishes, or no
        step has a steady window (with the reason of each); what was measured stays in the
        folder, without a manifest. Where only some steps have no steady window, the
        manifest's `left_out` says which and why.
    KeyboardInterrupt
        Ctrl-C ends Locust. The steps that were complete are made a recording; where there is
        none, what was measured stays, without a manifest.
    """
    host = check_host(host)
    folder = check_new_folder(out)
    raise_file_limit()
    load = generator or LoadGenerator()
    _look_at(host, plan, load)
    (folder / LOCUST).mkdir(parents=True, exist_ok=True)
    run = LocustRun(host, plan, folder, load)
    write_json(run_path(run.journal), _description(run, deployment or Deployment()))
    try:
        with GaugePoller(host, journal=gauges_path(run.journal)):
            run.watch(on_progress)
    except KeyboardInterrupt:
        with suppress(CapacityError):
            convert_journal(folder)
        raise
    return convert_journal(folder)


def _look_at(host: str, plan: LoadPlan, load: LoadGenerator) -> None:
    """Send each request of the plan once; of a user's own file only the address is known."""
    if load.locustfile is None:
        preflight(host, plan)
    else:
        with suppress(InputError):
            preflight(host, replace(plan, requests=(("GET", "/", 1.0),)))


def _description(run: LocustRun, deployment: Deployment) -> dict[str, object]:
    """How the test was started: what a recording says of it, also one that is recovered later."""
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": run.host,
        "command": ["locust", *run.command()],
        "plan": _noted_plan(run),
        "has_steps": True,
        "think": run.plan.think.text(),
        "seed": run.plan.seed,
        "deployment": deployment.to_dict(),
    }


def _noted_plan(run: LocustRun) -> dict[str, object]:
    """The plan; what the users of somebody's own locustfile send is not known."""
    plan = run.plan.to_dict()
    if run.generator.locustfile is not None:
        del plan["requests"]
    return plan
