"""What counters, buckets and gauges of live traffic can tell about a server, and what they cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from loadtests.deployment import Deployment
from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.units import format_duration
from loadtests.prometheus.query_map import QUEUE_LENGTH, WORKERS_BUSY
from loadtests.prometheus.steps import Level

Status = Literal["known", "bounded", "unknown"]
Verdict = Literal["identified", "partly-identified", "not-identified"]

LEAST_RATE_RATIO = 1.5
"""Levels whose rates are closer than this show one operating point."""
_FEWEST_BINS, _LEAST_IN_BIN = 4, 0.01


@dataclass(frozen=True)
class Knowledge:
    """What is known of one quantity.

    Parameters
    ----------
    name : str
    status : {"known", "bounded", "unknown"}
    why : str
    """

    name: str
    status: Status
    why: str


@dataclass(frozen=True)
class Identifiability:
    """What a recording from Prometheus can tell.

    Parameters
    ----------
    verdict : {"identified", "partly-identified", "not-identified"}
        ``not-identified``: there are no residence times, or only one level of load, so nothing can be fitted.
        ``identified``: besides, the mean service time, the shape of the residence times within
        bins and the gate are known. ``partly-identified``: in between; some parameters of a model have
        to be assumed.
    quantities : tuple of Knowledge
    """

    verdict: Verdict
    quantities: tuple[Knowledge, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"verdict": self.verdict, "quantities": [asdict(item) for item in self.quantities]}

    @property
    def finding(self) -> Finding:
        """The verdict as a finding."""
        unknown = [item.name for item in self.quantities if item.status == "unknown"]
        severities: dict[Verdict, Severity] = {
            "identified": "info", "partly-identified": "warning", "not-identified": "critical",
        }  # fmt: skip
        return Finding(
            "identifiability", severities[self.verdict],
            f"The verdict is {self.verdict}: these data do not tell {', '.join(unknown)}.",
            "State in the deployment what is configured (workers, gate), add gauges of busy workers and of the line to "
            "the query map, or load-test one instance with capacity record.",
            {"verdict": self.verdict, "unknown": unknown},
        )  # fmt: skip


def judge(levels: Sequence[Level], deployment: Deployment, scrape_interval_s: float, *, think: str) -> Identifiability:
    """Say of each quantity whether it is known, bounded or unknown, and of all together what can be fitted.

    Parameters
    ----------
    levels : sequence of Level
        At least one.
    deployment : Deployment
    scrape_interval_s : float
    think : str
        Nominal think time as text; empty when nobody states it.

    Returns
    -------
    Identifiability
    """
    found = {
        item.name: item
        for item in (
            Knowledge("arrival_rate", "known", "counters hold every request of every level"),
            _residence_mean(levels),
            _residence_shape(levels),
            _by_gauge("service_time_mean", WORKERS_BUSY, levels, "busy workers / served rate (utilization law)"),
            _by_gauge("waiting_time_mean", QUEUE_LENGTH, levels, "waiting requests / rate (Little's law)"),
            _gate(levels, deployment),
            _load_range(levels),
            _think(think),
            Knowledge("client_latency", "unknown", "the server's clock starts when a request has arrived there"),
            Knowledge(
                "bursts", "unknown",
                f"nothing is seen between two scrapes, {format_duration(scrape_interval_s)} apart",
            ),
        )
    }  # fmt: skip
    return Identifiability(_verdict(found), tuple(found.values()))


def _verdict(found: dict[str, Knowledge]) -> Verdict:
    status = {name: item.status for name, item in found.items()}
    if "unknown" in (status["residence_time_mean"], status["load_range"]):
        return "not-identified"
    is_split = status["service_time_mean"] == "known" and status["gate"] != "unknown"
    return "identified" if is_split and status["residence_time_shape"] == "bounded" else "partly-identified"


def _residence_mean(levels: Sequence[Level]) -> Knowledge:
    intervals = [level.step.metrics["mean_s"] for level in levels]
    known = [item for item in intervals if item.is_known]
    if not known:
        return Knowledge("residence_time_mean", "unknown", "there is no histogram with a closed bin for its times")
    widest = max((item.high - item.low) / item.mid if item.mid else math.inf for item in known)
    return Knowledge("residence_time_mean", "bounded", f"within bins, widest interval {widest:.0%} of its middle")


def _residence_shape(levels: Sequence[Level]) -> Knowledge:
    """Bins that hold a percent of a level's requests, at the level where they are most."""
    used = [
        int(np.sum(level.bins["count"] >= _LEAST_IN_BIN * level.bins["count"].sum()))
        for level in levels
        if len(level.bins)
    ]
    most = max(used, default=0)
    why = f"{most} bins hold at least {_LEAST_IN_BIN:.0%} of a level's requests; inside a bin nothing is known"
    return Knowledge("residence_time_shape", "bounded" if most >= _FEWEST_BINS else "unknown", why)


def _by_gauge(name: str, gauge: str, levels: Sequence[Level], how: str) -> Knowledge:
    if all(math.isfinite(level.gauges.get(gauge, math.nan)) for level in levels):
        return Knowledge(name, "known", f"gauge {gauge}: {how}")
    return Knowledge(
        name, "unknown", f"there is no gauge {gauge}, and residence times hold service and waiting together"
    )


def _gate(levels: Sequence[Level], deployment: Deployment) -> Knowledge:
    if deployment.gate is not None:
        return Knowledge("gate", "known", f"the deployment states it: {deployment.gate}")
    shed = [level for level in levels if level.step.outcomes.get("shed")]
    if not shed:
        return Knowledge("gate", "unknown", "no level was shed, so the gate was never reached")
    return Knowledge("gate", "bounded", f"{len(shed)} of {len(levels)} levels were shed")


def _load_range(levels: Sequence[Level]) -> Knowledge:
    rates = [level.step.metrics["throughput_rps"].mid for level in levels]
    ratio = max(rates) / min(rates)
    why = f"rates from {min(rates):.4g} to {max(rates):.4g} per second in {len(rates)} levels"
    return Knowledge("load_range", "bounded" if ratio >= LEAST_RATE_RATIO else "unknown", why)


def _think(think: str) -> Knowledge:
    if think:
        return Knowledge("think_time", "bounded", f"stated, not measured: {think}")
    return Knowledge("think_time", "unknown", "counters do not know users; the load is open")
