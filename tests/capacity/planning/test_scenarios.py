"""Scenarios are counted as the exact formula counts, and passages are where the load really passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from capacity import GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity
from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.month_dependence import MonthDependence
from capacity.planning import scenario_kernels, scenario_loops
from capacity.planning.growth_paths import GrowthPaths
from capacity.planning.scenarios import Scenarios, draw_scenarios
from capacity.planning.uncertain import SplitLognormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import normal_quantile

HUNDREDTHS = 100
FACTORS = (100, 105, 110, 120, 125, 133, 135, 140, 150, 200)
CERTAIN = Interval.assumed(1.0)
TODAY = [MonthlyPeak(0, 5.0)]


def scenarios(*paths, capacity=1.0, lead=1.0):
    number = len(paths)
    return Scenarios.of(np.array(paths, dtype=float), np.full(number, capacity), np.full(number, lead))


def test_a_million_random_cases_need_what_the_exact_formula_says():
    """Peaks, capacities and factors of two decimals; a tenth of the peaks are whole multiples, where doubles round."""
    rng = np.random.default_rng(1)
    for factor in FACTORS:
        capacity = rng.integers(1, 1_000_000, 100_000)
        peak = rng.integers(1, 100_000_000, capacity.size)
        many = rng.random(capacity.size) < 0.1
        peak[many] = capacity[many] * rng.integers(1, 100, int(many.sum()))
        capacity = np.maximum(capacity, peak // 8_000 + 1)
        exact = -(-(peak * factor) // (capacity * HUNDREDTHS))
        drawn = Scenarios.of((peak / HUNDREDTHS)[:, None], capacity / HUNDREDTHS, np.zeros(capacity.size))
        counted = drawn.instance_counts(factor / HUNDREDTHS)[0]
        assert np.array_equal(counted, np.bincount(exact, minlength=counted.size))


def test_a_load_passes_a_fleet_where_it_grows_through_what_the_fleet_carries():
    grows = scenarios((100.0, 200.0, 200.0, 800.0), capacity=100.0)
    geometric = [0.0, 2.0, 2.0 + math.log(1.5) / math.log(4.0), 3.0, math.inf]
    assert grows.first_passages([1, 2, 3, 8, 9])[0, :3] == pytest.approx(geometric[:3])
    assert grows.first_passages([8, 9])[0].tolist() == [math.inf, math.inf]  # eight carry 800: nothing is exceeded
    assert grows.first_passages([2, 4], geometric=False)[0] == pytest.approx([2.0, 2.0 + 200 / 600])


def test_a_fleet_that_is_too_small_today_is_passed_today_and_a_falling_load_never_passes_again():
    assert scenarios((300.0, 100.0), capacity=100.0).first_passages([2, 3])[0].tolist() == [0.0, math.inf]


@given(st.lists(st.lists(st.floats(1.0, 1e4), min_size=6, max_size=6), min_size=1, max_size=5), st.floats(10.0, 500.0))
def test_compiled_loops_do_what_the_plain_ones_do(paths, capacity):
    drawn = scenarios(*paths, capacity=capacity)
    logs = np.log(np.arange(1, 6, dtype=float))
    sides = []
    for loops in (scenario_loops, scenario_kernels):
        loads, one, part = drawn.paths.for_loops, np.log(drawn.capacity), (0, len(drawn))
        passed = np.empty((len(drawn), 5))
        loops.first_passages(loads, one, logs, False, passed, part)
        carried, guesses = drawn._tables(1.25)
        counted, unsure = np.zeros((6, carried.size), dtype=np.int64), np.full(30, -1)
        rooms = np.empty(scenario_loops.BLOCK, dtype=np.uint16), np.empty(scenario_loops.BLOCK, dtype=np.int64), unsure
        left = loops.count_instances(loads, one, carried, guesses, counted, rooms, part)
        begun = np.zeros((6, 2), dtype=np.int64)
        loops.count_phases(loads, one, np.log(1.5 * drawn.capacity), np.array([1.5, 1.0]), begun, part)
        sides.append((passed, counted, unsure, left, begun))
    for plain, compiled in zip(*sides, strict=True):
        assert np.allclose(plain, compiled, rtol=1e-12, atol=0)


@given(st.lists(st.integers(1_000, 60_000), min_size=2, max_size=10), st.integers(0, 3))
def test_phases_of_one_certain_path_are_those_of_the_timeline(peaks, lead):
    policy = PlanningPolicy(lead_time_months=lead, utilization_percent=67)
    plan = plan_capacity(GrowthProjection.from_points(enumerate(peaks)), InstanceCapacity.assumed(3_350), policy)
    counted = scenarios(peaks, capacity=3_350.0).phase_counts(5_000 / 3_350, 1.5, lead)
    names = ("vertical", "horizontal", "autoscaling")
    assert [names[int(row.argmax())] for row in counted] == [step.phase for step in plan.steps]


def test_draws_have_the_stated_ends_at_the_stated_level_and_keep_their_place_over_the_months():
    """Shares of 100,000 draws below an end lie within 5 standard errors (false alarm below 1e-5 over all)."""
    months = [MonthlyPeak(0, 100.0), MonthlyPeak(1, 200.0, 150.0, 400.0), MonthlyPeak(2, 300.0, 100.0, 330.0)]
    drawn = draw_scenarios(months, Interval(9.0, 10.0, 12.0), Interval(0.5, 1.0, 3.0, 0.8, "prediction"), seed=3)
    error = 5 * math.sqrt(0.1 * 0.9 / len(drawn))
    for values, low, high, tail in (
        (np.exp(drawn.log_peaks[:, 1]), 150.0, 400.0, 0.05),
        (np.exp(drawn.log_peaks[:, 2]), 100.0, 330.0, 0.05),
        (drawn.capacity, 9.0, 12.0, 0.05),
        (drawn.lead_time_months, 0.5, 3.0, 0.1),
    ):
        assert np.mean(values < low) == pytest.approx(tail, abs=error)
        assert np.mean(values > high) == pytest.approx(tail, abs=error)
    assert np.array_equal(np.argsort(drawn.log_peaks[:, 1]), np.argsort(drawn.log_peaks[:, 2]))
    assert np.allclose(drawn.log_peaks[:, 0], math.log(100.0))


def test_a_month_that_is_certain_is_counted_exactly_beside_uncertain_ones():
    """The logarithm of 100 comes back as a little more than 100, which would need an eleventh instance."""
    drawn = draw_scenarios(
        [MonthlyPeak(0, 100.0), MonthlyPeak(1, 200.0, 150.0, 300.0)], Interval.assumed(10.0), CERTAIN
    )
    assert np.flatnonzero(drawn.instance_counts()[0]).tolist() == [10]


def test_every_month_may_be_left_to_exact_arithmetic():
    """More pairs of scenario and month than there is room for at first."""
    peaks = np.tile([100.0, 300.0, 700.0], (5_000, 1))
    counted = Scenarios.of(peaks, np.full(5_000, 10.0), np.ones(5_000)).instance_counts()
    assert [np.flatnonzero(row).tolist() for row in counted] == [[10], [30], [70]]


def test_paths_are_the_same_whether_they_keep_their_place_or_are_stated():
    """Kept positions, positions by month and the logarithms themselves, with a bent tail, on more than one block."""
    months = [MonthlyPeak(month, 200.0 + month, 150.0, 300.0, p99=450.0) for month in range(1, 7)]
    kept = draw_scenarios(months, Interval(9.0, 10.0, 12.0), CERTAIN, count=9_000)
    by_month = GrowthPaths(kept.paths.curves, np.tile(kept.paths.position, (6, 1)))
    others = [Scenarios(paths, kept.capacity, kept.lead_time_months) for paths in (by_month, stated_of(kept))]
    assert kept.paths.position.shape == (1, 9_000)
    for other in others:
        assert np.array_equal(kept.instance_counts(1.2), other.instance_counts(1.2))
        assert np.allclose(kept.first_passages([20, 25]), other.first_passages([20, 25]), rtol=1e-9)
        assert np.array_equal(kept.phase_counts(1.5, 1.5, 1), other.phase_counts(1.5, 1.5, 1))
        assert kept.exceeding_today(20) == other.exceeding_today(20)


def stated_of(drawn):
    return GrowthPaths.stated(drawn.log_peaks)


def test_a_month_that_depends_on_nothing_but_is_bent_keeps_the_place_of_a_path():
    """Positions of a growth with a 99 % point are spread evenly, as where months depend on each other."""
    drawn = draw_scenarios([MonthlyPeak(1, 200.0, 150.0, 300.0, p99=500.0)] * 3, Interval.assumed(10.0), CERTAIN)
    assert np.sort(drawn.paths.position) == pytest.approx(ndtri((np.arange(100_000) + 0.5) / 100_000)[None, :])


def test_more_instances_than_are_told_apart_stand_in_the_last_place():
    counted = scenarios((1e9, 50.0), (1e8, 60.0)).instance_counts()
    assert (counted[0, -1], counted.shape[1]) == (2, 20_002)
    assert counted[1, [50, 60]].tolist() == [1, 1]
    assert scenarios((1e9, 50.0)).exact_counts() == [1_000_000_000, 50]


def test_a_range_without_probability_is_drawn_at_the_stated_level():
    """Within 5 standard errors of shares of 100,000 draws."""
    bare = Interval(1.0, 2.0, 3.0, 1.0, "assumed")
    drawn = draw_scenarios(TODAY, bare, bare, range_level=0.8)
    for values in (drawn.capacity, drawn.lead_time_months):
        assert np.mean(values < 1.0) == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / len(drawn)))
        assert np.mean(values > 3.0) == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / len(drawn)))


def test_a_lead_time_may_begin_at_nothing():
    lead = Interval(0.0, 1.0, 2.0, 0.9, "prediction")
    drawn = draw_scenarios([MonthlyPeak(0, 5.0)], Interval.assumed(1.0), lead).lead_time_months
    assert drawn.min() == 0.0
    assert np.median(drawn) == pytest.approx(1.0, rel=0.05)


def test_one_scenario_is_enough_where_nothing_is_uncertain():
    certain = draw_scenarios([MonthlyPeak(0, 5.0), MonthlyPeak(1, 6.0)], Interval.assumed(2.0), CERTAIN)
    assert (len(certain), certain.stated_peaks.tolist(), certain.capacity.tolist()) == (1, [5.0, 6.0], [2.0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: scenarios((1.0, 0.0)), "peaks must be finite and above 0"),
        (lambda: scenarios((1.0, math.nan)), "peaks must be finite"),
        (lambda: scenarios((1.0,), capacity=0.0), "capacity must be finite and above 0"),
        (lambda: scenarios((1.0,), lead=-1.0), "lead_time_months must be finite and at least 0"),
        (lambda: Scenarios.of(np.ones((2, 1)), np.ones(1), np.ones(2)), "2 paths, 1 capacities and 2 lead times"),
        (lambda: Scenarios.of(np.ones(3), np.ones(3), np.ones(3)), "2 dimension"),
        (lambda: GrowthPaths(np.ones((3, 5)), np.ones((2, 4))), r"shape \(3, 5\) and positions \(2, 4\)"),
        (lambda: Scenarios(GrowthPaths.stated(np.full((1, 2), np.nan)), np.ones(1), np.ones(1)), "not finite"),
        (
            lambda: draw_scenarios([MonthlyPeak(0, 5.0)], Interval(0.0, 2.0, 3.0), CERTAIN),
            "instance capacity goes from 0",
        ),
        (
            lambda: draw_scenarios([MonthlyPeak(0, 5.0)], CERTAIN, Interval(-1.0, 2.0, 3.0)),
            "lead time goes from -1 to 3; to draw from it, its ends must be at least 0",
        ),
    ],
)
def test_what_is_no_scenario_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def drawn_months(dependence, p99=None, months=12):
    ranged = [MonthlyPeak(month, 200.0, 150.0, 300.0, dependence=dependence, p99=p99) for month in range(1, months + 1)]
    return draw_scenarios([MonthlyPeak(0, 100.0), *ranged], Interval.assumed(10.0), CERTAIN)


@pytest.mark.parametrize(("own", "share"), [(0.0, 0.05), (1.0, 1 - 0.95**12)])
def test_months_that_come_high_by_themselves_exceed_a_fleet_sooner(own, share):
    """Within 5 standard errors of a share of 100,000; both have the same months, each by itself."""
    drawn = drawn_months(MonthDependence(own))
    passed = np.isfinite(drawn.first_passages([30])[:, 0]).mean()
    assert passed == pytest.approx(share, abs=5 * math.sqrt(share / len(drawn)))
    assert np.exp(np.quantile(drawn.log_peaks, [0.05, 0.5, 0.95], axis=0))[:, 1:] == pytest.approx(
        np.tile([[150.0], [200.0], [300.0]], 12), rel=0.01
    )


def test_a_stated_99th_percentile_bends_the_tail_and_nothing_else():
    plain, bent = drawn_months(MonthDependence(0.5)), drawn_months(MonthDependence(0.5), 900.0)
    quantiles = [0.05, 0.5, 0.949, 0.99]
    found = np.exp(np.quantile(bent.log_peaks[:, 1:], quantiles, axis=0))
    assert found[-1] == pytest.approx([900.0] * 12, rel=0.01)
    assert found[:-1] == pytest.approx(np.exp(np.quantile(plain.log_peaks[:, 1:], quantiles[:-1], axis=0)), rel=1e-3)
    law = SplitLognormal.of(Interval(150.0, 200.0, 300.0, 1.0, "assumed"), 0.9, 900.0)
    assert law.at(np.array([normal_quantile(0.99)])) == pytest.approx(900.0)
    assert law.share_below(900.0) == pytest.approx(0.99)
    assert law.share_below(250.0) == SplitLognormal.of(Interval(150.0, 200.0, 300.0, 1.0, "assumed")).share_below(250.0)


def test_loads_right_beside_the_end_of_a_count_are_on_the_right_side_of_it():
    """Beside what 1 to 5,000 instances carry, from nearer than parts of the load are told apart by on."""
    fleets = np.arange(1.0, 5_001.0)
    for distance in 10.0 ** np.arange(-8.5, -4.0, 0.5):
        loads = fleets * np.exp(np.array([[-distance], [distance]]))
        counted = Scenarios.of(loads.reshape(-1, 1), np.ones(10_000), np.zeros(10_000)).instance_counts()[0]
        wanted = np.bincount(np.concatenate([fleets, fleets + 1]).astype(int), minlength=counted.size)
        assert np.array_equal(counted, wanted)


def test_a_range_beside_a_99th_percentile_is_one_of_90_percent_whatever_others_are_read_at():
    """The forecast says so; the share above `high` is within 5 standard errors."""
    month = MonthlyPeak(1, 200.0, 150.0, 300.0, p99=500.0)
    drawn = draw_scenarios([MonthlyPeak(0, 100.0), month], Interval.assumed(10.0), CERTAIN, range_level=0.98)
    for end, share in ((300.0, 0.05), (500.0, 0.01)):
        above = np.mean(np.exp(drawn.log_peaks[:, 1]) > end)
        assert above == pytest.approx(share, abs=5 * math.sqrt(share / len(drawn)))


def test_a_far_end_counts_for_percentiles_where_the_range_has_no_upper_half():
    law = SplitLognormal.of(Interval(150.0, 300.0, 300.0), 0.9, 500.0)
    assert law.share_below(500.0) == pytest.approx(0.99)
    assert 0.95 < law.share_below(400.0) < 0.99
