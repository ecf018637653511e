"""Runs a load plan with Locust, as a child process, into a recording folder."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

import loadtests
from loadtests.deployment import Deployment
from loadtests.foundation.children import Child
from loadtests.foundation.errors import RunError
from loadtests.foundation.files import read_json_list, write_json
from loadtests.foundation.findings import Finding
from loadtests.foundation.http_client import check_host
from loadtests.foundation.limits import raise_file_limit
from loadtests.gauges import GaugePoller
from loadtests.journal import Mark, read_marks
from loadtests.load_report import offered_loads, plan_findings, read_aborted
from loadtests.plan import LoadPlan
from loadtests.preflight import preflight
from loadtests.progress import JournalWatch, Progress
from loadtests.prometheus.gauges import PrometheusGauges
from loadtests.recording import Recording
from loadtests.steady_state import (
    LeftOut,
    Window,
    steady_windows,
    step_findings,
    summarise_steps,
    without_warm_up,
)
from loadtests.store import JOURNAL, LOCUST, check_new_folder, read_journal, write_recording

_POLL_S = 0.25
_LONGEST_DRAIN_S = 10.0
_OVERTIME_S = 60.0
_LOCUSTFILE = "loadtests/locustfile.py"
_LOG, _REPORT, _PLAN = "locust.log", "report", "plan.json"
_LAST_LINES = 15

OnProgress = Callable[[Progress], None]


def record(
    host: str,
    plan: LoadPlan,
    out: str | Path,
    *,
    deployment: Deployment | None = None,
    on_progress: OnProgress | None = None,
    prometheus: PrometheusGauges | None = None,
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
    on_progress : callable, optional
        Is called with a `Progress` a few times a second.
    prometheus : PrometheusGauges, optional
        A Prometheus server that scrapes the tested one: its gauges become columns of the gauges table.

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
        Ctrl-C ends Locust; what was measured stays, without a manifest.
    """
    host = check_host(host)
    folder = check_new_folder(out)
    raise_file_limit()
    if prometheus is not None:
        prometheus.check()
    noted = preflight(host, plan)
    (folder / LOCUST).mkdir(parents=True, exist_ok=True)
    write_json(folder / LOCUST / _PLAN, plan.to_dict())
    with GaugePoller(host, plan.access) as gauges:
        run = _LocustRun(host, plan, folder)
        run.watch(on_progress)
    return _store(run, gauges, deployment or Deployment(), noted, prometheus)


class _LocustRun:
    """One run of Locust and what it left behind."""

    def __init__(self, host: str, plan: LoadPlan, folder: Path) -> None:
        self.host = host
        self.plan = plan
        self.folder = folder
        self.drain_s = math.ceil(min(plan.request_timeout_s, _LONGEST_DRAIN_S))
        self.cpu_seconds: list[tuple[float, float]] = []

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL

    @property
    def marks(self) -> tuple[Mark, ...]:
        return read_marks(self.journal)

    def command(self) -> list[str]:
        """Locust's arguments, file names relative to its folder in the recording."""
        words = ["-f", _LOCUSTFILE, "--headless", "--host", self.host, "--plan", _PLAN]
        words += ["--stop-timeout", str(self.drain_s)]
        words += ["--csv", "stats", "--csv-full-history", "--json-file", _REPORT, "--logfile", _LOG, "--only-summary"]
        return [*words, "--exit-code-on-error", "0", "--journal", Path(JOURNAL).name]

    def watch(self, on_progress: OnProgress | None) -> None:
        """Run Locust to its end; end it on every other way out."""
        package = Path(loadtests.__file__).parent
        words = [str(package / "locustfile.py") if word == _LOCUSTFILE else word for word in self.command()]
        command = [sys.executable, "-m", "locust", *words, "--end-with-parent", str(os.getpid())]
        child = Child(command, folder=self.folder / LOCUST, environment=_environment(package.parent))
        try:
            self._follow(child, JournalWatch(self.journal, self.plan), on_progress)
        finally:
            child.end(self.drain_s + _LONGEST_DRAIN_S)
        if child.exit_code != 0 or not any(mark.event == "ended" for mark in self.marks):
            raise RunError(f"Locust ended early (exit code {child.exit_code}); its last messages:\n{self._said(child)}")

    def _follow(self, child: Child, watch: JournalWatch, on_progress: OnProgress | None) -> None:
        deadline = time.monotonic() + self.plan.duration_s + self.plan.settling_s + self.drain_s + _OVERTIME_S
        while not child.wait(_POLL_S):
            self._sample_cpu(child.pid)
            progress = watch.progress()
            if on_progress is not None and progress is not None:
                on_progress(progress)
            if time.monotonic() > deadline:
                raise RunError(f"Locust did not end in time; its last messages:\n{self._said(child)}")

    def _sample_cpu(self, pid: int) -> None:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            return
        self.cpu_seconds.append((time.monotonic(), times.user + times.system))

    def _said(self, child: Child) -> str:
        log = self.folder / LOCUST / _LOG
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        return "\n".join([*lines[-_LAST_LINES:], child.last_errors()]).strip() or "it said nothing"

    def cpu_mean(self, begin_s: float, end_s: float) -> float:
        """Mean share of a core that Locust used between two monotonic times."""
        inside = [(at, used) for at, used in self.cpu_seconds if begin_s <= at <= end_s]
        if len(inside) < 2:
            return float("nan")
        (first, used_first), (last, used_last) = inside[0], inside[-1]
        return (used_last - used_first) / (last - first)

    def locust_total(self) -> int:
        """Number of requests in Locust's own report."""
        report = read_json_list(self.folder / LOCUST / f"{_REPORT}.json", "Locust report")
        return sum(int(entry["num_requests"]) for entry in report)


def _environment(root: Path) -> dict[str, str]:
    """Ours without Locust's variables (they would change the plan), and with this package importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _store(
    run: _LocustRun,
    gauges: GaugePoller,
    deployment: Deployment,
    noted: tuple[Finding, ...],
    prometheus: PrometheusGauges | None,
) -> Recording:
    marks, plan = run.marks, run.plan
    begin, end = marks[0], marks[-1]
    requests = read_journal(run.journal, begin.monotonic_s)
    if requests.empty:
        raise RunError("No request finished during the test; make the steps longer or the request timeout shorter.")
    windows, left_out = steady_windows(marks, begin.monotonic_s, plan.settling_s)
    aborted = read_aborted(run.journal)
    if not windows and plan.has_plateaus and aborted is None:
        raise RunError(_nothing_steady(left_out, run.folder))
    steps = summarise_steps(requests, without_warm_up(requests, windows), think=plan.think_text)
    offered = offered_loads(plan, windows, requests)
    table = gauges.to_frame(begin.monotonic_s)
    gauge_findings: tuple[Finding, ...] = ()
    if prometheus is not None:
        table, gauge_findings = prometheus.merged_into(table, begin.epoch_s, end.monotonic_s - begin.monotonic_s)
    findings = (*noted, *plan_findings(plan, marks, windows, offered, aborted), *step_findings(steps), *gauge_findings)
    manifest = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": run.host,
        "command": ["locust", *run.command()],
        "plan": plan.to_dict(),
        "seed": plan.seed,
        "clock": {"origin_monotonic_s": begin.monotonic_s, "origin_epoch_s": begin.epoch_s},
        "generator": {
            "cpu_mean": run.cpu_mean(begin.monotonic_s, end.monotonic_s),
            "processes": 1,
            "loop": plan.pacing.loop,
        },
        "totals": {"locust": run.locust_total(), "journal": len(requests)},
        "ramps": [_ramp(marks, window) for window in windows],
        "left_out": [_left_out(item) for item in left_out],
        "offered": [load.to_dict() for load in offered],
        "aborted": None if aborted is None else aborted.to_dict(),
        "findings": [finding.to_dict() for finding in findings],
    }
    recording = Recording(deployment, steps, requests, table, manifest)
    return write_recording(run.folder, recording)


def _ramp(marks: tuple[Mark, ...], window: Window) -> dict[str, float]:
    """How long a step took to have its users."""
    times = {mark.event: mark.monotonic_s for mark in reversed(marks) if mark.step == window.step}
    return {"step": window.step, "seconds": times["reached"] - times["asked"]}


def _nothing_steady(left_out: tuple[LeftOut, ...], folder: Path) -> str:
    reasons = "; ".join(f"step {item.step} ({item.users} users): {item.reason}" for item in left_out)
    return (
        f"No step has a steady window: {reasons}. Make the steps longer, or cut less (settle_s) or spawn faster "
        f"(spawn_rate). The requests stay in {folder / JOURNAL}, without a manifest."
    )


def _left_out(item: LeftOut) -> dict[str, int | str]:
    return {"step": item.step, "users": item.users, "reason": item.reason}
