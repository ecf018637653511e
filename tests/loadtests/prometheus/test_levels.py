"""Stretches of steady load in traffic that nobody scheduled."""

import numpy as np
import pytest
from scipy import stats

from loadtests.prometheus.levels import FEWEST_CELLS, choose_levels, dispersion, find_stretches


def poisson(levels, length_s, seed):
    random = np.random.default_rng(seed)
    rates = np.concatenate([np.full(count, rate) for rate, count in levels])
    return random.poisson(rates * length_s).astype(float), np.full(len(rates), length_s)


def stretches(counts, length_s, is_usable=None):
    usable = np.ones(len(counts), dtype=bool) if is_usable is None else is_usable
    return find_stretches(counts, length_s, usable)


def test_steady_traffic_is_one_stretch():
    """At most one hour in a hundred is cut by chance."""
    cut = 0
    for seed in range(400):
        counts, length_s = poisson(((20.0, 240),), 15.0, seed)
        cut += len(stretches(counts, length_s)) > 1
    assert cut <= stats.binom.ppf(0.999, 400, 0.01)


@pytest.mark.parametrize("factor", [1.5, 0.7])
def test_a_change_of_level_is_found_where_it_was(factor):
    for seed in range(20):
        counts, length_s = poisson(((20.0, 60), (20.0 * factor, 60)), 15.0, seed)
        first, second = stretches(counts, length_s)
        assert (first.first, second.end) == (0, 120)
        assert abs(first.end - 59) <= 3
        assert abs(second.first - 61) <= 3
        assert not first.reason
        assert not second.reason


def test_intervals_beside_a_change_belong_to_no_stretch():
    counts, length_s = poisson(((20.0, 30), (60.0, 30)), 15.0, 1)
    first, second = stretches(counts, length_s)
    assert (first.end, second.first) == (29, 31)


def test_a_restart_or_a_gap_ends_a_stretch():
    counts, length_s = poisson(((20.0, 60),), 15.0, 1)
    usable = np.ones(60, dtype=bool)
    usable[[30, 31]] = False
    first, second = stretches(counts, length_s, usable)
    assert (first.first, first.end, second.first, second.end) == (0, 30, 32, 60)


def test_a_short_stretch_says_that_it_is_too_short():
    counts, length_s = poisson(((20.0, 30), (90.0, FEWEST_CELLS), (20.0, 30)), 15.0, 1)
    middle = stretches(counts, length_s)[1]
    assert "too short" in middle.reason


def test_traffic_that_only_grows_is_not_called_steady():
    length_s = np.full(400, 15.0)
    rates = 10.0 * np.exp(np.linspace(0.0, 3.0, 400))
    counts = np.random.default_rng(1).poisson(rates * length_s).astype(float)
    for item in stretches(counts, length_s):
        inside = rates[item.first : item.end]
        assert item.reason or inside[-1] / inside[0] < 1.35  # 20 % of the mean, and what noise can hide


def test_a_drift_too_slow_to_be_cut_is_noticed():
    rates = np.linspace(1.68, 2.32, 60)
    (found,) = stretches(np.rint(rates * 15.0), np.full(60, 15.0))
    assert "changes by +32%" in found.reason
    (flat,) = stretches(np.rint(np.linspace(1.85, 2.15, 60) * 15.0), np.full(60, 15.0))
    assert not flat.reason


def test_silence_is_no_level():
    (found,) = stretches(np.zeros(50), np.full(50, 15.0))
    assert found.reason == "no requests"


def test_bursty_traffic_has_a_larger_dispersion_and_fewer_false_levels():
    random = np.random.default_rng(2)
    counts = random.negative_binomial(10, 10 / (10 + 300.0), 400).astype(float)  # variance about 31 times Poisson's
    length_s = np.full(400, 15.0)
    assert 20 < dispersion(counts, length_s) < 45
    assert len(stretches(counts, length_s)) == 1


def test_sparse_traffic_is_looked_at_in_wider_cells():
    counts, length_s = poisson(((0.02, 900), (0.1, 900)), 5.0, 3)
    first, second = stretches(counts, length_s)
    assert abs(first.end - 900) < 150
    assert abs(second.first - 900) < 150


def test_long_ranges_take_no_longer_than_their_cells_allow():
    counts, length_s = poisson(((20.0, 43_200), (40.0, 43_200)), 1.0, 4)
    first, *between, second = stretches(counts, length_s)
    assert abs(first.end - 43_200) < 200
    assert abs(second.first - 43_200) < 200
    assert all("too short" in item.reason for item in between)  # the cell in which the level changed


def test_each_band_of_rate_keeps_its_longest_stretch():
    counts, length_s = poisson(((20.0, 30), (60.0, 40), (21.0, 50), (61.0, 20)), 15.0, 5)
    found = stretches(counts, length_s)
    kept = choose_levels(found, length_s, 2)
    assert [round(item.rate_rps, -1) for item in kept] == [60, 20]
    assert [item.end - item.first for item in kept] == [38, 48]
    assert choose_levels(found, length_s, 10) == found
