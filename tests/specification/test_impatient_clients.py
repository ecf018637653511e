"""Clients that give up: the server does not notice."""

from __future__ import annotations

from simulations.engines.request_log import ABANDONED, SERVED, SHED_AT_GATE
from simulations.model.clients import Clients
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

TWO_SECONDS = Clients(timeout_s=2.0)


def test_a_client_gives_up_after_exactly_its_timeout(run: Engine) -> None:
    log = run(arrivals([1.0], service=5.0, clients=TWO_SECONDS))
    assert (log.outcome[0], log.answered_s[0], log.residence_s[0]) == (ABANDONED, 3.0, 2.0)


def test_the_server_goes_on_with_it(run: Engine) -> None:
    log = run(arrivals([0.0, 3.5], Limits(workers=1), service=[5.0, 0.25], clients=TWO_SECONDS))
    assert log.departure_s.tolist() == [5.0, 5.25]
    assert log.start_s[1] == 5.0
    assert log.outcome.tolist() == [ABANDONED, SERVED]


def test_one_that_gave_up_in_the_line_keeps_its_place_and_is_served_for_nobody(run: Engine) -> None:
    log = run(arrivals([0.0, 0.5, 3.0], Limits(workers=1), service=[4.0, 0.5, 0.25], clients=TWO_SECONDS))
    assert log.outcome.tolist() == [ABANDONED, ABANDONED, SERVED]
    assert log.answered_s[1] == 2.5
    assert log.start_s.tolist() == [0.0, 4.0, 4.5]


def test_it_counts_at_the_gate_until_the_server_is_done(run: Engine) -> None:
    log = run(arrivals([0.0, 3.0, 5.0], Limits(gate=1), service=[5.0, 1.0, 1.0], clients=TWO_SECONDS))
    assert log.outcome.tolist() == [ABANDONED, SHED_AT_GATE, SERVED]


def test_an_answer_at_that_instant_counts(run: Engine) -> None:
    log = run(arrivals([1.0], service=2.0, clients=TWO_SECONDS))
    assert (log.outcome[0], log.answered_s[0]) == (SERVED, 3.0)


def test_an_answer_at_that_instant_counts_for_a_user_who_goes_on(run: Engine) -> None:
    log = run(users([1.0], [[0.0, 1.0]], service=[[2.0, 2.5]], clients=TWO_SECONDS))
    assert log.outcome.tolist() == [SERVED, ABANDONED]
    assert log.arrival_s.tolist() == [1.0, 4.0]


def test_the_network_round_trip_counts_towards_the_timeout(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], service=[1.5, 1.625], clients=TWO_SECONDS, round_trip_s=0.5))
    assert log.outcome.tolist() == [SERVED, ABANDONED]
    assert log.answered_s.tolist() == [2.0, 2.0]


def test_a_rejection_that_takes_too_long_on_its_way_is_not_seen_either(run: Engine) -> None:
    hasty = Clients(timeout_s=0.5)
    log = run(arrivals([0.0, 1.0], Limits(gate=1), service=9.0, clients=hasty, round_trip_s=0.75))
    assert log.outcome.tolist() == [ABANDONED, ABANDONED]
    assert log.answered_s.tolist() == [0.5, 1.5]
    assert log.departure_s[1] == 1.0


def test_a_user_who_gave_up_thinks_and_asks_again_while_the_server_is_busy(run: Engine) -> None:
    log = run(users([0.0], [[0.0, 1.0]], Limits(workers=1), service=[[4.0, 0.5]], clients=TWO_SECONDS))
    assert log.arrival_s.tolist() == [0.0, 3.0]
    assert log.start_s.tolist() == [0.0, 4.0]
    assert log.outcome.tolist() == [ABANDONED, SERVED]
