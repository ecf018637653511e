"""Intervals of a step's metrics: what they come from, and a bounded form of the study of their coverage."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from loadtests.estimation.steady_state import Window, summarise
from loadtests.estimation.step_metrics import QUANTILES, WindowRows, blocks_of, influences
from loadtests.recording import STEP_METRICS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studies"))


def rows_of(table, users=20, length_s=30.0):
    return WindowRows.of(table, users, 0.0, length_s)


@pytest.fixture
def mixed(request_table):
    """5,000 requests in 30 s, one in ten shed."""
    random = np.random.default_rng(3)
    finish = np.sort(random.uniform(0, 30, 5000))
    return request_table(finish, random.exponential(0.1, 5000), np.where(random.random(5000) < 0.1, "shed", "served"))


def test_every_metric_has_an_influence_and_none_has_a_trend(mixed):
    series = influences(rows_of(mixed))
    assert set(series) == set(STEP_METRICS)
    for name, values in series.items():
        assert abs(values.mean()) < 1e-12, name


def test_an_influence_is_what_leaving_a_second_out_changes(mixed):
    """To first order: the mean without an interval of time is lower by influence / (intervals - 1) of itself."""
    rows = rows_of(mixed)
    series, served = influences(rows), rows.served
    mean = rows.residence_s[served].mean()
    for place in (0, 100, 333):
        without = rows.residence_s[served & (rows.interval != place)].mean()
        assert (mean - without) / mean == pytest.approx(series["mean_s"][place] / (rows.intervals - 1), rel=0.05)


def test_quantiles_are_numpy_s(mixed):
    step = summarise(mixed, Window(1, 20, 0.0, 30.0))
    times = (mixed["finish_s"] - mixed["start_s"])[mixed["outcome"] == "served"]
    assert [step.metrics[name].mid for name in QUANTILES] == pytest.approx(np.quantile(times, list(QUANTILES.values())))


def test_a_quantile_s_upper_end_is_at_least_as_many_times_off_as_the_lower(request_table):
    """A queue that rises once: what lies beyond the largest time of the window is not known to be empty."""
    finish = np.linspace(0, 30, 3000, endpoint=False)
    table = request_table(finish, 0.1 + 0.4 * np.exp(-(((finish - 15) / 1.5) ** 2)))
    p99 = summarise(table, Window(1, 20, 0.0, 30.0)).metrics["p99_s"]
    assert p99.high / p99.mid >= p99.mid / p99.low * (1 - 1e-9)
    assert p99.high > 0.5


def test_a_window_never_has_fewer_than_six_blocks(request_table):
    finish = np.linspace(0, 30, 3000, endpoint=False)
    slow = request_table(finish, 0.1 + 0.05 * np.sin(finish / 30 * 2 * np.pi))
    assert blocks_of(rows_of(slow)).number == 6.0
    assert blocks_of(rows_of(slow, users=100_000)).number == 6.0


def test_blocks_are_at_least_a_user_s_cycle_long(request_table):
    """300 users at 100 requests a second: a cycle of 3 s, so at most ten blocks in 30 s."""
    random = np.random.default_rng(1)
    table = request_table(np.sort(random.uniform(0, 30, 3000)), random.exponential(0.1, 3000))
    assert blocks_of(rows_of(table, users=300)).number <= 10.0
    assert blocks_of(rows_of(table, users=10)).number > 20.0


def test_a_rate_of_nothing_is_bounded_by_poisson(request_table):
    """Were the rate 2.303 / 10 s, one window in ten would show nothing."""
    goodput = summarise(request_table([5.0], [0.1], "shed"), Window(1, 1, 0.0, 10.0)).metrics["goodput_rps"]
    assert (goodput.low, goodput.mid) == (0.0, 0.0)
    assert goodput.high == pytest.approx(np.log(10) / 10)


def test_the_study_judges_what_a_summary_shows():
    import step_interval_coverage as study

    for table, window in study.window_tables(study.CELLS[3], 2, chunk=900):
        step = summarise(table, window, level=study.LEVEL)
        assert study.intervals_of(table, window) == (step.metrics, step.blocks)


@pytest.mark.parametrize("name", ["exponential, gate, 0.5", "low cv, gate, 1.1", "exponential, no gate, 0.85"])
def test_intervals_do_not_fail_grossly_on_fresh_windows(name: str) -> None:
    """Forty windows outside the committed ones, of cells whose measured coverage is above 85 % for all metrics.

    Of 40 windows at a coverage of 85 %, 24 or fewer hold with a probability of 1e-4; the seed is fixed. A width wrong
    by a factor of two would show: 24 at most in 40 at a coverage of 59 % has a probability of 0.6 and more.
    """
    import step_interval_coverage as study

    cell = next(item for item in study.CELLS if item.name == name)
    truth = study.truth_of(cell)
    counts = study.run_chunk(cell, 1_000, truth, windows=40)
    for metric in study.judged_metrics(truth):
        held = int(float(str(counts[f"{metric}_held"])))
        assert held > 24, (metric, held)
    assert float(stats.binom.cdf(24, 40, 0.85)) < 2e-4
