"""A scaling rule triggers once its condition has held for its duration without interruption."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.thresholds import Metric, ScalingProfile, ScalingRule, triggered
from loadtests.foundation.errors import InputError

CPU = "cpu_utilization"
ONE_RULE = ScalingProfile("own", (ScalingRule(Metric.CPU_UTILIZATION, 0.7, 120),))


def times_of(values: list[float], *, at: list[float] | None = None) -> list[tuple[float, float, float, bool]]:
    """Episodes of one rule (0.7 for 2 min) over samples once a minute."""
    times = [60 * number for number in range(len(values))] if at is None else at
    found = triggered(ONE_RULE, {CPU: (times, values)}).episodes
    return [(item.since_s, item.triggered_at_s, item.until_s, item.is_holding) for item in found]


def test_it_triggers_once_it_has_held_for_its_duration() -> None:
    assert times_of([0.5, 0.8, 0.8, 0.8, 0.8]) == [(60, 180, 240, True)]


def test_exactly_the_threshold_for_exactly_the_duration_is_enough() -> None:
    assert times_of([0.7, 0.7, 0.7]) == [(0, 120, 120, True)]


def test_a_moment_short_of_the_duration_is_not() -> None:
    assert times_of([0.8, 0.8, 0.8], at=[0, 60, 119.9]) == []


def test_one_lower_sample_begins_it_anew() -> None:
    assert times_of([0.8, 0.8, 0.6, 0.8, 0.8]) == []
    assert times_of([0.8, 0.8, 0.6, 0.8, 0.8, 0.8]) == [(180, 300, 300, True)]


def test_nan_is_an_interruption() -> None:
    assert times_of([0.8, 0.8, math.nan, 0.8, 0.8]) == []


def test_a_gap_between_samples_is_an_interruption() -> None:
    assert times_of([0.8, 0.8, 0.8], at=[0, 60, 121]) == []
    longer = triggered(ONE_RULE, {CPU: ([0, 60, 121], [0.8] * 3)}, max_gap_s=61)
    assert [item.triggered_at_s for item in longer.episodes] == [121]


def test_it_triggers_anew_after_an_interruption() -> None:
    assert times_of([0.8, 0.8, 0.8, 0.1, 0.9, 0.9, 0.9, 0.1]) == [(0, 120, 120, False), (240, 360, 360, False)]


def test_a_single_sample_has_held_for_no_time() -> None:
    assert times_of([0.99]) == []


def test_the_guides_rule_for_errors_is_the_quicker_one() -> None:
    minutes = [60 * number for number in range(6)]
    result = triggered(ScalingProfile.guide(), {"error_rate": (minutes, [0.02] * 6), "p95_s": (minutes, [0.3] * 6)})
    assert [(item.rule.metric, item.triggered_at_s) for item in result.episodes] == [("error_rate", 60), ("p95_s", 300)]
    assert [rule.action for rule in result.rules] == ["investigate-and-scale", "scale"]
    assert {item.profile for item in result.episodes} == {result.profile} == {"scaling"}


def test_rules_without_a_series_are_listed() -> None:
    result = triggered(ScalingProfile.guide(), {CPU: ([0], [0.1]), "p95_s": ([], []), "throughput_rps": ([0], [9.0])})
    assert result.not_measured == (
        "memory_utilization", "ccu_utilization_normal", "queue_utilization", "error_rate", "p95_s",
    )  # fmt: skip


def test_arrays_do_as_well_as_lists() -> None:
    values = np.array([0.8, np.nan, 0.8, 0.8, 0.8], dtype=np.float32)
    found = triggered(ONE_RULE, {CPU: (60 * np.arange(5), values)}).episodes  # type: ignore[dict-item]
    assert [(item.since_s, item.triggered_at_s) for item in found] == [(120, 240)]


@given(st.lists(st.sampled_from([0.5, 0.7, 0.9, math.nan]), max_size=30))
def test_within_an_episode_every_sample_was_at_the_threshold(values: list[float]) -> None:
    for since_s, triggered_at_s, until_s, is_holding in times_of(values):
        inside = values[int(since_s / 60) : int(until_s / 60) + 1]
        assert min(inside) >= 0.7
        assert triggered_at_s - since_s == 120 <= until_s - since_s
        assert is_holding == (until_s == 60 * (len(values) - 1))


@pytest.mark.parametrize(
    ("series", "named"),
    [
        ({CPU: ([0, 60, 30], [0.8] * 3)}, "do not increase: 60 s is followed by 30 s [(]position 2[)]; sort"),
        ({CPU: ([0, 60, 60], [0.8] * 3)}, "do not increase"),
        ({CPU: ([0, 60], [0.8] * 3)}, "2 times and 3 values"),
        ({CPU: ([0, math.nan], [0.8] * 2)}, "A time of cpu_utilization is nan"),
        ({CPU: ([0, 60], [0.8, math.inf])}, "finite"),
        ({CPU: ([0, 60], [0.8, -0.1])}, "0 or more"),
        ({CPU: ([0, 60], [0.8, None])}, "must be a number"),
        ({CPU: ([0, 60],)}, "has 1 parts; it must be two"),
        ({"load": ([0], [1.0])}, "'load' is not known"),
    ],
)
def test_a_series_that_cannot_be_read_is_refused(series: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        triggered(ONE_RULE, series)


@pytest.mark.parametrize("max_gap_s", [0, -1, math.nan])
def test_the_longest_gap_must_be_above_0(max_gap_s: float) -> None:
    with pytest.raises(InputError, match="max_gap_s"):
        triggered(ONE_RULE, {}, max_gap_s=max_gap_s)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ((CPU, 0.7, 0), "duration_s of cpu_utilization is 0; it must be above 0"),
        ((CPU, 0.7, -60), "duration_s of cpu_utilization is -60"),
        ((CPU, 0.7, math.nan), "finite"),
        ((CPU, 0.7, "5m"), "duration_s of cpu_utilization is '5m'; it must be a number"),
        ((CPU, 0, 60), "threshold of cpu_utilization is 0; it must be above 0"),
        ((CPU, -1, 60), "threshold of cpu_utilization is -1"),
        (("queue_utilization", 80, 60), "threshold of queue_utilization is 80; it must be a share"),
        (("cpu", 0.7, 60), "'cpu' is not known"),
        ((CPU, 0.7, 60, "restart"), "action of a scaling rule is 'restart'; it must be one of investigate-and-scale"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: tuple, named: str) -> None:
    with pytest.raises(InputError, match=named):
        ScalingRule(*rule)


def test_a_profile_needs_rules_each_once() -> None:
    rule = ScalingRule(Metric.P95_S, 0.2, 60)
    with pytest.raises(InputError, match="has no rules"):
        ScalingProfile("own", ())
    with pytest.raises(InputError, match="has a rule twice"):
        ScalingProfile("own", (rule, rule))
    with pytest.raises(InputError, match="name of a profile"):
        ScalingProfile(" ", (rule,))


def test_an_answer_is_json() -> None:
    result = triggered(ONE_RULE, {CPU: ([0, 60, 120], [0.8] * 3)})
    assert json.loads(json.dumps(result.to_dict())) == {
        "profile": "own",
        "episodes": [
            {
                "profile": "own",
                "rule": {"metric": CPU, "threshold": 0.7, "duration_s": 120, "action": "scale"},
                "since_s": 0,
                "triggered_at_s": 120,
                "until_s": 120,
                "is_holding": True,
            }
        ],
        "not_measured": [],
    }
