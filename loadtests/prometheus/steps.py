"""A stretch of steady traffic as a `LoadStep`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadtests.estimation.binned_latency import DESIGN_EFFECT, step_metrics_of_bins
from loadtests.estimation.block_bootstrap import fraction_interval, interval_of, ratio_draws, resampled_weights
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.foundation.units import Quantity
from loadtests.prometheus.counters import Floats
from loadtests.prometheus.levels import FEWEST_CELLS, Stretch, dispersion
from loadtests.prometheus.observed import Observed
from loadtests.prometheus.query_map import IN_FLIGHT
from loadtests.recording import LoadStep

LEVEL = 0.9
_MOST_BLOCKS = 60


@dataclass(frozen=True, eq=False)
class Level:
    """One level of load: its step, its bins, and what was measured beside them.

    Parameters
    ----------
    step : LoadStep
    bins : pandas.DataFrame
        Rows of the `latency_bins` table.
    in_flight : float
        Mean number of requests inside by Little's law (residence time spent per second), or NaN.
    gauges : dict of str to float
        Means of the gauges.
    """

    step: LoadStep
    bins: pd.DataFrame
    in_flight: float
    gauges: dict[str, float]


@dataclass(frozen=True)
class LevelOptions:
    """How a level is summarised.

    Parameters
    ----------
    origin_s : float
        The recording's time 0, seconds since 1970.
    think_s : float or None
        Mean think time, where somebody knows it.
    think : str
        The same as text.
    seed : int
    """

    origin_s: float
    think_s: float | None
    think: str
    seed: int


def level_of(number: int, stretch: Stretch, observed: Observed, gauges: pd.DataFrame, options: LevelOptions) -> Level:
    """Summarise one stretch.

    Parameters
    ----------
    number : int
        Of the step, from 1.
    stretch : Stretch
    observed : Observed
    gauges : pandas.DataFrame
        With `time_s` on the recording's clock.
    options : LevelOptions

    Returns
    -------
    Level
        Its load is the mean number of requests in flight, by Little's law L = X R: residence time spent per
        second (Little 1961, A proof for the queuing formula, Oper. Res. 9). With a think time Z it is
        the users of a closed loop, N = X R + X Z (interactive response time law, Denning and Buzen
        1978, The operational analysis of queueing network models, ACM Comput. Surv. 10).
    """
    rows = slice(stretch.first, stretch.end)
    times = observed.counters.time_s - options.origin_s
    start_s, end_s = float(times[stretch.first]), float(times[stretch.end])
    outcomes = {name: int(gained[rows].sum()) for name, gained in observed.outcomes.items()}
    outcomes = {name: count for name, count in outcomes.items() if count}
    bins = _bins(observed, number, stretch)
    total_s = None if observed.residence_sum_s is None else float(observed.residence_sum_s[rows].sum())
    inside = gauges[(gauges["time_s"] >= start_s) & (gauges["time_s"] <= end_s)].drop(columns="time_s")
    means = {str(name): float(inside[name].mean()) for name in inside}
    in_flight = _in_flight(observed, total_s, end_s - start_s)
    throughput_rps = sum(outcomes.values()) / (end_s - start_s)
    mean_inside = in_flight if math.isfinite(in_flight) else means.get(IN_FLIGHT, math.nan)
    users, quantity = _load(mean_inside, throughput_rps, options)
    step = LoadStep(
        step=number, users=users, start_s=start_s, end_s=end_s, requests=sum(outcomes.values()),
        metrics=_metrics(observed, stretch, bins, outcomes, total_s, generator(options.seed, number)),
        outcomes=outcomes, think=options.think, load_quantity=quantity,
    )  # fmt: skip
    return Level(step, bins, in_flight, means)


def _bins(observed: Observed, number: int, stretch: Stretch) -> pd.DataFrame:
    if observed.histogram is None:
        return pd.DataFrame()
    return observed.histogram.rows(number, stretch.first, stretch.end)


def _in_flight(observed: Observed, total_s: float | None, window_s: float) -> float:
    """Residence time per second, where the histogram counts all requests."""
    if observed.histogram is None or total_s is None or "served" in observed.histogram.outcome:
        return math.nan
    return total_s / window_s


def _load(in_flight: float, throughput_rps: float, options: LevelOptions) -> tuple[int, Quantity]:
    known = in_flight if math.isfinite(in_flight) else 0.0
    if options.think_s is None:
        return max(1, round(known)), Quantity.IN_FLIGHT
    return max(1, round(known + throughput_rps * options.think_s)), Quantity.USERS


def _metrics(
    observed: Observed,
    stretch: Stretch,
    bins: pd.DataFrame,
    outcomes: dict[str, int],
    total_s: float | None,
    random: np.random.Generator,
) -> dict[str, Interval]:
    rows = slice(stretch.first, stretch.end)
    length_s = observed.counters.length_s[rows]
    blocks = int(np.clip(len(length_s), FEWEST_CELLS, _MOST_BLOCKS))
    block = np.arange(len(length_s)) * blocks // len(length_s)
    weights = resampled_weights(blocks, random)

    def per_block(values: Floats) -> Floats:
        return np.bincount(block, values, minlength=blocks).astype(float)

    seconds = per_block(length_s)
    every = observed.requests[rows]
    of = {name: observed.outcomes.get(name, np.zeros(len(observed.requests)))[rows] for name in ("served", "shed")}

    def rate(values: Floats) -> Interval:
        draws = ratio_draws(weights, per_block(values), seconds)
        return interval_of(draws, float(values.sum() / length_s.sum()), blocks, LEVEL)

    shed_draws = ratio_draws(weights, per_block(of["shed"]), per_block(every))
    found = {
        "throughput_rps": rate(every),
        "goodput_rps": rate(of["served"]),
        "shed_rate": fraction_interval(shed_draws, int(of["shed"].sum()), int(every.sum()), blocks, LEVEL),
    }
    if bins.empty:
        return found | {name: Interval.unknown(LEVEL) for name in ("mean_s", "p50_s", "p95_s", "p99_s")}
    effect = max(DESIGN_EFFECT, dispersion(every, length_s))
    return found | step_metrics_of_bins(bins, outcomes, total_s=total_s, level=LEVEL, design_effect=effect)
