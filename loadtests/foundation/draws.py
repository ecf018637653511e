"""Endless draws from a distribution by inverting its quantile function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadtests.foundation.distributions import Distribution

_BLOCK = 256


def draws_s(distribution: Distribution, random: np.random.Generator) -> Iterator[float]:
    """Yield times in seconds, one uniform number each, drawn in blocks for speed."""
    while True:
        yield from distribution.quantile_s(random.random(_BLOCK)).tolist()
