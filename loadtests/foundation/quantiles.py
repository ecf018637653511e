"""Quantiles and tails of the usual distributions, from `scipy.special` alone.

`scipy.stats` has the same by the same formulas, but importing it takes as long as a small command and
25 MiB, and brings the optimizers along, another 25.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def normal_quantile(probability: float) -> float:
    """The standard normal's quantile; of a tail's chance, its negative is how many standard errors lie below it."""
    return float(special.ndtri(probability))


def t_quantile(probability: float, degrees: Any) -> Any:
    """Student's quantile.

    Parameters
    ----------
    probability : float
    degrees : float or array of float
        Degrees of freedom.

    Returns
    -------
    float or array of float
        As `degrees`.
    """
    return special.stdtrit(degrees, probability)


def t_tail(value: float, degrees: float) -> float:
    """The chance that Student's variable lies above `value`."""
    return float(special.stdtr(degrees, -value))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The beta distribution's quantile."""
    return float(special.betaincinv(a, b, probability))


def chi2_quantile(probability: float, degrees: float) -> float:
    """The chi-squared distribution's quantile."""
    return 2.0 * float(special.gammaincinv(degrees / 2.0, probability))


def binomial_quantile(probability: float, number: int, share: float) -> int:
    """The least count whose chance not to be passed, in `number` trials of chance `share`, is `probability`."""
    at = int(np.ceil(special.bdtrik(probability, number, share)))
    return at - 1 if at > 0 and special.bdtr(at - 1, number, share) >= probability else at
