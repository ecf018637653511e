"""How long a series remembers, and what that does to the error of its mean.

Requests of a closed loop are correlated: a slow second is slow for everybody. The error of a mean
over time is that of a circular block bootstrap [1]_, in closed form: drawing whole blocks of b
intervals with replacement from the series laid in a circle gives the mean a variance of

    v(b) = mean over all blocks of (sum of the block's deviations)^2 / (b n),

so nothing needs to be drawn. A block cuts the correlation at its ends, which makes v(b) short by a
share of about 1 / b; 2 v(b) - v(b / 2) has no such share (the flat-top window of [2]_, the lugsail
of [3]_). The larger of the two is taken: negative correlation never narrows beyond its own block.

References
----------
.. [1] D. N. Politis, J. P. Romano, "A circular block-resampling procedure for stationary data", in
   Exploring the Limits of Bootstrap, Wiley, 1992, pages 263-270.
.. [2] D. N. Politis, J. P. Romano, "Bias-corrected nonparametric spectral estimation", J. Time Series
   Analysis 16(1), 1995, pages 67-103.
.. [3] D. Vats, J. M. Flegal, "Lugsail lag windows for estimating time-average covariance matrices",
   Biometrika 109(3), 2022, pages 735-750.
.. [4] D. N. Politis, H. White, "Automatic block-length selection for the dependent bootstrap",
   Econometric Reviews 23(1), 2004, pages 53-70; corrected by A. Patton, D. N. Politis, H. White,
   Econometric Reviews 28(4), 2009, pages 372-375.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FEWEST_INTERVALS, _MOST_INTERVALS, _REQUESTS_PER_INTERVAL = 60, 480, 5
_FEWEST_LAGS = 5
_SIGNIFICANT = 2.0


def intervals_for(requests: int) -> int:
    """Into how many intervals of time a stretch is cut: 60 to 480, about five requests in each.

    Parameters
    ----------
    requests : int
        That finished in it.

    Returns
    -------
    int
    """
    return min(max(requests // _REQUESTS_PER_INTERVAL, _FEWEST_INTERVALS), _MOST_INTERVALS)


def optimal_block_length(series: Floats) -> float:
    """The block length at which the variance of the mean is estimated best, by Politis and White [4]_.

    Autocorrelations count up to the last that sticks out of the noise; the length then is
    (2 G^2 / D)^(1/3) n^(1/3) with G = sum of |k| R(k) and D = 4/3 of the squared long-run variance.

    Parameters
    ----------
    series : array of float, shape (n,)
        Values per interval of time, at least ten.

    Returns
    -------
    float
        In intervals, from 1 to n / 3 (or 3 sqrt(n), when that is less).
    """
    length = series.size
    covariance = _autocovariance(series - series.mean())
    if covariance[0] <= 0:
        return 1.0
    lags = np.arange(1, min(2 * max(_memory(covariance, length), 1), covariance.size - 1) + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - lags / lags[-1]))
    weighted = 2.0 * taper * covariance[lags]
    long_run = covariance[0] + weighted.sum()
    if long_run <= 0:
        return 1.0
    slope = float(np.dot(lags, weighted))
    best = math.cbrt(2.0 * slope**2 / (4.0 / 3.0 * float(long_run) ** 2) * length)
    most: float = min(3.0 * math.sqrt(length), length / 3.0)
    return min(max(best, 1.0), most)


def variance_of_mean(series: Floats, block: int) -> float:
    """Variance of the series' mean by blocks of `block` intervals, without the first-order bias.

    Parameters
    ----------
    series : array of float, shape (n,)
    block : int
        From 1 to n.

    Returns
    -------
    float
    """
    plain = _circular_variance(series, block)
    if block == 1:
        return plain
    return max(plain, 2.0 * plain - _circular_variance(series, block // 2))


def _circular_variance(series: Floats, block: int) -> float:
    moves = series - series.mean()
    running = np.concatenate([[0.0], np.cumsum(np.concatenate([moves, moves[:block]]))])
    sums = running[block : block + moves.size] - running[: moves.size]
    return float(np.dot(sums, sums) / (block * moves.size**2))


def _autocovariance(moves: Floats) -> Floats:
    """R(0), R(1), ... up to the most lags that `_memory` looks at."""
    most = math.ceil(math.sqrt(moves.size)) + _FEWEST_LAGS
    spectrum = np.fft.rfft(moves, 2 * moves.size)
    covariance = np.fft.irfft(spectrum * spectrum.conj())[: min(most, moves.size - 1) + 1] / moves.size
    return np.asarray(covariance)


def _memory(covariance: Floats, length: int) -> int:
    """The last lag before five in a row that are no larger than noise."""
    noise = _SIGNIFICANT * math.sqrt(math.log10(length) / length)
    is_noise = np.abs(covariance[1:] / covariance[0]) < noise
    for lag in range(is_noise.size - _FEWEST_LAGS + 1):
        if is_noise[lag : lag + _FEWEST_LAGS].all():
            return lag
    return int(is_noise.size)
