"""Load levels as people write them."""

from __future__ import annotations

import pytest

from capacity.interfaces.load_ranges import parse_levels
from loadtests.foundation.errors import InputError


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("500:2000:500", [500, 1_000, 1_500, 2_000]),
        ("10:25:10", [10, 20]),
        ("7:7:1", [7]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("5, 10,20", [5, 10, 20]),
        ("1_000", [1_000]),
        ("1:1000:1", list(range(1, 1_001))),
    ],
)
def test_ranges_include_both_ends_and_count_exactly(text: str, levels: list[float]) -> None:
    assert parse_levels(text, "--users") == levels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without any level"),
        (",", "without any level"),
        ("1:10:0", "step must be above 0"),
        ("1:10:-1", "step must be above 0"),
        ("10:1:1", "must not end"),
        ("1:10", "three parts"),
        ("1:2:3:4", "three parts"),
        ("1:1001:1", "1,001 levels, more than 1,000"),
        ("0:1e12:1e-9", "more than 1,000"),
        ("a:10:1", "'a' is not a number"),
        ("1,many", "'many' is not a number"),
        ("nan", "not a finite number"),
        ("1:inf:1", "not a finite number"),
        (",".join(["1"] * 1_001), "1,001 levels"),
    ],
)
def test_bad_ranges_say_what_was_given(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_levels(text, "--users")
