"""What an import could not know, as findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from loadtests.foundation.findings import Finding
from loadtests.importing.grouped_steps import GroupedStep, SourceKind
from loadtests.importing.levels import Level
from loadtests.importing.notes import printable
from loadtests.importing.runs import Run

_SOURCE_NAMES: dict[SourceKind, str] = {
    "log": "request log", "report": "JSON report", "recent-history": "full history",
    "cumulative-history": "history", "stats": "final statistics",
}  # fmt: skip


def findings_of_steps(steps: Sequence[tuple[Level, GroupedStep | None]]) -> list[Finding]:
    """Findings about steps and their sources; None for a step with single requests."""
    logged = [level.step for level, grouped in steps if grouped is None]
    by_kind = {
        kind: [(level, grouped) for level, grouped in steps if grouped is not None and grouped.kind == kind]
        for kind in _SOURCE_NAMES
    }
    found = _no_user_ids(logged)
    for kind, items in by_kind.items():
        if items:
            found.append(_no_single_requests(kind, [level.step for level, _ in items]))
    grouped = [(level, item) for level, item in steps if item is not None]
    return [
        *found, *_blended(grouped), *_rounded(grouped), *_outside(grouped), *_unknown_kinds(grouped),
        *_ramp_not_known(steps),
    ]  # fmt: skip


def findings_of_runs(runs: Sequence[Run]) -> list[Finding]:
    """Findings about whole runs: totals that differ, errors of the test script."""
    return [finding for run in runs for finding in (*_totals(run), *_exceptions(run))]


def folded(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for each code and severity: the first, with the number of the others and all their numbers."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.code, finding.severity), []).append(finding)
    return [items[0] if len(items) == 1 else _all_of(items) for items in groups.values()]


def _all_of(items: Sequence[Finding]) -> Finding:
    message = f"{items[0].message} The same of {len(items) - 1} more."
    return replace(items[0], message=message, numbers={"each": [item.numbers for item in items]})


def _numbers(steps: Sequence[int]) -> str:
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(map(str, steps))}"


def _no_user_ids(steps: Sequence[int]) -> list[Finding]:
    if not steps:
        return []
    return [
        Finding(
            "no-user-ids", "info",
            f"Locust's request log does not say which user sent a request ({_numbers(steps)}), so think times cannot "
            "be measured; those that are stated are taken.",
            "Record with capacity record, or with loadtests' listener beside your locustfile.", {"steps": list(steps)},
        )
    ]  # fmt: skip


def _no_single_requests(kind: SourceKind, steps: Sequence[int]) -> Finding:
    return Finding(
        "no-single-requests", "warning",
        f"{_numbers(steps).capitalize()}: single requests are not known; counts and latencies come from the "
        f"{_SOURCE_NAMES[kind]}, so latencies are bounds that include its rounding.",
        "Log requests with locust.contrib.csv_request_logger (one process), or record with capacity record.",
        {"steps": list(steps), "source": kind},
    )  # fmt: skip


def _blended(steps: Sequence[tuple[Level, GroupedStep]]) -> list[Finding]:
    mixed = [(level.step, item.failures / item.requests) for level, item in steps if item.failures]
    if not mixed:
        return []
    return [
        Finding(
            "blended-percentiles", "warning",
            f"{_numbers([step for step, _ in mixed]).capitalize()}: Locust mixes the times of failed and shed requests "
            f"(up to {max(share for _, share in mixed):.1%} of all) into its percentiles; those of served requests are "
            "bounded by putting all others first or last.",
            "A request log tells them apart.", {"steps": [step for step, _ in mixed], "shares": [s for _, s in mixed]},
        )
    ]  # fmt: skip


def _rounded(steps: Sequence[tuple[Level, GroupedStep]]) -> list[Finding]:
    if not steps:
        return []
    text = (
        "Locust rounds response times to whole milliseconds, above 100 ms to two significant digits; the intervals "
        "reach to the edges of what was rounded."
    )
    found = [Finding("rounded-times", "info", text, "", {"steps": [level.step for level, _ in steps]})]
    finer = sorted({level.step for level, _ in steps if level.run.report and level.run.report.is_rounded_otherwise})
    if finer:
        text = f"{_numbers(finer).capitalize()}: the report's times have more digits than stock Locust keeps; read so."
        found.append(Finding("rounded-otherwise", "info", text, "", {"steps": finer}))
    return found


def _outside(steps: Sequence[tuple[Level, GroupedStep]]) -> list[Finding]:
    found = []
    for level, item in steps:
        share = 1.0 - item.requests / item.bins.total if item.bins.total else 0.0
        if share > 0.001:
            effect = "too many to bound its latencies" if share > 0.5 else "its latency bounds allow for that"
            what = "cumulative-percentiles" if item.kind == "cumulative-history" else "histogram-not-cut"
            found.append(
                Finding(
                    what, "warning",
                    f"Step {level.step}: {share:.0%} of the requests behind its percentiles were sent outside its "
                    f"steady window; {effect}.",
                    "Run a level a run with --reset-stats, or with --csv-full-history.",
                    {"step": level.step, "share": share},
                )
            )  # fmt: skip
        elif item.kind == "stats":
            text = f"Step {level.step}: the final statistics hold its ramp and warm-up, which cannot be cut."
            found.append(Finding("warm-up-not-cut", "warning", text, "Keep _stats_history.csv.", {"step": level.step}))
    return found


def _unknown_kinds(steps: Sequence[tuple[Level, GroupedStep]]) -> list[Finding]:
    unknown = [level.step for level, item in steps if item.failures and not level.run.failures]
    several = [level.step for level, item in steps if item.failures and len(level.run.failures) > 1]
    found = []
    if unknown:
        text = f"{_numbers(unknown).capitalize()}: there is no _failures.csv, so shed requests count as failed."
        found.append(Finding("failure-kinds-unknown", "warning", text, "Add it.", {"steps": unknown}))
    if several:
        text = (
            f"{_numbers(several).capitalize()}: failures of several kinds were counted over the whole run only; the "
            "window's are shared out alike."
        )
        found.append(Finding("failure-kinds-shared-out", "info", text, "", {"steps": several}))
    return found


def _ramp_not_known(steps: Sequence[tuple[Level, GroupedStep | None]]) -> list[Finding]:
    unknown = [
        level.step
        for level, item in steps
        if math.isnan(level.reached_s) and not level.is_cut_stated and (item is None or item.kind != "stats")
    ]
    if not unknown:
        return []
    text = f"{_numbers(unknown).capitalize()}: no history says when all users ran; the first quarter is dropped."
    return [Finding("ramp-not-known", "warning", text, "State skip_s in STEPS.csv.", {"steps": unknown})]


def _totals(run: Run) -> list[Finding]:
    """Where log, report and statistics of a run count differently."""
    counts = {
        "request log": run.log.requests if run.log else None,
        "JSON report": run.report.requests if run.report else None,
        "_stats.csv": run.stats.requests if run.stats else None,
    }
    known = {name: number for name, number in counts.items() if number is not None}
    found = []
    name = printable(run.files.name)
    complete = known.get("JSON report")
    if complete is not None and known.get("_stats.csv", complete) < complete:
        missing = complete - known["_stats.csv"]
        found.append(
            Finding(
                "last-second-missing", "info",
                f"{name}: Locust's _stats.csv lacks the last {missing:,} of {complete:,} requests that its report has.",
                "The report counts.", {"run": name, **known},
            )
        )  # fmt: skip
    logged = known.get("request log")
    others = max((number for key, number in known.items() if key != "request log"), default=None)
    if logged is not None and others is not None and logged != others:
        is_less = logged < others
        why = "rows are missing from the log" if is_less else "its statistics were reset, or it stopped sooner"
        found.append(
            Finding(
                "totals-differ", "warning" if is_less else "info",
                f"{name}: the request log has {logged:,} requests, Locust counted {others:,} ({why}).",
                "With --processes the request logger loses rows; use one process." if is_less else "",
                {"run": name, **known},
            )
        )  # fmt: skip
    return found


def _exceptions(run: Run) -> list[Finding]:
    if not run.exceptions:
        return []
    name = printable(run.files.name)
    text = f"{name}: the test script raised {run.exceptions} different exceptions; users that crash send less load."
    return [Finding("script-exceptions", "warning", text, "Look at _exceptions.csv.", {"number": run.exceptions})]
