"""A growth in another quantity, by Little's law and the response-time law."""

from __future__ import annotations

import pytest

from capacity import GrowthProjection, InstanceCapacity, convert_growth, plan_capacity
from loadtests.foundation.errors import InputError
from simulations.analysis.operational_laws import interactive_response_time, littles_law

USERS = GrowthProjection.from_points({0: 1_000, 3: (1_500, 2_000, 3_000)}, "users")


def test_users_requests_and_those_in_flight_obey_the_laws() -> None:
    rates = convert_growth(USERS, "rps", residence_time_s=0.1, think_time_s=0.9)
    inside = convert_growth(USERS, "in_flight", residence_time_s=0.1, think_time_s=0.9)
    for users, rate, number in zip(USERS.points, rates.points, inside.points, strict=True):
        assert number.peak == pytest.approx(littles_law(rate.peak, 0.1))
        assert interactive_response_time(users.peak, rate.peak, 0.9) == pytest.approx(0.1)
    assert (rates.points[1].low, rates.points[1].high) == (1_500, 3_000)
    assert convert_growth(rates, "users", residence_time_s=0.1, think_time_s=0.9) == USERS


def test_a_plan_of_converted_growth_needs_what_the_other_needs() -> None:
    """One instance for 335 users is one for 335 / (0.25 + 1) requests a second."""
    rates = convert_growth(USERS, "rps", residence_time_s=0.25, think_time_s=1)
    by_users = plan_capacity(USERS, InstanceCapacity.assumed(335, "users"))
    by_rate = plan_capacity(rates, InstanceCapacity.assumed(268, "rps"))
    assert [step.instances for step in by_users.steps] == [step.instances for step in by_rate.steps]


@pytest.mark.parametrize(
    ("growth", "to", "times", "said"),
    [
        (USERS, "rps", {"residence_time_s": 0.1}, "give think_time_s"),
        (USERS, "rps", {"residence_time_s": 0, "think_time_s": 1}, "residence_time_s is 0"),
        (USERS, "rps", {"residence_time_s": 1, "think_time_s": -1}, "think_time_s is -1"),
        (USERS, "ccu", {"residence_time_s": 1, "think_time_s": 1}, "ccu cannot be converted"),
        (GrowthProjection.guide(), "rps", {"residence_time_s": 1}, "ccu cannot be converted"),
        (USERS, "visits", {"residence_time_s": 1}, "not known"),
    ],
)
def test_what_no_law_converts_is_refused(growth, to, times, said):
    with pytest.raises(InputError, match=said):
        convert_growth(growth, to, **times)
