import math

import numpy as np
import pandas as pd
import pytest

from loadtests.estimation.steady_state import Window
from loadtests.foundation.errors import InputError
from loadtests.knee.knee_belief import KneeBelief
from loadtests.knee.knee_search import KneeOptions, belief_after, next_users, search_knee
from loadtests.knee.knee_step import KneeObjective, KneeStep, measure_step, usual_dispersion

LIMIT = KneeObjective(p95_s=0.2)


def step(users, p95_s=0.1, bad=0, requests=10_000, spread=0.02, dispersion=math.nan):
    return KneeStep(users, 20.0, requests, bad, 30, p95_s, spread, dispersion)


def server(knee, noise, seed=1):
    """A server whose P95 passes 0.2 s just above `knee` users, measured with noise."""
    random = np.random.default_rng(seed)

    def measure(users):
        p95_s = 0.2 * (users / (knee + 0.5)) ** 3
        return step(users, p95_s * math.exp(noise * random.standard_normal()), spread=max(noise, 1e-3))

    return measure


def test_before_any_step_every_order_of_magnitude_is_as_likely_as_the_next():
    belief = KneeBelief.before_any_step(1_000)
    share = [float(belief.weights[(belief.levels >= low) & (belief.levels < 10 * low)].sum()) for low in (1, 10)]
    assert share[0] == pytest.approx(share[1], rel=0.05)
    assert belief.weights.sum() == pytest.approx(1.0)
    assert belief.levels[[0, -1]].tolist() == [0, 1_000]


def belief_of(*steps, objective=LIMIT):
    return belief_after(steps, objective, KneeOptions(most_users=1_000))


def test_a_clear_step_rules_one_side_out_and_one_at_the_limit_draws_the_knee_near():
    assert belief_of(step(100, 0.1)).interval().low >= 99
    assert belief_of(step(100, 0.4)).interval().high <= 100
    near = belief_of(step(90, 0.17), step(100, 0.2, spread=0.01), step(110, 0.24)).interval()
    assert 90 < near.low <= 100 <= near.high < 115
    assert belief_of(step(100, 0.1), step(50, 0.4)).weights.sum() == pytest.approx(1.0)


def test_repeats_of_a_level_count_as_repeats_and_not_as_certainty():
    """Nine steps half a standard error below the limit say as much as their mean: 1.5 standard errors, some 93 %."""
    once, often = (belief_of(*[step(100, 0.2 * math.exp(-0.02), spread=0.04)] * n) for n in (1, 9))
    before = belief_of().probability_kept(100)
    assert before < once.probability_kept(100) < often.probability_kept(100)
    assert 0.85 < often.probability_kept(100) < 0.98


def test_the_knee_of_two_limits_is_the_smaller_one():
    both = KneeObjective(0.2, 0.01)
    first = belief_of(step(100, 0.1, bad=3_000), step(50, 0.1), objective=both)
    assert first.interval().high <= 100
    assert first.weights.min() >= 0
    assert first.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("knee", [3, 57, 700])
def test_without_noise_the_knee_is_found_exactly_enough(knee):
    result = search_knee(server(knee, 0.0), LIMIT, KneeOptions(start_users=2, precision=0.05, max_steps=40))
    assert result.reason == "precise"
    assert result.knee_users.low <= knee <= result.knee_users.high
    assert result.knee_users.high - result.knee_users.low <= max(0.05 * knee, 1.0)
    assert result.bound_by == "p95"


def test_the_interval_holds_the_knee_as_often_as_it_says():
    """200 noisy servers at 90 %: fewer than 165 or more would happen once in 2,000 times if the claim held."""
    held = 0
    for seed in range(200):
        found = search_knee(server(240, 0.1, seed), LIMIT, KneeOptions(precision=0.05)).knee_users
        held += found.low <= 240 <= found.high
    assert held >= 165


def test_a_level_is_never_far_beyond_what_has_kept_the_objective():
    result = search_knee(server(700, 0.05), LIMIT, KneeOptions(start_users=5))
    kept = 0
    for asked in result.steps:
        assert asked.users <= max(5, 2.2 * kept)
        if asked.p95_s < 0.2:
            kept = max(kept, asked.users)


def test_a_first_level_that_breaks_the_objective_leads_down_and_never_up():
    result = search_knee(server(8, 0.01), LIMIT, KneeOptions(start_users=100))
    assert max(asked.users for asked in result.steps) == 100
    assert result.knee_users.low <= 8 <= result.knee_users.high


def test_a_server_that_no_load_satisfies_is_said_so_at_its_lightest_level():
    result = search_knee(lambda users: step(users, 5.0), LIMIT, KneeOptions())
    assert (result.reason, result.is_met, result.bound_by) == ("not-met", False, "p95")
    assert min(asked.users for asked in result.steps) == 1
    assert "No load meets the objective" in result.summary()


def test_a_server_that_keeps_the_objective_everywhere_is_said_so_at_the_largest_level():
    result = search_knee(lambda users: step(users), LIMIT, KneeOptions(most_users=300))
    assert (result.reason, result.bound_by) == ("not-reached", None)
    assert max(asked.users for asked in result.steps) == 300
    assert "at or beyond 300 users" in result.summary()


def test_the_search_ends_with_its_steps_or_its_time():
    assert len(search_knee(server(500, 0.5), LIMIT, KneeOptions(max_steps=3)).steps) == 3
    result = search_knee(server(500, 0.5), LIMIT, KneeOptions(), is_time_left=lambda: False)
    assert (len(result.steps), result.reason) == (1, "time")


def test_without_a_bad_request_a_short_step_speaks_a_little_for_its_level_and_never_against_it():
    objective = KneeObjective(max_bad_fraction=0.001)
    before = belief_of().probability_kept(100)
    kept = [
        belief_of(step(100, requests=count), objective=objective).probability_kept(100) for count in (10, 3_000, 10**6)
    ]
    assert before < kept[0] < kept[1] < kept[2]
    assert kept[0] < before + 0.01
    assert kept[2] > 0.98
    assert belief_of(step(100, requests=10_000, bad=300), objective=objective).probability_kept(100) < 0.02


def test_bad_requests_that_come_in_bursts_tell_less():
    objective = KneeObjective(max_bad_fraction=0.001)
    calm, bursty = (step(100, requests=9_000, bad=30, dispersion=d) for d in (1.0, 30.0))
    kept = [belief_of(item, objective=objective).probability_kept(100) for item in (calm, bursty)]
    assert kept[0] < kept[1]
    beyond = step(200, requests=9_000, bad=5_000, dispersion=80.0)
    assert usual_dispersion([beyond, bursty]) == 30.0
    assert usual_dispersion([beyond, calm]) == 3.0
    assert usual_dispersion([step(10)]) == 3.0
    assert bursty.bad_interval(3.0).high > calm.bad_interval(3.0).high > 30 / 9_000


def test_a_step_is_measured_from_its_requests():
    count, random = 4_000, np.random.default_rng(3)
    finish = np.sort(random.uniform(5.0, 25.0, count))
    times = random.exponential(0.1, count)
    burst = (finish > 10.0) & (finish < 10.5)
    table = pd.DataFrame({"start_s": finish - times, "finish_s": finish, "outcome": np.where(burst, "shed", "served")})
    measured = measure_step(table, Window(1, 40, 5.0, 25.0))
    assert (measured.users, measured.requests, measured.bad) == (40, count, int(burst.sum()))
    assert measured.p95_s == pytest.approx(np.quantile(times[~burst], 0.95))
    assert measured.p95_interval().low < measured.p95_s < measured.p95_interval().high
    assert measured.dispersion > 10
    scattered = table.assign(outcome=random.permutation(table["outcome"].to_numpy()))
    assert measure_step(scattered, Window(1, 40, 5.0, 25.0)).dispersion < 4


def test_a_step_that_serves_hardly_anything_has_no_percentile_and_keeps_no_limit():
    table = pd.DataFrame({"start_s": [1.0, 2.0], "finish_s": [1.1, 2.1], "outcome": ["shed", "served"]})
    measured = measure_step(table, Window(1, 5, 0.0, 10.0))
    assert math.isnan(measured.p95_s)
    assert belief_of(measured).interval().high <= 6
    empty = measure_step(table.iloc[:0], Window(1, 50, 0.0, 10.0))
    assert belief_of(empty, objective=KneeObjective(max_bad_fraction=0.1)).interval().high <= 55


def test_a_search_that_broke_nothing_promises_nothing():
    """One step of ten users does not show that more of them would keep the objective."""
    found = search_knee(server(57, 0.02), LIMIT, KneeOptions(max_steps=1))
    assert (found.reason, found.bound_by) == ("steps", None)
    assert "No level of up to 10 users broke the objective" in found.summary()
    assert "meet" not in found.summary()


def test_the_result_says_what_it_rests_on():
    result = search_knee(server(57, 0.02), LIMIT, KneeOptions())
    document = result.to_dict()
    assert document["objective"] == {"p95_s": 0.2, "max_bad_fraction": None}
    assert [item["users"] for item in document["steps"]] == result.to_frame()["users"].tolist()
    assert "meet the objective" in result.summary()
    assert result.summary() in repr(result)
    belief = belief_after(result.steps, LIMIT, KneeOptions())
    assert next_users(result.steps, LIMIT, KneeOptions()) == belief.halving_level


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: KneeObjective(), "must limit something"),
        (lambda: KneeObjective(p95_s=0.0), "above 0"),
        (lambda: KneeObjective(max_bad_fraction=0.0), "exactly 0"),
        (lambda: KneeOptions(start_users=0), "at least 1"),
        (lambda: KneeOptions(start_users=20, most_users=10), "at most 10"),
        (lambda: KneeOptions(growth=1.0), "above 1"),
        (lambda: KneeOptions(precision=-1.0), "above 0"),
        (lambda: KneeOptions(level=1.0), "below 1"),
        (lambda: KneeOptions(max_steps=0), "at least 1"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(make, problem):
    with pytest.raises(InputError, match=problem):
        make()
