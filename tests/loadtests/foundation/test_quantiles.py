"""Our quantiles are those of `scipy.stats`, which is too heavy to import for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from loadtests.foundation import quantiles

PROBABILITIES = (1e-9, 0.001, 0.05, 0.3, 0.5, 0.95, 0.999, 1 - 1e-9)
SIZES = (1.0, 2.5, 19.0, 400.0, 1e6)


@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("ours", "known"),
    [
        (lambda p, _: quantiles.normal_quantile(p), lambda p, _: stats.norm.ppf(p)),
        (quantiles.t_quantile, stats.t.ppf),
        (lambda p, n: quantiles.t_tail(10 * p, n), lambda p, n: stats.t.sf(10 * p, n)),
        (lambda p, n: quantiles.beta_quantile(p, n, 3.0), lambda p, n: stats.beta.ppf(p, n, 3.0)),
        (quantiles.chi2_quantile, stats.chi2.ppf),
        (lambda p, n: quantiles.binomial_quantile(p, int(n), 0.95), lambda p, n: stats.binom.ppf(p, int(n), 0.95)),
    ],
    ids=["normal", "t", "t tail", "beta", "chi2", "binomial"],
)
def test_a_quantile_is_that_of_scipy_stats(
    ours: Callable[[float, float], float], known: Callable[[float, float], float], probability: float, size: float
) -> None:
    np.testing.assert_allclose(ours(probability, size), known(probability, size), rtol=1e-12, atol=1e-300)
