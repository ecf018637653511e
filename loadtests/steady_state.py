"""Cuts ramps and warm-up from a recording and summarises each plateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from loadtests.block_bootstrap import (
    Floats,
    Integers,
    fraction_interval,
    interval_of,
    quantile_draws,
    ratio_draws,
    resampled_weights,
)
from loadtests.foundation.checks import positive
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.gaps import Gaps, gap_table, gaps_between
from loadtests.journal import Mark
from loadtests.recording import LoadStep

LEVEL = 0.9
_FEWEST_BLOCKS, _MOST_BLOCKS, _CYCLES_PER_BLOCK = 6, 60, 2.0
_QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}


@dataclass(frozen=True)
class Window:
    """The steady part of a step, on the clock of the requests table (seconds)."""

    step: int
    users: int
    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class LeftOut:
    """A step without a steady window, and why."""

    step: int
    users: int
    reason: str


def steady_windows(
    marks: Sequence[Mark], origin_s: float, settle_s: float
) -> tuple[tuple[Window, ...], tuple[LeftOut, ...]]:
    """From `settle_s` after a level's users were reached to the moment that the next level was asked for.

    Parameters
    ----------
    marks : sequence of Mark
        In the order of time.
    origin_s : float
        Monotonic time that counts as 0.
    settle_s : float
        Time to cut after the ramp, seconds.

    Returns
    -------
    tuple of Window, tuple of LeftOut
        Steps that never got their users, or not in time, are left out with the reason.
    """
    windows: list[Window] = []
    left_out: list[LeftOut] = []
    borders = [mark for mark in marks if mark.event != "reached"]
    for asked, following in pairwise(borders):
        if asked.event != "asked":  # a ramp, or another stretch that is only passed through
            continue
        reached = [
            m.monotonic_s for m in marks if m.event == "reached" and m.step == asked.step and m.users == asked.users
        ]
        if not reached:
            left_out.append(LeftOut(asked.step, asked.users, "its users were never all running"))
        elif reached[0] + settle_s >= following.monotonic_s:
            left_out.append(LeftOut(asked.step, asked.users, "nothing is left after its ramp and settling time"))
        else:
            start, end = reached[0] + settle_s - origin_s, following.monotonic_s - origin_s
            windows.append(Window(asked.step, asked.users, start, end))
    return tuple(windows), tuple(left_out)


def mean_gap_s(gaps: Gaps) -> float:
    """Mean gap by the Kaplan-Meier estimate of the gaps' distribution, seconds; NaN when none is complete.

    Leaving the open gaps out would favour short ones. The mean is restricted to the longest time
    seen (the area under the survival function up to there), so it is still short of the true mean
    where that time belongs to an open gap.

    Parameters
    ----------
    gaps : Gaps

    Returns
    -------
    float

    References
    ----------
    Kaplan and Meier, J. Am. Stat. Assoc. 53 (1958) 457-481; Royston and Parmar, BMC Med. Res.
    Methodol. 13 (2013) 152 (restricted mean).
    """
    if gaps.observed_s.size == 0:
        return math.nan
    survival = stats.ecdf(stats.CensoredData(uncensored=gaps.observed_s, right=gaps.censored_s)).sf
    lengths_s = np.diff(survival.quantiles, prepend=0.0)
    return float(lengths_s @ np.concatenate([[1.0], survival.probabilities[:-1]]))


def summarise_steps(
    requests: pd.DataFrame, windows: Sequence[Window], *, think: str = "", seed: int = 1
) -> tuple[LoadStep, ...]:
    """One `LoadStep` a window, with the mean gap between a user's requests as `Recording.gaps` has them."""
    table = gap_table(requests)
    steps = []
    for window in windows:
        is_ramp_down_ahead = any(later.users < window.users for later in windows if later.start_s > window.start_s)
        gaps = gaps_between(table, window.start_s, window.end_s, is_ramp_down_ahead=is_ramp_down_ahead)
        step = summarise(requests, window, think=think, seed=seed)
        steps.append(replace(step, gap_mean_s=mean_gap_s(gaps)))
    return tuple(steps)


def summarise(
    requests: pd.DataFrame, window: Window, *, think: str = "", seed: int = 1, level: float = LEVEL
) -> LoadStep:
    """Metrics of one steady window with their intervals, by block bootstrap over time.

    Parameters
    ----------
    requests : pandas.DataFrame
        Columns of a recording's requests table.
    window : Window
        Requests count that finished from its start up to its end.
    think : str
        Nominal think time, kept in the step.
    seed : int
        Seed of the resampling.
    level : float
        Level of the intervals.

    Returns
    -------
    LoadStep
        Rates are per second of the window; latencies are of served requests. Gaps take knowledge
        of the other steps: see `summarise_steps`.
    """
    positive("length of the window", window.length_s)
    finish = requests["finish_s"].to_numpy(dtype=float)
    inside = (finish >= window.start_s) & (finish < window.end_s)
    rows = requests[inside]
    return LoadStep(
        step=window.step,
        users=window.users,
        start_s=window.start_s,
        end_s=window.end_s,
        requests=len(rows),
        metrics=_metrics(_Plateau.of(rows, window), generator(seed, window.step), level),
        outcomes={str(name): int(count) for name, count in rows["outcome"].value_counts().items()},
        think=think,
    )


@dataclass(frozen=True)
class _Plateau:
    """The rows of a window as arrays, each with the number of its block of time."""

    length_s: float
    blocks: int
    block: Integers
    served: NDArray[np.bool_]
    shed: NDArray[np.bool_]
    residence_s: Floats

    @classmethod
    def of(cls, rows: pd.DataFrame, window: Window) -> _Plateau:
        finish = rows["finish_s"].to_numpy(dtype=float)
        outcome = rows["outcome"].to_numpy(dtype=str)
        blocks = number_of_blocks(window, len(rows))
        place = ((finish - window.start_s) / window.length_s * blocks).astype(np.int64)
        return cls(
            length_s=window.length_s,
            blocks=blocks,
            block=np.minimum(place, blocks - 1),
            served=outcome == "served",
            shed=outcome == "shed",
            residence_s=finish - rows["start_s"].to_numpy(dtype=float),
        )

    def per_block(self, rows: NDArray[np.bool_], of: Floats | None = None) -> Floats:
        """Number of rows in each block, or the sum of their values."""
        weights = None if of is None else of[rows]
        return np.bincount(self.block[rows], weights, minlength=self.blocks).astype(float)


def number_of_blocks(window: Window, requests: int) -> int:
    """Blocks of about two cycles of a user each, between 6 and 60.

    A user's mean cycle (residence plus think) is users / throughput, by the
    closed loop's law N = X (R + Z); correlation fades over cycles.
    """
    if requests == 0:
        return _FEWEST_BLOCKS
    cycle_s = window.users * window.length_s / requests
    return int(np.clip(window.length_s / (_CYCLES_PER_BLOCK * cycle_s), _FEWEST_BLOCKS, _MOST_BLOCKS))


def _metrics(plateau: _Plateau, random: np.random.Generator, level: float) -> dict[str, Interval]:
    weights = resampled_weights(plateau.blocks, random)
    every = np.ones_like(plateau.served)
    block_s = np.full(plateau.blocks, plateau.length_s / plateau.blocks)
    total, shed = len(every), int(plateau.shed.sum())

    def rate(rows: NDArray[np.bool_]) -> Interval:
        draws = ratio_draws(weights, plateau.per_block(rows), block_s)
        return interval_of(draws, float(rows.sum()) / plateau.length_s, plateau.blocks, level)

    shed_draws = ratio_draws(weights, plateau.per_block(plateau.shed), plateau.per_block(every))
    return {
        "throughput_rps": rate(every),
        "goodput_rps": rate(plateau.served),
        "shed_rate": fraction_interval(shed_draws, shed, total, plateau.blocks, level),
        **_latencies(plateau, weights, level),
    }


def _latencies(plateau: _Plateau, weights: Floats, level: float) -> dict[str, Interval]:
    served, times = plateau.served, plateau.residence_s[plateau.served]
    if times.size == 0:
        return {name: Interval.unknown(level) for name in ("mean_s", *_QUANTILES)}
    mean_draws = ratio_draws(weights, plateau.per_block(served, plateau.residence_s), plateau.per_block(served))
    probabilities = list(_QUANTILES.values())
    draws = quantile_draws(weights, times, plateau.block[served], probabilities)
    mids = np.quantile(times, probabilities)
    found = {"mean_s": interval_of(mean_draws, float(times.mean()), plateau.blocks, level)}
    for place, name in enumerate(_QUANTILES):
        found[name] = interval_of(draws[:, place], float(mids[place]), plateau.blocks, level)
    return found
