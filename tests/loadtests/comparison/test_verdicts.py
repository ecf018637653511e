"""How a verdict follows from an interval and a margin."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from loadtests.comparison.judging import Shift, judge_together
from loadtests.comparison.noise import Estimate, satterthwaite
from loadtests.comparison.result import RecordingComparison
from loadtests.comparison.rule import ComparisonRule
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json

RULE = ComparisonRule(margin=0.05, level=0.9)
ONE_SIDED = float(stats.norm.ppf(0.95))
MARGIN = math.log(1.05)


def shift(value: float, error: float, metric: str = "p95_s", *, judged: bool = True, common: float = 0.0) -> Shift:
    own = Estimate(0.0, error**2 / 2)
    return Shift(metric, "step", 10, own, own, value, error**2, common**2, is_judged=judged)


def verdict_of(*shifts: Shift) -> list[str]:
    return [item.verdict for item in judge_together(shifts, RULE)]


@pytest.mark.parametrize(("side", "expected"), [(1.001, "worse"), (0.999, "unclear")])
def test_worse_is_an_interval_wholly_beyond_the_margin(side: float, expected: str) -> None:
    assert verdict_of(shift(MARGIN + side * ONE_SIDED * 0.02, 0.02)) == [expected]


@pytest.mark.parametrize(("side", "expected"), [(1.001, "not worse"), (0.999, "unclear")])
def test_not_worse_is_an_interval_wholly_inside_the_margin(side: float, expected: str) -> None:
    assert verdict_of(shift(MARGIN - side * ONE_SIDED * 0.02, 0.02)) == [expected]


def test_less_goodput_is_worse_and_less_latency_is_not() -> None:
    assert verdict_of(shift(-0.3, 0.02, "goodput_rps"), shift(-0.3, 0.02, "p95_s")) == ["worse", "not worse"]


def test_goodput_at_95_percent_of_what_it_was_lies_at_a_margin_of_5_percent() -> None:
    just_beyond, just_inside = (math.log(0.95) - ONE_SIDED * 0.01 * sign for sign in (1.001, 0.999))
    assert verdict_of(shift(just_beyond, 0.01, "goodput_rps")) == ["worse"]
    assert verdict_of(shift(just_inside, 0.01, "goodput_rps")) == ["unclear"]


def test_one_of_many_needs_more_to_be_called_worse_than_one_alone() -> None:
    alone = shift(MARGIN + 2.0 * 0.02, 0.02)
    assert verdict_of(alone) == ["worse"]
    assert verdict_of(alone, *[shift(0.0, 0.02)] * 19)[0] == "unclear"
    needed = float(stats.norm.ppf(1 - 0.05 / 20)) * 0.02
    assert verdict_of(shift(MARGIN + 1.001 * needed, 0.02), *[shift(0.0, 0.02)] * 19)[0] == "worse"


def test_what_is_not_judged_takes_no_part_in_the_family() -> None:
    alone = shift(MARGIN + 2.0 * 0.02, 0.02)
    assert verdict_of(alone, *[shift(9.0, 0.02, judged=False)] * 19) == ["worse", *["not judged"] * 19]


def test_all_at_the_margin_is_called_worse_in_no_more_than_5_percent() -> None:
    """17 independent differences, each exactly at the margin, 4,000 times; 4 standard errors of room."""
    random = np.random.default_rng(1)
    found = [
        "worse" in verdict_of(*[shift(MARGIN + 0.02 * z, 0.02) for z in random.standard_normal(17)])
        for _ in range(4_000)
    ]
    rate = float(np.mean(found))
    assert 0.02 < rate < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4_000)


def test_few_degrees_of_freedom_widen_an_interval_by_students_t() -> None:
    own = Estimate(0.0, 0.0002)
    (few,) = judge_together([Shift("p95_s", "step", 1, own, own, 0.0, 0.0004, degrees=3.0)], RULE)
    assert math.log1p(few.change.high) == pytest.approx(float(stats.t.ppf(0.95, 3)) * 0.02)


def test_satterthwaite_adds_equal_variances_and_trusts_a_known_one() -> None:
    assert satterthwaite([(1.0, 5.0), (1.0, 5.0)]) == pytest.approx(10.0)
    assert satterthwaite([(1.0, math.inf), (0.0, 5.0)]) == math.inf


def test_an_unclear_difference_says_how_much_longer_would_decide() -> None:
    (item,) = judge_together([shift(0.0, 0.06)], RULE)
    times = (ONE_SIDED * 0.06 / MARGIN) ** 2
    assert item.hint == f"steps about {times:.1f} times as long would say that it lies inside the margin"
    longer = judge_together([shift(0.0, 0.06 / math.sqrt(1.01 * times))], RULE)
    assert longer[0].verdict == "not worse"


def test_where_runs_differ_longer_steps_do_not_help_and_more_runs_are_asked_for() -> None:
    (item,) = judge_together([shift(0.0, 0.01, common=0.06)], RULE)
    assert item.hint.startswith("about 5 runs of each side")


def test_what_lies_at_the_margin_is_not_promised_to_be_told() -> None:
    (item,) = judge_together([shift(MARGIN, 0.02)], RULE)
    assert item.hint.startswith("too near to the margin")


def comparison(*shifts: Shift) -> RecordingComparison:
    return RecordingComparison(judge_together(shifts, RULE), RULE, (), "a", "b", 1)


def test_the_whole_is_worse_by_one_and_not_worse_by_all() -> None:
    good, bad, open_ = shift(0.0, 0.005), shift(0.5, 0.005), shift(0.0, 0.2)
    assert comparison(good, bad, open_).verdict == "worse"
    assert comparison(good, good).verdict == "not worse"
    assert comparison(good, open_).verdict == "unclear"
    assert comparison().verdict == "unclear"


def test_a_result_can_be_read_by_people_and_machines() -> None:
    found = comparison(shift(0.5, 0.005), shift(0.0, 0.01, "shed_rate", judged=False))
    assert "p95_s (10 users) +64.9 %" in found.summary()
    assert "worse" in repr(found)
    assert "<table" in found._repr_html_()
    assert list(found.to_frame()["verdict"]) == ["worse", "not judged"]
    document = json.loads(to_json(found.to_dict()))
    assert document["compared"] == "recordings"
    assert document["differences"][0]["margin"] == 0.05
    with pytest.raises(KeyError):
        found.of("p95_s", 11)


def test_all_that_is_wrong_with_a_rule_is_in_one_error() -> None:
    with pytest.raises(InputError) as caught:
        ComparisonRule(margin=-0.1, share_margin=2.0, level=90, run_to_run_cv=-1, judged=("latency",))
    said = str(caught.value)
    assert all(name in said for name in ("margin is -0.1", "share_margin", "level is 90", "run_to_run_cv", "latency"))
