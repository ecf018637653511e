"""The dependence between months that sample paths of a forecast show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtri
from scipy.stats import rankdata

from capacity.demand.month_dependence import KEPT, MonthDependence

Floats = NDArray[np.float64]
_LEAST_CORRELATION = 0.02
_DIGITS = 3


def fitted_dependence(paths: Floats) -> tuple[MonthDependence, ...]:
    """The dependence that is nearest to that of sample paths.

    Of ranks, turned into normal positions, the correlation of months i < j is sqrt((1 - w_i)(1 - w_j)) r_(i+1) ... r_j:
    its logarithm is a sum of terms that are at most 0, which least squares find, each pair with the weight that its
    sampling error leaves it. What comes before the first month, and a lone month, has nothing to show.

    Parameters
    ----------
    paths : array, shape (paths, months)

    Returns
    -------
    tuple of MonthDependence
        One a month.
    """
    months = paths.shape[1]
    if months == 1:
        return (KEPT,)
    known = np.clip(_rank_correlations(paths), _LEAST_CORRELATION, 1.0)
    first, second = np.triu_indices(months, 1)
    month = np.arange(months)
    own = (month == first[:, None]) | (month == second[:, None])
    between = (month > first[:, None]) & (month <= second[:, None])
    weights = known[first, second]
    terms = weights[:, None] * np.hstack([own, between]).astype(np.float64)
    found, _ = nnls(terms, -weights * np.log(weights))
    shares, links = 1.0 - np.exp(-2.0 * found[:months]), np.exp(-found[months:])
    return tuple(
        MonthDependence(round(float(one), _DIGITS), round(float(link), _DIGITS))
        for one, link in zip(shares, links, strict=True)
    )


def _rank_correlations(paths: Floats) -> Floats:
    positions = ndtri((rankdata(paths, axis=0) - 0.5) / len(paths))
    with np.errstate(invalid="ignore"):  # a month that is the same in all paths has no correlation
        return np.asarray(np.nan_to_num(np.corrcoef(positions, rowvar=False), nan=1.0), dtype=np.float64)
