"""Rates of a step whose requests are only known by number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from loadtests.estimation.binned_latency import LEVEL
from loadtests.estimation.block_bootstrap import fraction_interval
from loadtests.foundation.checks import positive
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import chi2_quantile


def rate_metrics_of_counts(
    outcomes: Mapping[str, int], window_s: float, *, clock_error_s: float = 0.0, level: float = LEVEL
) -> dict[str, Interval]:
    """`throughput_rps`, `goodput_rps` and `shed_rate` of a step from its number of requests by outcome.

    Rates have the exact Poisson interval (Garwood 1936, Biometrika 28), which is too wide rather than
    too narrow: users who wait for answers send more evenly than independent ones. The share of shed
    requests has the exact binomial one (Clopper and Pearson 1934).

    Parameters
    ----------
    outcomes : mapping of str to int
    window_s : float
    clock_error_s : float
        How much longer or shorter the window may have been, where its ends are rounded.
    level : float

    Returns
    -------
    dict of str to Interval
    """
    positive("window_s", window_s)
    total = sum(outcomes.values())
    served, shed = outcomes.get("served", 0), outcomes.get("shed", 0)
    return {
        "throughput_rps": _rate(total, window_s, clock_error_s, level),
        "goodput_rps": _rate(served, window_s, clock_error_s, level),
        "shed_rate": fraction_interval(np.array([]), shed, total, 0, level),
    }


def _rate(number: int, window_s: float, clock_error_s: float, level: float) -> Interval:
    tail = (1.0 - level) / 2.0
    low = chi2_quantile(tail, 2 * number) / 2.0 if number else 0.0
    high = chi2_quantile(1.0 - tail, 2 * number + 2) / 2.0
    shortest = max(window_s - clock_error_s, window_s / 2)
    return Interval(low / (window_s + clock_error_s), number / window_s, high / shortest, level)
