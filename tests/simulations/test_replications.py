"""Intervals from independent replications, and bounds where little or nothing was seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.foundation.errors import InputError
from simulations.analysis.replications import (
    mean_interval,
    none_seen_interval,
    pooled_quantile_interval,
    quantile_with_less_bias,
    replication_intervals,
    share_interval,
    shed_cluster_size,
)


def test_a_mean_has_students_interval() -> None:
    """Law (2015), example 9.14's arithmetic: mean 2, s / sqrt(n) = 1 / sqrt(3), t(2, 0.975) = 4.302653."""
    found = mean_interval([1.0, 2.0, 3.0])
    half = 4.30265272970 / math.sqrt(3)
    assert (found.low, found.mid, found.high) == pytest.approx((2 - half, 2.0, 2 + half), rel=1e-9)
    assert (found.level, found.kind) == (0.95, "confidence")


def test_values_that_are_not_finite_count_as_not_there() -> None:
    assert mean_interval([1.0, math.nan, 2.0, 3.0]) == mean_interval([1.0, 2.0, 3.0])
    assert not mean_interval([1.0, math.nan]).is_known


def test_a_share_is_the_ratio_of_totals_not_the_mean_of_ratios() -> None:
    found = share_interval([100, 0], [100, 900])
    assert found.mid == pytest.approx(0.1)
    assert 0.0 < found.low < 0.1 < found.high < 1.0


def test_equal_shares_of_many_leave_no_spread() -> None:
    found = share_interval([60, 60, 60], [600, 600, 600])
    assert (found.low, found.mid, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_few_sheds_give_no_less_than_garwoods_interval() -> None:
    """One shed in each of three replications has no spread, but 3 events say 0.6187 to 8.7673 (Garwood)."""
    found = share_interval([1, 1, 1], [1_000, 1_000, 1_000])
    assert (found.low, found.high) == pytest.approx((0.618672 / 3_000, 8.767273 / 3_000), rel=1e-5)


def test_nothing_seen_gives_an_exact_one_sided_bound() -> None:
    found = share_interval([0, 0], [150, 150])
    assert (found.low, found.mid) == (0.0, 0.0)
    assert (1 - found.high) ** 300 == pytest.approx(0.05, rel=1e-9)
    assert none_seen_interval(300, cluster_size=3.0).high == pytest.approx(1 - 0.05 ** (1 / 100), rel=1e-9)
    assert none_seen_interval(0).high == 1.0


def test_everything_seen_is_the_mirror_of_nothing_seen() -> None:
    found = share_interval([150, 150], [150, 150])
    assert (found.low, found.high) == (1.0 - none_seen_interval(300).high, 1.0)


def test_sheds_come_in_clusters_of_one_over_idle_share() -> None:
    assert shed_cluster_size(0.5) == 2.0
    assert shed_cluster_size(0.8, service_cv=2.0) == pytest.approx(12.5)
    assert shed_cluster_size(0.1, service_cv=0.0) == 1.0
    assert shed_cluster_size(1.0) == math.inf


def test_the_cluster_size_is_what_a_random_walk_sheds() -> None:
    """Steps of a full M/M/c/K at u = 0.6, from the first shed until 60 below: mean 1 / (1 - u) = 2.5.

    4,000 walks; the number shed is nearly geometric with a standard deviation of about 2, so the mean has a
    standard error of 0.03; 0.15 is five of them (false alarm 1e-6).
    """
    rng = np.random.default_rng(5)
    up = 0.6 / 1.6
    sheds = np.ones(4_000)
    below = np.zeros(4_000, dtype=int)
    for _ in range(600):
        rises = rng.random(4_000) < up
        active = below < 60
        sheds += active & rises & (below == 0)
        below = np.where(active, np.where(rises, np.maximum(below - 1, 0), below + 1), below)
    assert abs(float(sheds.mean()) - shed_cluster_size(0.6)) < 0.15


def test_the_halves_take_the_bias_of_a_quantile_away() -> None:
    """P95 of 60 exponential times, 20,000 samples: the plain bias is 0.028, with a standard error of 0.004.

    Below half of it in size is 4 standard errors from 0 for the corrected one (false alarm 1e-4).
    """
    samples = np.random.default_rng(6).exponential(size=(20_000, 60))
    truth = -math.log(0.05)
    plain = float(np.quantile(samples, 0.95, axis=1).mean()) - truth
    corrected = float(np.mean([quantile_with_less_bias(row, 0.95) for row in samples])) - truth
    assert abs(plain) > 0.04
    assert abs(corrected) < abs(plain) / 2


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40), st.floats(0.0, 1.0))
def test_the_less_biased_quantile_is_made_of_numpys(values: list[float], probability: float) -> None:
    half = len(values) // 2
    parts = [np.quantile(part, probability) for part in (values, values[:half], values[half:])]
    by_hand = 2 * parts[0] - (parts[1] + parts[2]) / 2
    assert quantile_with_less_bias(values, probability) == pytest.approx(by_hand, rel=1e-9, abs=1e-6)


def test_a_quantile_of_one_or_no_value() -> None:
    assert quantile_with_less_bias([3.0], 0.95) == 3.0
    assert math.isnan(quantile_with_less_bias([], 0.95))


def test_a_pooled_quantile_stands_in_the_middle_of_all_observations() -> None:
    samples = [np.arange(0.0, 101.0), np.arange(0.0, 101.0) + 2.0, np.arange(0.0, 101.0) - 2.0]
    found = pooled_quantile_interval(samples, 0.5)
    half = 4.30265272970 * math.sqrt(8.0 / 2 / 3)
    assert (found.low, found.mid, found.high) == pytest.approx((50 - half, 50.0, 50 + half))


def test_rows_become_intervals_and_counts_become_a_share() -> None:
    rows = [{"mean_s": 1.0, "shed_rate": 0.9, "sheds": 0.0, "requests": 100.0}] * 3
    found = replication_intervals(rows, cluster_size=2.0)
    assert set(found) == {"mean_s", "shed_rate"}
    assert found["shed_rate"] == none_seen_interval(300, cluster_size=2.0)
    assert replication_intervals([{"mean_s": 0.0}, {"mean_s": 0.1}])["mean_s"].low == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replication_intervals([]), "at least two"),
        (lambda: replication_intervals([{"a": 1.0}, {"b": 1.0}]), "Replications 1"),
        (lambda: mean_interval([1.0, 2.0], 1.0), "level"),
        (lambda: share_interval([1], [1, 2]), "counts a replication"),
        (lambda: share_interval([3, 0], [2, 2]), "at most the trials"),
        (lambda: none_seen_interval(10, cluster_size=0.5), "cluster_size"),
    ],
)
def test_what_is_not_possible_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
