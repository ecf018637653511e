"""Growth by a rule: exact where the rule is, ranges from low to high, events on top."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import GrowthProjection, InstanceCapacity, plan_capacity
from capacity.demand.growth_curves import (
    DemandEvent,
    compound_growth,
    growth_from_percentages,
    linear_growth,
    logistic_growth,
    with_events,
)
from capacity.demand.growth_points import GrowthPoint
from loadtests.foundation.errors import InputError


def peaks(growth):
    return [point.peak for point in growth.points]


def test_the_guide_s_percentages_are_other_peaks_than_its_numbers():
    growth = growth_from_percentages(3_350, {0: 0, 1: 20, 3: 50, 6: 100})
    assert peaks(growth) == [3_350, 4_020, 5_025, 6_700]
    plan = plan_capacity(growth, InstanceCapacity.assumed(3_350))
    assert plan.steps[-1].instances == (3, 3)  # 6,700 x 1.5 is exactly three


def test_compound_growth_is_the_same_percentage_every_month():
    assert peaks(compound_growth(1_000, 10, 3)) == [1_000, 1_100, 1_210, 1_331]
    assert peaks(compound_growth(1_000, -50, 2)) == [1_000, 500, 250]


def test_a_range_of_the_percentage_is_a_range_of_every_later_peak():
    growth = compound_growth(1_000, (0, 10, 20), 2)
    assert [(point.low, point.high) for point in growth.points] == [(1_000, 1_000), (1_000, 1_200), (1_000, 1_440)]


def test_linear_growth_is_the_same_amount_every_month():
    assert peaks(linear_growth(100, 25, 3)) == [100, 125, 150, 175]


def test_logistic_growth_starts_like_compound_and_ends_at_the_saturation():
    growth = logistic_growth(10, 1_000_000, 10, 12)
    assert peaks(growth)[1] == pytest.approx(11, rel=1e-4)
    late = logistic_growth(100, (150, 200, 400), 30, 60)
    assert late.points[-1].peak == pytest.approx(200, rel=1e-4)
    assert (late.points[-1].low, late.points[-1].high) == pytest.approx((150, 400), rel=1e-4)
    half = logistic_growth(100, 200, 100 * (math.e - 1), 1).points[1].peak  # r = 1
    assert half == pytest.approx(200 / (1 + math.exp(-1)))


def test_events_multiply_the_months_they_cover_and_bring_their_ranges():
    growth = with_events(
        linear_growth(100, 0, 4),
        [DemandEvent("sale", 1, 2, 1.5), DemandEvent("launch", 2, 3, (1, 2, 4))],
    )
    assert peaks(growth) == [100, 150, 300, 200, 100]
    assert [(point.low, point.high) for point in growth.points] == [
        (None, None), (None, None), (150, 600), (100, 400), (None, None)
    ]  # fmt: skip


@given(st.integers(1, 10**6), st.integers(-50, 100), st.integers(0, 100), st.integers(1, 24))
def test_more_growth_never_means_a_smaller_peak(today, percent, more, months):
    slow, fast = compound_growth(today, percent, months), compound_growth(today, percent + more, months)
    assert all(one <= other for one, other in zip(peaks(slow), peaks(fast), strict=True))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: growth_from_percentages(3_350, {1: -100}), "above -100 %"),
        (lambda: growth_from_percentages(3_350, {0: 5}), "Month 0 is today"),
        (lambda: growth_from_percentages(0, {1: 20}), "today's peak is 0"),
        (lambda: growth_from_percentages(3_350, {1: -101}), "above -100 %"),
        (lambda: growth_from_percentages(3_350, {1: math.nan}), "growth of month 1 is nan"),
        (lambda: growth_from_percentages(math.nan, {1: 20}), "today is nan"),
        (lambda: compound_growth(1_000, math.nan, 3), "percent_per_month is nan"),
        (lambda: compound_growth(1_000, -100, 3), "above -100 %"),
        (lambda: compound_growth(1_000, (-100, 0, 10), 3), "above -100 %"),
        (lambda: logistic_growth(100, 900, -100, 4), "above -100 %"),
        (lambda: linear_growth(100, math.inf, 4), "per_month is inf"),
        (lambda: DemandEvent("sale", 1, 2, math.nan), "factor is nan"),
        (lambda: compound_growth(1_000, (10, 5, 20), 3), "low <= mid <= high is needed"),
        (lambda: compound_growth(1_000, (1, 2), 3), "one number, or"),
        (lambda: compound_growth(1_000, 10, 0), "months"),
        (lambda: compound_growth(1_000, 1e300, 2), "below 1e308"),
        (lambda: linear_growth(100, -30, 4), "month 4 would be -20"),
        (lambda: logistic_growth(100, 90, 10, 4), "above today's peak"),
        (lambda: logistic_growth(100, 900, 0, 4), "must be above 0"),
        (lambda: DemandEvent("sale", 3, 2, 1.5), "before it begins"),
        (lambda: DemandEvent("sale", 1, 2, 0), "0 < low"),
        (lambda: with_events(linear_growth(1, 1, 2), [DemandEvent("sale", 1, 3, 2)]), "beyond the growth's last month"),
    ],
)
def test_what_is_no_growth_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_events_leave_a_month_what_it_was():
    growth = GrowthProjection.from_points({0: 100, 2: 400}, extrapolate_to=4)
    made = with_events(growth, [DemandEvent("sale", 1, 4, (1, 2, 3))])
    assert [row.standing for row in made.monthly()] == [row.standing for row in growth.monthly()]
    assert [row.standing for row in made.monthly()] == [
        "stated", "interpolated", "stated", "extrapolated", "extrapolated"
    ]  # fmt: skip
    assert made.last_stated_month == 2
    assert GrowthProjection.from_dict(made.to_dict()) == made
    plan = plan_capacity(made, InstanceCapacity.assumed(1_000))
    found = {item.code: item for item in plan.findings}
    assert found["extrapolated"].numbers == {"months": [3, 4], "last_stated_month": 2}
    assert found["interpolated-months"].numbers["months"] == [1]
    with pytest.raises(InputError, match="standing is 'guessed'"):
        GrowthPoint(0, 1, standing="guessed")
