"""What the planning backtest's results say: risk kept, instance-hours, and the verdict by the protocol."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
Row = dict[str, str]

WAYS, RULES = ("planner", "seasonal", "trailing"), ("seasonal", "trailing")
LOWEST, HIGHEST, FEWEST_EFFECTIVE = 0.03, 0.07, 100
_LEVEL = 0.95


@dataclass(frozen=True)
class Risk:
    """Share of months in which a plan is too small.

    Parameters
    ----------
    share, low, high : float
        With its 95 % interval, clustered by service.
    effective : float
        Independent months that would give the same standard error: p (1 - p) / se^2.
    """

    share: float
    low: float
    high: float
    effective: float

    @property
    def is_kept(self) -> bool:
        """Whether the interval lies inside 3 to 7 %."""
        return self.low >= LOWEST and self.high <= HIGHEST


def numbers(rows: Iterable[Row], column: str) -> Floats:
    """A column."""
    return np.array([float(row[column]) for row in rows])


def risk_of(rows: Sequence[Row], way: str) -> Risk:
    """By the true probabilities where they are known, else by what came.

    Interval of a ratio over clusters (W. G. Cochran, *Sampling Techniques*, 3rd ed., 1977, chapter 9) with Student's t;
    a single service has no clusters, there it is by planned origins.
    """
    known = all(row[f"{way}_risk"] != "" for row in rows)
    events = numbers(rows, f"{way}_risk") if known else came_short(rows, np.ceil(numbers(rows, way)))
    share, error, clusters = clustered(events, _clusters(rows))
    half = error * float(stats.t.ppf(0.5 + _LEVEL / 2, clusters - 1))
    effective = share * (1 - share) / error**2 if error > 0 else 0.0
    return Risk(share, max(0.0, share - half), min(1.0, share + half), effective)


def came_short(rows: Sequence[Row], counts: Floats) -> Floats:
    """1 where a month needed more."""
    return (numbers(rows, "need") > counts).astype(np.float64)


def _clusters(rows: Sequence[Row]) -> list[str]:
    services = [f"{row['family']} {row['service']}" for row in rows]
    if len(set(services)) > 1:
        return services
    return [f"{row['lead']} {row['origin']}" for row in rows]


def clustered(events: Floats, clusters: Sequence[str]) -> tuple[float, float, int]:
    """Share, its standard error, and the number of clusters."""
    _, place = np.unique(clusters, return_inverse=True)
    size, total = np.bincount(place), np.bincount(place, weights=events)
    share, number = float(events.mean()), len(size)
    residuals = total - share * size
    return share, float(np.sqrt((residuals**2).sum() * number / (number - 1)) / size.sum()), number


def hours_ratio(rows: Sequence[Row], way: str, factor: float = 1.0) -> float:
    """Instance-hours over the oracle's."""
    return float(np.ceil(factor * numbers(rows, way)).sum() / np.ceil(numbers(rows, "oracle")).sum())


def factor_of_same_risk(rows: Sequence[Row], rule: str) -> float:
    """What a rule must be multiplied by, in hindsight, to come short as often as the planner did."""
    asked = came_short(rows, numbers(rows, "planner")).mean()

    def too_often(factor: float) -> float:
        return float(came_short(rows, np.ceil(factor * numbers(rows, rule))).mean() - asked) - 1e-9

    return float(optimize.bisect(too_often, 0.1, 10.0, xtol=1e-4)) + 1e-4


def rule_to_beat(rows: Sequence[Row]) -> tuple[str, float, float]:
    """The rule of the protocol, the factor by which it counts, and its hours: the lowest of both rules."""
    found = []
    for rule in RULES:
        factor = factor_of_same_risk(rows, rule) if risk_of(rows, rule).share > HIGHEST else 1.0
        found.append((hours_ratio(rows, rule, factor), rule, factor))
    hours, rule, factor = min(found)
    return rule, factor, hours


def is_met(rows: Sequence[Row]) -> bool:
    """Risk kept, at no more instance-hours than the better rule."""
    return risk_of(rows, "planner").is_kept and hours_ratio(rows, "planner") <= rule_to_beat(rows)[2]
