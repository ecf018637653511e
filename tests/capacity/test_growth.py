"""Stated peaks, what lies between them, and what lies beyond."""

import io
import math
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import (
    GrowthProjection,
    InstanceCapacity,
    OrderingRules,
    growth_from_percentages,
    plan_capacity,
    read_growth,
)
from capacity.demand.growth_points import GrowthPoint
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity

GUIDE = {0: 3_350, 1: 4_000, 3: 5_000, 6: 7_000}


def rounded(growth: GrowthProjection, interpolation: Any = "geometric") -> list[int]:
    return [round(row.peak) for row in growth.monthly(interpolation)]


def test_months_between_grow_by_the_same_percentage() -> None:
    growth = GrowthProjection.from_points(GUIDE)
    assert rounded(growth) == [3_350, 4_000, 4_472, 5_000, 5_593, 6_257, 7_000]
    assert [row.month for row in growth.monthly() if row.interpolated] == [2, 4, 5]


def test_months_between_grow_by_the_same_amount_when_asked() -> None:
    assert rounded(GrowthProjection.from_points(GUIDE), "linear") == [3_350, 4_000, 4_500, 5_000, 5_667, 6_333, 7_000]


def test_the_guide_states_percentages_beside_its_peaks() -> None:
    guide = GrowthProjection.guide()
    assert [point.stated_percent for point in guide.points] == [None, 20, 50, 100]
    assert [round(guide.implied_percent(point), 1) for point in guide.points] == [0, 19.4, 49.3, 109.0]


def test_nothing_is_known_beyond_the_last_point_unless_asked_for() -> None:
    assert len(GrowthProjection.from_points(GUIDE).monthly()) == 7
    longer = GrowthProjection.from_points({0: 100, 1: 200}, extrapolate_to=3).monthly()
    assert [(row.peak, row.extrapolated) for row in longer] == [(100, False), (200, False), (400, True), (800, True)]


def test_a_range_around_the_peaks_is_interpolated_with_them() -> None:
    growth = GrowthProjection((GrowthPoint(0, 100), GrowthPoint(2, 400, 100, 900)))
    middle = growth.monthly()[1]
    assert (middle.low, middle.peak, middle.high) == (100, 200, 300)


def test_scaling_keeps_the_shape_of_the_growth() -> None:
    small = GrowthProjection.guide().scaled(0.1)
    assert [point.peak for point in small.points] == [335, 400, 500, 700]
    assert [point.stated_percent for point in small.points] == [None, 20, 50, 100]


def test_a_projection_survives_its_json() -> None:
    growth = GrowthProjection((GrowthPoint(0, 10.5, 9, 12), GrowthPoint(4, 20)), Quantity.RPS, 6)
    assert GrowthProjection.from_dict(growth.to_dict()) == growth


def test_a_projection_shows_itself() -> None:
    growth = GrowthProjection.guide()
    assert repr(growth) == "GrowthProjection(3,350 to 7,000 ccu, months 0-1, 3, 6)"
    assert "+109.0 %" in growth.summary()
    assert "<table>" in growth._repr_html_()
    frame = growth.to_frame()
    assert list(frame) == ["month", "peak_ccu", "low", "high", "interpolated", "extrapolated", "stated_percent"]
    assert frame["stated_percent"].dropna().tolist() == [20, 50, 100]


@pytest.mark.parametrize(
    ("points", "named"),
    [
        ({}, "empty"),
        ({0: 0}, "peak is 0"),
        ({0: -5}, "peak is -5"),
        ({0: math.nan}, "peak is nan"),
        ({0: math.inf}, "peak is inf"),
        ({0: "many"}, "peak is 'many'"),
        ({0.5: 100}, "month is 0.5"),
        ({-1: 100}, "month is -1"),
        ({10**9: 100}, "at most 1200"),
        ({1: 100}, "first month is 1"),
        ([(0, 1), (0, 2)], "given twice"),
        ([(0, 1), (3, 2), (1, 2)], "month 1 comes after month 3"),
    ],
)
def test_points_that_make_no_growth_are_refused(points: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        GrowthProjection.from_points(points)


@pytest.mark.parametrize(
    ("points", "to", "named"),
    [
        ({0: 1, 6: 2}, 6, "give a later month"),
        ({0: 1}, 6, "Give two"),
        ({0: 1, 1: 2}, 2.5, "extrapolate_to is 2.5"),
    ],
)
def test_an_extrapolation_without_ground_is_refused(points: Any, to: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        GrowthProjection.from_points(points, extrapolate_to=to)


def test_an_extrapolation_that_leaves_the_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="must be above 0"):
        GrowthProjection.from_points({0: 200, 1: 100}, extrapolate_to=2).monthly("linear")
    with pytest.raises(InputError, match="too large"):
        GrowthProjection.from_points({0: 1, 1: 1e300}, extrapolate_to=2).monthly()


@given(st.lists(st.floats(1e-3, 1e9), min_size=2, max_size=6), st.sampled_from(["geometric", "linear"]))
def test_interpolated_peaks_lie_between_their_neighbours(peaks: list[float], interpolation: Any) -> None:
    growth = GrowthProjection.from_points({3 * i: peak for i, peak in enumerate(peaks)})
    rows = growth.monthly(interpolation)
    assert [row.peak for row in rows[::3]] == peaks
    for row in rows:
        ends = sorted((rows[row.month // 3 * 3].peak, rows[-(-row.month // 3) * 3].peak))
        assert ends[0] * (1 - 1e-9) <= row.peak <= ends[1] * (1 + 1e-9)


def test_a_csv_says_what_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "growth.csv"
    path.write_text("\ufeffmonth,peak_users,low,high,note\n0,100,90,110,today\n\n2,200,,,\n", encoding="utf-8")
    growth = read_growth(path)
    assert growth.quantity == Quantity.USERS
    assert growth.points == (GrowthPoint(0, 100, 90, 110), GrowthPoint(2, 200))


def test_a_csv_may_come_from_a_stream() -> None:
    stream = io.StringIO("month , peak\n0, 1.5\n")
    assert read_growth(stream, "rps") == GrowthProjection((GrowthPoint(0, 1.5),), Quantity.RPS)


def test_all_bad_rows_are_named_in_one_error() -> None:
    text = "month,peak_ccu\n0,3350\n1.5,4000\n2,\n3,3,350\n3,nan\n4,-1\n5,x\n0,9\n6,7000\n5,6500\n"
    with pytest.raises(InputError) as caught:
        read_growth(io.StringIO(text))
    message = str(caught.value)
    assert "8 bad rows" in message
    named = ("line 3: month is '1.5'", "line 4: peak_ccu is empty", "line 5: it has more cells", "line 6", "line 7")
    for part in (*named, "line 8", "line 9: month 0 is given twice", "line 11: month 5 comes after month 6"):
        assert part in message
    assert "line 2" not in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "none; needed are month"),
        ("month,peak_ccu\n", "holds no rows"),
        ("month,peak_ccu\n0,1\n3,2\n3,2\n", "line 4: month 3 is given twice"),
        ("month,peak_ccu\n0,1\n3,2\n2,2\n", "line 4: month 2 comes after month 3"),
        ("month,peak_ccu\n0,NaN\n", "line 2: peak is 'NaN'"),
        ("month,peak_ccu\nnan,1\n", "line 2: month is 'nan'"),
        ("month,peak_cpu\n0,1\n", "peak_cpu"),
        ("month,peak_ccu,peak_rps\n0,1,1\n", "one of"),
        ("peak_ccu\n1\n", "month"),
        ("month,month,peak_ccu\n0,0,1\n", "each once"),
        ('month,peak_ccu\n0,"3350\n', "not a readable CSV"),
        ("month,peak_ccu,low,high\n0,10,11,12\n", "low <= peak <= high"),
        ("month,peak_ccu,low,high\n0,10,9,\n", "only one of low and high"),
    ],
)
def test_a_table_that_is_no_growth_is_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_growth(io.StringIO(text))


def test_a_column_and_an_asked_quantity_must_not_contradict() -> None:
    with pytest.raises(InputError, match=r"counts users .* rps was asked for"):
        read_growth(io.StringIO("month,peak_users\n0,1\n"), "rps")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_growth(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"month,peak_ccu\n0,\xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        read_growth(tmp_path / "latin.csv")


def test_a_frame_is_read_like_a_csv() -> None:
    frame = pd.DataFrame({"month": [0, 6], "peak_rps": [10, 20.5], "stated_percent": [None, 100]})
    growth = GrowthProjection.from_frame(frame, extrapolate_to=8)
    assert growth.points == (GrowthPoint(0, 10), GrowthPoint(6, 20.5, stated_percent=100))
    assert (growth.quantity, growth.last_month) == (Quantity.RPS, 8)
    with pytest.raises(InputError, match=r"row 1: peak_rps is empty"):
        GrowthProjection.from_frame(frame.assign(peak_rps=[10, None]))


def dated(*rows: str, **options: Any) -> GrowthProjection:
    return read_growth(io.StringIO("date,peak_users\n" + "\n".join(rows) + "\n"), **options)


def test_dates_count_in_whole_months_from_the_first_row() -> None:
    growth = dated("2026-12-01,100", "2027-01-01,120", "2028-02-01,200")
    assert [point.month for point in growth.points] == [0, 1, 14]
    assert growth.start == date(2026, 12, 1)
    assert GrowthProjection.from_dict(growth.to_dict()) == growth


@pytest.mark.parametrize(
    ("rows", "months"),
    [
        (("2026-12,1", "2027-02,2"), [0, 2]),
        (("2026-12-31,1", "2027-02-28,2", "2027-03-31,3"), [0, 2, 3]),  # the last day where a month is shorter
    ],
)
def test_months_and_their_ends_are_dates_too(rows: tuple[str, ...], months: list[int]) -> None:
    assert [point.month for point in dated(*rows).points] == months


def test_a_frame_may_have_dates() -> None:
    days = pd.to_datetime(["2026-12-01", "2027-03-01"])
    growth = GrowthProjection.from_frame(pd.DataFrame({"date": days, "peak": [1, 2]}), start=date(2026, 12, 1))
    assert ([point.month for point in growth.points], growth.start) == ([0, 3], date(2026, 12, 1))


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (("2026-12-01,1", "2026-12-01,2"), "line 3: month 0 is given twice"),
        (("2026-12-01,1", "2027-03-01,2", "2027-02-01,3"), "line 4: month 2 comes after month 3"),
        (("2026-12-01,1", "2026-11-01,2"), "line 3: date 2026-11-01 lies before month 0, 2026-12-01"),
        (("2026-12-01,1", "2027-01-15,2"), "line 3: date 2027-01-15 is no whole number of months after 2026-12-01"),
        (("2026-12-01,1", "1,2"), "line 3: date is '1'; write it as 2026-12-01"),
        (("2026-12-01,1", ",2"), "line 3: date is empty"),
        (("2026-12-01,1", "01.01.2027,2"), "write it as 2026-12-01"),
    ],
)
def test_dates_that_make_no_growth_are_refused(rows: tuple[str, ...], named: str) -> None:
    with pytest.raises(InputError, match=named):
        dated(*rows)


def test_months_and_dates_are_not_mixed_and_the_first_row_is_month_zero() -> None:
    with pytest.raises(InputError, match="needed are month, date or month_end"):
        read_growth(io.StringIO("month,date,peak\n0,2026-12-01,1\n"))
    with pytest.raises(InputError, match="first month is 1"):
        dated("2026-12-01,1", start=date(2026, 11, 1))


def test_a_plan_of_dated_growth_has_dates_and_no_other_start() -> None:
    growth = dated("2026-12-01,100", "2027-02-01,200")
    one = InstanceCapacity.assumed(100, "users")
    plan = plan_capacity(growth, one, ordering=OrderingRules())
    assert [step["date"] for step in plan.to_dict()["steps"]] == ["2026-12-01", "2027-01-01", "2027-02-01"]
    assert plan_capacity(growth, one, ordering=OrderingRules(start=date(2026, 12, 1))).to_dict() == plan.to_dict()
    with pytest.raises(InputError, match=r"growth begins on 2026-12-01, the plan on 2026-11-01; give one date"):
        plan_capacity(growth, one, ordering=OrderingRules(start=date(2026, 11, 1)))


def test_quantities_that_differ_without_a_conversion_are_refused() -> None:
    with pytest.raises(InputError, match="users"):
        plan_capacity(GrowthProjection.from_points({0: 1}, "users"), InstanceCapacity.assumed(1, "rps"))


def test_peaks_may_be_ranges() -> None:
    growth = GrowthProjection.from_points({0: 1_000, 6: (1_500, 2_000, 3_000)}, "users")
    assert growth.points[1] == GrowthPoint(6, 2_000, 1_500, 3_000)
    percent = growth_from_percentages(1_000, {6: (50, 100, 200)}, "users")
    assert percent.points == growth.points
    with pytest.raises(InputError, match="low, mid, high"):
        GrowthProjection.from_points({0: (1, 2)})  # type: ignore[dict-item]


def test_what_lies_beyond_the_last_point_is_never_surer_than_that() -> None:
    """The ends approach each other from month 3 to month 6; continued, they would meet."""
    points = (GrowthPoint(0, 100), GrowthPoint(3, 200, 100, 400), GrowthPoint(6, 210, 190, 230))
    for month in GrowthProjection(points, extrapolate_to=18).monthly()[6:]:
        assert month.low is not None
        assert month.high is not None
        assert month.low / month.peak <= 190 / 210 + 1e-9
        assert month.high / month.peak >= 230 / 210 - 1e-9


def test_a_forecast_is_continued_by_a_longer_forecast() -> None:
    text = "month_end,peak,low,high,p99\n2026-01-01,100,,,\n2026-02-01,110,90,130,170\n"
    growth = read_growth(io.StringIO(text))
    assert growth.monthly()[1].range == Interval(90, 110, 130, 0.9, "prediction")
    with pytest.raises(InputError, match="forecast further instead"):
        read_growth(io.StringIO(text), extrapolate_to=6)


@pytest.mark.parametrize(("low", "high", "p99"), [("", "", "170"), ("110", "110", "170"), ("90", "130", "120")])
def test_a_far_end_goes_with_a_range_below_it(low: str, high: str, p99: str) -> None:
    with pytest.raises(InputError, match="low < high <= p99"):
        read_growth(io.StringIO(f"month,peak,low,high,p99\n0,110,{low},{high},{p99}\n"))
