"""Steps from sources without single requests: counts, sums and bins, whatever the best source has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from loadtests.estimation.binned_latency import LatencyBins, step_metrics_of_bins
from loadtests.estimation.counted_rates import rate_metrics_of_counts
from loadtests.foundation.intervals import Interval
from loadtests.importing.histogram import bins_of_percentiles
from loadtests.importing.history import TILE_S, History
from loadtests.importing.levels import Level
from loadtests.recording import LoadStep
from loadtests.tables import ANY_OUTCOME, LATENCY_BIN_COLUMNS, Outcome

SourceKind = Literal["log", "report", "recent-history", "cumulative-history", "stats"]

_LEAST_INSIDE = 0.5
_ROW_S = 1.0


@dataclass(frozen=True, eq=False)
class GroupedStep:
    """A step's window, counts and bins; times are seconds since the epoch.

    Parameters
    ----------
    kind : str
        Where they come from.
    requests, failures : int
        Inside the window.
    bins : LatencyBins
        All outcomes blended; may hold requests from outside the window.
    residence_s : float
        Sum of the residence times inside the window; NaN when not known.
    clock_error_s : float
        How far the window's length may be off.
    endpoints : mapping of str to LatencyBins
        Bins by name of the request, where the source has them; all outcomes blended.
    """

    kind: SourceKind
    start_s: float
    end_s: float
    requests: int
    failures: int
    bins: LatencyBins
    residence_s: float
    clock_error_s: float = 0.0
    endpoints: Mapping[str, LatencyBins] = field(default_factory=dict)


def grouped_step(level: Level) -> GroupedStep | None:
    """The level by the best of its run's sources: report, full history, cumulative history, final state."""
    for read in (_of_report, _of_recent_history, _of_cumulative_history, _of_stats):
        found = read(level)
        if found is not None and found.requests > 0:
            return found
    return None


def load_step(level: Level, step: GroupedStep, origin_s: float) -> tuple[LoadStep, pd.DataFrame]:
    """The step with its metrics, and its rows of the `latency_bins` table.

    Parameters
    ----------
    level : Level
    step : GroupedStep
    origin_s : float
        Epoch time that counts as 0 in the recording.
    """
    outcomes = outcomes_of(step, level.run.failures)
    rows = _rows(level.step, "", step.bins)
    window_s = step.end_s - step.start_s
    total_s = None if math.isnan(step.residence_s) else step.residence_s
    metrics = {
        **rate_metrics_of_counts(outcomes, window_s, clock_error_s=step.clock_error_s),
        **step_metrics_of_bins(rows, outcomes, total_s=total_s),
    }
    if step.failures and not level.run.failures:
        metrics["shed_rate"] = _any_part_of(step)
    start_s, end_s = step.start_s - origin_s, step.end_s - origin_s
    made = LoadStep(level.step, level.users, start_s, end_s, step.requests, metrics, outcomes, think=level.think)
    apart = [_rows(level.step, name, bins) for name, bins in step.endpoints.items()] if len(step.endpoints) > 1 else []
    return made, pd.concat([rows, *apart], ignore_index=True)[list(LATENCY_BIN_COLUMNS)]


def _rows(step: int, endpoint: str, bins: LatencyBins) -> pd.DataFrame:
    """Rows of the `latency_bins` table; an empty endpoint stands for all together."""
    used = bins.count > 0
    columns = {"low_s": bins.low_s[used], "high_s": bins.high_s[used], "count": bins.count[used]}
    made = pd.DataFrame(columns).assign(step=step, endpoint=endpoint, outcome=ANY_OUTCOME)
    return made.astype(LATENCY_BIN_COLUMNS)


def outcomes_of(step: GroupedStep, kinds: Mapping[Outcome, int]) -> dict[str, int]:
    """Requests by outcome: the window's failures, shared out as those of the whole run were.

    Without the kinds of failures in the run they are `failed`. Largest remainders get the rest.
    """
    failures = min(step.failures, step.requests)
    found: dict[str, int] = {"served": step.requests - failures}
    total = sum(kinds.values())
    if not total:
        return found | ({"failed": failures} if failures else {})
    exact = {kind: failures * number / total for kind, number in kinds.items()}
    shares = {kind: math.floor(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: shares[kind] - exact[kind])
    for kind in by_remainder[: failures - sum(shares.values())]:
        shares[kind] += 1
    return found | {kind: number for kind, number in shares.items() if number}


def _any_part_of(step: GroupedStep) -> Interval:
    """The shed rate where any part of the failures may have been shed: none to all of them."""
    window_s = step.end_s - step.start_s
    most = rate_metrics_of_counts({"served": step.requests - step.failures, "shed": step.failures}, window_s)
    return Interval(0.0, math.nan, most["shed_rate"].high, most["shed_rate"].level)


def _of_report(level: Level) -> GroupedStep | None:
    """The report's histogram, which is of the whole run since its start or reset.

    It is taken whole where that is the level. Else the requests of the seconds outside count as
    from outside; where they are most of them, it says nothing about the level.
    """
    report = level.run.report
    if report is None:
        return None
    from_s = level.reached_s + _ROW_S if not (level.is_cut_stated or math.isnan(level.reached_s)) else level.steady_s
    is_start_whole = report.start_s >= from_s - 2 * _ROW_S
    if is_start_whole and level.end_s >= report.end_s - _ROW_S:
        return GroupedStep(
            "report", report.start_s, report.end_s, report.requests, report.failures, report.bins, report.residence_s,
            endpoints=report.endpoints,
        )  # fmt: skip
    first = math.ceil(report.start_s if is_start_whole else from_s)
    last = math.floor(min(level.end_s, report.end_s))
    requests, failures = (
        sum(number for second, number in counts.items() if first <= second < last)
        for counts in (report.requests_per_s, report.failures_per_s)
    )
    if last <= first or requests < _LEAST_INSIDE * report.bins.total:
        return None
    return GroupedStep("report", first, last, requests, failures, report.bins, math.nan, endpoints=report.endpoints)


def _of_recent_history(level: Level) -> GroupedStep | None:
    """Stretches of 10 s, one behind the other back from the level's end, each with its percentiles."""
    history = level.run.history
    if history is None or not history.is_recent:
        return None
    last = _last_row(history, level.end_s)
    end, parts = last, []
    while last > 0:
        first = int(np.searchsorted(history.time_s, history.time_s[last] - TILE_S, side="right")) - 1
        if first < 0 or history.time_s[first] < level.steady_s:
            break
        parts.append(_tile(history, first, last))
        last = first
    if not parts:
        return None
    bins = LatencyBins.of(*(np.concatenate([getattr(part, name) for part in parts]) for name in _BIN_FIELDS))
    return _between(history, last, end, "recent-history", bins)


_BIN_FIELDS = ("low_s", "high_s", "count")


def _tile(history: History, first: int, last: int) -> LatencyBins:
    number = round(history.requests[last] - history.requests[first])
    return bins_of_percentiles(history.percentiles(last), number, most_s=_or_infinite(history.most_s[last]))


def _of_cumulative_history(level: Level) -> GroupedStep | None:
    """Differences of counters; percentiles are of everything since the start, requests before the level included."""
    history = level.run.history
    if history is None:
        return None
    first = int(np.searchsorted(history.time_s, level.steady_s, side="left"))
    last = _last_row(history, level.end_s)
    if last <= first:
        return None
    number = round(history.counted[last])
    percentiles = {} if history.is_recent else history.percentiles(last)
    least, most = history.least_s[last], _or_infinite(history.most_s[last])
    bins = bins_of_percentiles(percentiles, number, 0.0 if math.isnan(least) else least, most)
    return _between(history, first, last, "cumulative-history", bins)


def _of_stats(level: Level) -> GroupedStep | None:
    """The final state: all of the run, its length by Locust's mean rate."""
    stats = level.run.stats
    if stats is None or not stats.requests or not stats.rate_rps > 0 or level.run.history is not None:
        return None
    least, most = (0.0 if math.isnan(stats.least_s) else stats.least_s), _or_infinite(stats.most_s)
    bins = bins_of_percentiles(stats.percentiles_ms, stats.requests, least, most)
    end_s = level.start_s + stats.requests / stats.rate_rps
    residence_s = stats.average_s * stats.requests
    return GroupedStep("stats", level.start_s, end_s, stats.requests, stats.failures, bins, residence_s, _ROW_S)


def _between(history: History, first: int, last: int, kind: SourceKind, bins: LatencyBins) -> GroupedStep:
    requests, failures, residence_s = (
        float(values[last] - values[first]) for values in (history.requests, history.failures, history.residence_s)
    )
    start_s, end_s = float(history.time_s[first]), float(history.time_s[last])
    return GroupedStep(kind, start_s, end_s, round(requests), round(failures), bins, residence_s, _ROW_S)


def _last_row(history: History, end_s: float) -> int:
    return int(np.searchsorted(history.time_s, end_s, side="right")) - 1


def _or_infinite(value: float) -> float:
    return math.inf if math.isnan(value) else float(value)
