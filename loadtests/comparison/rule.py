"""What is compared, by what margin, and how a verdict follows from an interval.

A difference is judged as in a trial of non-inferiority [1]_, by its interval and a margin
of harm that was stated before: *worse* when the whole interval lies beyond the margin,
*not worse* when it lies inside, *unclear* when it holds the margin.

Several differences are judged together. "Worse" needs one of them, so its intervals are
simultaneous by Bonferroni: with m differences each has the level 1 - (1 - level) / m, and
a release that is at the margin everywhere is called worse in at most (1 - level) / 2 of the
comparisons. "Not worse" needs all of them, so each is judged at the level itself; by the
intersection-union principle [2]_ that claim is wrong in at most (1 - level) / 2, too.

References
----------
.. [1] G. Piaggio et al., "Reporting of noninferiority and equivalence randomized trials: extension of the
   CONSORT 2010 statement", JAMA 308(24), 2012, pages 2594-2604, figure 1.
.. [2] R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4), 1982,
   pages 295-300.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from scipy import special

from loadtests.foundation.errors import InputError

Verdict = Literal["worse", "not worse", "unclear", "not judged"]

RELATIVE = ("throughput_rps", "goodput_rps", "mean_s", "p50_s", "p95_s", "p99_s")
"""Metrics of a step that are compared as B / A - 1."""
SHARES = ("shed_rate", "failed_rate")
"""Metrics of a step that are compared as B - A; ``failed_rate``: requests neither served nor shed, of all."""
JUDGED = ("goodput_rps", "mean_s", "p95_s", "shed_rate", "failed_rate")
"""Metrics of a step that make the verdict; the others are shown."""
LESS_IS_WORSE = ("throughput_rps", "goodput_rps")

RUN_TO_RUN_CV = 0.01
"""Coefficient of variation of a server's speed between runs of the same test. Stated, not fitted: three repeats
of two third-party servers differed by 0.4 to 1.6 % in throughput, sampling noise included."""


@dataclass(frozen=True)
class ComparisonRule:
    """Margins and levels of a comparison, stated before its data are seen.

    Parameters
    ----------
    margin : float, default 0.05
        Harm that is accepted: a share of A's value.
    share_margin : float, optional
        The same for shares of requests (shed, failed), in points; default: `margin` points.
    level : float, default 0.9
        Of the intervals, 0..1.
    run_to_run_cv : float, default 0.01
        Stated coefficient of variation of a server's speed between runs, where no repeats show it.
    judged : tuple of str
        Metrics of a step that make the verdict, of `RELATIVE` and `SHARES`.

    Raises
    ------
    InputError
        With everything that is out of range.
    """

    margin: float = 0.05
    share_margin: float | None = None
    level: float = 0.9
    run_to_run_cv: float = RUN_TO_RUN_CV
    judged: tuple[str, ...] = JUDGED

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value!r}; it must be {allowed}"
            for name, value, is_allowed, allowed in (
                ("margin", self.margin, 0 <= self.margin < 1, "a share from 0 to below 1, for example 0.05"),
                ("share_margin", self.share_margin, 0 <= self.margin_of_shares < 1, "a share from 0 to below 1"),
                ("level", self.level, 0.5 <= self.level < 1, "from 0.5 to below 1, for example 0.9"),
                ("run_to_run_cv", self.run_to_run_cv, 0 <= self.run_to_run_cv < 1, "from 0 to below 1"),
            )
            if not is_allowed
        ]
        unknown = [name for name in self.judged if name not in (*RELATIVE, *SHARES)]
        if unknown or not self.judged:
            known = ", ".join((*RELATIVE, *SHARES))
            problems.append(f"judged names {', '.join(unknown) or 'nothing'}; choose of {known}")
        if problems:
            raise InputError("A comparison cannot be judged by this rule: " + "; ".join(problems) + ".")

    @property
    def margin_of_shares(self) -> float:
        """In points of all requests."""
        return self.margin if self.share_margin is None else self.share_margin

    def margin_of(self, metric: str) -> float:
        """The margin on the scale on which the metric is compared, as it is stated (always positive).

        Parameters
        ----------
        metric : str
            Of `STEP_METRICS`, or a parameter of the model.

        Returns
        -------
        float
            A share of A's value; of shares, points of all requests.
        """
        return self.margin_of_shares if metric in SHARES else self.margin

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "margin": self.margin, "share_margin": self.margin_of_shares, "level": self.level,
            "run_to_run_cv": self.run_to_run_cv, "judged": list(self.judged),
        }  # fmt: skip


def harm_sign(metric: str) -> float:
    """+1 where more is worse, -1 where less is."""
    return -1.0 if metric in LESS_IS_WORSE else 1.0


def margin_of_harm(metric: str, rule: ComparisonRule) -> float:
    """The margin on the scale of `Shift`: logarithms for relative metrics, points for shares."""
    margin = rule.margin_of(metric)
    if metric in SHARES:
        return margin
    return -math.log1p(-margin) if metric in LESS_IS_WORSE else math.log1p(margin)


def student_quantile(degrees: float, tail: float) -> float:
    """The t value that leaves `tail` above it; the normal one for infinitely many degrees of freedom."""
    if math.isinf(degrees):
        return float(-special.ndtri(tail))
    return float(-special.stdtrit(degrees, tail))
