"""The error of a correlated series' mean. Random cases are seeded; tolerances come from the spread over seeds."""

import math

import numpy as np
import pytest

from loadtests.estimation.correlation import optimal_block_length, variance_of_mean


def ar1(random, length, correlation):
    noise = random.normal(size=length) * math.sqrt(1 - correlation**2)
    values = np.empty(length)
    values[0] = random.normal()
    for place in range(1, length):
        values[place] = correlation * values[place - 1] + noise[place]
    return values


def test_a_constant_and_white_noise_need_no_blocks():
    assert optimal_block_length(np.ones(100)) == 1.0
    lengths = [optimal_block_length(np.random.default_rng(seed).normal(size=480)) for seed in range(50)]
    assert np.median(lengths) < 4


def test_the_longer_the_memory_the_longer_the_blocks():
    lengths = [
        np.median([optimal_block_length(ar1(np.random.default_rng(seed), 480, rho)) for seed in range(20)])
        for rho in (0.2, 0.6, 0.9)
    ]
    assert lengths == sorted(lengths)
    assert lengths[-1] > 4 * lengths[0]


def test_the_length_is_the_formula_s_where_the_autocorrelation_is_known():
    """AR(1), rho = 0.5, n = 20,000: G = 2 rho / (1 - rho)^2 / ... gives (6 (2 rho / (1 - rho^2))^2 / 4 n)^(1/3).

    With R(k) = rho^k: sum |k| R = 2 rho / (1 - rho)^2 and long-run variance (1 + rho) / (1 - rho), so
    2 G^2 / (4/3 g^2) = 1.5 (2 rho / (1 - rho^2))^2 = 2.67 and the length is (2.67 n)^(1/3) = 37.6. The spread of the
    estimate over 40 seeds is 4 %; five times that is allowed.
    """
    expected = (1.5 * (2 * 0.5 / (1 - 0.25)) ** 2 * 20_000) ** (1 / 3)
    assert optimal_block_length(ar1(np.random.default_rng(1), 20_000, 0.5)) == pytest.approx(expected, rel=0.2)


def test_the_variance_of_a_correlated_mean_is_that_over_many_runs():
    """AR(1), rho = 0.8, 480 values: n Var(mean) = (1 + rho) / (1 - rho) = 9 times the independent one.

    Blocks of 40 alone fall short by 2 rho / (1 - rho^2) / 40 = 11 %; without that bias 300 runs agree within 6 %
    (their own standard error is 2 %).
    """
    found = [variance_of_mean(ar1(np.random.default_rng(seed), 480, 0.8), 40) * 480 for seed in range(300)]
    assert np.mean(found) == pytest.approx(9.0 * (1 - 40 / 480), rel=0.12)


def test_single_intervals_have_the_textbook_variance():
    values = np.random.default_rng(1).normal(size=50)
    assert variance_of_mean(values, 1) == pytest.approx(values.var() / 50)
