"""Who comes when, and who sends no more."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant
from simulations.engines.inputs import WITHOUT_END, EngineInput, RunLength, UserTimes, Work, cached_table
from simulations.engines.request_log import SERVED, SHED_AT_GATE
from simulations.model.clients import Clients, Retries
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import ClosedWorkload, SessionWorkload
from support.stories import NO_LIMITS, Engine, drawn, on_both_engines, users

pytestmark = on_both_engines

SECOND = ServerModel(Deployment(), Constant(1.0))


def stopping(first_s: list[float], stop_s: list[float], limits: Limits = NO_LIMITS) -> EngineInput:
    """Users who think 2 s and send until they stop; 1 s of work."""
    count = len(first_s)
    times = UserTimes(np.array(first_s), cached_table(Constant(2.0)), stop_s=np.array(stop_s),
                      cycles=np.full(count, WITHOUT_END, np.int64))  # fmt: skip
    return EngineInput(limits, times, RunLength(100, 20.0), work=Work.given(np.ones((count, 50))))


def test_a_user_sends_before_its_stop_and_never_at_it(run: Engine) -> None:
    log = run(stopping([0.0, 0.5], [6.0, 6.75]))
    assert log.arrival_s[log.user == 0].tolist() == [0.0, 3.0]
    assert log.arrival_s[log.user == 1].tolist() == [0.5, 3.5, 6.5]


def test_a_request_that_is_under_way_at_the_stop_is_answered(run: Engine) -> None:
    log = run(stopping([0.0], [0.5]))
    assert log.departure_s.tolist() == [1.0]
    assert log.outcome.tolist() == [SERVED]


def test_a_retry_of_a_request_sent_before_the_stop_still_comes(run: Engine) -> None:
    """The stop is about new requests: a client goes on trying with the one that it has."""
    workload = ClosedWorkload(
        2, Constant(2.0), spread_s=0.0, population=((0.0, 2), (0.5, 1)),
        clients=Clients(retries=Retries(2, 1.0, jitter=0.0)),
    )  # fmt: skip
    log = run(drawn(ServerModel(Deployment(gate_limit=1), Constant(0.75)), workload, 2.0))
    assert log.user.tolist() == [0, 1, 1]
    assert log.arrival_s.tolist() == [0.0, 0.0, 1.0]
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED]


def test_a_population_rises_with_new_users_and_falls_by_those_who_came_last(run: Engine) -> None:
    profile = ((0.0, 1), (3.0, 3), (6.0, 1), (7.0, 2))
    log = run(drawn(SECOND, ClosedWorkload(3, Constant(2.0), spread_s=0.0, population=profile), 10.0))
    sent = list(zip(log.arrival_s.tolist(), log.user.tolist(), strict=True))
    # The user who comes at 7 is a new one, not one of those who went at 6.
    assert sent == [(0.0, 0), (3.0, 0), (3.0, 1), (3.0, 2), (6.0, 0), (7.0, 3), (9.0, 0), (10.0, 3)]


def test_users_spawn_one_after_the_other_at_the_given_rate(run: Engine) -> None:
    log = run(drawn(SECOND, ClosedWorkload(4, Constant(9.0), spawn_rate_per_s=2.0), 5.0))
    assert log.arrival_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    assert log.user.tolist() == [0, 1, 2, 3]


def test_a_population_that_rises_spawns_from_that_moment_on(run: Engine) -> None:
    workload = ClosedWorkload(4, Constant(9.0), spawn_rate_per_s=2.0, population=((0.0, 2), (3.0, 4)))
    log = run(drawn(SECOND, workload, 5.0))
    assert log.arrival_s.tolist() == [0.0, 0.5, 3.0, 3.5]


def test_a_user_whose_turn_to_spawn_comes_after_its_stop_never_comes(run: Engine) -> None:
    workload = ClosedWorkload(3, Constant(9.0), spawn_rate_per_s=1.0, population=((0.0, 3), (2.0, 2)))
    log = run(drawn(SECOND, workload, 5.0))
    assert log.user.tolist() == [0, 1]


def test_a_session_asks_its_number_of_requests_and_leaves(run: Engine) -> None:
    log = run(users([0.0, 0.5], [[0.0, 2.0, 2.0]] * 2, service=1.0, are_sessions=True))
    assert log.user.tolist() == [0, 1, 0, 1, 0, 1]
    assert log.cycle.tolist() == [0, 0, 1, 1, 2, 2]
    assert log.arrival_s.tolist() == [0.0, 0.5, 3.0, 3.5, 6.0, 6.5]


def test_sessions_do_not_wait_for_each_other(run: Engine) -> None:
    log = run(users([0.0, 1.0, 2.0], [[0.0]] * 3, Limits(workers=1), service=5.0, are_sessions=True))
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.0]
    assert log.start_s.tolist() == [0.0, 5.0, 10.0]


def test_a_session_that_was_turned_away_thinks_and_goes_on(run: Engine) -> None:
    log = run(users([0.0, 1.0], [[0.0, 2.0]] * 2, Limits(gate=1), service=2.5, are_sessions=True))
    assert log.arrival_s.tolist() == [0.0, 1.0, 3.0, 4.5]
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED, SHED_AT_GATE]


def test_sessions_that_start_together_ask_in_their_order(run: Engine) -> None:
    log = run(users([1.0, 1.0, 1.0], [[0.0]] * 3, Limits(gate=2), service=1.0, are_sessions=True))
    assert log.user.tolist() == [0, 1, 2]
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


@pytest.mark.parametrize("horizon_s", [3.0, 2.999])
def test_at_the_horizon_sessions_still_ask_and_after_it_none_does(run: Engine, horizon_s: float) -> None:
    log = run(users([0.0, 3.0], [[0.0, 2.0]] * 2, service=1.0, are_sessions=True, horizon_s=horizon_s))
    assert log.arrival_s.tolist() == ([0.0, 3.0, 3.0] if horizon_s == 3.0 else [0.0])


def test_drawn_sessions_of_constant_length_ask_that_often(run: Engine) -> None:
    given = drawn(SECOND, SessionWorkload(0.25, 3, Constant(2.0), "constant"), 200.0)
    log = run(given)
    finished = given.times.first_s < 200.0 - 7.0  # type: ignore[union-attr]
    asked = np.bincount(log.user, minlength=finished.size)
    assert finished.sum() > 20
    assert set(asked[finished].tolist()) == {3}
    np.testing.assert_allclose(np.diff(log.arrival_s[log.user == 0]), 3.0, rtol=1e-12)
