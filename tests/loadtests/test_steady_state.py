import numpy as np
import pytest
from scipy import stats

from loadtests.deployment import Deployment
from loadtests.estimation.block_bootstrap import (
    RESAMPLES,
    fraction_interval,
    interval_of,
    widening,
)
from loadtests.estimation.steady_state import (
    Window,
    mean_gap_s,
    steady_windows,
    step_findings,
    summarise,
    summarise_steps,
    without_warm_up,
)
from loadtests.gaps import Gaps
from loadtests.journals.journal import Mark
from loadtests.recording import STEP_METRICS, Recording

MARKS = (
    Mark("asked", 1, 5, 100.0, 0), Mark("reached", 1, 5, 101.0, 0), Mark("asked", 2, 9, 110.0, 0),
    Mark("asked", 3, 7, 120.0, 0), Mark("reached", 3, 7, 129.5, 0), Mark("ended", 3, 7, 130.0, 0),
)  # fmt: skip


def test_a_window_runs_from_the_settled_ramp_to_the_next_level():
    windows, left_out = steady_windows(MARKS, 100.0, settle_s=2.0)
    assert windows == (Window(1, 5, 3.0, 10.0, reached_s=1.0, reason="planned settling time"),)
    assert [(item.step, item.reason.split()[0]) for item in left_out] == [(2, "its"), (3, "nothing")]


def test_an_aborted_test_has_no_window_for_its_last_step():
    assert steady_windows(MARKS[:2], 100.0, 1.0) == ((), ())


def test_counts_and_rates_take_exactly_the_window(request_table):
    table = request_table(
        [0.5, 1.0, 1.5, 2.0, 2.5, 3.0], [0.1] * 6, ["served", "served", "shed", "served", "timeout", "served"]
    )
    step = summarise(table, Window(1, 10, 1.0, 3.0))
    assert step.requests == 4
    assert step.outcomes == {"served": 2, "shed": 1, "timeout": 1}
    assert step.metrics["throughput_rps"].mid == 2.0
    assert step.metrics["goodput_rps"].mid == 1.0
    assert step.metrics["shed_rate"].mid == 0.25
    assert tuple(step.metrics) == STEP_METRICS


def test_latencies_are_of_served_requests_only(request_table):
    outcome = np.where(np.arange(1000) % 2, "shed", "served")
    table = request_table(np.linspace(0, 10, 1000, endpoint=False), np.where(outcome == "served", 0.2, 0.001), outcome)
    metrics = summarise(table, Window(1, 10, 0.0, 10.0)).metrics
    assert [metrics[name].high for name in ("mean_s", "p50_s", "p99_s")] == pytest.approx([0.2] * 3)


def test_zero_sheds_bound_the_shed_rate_from_above(request_table):
    table = request_table(np.linspace(0, 10, 500, endpoint=False), np.full(500, 0.1))
    shed = summarise(table, Window(1, 10, 0.0, 10.0)).metrics["shed_rate"]
    assert (shed.low, shed.mid) == (0.0, 0.0)
    assert shed.high == pytest.approx(1 - 0.1 ** (1 / 500))


def test_a_window_without_requests_or_without_served_ones_says_unknown(request_table):
    table = request_table([5.0, 6.0], [0.1, 0.1], "shed")
    assert not summarise(table, Window(1, 10, 0.0, 1.0)).metrics["shed_rate"].is_known
    shed_only = summarise(table, Window(1, 10, 4.0, 8.0)).metrics
    assert not shed_only["p95_s"].is_known
    assert shed_only["goodput_rps"].mid == 0.0
    assert shed_only["shed_rate"].mid == 1.0


def test_gaps_are_measured_between_a_user_s_requests(request_table):
    table = request_table(np.arange(40) * 0.1 + 1, np.full(40, 0.3), users=10)
    step = summarise_steps(table, [Window(1, 10, 0.0, 10.0)], think="constant:0.7")[0]
    assert step.gap_mean_s == pytest.approx(1.0 - 0.3)
    assert step.think == "constant:0.7"


def test_open_gaps_make_the_mean_gap_longer_not_shorter():
    """Two of four gaps end, at 1 and 3 s; two are open, seen for 2 s: S falls to 3/4 at 1 s and to 0 at 3 s."""
    assert mean_gap_s(Gaps(np.array([1.0, 3.0]), np.array([2.0, 2.0]))) == pytest.approx(1 + 0.75 * 2)
    assert mean_gap_s(Gaps(np.array([1.0, 3.0]), np.array([]))) == 2.0
    assert np.isnan(mean_gap_s(Gaps(np.array([]), np.array([2.0]))))
    assert np.isnan(mean_gap_s(Gaps(np.array([]), np.array([]))))


def test_the_mean_gap_of_a_step_that_ends_soon_is_not_biased_short(request_table):
    """Exponential gaps of 1 s, 300 users, seen for 3 s; the mean of the complete ones alone is about 0.8 s."""
    random = np.random.default_rng(4)
    finish = np.concatenate([np.cumsum(random.exponential(1.0, 40)) for _ in range(300)])
    user, cycle = np.repeat(np.arange(300), 40), np.tile(np.arange(40), 300)
    table = request_table(finish, np.zeros(finish.size)).assign(user_id=user, cycle=cycle)
    table = table[table["finish_s"] < 3.0]
    step = summarise_steps(table, [Window(1, 300, 0.0, 3.0)])[0]
    observed = Recording(Deployment(), (step,), table).gaps(step).observed_s
    assert observed.mean() < 0.85
    assert step.gap_mean_s == pytest.approx(1.0, abs=0.1)


def test_a_step_s_mean_gap_is_that_of_the_recording_s_gaps_also_before_a_ramp_down(request_table):
    """Ten users send every second; five of them are stopped at 5 s: their open gaps were seen until 5 s only."""
    finish, user = np.tile(np.arange(10) + 0.5, 10), np.repeat(np.arange(10), 10)
    table = request_table(finish, np.full(100, 0.1)).assign(user_id=user, cycle=np.tile(np.arange(10), 10))
    table = table[(table["user_id"] < 5) | (table["finish_s"] < 5)]
    steps = summarise_steps(table, [Window(1, 10, 0.0, 5.0), Window(2, 5, 5.0, 10.0)])
    recording = Recording(Deployment(), steps, table)
    gaps = recording.gaps(steps[0])
    assert gaps.censored_s == pytest.approx([0.5] * 5)
    assert [step.gap_mean_s for step in steps] == [mean_gap_s(recording.gaps(step)) for step in steps]
    assert steps[0].gap_mean_s == pytest.approx(0.9)


def test_a_summary_has_no_randomness_of_its_own(request_table):
    random = np.random.default_rng(3)
    table = request_table(np.sort(random.uniform(0, 30, 5000)), random.exponential(0.1, 5000))
    window = Window(1, 10, 0.0, 30.0)
    one, other = summarise(table, window), summarise(table.sample(frac=1.0, random_state=1), window)
    assert one.metrics.keys() == other.metrics.keys()
    for name, interval in one.metrics.items():
        assert (interval.low, interval.high) == pytest.approx((other.metrics[name].low, other.metrics[name].high))


def test_few_blocks_widen_an_interval_by_student_s_t():
    assert widening(20, 0.9) == pytest.approx(stats.t.ppf(0.95, 19) / stats.norm.ppf(0.95) * np.sqrt(20 / 19))
    assert widening(6, 0.9) == pytest.approx(stats.t.ppf(0.95, 5) / stats.norm.ppf(0.95) * np.sqrt(6 / 5))
    draws = np.linspace(9, 11, 401)
    assert interval_of(draws, 10.0, 6, 0.9).high - 10 > interval_of(draws, 10.0, 30, 0.9).high - 10


def test_a_fraction_s_interval_is_never_narrower_than_the_binomial_one():
    interval = fraction_interval(np.full(RESAMPLES, 0.1), 10, 100, 30)
    exact = stats.binomtest(10, 100).proportion_ci(0.9)
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert fraction_interval(np.ones(RESAMPLES), 50, 50, 30).low == pytest.approx(0.1 ** (1 / 50))


def test_intervals_cover_the_truth_about_as_often_as_they_claim(request_table):
    """Independent requests at 200/s for 8 s: 90 % intervals of rate, mean and median over 120 trials."""
    random = np.random.default_rng(11)
    truth = {"throughput_rps": 200.0, "mean_s": 0.1, "p50_s": 0.1 * np.log(2)}
    hits = dict.fromkeys(truth, 0)
    trials = 120
    for _ in range(trials):
        count = random.poisson(200 * 8)
        table = request_table(np.sort(random.uniform(0, 8, count)), random.exponential(0.1, count), users=100)
        metrics = summarise(table, Window(1, 100, 0.0, 8.0)).metrics
        for name, value in truth.items():
            hits[name] += metrics[name].contains(value)
    for name, hit in hits.items():
        assert stats.binomtest(hit, trials, 0.9).pvalue > 1e-3 or hit / trials > 0.9, (name, hit)


def settling(random, seconds, extra_s=0.0, settled_after_s=0.0):
    """Times and residence times of 200 requests a second, slower by `extra_s` until they have settled."""
    finish = np.sort(random.uniform(0, seconds, int(200 * seconds)))
    return finish, random.exponential(0.1, finish.size) + np.where(finish < settled_after_s, extra_s, 0.0)


def test_a_transient_after_the_ramp_is_cut_where_it_ends(request_table):
    table = request_table(*settling(np.random.default_rng(1), 60.0, extra_s=0.05, settled_after_s=11.0))
    # The mean's standard error over 3 s is a 7th of its step there: MSER is right to a few seconds, not to one.
    asked = Window(1, 100, 2.0, 60.0, reached_s=0.0, reason="planned settling time")
    (window,) = without_warm_up(table, [asked])
    assert window.start_s == pytest.approx(11.0, abs=4.0)
    step = summarise(table, window)
    assert step.cut.seconds == window.start_s
    assert step.cut.requests == int((table["finish_s"] < window.start_s).sum())
    assert step.cut.reason.startswith("transient in ")


def test_never_more_than_half_of_a_plateau_is_cut_and_that_is_said(request_table):
    table = request_table(*settling(np.random.default_rng(2), 60.0, extra_s=0.2, settled_after_s=30.2))
    (window,) = without_warm_up(table, [Window(1, 100, 2.0, 60.0, reached_s=0.0)])
    assert window.start_s == pytest.approx(30.0, abs=0.2)
    assert window.start_s <= 30.0
    assert "no more than half of a plateau is cut" in window.reason


def test_what_still_moves_far_beyond_the_middle_is_no_warm_up_and_stays(request_table):
    """It makes the rest as unsteady as the front; that the plateau is not steady is for the trust checks to say."""
    table = request_table(*settling(np.random.default_rng(2), 60.0, extra_s=0.2, settled_after_s=45.0))
    planned = Window(1, 100, 2.0, 60.0, reached_s=0.0)
    assert without_warm_up(table, [planned]) == (planned,)


@pytest.mark.parametrize("settle_s", [30.0, 45.0])
def test_the_planned_settling_time_holds_also_where_it_is_more_than_half(request_table, settle_s):
    table = request_table(*settling(np.random.default_rng(2), 60.0, extra_s=0.2, settled_after_s=50.0))
    planned = Window(1, 100, settle_s, 60.0, reached_s=0.0, reason="planned settling time")
    assert without_warm_up(table, [planned]) == (planned,)
    assert summarise(table, planned).cut.seconds == settle_s


def test_a_settled_plateau_keeps_all_but_the_planned_time(request_table):
    """Independent requests: the rule's false cuts are below 1 in 300 (docs/evidence.md)."""
    table = request_table(*settling(np.random.default_rng(3), 60.0))
    planned = Window(1, 100, 2.0, 60.0, reached_s=0.0, reason="planned settling time")
    assert without_warm_up(table, [planned]) == (planned,)


def test_a_plateau_without_requests_is_left_as_it_is(request_table):
    table = request_table([1.0], [0.1])
    empty = Window(1, 10, 20.0, 30.0, reached_s=19.0)
    assert without_warm_up(table, [empty]) == (empty,)
    assert not summarise(table, empty).metrics["p95_s"].is_known


def test_where_the_users_were_reached_is_not_known_no_cut_is_stated(request_table):
    assert summarise(request_table([1.0], [0.1]), Window(1, 10, 0.0, 10.0)).cut is None


def test_few_independent_blocks_are_said(request_table):
    """A load that swings once in 20 s is correlated over many seconds; a minute holds few swings."""
    random = np.random.default_rng(5)
    finish = np.sort(random.uniform(0, 60, 6000))
    swing = 0.2 + 0.1 * np.sin(finish / 20 * 2 * np.pi)
    wave = summarise(request_table(finish, swing * random.exponential(1.0, 6000), users=20), Window(1, 20, 0.0, 60.0))
    flat = summarise(request_table(finish, random.exponential(0.2, 6000), users=20), Window(2, 20, 0.0, 60.0))
    assert wave.blocks < 20 <= flat.blocks
    found = step_findings([wave, flat])
    assert [(item.code, item.numbers["step"]) for item in found] == [("few-blocks", 1)]
    assert wave.metrics["mean_s"].high - wave.metrics["mean_s"].low > 2 * (
        flat.metrics["mean_s"].high - flat.metrics["mean_s"].low
    )


def test_a_regular_stream_has_no_transient_however_intervals_of_time_cut_it(request_table):
    finish = np.arange(0.1, 20.0, 0.2)
    table = request_table(finish, np.full(len(finish), 0.05), users=1)
    window = Window(1, 1, 1.1, 19.7, reached_s=0.1)
    assert without_warm_up(table, (window,)) == (window,)
