import math

import numpy as np
import pytest

from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Interval(2, 1, 3),
        lambda: Interval(0, 2, 1),
        lambda: Interval(0, 1, 2, level=0),
        lambda: Interval(0, 1, 2, kind="guess"),
    ],
)
def test_an_interval_out_of_order_or_without_a_level_is_refused(bad):
    with pytest.raises(InputError, match="interval"):
        bad()


def test_unknown_numbers_are_null_in_json_and_come_back_unknown():
    document = Interval.unknown().to_dict()
    assert document == {"low": None, "mid": None, "high": None, "level": 0.9, "kind": "confidence"}
    assert not Interval.from_dict(document).is_known


def test_an_interval_survives_json():
    interval = Interval(1.0, 2.0, 4.0, 0.8, "prediction")
    assert Interval.from_dict(interval.to_dict()) == interval


def test_the_interval_of_draws_leaves_out_equal_tails_and_holds_the_given_middle():
    draws = np.arange(1, 1000) / 1000
    assert (Interval.from_draws(draws).low, Interval.from_draws(draws).high) == pytest.approx((0.05, 0.95))
    assert Interval.from_draws(draws, mid=2.0).high == 2.0
    assert not Interval.from_draws([math.nan]).is_known


def test_an_interval_of_few_draws_holds_the_next_one_as_often_as_it_says():
    """99 numbers leave 100 gaps; the next one of their kind falls into each alike: 90 lie between ranks 5 and 95."""
    few = Interval.from_draws(np.arange(1, 100))
    assert (few.low, few.mid, few.high) == pytest.approx((5.0, 50.0, 95.0))
    ten = Interval.from_draws(np.arange(10))
    assert (ten.low, ten.high) == (0.0, 9.0)


@pytest.mark.parametrize(
    ("counts", "mid", "expected"),
    [
        ({8: 94, 9: 6}, 8, (8, 8)),  # equal tails would take 9 too, for its 6 %
        ({7: 3, 8: 89, 9: 8}, 8, (8, 9)),  # of two as short, the one with more draws
        ({7: 30, 8: 40, 9: 30}, 8, (7, 9)),
        ({7: 95, 8: 5}, 9, (7, 9)),  # the middle belongs to it in any case
    ],
)
def test_the_interval_of_whole_draws_is_the_shortest_run_that_holds_enough(
    counts: dict[int, int], mid: int, expected: tuple[int, int]
) -> None:
    draws = np.repeat(list(counts), list(counts.values()))
    found = Interval.of_whole_draws(draws, kind="parameter", mid=mid)
    assert (found.low, found.mid, found.high, found.kind) == (expected[0], mid, expected[1], "parameter")


def test_an_assumed_number_says_so_in_tables():
    assert str(Interval.assumed(3350)) == "3350 (assumed)"
    assert Interval(0.0503, 0.0521, 0.054).scaled(1e3).format(unit="ms") == "52.1 (50.3 to 54) ms"
