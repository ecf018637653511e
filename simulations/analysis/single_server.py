"""One server with any service-time distribution: FIFO (Pollaczek-Khinchine) and processor sharing.

References
----------
.. [1] L. Kleinrock, Queueing Systems, volume 1: Theory, Wiley, 1975, section 5.6.
.. [2] L. Kleinrock, Queueing Systems, volume 2: Computer Applications, Wiley, 1976, section 4.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import positive
from loadtests.foundation.distributions import Constant, Distribution
from loadtests.foundation.errors import InputError
from simulations.analysis.queueing_theory import StationMetrics


def mg1(arrival_rate: float, service_time: Distribution) -> StationMetrics:
    """M/G/1, FIFO: mean wait rho S (1 + cv^2) / (2 (1 - rho)), Pollaczek-Khinchine [1]_.

    Parameters
    ----------
    arrival_rate : float
        Poisson arrivals per second, above 0.
    service_time : Distribution
        Only its mean and cv matter; the mean above 0.

    Returns
    -------
    StationMetrics

    Raises
    ------
    InputError
        For an arrival rate times mean service time of 1 or more (no steady state), or numbers out of range.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 1, 1975, equation 5.69.
    """
    rate, mean_s, load = _load(arrival_rate, service_time)
    waiting_s = load * mean_s * (1.0 + service_time.cv**2) / (2.0 * (1.0 - load))
    return _metrics(rate, mean_s, waiting_s)


def md1(arrival_rate: float, service_time_s: float) -> StationMetrics:
    """M/D/1: every service takes the same time; the mean wait is half of that of M/M/1 [1]_.

    Parameters
    ----------
    arrival_rate : float
        Poisson arrivals per second, above 0.
    service_time_s : float
        Seconds, above 0.

    Returns
    -------
    StationMetrics

    Raises
    ------
    InputError
        As `mg1`.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 1, 1975, section 5.6.
    """
    return mg1(arrival_rate, Constant(positive("service_time_s", service_time_s)))


def mg1_ps(arrival_rate: float, service_time: Distribution) -> StationMetrics:
    """M/G/1 with processor sharing: mean residence S / (1 - rho), whatever the distribution [1]_.

    Parameters
    ----------
    arrival_rate : float
        Poisson arrivals per second, above 0.
    service_time : Distribution
        Work of a request, seconds of the whole server; only its mean matters, above 0.

    Returns
    -------
    StationMetrics
        `waiting_time_s` is what sharing adds: residence minus work.

    Raises
    ------
    InputError
        As `mg1`.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 2, 1976, section 4.4.
    """
    rate, mean_s, load = _load(arrival_rate, service_time)
    return _metrics(rate, mean_s, mean_s * load / (1.0 - load))


def mg1_ps_residence_of_size(arrival_rate: float, service_time: Distribution, size_s: ArrayLike) -> NDArray[np.float64]:
    """Mean residence of a request of a given size under processor sharing: x / (1 - rho) [1]_.

    Parameters
    ----------
    arrival_rate : float
        Poisson arrivals per second, above 0.
    service_time : Distribution
        Work of all requests.
    size_s : array_like of float
        Work of the request in question, seconds, at least 0.

    Returns
    -------
    array of float
        Seconds, in the shape of `size_s`.

    Raises
    ------
    InputError
        As `mg1`, and for sizes that are negative or not finite.

    References
    ----------
    .. [1] L. Kleinrock, Queueing Systems 2, 1976, section 4.4.
    """
    sizes = np.asarray(size_s, dtype=float)
    if not np.all(np.isfinite(sizes) & (sizes >= 0)):
        raise InputError(f"size_s is {sizes.tolist()}; it must be 0 or more, and finite.")
    return np.asarray(sizes / (1.0 - _load(arrival_rate, service_time)[2]), dtype=float)


def _load(arrival_rate: float, service_time: Distribution) -> tuple[float, float, float]:
    rate, mean_s = positive("arrival_rate", arrival_rate), positive("mean service time", service_time.mean_s)
    load = rate * mean_s
    if load >= 1.0:
        raise InputError(
            f"arrival_rate is {rate:g}, the mean service time {mean_s:g} s: a load of {load:g} has no steady state; "
            "it must be below 1. Lower the rate, or use a station of several servers."
        )
    return rate, mean_s, load


def _metrics(rate: float, mean_s: float, waiting_s: float) -> StationMetrics:
    residence_s = mean_s + waiting_s
    return StationMetrics(rate, residence_s, waiting_s, rate * residence_s, rate * mean_s)
