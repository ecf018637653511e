"""Batch means that allow for the correlation of neighbours, and say when they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.errors import InputError
from simulations.analysis.batch_means import batch_interval_from_series, batch_share_interval
from simulations.analysis.cell_metrics import QUANTILE_NAMES, CellWindow, batch_estimates
from simulations.analysis.metrics import METRIC_NAMES, Window, full_window, window_metrics
from simulations.analysis.replications import none_seen_interval
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import OpenWorkload

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def correlated(rng: np.random.Generator, count: int, batches: int, relaxation: float) -> Floats:
    """Rows of batch means of AR(1) series with mean 0; the relaxation time is in batches (20 steps each)."""
    steps = 20
    keep = math.exp(-1.0 / (relaxation * steps))
    state = rng.normal(size=count)
    means = np.zeros((count, batches))
    for step in range(batches * steps):
        state = keep * state + math.sqrt(1 - keep**2) * rng.normal(size=count)
        means[:, step // steps] += state / steps
    return means


@pytest.mark.parametrize(("batches", "relaxation"), [(64, 0.1), (64, 1.0), (32, 0.3), (20, 0.2)])
def test_correlated_batches_still_cover(batches: int, relaxation: float) -> None:
    """1,500 series. True coverage 0.94 to 0.96 (the standard error is 0.006).

    0.915 to 0.985 is beyond four standard errors of either end (false alarm below 1e-4).
    """
    series = correlated(np.random.default_rng(7), 1_500, batches, relaxation)
    held = [batch_interval_from_series(row).interval.contains(0.0) for row in series]
    assert 0.915 < np.mean(held) < 0.985


def test_plain_batch_means_would_not_cover_there() -> None:
    series = correlated(np.random.default_rng(7), 1_500, 64, 1.0)
    half = 1.998 * series.std(axis=1, ddof=1) / 8
    assert np.mean(np.abs(series.mean(axis=1)) <= half) < 0.85


def test_a_run_that_is_too_short_is_said_to_be() -> None:
    """Relaxation over 30 of 64 batches: 89 % of such series are flagged (measured); of independent ones 0.7 %.

    Of 200 and 1,000: 25 % and 3 % are more than six standard errors away (false alarm 1e-8).
    """
    rng = np.random.default_rng(8)
    short = [batch_interval_from_series(row).is_long_enough for row in correlated(rng, 200, 64, 30.0)]
    assert np.mean(short) < 0.25
    good = [batch_interval_from_series(rng.normal(size=64)).is_long_enough for _ in range(1_000)]
    assert np.mean(good) > 0.97


def test_the_variance_is_twice_the_long_batches_less_the_short_ones() -> None:
    values = np.random.default_rng(9).normal(size=20)
    found = batch_interval_from_series(values)
    long = 2 * np.var(values.reshape(10, 2).mean(axis=1), ddof=1)
    variance = max(2 * long - np.var(values, ddof=1), long / 2)
    assert found.interval.high - found.interval.mid == pytest.approx(
        2.6976 * math.sqrt(variance / 20), rel=2e-3
    )  # t(4.3, 0.975)
    assert found.batches == 10


def test_a_ratio_is_weighted_and_a_quantile_keeps_its_own_middle() -> None:
    assert batch_interval_from_series([0.0, 1.0], [3.0, 1.0]).interval.mid == 0.25
    found = batch_interval_from_series([1.0, 2.0] * 16, mid=1.4).interval
    assert found.mid == 1.4
    assert found.high - found.mid == pytest.approx(found.mid - found.low)


def test_batches_of_any_number_are_used() -> None:
    values = np.random.default_rng(10).normal(size=500)
    assert batch_interval_from_series(values).batches in (16, 32)
    assert not batch_interval_from_series(values[:19]).is_long_enough
    assert not batch_interval_from_series([1.0, math.nan]).interval.is_known
    assert batch_interval_from_series([5.0] * 64).interval.high == 5.0


def test_a_share_stays_between_0_and_1_and_none_seen_is_bounded() -> None:
    shares = np.where(np.arange(64) % 8 == 0, 0.02, 0.0)
    found = batch_share_interval(shares, np.full(64, 1_000.0)).interval
    assert 0.0 < found.low < found.mid < found.high
    assert found.high - found.mid > found.mid - found.low
    none = batch_share_interval(np.zeros(64), np.full(64, 10.0), cluster_size=4.0).interval
    assert none == none_seen_interval(640, cluster_size=4.0)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="eights"):
        batch_interval_from_series([1.0, 2.0], weights)


def test_a_runs_batches_lie_around_its_own_metrics() -> None:
    """Counts and sums exactly those of the window, the quantiles to the 0.8 % of a bucket."""
    model = ServerModel(Deployment(workers=2, queue_capacity=3), Exponential(0.1), 0.02)
    log = simulate_log(model, OpenWorkload(18.0), RunLength(4_000), seed=2)
    window = CellWindow.of(log, full_window(log, 0.1))
    start_s = window.first * window.cells.cell_s
    plain = window_metrics(log, Window(start_s, start_s + window.length_s))
    estimates = batch_estimates(window, 0.95)
    assert set(METRIC_NAMES) <= set(estimates)
    for name in METRIC_NAMES:
        found = estimates[name].interval
        assert found.mid == pytest.approx(plain[name], rel=0.008 if name in QUANTILE_NAMES else 1e-6), name
        assert found.low < found.mid < found.high, name
