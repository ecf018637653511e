"""Steps that measured the same level, pooled: how much runs differ beyond what happens inside a run.

A step's own interval says how a longer window of the same run would differ. Another run differs by
more: a cold cache, a neighbour, another process layout. Random effects [1]_: run i shows y_i with
variance s_i^2 (from its interval) + tau^2 (between runs, by DerSimonian and Laird); runs are weighted
by the inverse of the sum. The pooled value's error is that of Hartung, Knapp, Sidik and Jonkman with
Student's t of one degree of freedom less than there are runs [2]_, never less than that of the
weights alone [3]_: two repeats make a wide interval, because two repeats tell little about repeats.

Rates and times are pooled on the scale of their logarithm. Shares are pooled as they are, all runs with
the same weight: a share's variance follows its value, so a run that happened to shed nothing would
seem the most precise of all.

References
----------
.. [1] R. DerSimonian, N. Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7, 1986,
   pages 177-188.
.. [2] J. IntHout, J. P. A. Ioannidis, G. F. Borm, "The Hartung-Knapp-Sidik-Jonkman method for random
   effects meta-analysis is straightforward and considerably outperforms the standard
   DerSimonian-Laird method", BMC Med. Res. Methodol. 14, 2014, 25.
.. [3] C. Roever, G. Knapp, T. Friede, "Hartung-Knapp-Sidik-Jonkman approach and its modification for
   random-effects meta-analysis with few studies", BMC Med. Res. Methodol. 15, 2015, 99.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadtests.estimation.block_bootstrap import exact_fraction_interval
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import t_quantile
from loadtests.foundation.units import Quantity

if TYPE_CHECKING:
    from loadtests.recording import LoadStep

Floats = NDArray[np.float64]

SHARE = "shed_rate"


@dataclass(frozen=True)
class PooledLevel:
    """All steps of one level as one.

    Parameters
    ----------
    users : int
    step : LoadStep
        The first of the steps with the metrics of all: its `requests`, `outcomes` and `blocks` are sums.
        A single step as it is.
    steps : tuple of int
        Numbers of the steps that are in it.
    between_runs : dict of str to float
        Standard deviation between runs by metric, beyond what happens inside a run: relative for rates
        and times, a difference of shares for the shed rate. NaN for a single step.
    """

    users: int
    step: LoadStep
    steps: tuple[int, ...]
    between_runs: dict[str, float] = field(default_factory=dict)

    @property
    def repeats(self) -> int:
        """Number of steps in it."""
        return len(self.steps)


class PooledLevels(tuple[PooledLevel, ...]):
    """Levels in ascending order of users: a tuple that can show itself as a table."""

    __slots__ = ()

    def to_frame(self) -> pd.DataFrame:
        """One row a level and metric: users, repeats, requests, metric, low, mid, high, between_runs (SI units)."""
        return pd.DataFrame([
            {
                "users": item.users, "repeats": item.repeats, "requests": item.step.requests, "metric": name,
                "low": found.low, "mid": found.mid, "high": found.high, "between_runs": item.between_runs[name],
            }
            for item in self
            for name, found in item.step.metrics.items()
        ])  # fmt: skip

    def __repr__(self) -> str:
        return f"PooledLevels({', '.join(f'{item.users} users x {item.repeats}' for item in self)})"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}"))


def pool_levels(steps: Iterable[LoadStep]) -> PooledLevels:
    """Steps with the same users as one level, in ascending order of users.

    Parameters
    ----------
    steps : iterable of LoadStep
        Of one recording or of several of the same server. Those whose load does not count users
        are left out: different rates can have the same rounded number of requests inside.

    Returns
    -------
    PooledLevels
        A tuple of `PooledLevel`.
    """
    by_users: dict[int, list[LoadStep]] = {}
    for step in steps:
        if step.load_quantity is Quantity.USERS:
            by_users.setdefault(step.users, []).append(step)
    return PooledLevels(_pooled(users, tuple(by_users[users])) for users in sorted(by_users))


def pool_intervals(
    intervals: Sequence[Interval], *, degrees: Sequence[float] | None = None, is_relative: bool = True
) -> tuple[Interval, float]:
    """One interval for what several runs measured, and the standard deviation between runs.

    Parameters
    ----------
    intervals : sequence of Interval
        Of the same level, at least two; those that are not known are left out.
    degrees : sequence of float, optional
        Degrees of freedom of the Student's t that each interval was made with; default: many (the normal's).
    is_relative : bool, default True
        Whether runs differ by factors (logarithms are pooled; all must be above 0) or by amounts.

    Returns
    -------
    Interval, float
        Unknown and NaN where fewer than two are known; the deviation is relative where `is_relative`.

    Raises
    ------
    InputError
        When the levels differ, or a relative number is not above 0.
    """
    level = intervals[0].level if intervals else 0.9
    freedoms = [math.inf] * len(intervals) if degrees is None else degrees
    known = [item for item in intervals if item.is_known]
    _refuse_mixture(known, level, is_relative=is_relative)
    if len(known) < 2:
        return Interval.unknown(level), math.nan
    used = [freedom for item, freedom in zip(intervals, freedoms, strict=True) if item.is_known]
    values, variances = _values_and_variances(known, used, is_relative=is_relative)
    mid, error, between = (_weighted if is_relative else _unweighted)(values, variances)
    half = float(t_quantile(0.5 + level / 2.0, len(known) - 1)) * error
    low, mid, high = (math.exp(end) if is_relative else end for end in (mid - half, mid, mid + half))
    return Interval(low, mid, high, level), math.sqrt(between)


def _weighted(values: Floats, variances: Floats) -> tuple[float, float, float]:
    """Mean, its standard error and the variance between runs, by random effects."""
    between = _between_variance(values, variances)
    weights = 1.0 / (variances + between)
    mid = float(weights @ values / weights.sum())
    spread = max(float(weights @ (values - mid) ** 2) / (values.size - 1), 1.0)
    return mid, math.sqrt(spread / float(weights.sum())), between


def _unweighted(values: Floats, variances: Floats) -> tuple[float, float, float]:
    """The same with all runs alike."""
    seen, inside = float(values.var(ddof=1)), float(variances.mean())
    return float(values.mean()), math.sqrt(max(seen, inside) / values.size), max(seen - inside, 0.0)


def _refuse_mixture(known: Sequence[Interval], level: float, *, is_relative: bool) -> None:
    levels = sorted({item.level for item in known} | {level})
    if len(levels) > 1:
        raise InputError(f"Intervals of different levels ({levels}) cannot be pooled; summarise all at one level.")
    if is_relative and any(item.low <= 0 for item in known):
        raise InputError("Numbers that reach down to 0 cannot be pooled by factors; pool them with is_relative=False.")


def _values_and_variances(
    known: Sequence[Interval], freedoms: Sequence[float], *, is_relative: bool
) -> tuple[Floats, Floats]:
    """Middles and variances, from the intervals' widths; a width of 0 counts as a billionth."""
    ends = np.array([[item.low, item.mid, item.high] for item in known])
    scaled = np.log(ends) if is_relative else ends
    reach = t_quantile(0.5 + known[0].level / 2.0, np.asarray(freedoms))
    errors = (scaled[:, 2] - scaled[:, 0]) / (2.0 * reach)
    return scaled[:, 1], np.maximum(errors, 1e-9) ** 2


def _between_variance(values: Floats, variances: Floats) -> float:
    """DerSimonian and Laird's moment estimate of tau^2."""
    weights = 1.0 / variances
    mean = weights @ values / weights.sum()
    excess = float(weights @ (values - mean) ** 2) - (values.size - 1)
    return max(excess / float(weights.sum() - (weights @ weights) / weights.sum()), 0.0)


def _pooled(users: int, steps: tuple[LoadStep, ...]) -> PooledLevel:
    numbers, first = tuple(step.step for step in steps), steps[0]
    if len(steps) == 1:
        return PooledLevel(users, first, numbers, dict.fromkeys(first.metrics, math.nan))
    found = {name: _pool_metric(name, steps) for name in first.metrics}
    outcomes = sorted({name for step in steps for name in step.outcomes})
    together = replace(
        first,
        requests=sum(step.requests for step in steps),
        blocks=sum(step.blocks for step in steps) if all(step.blocks for step in steps) else 0,
        outcomes={name: sum(step.outcomes.get(name, 0) for step in steps) for name in outcomes},
        metrics={name: interval for name, (interval, _) in found.items()},
    )
    return PooledLevel(users, together, numbers, {name: between for name, (_, between) in found.items()})


def _pool_metric(name: str, steps: tuple[LoadStep, ...]) -> tuple[Interval, float]:
    intervals = [step.metrics[name] for step in steps]
    degrees = [step.blocks - 1.0 if step.blocks > 1 else math.inf for step in steps]
    if name != SHARE:
        is_relative = all(item.low > 0 for item in intervals if item.is_known)
        return _above_zero(*pool_intervals(intervals, degrees=degrees, is_relative=is_relative))
    if all(item.mid == 0 for item in intervals):
        return exact_fraction_interval(0, sum(step.requests for step in steps), intervals[0].level), 0.0
    found, between = _above_zero(*pool_intervals(intervals, degrees=degrees, is_relative=False))
    return replace(found, high=min(found.high, 1.0)), between


def _above_zero(found: Interval, between: float) -> tuple[Interval, float]:
    return (replace(found, low=max(found.low, 0.0)) if found.is_known else found), between
