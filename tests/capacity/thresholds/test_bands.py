"""Bands cover every value once, and only bands in order are accepted."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.thresholds import BandProfile, Metric, MetricBands, band_of
from loadtests.foundation.errors import InputError

GUIDES = [BandProfile.guide("daily"), BandProfile.guide("alert")]
LEVELS = ["normal", "warning", "critical"]


@given(st.sampled_from(GUIDES), st.data())
def test_every_value_of_the_guides_metrics_is_in_exactly_one_band(profile: BandProfile, data: st.DataObject) -> None:
    metric = data.draw(st.sampled_from(profile.metrics))
    is_share = metric.endswith(("_rate", "_utilization")) or metric.startswith("ccu")
    value = data.draw(st.floats(0, 1 if is_share else 1e300))
    (band,) = (band for band in profile.of(metric) if value in band)
    assert band == band_of(profile, metric, value)


@st.composite
def any_bands(draw: st.DrawFn) -> MetricBands:
    low, high = sorted(draw(st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=2, unique=True)))
    warning, critical = draw(st.sampled_from([(low, high), (low, None), (None, high)]))
    return MetricBands(Metric.THROUGHPUT_RPS, warning, critical)


@given(any_bands(), st.floats(0, allow_infinity=False))
def test_every_finite_value_is_in_exactly_one_band_of_any_profile(bands: MetricBands, value: float) -> None:
    near = [value, *bands.edges.values()]
    near += [math.nextafter(edge, way) for edge in bands.edges.values() for way in (0, math.inf)]
    for case in near:
        assert sum(case in band for band in bands.bands("own")) == 1


@given(any_bands())
def test_bands_are_ordered_and_each_begins_where_the_one_before_ends(bands: MetricBands) -> None:
    listed = bands.bands("own")
    levels = [LEVELS.index(band.level) for band in listed]
    assert levels == sorted(set(levels))
    assert (listed[0].low, listed[-1].high) == (0, math.inf)
    assert all(before.high == after.low for before, after in pairwise(listed))
    assert all(band.low < band.high for band in listed)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_larger_value_is_never_in_a_better_band(one: float, other: float) -> None:
    smaller, larger = (band_of(GUIDES[0], "throughput_rps", value).level for value in sorted((one, other)))
    assert LEVELS.index(smaller) <= LEVELS.index(larger)


def test_the_same_value_is_in_other_bands_of_other_profiles() -> None:
    daily, alert = (band_of(profile, "error_rate", 0.02) for profile in GUIDES)
    assert (daily.profile, daily.level) == ("daily", "critical")
    assert (alert.profile, alert.level) == ("alert", "warning")


def test_one_failed_health_check_is_critical() -> None:
    assert [band_of(GUIDES[1], "failed_health_checks", count).level for count in (0, 1, 3)] == [
        "normal", "critical", "critical",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value", "named"),
    [
        ("p95_s", math.nan, "p95_s is nan; it must be a finite number"),
        ("p95_s", math.inf, "must be a finite number"),
        ("p95_s", -0.01, "p95_s is -0.01; it must be 0 or more"),
        ("p95_s", "0.05", "p95_s is '0.05'; it must be a number"),
        ("p95_s", None, "must be a number"),
        ("p95_s", True, "p95_s is True"),
        ("error_rate", 5, "error_rate is 5; it must be a share of at most 1 [(]write 80 % as 0.8"),
        ("ccu_utilization_normal", 62.1, "must be a share"),
        ("ccu_utilization_normal", -0.1, "resets its count"),
        ("ccu_utilization", 0.6, "does not say its base; use ccu_utilization_normal"),
        ("ccu_utilization_max", 0.6, "'daily' has no bands of ccu_utilization_max; it has those of throughput_rps"),
        ("latency", 0.6, "'latency' is not known; it must be one of throughput_rps, p95_s"),
    ],
)
def test_a_value_that_cannot_be_judged_is_refused(metric: str, value: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        band_of(GUIDES[0], metric, value)


@pytest.mark.parametrize(
    ("metric", "edges", "named"),
    [
        ("p95_s", (0.2, 0.05), "overlap: warning_from is 0.2 and critical_from 0.05"),
        ("p95_s", (0.2, 0.2), "overlap"),
        ("p95_s", (None, None), "no edge; state warning_from, critical_from or both"),
        ("p95_s", (0, 0.2), "warning_from of p95_s is 0; it must be above 0"),
        ("p95_s", (-1, 0.2), "warning_from of p95_s is -1"),
        ("p95_s", (math.nan, 0.2), "finite"),
        ("p95_s", ("50ms", 0.2), "warning_from of p95_s is '50ms'; it must be a number"),
        ("error_rate", (1, 5), "critical_from of error_rate is 5; it must be a share"),
        ("speed", (1, 5), "'speed' is not known"),
        (["p95_s"], (1, 5), "is not known"),
    ],
)
def test_bands_that_make_no_sense_are_refused(metric: Any, edges: tuple[Any, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        MetricBands(metric, *edges)


@pytest.mark.parametrize(
    ("name", "bands", "named"),
    [
        ("", (MetricBands(Metric.P95_S, 1),), "name of a profile is ''"),
        (None, (MetricBands(Metric.P95_S, 1),), "name of a profile is None"),
        ("own", (), "'own' has no bands"),
        ("own", (MetricBands(Metric.P95_S, 1), MetricBands(Metric.P95_S, 2)), "'own' has bands of p95_s twice"),
    ],
)
def test_a_profile_needs_a_name_and_bands_once_for_each_metric(name: Any, bands: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        BandProfile(name, bands)


@pytest.mark.parametrize("name", ["weekly", "scaling"])
def test_the_guide_has_two_profiles_of_bands(name: Any) -> None:
    with pytest.raises(InputError, match=f"no bands '{name}'; it has daily, alert, readiness"):
        BandProfile.guide(name)


def test_a_base_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="'peak'; it must be normal or max"):
        BandProfile.guide("daily", ccu_base="peak")  # type: ignore[arg-type]
