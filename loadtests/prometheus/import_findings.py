"""What whoever uses an imported recording should know about it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration
from loadtests.prometheus.observed import Observed
from loadtests.prometheus.query_map import IN_FLIGHT
from loadtests.prometheus.statuses import is_class
from loadtests.prometheus.steps import Level

COVERED = 0.01
"""Histogram and counter may differ by this share of the requests."""
_IN_FLIGHT_DIFFERS = 0.2
_FEWEST_READINGS = 10


def source_findings(observed: Observed) -> list[Finding]:
    """About the samples: restarts, gaps, what could not be read, what does not add up."""
    counters = observed.counters
    found = [*_server_side(observed), *_holes(observed)]
    if counters.left_out_samples:
        found.append(
            Finding(
                "bad-samples", "warning",
                f"{counters.left_out_samples} samples of counters were NaN, infinite or negative; their scrapes are "
                "left out.",
                "Look at the exporter: a counter is a number from 0.", {"samples": counters.left_out_samples},
            )
        )  # fmt: skip
    if any(is_class(status) for status in observed.statuses):
        found.append(
            Finding(
                "status-classes", "warning",
                f"Statuses are only known by class ({', '.join(observed.statuses)}): 503s of the gate cannot be told "
                "from errors, so shed requests count as server errors.",
                "Export the whole status.", {"statuses": list(observed.statuses)},
            )
        )  # fmt: skip
    if observed.look_alikes:
        found.append(
            Finding(
                "duplicate-series", "warning",
                f"{len(observed.look_alikes)} series of requests repeat another one sample by sample; if they are the "
                "same requests, those count twice.",
                "Select one of them in the query map.", {"labels": list(observed.look_alikes)},
            )
        )  # fmt: skip
    return found + _histogram_findings(observed)


def _server_side(observed: Observed) -> list[Finding]:
    scrape = observed.counters.scrape_interval_s
    return [
        Finding(
            "server-side-latency", "info",
            "Latencies are those that the server measures; the network, and the wait for the server to take the "
            "connection, come on top for a client.",
            "Compare with one measurement from a client.",
        ),
        Finding(
            "bursts-unseen", "info",
            f"Scrapes are {format_duration(scrape)} apart: peaks inside are averaged, and the highest number of "
            "requests in flight is not known.",
            "Scrape more often.", {"scrape_interval_s": scrape},
        ),
    ]  # fmt: skip


def _holes(observed: Observed) -> list[Finding]:
    counters, found = observed.counters, []
    restarts, gaps = int(counters.is_restart.sum()), int((counters.is_gap & ~counters.is_restart).sum())
    if restarts:
        found.append(
            Finding(
                "counter-restart", "warning",
                f"The process was started anew {restarts} time(s) in the range; what it counted between its last "
                "scrape and its end is lost. No step spans a restart.",
                "Look at why it restarted.",
                {"restarts": restarts, "at_s": counters.time_s[1:][counters.is_restart].tolist()},
            )
        )  # fmt: skip
    if gaps:
        found.append(
            Finding(
                "scrape-gap", "warning",
                f"{gaps} time(s) several scrapes in a row are missing, "
                f"{counters.length_s[counters.is_gap].sum():.0f} s "
                "together. No step spans them.",
                "Look at why Prometheus could not scrape.", {"gaps": gaps},
            )
        )  # fmt: skip
    return found


def _histogram_findings(observed: Observed) -> list[Finding]:
    histogram = observed.histogram
    if histogram is None:
        return [
            Finding(
                "no-histogram", "critical", "The query map names no histogram, so nothing is known about latencies.",
                "Name the server's histogram of durations in duration_buckets.",
            )
        ]  # fmt: skip
    found = []
    counted, requests = float(histogram.gained.sum()), float(observed.requests.sum())
    if histogram.out_of_order:
        found.append(
            Finding(
                "buckets-not-cumulative", "warning",
                f"Buckets gained {histogram.out_of_order:g} requests fewer than those below them; taken as none.",
                "Look at the exporter: buckets are cumulative.", {"requests": histogram.out_of_order},
            )
        )  # fmt: skip
    if abs(counted - requests) > COVERED * requests:
        found.append(
            Finding(
                "histogram-differs", "warning",
                f"The histogram has {counted:,.0f} requests where the counter has {requests:,.0f}; latencies are of "
                "those in the histogram.",
                "Let requests and duration_buckets select the same requests.",
                {"histogram": counted, "counter": requests},
            )
        )  # fmt: skip
    return found


def level_findings(levels: Sequence[Level], think: str) -> list[Finding]:
    """About the steps: what their load means, how wide the bins are, what was never reached."""
    found = [_load(think)]
    open_ended = [level.step.step for level in levels if len(level.bins) and not level.step.metrics["p95_s"].is_known]
    if open_ended:
        found.append(
            Finding(
                "bins-too-coarse", "warning",
                f"No upper end of the 95th percentile follows from the bins in step {', '.join(map(str, open_ended))}: "
                "it may lie in the open last bin.",
                "Give the histogram edges beyond the slowest requests, and take longer ranges.", {"steps": open_ended},
            )
        )  # fmt: skip
    if not any(level.step.outcomes.get("shed") for level in levels):
        peak = max(level.step.metrics["throughput_rps"].mid for level in levels)
        found.append(
            Finding(
                "gate-never-reached", "warning",
                f"Nothing was shed up to {peak:.4g} requests/s: where the gate stands, and what the server can serve "
                "at most, is not known.",
                "State the gate in the deployment; load-test beyond it.", {"peak_rps": peak},
            )
        )  # fmt: skip
    return found + _in_flight_findings(levels)


def _load(think: str) -> Finding:
    if think:
        return Finding(
            "users-from-think", "info",
            f"Users are computed from the stated think time ({think}) by N = X (R + Z); nobody counted them.",
        )  # fmt: skip
    return Finding(
        "open-load",
        "info",
        "The users behind live traffic are not known: the load of a step is its mean number of requests in flight, "
        "rounded, and at least 1.",
        "Use throughput_rps as the load, or state a think time.",
    )


def _in_flight_findings(levels: Sequence[Level]) -> list[Finding]:
    """Little's law against the gauge, over all levels (one reading a scrape is a sample, not a mean)."""
    pairs = [
        (level.in_flight, level.gauges.get(IN_FLIGHT, math.nan), level.step.window_s)
        for level in levels
    ]  # fmt: skip
    known = np.array([pair for pair in pairs if all(map(math.isfinite, pair))])
    if len(known) == 0:
        return []
    by_law, by_gauge = (float(np.average(known[:, place], weights=known[:, 2])) for place in (0, 1))
    if abs(by_law - by_gauge) <= max(_IN_FLIGHT_DIFFERS * max(by_law, by_gauge), 1.0):
        return []
    return [
        Finding(
            "in-flight-differs", "warning",
            f"By Little's law {by_law:.3g} requests are inside on average, by the gauge {by_gauge:.3g}: they count "
            "different requests, or the gauge is read when little runs.",
            "Let requests, duration_buckets and in_flight select the same requests.",
            {"by_law": by_law, "by_gauge": by_gauge},
        )
    ]  # fmt: skip
