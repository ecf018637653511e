"""Uncertain numbers as draws: the same uniform numbers in, so that alternatives are compared on the same futures.

References
----------
.. [1] M. D. McKay, R. J. Beckman, W. J. Conover, "A comparison of three methods for selecting values of input
   variables in the analysis of output from a computer code", Technometrics 21(2), 1979: Latin hypercube samples.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator

Floats = NDArray[np.float64]
Uncertain = Interval | Number | Floats
SCENARIO_LEVEL = 0.9


def uniforms(count: int, seed: int, *path: int) -> Floats:
    """`count` numbers in (0, 1), one in each part of equal length, in random order [1]_ (of the module)."""
    rng = generator(seed, *path)
    return np.asarray((rng.permutation(count) + rng.random(count)) / count, dtype=float)


def checked_uncertain(name: str, value: Uncertain) -> Interval | Floats:
    """An uncertain number as an interval or an array of draws, all at least 0.

    Raises
    ------
    InputError
        For what is neither, and for negative, infinite or missing numbers.
    """
    if isinstance(value, Interval):
        _check_ends(name, value)
        return value
    if isinstance(value, (np.ndarray, list, tuple)):
        return _checked_draws(name, value)
    number = exact(name, value)
    if number < 0:
        raise InputError(f"{name} is {value!r}; it must be 0 or more.")
    return Interval.assumed(float(number))


def _check_ends(name: str, value: Interval) -> None:
    if not (0 <= value.low <= value.mid <= value.high < math.inf):
        raise InputError(f"{name} is {value!r}; its ends must be 0 or more and finite.")


def _checked_draws(name: str, value: object) -> Floats:
    try:
        draws = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; it must be a list of numbers.") from None
    if draws.ndim != 1 or not draws.size or not np.all(np.isfinite(draws)) or draws.min() < 0:
        raise InputError(f"{name} has draws of shape {draws.shape}; give a list of finite numbers of 0 or more.")
    return draws


def drawn(value: Interval | Floats, at: Floats) -> Floats:
    """Draws of an uncertain number at uniform numbers.

    An array gives the row at that share of its length, so that rows of several arrays stay together. An interval
    with a probability is read as two halves of lognormal shape (normal, where it reaches 0) with `mid` as the median
    and the ends as the quantiles that its level claims. One without a probability (level 1) is a triangle.
    """
    if not isinstance(value, Interval):
        return np.asarray(value[np.minimum((at * value.size).astype(int), value.size - 1)], dtype=float)
    if value.low == value.high:
        return np.full(at.shape, value.mid)
    return _triangular(value, at) if value.level >= 1 else _two_halves(value, at)


def _triangular(value: Interval, at: Floats) -> Floats:
    width, left = value.high - value.low, value.mid - value.low
    below = value.low + np.sqrt(at * width * left)
    above = value.high - np.sqrt((1 - at) * width * (value.high - value.mid))
    return np.where(at * width < left, below, above)


def _two_halves(value: Interval, at: Floats) -> Floats:
    steps = ndtri(at) / NormalDist().inv_cdf((1 + value.level) / 2)
    if value.low > 0:
        ends = math.log(value.mid / value.low), math.log(value.high / value.mid)
        return np.asarray(value.mid * np.exp(np.where(steps < 0, steps * ends[0], steps * ends[1])), dtype=float)
    ends = value.mid - value.low, value.high - value.mid
    return np.maximum(0.0, value.mid + np.where(steps < 0, steps * ends[0], steps * ends[1]))


def summarised(value: Interval | Floats) -> Interval:
    """Low, mid and high of an uncertain number: its own, or the central 90 % of its draws."""
    return value if isinstance(value, Interval) else Interval.from_draws(value, level=SCENARIO_LEVEL, kind="prediction")
