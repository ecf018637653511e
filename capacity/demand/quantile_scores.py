"""The grid of quantiles that a forecast states, and how such forecasts are scored."""

from __future__ import annotations

import numpy as np

from capacity.demand.history import Floats
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import beta_quantile

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN, LOW, HIGH = QUANTILES.index(0.5), QUANTILES.index(0.05), QUANTILES.index(0.95)
LEVEL = 0.9  # of the central interval between LOW and HIGH
LEAST_FOR_CORRELATION = 3


def pinball(forecasts: Floats, observed: Floats) -> Floats:
    """Loss of each quantile: tau (y - q) above it, (1 - tau) (q - y) below (R. Koenker, G. Bassett, Econometrica 46).

    Of logarithms: 0.05 is about 5 % of the load.
    """
    tau = np.array(QUANTILES)
    off = observed - forecasts
    return np.asarray(np.maximum(tau * off, (tau - 1) * off), dtype=np.float64)


def inside_interval(forecasts: Floats, observed: Floats) -> Floats:
    """1 where the month lies in the central 90 % interval, 0 where not, NaN where nothing was observed."""
    hit = (observed >= forecasts[..., LOW]) & (observed <= forecasts[..., HIGH])
    return np.where(np.isfinite(observed), hit.astype(np.float64), np.nan)


def coverage(inside: Floats, effective: float, level: float = 0.9) -> Interval:
    """Share of months inside the interval, with the interval of Clopper and Pearson at the effective number of origins.

    C. J. Clopper, E. S. Pearson, Biometrika 26, 1934. Fractional counts by the beta distribution.

    Parameters
    ----------
    inside : array of float
        1, 0, or NaN where nothing was observed.
    effective : float
    level : float, default 0.9
    """
    known = inside[np.isfinite(inside)]
    if not known.size or effective <= 0:
        return Interval.unknown(level)
    share, tail = float(known.mean()), (1 - level) / 2
    hits, misses = share * effective, (1 - share) * effective
    low = beta_quantile(tail, hits, misses + 1) if hits > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, misses) if misses > 0 else 1.0
    return Interval(min(low, share), share, max(high, share), level)


def effective_number(losses: Floats) -> float:
    """How many independent numbers a series is worth: n (1 - r) / (1 + r), r its lag-1 correlation where above 0.

    G. V. Bayley, J. M. Hammersley, Supplement to the Journal of the Royal
    Statistical Society 8, 1946, for a first-order autoregression.
    """
    n = len(losses)
    off = losses - losses.mean()
    if n < LEAST_FOR_CORRELATION or not (off**2).sum() > 0:
        return float(n)
    r = float((off[1:] * off[:-1]).sum() / (off**2).sum())
    return max(1.0, n * (1 - r) / (1 + r)) if r > 0 else float(n)


def in_order(quantiles: Floats) -> Floats:
    """Quantiles (last axis) that never cross: outwards from the median each at least as far as the one before."""
    made = quantiles.copy()
    made[..., MEDIAN:] = np.maximum.accumulate(made[..., MEDIAN:], axis=-1)
    made[..., : MEDIAN + 1] = np.minimum.accumulate(made[..., MEDIAN::-1], axis=-1)[..., ::-1]
    return made
