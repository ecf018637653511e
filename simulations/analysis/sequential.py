"""Replications until an interval is as narrow as asked, without losing its coverage.

Stopping at the first narrow interval favours runs whose variance looks small by
luck, so that the interval holds the truth too seldom. Stein's two-stage rule [1]_
avoids it: the variance comes from the first replications alone, the number of
further ones follows from it, and the mean of all of them is independent of that
variance, so t with the first stage's degrees of freedom is exact for normal
values, whatever the number. The price is a wider t (with 20 replications at
first: 2.09 instead of 1.96, 14 % more replications).

The target is relative to the mean, which moves a little while replications are
added; so they are added until the mean of all of them is precise enough too.

References
----------
.. [1] C. Stein, "A two-sample test for a linear hypothesis whose power is independent of the
   variance", Annals of Mathematical Statistics 16(3), 1945, pages 243-258.
.. [2] A. M. Law, Simulation Modeling and Analysis, 5th edition, McGraw-Hill, 2015, section 9.4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from simulations.analysis.replications import (
    checked_level,
    columns_of,
    logit_interval,
    replication_intervals,
    student_quantile,
)

Floats = NDArray[np.float64]
RunOne = Callable[[int], Mapping[str, float]]
RunMany = Callable[[Sequence[int]], Sequence[Mapping[str, float]]]

LEAST_REPLICATIONS = 20
SHARES = ("shed_rate",)
"""Metrics that are shares: their intervals stand on the logit scale."""

_GROWTH = 2.0
_SURE = 0.01


@dataclass(frozen=True)
class Precision:
    """What is asked of a simulation.

    Parameters
    ----------
    relative : float, default 0.01
        Largest half-width of an interval over its middle; above 0.
    metrics : tuple of str, default ("mean_s", "p95_s")
        Which metrics must be that precise.
    level : float, default 0.95
        Of the intervals.

    Raises
    ------
    InputError
        For a precision that is not above 0, no metric, or a level outside 0..1.
    """

    relative: float = 0.01
    metrics: tuple[str, ...] = ("mean_s", "p95_s")
    level: float = 0.95

    def __post_init__(self) -> None:
        positive("relative precision", self.relative)
        checked_level(self.level)
        if not isinstance(self.metrics, tuple) or not self.metrics:
            raise InputError(f"metrics is {self.metrics!r}; give a tuple of names, for example ('mean_s',).")


@dataclass(frozen=True)
class SequentialResult:
    """What `until_precise` found.

    Parameters
    ----------
    intervals : dict of str to Interval
        Those of the named metrics by the two-stage rule; of every other by Student's t over all replications
        (these were not stopped on, but share the number).
    replications : int
        How many were run.
    reached : bool
        Whether every named metric is as precise as asked; False when `most` came first.
    precision : Precision
        What was asked.
    first_stage : int
        Replications that gave the variance.
    """

    intervals: dict[str, Interval]
    replications: int
    reached: bool
    precision: Precision
    first_stage: int


def until_precise(
    run_one: RunOne, precision: Precision, *, least: int = LEAST_REPLICATIONS, most: int = 1_000
) -> SequentialResult:
    """Run replications one by one until every named metric is precise enough (Stein's two stages [1]_).

    Parameters
    ----------
    run_one : callable
        Number of a replication (0, 1, ...) to its row of metrics; the same number gives the same row.
        Give quantiles by `replications.quantile_with_less_bias`: a bias does not fall with their number.
    precision : Precision
    least : int, default 20
        Replications of the first stage, at least 5; fewer make t wide and the number erratic.
    most : int, default 1000
        Replications after which to stop.

    Returns
    -------
    SequentialResult

    Raises
    ------
    InputError
        When a named metric is missing, not finite, or 0 on average; or when even a lucky first stage (1 %)
        means more than `most` replications: the message says how many it would take.
    """
    return until_precise_in_batches(
        lambda numbers: [run_one(number) for number in numbers], precision, least=least, most=most
    )


def until_precise_in_batches(
    run_many: RunMany, precision: Precision, *, least: int = LEAST_REPLICATIONS, most: int = 1_000
) -> SequentialResult:
    """As `until_precise`, for replications that may run side by side.

    Which numbers are asked for next follows from all rows so far and from nothing else, so the result does not
    depend on how many run at a time, nor on which ends first.

    Parameters
    ----------
    run_many : callable
        Consecutive numbers of replications to their rows of metrics, in the order of the numbers.
    precision : Precision
    least, most : int
        As for `until_precise`.

    Returns
    -------
    SequentialResult

    Raises
    ------
    InputError
        As `until_precise`.
    """
    first = whole("least", least, least=5)
    limit = whole("most", most, least=first)
    rows = list(run_many(range(first)))
    stage = {name: _FirstStage.of(name, rows, precision) for name in precision.metrics}
    _refuse_hopeless(stage, limit)
    while (needed := _needed(stage, rows)) > len(rows) and len(rows) < limit:
        target = min(needed, limit, math.ceil(_GROWTH * len(rows)))
        rows.extend(run_many(range(len(rows), target)))
    found = {name: item.interval(_mean(rows, name), len(rows)) for name, item in stage.items()}
    return SequentialResult(
        {**replication_intervals(rows, precision.level), **found}, len(rows), needed <= len(rows), precision, first
    )


@dataclass(frozen=True)
class _FirstStage:
    """One metric's first-stage mean and standard deviation of a single replication."""

    name: str
    count: int
    mean: float
    deviation: float
    precision: Precision

    @classmethod
    def of(cls, name: str, rows: list[Mapping[str, float]], precision: Precision) -> _FirstStage:
        values = _column(rows, name)
        mean = float(values.mean())
        if mean == 0.0:
            raise InputError(
                f"{name} is 0 on average over {len(rows)} replications, so no relative precision can be reached. "
                "Leave it out (replications.none_seen_interval bounds a share of which nothing was seen), or simulate "
                "longer replications or a higher load."
            )
        return cls(name, len(rows), mean, float(np.std(values, ddof=1)), precision)

    def deviation_at(self, mean: float) -> float:
        """The standard deviation, for a share scaled with the mean as that of counted events is (variance ~ mean)."""
        return self.deviation * math.sqrt(mean / self.mean) if self.name in SHARES else self.deviation

    def replications(self, mean: float) -> int:
        """The number at which the half-width is as asked, given the mean so far."""
        if mean == 0.0 or mean * self.mean < 0.0:
            return self.count * 1_000_000
        ratio = self._quantile * self.deviation_at(mean) / (self.precision.relative * abs(mean))
        return max(self.count, math.ceil(ratio**2 * (1.0 - 1e-12)))

    def interval(self, mean: float, count: int) -> Interval:
        """Mean of all, variance of the first stage."""
        half = self._quantile * self.deviation_at(mean) / math.sqrt(count)
        level = self.precision.level
        if self.name in SHARES:
            return logit_interval(mean, half, level)
        return Interval(mean - half, mean, mean + half, level)

    def least_replications(self) -> float:
        """The number if the variance is as small as chi-square leaves a chance of 1 %."""
        scale = (self.count - 1) / float(special.chdtri(self.count - 1, _SURE))
        return self.replications(self.mean) * scale

    @property
    def _quantile(self) -> float:
        return student_quantile(self.count - 1, self.precision.level)


def _refuse_hopeless(stage: dict[str, _FirstStage], most: int) -> None:
    for name, item in stage.items():
        if item.least_replications() > most:
            raise InputError(
                f"{name} to {item.precision.relative:.3g} of its value would take about "
                f"{item.replications(item.mean):,} replications like the first {item.count}; at most {most:,} are "
                "allowed. Raise most, ask for less precision, or make the replications longer."
            )


def _needed(stage: dict[str, _FirstStage], rows: list[Mapping[str, float]]) -> int:
    return max(item.replications(_mean(rows, name)) for name, item in stage.items())


def _mean(rows: list[Mapping[str, float]], name: str) -> float:
    return float(_column(rows, name).mean())


def _column(rows: list[Mapping[str, float]], name: str) -> Floats:
    columns = columns_of(rows)
    if name not in columns:
        raise InputError(f"There is no metric {name!r} in the replications; there are {', '.join(sorted(columns))}.")
    if not np.all(np.isfinite(columns[name])):
        raise InputError(f"{name} is not finite in every replication; make the replications longer.")
    return columns[name]
