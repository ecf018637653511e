"""What the checks of a plan look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from capacity.demand.growth import GrowthProjection
from capacity.planning.basis import InstanceBasis
from capacity.planning.plan import PlanStep
from capacity.planning.policy import PlanningPolicy
from capacity.planning.timeline import ScalingPhase
from loadtests.foundation.findings import Finding
from simulations.analysis.capacity_curve import InstanceCapacity


@dataclass(frozen=True)
class PlanFacts:
    """Inputs, basis and result of a plan."""

    growth: GrowthProjection
    capacity: InstanceCapacity
    policy: PlanningPolicy
    basis: InstanceBasis
    steps: tuple[PlanStep, ...]
    phases: tuple[ScalingPhase, ...]


Check = Callable[[PlanFacts], Iterable[Finding]]
