"""Operational laws: they hold for any run and any distribution, so they also check measurements.

References
----------
.. [1] P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models",
   ACM Computing Surveys 10 (1978) 225-261.
.. [2] R. Jain, The Art of Computer Systems Performance Analysis, Wiley, 1991, chapter 33.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from loadtests.foundation.checks import non_negative, positive
from loadtests.foundation.errors import InputError


def utilization_law(throughput_rps: float, service_time_s: float, servers: float = 1) -> float:
    """Mean share of busy servers, U = X S / m [1]_.

    Parameters
    ----------
    throughput_rps : float
        Completions per second, at least 0.
    service_time_s : float
        Mean time that one completion holds a server, at least 0.
    servers : float, default 1
        Above 0.

    Returns
    -------
    float
        Above 1 only when the inputs contradict each other.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] R. Jain, The Art of Computer Systems Performance Analysis, 1991, section 33.1.
    """
    rate = non_negative("throughput_rps", throughput_rps)
    return rate * non_negative("service_time_s", service_time_s) / positive("servers", servers)


def littles_law(throughput_rps: float, residence_time_s: float) -> float:
    """Mean number inside, N = X R [1]_.

    Parameters
    ----------
    throughput_rps : float
        Completions per second, at least 0.
    residence_time_s : float
        Mean time inside, at least 0.

    Returns
    -------
    float

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] J. D. C. Little, "A proof for the queuing formula L = lambda W", Operations Research 9 (1961) 383-387.
    """
    return non_negative("throughput_rps", throughput_rps) * non_negative("residence_time_s", residence_time_s)


def interactive_response_time(users: float, throughput_rps: float, think_time_s: float) -> float:
    """Mean residence time from the response-time law R = N / X - Z [1]_ (infinite without throughput).

    Parameters
    ----------
    users : float
        At least 0.
    throughput_rps : float
        Completions per second, at least 0.
    think_time_s : float
        Mean, at least 0.

    Returns
    -------
    float
        Seconds; below 0 only when the inputs contradict each other.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] R. Jain, The Art of Computer Systems Performance Analysis, 1991, section 33.5.
    """
    population, rate = non_negative("users", users), non_negative("throughput_rps", throughput_rps)
    think_s = non_negative("think_time_s", think_time_s)
    return population / rate - think_s if rate > 0 else math.inf


def flow_balance_error(arrivals: float, completions: float) -> float:
    """How far a window is from flow balance: (arrivals - completions) / arrivals [1]_.

    The laws here hold exactly in balance; out of balance they err by about this share.

    Parameters
    ----------
    arrivals, completions : float
        Counts in the same window; arrivals above 0.

    Returns
    -------
    float
        0 in balance, above 0 while work piles up.

    Raises
    ------
    InputError
        For numbers out of range.

    References
    ----------
    .. [1] P. J. Denning, J. P. Buzen, ACM Computing Surveys 10 (1978) 225-261, section "Job flow balance".
    """
    came = positive("arrivals", arrivals)
    return (came - non_negative("completions", completions)) / came


@dataclass(frozen=True)
class ClosedBounds:
    """Between which a closed system's throughput and residence time lie, whatever the distributions.

    Parameters
    ----------
    throughput_low_rps, throughput_high_rps : float
        Completions per second of the whole system.
    residence_low_s, residence_high_s : float
        Mean residence time, the sum over the stations.
    saturation_users : float
        N*, where the two upper bounds of the throughput meet: beyond it somebody must wait.
    """

    throughput_low_rps: float
    throughput_high_rps: float
    residence_low_s: float
    residence_high_s: float
    saturation_users: float


def asymptotic_bounds(
    users: float, demands_s: ArrayLike, think_time_s: float = 0.0, servers: ArrayLike = 1
) -> ClosedBounds:
    """Asymptotic bounds of a closed system [1]_, extended to stations of several servers.

    With demands D_k, servers m_k and think time Z: X <= min(N / (sum D + Z), min_k m_k / D_k) and
    R >= N / X - Z. The lower bound of X follows from U_k m_k = X D_k and the m_k or fewer requests in
    service, which are at least a share min(1, m_k / N) of those at the station:
    R <= sum D_k max(1, N / m_k). For one server each these are the published ones.

    Parameters
    ----------
    users : float
        N, above 0.
    demands_s : float or array_like of float
        Service time of one cycle at each station (visits times service time), above 0.
    think_time_s : float, default 0
        Z, mean, at least 0.
    servers : float or array_like of float, default 1
        m_k, one number or one for each station, above 0.

    Returns
    -------
    ClosedBounds

    Raises
    ------
    InputError
        For numbers out of range or lengths that differ.

    References
    ----------
    .. [1] E. D. Lazowska, J. Zahorjan, G. S. Graham, K. C. Sevcik, Quantitative System
       Performance, Prentice Hall, 1984, chapter 5.
    """
    population, think_s = positive("users", users), non_negative("think_time_s", think_time_s)
    demand, count = (np.atleast_1d(np.asarray(values, dtype=float)) for values in (demands_s, servers))
    for name, values in (("demands_s", demand), ("servers", count)):
        if values.size == 0 or not np.all(np.isfinite(values) & (values > 0)):
            raise InputError(f"{name} is {values.tolist()}; give one or more finite numbers above 0.")
    if count.size not in (1, demand.size):
        raise InputError(f"servers has {count.size} numbers, demands_s {demand.size}; give one for each station.")
    total_s, most_rps = float(np.sum(demand)), float(np.min(count / demand))
    high = min(population / (total_s + think_s), most_rps)
    slowest_s = float(np.sum(demand * np.maximum(1.0, population / count)))
    return ClosedBounds(
        throughput_low_rps=population / (slowest_s + think_s), throughput_high_rps=high,
        residence_low_s=max(total_s, population / most_rps - think_s), residence_high_s=slowest_s,
        saturation_users=(total_s + think_s) * most_rps,
    )  # fmt: skip
