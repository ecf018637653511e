"""A state known from bounds: against the filter where nothing is bounded, and against rejection where something is."""

from __future__ import annotations

import numpy as np
import pytest

from capacity.demand.bounded_states import KalmanFilter, states_given_bounds
from loadtests.foundation.seeds import generator

LEVEL, NOISE = 0.3, 1.0
NOTHING = -np.inf


def local_level(periods: int) -> tuple[KalmanFilter, float]:
    """A random walk under noise, known at its start to be normal(0, 4), and its variance after the last period."""
    variance, gains, variances = 4.0, [], []
    for _ in range(periods):
        variances.append(variance + NOISE**2)
        gains.append(variance / variances[-1])
        variance = variance * (1 - gains[-1]) + LEVEL**2
    start = np.zeros(1)
    run = KalmanFilter(np.ones(1), np.eye(1), start, np.array(gains)[:, None], np.array(variances), 0)
    return run, variance


def drawn(logs, bounds, draws=40_000):
    run, variance = local_level(len(logs))
    rng = generator(5)
    states = states_given_bounds(run, np.array(logs), np.array(bounds), draws, rng)[:, 0]
    return states + np.sqrt(variance) * rng.standard_normal(draws)


def rejected(logs, bounds, draws=4_000_000):
    """The same law by brute force: walks whose bounded periods came high enough, weighted by the observed ones."""
    rng = generator(6)
    level, weight = 2.0 * rng.standard_normal(draws), np.ones(draws)
    for seen, bound in zip(logs, bounds, strict=True):
        if np.isnan(bound):
            weight *= np.exp(-((seen - level) ** 2) / 2 / NOISE**2)
        elif np.isfinite(bound):
            weight *= level + NOISE * rng.standard_normal(draws) > bound
        level = level + LEVEL * rng.standard_normal(draws)
    mean = np.average(level, weights=weight)
    return mean, np.sqrt(np.average((level - mean) ** 2, weights=weight))


@pytest.mark.parametrize(
    ("logs", "bounds"),
    [
        ([0.5, 1.0, 0.8], [np.nan] * 3),
        ([0.5, 9.0, 0.8], [np.nan, NOTHING, np.nan]),
        ([0.5, 9.0, 0.8], [np.nan, 2.0, np.nan]),
        ([0.5, 9.0, 9.0, 9.0], [np.nan, 2.0, 2.5, 2.0]),
        ([9.0, 0.0, 9.0, 0.3, 9.0], [1.0, np.nan, 3.0, np.nan, NOTHING]),
    ],
)
def test_the_state_is_that_of_the_walks_that_keep_the_bounds(logs, bounds):
    """Means and deviations of 40,000 draws and of at least 20,000 effective walks: within 5 standard errors, 0.03."""
    mean, deviation = rejected(logs, bounds)
    found = drawn(logs, bounds)
    assert found.mean() == pytest.approx(mean, abs=0.03)
    assert found.std() == pytest.approx(deviation, abs=0.03)


def test_what_stands_in_for_a_bound_has_no_influence():
    bounds = [np.nan, 2.0, NOTHING, np.nan]
    assert np.array_equal(drawn([0.5, 7.0, 1.0, 0.8], bounds, 100), drawn([0.5, 2.0, 9.0, 0.8], bounds, 100))


def test_a_higher_bound_raises_the_state():
    means = [drawn([0.0, 0.0], [np.nan, bound], 20_000).mean() for bound in (NOTHING, 0.0, 1.0, 3.0)]
    assert np.all(np.diff(means) > 0.1)
