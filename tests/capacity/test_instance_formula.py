"""Required instances = ceil(peak / capacity x factor), exactly."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import required_instances
from capacity.planning.instance_formula import instance_requirement, max_capacity
from loadtests.foundation.errors import InputError

hundredths = st.integers(100, 300)
loads = st.integers(1, 10**7)


@pytest.mark.parametrize(
    ("peak", "factor", "needed"),
    [
        (3_350, 1.2, 2), (4_000, 1.2, 2), (5_000, 1.2, 2), (7_000, 1.2, 3),
        (3_350, 1.5, 2), (4_000, 1.5, 2), (5_000, 1.5, 3), (7_000, 1.5, 4),
    ],
)  # fmt: skip
def test_the_guides_months_need_the_guides_instances(peak: int, factor: float, needed: int) -> None:
    assert required_instances(peak, 3_350, factor) == needed


@pytest.mark.parametrize(
    ("peak", "capacity", "factor", "needed"),
    [(33_500, 3_350, 1.1, 11), (67_000, 10_050, 1.35, 9), (6_700, 3_350, 1.5, 3), (0.3, 0.1, 1, 3)],
)
def test_a_result_that_is_whole_is_not_rounded_up(peak: float, capacity: float, factor: float, needed: int) -> None:
    assert required_instances(peak, capacity, factor) == needed


@pytest.mark.parametrize(
    "factor", [1.1, Decimal("1.1"), Fraction(11, 10), np.float64(1.1), np.float32(1.1), np.float16(1.1)]
)
def test_every_kind_of_number_is_read_as_its_shortest_decimal(factor: Any) -> None:
    assert required_instances(np.int64(33_500), 3_350, factor) == 11


def test_no_load_needs_no_instance() -> None:
    assert required_instances(0, 3_350, 1.5) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((-1, 3_350, 1.2), "peak is -1"),
        ((float("nan"), 3_350, 1.2), "peak is nan"),
        ((float("inf"), 3_350, 1.2), "peak is inf"),
        ((Decimal("1e999999"), 3_350, 1.2), "peak"),
        ((Decimal("1e-999999"), 3_350, 1.2), "peak"),
        ((10**400, 3_350, 1.2), "peak"),
        (("7000", 3_350, 1.2), "peak is '7000'"),
        ((True, 3_350, 1.2), "peak is True"),
        ((None, 3_350, 1.2), "peak is None"),
        ((7_000, 0, 1.2), "instance_capacity is 0"),
        ((7_000, -5, 1.2), "instance_capacity is -5"),
        ((7_000, 3_350, 0.99), "at least 1"),
        ((7_000, 3_350, -1.2), "safety_factor is -1.2"),
        ((7_000, 3_350, np.nan), "safety_factor is nan"),
    ],
)
def test_what_is_not_allowed_is_named(arguments: tuple[Any, ...], named: str) -> None:
    with pytest.raises(InputError, match=named.replace("(", r"\(")):
        required_instances(*arguments)


@given(loads, loads, hundredths)
def test_it_agrees_with_counting_in_integers(peak: int, capacity: int, factor: int) -> None:
    needed = required_instances(peak, capacity, factor / 100)
    assert needed * capacity * 100 >= peak * factor > (needed - 1) * capacity * 100


@given(loads, loads, loads, hundredths)
def test_more_demand_never_needs_fewer_instances(peak: int, more: int, capacity: int, factor: int) -> None:
    assert required_instances(peak + more, capacity, factor / 100) >= required_instances(peak, capacity, factor / 100)


@given(loads, loads, hundredths, st.integers(0, 200))
def test_a_larger_factor_never_needs_fewer_instances(peak: int, capacity: int, factor: int, more: int) -> None:
    few = required_instances(peak, capacity, factor / 100)
    assert required_instances(peak, capacity, (factor + more) / 100) >= few


def test_the_maximum_of_an_instance_follows_from_its_utilization_exactly() -> None:
    assert max_capacity(3_350, 67) == 5_000
    assert max_capacity(10_050, 67.0) == 15_000


def test_the_json_shows_the_utilization_of_normal_and_of_maximum() -> None:
    document = instance_requirement(7_000, 3_350, (1.2, 1.5)).to_dict()
    assert document == {
        "peak": 7_000,
        "instance_capacity": 3_350,
        "results": [
            {"safety_factor": 1.2, "instances": 3, "utilization_normal": 7_000 / 10_050, "utilization_max": 7 / 15},
            {"safety_factor": 1.5, "instances": 4, "utilization_normal": 7_000 / 13_400, "utilization_max": 7 / 20},
        ],
    }


def test_utilizations_that_have_no_base_are_null() -> None:
    (idle,) = instance_requirement(0, 3_350, (1.2,)).to_dict()["results"]
    assert (idle["instances"], idle["utilization_normal"], idle["utilization_max"]) == (0, None, None)
    (no_max,) = instance_requirement(100, 50, (1,), utilization_percent=None).results
    assert (no_max.utilization_normal, no_max.utilization_max) == (1.0, None)


def test_an_explicit_maximum_is_used_and_must_not_lie_below_normal() -> None:
    assert instance_requirement(100, 100, (1,), instance_max=400).results[0].utilization_max == 0.25
    with pytest.raises(InputError, match="below the normal capacity"):
        instance_requirement(100, 100, (1,), instance_max=99)
    with pytest.raises(InputError, match="No safety factor"):
        instance_requirement(100, 100, ())
