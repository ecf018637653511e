"""Uncertain numbers become draws whose quantiles are what their intervals claim."""

import numpy as np
import pytest

from capacity.planning.regret import Scenario, largest_regrets, least_regret, scenarios_of
from capacity.planning.uncertain import checked_uncertain, drawn, summarised, uniforms
from loadtests import Interval

AT = (np.arange(100_000) + 0.5) / 100_000


@pytest.mark.parametrize("low", [80.0, 0.0])
def test_the_ends_of_an_interval_are_the_quantiles_that_its_level_claims(low: float) -> None:
    found = drawn(Interval(low, 100.0, 150.0, level=0.8), AT)
    assert np.quantile(found, [0.1, 0.5, 0.9]) == pytest.approx([low, 100, 150], rel=1e-3, abs=0.1)
    assert found.min() >= 0
    assert np.all(np.diff(found) >= 0)


def test_a_range_without_probability_is_a_triangle() -> None:
    """Its mean is the mean of the three numbers; nothing lies outside."""
    found = drawn(Interval(10.0, 20.0, 60.0, level=1.0, kind="assumed"), AT)
    assert found.mean() == pytest.approx(30, rel=1e-4)
    assert (found.min() >= 10, found.max() <= 60) == (True, True)
    assert np.mean(found < 20) == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize("mid", [10.0, 60.0])
def test_a_triangle_may_have_its_top_at_an_end(mid: float) -> None:
    found = drawn(Interval(10.0, mid, 60.0, level=1.0, kind="assumed"), AT)
    assert found.mean() == pytest.approx((70 + mid) / 3, rel=1e-4)


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
    assert (found.low, found.mid, found.high) == pytest.approx((5, 50, 95))
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
