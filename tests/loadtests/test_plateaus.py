import math

import pytest

from loadtests.estimation.plateaus import Plateau, find_plateaus
from loadtests.foundation.errors import InputError


def staircase(levels, hold=20, ramp=3):
    """A sample a second: each level is reached in `ramp` seconds and held for `hold`."""
    users, last = [], 0
    for level in levels:
        users += [round(last + (level - last) * part / ramp) for part in range(1, ramp)] + [level] * hold
        last = level
    return list(range(len(users))), users


def test_stretches_of_constant_users_are_found_between_ramps():
    times, users = staircase([10, 40, 20])
    assert find_plateaus(times, users) == (
        Plateau(1, 10, 2.0, 21.0), Plateau(2, 40, 24.0, 43.0), Plateau(3, 20, 46.0, 65.0),
    )  # fmt: skip


def test_a_plateau_of_no_users_and_one_that_is_too_short_do_not_count():
    assert find_plateaus(range(30), [0] * 15 + [5] * 15)[0].users == 5
    assert find_plateaus(range(30), [5] * 8 + [9] * 22, shortest_s=10.0) == (Plateau(1, 9, 8.0, 29.0),)


def test_a_level_that_comes_back_is_two_plateaus():
    assert [item.users for item in find_plateaus(*staircase([10, 20, 10]))] == [10, 20, 10]


def test_an_empty_series_has_none():
    assert find_plateaus([], []) == ()


@pytest.mark.parametrize(
    ("times", "users", "message"),
    [
        ([0, 1], [1], "one number of users a time"),
        ([0, 2, 1], [1, 1, 1], "place 2"),
        ([0, math.nan], [1, 1], "place 1"),
        ([0, 1], [1, -1], "whole numbers"),
        ([0, 1], [1.5, math.nan], "2 are not"),
    ],
)
def test_what_is_no_series_of_users_is_refused(times, users, message):
    with pytest.raises(InputError, match=message):
        find_plateaus(times, users)


def test_all_problems_come_in_one_error():
    with pytest.raises(InputError, match=r"ascend.*whole numbers"):
        find_plateaus([1, 0], [1, -1])
