"""Makes a recording of the journal that a test left, whoever ran it and however it ended.

``python -m loadtests.journals.conversion DIR`` is what stock Locust starts at its end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loadtests.deployment import Deployment, read_deployment
from loadtests.estimation.latency_histogram import HISTOGRAMS, histograms_to_dict, step_histograms
from loadtests.estimation.steady_state import LeftOut, Window, steady_windows, summarise_steps, without_warm_up
from loadtests.foundation.errors import CapacityError, InputError, RunError
from loadtests.foundation.files import read_json, read_json_list, write_json
from loadtests.foundation.findings import Finding
from loadtests.gaps import gap_table
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.journals.journal import Mark, gauges_path, marks_path, read_marks, run_path, workers_path
from loadtests.journals.journal_merge import MergedJournal, busiest_share, merge_journal, read_lines, senders
from loadtests.load.abort import Aborted
from loadtests.load.load_report import offered_loads, plan_findings, read_aborted
from loadtests.load.plan import LoadPlan
from loadtests.recording import Recording
from loadtests.store import JOURNAL, LOCUST, MANIFEST, REPORT, write_recording
from loadtests.tables import SCHEDULE_COLUMNS
from loadtests.trust.judge import with_trust

if TYPE_CHECKING:
    from loadtests.prometheus.gauges import PrometheusGauges

_LEAST_SETTLE_S, _SETTLE_GAPS, _MOST_OF_STEP_FOR_SETTLE = 1.0, 5, 1 / 4
_CUT_OFF = "the test was interrupted in it"


@dataclass(frozen=True)
class _Test:
    """What a test left in its folder."""

    folder: Path
    run: dict[str, Any]
    marks: tuple[Mark, ...]
    merged: MergedJournal
    locust_counts: dict[str, dict[str, Any]]

    @property
    def origin_s(self) -> float:
        return self.marks[0].monotonic_s

    @cached_property
    def requests(self) -> pd.DataFrame:
        """On the recording's clock."""
        table = self.merged.requests
        has_schedule = table["due_s"].notna().any()
        times = ("start_s", "finish_s", *(SCHEDULE_COLUMNS if has_schedule else ()))
        moved = table.assign(**{name: table[name] - self.origin_s for name in times})
        return moved if has_schedule else moved.drop(columns=list(SCHEDULE_COLUMNS))

    @property
    def generator(self) -> pd.DataFrame:
        table = self.merged.generator
        return table.assign(time_s=table["time_s"] - self.origin_s)

    @property
    def gauges(self) -> pd.DataFrame:
        table = read_lines(gauges_path(self.folder / JOURNAL), GAUGE_COLUMNS)
        return table.assign(time_s=table["time_s"] - self.origin_s)

    @cached_property
    def aborted(self) -> Aborted | None:
        return read_aborted(self.folder / JOURNAL)

    @property
    def locust_total(self) -> int | None:
        """Number of requests in Locust's own report; None where it did not get to write one."""
        path = self.folder / LOCUST / f"{REPORT}.json"
        if not path.is_file():
            return None
        return sum(int(entry["num_requests"]) for entry in read_json_list(path, "Locust report"))


def convert_journal(
    folder: str | Path, *, deployment: Deployment | None = None, prometheus: PrometheusGauges | None = None
) -> Recording:
    """Make a recording of a folder that holds the journal of a test that has ended.

    Parameters
    ----------
    folder : str or Path
    deployment : Deployment, optional
        The configured limits of the server; absent: as was noted when the test began.
    prometheus : PrometheusGauges, optional
        Is asked for its gauges of the time of the test.

    Returns
    -------
    Recording
        Complete steps only; a test without steps that were planned is as long as its journal. What
        is missing is said in the manifest's `findings`.

    Raises
    ------
    RunError
        When there is no test in the folder, no request finished, or no step has a steady window
        (unless the load had no plateau, or an abort condition ended the test).
    """
    test = _read_test(Path(folder))
    if test.requests.empty:
        raise RunError("No request finished during the test; make the steps longer or the request timeout shorter.")
    settle_s = _settle_s(test)
    windows, left_out = _windows(test, settle_s)
    if not windows and not _may_have_no_steps(test):
        raise RunError(_nothing_steady(left_out, test.folder))
    settled = without_warm_up(test.requests, windows)
    plan = _load_plan(test)
    steps = summarise_steps(
        test.requests, settled, think=str(test.run.get("think") or ""),
        users_leave=plan is not None and plan.pacing.has_sessions,
    )  # fmt: skip
    write_json(test.folder / HISTOGRAMS, histograms_to_dict(step_histograms(test.requests, steps)))
    gauges, found = _gauges(test, prometheus)
    manifest = _manifest(test, windows, left_out, settle_s)
    manifest["findings"] += [item.to_dict() for item in found]
    limits = _deployment(test.run) if deployment is None else deployment
    recording = Recording(limits, steps, test.requests, gauges, manifest, generator=test.generator)
    return write_recording(test.folder, with_trust(recording))


def _may_have_no_steps(test: _Test) -> bool:
    """Whether the load had nothing to measure, or was ended before it had."""
    plan = _load_plan(test)
    return test.aborted is not None or (plan is not None and not plan.has_plateaus)


def _gauges(test: _Test, prometheus: PrometheusGauges | None) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    if prometheus is None:
        return test.gauges, ()
    begin, end = test.marks[0], test.marks[-1]
    return prometheus.merged_into(test.gauges, begin.epoch_s, end.monotonic_s - begin.monotonic_s)


def recover_recording(folder: str | Path) -> Recording:
    """Make a recording of a test that was interrupted or killed, from the journal that it left.

    Parameters
    ----------
    folder : str or Path
        The folder that the test was recorded into, without a manifest.

    Returns
    -------
    Recording
        The steps that were complete; the finding ``interrupted`` says how much may be missing.

    Raises
    ------
    InputError
        When the folder holds no journal, or a whole recording.
    RunError
        When no step was complete; the journal stays.
    """
    path = Path(folder)
    if (path / MANIFEST).is_file():
        raise InputError(f"The recording {path} is whole already; read it as it is.")
    if not marks_path(path / JOURNAL).is_file():
        raise InputError(f"The folder {path} holds no journal; give the folder that a test was recorded into.")
    return convert_journal(path)


def _read_test(folder: Path) -> _Test:
    journal = folder / JOURNAL
    marks = read_marks(journal)
    if not marks:
        raise RunError(f"The test in {folder} ended before its load began, so there is nothing to make a recording of.")
    run, workers = run_path(journal), workers_path(journal)
    return _Test(
        folder=folder,
        run=read_json(run, "description of the test") if run.is_file() else {},
        marks=marks,
        merged=merge_journal(journal),
        locust_counts=read_json(workers, "counts of the workers") if workers.is_file() else {},
    )


def _settle_s(test: _Test) -> float:
    """As planned; without a plan by the same rule, from the gaps that were measured."""
    planned = _plan(test).get("settle_s")
    if planned is not None:
        return float(planned)
    table = gap_table(test.requests)
    gap_s = float((table["next_s"] - table["finish_s"]).clip(lower=0.0).mean())
    wanted = max(_LEAST_SETTLE_S, _SETTLE_GAPS * gap_s) if np.isfinite(gap_s) else _LEAST_SETTLE_S
    return min(wanted, _MOST_OF_STEP_FOR_SETTLE * _shortest_step_s(test))


def _shortest_step_s(test: _Test) -> float:
    lengths = [follow.monotonic_s - mark.monotonic_s for mark, follow in _stretches(_closed(test))]
    return min(lengths, default=_LEAST_SETTLE_S)


def _plan(test: _Test) -> dict[str, Any]:
    """The plan, if its levels are what was asked for (a load shape of the user's own goes before it)."""
    plan = dict(test.run.get("plan") or {})
    asked = [mark.users for mark in test.marks if mark.event == "asked"]
    return plan if asked == plan.get("users", [])[: len(asked)] else {}


def _load_plan(test: _Test) -> LoadPlan | None:
    plan = _plan(test)
    return LoadPlan.from_dict(plan) if plan.get("requests") else None


def _has_planned_steps(test: _Test) -> bool:
    return bool(test.run.get("has_steps")) and bool(_plan(test))


def _closed(test: _Test) -> tuple[Mark, ...]:
    """The marks; a test without planned steps that was killed ends where its journal is complete."""
    if test.marks[-1].event == "ended" or _has_planned_steps(test):
        return test.marks
    last, until_s = test.marks[-1], test.merged.complete_until_s
    if until_s <= last.monotonic_s:
        return test.marks
    return (*test.marks, Mark("ended", last.step, last.users, until_s, last.epoch_s + until_s - last.monotonic_s))


def _stretches(marks: Sequence[Mark]) -> list[tuple[Mark, Mark]]:
    """From asking for a level to the next mark that ends it."""
    borders = [mark for mark in marks if mark.event != "reached"]
    return [(mark, follow) for mark, follow in pairwise(borders) if mark.event == "asked"]


def _windows(test: _Test, settle_s: float) -> tuple[tuple[Window, ...], tuple[LeftOut, ...]]:
    marks = _closed(test)
    windows: list[Window] = []
    left_out: list[LeftOut] = []
    for part in _tests_of(marks):
        steady, out = steady_windows(part, test.origin_s, settle_s)
        windows += steady
        left_out += out
    if marks[-1].event != "ended":
        last = [mark for mark in marks if mark.event == "asked"][-1]
        left_out.append(LeftOut(last.step, last.users, _CUT_OFF))
    return tuple(windows), tuple(left_out)


def _tests_of(marks: Sequence[Mark]) -> list[list[Mark]]:
    """Cut after each end: at Locust's web page a test may be started several times."""
    parts: list[list[Mark]] = [[]]
    for mark in marks:
        parts[-1].append(mark)
        if mark.event == "ended":
            parts.append([])
    return parts


def _manifest(
    test: _Test, windows: tuple[Window, ...], left_out: tuple[LeftOut, ...], settle_s: float
) -> dict[str, Any]:
    begin, end = test.marks[0], test.marks[-1]
    generator, requests, plan = test.merged.generator, test.requests, _load_plan(test)
    offered = () if plan is None else offered_loads(plan, windows, requests)
    noted = [] if plan is None else plan_findings(plan, test.marks, windows, offered, test.aborted)
    findings = [*_findings(test), *noted]
    return {
        "created_at": test.run.get("created_at") or datetime.now(UTC).isoformat(timespec="seconds"),
        "source": {"kind": "locust-run"},
        "host": str(test.run.get("host", "")),
        "command": list(test.run.get("command", [])),
        "plan": _plan(test) or {"settle_s": settle_s},
        "seed": int(test.run.get("seed", 1)),
        "clock": {"origin_monotonic_s": begin.monotonic_s, "origin_epoch_s": begin.epoch_s},
        "generator": {
            "cpu_mean": busiest_share(generator, begin.monotonic_s, max(end.monotonic_s, test.merged.complete_until_s)),
            "processes": max(len(list(senders(generator))), 1),
            "loop": "closed" if plan is None else plan.pacing.loop,
        },
        "totals": {"locust": test.locust_total, "journal": len(requests), "workers": _worker_totals(test)},
        "ramps": [_ramp(test.marks, window) for window in windows],
        "left_out": [{"step": item.step, "users": item.users, "reason": item.reason} for item in left_out],
        "offered": [load.to_dict() for load in offered],
        "aborted": None if test.aborted is None else test.aborted.to_dict(),
        "findings": [*test.run.get("findings", []), *(item.to_dict() for item in findings)],
    }


def _worker_totals(test: _Test) -> dict[str, dict[str, int | None]]:
    """By worker, the journal's count and Locust's own (None where it is not known)."""
    ours = {str(name): int(count) for name, count in test.requests["worker_id"].value_counts().items()}
    theirs = {str(item["index"]): int(item["requests"]) for item in test.locust_counts.values()}
    if not theirs and len(ours) == 1 and test.locust_total is not None:
        theirs = {next(iter(ours)): test.locust_total}
    return {name: {"journal": ours.get(name, 0), "locust": theirs.get(name)} for name in sorted({*ours, *theirs})}


def _findings(test: _Test) -> list[Finding]:
    return [*_interruption(test), *test.merged.findings, *_strangers(test), *_other_totals(test)]


def _interruption(test: _Test) -> list[Finding]:
    if test.locust_total is None:
        missing_s = test.merged.flush_gap_s
        said, why = f"at most {missing_s:.1f} s of its requests are missing", "It was killed"
    elif _closed(test)[-1].event != "ended":
        missing_s, said, why = 0.0, "no request is missing", "It was stopped"
    else:
        return []
    return [
        Finding(
            "interrupted", "warning", f"The test was interrupted: {said}. {why}, so only the steps before that count.",
            "Record again where later steps matter.", {"missing_s": missing_s},
        )
    ]  # fmt: skip


def _strangers(test: _Test) -> list[Finding]:
    """Workers that loaded the server but sent no rows: they ran without our listener."""
    known = set(test.requests["worker_id"])
    silent = [item for item in test.locust_counts.values() if str(item["index"]) not in known and item["requests"]]
    return [
        Finding(
            "worker-lost", "critical",
            f"Worker {item['index']} sent {item['requests']} requests by Locust's count, but none of its rows arrived.",
            "Start every worker with the listener: locust --worker -f \"$(capacity locustfile --listener)\",theirs.py.",
            {"worker_id": str(item["index"]), "requests": item["requests"]},
        )
        for item in silent
    ]  # fmt: skip


def _other_totals(test: _Test) -> list[Finding]:
    ours, theirs = len(test.requests), test.locust_total
    if theirs is None or ours == theirs:
        return []
    return [
        Finding(
            "totals-differ", "warning", f"The recording has {ours} requests where Locust's own report counts {theirs}.",
            "Locust's count starts anew with every test and with --reset-stats, and misses requests that finish after "
            "its last report; anything else means that rows are missing.", {"journal": ours, "locust": theirs},
        )
    ]  # fmt: skip


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


def _deployment(run: dict[str, Any]) -> Deployment:
    if run.get("deployment"):
        return Deployment.from_dict(run["deployment"])
    return read_deployment(Path(run["deployment_file"])) if run.get("deployment_file") else Deployment()


def main(folder: str) -> int:
    """Convert and say what came of it; return an exit code."""
    try:
        recording = convert_journal(folder)
    except CapacityError as error:
        sys.stderr.write(f"No recording was made: {error}\n")
        return 1
    verdict = recording.manifest["trust"]["verdict"].replace("-", " ")
    count, steps = len(recording.requests), len(recording.steps)
    sys.stderr.write(f"Recorded {count} requests, {steps} steps in {folder}: {verdict} (capacity check says why)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
