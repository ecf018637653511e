"""Runs a load plan with Locust, as a child process, into a recording folder."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from loadtests.deployment import Deployment
from loadtests.foundation.errors import CapacityError, InputError
from loadtests.foundation.files import write_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.http_client import check_host
from loadtests.foundation.limits import raise_file_limit
from loadtests.gauges import GaugePoller
from loadtests.journals.conversion import convert_journal
from loadtests.journals.journal import gauges_path, run_path
from loadtests.journals.run_description import describe
from loadtests.load.plan import LoadPlan
from loadtests.load.planned_requests import Request
from loadtests.locust_run import PLAN, LoadGenerator, LocustRun, OnProgress
from loadtests.preflight import preflight
from loadtests.prometheus.gauges import PrometheusGauges
from loadtests.recording import Recording
from loadtests.store import LOCUST, check_new_folder


def record(
    host: str,
    plan: LoadPlan,
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    generator: LoadGenerator | None = None,
    prometheus: PrometheusGauges | None = None,
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
    prometheus : PrometheusGauges, optional
        A Prometheus server that scrapes the host, and the gauges to take from it.
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
        When the host or `prometheus` does not answer, Locust fails or is killed, no request finishes, or no
        step of a shape with plateaus has a steady window (with the reason of each); what was
        measured stays in the folder, without a manifest. Where only some steps have no steady
        window, the manifest's `left_out` says which and why. A test that an abort condition ended
        is no error: the manifest's `aborted` and its findings say so.
    KeyboardInterrupt
        Ctrl-C ends Locust. The steps that were complete are made a recording; where there is
        none, what was measured stays, without a manifest.
    """
    host = check_host(host)
    folder = check_new_folder(out)
    raise_file_limit()
    load = generator or LoadGenerator()
    if prometheus is not None:
        prometheus.check()
    noted = _look_at(host, plan, load)
    (folder / LOCUST).mkdir(parents=True, exist_ok=True)
    run = LocustRun(host, plan, folder, load)
    write_json(folder / LOCUST / PLAN, plan.to_dict())
    write_json(run_path(run.journal), describe(run, deployment or Deployment(), noted))
    try:
        with GaugePoller(host, plan.access, journal=gauges_path(run.journal)):
            run.watch(on_progress)
    except KeyboardInterrupt:
        with suppress(CapacityError):
            convert_journal(folder)
        raise
    return convert_journal(folder, prometheus=prometheus)


def _look_at(host: str, plan: LoadPlan, load: LoadGenerator) -> tuple[Finding, ...]:
    """Send each request of the plan once; of a user's own file only the address is known."""
    if load.locustfile is None:
        return preflight(host, plan)
    with suppress(InputError):
        preflight(host, replace(plan, requests=(Request("GET", "/"),)))
    return ()
