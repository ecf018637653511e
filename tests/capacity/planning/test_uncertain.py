"""Uncertain numbers become draws whose quantiles are what their intervals claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.planning import scenario_loops
from capacity.planning.growth_paths import GrowthPaths
from capacity.planning.regret import Scenario, largest_regrets, least_regret, scenarios_of
from capacity.planning.uncertain import SplitLognormal, checked_uncertain, drawn, summarised, uniforms
from loadtests import Interval

AT = (np.arange(100_000) + 0.5) / 100_000


@pytest.mark.parametrize("low", [80.0, 0.0])
def test_the_ends_of_an_interval_are_the_quantiles_that_its_level_claims(low: float) -> None:
    found = drawn(Interval(low, 100.0, 150.0, level=0.8), AT)
    assert np.quantile(found, [0.1, 0.5, 0.9]) == pytest.approx([low, 100, 150], rel=1e-3, abs=0.1)
    assert found.min() >= 0
    assert np.all(np.diff(found) >= 0)


@pytest.mark.parametrize(("level", "kind"), [(1.0, "assumed"), (0.5, "assumed"), (1.0, "parameter")])
@pytest.mark.parametrize("range_level", [0.9, 0.6])
def test_a_range_without_probability_is_read_at_the_stated_level(level: float, kind: str, range_level: float) -> None:
    """Somebody's low, mid and high are quantiles, not ends: values lie beyond them."""
    found = drawn(Interval(10.0, 20.0, 60.0, level, kind), AT, range_level)  # type: ignore[arg-type]
    tail = (1 - range_level) / 2
    assert np.quantile(found, [tail, 0.5, 1 - tail]) == pytest.approx([10, 20, 60], rel=1e-3)
    assert found.min() < 10
    assert found.max() > 60


@pytest.mark.parametrize("mid", [10.0, 60.0])
def test_the_middle_may_stand_at_an_end(mid: float) -> None:
    found = drawn(Interval(10.0, mid, 60.0, level=1.0, kind="assumed"), AT)
    assert np.mean(found == mid) == pytest.approx(0.5)
    assert np.quantile(found, [0.05, 0.95]) == pytest.approx([10, 60], rel=1e-3)


def test_a_number_that_may_be_nothing_is_nothing_once_in_twenty() -> None:
    found = drawn(Interval(0.0, 1.0, 2.0, kind="prediction"), AT)
    assert np.mean(found == 0) == pytest.approx(0.05, abs=1e-4)
    assert np.quantile(found, [0.5, 0.95]) == pytest.approx([1, 2], rel=1e-3)
    nothing = drawn(Interval(0.0, 0.0, 2.0, kind="prediction"), AT)
    assert np.quantile(nothing, [0.25, 0.95]) == pytest.approx([0, 2], rel=1e-3)


def test_the_share_below_a_value_is_the_share_of_the_draws() -> None:
    law = SplitLognormal.of(Interval(80.0, 100.0, 150.0))
    draws = drawn(Interval(80.0, 100.0, 150.0), AT)
    for value in (70.0, 95.0, 100.0, 120.0, 200.0):
        assert law.share_below(value) == pytest.approx(np.mean(draws < value), abs=2e-5)
    one_sided = SplitLognormal.of(Interval(80.0, 100.0, 100.0))
    assert (one_sided.share_below(101.0), one_sided.share_below(100.0)) == (1.0, None)
    assert SplitLognormal.of(Interval.assumed(100.0)).share_below(90.0) is None


@given(st.tuples(st.floats(1e-3, 1e6), st.floats(1.01, 50), st.floats(1, 50)), st.floats(0.05, 0.99))
def test_scenarios_and_shapes_draw_the_same_number_from_the_same_place(
    numbers: tuple[float, float, float], level: float
) -> None:
    """A month's peak by the loops, and by the paths that they take, is what a shape's draws are at the same place."""
    mid, below, above = numbers
    law = SplitLognormal.of(Interval(mid / below, mid, mid * above, level, "prediction"), far=mid * above * 1.5)
    position = np.linspace(-3, 3, 13)
    paths = GrowthPaths.of([law], position)
    curve = scenario_loops.curve_of(paths.curves, 0)
    assert np.exp([scenario_loops.load_at(curve, place) for place in position]) == pytest.approx(law.at(position))
    assert np.exp(paths.log_peaks[:, 0]) == pytest.approx(law.at(position), rel=1e-9)


def test_a_number_is_always_itself_and_every_row_comes_equally_often() -> None:
    assert set(drawn(checked_uncertain("x", 7), AT).tolist()) == {7.0}
    rows = drawn(np.array([3.0, 1.0, 2.0]), uniforms(999, 1))
    assert [int((rows == value).sum()) for value in (1, 2, 3)] == [333, 333, 333]


def test_uniform_numbers_fill_every_part_and_follow_the_seed() -> None:
    found = uniforms(1_000, 7, 1)
    assert sorted((found * 1_000).astype(int)) == list(range(1_000))
    assert np.array_equal(found, uniforms(1_000, 7, 1))
    assert not np.array_equal(found, uniforms(1_000, 7, 2))


def test_draws_are_summarised_by_their_central_nine_tenths() -> None:
    found = summarised(np.arange(101.0))
    assert (found.low, found.mid, found.high) == pytest.approx((4.1, 50, 95.9)), "ranks p (n + 1) of 101 draws"
    assert found.level == 0.9


def test_regret_is_counted_by_hand() -> None:
    """Savage's table: a costs 1 or 10, b always 4. Regrets 0 and 6 against 3 and 0; b is regretted least."""
    scenarios = (
        Scenario("low", "mid", {"a": 1, "b": 4}, {"a": 0, "b": 3}),
        Scenario("high", "mid", {"a": 10, "b": 4}, {"a": 6, "b": 0}),
    )
    assert largest_regrets(scenarios) == {"a": 6, "b": 3}
    assert least_regret(largest_regrets(scenarios), {"a": 1, "b": 4}) == "b"


def test_futures_that_nobody_carries_are_left_out_of_regrets() -> None:
    costs = {"low": {"a": 1.0, "b": 2.0}, "mid": {"a": None, "b": 2.0}, "high": {"a": None, "b": None}}
    scenarios = scenarios_of(["a", "b"], lambda name, growth, _: costs[growth][name])
    assert [item.is_carried for item in scenarios] == [True] * 6 + [False] * 3
    assert largest_regrets(scenarios) == {"a": None, "b": 1}
    assert least_regret({"a": None}, {}) is None
    assert largest_regrets(()) == {}
