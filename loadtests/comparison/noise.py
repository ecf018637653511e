"""The metrics of a step with their sampling noise.

It comes from the same blocks of time as the step's own intervals (`loadtests.estimation.step_metrics`);
a quantile's is half the way between the times one standard error below and above its share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtests.comparison.rule import RELATIVE, SHARES, student_quantile
from loadtests.estimation.correlation import Floats
from loadtests.estimation.step_metrics import (
    QUANTILES,
    Blocks,
    Flags,
    WindowRows,
    blocks_of,
    influences,
    quantile_ends,
    share_influence,
)
from loadtests.foundation.intervals import Interval
from loadtests.recording import LoadStep, Recording

_FEWEST_BEYOND = 10
"""Served requests that must lie beyond a percentile before it is compared."""
_FEWEST_SERVED = 20


@dataclass(frozen=True)
class Estimate:
    """A number with the variance of its noise.

    Parameters
    ----------
    value : float
        The logarithm of a relative metric, the share itself of the others; NaN where there is too little to tell.
    variance : float
    degrees : float
        Degrees of freedom of the variance; infinite where it is known.
    """

    value: float
    variance: float
    degrees: float = math.inf

    @classmethod
    def unknown(cls) -> Estimate:
        """No estimate."""
        return cls(math.nan, math.nan)

    @property
    def is_known(self) -> bool:
        """False where there was too little to tell."""
        return math.isfinite(self.value) and math.isfinite(self.variance)


def satterthwaite(parts: list[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, from (variance, degrees) of each.

    F. E. Satterthwaite, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2(6), 1946, pages 110-114.
    """
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / degrees for variance, degrees in parts)
    return total**2 / below if below > 0 else math.inf


def step_estimates(recording: Recording, step: LoadStep) -> dict[str, Estimate]:
    """`RELATIVE` and `SHARES` of a step.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
        One of its steps. Where its requests are not in the table one by one, the noise is
        taken from the step's own intervals.

    Returns
    -------
    dict of str to Estimate
    """
    rows = recording.requests_in(step)
    if rows.empty or len(rows) != step.requests:
        return _from_intervals(step)
    return _from_rows(WindowRows.of(rows, step.users, step.start_s, step.window_s))


def _from_rows(rows: WindowRows) -> dict[str, Estimate]:
    found = _Noise(rows, influences(rows), blocks_of(rows))
    return {
        "throughput_rps": found.rate("throughput_rps", rows.served.size),
        "goodput_rps": found.rate("goodput_rps", int(rows.served.sum())),
        **found.latencies(),
        "shed_rate": found.share(rows.shed),
        "failed_rate": found.share(~rows.served & ~rows.shed),
    }


@dataclass(frozen=True)
class _Noise:
    """A steady window with what each interval of its time adds to each metric."""

    rows: WindowRows
    influence: dict[str, Floats]
    blocks: Blocks

    def rate(self, name: str, count: int) -> Estimate:
        if not count:
            return Estimate.unknown()
        return self._estimate(math.log(count / self.rows.length_s), self._variance(name))

    def latencies(self) -> dict[str, Estimate]:
        times_s = self.rows.ordered_s
        if times_s.size < _FEWEST_SERVED or times_s[0] <= 0:
            return {name: Estimate.unknown() for name in ("mean_s", *QUANTILES)}
        mean = self._estimate(math.log(times_s.mean()), self._variance("mean_s"))
        return {"mean_s": mean, **{name: self._quantile(name, share) for name, share in QUANTILES.items()}}

    def _quantile(self, name: str, probability: float) -> Estimate:
        times_s = self.rows.ordered_s
        if times_s.size * (1.0 - probability) < _FEWEST_BEYOND:
            return Estimate.unknown()
        low_s, mid_s, high_s = quantile_ends(times_s, probability, math.sqrt(self._variance(name)))
        return self._estimate(math.log(mid_s), (math.log(high_s / low_s) / 2.0) ** 2)

    def share(self, hit: Flags) -> Estimate:
        hits, total = int(hit.sum()), hit.size
        least = Estimate(hits / total, _independent_variance(hits, total))
        if not 0 < hits < total:
            return least
        odds = self.blocks.variance_of(share_influence(self.rows.per_interval(hit), self.rows.per_interval()))
        found = self._estimate(least.value, odds * (least.value * (1.0 - least.value)) ** 2)
        return found if found.variance >= least.variance else least

    def _variance(self, name: str) -> float:
        """On the metric's own scale; of one that did not vary 0."""
        return self.blocks.variance_of(self.influence[name]) if name in self.influence else 0.0

    def _estimate(self, value: float, variance: float) -> Estimate:
        return Estimate(value, variance, self.blocks.number - 1.0)


def _independent_variance(hits: int, total: int) -> float:
    """Of a share of independent events, with one hit and one miss added so that none seen is not taken for none."""
    share = (hits + 1.0) / (total + 2.0)
    return share * (1.0 - share) / total


def _from_intervals(step: LoadStep) -> dict[str, Estimate]:
    """Noise read back from the step's own intervals."""
    failed = sum(count for name, count in step.outcomes.items() if name not in ("served", "shed"))
    found = {name: _from_interval(step.metrics[name], is_log=True) for name in RELATIVE if name in step.metrics}
    found["shed_rate"] = _from_interval(step.metrics["shed_rate"], is_log=False)
    if step.outcomes and step.requests:
        variance = _independent_variance(failed, step.requests)
        found["failed_rate"] = Estimate(failed / step.requests, variance)
    return {name: found.get(name, Estimate.unknown()) for name in (*RELATIVE, *SHARES)}


def _from_interval(item: Interval, *, is_log: bool) -> Estimate:
    if not item.is_known or (is_log and item.mid <= 0) or not math.isfinite(item.high):
        return Estimate.unknown()
    reach = 2.0 * student_quantile(math.inf, (1.0 - item.level) / 2.0)
    if not is_log:
        return Estimate(item.mid, ((item.high - item.low) / reach) ** 2)
    width = math.log(item.high / item.low) if item.low > 0 else 2.0 * math.log(item.high / item.mid)
    return Estimate(math.log(item.mid), (width / reach) ** 2)
