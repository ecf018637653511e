"""Tests of a contrast of block means, such as a slope, that stay right where blocks are correlated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from loadtests.trust.plateau import Floats, Plateau

_CYCLES_PER_BLOCK, _MOST_BLOCKS, FEWEST_BLOCKS = 2.0, 40, 12
_MOST_CORRELATION = 0.9


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of block means and how improbable it is without a fault.

    Parameters
    ----------
    value : float
        The sum, relative to the mean of all blocks.
    standard_error : float
        Its standard error, relative likewise.
    p_value : float
        One-sided probability of as large a value (of the sign that it has).
    """

    value: float
    standard_error: float
    p_value: float


def number_of_blocks(plateau: Plateau) -> int:
    """Blocks of at least two cycles of a user, at most 40; below `FEWEST_BLOCKS` no contrast can be judged."""
    return int(min(plateau.step.window_s / (_CYCLES_PER_BLOCK * plateau.cycle_s), _MOST_BLOCKS))


def slope_weights(blocks: int) -> Floats:
    """The change over the window of a straight line fitted to the block means."""
    place = np.arange(blocks) - (blocks - 1) / 2
    return np.asarray(place / float(place @ place) * blocks)


def contrast_of(values: Floats, weights: Floats) -> Contrast:
    """Judge a contrast under first-order autoregressive noise.

    The lag-one correlation of the residuals is raised by its small-sample bias, (1 + 4 r) / k, and
    by one standard error, as it is itself uncertain; the degrees of freedom are those of as many
    independent blocks as the correlated ones are worth, k (1 - r) / (1 + r), less 2.

    Parameters
    ----------
    values : array
        Block means, in the order of time.
    weights : array
        Sum to 0.

    Returns
    -------
    Contrast

    References
    ----------
    Kendall, Note on bias in the estimation of autocorrelation, Biometrika 41 (1954) 403-404.
    """
    blocks, mean = len(values), float(np.mean(values))
    if mean <= 0:
        return Contrast(0.0, 0.0, 1.0)
    value = float(weights @ values)
    residuals = values - mean - value * weights / float(weights @ weights)
    correlation = _correlation(residuals)
    matrix = linalg.toeplitz(correlation ** np.arange(blocks))
    worth = max(blocks * (1 - correlation) / (1 + correlation), 3.5)
    spread = math.sqrt(float(residuals @ residuals) / (blocks - 2) * blocks / (blocks - blocks / worth))
    error = spread * math.sqrt(float(weights @ matrix @ weights))
    score = abs(value) / error if error > 0 else (math.inf if abs(value) > 0 else 0.0)
    return Contrast(value / mean, error / mean, float(stats.t.sf(score, worth - 2)))


def _correlation(residuals: Floats) -> float:
    """Lag-one correlation, corrected upwards."""
    blocks, power = len(residuals), float(residuals @ residuals)
    if power <= 0:
        return 0.0
    plain = float(residuals[1:] @ residuals[:-1]) / power
    raised = plain + (1 + 4 * plain) / blocks + math.sqrt(max(1 - plain**2, 0.0) / blocks)
    return float(np.clip(raised, 0.0, _MOST_CORRELATION))
