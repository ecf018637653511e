"""Clients that try again: when, after what, and how both ledgers count it."""

from __future__ import annotations

import numpy as np
import pytest

from simulations.engines.random_streams import STAGE_RETRY, uniforms
from simulations.engines.request_log import ABANDONED, SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT
from simulations.model.clients import Clients, Retries
from simulations.model.server_model import Limits
from support.stories import KEY, Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

ONE_INSIDE = Limits(gate=1)
EVERY_SECOND = Retries(2, 1.0, jitter=0.0)


def test_waits_grow_by_the_factor_up_to_the_longest(run: Engine) -> None:
    stubborn = Clients(retries=Retries(5, 1.0, 2.0, 3.0, jitter=0.0))
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=99.0, clients=stubborn))
    assert log.cycle.tolist() == [0, 1, 1, 1, 1, 1]
    assert log.attempt.tolist() == [0, 0, 1, 2, 3, 4]
    assert log.arrival_s[1:].tolist() == [1.0, 2.0, 4.0, 7.0, 10.0]
    assert log.outcome[1:].tolist() == [SHED_AT_GATE] * 5


def test_the_wait_begins_when_the_answer_has_come_back(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=9.0, clients=Clients(retries=EVERY_SECOND), round_trip_s=0.5))
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.5]


def test_nobody_tries_again_after_a_good_answer(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=1.5, clients=Clients(retries=Retries(5, 1.0, jitter=0.0))))
    assert log.attempt.tolist() == [0, 0, 1]
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED]


def test_jitter_shortens_the_wait_by_a_share_that_belongs_to_the_attempt(run: Engine) -> None:
    clients = Clients(retries=Retries(3, 1.0, 2.0, jitter=0.5))
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=99.0, clients=clients))
    first, second = (float(uniforms(KEY, 1, 0, attempt=attempt, stage=STAGE_RETRY)[0]) for attempt in (1, 2))
    assert log.arrival_s[2] == 1.0 + 1.0 * (1.0 - 0.5 * first)
    assert log.arrival_s[3] == log.arrival_s[2] + 2.0 * (1.0 - 0.5 * second)
    assert 0 < first != second > 0


@pytest.mark.parametrize("chosen", ["shed", "timed_out", "abandoned"])
def test_only_the_chosen_outcomes_are_tried_again(run: Engine, chosen: str) -> None:
    """Request 0 is abandoned, 1 waits in line too long, 2 finds the line full."""
    clients = Clients(2.0, Retries(2, 9.0, jitter=0.0, on=(chosen,)))
    limits = Limits(workers=1, queue=1, queue_timeout_s=1.0)
    log = run(arrivals([0.0, 0.5, 1.0], limits, service=[[3.0, 1.0]] * 3, clients=clients))
    assert log.outcome[:3].tolist() == [ABANDONED, TIMED_OUT, SHED_AT_QUEUE]
    number, again_s = {"abandoned": (0, 11.0), "timed_out": (1, 10.5), "shed": (2, 10.0)}[chosen]
    assert (log.cycle[3:].tolist(), log.arrival_s[3:].tolist()) == ([number], [again_s])


def test_a_retry_meets_its_own_first_attempt_at_the_server(run: Engine) -> None:
    clients = Clients(2.0, EVERY_SECOND)
    log = run(arrivals([0.0], Limits(workers=1), service=[[4.0, 0.5]], clients=clients))
    assert log.arrival_s.tolist() == [0.0, 3.0]
    assert log.start_s.tolist() == [0.0, 4.0]
    assert log.outcome.tolist() == [ABANDONED, SERVED]
    assert log.logical().total_s.tolist() == [4.5]


def test_the_server_sees_attempts_and_the_client_sees_requests(run: Engine) -> None:
    """The second request comes through with its third attempt, the third one never."""
    clients = Clients(retries=Retries(3, 1.0, 2.0, jitter=0.0))
    log = run(arrivals([0.0, 1.0, 6.0], ONE_INSIDE, service=[3.5, 99.0, 1.0], clients=clients))
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.0, 4.0, 6.0, 7.0, 9.0]
    assert len(log) == 7
    assert log.is_final.tolist() == [True, False, False, True, False, False, True]
    logical = log.logical()
    assert logical.attempts.tolist() == [1, 3, 3]
    assert logical.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]
    assert logical.sent_s.tolist() == [0.0, 1.0, 6.0]
    assert logical.total_s.tolist() == [3.5, 4.0 + 99.0 - 1.0, 3.0]


def test_a_request_whose_retry_would_come_after_the_end_is_in_one_ledger_only(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=9.0, clients=Clients(retries=EVERY_SECOND), horizon_s=1.5))
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE]
    assert log.logical().outcome.tolist() == [SERVED]


def test_a_user_thinks_after_the_last_attempt_not_between_them(run: Engine) -> None:
    clients = Clients(retries=EVERY_SECOND)
    service = [[3.0, 1.0], [1.0, 1.0]]
    log = run(users([0.0, 0.5], [[0.0, 5.0], [0.0, 5.0]], ONE_INSIDE, service=service, clients=clients))
    of_second = log.arrival_s[log.user == 1]
    assert of_second.tolist() == [0.5, 1.5, 6.5]
    assert log.cycle[log.user == 1].tolist() == [0, 0, 1]
    assert log.attempt[log.user == 1].tolist() == [0, 1, 0]


def test_every_attempt_needs_its_own_time(run: Engine) -> None:
    log = run(arrivals([0.0], service=[[4.0, 3.0, 1.0]], clients=Clients(2.0, Retries(3, 1.0, 1.0, jitter=0.0))))
    np.testing.assert_array_equal(log.departure_s - log.arrival_s, [4.0, 3.0, 1.0])
    assert log.outcome.tolist() == [ABANDONED, ABANDONED, SERVED]
    assert log.logical().total_s.tolist() == [7.0]


def test_a_retry_due_at_the_very_end_is_still_sent(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_INSIDE, service=9.0, clients=Clients(retries=EVERY_SECOND), horizon_s=2.0))
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.0]
    assert log.logical().attempts.tolist() == [1, 2]
