"""What a reader of a plan must know: every check of the inputs and of the result, most severe first.

A check looks at the facts and yields findings, none when its inputs are not
there. It never repeats a number from elsewhere; it computes its own.
"""

from __future__ import annotations

from collections.abc import Iterable

from capacity.planning.demand_findings import DEMAND_CHECKS
from capacity.planning.facts import PlanFacts
from capacity.planning.fleet_findings import FLEET_CHECKS
from capacity.planning.service_findings import SERVICE_CHECKS
from loadtests.foundation.findings import Finding

_ORDER = ("critical", "warning", "info")


def plan_findings(facts: PlanFacts) -> tuple[Finding, ...]:
    """Run every check; most severe first, within a severity in the order fleet, service, demand."""
    checks = (*FLEET_CHECKS, *SERVICE_CHECKS, *DEMAND_CHECKS)
    found = [finding for check in checks for finding in check(facts)]
    return most_severe_first(found)


def most_severe_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The same, within a severity in their order."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))
