"""The metrics of a step with their sampling noise, from blocks of time drawn with replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadtests.comparison.rule import RELATIVE, SHARES, student_quantile
from loadtests.estimation.block_bootstrap import quantile_draws, ratio_draws, resampled_weights
from loadtests.estimation.steady_state import Window, number_of_blocks
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.recording import LoadStep, Recording

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}
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


def step_estimates(recording: Recording, step: LoadStep, seed: int) -> dict[str, Estimate]:
    """`RELATIVE` and `SHARES` of a step.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
        One of its steps. Where its requests are not in the table one by one, the noise is
        taken from the step's own intervals.
    seed : int
        Of the resampling.

    Returns
    -------
    dict of str to Estimate
    """
    rows = recording.requests_in(step)
    if rows.empty or len(rows) != step.requests:
        return _from_intervals(step)
    return _from_rows(_Blocks.of(rows, step), generator(seed, step.step))


@dataclass(frozen=True)
class _Blocks:
    """Requests of a steady window, each with the number of its block of time."""

    length_s: float
    blocks: int
    block: NDArray[np.int64]
    outcome: NDArray[np.str_]
    residence_s: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, step: LoadStep) -> _Blocks:
        finish_s = rows["finish_s"].to_numpy(dtype=float)
        blocks = number_of_blocks(Window(step.step, step.users, step.start_s, step.end_s), len(rows))
        block = np.floor((finish_s - step.start_s) / step.window_s * blocks).astype(np.int64).clip(0, blocks - 1)
        residence_s = finish_s - rows["start_s"].to_numpy(dtype=float)
        return cls(step.window_s, blocks, block, rows["outcome"].to_numpy(dtype=str), residence_s)

    def counts(self, rows: Flags, of: Floats | None = None) -> Floats:
        """Rows in each block, or the sum of their values."""
        return np.bincount(self.block[rows], None if of is None else of[rows], minlength=self.blocks).astype(float)

    def estimate(self, value: float, draws: Floats) -> Estimate:
        """With the variance of the resampled values, put right for few blocks."""
        known = draws[np.isfinite(draws)]
        if known.size < 2 or not math.isfinite(value):
            return Estimate.unknown()
        variance = float(np.mean((known - known.mean()) ** 2)) * self.blocks / (self.blocks - 1)
        return Estimate(value, variance, self.blocks - 1.0)


def _from_rows(data: _Blocks, random: np.random.Generator) -> dict[str, Estimate]:
    weights = resampled_weights(data.blocks, random)
    every, served = np.ones(len(data.block), dtype=np.bool_), data.outcome == "served"
    bad = {"shed_rate": data.outcome == "shed", "failed_rate": ~served & (data.outcome != "shed")}
    block_s = np.full(data.blocks, data.length_s / data.blocks)
    rates = {"throughput_rps": every, "goodput_rps": served}
    return {
        **{name: _logarithm(data, ratio_draws(weights, data.counts(rows), block_s), rows.sum() / data.length_s)
           for name, rows in rates.items()},
        **_latencies(data, served, weights),
        **{name: _share(data, rows, ratio_draws(weights, data.counts(rows), data.counts(every)))
           for name, rows in bad.items()},
    }  # fmt: skip


def _logarithm(data: _Blocks, draws: Floats, value: float) -> Estimate:
    if value <= 0:
        return Estimate.unknown()
    with np.errstate(divide="ignore", invalid="ignore"):
        return data.estimate(math.log(value), np.log(draws))


def _latencies(data: _Blocks, served: Flags, weights: Floats) -> dict[str, Estimate]:
    times_s, count = data.residence_s[served], int(served.sum())
    if count < _FEWEST_SERVED:
        return {name: Estimate.unknown() for name in ("mean_s", *_QUANTILES)}
    mean_draws = ratio_draws(weights, data.counts(served, data.residence_s), data.counts(served))
    draws = quantile_draws(weights, times_s, data.block[served], list(_QUANTILES.values()))
    found = {"mean_s": _logarithm(data, mean_draws, float(times_s.mean()))}
    for place, (name, probability) in enumerate(_QUANTILES.items()):
        is_told = count * (1.0 - probability) >= _FEWEST_BEYOND
        value = float(np.quantile(times_s, probability))
        found[name] = _logarithm(data, draws[:, place], value) if is_told else Estimate.unknown()
    return found


def _share(data: _Blocks, rows: Flags, draws: Floats) -> Estimate:
    found = data.estimate(float(rows.mean()), draws)
    least = _independent_variance(int(rows.sum()), len(rows))
    return found if found.variance >= least else Estimate(found.value, least)


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
