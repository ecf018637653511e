"""Whether there are enough requests for the percentiles that are stated."""

from __future__ import annotations

from loadtests.foundation.findings import Finding, Severity
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import Looked, NotApplicable

CODE = "too-few-samples"
FEWEST_BEYOND = 10
"""Requests on either side of a percentile; with fewer the distribution-free interval for it (order
statistics, binomial) is wider than the part of the distribution beyond it."""
_PERCENTILES = {"P50": 0.5, "P95": 0.95, "P99": 0.99}


def look_at_sample_sizes(recording: Recording) -> Looked:
    """Say which percentiles of which step rest on too few served requests; short of P95 it is a caveat."""
    if not recording.steps:
        return NotApplicable("no steps")
    return [finding for step in recording.steps for finding in _thin(step)]


def _thin(step: LoadStep) -> list[Finding]:
    served = step.outcomes.get("served", 0)
    names = [name for name, p in _PERCENTILES.items() if served * min(p, 1 - p) < FEWEST_BEYOND - 1e-9]
    if not served:
        return [_none_served(step)]
    if not names:
        return []
    severity: Severity = "info" if names == ["P99"] else "warning"
    message = f"Step {step.step} has {served:,} served requests, too few for {', '.join(names)}."
    needed = round(FEWEST_BEYOND / (1 - _PERCENTILES[names[-1]]))
    remedy = f"Make the step longer: {names[-1]} takes {needed:,} served requests in the window."
    return [Finding(CODE, severity, message, remedy, {"step": step.step, "served": served, "percentiles": names})]


def _none_served(step: LoadStep) -> Finding:
    message = f"Step {step.step} has no served request among {step.requests:,}; it says nothing of latency."
    remedy = "Look at the outcomes: a step in which all is turned away or fails is far beyond what the server can do."
    return Finding(CODE, "warning", message, remedy, {"step": step.step, "served": 0})
