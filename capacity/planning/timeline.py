"""When to scale in which way: the phases of a plan, by rule.

The rules reproduce the guide's scaling timeline from its numbers; no month is
written down anywhere:

- *vertical* (one instance) while the peak stays below the maximum of one instance;
- *autoscaling* from the first month, at or after the end of that, in which a
  peak within the lead time exceeds what the horizontal fleet carries with one
  instance lost: (n - 1) x normal capacity, n the instances that the high factor
  asks for in the first month after the vertical phase;
- *horizontal* (a fleet set by hand) between.

A phase never goes back, also where the peaks fall. Only known peaks count: near
the end the look-ahead is as long as the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from capacity.demand.wording import amount, counted, html_table, month_span, number_range, text_table
from capacity.planning.instance_formula import required_instances
from capacity.planning.policy import AutoscalingBounds
from loadtests.foundation.exact_numbers import exact

if TYPE_CHECKING:
    import pandas as pd

    from capacity.planning.plan import CapacityPlan

PhaseName = Literal["vertical", "horizontal", "autoscaling"]


@dataclass(frozen=True)
class ScalingPhase:
    """Months scaled in one way.

    Parameters
    ----------
    phase : {"vertical", "horizontal", "autoscaling"}
    from_month : int
    to_month : int, optional
        Last month; None for the last phase, which stays open.
    min_instances, max_instances : int
    reason : str
        The rule with its numbers.
    """

    phase: PhaseName
    from_month: int
    to_month: int | None
    min_instances: int
    max_instances: int
    reason: str

    def covers(self, month: int) -> bool:
        """Whether `month` belongs to the phase."""
        return self.from_month <= month and (self.to_month is None or month <= self.to_month)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "phase": self.phase,
            "from_month": self.from_month,
            "to_month": self.to_month,
            "instances": {"min": self.min_instances, "max": self.max_instances},
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ScalingPhase:
        """Read what `to_dict` wrote."""
        instances = data["instances"]
        return cls(
            data["phase"], data["from_month"], data["to_month"], instances["min"], instances["max"], data["reason"]
        )


@dataclass(frozen=True)
class PhaseRules:
    """The numbers that decide the phases.

    Parameters
    ----------
    normal, maximum : Fraction
        Normal and maximum capacity of one instance.
    factors : (low, high)
        Safety factors.
    lead_time_months : int
    autoscaling : AutoscalingBounds
    """

    normal: Fraction
    maximum: Fraction
    factors: tuple[Any, Any]
    lead_time_months: int
    autoscaling: AutoscalingBounds

    def needed(self, peak: float) -> tuple[int, int]:
        """Instances at the low and at the high factor."""
        low, high = self.factors
        return required_instances(peak, self.normal, low), required_instances(peak, self.normal, high)


def horizontal_start(peaks: Sequence[float], rules: PhaseRules) -> int | None:
    """First month whose peak reaches the maximum of one instance; None when none does."""
    return next((month for month, peak in enumerate(peaks) if exact("peak", peak) >= rules.maximum), None)


def autoscaling_start(peaks: Sequence[float], rules: PhaseRules) -> int | None:
    """First month in which a peak within the lead time exceeds the horizontal fleet with one instance lost."""
    start = horizontal_start(peaks, rules)
    if start is None:
        return None
    spare = _fleet_with_one_lost(peaks[start], rules)
    ahead = (month for month in range(start, len(peaks)) if _largest_ahead(peaks, month, rules)[1] > spare)
    return next(ahead, None)


def phases_of(peaks: Sequence[float], rules: PhaseRules) -> tuple[ScalingPhase, ...]:
    """The phases of monthly peaks (month 0 first), in order, without gaps, the last one open."""
    horizontal, auto = horizontal_start(peaks, rules), autoscaling_start(peaks, rules)
    starts = ((_vertical, 0), (_horizontal, horizontal), (_autoscaling, auto))
    begun = [(build, start) for build, start in starts if start is not None]
    ends = [start for _, start in begun[1:]] + [len(peaks)]
    spans = [(build, start, end) for (build, start), end in zip(begun, ends, strict=True) if end > start]
    return tuple(build(peaks, rules, start, None if end == len(peaks) else end - 1) for build, start, end in spans)


def _fleet_with_one_lost(peak: float, rules: PhaseRules) -> Fraction:
    return (rules.needed(peak)[1] - 1) * rules.normal


def _largest_ahead(peaks: Sequence[float], month: int, rules: PhaseRules) -> tuple[int, float]:
    """Month and size of the largest known peak from `month` to the lead time after it."""
    known = range(month, min(month + rules.lead_time_months, len(peaks) - 1) + 1)
    largest = max(known, key=lambda candidate: peaks[candidate])
    return largest, peaks[largest]


def _vertical(peaks: Sequence[float], rules: PhaseRules, start: int, to: int | None) -> ScalingPhase:
    top = max(peaks[start : None if to is None else to + 1])
    reason = f"The largest peak, {amount(top)}, stays below the maximum of one instance, {amount(rules.maximum)}"
    reason += _open_end(to, len(peaks)) if to is None else f"; month {to + 1} reaches {amount(peaks[to + 1])}."
    return ScalingPhase("vertical", start, to, 1, 1, reason)


def _horizontal(peaks: Sequence[float], rules: PhaseRules, start: int, to: int | None) -> ScalingPhase:
    needs = [rules.needed(peak) for peak in peaks[start : None if to is None else to + 1]]
    least, most = min(low for low, _ in needs), max(high for _, high in needs)
    low_factor, high_factor = rules.factors
    low, high = needs[0]
    over_phase = "" if (least, most) == (low, high) else f" ({number_range(least, most)} over the phase)"
    reason = (
        f"Month {start} needs {amount(peaks[start])}, which reaches the maximum of one instance, "
        f"{amount(rules.maximum)}; the formula asks for {low} at x{low_factor} up to {high} at x{high_factor}"
        f"{over_phase}, and without one of {high} the rest carry "
        f"{amount(_fleet_with_one_lost(peaks[start], rules))}, enough for the peaks ahead"
    )
    reason += _open_end(to, len(peaks)) if to is None else "."
    return ScalingPhase("horizontal", start, to, least, most, reason)


def _autoscaling(peaks: Sequence[float], rules: PhaseRules, start: int, to: int | None) -> ScalingPhase:
    first = horizontal_start(peaks, rules)
    fleet = rules.needed(peaks[start if first is None else first])[1]
    month, peak = _largest_ahead(peaks, start, rules)
    most = max(rules.needed(peak)[1] for peak in peaks[start:])
    reason = (
        f"Month {month} needs {amount(peak)}, more than {fleet - 1} x {amount(rules.normal)} = "
        f"{amount((fleet - 1) * rules.normal)}: losing one of {counted(fleet, 'instance')} would break it"
    )
    bounds = rules.autoscaling
    return ScalingPhase("autoscaling", start, to, bounds.min, max(bounds.max, most), reason + _open_end(to, len(peaks)))


def _open_end(to: int | None, months: int) -> str:
    return "." if to is not None else f". Peaks after month {months - 1} are not known."


@dataclass(frozen=True)
class ScalingTimeline:
    """The phases of a plan.

    Parameters
    ----------
    phases : tuple of ScalingPhase
        In order, without gaps; the last is open.
    last_month : int
        Last month with a projected peak.
    """

    phases: tuple[ScalingPhase, ...]
    last_month: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"phases": [phase.to_dict() for phase in self.phases], "last_month": self.last_month}

    def to_frame(self) -> pd.DataFrame:
        """One row a phase: phase, from_month, to_month (<NA> when open), min_instances, max_instances, reason."""
        import pandas as pd

        names = ("phase", "from_month", "to_month", "min_instances", "max_instances", "reason")
        frame = pd.DataFrame({name: [getattr(phase, name) for phase in self.phases] for name in names})
        return frame.astype({"to_month": "Int64"})

    def summary(self) -> str:
        """A table of the phases for people."""
        return text_table(("months", "phase", "instances", "reason"), self._rows())

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (month_span(p.from_month, p.to_month), p.phase, number_range(p.min_instances, p.max_instances), p.reason)
            for p in self.phases
        ]

    def __repr__(self) -> str:
        parts = (f"{p.phase} {month_span(p.from_month, p.to_month)}" for p in self.phases)
        return f"ScalingTimeline({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return html_table(("months", "phase", "instances", "reason"), self._rows(), "Scaling timeline")


def scaling_timeline(plan: CapacityPlan) -> ScalingTimeline:
    """Return the phases of a plan as a timeline."""
    return ScalingTimeline(plan.phases, plan.steps[-1].month)
