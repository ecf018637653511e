"""Locust's rounded times as bins: its histogram and its percentiles.

Locust rounds a response time to whole milliseconds below 100 ms and to two significant digits from
there on (`locust.stats.bucket_response_time`), and takes percentiles from the rounded ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from loadtests.estimation.binned_latency import LatencyBins

LEAST_DIGITS = 2
_MS = 1e-3


def significant_digits(keys_ms: Iterable[float]) -> int:
    """Digits to which a histogram was rounded: 2, or more where a site replaced Locust's rounding."""
    digits = [len(str(int(key)).rstrip("0")) for key in keys_ms if key >= 100]
    return max([LEAST_DIGITS, *digits])


def rounded_edges_s(value_ms: float, digits: int = LEAST_DIGITS) -> tuple[float, float]:
    """The times that Locust rounds to this value, seconds.

    A decade's first value (100, 1000, ...) also takes in the end of the finer decade below.
    """
    below = above = 0.5
    if value_ms >= 10**digits:
        above = 0.5 * 10.0 ** (math.floor(math.log10(value_ms)) - digits + 1)
        is_first = value_ms == 10 ** math.floor(math.log10(value_ms))
        below = max(above / 10, 0.5) if is_first else above
    return max(value_ms - below, 0.0) * _MS, (value_ms + above) * _MS


def bins_of_histogram(counts: Mapping[float, float]) -> LatencyBins:
    """Bins of a histogram of rounded times.

    Parameters
    ----------
    counts : mapping of float to float
        Number of requests by rounded time in milliseconds.
    """
    digits = significant_digits(counts)
    edges = [rounded_edges_s(value, digits) for value in counts]
    return LatencyBins.of([low for low, _ in edges], [high for _, high in edges], list(counts.values()))


def bins_of_percentiles(
    percentiles_ms: Mapping[float, float], number: int, least_s: float = 0.0, most_s: float = math.inf
) -> LatencyBins:
    """Bins of Locust's percentiles of `number` requests.

    Its percentile p is the (floor(number p) + 1)-th smallest rounded time (the largest one for
    p = 1), see `locust.stats.calculate_response_time_percentile`. So as many requests as the ranks
    of two percentiles are apart lie between the lower edge of the first and the upper edge of the
    second.

    Parameters
    ----------
    percentiles_ms : mapping of float to float
        Rounded times in milliseconds by p, 0 to 1; NaN where not known.
    number : int
        Requests that they are of.
    least_s, most_s : float
        Shortest and longest time, where known.
    """
    known = sorted((p, value) for p, value in percentiles_ms.items() if math.isfinite(value) and value >= 0)
    low, high, count = [], [], []
    edge, rank = least_s, 0
    for probability, value in known:
        lower, upper = rounded_edges_s(value)
        reached = min(math.floor(number * probability + 1e-9) + 1, number)
        low.append(min(edge, upper))
        high.append(max(min(upper, most_s), low[-1]))
        count.append(max(reached - rank, 0))
        edge, rank = max(edge, lower), max(reached, rank)
    low.append(min(edge, most_s))
    high.append(most_s)
    count.append(number - rank)
    return LatencyBins.of(low, high, count)
