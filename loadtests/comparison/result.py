"""The result of a comparison: differences with intervals, each with its verdict, and the verdict of all."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from loadtests.comparison.rule import SHARES, ComparisonRule, Verdict
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_NAMED = 4
Scope = Literal["step", "all steps", "parameter", "prediction"]


@dataclass(frozen=True)
class Difference:
    """One number of A and of B, and how they differ.

    Parameters
    ----------
    metric : str
    scope : {"step", "all steps", "parameter", "prediction"}
        A step's metric; its mean change over all steps; a fitted parameter; what the models predict for a load.
    users : int or None
        Load level of a step or a prediction.
    a, b : Interval
        Each side's own value, SI units; unknown where it has no meaning (all steps).
    change : Interval
        B / A - 1; of shares of requests B - A. At the rule's level, on its own.
    simultaneous : Interval
        The same with an interval that holds together with all others judged (Bonferroni).
    margin : float
        Harm that is accepted, on the scale of `change`.
    verdict : {"worse", "not worse", "unclear", "not judged"}
    hint : str
        What would decide, where it is unclear.
    """

    metric: str
    scope: Scope
    users: int | None
    a: Interval
    b: Interval
    change: Interval
    simultaneous: Interval
    margin: float
    verdict: Verdict
    hint: str = ""

    @property
    def is_share(self) -> bool:
        """Whether `change` is in points of all requests."""
        return self.metric in SHARES

    @property
    def place(self) -> str:
        """Where it was seen, in words."""
        return f"{self.users} users" if self.users is not None else self.scope

    def describe(self) -> str:
        """One line: ``p95_s at 40 users +12 % (+8 % to +16 %)``."""
        return f"{self.metric} ({self.place}) {format_change(self.change, is_share=self.is_share)}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "metric": self.metric, "scope": self.scope, "users": self.users, "a": self.a.to_dict(),
            "b": self.b.to_dict(), "change": self.change.to_dict(), "simultaneous": self.simultaneous.to_dict(),
            "margin": self.margin, "verdict": self.verdict, "hint": self.hint,
        }  # fmt: skip


def format_change(change: Interval, *, is_share: bool) -> str:
    """``+2.1 % (-0.3 % to +4.5 %)``; shares of requests in points."""
    if not change.is_known:
        return "unknown"
    unit = "pt" if is_share else "%"
    return f"{100 * change.mid:+.1f} {unit} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"


@dataclass(frozen=True, repr=False)
class _Comparison:
    """Differences of two sides and what follows from them; fields as of `RecordingComparison`."""

    differences: tuple[Difference, ...]
    rule: ComparisonRule
    findings: tuple[Finding, ...]
    a_source: str
    b_source: str
    seed: int

    compared: ClassVar[str] = ""

    @property
    def judged(self) -> tuple[Difference, ...]:
        """The differences that make the verdict."""
        return tuple(item for item in self.differences if item.verdict != "not judged")

    @property
    def verdict(self) -> Verdict:
        """*worse* when any judged difference is; *not worse* when all are not; else *unclear*."""
        found = {item.verdict for item in self.judged}
        if "worse" in found:
            return "worse"
        return "not worse" if found == {"not worse"} else "unclear"

    @property
    def reason(self) -> str:
        """The verdict's ground in a sentence."""
        counted = Counter(item.verdict for item in self.judged)
        if self.verdict == "worse":
            worse = [item.describe() for item in self.judged if item.verdict == "worse"]
            named = "; ".join([*worse[:_MOST_NAMED], *(["..."] if len(worse) > _MOST_NAMED else [])])
            return f"{counted['worse']} of {counted.total()} differences lie beyond the margin: {named}."
        if self.verdict == "not worse":
            return f"All {counted.total()} differences lie inside the margin."
        return (
            f"No difference lies beyond the margin; {counted['unclear']} of {counted.total()} are too uncertain to "
            "say that they lie inside."
        )

    def of(self, metric: str, users: int | None = None) -> Difference:
        """The difference of a metric at a load level; without one, over all steps or of a parameter.

        Parameters
        ----------
        metric : str
        users : int, optional

        Returns
        -------
        Difference

        Raises
        ------
        KeyError
            When there is none.
        """
        for item in self.differences:
            if (item.metric, item.users) == (metric, users):
                return item
        raise KeyError((metric, users))

    def to_frame(self) -> pd.DataFrame:
        """One row a difference: metric, scope, users, a, b, change and its ends, margin, verdict (SI units)."""
        import pandas as pd

        return pd.DataFrame(list(self._rows()))

    def _rows(self) -> Iterator[dict[str, Any]]:
        for item in self.differences:
            yield {
                "metric": item.metric, "scope": item.scope, "users": item.users, "a": item.a.mid, "b": item.b.mid,
                "change_low": item.change.low, "change_mid": item.change.mid, "change_high": item.change.high,
                "simultaneous_low": item.simultaneous.low, "simultaneous_high": item.simultaneous.high,
                "margin": item.margin, "level": item.change.level, "verdict": item.verdict,
            }  # fmt: skip

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self), f"  {self.reason}"]
        lines += [f"  {item.describe()}: {item.verdict}" for item in self.judged]
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON form (keys in docs/files.md)."""
        return {
            "schema_version": SCHEMA_VERSION, "compared": self.compared, "a": self.a_source, "b": self.b_source,
            "verdict": self.verdict, "reason": self.reason, "rule": self.rule.to_dict(),
            "differences": [item.to_dict() for item in self.differences],
            "findings": [item.to_dict() for item in self.findings], "seed": self.seed,
            "versions": versions_of("numpy", "scipy"),
        }  # fmt: skip

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.verdict}, margin {self.rule.margin:.3g}, "
            f"{len(self.judged)} differences judged at level {self.rule.level:g})"
        )

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}")
        return f"<p><b>{self.verdict}</b>: {html.escape(self.reason)}</p>{table}"


@dataclass(frozen=True, repr=False)
class RecordingComparison(_Comparison):
    """What changed from recording A to recording B (`loadtests.comparison.compare.compare_steps`).

    Parameters
    ----------
    differences : tuple of Difference
        Of every step and metric, over all steps, and of fitted parameters.
    rule : ComparisonRule
        Margins and level, stated beforehand.
    findings : tuple of Finding
        What else differs, what was left out, what could not be known.
    a_source, b_source : str
        Where the two sides were read from.
    seed : int
        Of the resampling.
    """

    compared: ClassVar[str] = "recordings"


@dataclass(frozen=True, repr=False)
class ModelComparison(_Comparison):
    """What changed from calibrated model A to calibrated model B (`simulations.compare_fits`).

    Parameters
    ----------
    differences : tuple of Difference
        Of every step and metric, over all steps, and of fitted parameters.
    rule : ComparisonRule
        Margins and level, stated beforehand.
    findings : tuple of Finding
        What else differs, what was left out, what could not be known.
    a_source, b_source : str
        Where the two sides were read from.
    seed : int
        Of the resampling.
    """

    compared: ClassVar[str] = "models"
