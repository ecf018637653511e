"""Where a plateau has settled: what is left of the ramp's transient after the planned settling time.

MSER-5 (`loadtests.estimation.warm_up`) proposes a cut in each of three series over time: requests finished,
their mean residence time, requests in flight. By itself it also cuts what is only noise, the more so
in correlated series; so a proposal counts where the mean before it differs from the mean after it by
more than `_SIGNIFICANT` standard errors of the difference, by blocks (`loadtests.estimation.correlation`). The
latest of the cuts holds. At most half of a plateau is cut. What still moves far beyond the middle makes
the rest as unsteady as the front, so nothing is cut then: that plateau has no steady part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadtests.estimation.correlation import Floats, intervals_for, optimal_block_length, variance_of_mean
from loadtests.estimation.warm_up import MSER_BATCH, find_warm_up
from loadtests.foundation.quantiles import normal_quantile, t_tail

_SIGNIFICANT, _MOST_ERRORS = 4.5, 37.0
_NOTHING = 0.01
_SERIES = ("requests per second", "mean residence time", "requests in flight")


@dataclass(frozen=True)
class Transient:
    """What the search found in a plateau.

    Parameters
    ----------
    length_s : float
        From the start of the search to the cut; 0: settled from the start.
    series : str
        The series that settles last; empty where none has a transient.
    errors : float
        How many standard errors the mean before the cut differs from that after it.
    is_at_limit : bool
        Whether the transient may be longer: the cut was ended by the limit.
    """

    length_s: float = 0.0
    series: str = ""
    errors: float = 0.0
    is_at_limit: bool = False


def find_transient(requests: pd.DataFrame, start_s: float, end_s: float, latest_s: float) -> Transient:
    """The transient at the front of a plateau, for a cut at `latest_s` at the latest.

    Parameters
    ----------
    requests : pandas.DataFrame
        Columns of a recording's requests table (`start_s` and `finish_s` are used).
    start_s, end_s : float
        Where to search, on the clock of the table.
    latest_s : float
        From `start_s` to `end_s`.

    Returns
    -------
    Transient
    """
    table = series_over_time(requests, start_s, end_s)
    length = next(iter(table.values())).size
    width_s = (end_s - start_s) / length
    limit = math.floor((latest_s - start_s) / width_s)
    found = [_transient(name, values, limit, width_s) for name, values in table.items()]
    return max(found, key=lambda item: item.length_s)


def series_over_time(requests: pd.DataFrame, start_s: float, end_s: float) -> dict[str, Floats]:
    """Requests finished per second, their mean residence time (s) and requests in flight, per interval of time.

    Parameters
    ----------
    requests : pandas.DataFrame
    start_s, end_s : float

    Returns
    -------
    dict of str to array
        All of the same length; a residence time without a request is that of the last interval with one.
    """
    start, finish = requests["start_s"].to_numpy(dtype=float), requests["finish_s"].to_numpy(dtype=float)
    inside = (finish >= start_s) & (finish < end_s)
    begun, done = (start, finish) if inside.all() else (start[inside], finish[inside])
    intervals = intervals_for(done.size)
    width_s = (end_s - start_s) / intervals
    place = np.minimum(((done - start_s) / width_s).astype(np.int64), intervals - 1)
    counts = np.bincount(place, minlength=intervals).astype(np.float64)
    sums = np.bincount(place, done - begun, minlength=intervals).astype(np.float64)
    in_flight = _up_to_middles(start, start_s, width_s, intervals) - _up_to_middles(finish, start_s, width_s, intervals)
    return dict(zip(_SERIES, (counts / width_s, _filled(sums, counts), in_flight), strict=True))


def _up_to_middles(times: Floats, start_s: float, width_s: float, intervals: int) -> Floats:
    """How many times lie up to the middle of each interval."""
    first = np.clip(np.ceil((times - start_s) / width_s - 0.5), 0, intervals).astype(np.int64)
    return np.cumsum(np.bincount(first, minlength=intervals + 1)[:intervals]).astype(np.float64)


def _filled(sums: Floats, counts: Floats) -> Floats:
    means = pd.Series(np.divide(sums, counts, out=np.full(sums.size, np.nan), where=counts > 0))
    return means.ffill().bfill().fillna(0.0).to_numpy(dtype=float)


def _transient(name: str, values: Floats, limit: int, width_s: float) -> Transient:
    proposed = find_warm_up(values).cut
    cut = min(proposed, limit)
    if cut < MSER_BATCH:
        return Transient()
    errors = _difference(values[:cut], values[cut:])
    if errors < _SIGNIFICANT:
        return Transient()
    return Transient(cut * width_s, name, errors, proposed > limit)


def _difference(before: Floats, after: Floats) -> float:
    """How far the means lie apart, in standard errors of the difference, were both of the later kind.

    With few blocks the chance of such a distance is Student's; the normal's errors of the same chance are given.
    Intervals of time cut a regular stream of requests unevenly, so the front may hold one jump more or less.
    Less than 1 % apart is as good as nothing.
    """
    block = int(np.clip(math.ceil(2.0 * optimal_block_length(after)), 1, max(after.size // 6, 1)))
    blocks = after.size / block
    variance = variance_of_mean(after, block) * blocks / (blocks - 1.0) * (1.0 + after.size / before.size)
    variance += (float(np.abs(np.diff(after)).max(initial=0.0)) / before.size) ** 2
    apart = abs(float(before.mean() - after.mean()))
    if apart <= _NOTHING * abs(float(after.mean())):
        return 0.0
    if variance <= 0:
        return _MOST_ERRORS
    chance = t_tail(apart / math.sqrt(variance), blocks - 1.0)
    return min(-normal_quantile(chance), _MOST_ERRORS) if chance > 0 else _MOST_ERRORS
