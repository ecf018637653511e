"""`compare_steps`: two recordings, step by step.

A step's metric has two kinds of noise. Its *sampling noise* comes from blocks of time
(`loadtests.comparison.noise`). Besides, a server is not equally fast in every run. Repeats
of a level show that: their spread beyond the sampling noise is the between-run variance of a
random-effects model, by the method of moments [1]_ over all levels and both sides, with
Student's t on the degrees of freedom of the repeats. Where a side is one run, the
between-run part cannot be seen in it; a stated coefficient of variation of the server's speed
(`ComparisonRule.run_to_run_cv`) stands in, common to all steps of that run.

How a metric answers to the server's speed. If service, think and all other times grew by one
factor, a residence time would grow by it: it is homogeneous of degree one. The closed loop
N = X (R + Z) turns the think time's part into a change of load, so with e the slope of
log(metric) over log(users) between the recording's own levels,

    d log(metric) / d log(service) = 1 + e Z / (R + Z),

which is 1 at light load and (R + Z) / R at saturation, and within 5 % of the exact closed M/M/c
at any load (an arriving user meets the queue of one user fewer). With a single level e is not known and
that largest value is taken. Goodput never answers by more than the factor itself; the share
shed beyond the gate by its complement.

References
----------
.. [1] R. DerSimonian, N. Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7(3), 1986,
   pages 177-188; with Student's t as in D. A. Follmann, M. A. Proschan, Biometrics 55(3), 1999, pages 732-737.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.comparison.judging import Shift, judge_together
from loadtests.comparison.noise import Estimate, satterthwaite, step_estimates
from loadtests.comparison.pairing import comparability_findings, is_one_run, pair_steps
from loadtests.comparison.result import RecordingComparison
from loadtests.comparison.rule import RELATIVE, SHARES, ComparisonRule
from loadtests.foundation.findings import Finding
from loadtests.recording import LoadStep, Recording

_RATES = ("throughput_rps", "goodput_rps")


@dataclass(frozen=True)
class _Level:
    """Estimates of every step of a pair, by metric."""

    users: int
    a: tuple[Mapping[str, Estimate], ...]
    b: tuple[Mapping[str, Estimate], ...]

    def runs(self, metric: str) -> tuple[list[Estimate], list[Estimate]]:
        """The known estimates of each side."""
        a, b = ([item[metric] for item in side if item[metric].is_known] for side in (self.a, self.b))
        return a, b

    def mean(self, metric: str) -> float:
        """Over all steps of both sides; NaN where none is known."""
        values = [item.value for side in self.runs(metric) for item in side]
        return float(np.mean(values)) if values else math.nan


@dataclass(frozen=True)
class _BetweenRuns:
    """Variance between repeats per squared sensitivity; no degrees of freedom without repeats."""

    variance: float
    degrees: int


def compare_steps(
    a: Recording,
    b: Recording,
    rule: ComparisonRule | None = None,
    *,
    seed: int = 1,
    fitted: Sequence[Shift] = (),
    findings: Sequence[Finding] = (),
) -> RecordingComparison:
    """Compare two recordings at the load levels that both have.

    Parameters
    ----------
    a, b : Recording
        Before and after.
    rule : ComparisonRule, optional
        Margins and level. Default: 5 %, intervals at 90 %.
    seed : int, default 1
        Of what `fitted` comes from, told in the result. The steps themselves need no chance.
    fitted : sequence of Shift
        Differences of fitted parameters, to be judged together with the steps
        (`simulations.compare_recordings` adds the service time).
    findings : sequence of Finding
        To be told beside those of the comparison.

    Returns
    -------
    RecordingComparison

    Raises
    ------
    InputError
        When the two cannot be compared; with every reason.
    """
    chosen = rule or ComparisonRule()
    pairs = pair_steps(a, b)
    levels = [
        _Level(
            pair.users,
            tuple(step_estimates(a, step) for step in pair.a),
            tuple(step_estimates(b, step) for step in pair.b),
        )
        for pair in pairs
    ]
    stated = (_is_unseen(a, [pair.a for pair in pairs]), _is_unseen(b, [pair.b for pair in pairs]))
    shifts = [
        item for metric in (*RELATIVE, *SHARES) for item in _Metric.of(metric, levels, stated, chosen).shifts(levels)
    ]
    told = (*comparability_findings(a, b, pairs), *_run_to_run(stated, chosen, levels), *_too_few(levels, chosen))
    return RecordingComparison(
        judge_together([*shifts, *fitted], chosen), chosen, (*told, *findings), str(a.path or ""), str(b.path or ""),
        seed,
    )  # fmt: skip


def _is_unseen(recording: Recording, levels: Sequence[Sequence[LoadStep]]) -> bool:
    """Whether nothing of a recording shows what differs from run to run."""
    return is_one_run(recording) or all(len(repeats) < 2 for repeats in levels)


@dataclass(frozen=True)
class _Metric:
    """One metric with what its noise between runs is."""

    name: str
    sensitivity: tuple[float, ...]
    between: _BetweenRuns
    stated_variance: float
    is_judged: bool

    @classmethod
    def of(cls, name: str, levels: Sequence[_Level], stated: tuple[bool, ...], rule: ComparisonRule) -> _Metric:
        sensitivity = _sensitivities(name, levels)
        variance = sum(stated) * rule.run_to_run_cv**2
        return cls(name, sensitivity, _between_runs(name, levels, sensitivity), variance, name in rule.judged)

    def shifts(self, levels: Sequence[_Level]) -> list[Shift]:
        """One a level that both sides tell, and their weighted mean of relative metrics."""
        known = [
            (self._shift(level, factor), factor)
            for level, factor in zip(levels, self.sensitivity, strict=True)
            if all(level.runs(self.name))
        ]
        found = [shift for shift, _ in known]
        if self.name in RELATIVE and len(known) > 1:
            found.append(self._over_all(found, [factor for _, factor in known]))
        return found

    def _shift(self, level: _Level, factor: float) -> Shift:
        a, b = (self._pooled(side, factor) for side in level.runs(self.name))
        common = self.stated_variance * factor**2
        degrees = satterthwaite([(a.variance, a.degrees), (b.variance, b.degrees), (common, math.inf)])
        return Shift(
            self.name, "step", level.users, a, b, b.value - a.value, a.variance + b.variance, common, degrees,
            self.is_judged and self._could_be_worse(level),
        )  # fmt: skip

    def _could_be_worse(self, level: _Level) -> bool:
        """A share of which neither side has a case cannot have become worse: it takes no part in the family.

        R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46(2), 1990, pages 515-522.
        """
        return self.name not in SHARES or any(item.value > 0 for side in level.runs(self.name) for item in side)

    def _pooled(self, runs: Sequence[Estimate], factor: float) -> Estimate:
        """Mean of the repeats of one side."""
        extra = self.between.variance * factor**2
        variance = sum(item.variance + extra for item in runs) / len(runs) ** 2
        sampling = satterthwaite([(item.variance, item.degrees) for item in runs])
        degrees = min(sampling, float(self.between.degrees)) if self.between.degrees else sampling
        return Estimate(float(np.mean([item.value for item in runs])), variance, degrees)

    def _over_all(self, shifts: Sequence[Shift], factors: Sequence[float]) -> Shift:
        """Weighted by inverse variance; what a run has in common does not average out over its steps."""
        weights = np.array([1.0 / max(item.standard_error, 1e-12) ** 2 for item in shifts])
        weights /= weights.sum()
        sampling = weights**2 * [item.sampling_variance for item in shifts]
        common = self.stated_variance * float(weights @ np.asarray(factors)) ** 2
        parts = [(float(part), item.degrees) for part, item in zip(sampling, shifts, strict=True)]
        return Shift(
            self.name, "all steps", None, Estimate.unknown(), Estimate.unknown(),
            float(weights @ [item.value for item in shifts]), float(sampling.sum()), common,
            satterthwaite([*parts, (common, math.inf)]), self.is_judged,
        )  # fmt: skip


def _between_runs(metric: str, levels: Sequence[_Level], sensitivity: Sequence[float]) -> _BetweenRuns:
    """Spread of the repeats beyond their sampling noise, over all levels and both sides; never below 0."""
    spread = expected = weight = 0.0
    degrees = 0
    for level, factor in zip(levels, sensitivity, strict=True):
        for runs in level.runs(metric):
            more = len(runs) - 1
            if more < 1:
                continue
            spread += float(np.var([item.value for item in runs])) * len(runs)
            expected += sum(item.variance for item in runs) * more / len(runs)
            weight += factor**2 * more
            degrees += more
    return _BetweenRuns(max((spread - expected) / weight, 0.0) if weight > 0 else 0.0, degrees)


def _sensitivities(metric: str, levels: Sequence[_Level]) -> tuple[float, ...]:
    """How each level's metric answers to the server's speed (see above), never below that of a lone request."""
    if metric in _RATES:
        return (1.0,) * len(levels)
    values = [level.mean(metric) for level in levels]
    if metric in SHARES:
        return tuple(1.0 - value if metric == "shed_rate" and value > 0 else 0.0 for value in values)
    inside = [_share_inside(level) for level in levels]
    if len(levels) < 2:
        return tuple(1.0 / share for share in inside)
    slopes = np.gradient(np.array(values), np.log([level.users for level in levels]))
    steep = np.maximum(np.nan_to_num(slopes), 0.0)
    return tuple(1.0 + float(slope) * (1.0 - share) for slope, share in zip(steep, inside, strict=True))


def _share_inside(level: _Level) -> float:
    """R / (R + Z): the share of a user's time that passes inside the server, by Little's law X R / N."""
    return float(np.clip(math.exp(level.mean("goodput_rps") + level.mean("mean_s")) / level.users, 0.02, 1.0))


def _run_to_run(stated: tuple[bool, ...], rule: ComparisonRule, levels: Sequence[_Level]) -> list[Finding]:
    sides = [name for name, is_stated in zip("AB", stated, strict=True) if is_stated]
    if not sides:
        return []
    single = " With one load level only, latencies are taken to answer to it as at saturation: compare two or more."
    return [
        Finding(
            "run-to-run-stated", "info",
            f"What differs from run to run cannot be seen in {' and '.join(sides)} (one run, or no repeats): a "
            f"coefficient of variation of {rule.run_to_run_cv:.2g} of the server's speed is taken."
            + single * (len(levels) < 2),
            "Repeat every run, and import the runs together.", {"sides": sides, "run_to_run_cv": rule.run_to_run_cv},
        )
    ]  # fmt: skip


def _too_few(levels: Sequence[_Level], rule: ComparisonRule) -> list[Finding]:
    missing = {
        metric: [level.users for level in levels if not all(level.runs(metric))]
        for metric in rule.judged
        if any(not all(level.runs(metric)) for level in levels)
    }
    if not missing:
        return []
    said = "; ".join(f"{metric} at {', '.join(map(str, users))} users" for metric, users in missing.items())
    return [
        Finding(
            "too-few-requests", "warning", f"Not compared, because a side has too few requests for it: {said}.",
            "Record longer steps.", {"missing": missing},
        )
    ]  # fmt: skip
