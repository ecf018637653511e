"""A rejection may be faster or slower than the network round trip of served requests."""

from __future__ import annotations

import pytest

from simulations.engines.request_log import ABANDONED, SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT
from simulations.model.clients import Clients, Retries
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

GATE, LINE = Limits(gate=1), Limits(workers=1, queue=0)
LIMITS = pytest.mark.parametrize(("limits", "shed"), [(GATE, SHED_AT_GATE), (LINE, SHED_AT_QUEUE)])
TWO_SECONDS = Clients(timeout_s=2.0)


@LIMITS
@pytest.mark.parametrize(("rejection_s", "back_s"), [(0.125, 1.125), (0.0, 1.0), (None, 1.5), (0.75, 1.75)])
def test_a_rejected_user_is_back_after_the_rejection_time_and_a_served_one_after_the_round_trip(
    run: Engine, limits: Limits, shed: int, rejection_s: float | None, back_s: float
) -> None:
    log = run(users([0.0, 0.0], [[0.0, 1.0]] * 2, limits, service=2.0, round_trip_s=0.5, rejection_s=rejection_s))
    assert log.user.tolist() == [0, 1, 1, 0]
    assert log.outcome.tolist() == [SERVED, shed, shed, SERVED]
    assert log.arrival_s.tolist() == [0.0, 0.0, back_s, 3.5]
    assert log.residence_s.tolist() == [2.5, back_s - 1.0, back_s - 1.0, 2.5]
    assert log.departure_s.tolist() == [2.0, 0.0, back_s, 5.5]


def test_a_rejected_user_is_back_before_one_who_comes_within_the_round_trip(run: Engine) -> None:
    log = run(users([0.0, 0.0, 0.25], [[0.0, 0.0]] * 3, GATE, service=9.0, round_trip_s=0.5, rejection_s=0.125))
    assert log.user.tolist() == [0, 1, 1, 2, 2, 0]
    assert log.arrival_s.tolist() == [0.0, 0.0, 0.125, 0.25, 0.375, 9.5]


@LIMITS
def test_an_open_arrival_waits_for_its_rejection_too(run: Engine, limits: Limits, shed: int) -> None:
    log = run(arrivals([0.0, 1.0], limits, service=9.0, round_trip_s=0.5, rejection_s=0.125))
    assert log.outcome.tolist() == [SERVED, shed]
    assert log.answered_s.tolist() == [9.5, 1.125]


def test_one_who_waits_too_long_in_the_line_has_the_answer_a_round_trip_later(run: Engine) -> None:
    limits = Limits(workers=1, queue=1, queue_timeout_s=1.0)
    log = run(arrivals([0.0, 0.0, 0.5], limits, service=9.0, round_trip_s=0.5, rejection_s=0.125))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, SHED_AT_QUEUE]
    assert log.answered_s.tolist() == [9.5, 1.5, 0.625]


def test_the_servers_limit_on_the_whole_request_is_answered_a_round_trip_later(run: Engine) -> None:
    limits = Limits(gate=1, request_timeout_s=1.0)
    log = run(arrivals([0.0, 0.5], limits, service=9.0, round_trip_s=0.5, rejection_s=0.125))
    assert log.outcome.tolist() == [TIMED_OUT, SHED_AT_GATE]
    assert log.answered_s.tolist() == [1.5, 0.625]


def test_a_client_does_not_wait_for_a_rejection_beyond_its_timeout(run: Engine) -> None:
    log = run(users([0.0, 0.0], [[0.0, 1.0]] * 2, GATE, service=1.5, clients=TWO_SECONDS, rejection_s=2.25))
    assert log.outcome.tolist() == [SERVED, ABANDONED, SERVED, ABANDONED]
    assert log.user.tolist() == [0, 1, 0, 1]
    assert log.arrival_s.tolist() == [0.0, 0.0, 2.5, 3.0]
    assert log.residence_s.tolist() == [1.5, 2.0, 1.5, 2.0]


def test_who_gives_up_on_a_rejection_was_not_timed_out_by_the_server(run: Engine) -> None:
    """The server's limit and its round trip would come first, but the server is done with the request."""
    limits = Limits(gate=1, request_timeout_s=1.0)
    log = run(arrivals([0.0, 0.0], limits, service=0.5, clients=TWO_SECONDS, round_trip_s=0.25, rejection_s=5.0))
    assert log.outcome.tolist() == [SERVED, ABANDONED]
    assert log.answered_s.tolist() == [0.75, 2.0]


def test_a_rejection_at_the_instant_of_the_timeout_counts(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], GATE, service=1.5, clients=TWO_SECONDS, rejection_s=2.0))
    assert (log.outcome[1], log.answered_s[1]) == (SHED_AT_GATE, 3.0)


def test_a_fast_rejection_is_seen_by_a_client_who_would_not_wait_for_a_round_trip(run: Engine) -> None:
    hasty = Clients(timeout_s=0.5)
    log = run(arrivals([0.0, 1.0], GATE, service=9.0, clients=hasty, round_trip_s=0.75, rejection_s=0.25))
    assert log.outcome.tolist() == [ABANDONED, SHED_AT_GATE]
    assert log.answered_s.tolist() == [0.5, 1.25]


def test_the_next_try_follows_the_rejection(run: Engine) -> None:
    again = Clients(retries=Retries(2, 1.0, jitter=0.0, on=("shed",)))
    log = run(arrivals([0.0, 1.0], GATE, service=9.0, clients=again, round_trip_s=0.5, rejection_s=0.125))
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.125]
    assert log.answered_s.tolist() == [9.5, 1.125, 2.25]
