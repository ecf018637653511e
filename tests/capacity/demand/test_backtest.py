"""The backtest: origins, scores, the choice, and intervals made honest by past errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from capacity.demand.backtest import Backtest, choose, final_paths, quantiles_of, run_backtest
from capacity.demand.backtest_design import Design
from capacity.demand.candidates import (
    LAST_VALUE,
    SEASONAL_NAIVE,
    STRUCTURAL,
    TRAILING,
    Candidate,
    ModelFailedError,
    Task,
)
from capacity.demand.quantile_scores import HIGH, MEDIAN, QUANTILES, coverage, effective_number, in_order, pinball
from capacity.demand.recalibration import Recalibration, recalibrate
from capacity.demand.structural_model import structural_paths
from loadtests.foundation.quantiles import normal_quantile

NORMAL_95, NORMAL_99 = normal_quantile(0.95), normal_quantile(0.99)

Floats = NDArray[np.float64]
BASELINES = (TRAILING, LAST_VALUE, SEASONAL_NAIVE)


def none(logs: Floats) -> NDArray[np.bool_]:
    return np.zeros(len(logs), dtype=bool)


def stated(name: str, value: Callable[[Task], Floats]) -> Candidate:
    return Candidate(name, value, True, "made up")


def test_origins_lie_a_horizon_apart_and_the_last_leaves_one_horizon() -> None:
    design = Design("month", 6)
    assert design.least_training == 24
    assert design.origins(60) == (24, 30, 36, 42, 48, 54)
    assert design.origins(29) == ()
    assert Design("month", 24).least_training == 37


def test_weeks_belong_to_the_month_in_which_they_end() -> None:
    design = Design("week", 2)
    assert design.month_of_step == (1, 1, 1, 1, 2, 2, 2, 2)
    assert design.month_peaks(np.array([1.0, 4, 2, 3, 5, np.nan, 1, 2])).tolist() == [4, 5]


def test_pinball_loss_weighs_both_sides() -> None:
    loss = pinball(np.zeros(6), np.array(1.0))
    assert loss.tolist() == pytest.approx(QUANTILES)
    assert pinball(np.zeros(6), np.array(-1.0)).tolist() == pytest.approx([1 - tau for tau in QUANTILES])


def test_the_last_value_repeats_itself_and_its_past_errors() -> None:
    task = Task(np.arange(10.0), 2, 0, 100, np.random.default_rng(1))
    assert {tuple(path) for path in LAST_VALUE.paths(task)} == {(10.0, 11.0)}


def test_the_seasonal_naive_knows_the_year_and_its_growth() -> None:
    logs = np.tile([0.0] * 11 + [5.0], 4) + np.repeat(np.arange(4.0), 12)
    paths = SEASONAL_NAIVE.paths(Task(logs, 12, 12, 100, np.random.default_rng(1)))
    assert np.unique(paths[:, 11]).tolist() == [9.0]
    assert np.unique(paths[:, :11]).tolist() == [4.0]


def test_a_forecast_of_the_past_does_not_see_what_came_later() -> None:
    logs = np.random.default_rng(2).normal(5, 0.3, 60)
    changed = np.r_[logs[:48], logs[48:] + 3]
    one, other = (run_backtest(series, none(series), BASELINES, Design("month", 6)) for series in (logs, changed))
    assert one.origins == (24, 30, 36, 42, 48, 54)
    assert np.array_equal(one.forecasts[:, :5], other.forecasts[:, :5])
    assert not np.array_equal(one.forecasts[:, 5], other.forecasts[:, 5])


def test_months_with_shed_requests_or_without_records_are_not_scored() -> None:
    logs = np.random.default_rng(2).normal(5, 0.3, 60)
    censored = none(logs)
    censored[55] = True
    logs[57] = np.nan
    tested = run_backtest(logs, censored, BASELINES, Design("month", 6))
    assert np.isnan(tested.observed).tolist()[-1] == [False, True, False, True, False, False]
    assert np.isfinite(tested.origin_losses).all()


def test_a_way_that_fails_is_left_out_with_its_reason() -> None:
    def fails(task: Task) -> Floats:
        raise ModelFailedError("no luck")

    logs = np.random.default_rng(2).normal(5, 0.3, 60)
    tested = run_backtest(logs, none(logs), (TRAILING, stated("luckless", fails)), Design("month", 6))
    assert (tested.names, tested.failed) == (("trailing-quantile",), {"luckless": "no luck"})


def judged(losses: list[list[float]]) -> Backtest:
    """A backtest whose losses are given: forecasts are all 0, what was observed is scaled to them."""
    wanted = np.array(losses)
    forecasts = np.repeat(-(wanted / np.mean(QUANTILES))[:, :, None, None], 6, axis=-1)
    observed = np.zeros((wanted.shape[1], 1))
    names = tuple(f"way {place}" for place in range(len(wanted)))
    return Backtest(names, tuple(range(wanted.shape[1])), forecasts, forecasts, observed, {})


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ([[1.0, 3.0, 1.0, 3.0], [1.5, 1.5, 2.0, 2.0]], (0, 1)),  # the simpler is worse by less than an error
        ([[2.0, 2.1, 2.0, 2.1], [1.0, 1.0, 1.0, 1.0]], (1, 1)),  # the simpler is worse throughout
        ([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]], (0, 0)),  # a tie goes to the simpler
        ([[2.0, 1.0], [1.0, 1.5]], (1, 1)),  # two origins have no error: the lowest
    ],
)
def test_the_simplest_within_one_standard_error_is_chosen(losses: list[list[float]], chosen: tuple[int, int]) -> None:
    tested = judged(losses)
    assert tested.origin_losses == pytest.approx(np.array(losses))
    assert choose(tested) == chosen


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ([[1.0, 1.0, 1.0, 1.0], [1.1, 1.2, 1.1, 1.2]], (0, 0)),  # worse throughout: another is used
        ([[1.0, 3.0, 1.0, 3.0], [2.5, 2.5, 2.0, 2.0]], (1, 0)),  # worse by less than an error: it stays
        ([[1.0, 1.0], [9.0, 9.0]], (1, 0)),  # two origins show nothing
    ],
)
def test_the_structural_model_stays_unless_another_is_clearly_better(
    losses: list[list[float]], chosen: tuple[int, int]
) -> None:
    tested = replace(judged(losses), names=("way 0", STRUCTURAL))
    assert choose(tested) == chosen


def test_correlated_losses_are_worth_fewer_origins() -> None:
    """First-order autoregression with r = 0.5: 2,000 are worth 667. The estimate of r scatters by 0.02, so by 60."""
    rng = np.random.default_rng(4)
    series = np.zeros(2_000)
    for place in range(1, 2_000):
        series[place] = 0.5 * series[place - 1] + rng.normal()
    assert effective_number(series) == pytest.approx(667, abs=240)
    assert effective_number(np.array([1.0, -1.0] * 10)) == 20
    assert effective_number(np.ones(7)) == 7


def test_coverage_has_the_interval_of_clopper_and_pearson() -> None:
    all_hit = coverage(np.ones(10), 10)
    assert (all_hit.low, all_hit.mid, all_hit.high) == (pytest.approx(0.05**0.1), 1.0, 1.0)
    none_hit = coverage(np.zeros(10), 10)
    assert (none_hit.low, none_hit.high) == (0.0, pytest.approx(1 - 0.05**0.1))
    half, fewer = coverage(np.r_[np.ones(50), np.zeros(50)], 100), coverage(np.r_[np.ones(50), np.zeros(50)], 10)
    assert half.high - half.low < fewer.high - fewer.low
    assert not coverage(np.full(3, np.nan), 0).is_known


def test_quantiles_never_cross() -> None:
    crossed = np.array([[-1.0, -2.0, 0.0, 3.0, 2.0, 4.0]])
    assert in_order(crossed).tolist() == [[-2.0, -2.0, 0.0, 3.0, 3.0, 4.0]]


def test_recalibration_moves_an_end_to_where_past_errors_lay_and_only_outwards() -> None:
    forecasts = np.tile([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5], (40, 1, 1)).astype(float)
    observed = np.linspace(-3, 3, 40)[:, None]
    made = recalibrate(forecasts, observed)
    assert made.origins == 40
    assert made.applied(forecasts[0])[0, 4] == pytest.approx(np.sort(observed[:, 0])[38])  # ceil(0.95 x 41) of 40
    wide = recalibrate(forecasts * 100, observed)
    assert wide.shifts == Recalibration().shifts


def simulated(seed: int, length: int, kind: str) -> Floats:
    rng = np.random.default_rng(seed)
    noise = rng.standard_t(4, length) * 0.2
    return np.asarray(noise if kind == "level" else np.cumsum(rng.normal(0.02, 0.05, length)) + noise)


@pytest.mark.parametrize(("kind", "way"), [("level", TRAILING), ("walk", LAST_VALUE)])
def test_recalibrated_intervals_hold_the_truth_as_often_as_they_say(kind: str, way: Candidate) -> None:
    """200 series of 150 known months, months 1 and 6 ahead: of a true 90 %, 160 hits or fewer have a chance of 2e-5.

    The upper end by itself: of a true 95 %, 174 hits or fewer have a chance of 1e-5.
    """
    design = Design("month", 6, draws=200)
    hits, above = np.zeros((2, 2)), np.zeros(2)
    for seed in range(200):
        logs = simulated(seed, 156, kind)
        past, future = logs[:150], logs[[150, 155]]
        tested = run_backtest(past, none(past), (way,), design)
        raw = quantiles_of(final_paths(way, past, none(past), design, 0))[[0, 5]]
        made = recalibrate(tested.forecasts[0], tested.observed).applied(raw)
        for place, found in enumerate((raw, made)):
            hits[place] += (future >= found[:, 0]) & (future <= found[:, 4])
        above += future <= made[:, 4]
    assert (hits[1] > 160).all()
    assert (above > 174).all()
    assert (hits[1] >= hits[0]).all()


def test_the_choice_keeps_a_growing_demand_from_the_way_that_does_not_grow() -> None:
    logs = 0.1 * np.arange(80.0) + np.random.default_rng(1).normal(0, 0.02, 80)
    tested = run_backtest(logs, none(logs), BASELINES, Design("month", 6))
    assert tested.names[choose(tested)[0]] in {"last-value", "seasonal-naive"}


def test_the_same_seed_gives_the_same_and_another_nearly_the_same() -> None:
    logs = np.random.default_rng(2).normal(5, 0.3, 60)
    made: dict[int, Any] = {
        seed: final_paths(TRAILING, logs, none(logs), Design("month", 3, seed=seed), 0) for seed in (1, 2)
    }
    again = final_paths(TRAILING, logs, none(logs), Design("month", 3, seed=1), 0)
    assert np.array_equal(made[1], again)
    assert not np.array_equal(made[1], made[2])


def test_structural_futures_have_the_mean_and_spread_of_statsmodels_own_forecast() -> None:
    """20,000 draws: mean and spread are known to 0.7 % of the spread; Student's t is wider."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    rng, at = np.random.default_rng(3), np.arange(40)
    logs = 0.02 * at + 0.3 * np.sin(at / 12 * 2 * np.pi) + np.cumsum(rng.normal(0, 0.03, 40)) + rng.normal(0, 0.05, 40)
    made = structural_paths(Task(logs, 9, 12, 20_000, np.random.default_rng(1), 12.0))
    model = UnobservedComponents(
        logs, "local linear deterministic trend",
        freq_seasonal=[{"period": 12, "harmonics": 3}], stochastic_freq_seasonal=[False],
    )  # fmt: skip
    theirs = model.fit(disp=False, maxiter=60).get_forecast(9)
    free = 40 - 8 - 2  # less level, trend and six coefficients, less two variances
    wider = np.sqrt((free + 2) / (free - 2))
    assert made.mean(axis=0) == pytest.approx(theirs.predicted_mean, abs=0.03 * theirs.se_mean.max())
    assert made.std(axis=0) / (wider * theirs.se_mean) == pytest.approx(np.ones(9), abs=0.04)


@pytest.mark.parametrize(("length", "year", "knows"), [(60, 12.0, True), (17, 12.0, True), (12, 12.0, False)])
def test_the_structural_model_knows_the_year_where_the_history_can_show_it(
    length: int, year: float, knows: bool
) -> None:
    at = np.arange(length + 6)
    logs = 5 + 0.4 * np.sin(at / year * 2 * np.pi) + np.random.default_rng(5).normal(0, 0.02, length + 6)
    made = structural_paths(Task(logs[:length], 6, 0, 2_000, np.random.default_rng(1), year))
    off = np.abs(np.median(made, axis=0) - logs[length:]).max()
    assert (off < 0.15) == knows


def test_rare_bursts_stay_in_the_tail_and_leave_the_body_of_the_futures_as_it_was() -> None:
    """One month in ten is half as high again: the 95 % quantile is the normal model's, the 99 % one is the bursts'."""
    rng = np.random.default_rng(4)
    calm = 5 + rng.normal(0, 0.03, 60)
    bursts = calm + 0.4 * (np.arange(60) % 10 == 7)
    quiet, wild = (
        quantiles_of(structural_paths(Task(logs, 3, 12, 5_000, np.random.default_rng(1), 12.0)))
        for logs in (calm, bursts)
    )
    body, far = wild[:, HIGH] - wild[:, MEDIAN], wild[:, -1] - wild[:, MEDIAN]
    assert np.all(far > 1.25 * body * NORMAL_99 / NORMAL_95)  # 1.41 for a normal distribution
    assert np.all(wild[:, -1] > 5.35)
    assert np.all(quiet[:, -1] - quiet[:, MEDIAN] < 1.3 * (quiet[:, HIGH] - quiet[:, MEDIAN]) * NORMAL_99 / NORMAL_95)


def test_where_requests_were_shed_the_model_that_knows_bounds_is_kept() -> None:
    delivered = np.stack([np.zeros((4, 1, 6)), np.ones((4, 1, 6))])
    tested = Backtest(("last-value", "structural"), (1, 2, 3, 4), delivered, delivered, np.zeros((4, 1)), {})
    assert choose(tested) == (0, 0)
    assert choose(tested, is_bounded=True) == (1, 0)
