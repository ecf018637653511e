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
    """Say which percentiles of which steps rest on too few served requests; short of P95 it is a caveat."""
    if not recording.steps:
        return NotApplicable("no steps")
    groups: dict[tuple[str, ...], list[LoadStep]] = {}
    for step in recording.steps:
        groups.setdefault(_unsupported(step), []).append(step)
    return [_thin(names, steps) for names, steps in groups.items() if names]


def _unsupported(step: LoadStep) -> tuple[str, ...]:
    served = step.outcomes.get("served", 0)
    return tuple(name for name, p in _PERCENTILES.items() if served * min(p, 1 - p) < FEWEST_BEYOND - 1e-9)


def _thin(names: tuple[str, ...], steps: list[LoadStep]) -> Finding:
    counts = [step.outcomes.get("served", 0) for step in steps]
    severity: Severity = "info" if names == ("P99",) else "warning"
    numbers = ", ".join(str(step.step) for step in steps)
    which = f"Step {numbers} has" if len(steps) == 1 else f"Steps {numbers} have"
    fewest = f"{counts[0]:,}" if len(steps) == 1 else f"{min(counts):,} to {max(counts):,}"
    message = f"{which} {fewest} served requests, too few for {', '.join(names)}."
    needed = round(FEWEST_BEYOND / (1 - _PERCENTILES[names[-1]]))
    remedy = f"Make steps longer: {names[-1]} takes {needed:,} served requests in the window."
    of = {"steps": [step.step for step in steps], "served": counts, "percentiles": list(names)}
    return Finding(CODE, severity, message, remedy, of)
