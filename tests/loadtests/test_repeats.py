"""Pooling of repeats. Random cases are seeded."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from loadtests.deployment import Deployment
from loadtests.estimation.repeats import pool_intervals, pool_levels
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.recording import STEP_METRICS, LoadStep, Recording
from loadtests.tables import REQUEST_COLUMNS, empty_table

Z = float(stats.norm.ppf(0.95))


def interval(mid, error, level=0.9):
    """An interval of a relative standard error."""
    return Interval(mid * math.exp(-Z * error), mid, mid * math.exp(Z * error), level)


def step(number, users, goodput=100.0, shed=0.1, requests=1000):
    metrics = dict.fromkeys(STEP_METRICS, interval(goodput, 0.01))
    metrics["shed_rate"] = Interval(max(shed - 0.01, 0.0), shed, shed + 0.01)
    return LoadStep(number, users, 0.0, 45.0, requests, metrics, {"served": requests - 10, "shed": 10}, blocks=30)


def test_equal_repeats_have_no_variation_between_runs():
    found, between = pool_intervals([interval(100.0, 0.02)] * 3)
    assert (found.mid, between) == (pytest.approx(100.0), 0.0)
    half = stats.t.ppf(0.95, 2) * 0.02 / math.sqrt(3)
    assert math.log(found.high / found.mid) == pytest.approx(half)


def test_what_runs_differ_by_beyond_their_own_noise_widens_the_interval():
    """Three runs at -10, 0 and +10 %, each known to 0.1 %: tau is their standard deviation, 10 %."""
    runs = [interval(100.0 * math.exp(move), 0.001) for move in (-0.1, 0.0, 0.1)]
    found, between = pool_intervals(runs)
    assert between == pytest.approx(0.1, rel=1e-3)
    assert math.log(found.high / found.mid) == pytest.approx(stats.t.ppf(0.95, 2) * 0.1 / math.sqrt(3), rel=1e-3)


def test_the_error_is_that_of_hartung_and_knapp_by_hand():
    """Runs of very different precision, the least precise farthest off: their weighted spread exceeds its model's."""
    values, errors = np.array([0.0, 0.05, 1.0]), np.array([0.05, 0.05, 0.3])
    found, between = pool_intervals([interval(math.exp(v), e) for v, e in zip(values, errors, strict=True)])
    weights = 1 / (errors**2 + between**2)
    mid = weights @ values / weights.sum()
    spread = weights @ (values - mid) ** 2 / 2
    assert spread > 1.05
    assert math.log(found.high) == pytest.approx(mid + stats.t.ppf(0.95, 2) * math.sqrt(spread / weights.sum()))


def test_two_repeats_take_student_s_t_of_one_degree():
    found, _ = pool_intervals([interval(100.0, 0.01)] * 2)
    assert math.log(found.high / found.mid) == pytest.approx(stats.t.ppf(0.95, 1) * 0.01 / math.sqrt(2))


def test_intervals_by_student_s_t_are_read_as_such():
    """Six blocks: 2.02 standard errors to each side, not 1.64."""
    wide = [interval(100.0, 0.02 * stats.t.ppf(0.95, 5) / Z)] * 3
    found, _ = pool_intervals(wide, degrees=[5, 5, 5])
    assert math.log(found.high / found.mid) == pytest.approx(stats.t.ppf(0.95, 2) * 0.02 / math.sqrt(3))


def test_the_pooled_interval_holds_the_truth_as_often_as_it_says():
    """Runs differ by 5 %, each is known to 3 %; three repeats, 2,000 levels: 90 %, at least 88 (three errors below)."""
    random = np.random.default_rng(1)
    values = 0.05 * random.normal(size=(2000, 3)) + 0.03 * random.normal(size=(2000, 3))
    held = [pool_intervals([interval(math.exp(value), 0.03) for value in row])[0].contains(1.0) for row in values]
    assert 0.88 <= np.mean(held) <= 0.97


def test_levels_are_pooled_by_users_and_single_ones_stay():
    one, two, three = step(1, 50), step(2, 20), step(3, 50, goodput=110.0)
    recording = Recording(Deployment(), (one, two, three), empty_table(REQUEST_COLUMNS))
    low, high = recording.pooled_levels()
    assert (low.users, low.steps, low.repeats, low.step) == (20, (2,), 1, two)
    assert math.isnan(low.between_runs["goodput_rps"])
    assert (high.users, high.steps, high.step.requests, high.step.blocks) == (50, (1, 3), 2000, 60)
    assert high.step.outcomes == {"served": 1980, "shed": 20}
    assert high.between_runs["goodput_rps"] == pytest.approx(math.log(1.1) / math.sqrt(2), rel=0.05)
    assert high.step.metrics["goodput_rps"].contains(100.0)


def test_repeats_without_a_shed_bound_it_together():
    pooled = pool_levels([step(1, 9, shed=0.0, requests=500), step(2, 9, shed=0.0, requests=500)])[0]
    shed = pooled.step.metrics["shed_rate"]
    assert (shed.low, shed.mid) == (0.0, 0.0)
    assert shed.high == pytest.approx(1 - 0.1 ** (1 / 1000))


def test_a_repeat_without_a_shed_does_not_outweigh_the_others():
    shed = [Interval(0.001, 0.002, 0.004), Interval(0.002, 0.003, 0.005), Interval(0.0, 0.0, 0.0004)]
    found, between = pool_intervals(shed, is_relative=False)
    assert found.mid == pytest.approx(0.005 / 3)
    assert found.high > 0.002
    assert between == pytest.approx(0.0012, abs=0.0003)


def test_a_metric_that_only_one_run_knows_is_unknown_together():
    known = step(1, 9)
    unknown = replace(known, step=2, metrics={**known.metrics, "p99_s": Interval.unknown()})
    pooled = pool_levels([known, unknown])[0]
    assert not pooled.step.metrics["p99_s"].is_known
    assert math.isnan(pooled.between_runs["p99_s"])


def test_a_shed_rate_stays_a_share():
    pooled = pool_levels([step(1, 9, shed=0.0), step(2, 9, shed=0.9)])[0]
    shed = pooled.step.metrics["shed_rate"]
    assert 0.0 <= shed.low <= shed.mid <= shed.high <= 1.0


def test_intervals_of_different_levels_and_zeros_by_factors_are_refused():
    with pytest.raises(InputError, match="different levels"):
        pool_intervals([interval(1.0, 0.1), interval(1.0, 0.1, level=0.95)])
    with pytest.raises(InputError, match="is_relative=False"):
        pool_intervals([Interval(0.0, 1.0, 2.0), Interval(1.0, 1.0, 2.0)])


def test_pooled_levels_show_themselves_as_a_table():
    levels = pool_levels([step(1, 50), step(2, 20), step(3, 50, goodput=110.0)])
    assert repr(levels) == "PooledLevels(20 users x 1, 50 users x 2)"
    table = levels.to_frame().set_index(["users", "metric"])
    row = table.loc[(50, "goodput_rps")]
    assert (row["repeats"], row["requests"]) == (2, 2000)
    assert row["between_runs"] == levels[1].between_runs["goodput_rps"]
    assert (row["low"], row["mid"]) == (levels[1].step.metrics["goodput_rps"].low, row["mid"])
    assert "between_runs" in levels._repr_html_()
