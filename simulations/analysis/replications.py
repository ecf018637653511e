"""Intervals from independent replications, and from shares of events that come in clusters.

Replications differ only in their random numbers, so their values are
independent and identically distributed, however correlated the requests inside
each are. Means take Student's t over the replications [1]_. Shares (sheds of
requests) take the ratio estimator with its t interval on the logit scale, because
near 0 the estimate and its standard error rise and fall together; on the plain
scale such an interval holds the truth too seldom [2]_. Measured coverage stands
in docs/evidence.md.

References
----------
.. [1] A. M. Law, Simulation Modeling and Analysis, 5th edition, McGraw-Hill, 2015, section 9.5.
.. [2] L. D. Brown, T. T. Cai, A. DasGupta, "Interval estimation for a binomial proportion",
   Statistical Science 16(2), 2001, pages 101-133.
.. [3] M. H. Quenouille, "Notes on bias in estimation", Biometrika 43(3/4), 1956, pages 353-360.
.. [4] F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28(3/4), 1936, pages 437-442.
.. [5] S. Asmussen, P. W. Glynn, Stochastic Simulation, Springer, 2007, section III.5a (sectioning).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from loadtests.foundation.checks import non_negative
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

Floats = NDArray[np.float64]
Row = Mapping[str, float]

FEW_EVENTS = 50
"""Below this many sheds the interval of a share is widened to that of independent sheds, and not vouched for."""

COUNTS = ("sheds", "requests")
"""Keys of a row that make its ``shed_rate`` a ratio of totals."""


def student_quantile(degrees: float, level: float) -> float:
    """The t value that leaves (1 - level) / 2 above it."""
    return float(special.stdtrit(degrees, 0.5 + level / 2.0))


def checked_level(level: float) -> float:
    """Return `level` when it lies between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level!r}; it must lie between 0 and 1, for example 0.95.")
    return level


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent values [1]_.

    Parameters
    ----------
    values : array_like of float
        One a replication. Those that are not finite are left out.
    level : float, default 0.95

    Returns
    -------
    Interval
        Unknown for fewer than two values.

    Raises
    ------
    InputError
        For a level outside 0..1.
    """
    known = _finite(values)
    if known.size < 2:
        return Interval.unknown(checked_level(level))
    half = student_quantile(known.size - 1, checked_level(level)) * _standard_error(known)
    mid = float(known.mean())
    return Interval(mid - half, mid, mid + half, level)


def share_interval(events: ArrayLike, trials: ArrayLike, level: float = 0.95, *, cluster_size: float = 1.0) -> Interval:
    """Interval of a long-run share, such as sheds of requests, from counts of independent replications.

    The estimate is total events over total trials; its standard error that of a
    ratio, so events may come in clusters inside a replication. The interval is
    t on the logit scale and never leaves 0..1. With fewer than `FEW_EVENTS`
    events it is widened to Garwood's exact one for independent events [4]_, for
    a few replications with events tell little about the spread. Without any
    event, see `none_seen_interval`.

    Parameters
    ----------
    events, trials : array_like of float
        Counts, one each a replication.
    level : float, default 0.95
    cluster_size : float, default 1
        Mean number of events that come together, at least 1; used where none is seen.

    Returns
    -------
    Interval
        Unknown for fewer than two replications or no trials.

    Raises
    ------
    InputError
        For counts of different lengths, negative ones, or a level outside 0..1.
    """
    counts, sizes = _counts(events, trials)
    if counts.size < 2 or sizes.sum() == 0:
        return Interval.unknown(checked_level(level))
    if counts.sum() == 0:
        return none_seen_interval(float(sizes.sum()), level, cluster_size=cluster_size)
    if counts.sum() == sizes.sum():
        return _mirrored(none_seen_interval(float(sizes.sum()), level, cluster_size=cluster_size))
    share = float(counts.sum() / sizes.sum())
    error = _standard_error(counts - share * sizes) / float(sizes.mean())
    found = logit_interval(share, student_quantile(counts.size - 1, checked_level(level)) * error, level)
    return at_least_independent(found, float(counts.sum()), float(sizes.sum()))


def logit_interval(share: float, half: float, level: float) -> Interval:
    """The interval share +- half, carried over to the logit scale: it stays within 0..1."""
    if half == 0.0 or not 0.0 < share < 1.0:
        return Interval(max(share - half, 0.0), share, min(share + half, 1.0), level)
    centre, reach = float(special.logit(share)), half / (share * (1.0 - share))
    low, high = float(special.expit(centre - reach)), float(special.expit(centre + reach))
    return Interval(min(low, share), share, max(high, share), level)


def at_least_independent(found: Interval, events: float, trials: float) -> Interval:
    """With fewer than `FEW_EVENTS` events, the interval widened to Garwood's for independent events [4]_."""
    if events >= FEW_EVENTS:
        return found
    tail = (1.0 - found.level) / 2.0
    low = float(special.gammaincinv(events, tail)) / trials
    high = float(special.gammainccinv(events + 1.0, tail)) / trials
    return Interval(min(found.low, low), found.mid, min(max(found.high, high), 1.0), found.level)


def none_seen_interval(trials: float, level: float = 0.95, *, cluster_size: float = 1.0) -> Interval:
    """One-sided bound of a share of which no event was seen in `trials` trials.

    When events come in clusters of mean size m that arrive as a Poisson process,
    a share p means n p / m clusters in n trials, none with probability
    exp(-n p / m): the bound is -m ln(1 - level) / n. With m = 1 (the default) the
    trials themselves are taken as independent, and the bound is the exact
    1 - (1 - level)^(1 / n), about 3 / n at 95 %. Sheds are *not* independent: with
    m = 1 the bound is too low by the factor of the cluster size; get that from
    `shed_cluster_size`.

    Parameters
    ----------
    trials : float
        Requests without an event.
    level : float, default 0.95
        One-sided: the whole 1 - level lies above the bound.
    cluster_size : float, default 1
        At least 1.

    Returns
    -------
    Interval
        From 0, with 0 in the middle.

    Raises
    ------
    InputError
        For a cluster size below 1 or a level outside 0..1.
    """
    if not cluster_size >= 1.0:
        raise InputError(f"cluster_size is {cluster_size!r}; a cluster has at least 1 event.")
    clusters = non_negative("trials", trials) / cluster_size
    bound = -math.expm1(math.log1p(-checked_level(level)) / clusters) if clusters > 0 else 1.0
    return Interval(0.0, 0.0, min(bound, 1.0), level)


def shed_cluster_size(utilization: float, *, arrival_cv: float = 1.0, service_cv: float = 1.0) -> float:
    """Mean number of requests that a full server sheds in one go: v / (1 - u), v = (ca^2 + cs^2) / 2.

    For Poisson arrivals and exponential service exact: from a full server the
    next event is one more shed with probability a = u / (1 + u), else a departure
    after which the line fills again with probability u (gambler's ruin), so the
    sheds that follow the first number S = a (1 + S) + (1 - a) u S = u / (1 - u).
    Other variabilities enter by the heavy-traffic factor v; never below 1.

    Parameters
    ----------
    utilization : float
        Mean share of busy workers, 0 to 1; at 1 the size has no bound (infinity).
    arrival_cv, service_cv : float, default 1
        Coefficients of variation of the interarrival and service times.

    Returns
    -------
    float
        At least 1.

    Raises
    ------
    InputError
        For a negative argument.
    """
    busy = non_negative("utilization", utilization)
    variability = (non_negative("arrival_cv", arrival_cv) ** 2 + non_negative("service_cv", service_cv) ** 2) / 2.0
    return max(1.0, variability / (1.0 - busy)) if busy < 1.0 else math.inf


def quantile_with_less_bias(values: ArrayLike, probability: float) -> float:
    """A sample quantile without its bias of order 1 / n: 2 q(all) - (q(first half) + q(second half)) / 2 [3]_.

    The quantile of one replication is biased, and averaging replications does
    not take that away: with many of them the bias outgrows the interval. This
    costs about 5 % more standard deviation.

    Parameters
    ----------
    values : array_like of float
        Observations in the order of time (correlated ones too).
    probability : float
        0 to 1.

    Returns
    -------
    float
        NaN without values; the plain quantile of fewer than two.
    """
    known = np.asarray(values, dtype=float)
    if known.size < 2:
        return float(known[0]) if known.size else math.nan
    half = known.size // 2
    whole, first, second = (_quantile(part, probability) for part in (known, known[:half], known[half:]))
    return 2.0 * whole - (first + second) / 2.0


def pooled_quantile_interval(samples: Sequence[ArrayLike], probability: float, level: float = 0.95) -> Interval:
    """Quantile of all replications' observations together, its width by sectioning [5]_.

    Parameters
    ----------
    samples : sequence of array_like
        The observations of each replication; of about the same number.
    probability : float
        0 to 1.
    level : float, default 0.95

    Returns
    -------
    Interval
        Unknown for fewer than two replications with observations.
    """
    known = [np.asarray(sample, dtype=float) for sample in samples if np.size(sample)]
    if len(known) < 2:
        return Interval.unknown(checked_level(level))
    pooled = float(np.quantile(np.concatenate(known), probability))
    sections = np.array([np.quantile(sample, probability) for sample in known])
    spread = math.sqrt(float(np.sum((sections - pooled) ** 2)) / (len(known) - 1) / len(known))
    half = student_quantile(len(known) - 1, checked_level(level)) * spread
    return Interval(pooled - half, pooled, pooled + half, level)


def replication_intervals(
    rows: Sequence[Row], level: float = 0.95, *, cluster_size: float = 1.0
) -> dict[str, Interval]:
    """Every metric's interval from one row of metrics a replication.

    ``shed_rate`` is a ratio of totals where the rows carry the counts ``sheds``
    and ``requests``; everything else, all of it not negative, takes Student's t.
    Quantiles should come from `quantile_with_less_bias`.

    Parameters
    ----------
    rows : sequence of mapping
        The same keys in each.
    level : float, default 0.95
    cluster_size : float, default 1
        As for `share_interval`.

    Returns
    -------
    dict of str to Interval
        The counts are left out.

    Raises
    ------
    InputError
        Without rows, or with rows of different keys.
    """
    columns = columns_of(rows)
    counted = all(name in columns for name in COUNTS)
    found = {
        name: _not_negative(mean_interval(values, level)) for name, values in columns.items() if name not in COUNTS
    }
    if counted:
        found["shed_rate"] = share_interval(columns["sheds"], columns["requests"], level, cluster_size=cluster_size)
    return found


def columns_of(rows: Sequence[Row]) -> dict[str, Floats]:
    """Rows as one array a metric; refuses rows of different metrics."""
    if not rows:
        raise InputError("No replications were given; at least two are needed.")
    names = set(rows[0])
    odd = [str(number) for number, row in enumerate(rows) if set(row) != names]
    if odd:
        raise InputError(f"Replications {', '.join(odd)} do not have the metrics of the first: {sorted(names)}.")
    return {name: np.array([row[name] for row in rows], dtype=float) for name in rows[0]}


def _quantile(values: Floats, probability: float) -> float:
    """`np.quantile` (linear) without its checks, which cost more than the work for a few thousand values."""
    below, share = divmod((values.size - 1) * probability, 1.0)
    last = min(int(below) + 1, values.size - 1)
    ordered = np.partition(values, (int(below), last))
    return float(ordered[int(below)] + share * (ordered[last] - ordered[int(below)]))


def _finite(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, dtype=float)
    return np.asarray(numbers[np.isfinite(numbers)])


def _standard_error(values: Floats) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(values.size)


def _counts(events: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    counts, sizes = np.asarray(events, dtype=float), np.asarray(trials, dtype=float)
    if counts.shape != sizes.shape or counts.ndim != 1:
        raise InputError(f"Events and trials must be counts a replication; given shapes {counts.shape}, {sizes.shape}.")
    if np.any(counts < 0) or np.any(counts > sizes):
        raise InputError("Events must be at least 0 and at most the trials in every replication.")
    return counts, sizes


def _mirrored(found: Interval) -> Interval:
    return Interval(1.0 - found.high, 1.0, 1.0, found.level)


def _not_negative(found: Interval) -> Interval:
    return (
        Interval(max(found.low, 0.0), max(found.mid, 0.0), max(found.high, 0.0), found.level)
        if found.is_known
        else found
    )
