"""From shifts with their noise to judged differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.comparison.noise import Estimate
from loadtests.comparison.result import Difference, Scope
from loadtests.comparison.rule import SHARES, ComparisonRule, Verdict, harm_sign, margin_of_harm, student_quantile
from loadtests.foundation.intervals import Interval, IntervalKind

_MOST_RUNS = 20
"""A difference that would need more runs of each side is called too near to the margin."""


@dataclass(frozen=True)
class Shift:
    """How far B lies from A: a difference of logarithms, or of shares.

    Parameters
    ----------
    metric : str
    scope : {"step", "all steps", "parameter", "prediction"}
    users : int or None
    a, b : Estimate
        Each side's own value.
    value : float
        NaN where one side is not known.
    sampling_variance : float
        What longer windows make smaller.
    common_variance : float
        What only repeated runs make smaller.
    degrees : float
    is_judged : bool
    kind : {"confidence", "parameter"}
        Of the intervals.
    """

    metric: str
    scope: Scope
    users: int | None
    a: Estimate
    b: Estimate
    value: float
    sampling_variance: float
    common_variance: float = 0.0
    degrees: float = math.inf
    is_judged: bool = True
    kind: IntervalKind = field(default="confidence")

    @property
    def standard_error(self) -> float:
        """Of the shift."""
        return math.sqrt(self.sampling_variance + self.common_variance)

    @property
    def harm(self) -> float:
        """The shift, positive where B is worse."""
        return harm_sign(self.metric) * self.value


def judge_together(shifts: Sequence[Shift], rule: ComparisonRule) -> tuple[Difference, ...]:
    """Judge shifts by a rule, all that are judged as one family.

    Parameters
    ----------
    shifts : sequence of Shift
    rule : ComparisonRule

    Returns
    -------
    tuple of Difference
        In the order of `shifts`; those that are not known are left out.
    """
    known = [item for item in shifts if math.isfinite(item.value) and math.isfinite(item.standard_error)]
    family = max(sum(item.is_judged for item in known), 1)
    return tuple(_difference(item, rule, family) for item in known)


def _difference(shift: Shift, rule: ComparisonRule, family: int) -> Difference:
    tail = (1.0 - rule.level) / 2.0
    together = 1.0 - (1.0 - rule.level) / family
    reach = student_quantile(shift.degrees, tail)
    reach_together = student_quantile(shift.degrees, tail / family)
    verdict = _verdict(shift, margin_of_harm(shift.metric, rule), reach, reach_together)
    hint = _hint(shift, margin_of_harm(shift.metric, rule), reach, reach_together) if verdict == "unclear" else ""
    return Difference(
        shift.metric, shift.scope, shift.users, _own(shift.a, shift, rule), _own(shift.b, shift, rule),
        _change(shift, reach, rule.level), _change(shift, reach_together, together),
        rule.margin_of(shift.metric), verdict, hint,
    )  # fmt: skip


def _verdict(shift: Shift, margin: float, reach: float, reach_together: float) -> Verdict:
    if not shift.is_judged:
        return "not judged"
    if shift.harm - reach_together * shift.standard_error > margin:
        return "worse"
    return "not worse" if shift.harm + reach * shift.standard_error < margin else "unclear"


def _change(shift: Shift, reach: float, level: float) -> Interval:
    ends = [shift.value + side * reach * shift.standard_error for side in (-1.0, 0.0, 1.0)]
    if shift.metric not in SHARES:
        ends = [math.expm1(min(end, 700.0)) for end in ends]
    return Interval(ends[0], ends[1], ends[2], level, shift.kind)


def _own(estimate: Estimate, shift: Shift, rule: ComparisonRule) -> Interval:
    """A side's own value; its interval holds its sampling noise only."""
    if not estimate.is_known:
        return Interval.unknown(rule.level, shift.kind)
    half = student_quantile(estimate.degrees, (1.0 - rule.level) / 2.0) * math.sqrt(estimate.variance)
    low, mid, high = estimate.value - half, estimate.value, estimate.value + half
    if shift.metric in SHARES:
        return Interval(max(low, 0.0), mid, min(high, 1.0), rule.level, shift.kind)
    return Interval(math.exp(low), math.exp(mid), math.exp(min(high, 700.0)), rule.level, shift.kind)


def _hint(shift: Shift, margin: float, reach: float, reach_together: float) -> str:
    """How much longer, or how many repeats, until the interval would leave the margin, should the middle stay."""
    side = "beyond" if shift.harm > margin else "inside"
    needed = ((shift.harm - margin) / (reach_together if shift.harm > margin else reach)) ** 2
    runs = (shift.sampling_variance + shift.common_variance) / needed if needed > 0 else math.inf
    if runs > _MOST_RUNS:
        return f"too near to the margin: {_MOST_RUNS} runs of each side would hardly tell"
    if shift.kind != "confidence":
        return f"calibrate both on about {runs:.1f} times the data to say that it lies {side} the margin"
    times = shift.sampling_variance / (needed - shift.common_variance) if needed > shift.common_variance else math.inf
    if times > 2.0 * runs:
        return f"about {max(math.ceil(runs), 2)} runs of each side would say that it lies {side} the margin"
    return f"steps about {max(times, 1.1):.1f} times as long would say that it lies {side} the margin"
