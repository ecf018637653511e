"""Bounds from bins contain the truth, whoever the requests that were not served were."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.estimation.binned_latency import (
    LatencyBins,
    mean_bounds,
    mean_interval,
    quantile_bounds,
    quantile_interval,
    step_metrics_of_bins,
)
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.tables import LATENCY_BIN_COLUMNS

TIMES = st.floats(0.0, 30.0, allow_nan=False)
WIDTHS = st.floats(0.0, 3.0, allow_nan=False)


@st.composite
def blends(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, LatencyBins]:
    """True times of served and other requests, and bins around them that may overlap."""
    served = np.array(draw(st.lists(TIMES, min_size=1, max_size=40)))
    others = np.array(draw(st.lists(TIMES, max_size=40)))
    times = np.concatenate([served, others])
    below = np.array(draw(st.lists(WIDTHS, min_size=len(times), max_size=len(times))))
    above = np.array(draw(st.lists(WIDTHS, min_size=len(times), max_size=len(times))))
    return served, others, LatencyBins.of(np.maximum(times - below, 0.0), times + above, np.ones(len(times)))


def within(bounds: tuple[float, float], value: float) -> bool:
    slack = 1e-6 * (1 + abs(value))
    return bounds[0] - slack <= value <= bounds[1] + slack


@given(blends(), st.sampled_from([0.0, 0.1, 0.5, 0.95, 0.99, 1.0]))
def test_quantile_bounds_contain_the_served_quantile_by_both_definitions(
    blend: tuple[np.ndarray, np.ndarray, LatencyBins], probability: float
) -> None:
    served, others, bins = blend
    bounds = quantile_bounds(bins, probability, len(others))
    for method in ("inverted_cdf", "linear"):
        assert within(bounds, float(np.quantile(served, probability, method=method)))


@given(blends())
def test_mean_bounds_contain_the_served_mean_and_the_known_sum_only_narrows_them(
    blend: tuple[np.ndarray, np.ndarray, LatencyBins],
) -> None:
    served, others, bins = blend
    plain = mean_bounds(bins, len(others))
    narrow = mean_bounds(bins, len(others), float(served.sum() + others.sum()))
    assert within(plain, float(served.mean()))
    assert within(narrow, float(served.mean()))
    assert narrow[0] >= plain[0]
    assert narrow[1] <= plain[1]


@given(blends(), st.floats(0.0, 1.0))
def test_intervals_contain_the_bounds_and_are_in_order(
    blend: tuple[np.ndarray, np.ndarray, LatencyBins], share_fastest: float
) -> None:
    _, others, bins = blend
    fastest = share_fastest * len(others)
    for probability in (0.5, 0.95):
        found = quantile_interval(bins, probability, len(others), fastest=fastest)
        bounds = quantile_bounds(bins, probability, len(others))
        assert found.low <= bounds[0]
        assert not found.is_known or (found.low <= found.mid <= found.high and bounds[1] <= found.high)


@given(blends())
def test_excluding_more_requests_never_narrows_the_bounds_of_as_many_served(
    blend: tuple[np.ndarray, np.ndarray, LatencyBins],
) -> None:
    served, others, bins = blend
    of_served = LatencyBins.of(bins.low_s[: len(served)], bins.high_s[: len(served)], np.ones(len(served)))
    alone, blended = quantile_bounds(of_served, 0.5), quantile_bounds(bins, 0.5, len(others))
    assert blended[0] <= alone[0]
    assert blended[1] >= alone[1]


def test_the_bounds_are_sharp_where_the_others_take_the_lowest_or_highest_places() -> None:
    bins = LatencyBins.of(np.arange(1.0, 101.0), np.arange(1.0, 101.0), np.ones(100))
    assert quantile_bounds(bins, 1.0, 40) == (60.0, 100.0)
    assert mean_bounds(bins, 40) == (np.arange(1, 61).mean(), np.arange(41, 101).mean())


def test_blended_bins_give_the_exact_mean_where_the_sum_is_known_and_nothing_is_excluded() -> None:
    bins = LatencyBins.of([0.1, 0.2], [0.2, 0.4], [10, 10])
    assert mean_bounds(bins, 0.0, 5.0) == (0.25, 0.25)


def test_an_open_last_bin_leaves_the_upper_end_unknown_but_keeps_the_lower_one() -> None:
    bins = LatencyBins.of([0.0, 0.5], [0.5, math.inf], [900, 100])
    assert quantile_interval(bins, 0.5).high == 0.5
    p99, mean = quantile_interval(bins, 0.99), mean_interval(bins)
    assert (p99.is_known, p99.low, p99.high) == (False, 0.5, math.inf)
    assert (mean.is_known, mean.low) == (False, 0.05)
    assert not Interval.from_dict(p99.to_dict()).is_known


def test_too_few_requests_for_a_percentile_leave_its_upper_end_unknown() -> None:
    few, many = (LatencyBins.of(np.linspace(0, 1, n), np.linspace(0, 1, n), np.ones(n)) for n in (100, 2_000))
    assert not quantile_interval(few, 0.99).is_known
    assert quantile_interval(many, 0.99).is_known


@pytest.mark.parametrize("probability", [0.5, 0.95, 0.99])
def test_intervals_cover_the_long_run_quantile_of_independent_requests_as_often_as_they_claim(
    probability: float,
) -> None:
    random = np.random.default_rng(7)
    truth = float(-np.log(1 - probability))
    trials, hits = 600, 0
    for _ in range(trials):
        times = random.exponential(1.0, 800)
        bins = LatencyBins.of(times, times, np.ones(800))
        hits += quantile_interval(bins, probability, design_effect=1.0, level=0.9).contains(truth)
    tolerance = 3 * math.sqrt(0.9 * 0.1 / trials)
    assert hits / trials >= 0.9 - tolerance


def test_the_mean_interval_covers_the_long_run_mean_of_independent_requests() -> None:
    random = np.random.default_rng(11)
    trials, hits = 600, 0
    for _ in range(trials):
        times = random.exponential(1.0, 400)
        bins = LatencyBins.of(times, times, np.ones(400))
        hits += mean_interval(bins, design_effect=1.0, level=0.9).contains(1.0)
    assert abs(hits / trials - 0.9) <= 3 * math.sqrt(0.9 * 0.1 / trials)


def rows_of(*rows: tuple[str, str, float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["endpoint", "outcome", "low_s", "high_s", "count"]).assign(step=1)
    return table.astype(LATENCY_BIN_COLUMNS)


def test_bins_of_served_requests_are_preferred_to_the_blend() -> None:
    rows = rows_of(("", "served", 0.1, 0.2, 1_000), ("", "any", 5.0, 6.0, 2_000))
    p50 = step_metrics_of_bins(rows, {"served": 1_000, "shed": 1_000})["p50_s"]
    assert (p50.low, p50.high) == (0.1, 0.2)


def test_all_endpoints_together_are_preferred_to_their_parts() -> None:
    rows = rows_of(("", "any", 0.1, 0.2, 1_000), ("/a", "any", 5.0, 6.0, 1_000))
    assert step_metrics_of_bins(rows, {"served": 1_000})["p50_s"].high == 0.2


def test_shed_requests_are_taken_for_the_fastest_in_the_middle_only() -> None:
    rows = rows_of(("", "any", 0.001, 0.002, 1_100), ("", "any", 0.3, 0.4, 900))
    shed = step_metrics_of_bins(rows, {"served": 1_000, "shed": 1_000})["p50_s"]
    other = step_metrics_of_bins(rows, {"served": 1_000, "server_error": 1_000})["p50_s"]
    assert (shed.low, shed.high) == (other.low, other.high) == (0.001, 0.4)
    assert shed.mid > 0.3 > other.mid


def test_requests_from_outside_the_step_widen_the_interval_until_it_tells_nothing() -> None:
    times = np.linspace(0.1, 1.0, 1_000)
    rows = pd.DataFrame({"low_s": times, "high_s": times}).assign(step=1, endpoint="", outcome="any", count=1.0)
    whole, part, little = (step_metrics_of_bins(rows, {"served": n})["p50_s"] for n in (1_000, 700, 400))
    assert part.low < whole.low < whole.high < part.high
    assert not little.is_known


def test_nothing_served_is_nothing_known() -> None:
    rows = rows_of(("", "any", 0.1, 0.2, 10))
    assert not any(item.is_known for item in step_metrics_of_bins(rows, {"shed": 10}).values())
    assert not any(item.is_known for item in step_metrics_of_bins(rows.iloc[:0], {}).values())


def test_bins_that_end_before_they_begin_are_refused() -> None:
    with pytest.raises(InputError, match="low_s <= high_s"):
        LatencyBins.of([0.2], [0.1], [1])


@settings(max_examples=50)
@given(st.lists(st.floats(0.001, 5.0), min_size=2, max_size=50), st.sampled_from([0.5, 0.95]))
def test_fractions_of_requests_give_the_same_bounds_as_whole_ones(times: list[float], probability: float) -> None:
    whole = LatencyBins.of(times, times, np.ones(len(times)))
    split = LatencyBins.of(times * 4, times * 4, np.full(4 * len(times), 0.25))
    assert quantile_bounds(split, probability) == quantile_bounds(whole, probability)
