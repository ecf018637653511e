"""The server's limit on a whole request: it answers then, but its work goes on."""

from __future__ import annotations

from simulations.engines.request_log import ABANDONED, SERVED, TIMED_OUT
from simulations.model.clients import Clients, Retries
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

TWO_SECONDS = Limits(workers=1, request_timeout_s=2.0)


def test_the_answer_comes_at_arrival_plus_the_limit(run: Engine) -> None:
    log = run(arrivals([1.0], TWO_SECONDS, service=5.0))
    assert log.outcome.tolist() == [TIMED_OUT]
    assert (log.answered_s[0], log.residence_s[0]) == (3.0, 2.0)


def test_the_work_goes_on_and_keeps_its_worker(run: Engine) -> None:
    log = run(arrivals([0.0, 2.0], TWO_SECONDS, service=[3.0, 0.5]))
    assert log.outcome.tolist() == [TIMED_OUT, SERVED]
    assert log.departure_s.tolist() == [3.0, 3.5]
    assert log.start_s[1] == 3.0


def test_work_that_ends_at_that_instant_is_served(run: Engine) -> None:
    log = run(arrivals([1.0], TWO_SECONDS, service=2.0))
    assert (log.outcome[0], log.answered_s[0]) == (SERVED, 3.0)


def test_waiting_counts_towards_the_limit(run: Engine) -> None:
    log = run(arrivals([0.0, 0.5], TWO_SECONDS, service=[1.5, 1.5]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT]
    assert (log.start_s[1], log.answered_s[1], log.departure_s[1]) == (1.5, 2.5, 3.0)


def test_one_that_still_waits_leaves_the_line(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 1.5], TWO_SECONDS, service=[3.25, 1.0, 0.125]))
    assert log.outcome.tolist() == [TIMED_OUT, TIMED_OUT, SERVED]
    assert (log.start_s[1], log.departure_s[1]) == (3.0, 3.0)
    assert log.start_s[2] == 3.25


def test_the_shorter_of_the_two_limits_bounds_the_wait(run: Engine) -> None:
    for queue_s, request_s in ((1.0, 4.0), (4.0, 1.0)):
        limits = Limits(workers=1, queue_timeout_s=queue_s, request_timeout_s=request_s)
        assert run(arrivals([0.0, 1.0], limits, service=[9.0, 1.0])).departure_s[1] == 2.0


def test_the_network_delays_this_answer_too(run: Engine) -> None:
    log = run(arrivals([0.0], TWO_SECONDS, service=5.0, round_trip_s=0.5))
    assert (log.outcome[0], log.answered_s[0], log.departure_s[0]) == (TIMED_OUT, 2.5, 5.0)


def test_the_user_goes_on_while_the_server_still_works(run: Engine) -> None:
    log = run(users([0.0], [[0.0, 0.5]], TWO_SECONDS, service=[[3.0, 0.25]]))
    assert log.arrival_s.tolist() == [0.0, 2.5]
    assert log.start_s.tolist() == [0.0, 3.0]
    assert log.outcome.tolist() == [TIMED_OUT, SERVED]


def test_a_client_that_gives_up_sooner_never_sees_it(run: Engine) -> None:
    log = run(arrivals([0.0], TWO_SECONDS, service=5.0, clients=Clients(timeout_s=1.0)))
    assert (log.outcome[0], log.answered_s[0]) == (ABANDONED, 1.0)


def test_it_reaches_a_client_that_would_give_up_at_that_instant(run: Engine) -> None:
    for round_trip_s in (0.0, 0.5):
        clients = Clients(timeout_s=2.0 + round_trip_s)
        log = run(users([0.0], [[0.0]], TWO_SECONDS, service=5.0, clients=clients, round_trip_s=round_trip_s))
        assert (log.outcome[0], log.answered_s[0]) == (TIMED_OUT, 2.0 + round_trip_s)


def test_a_client_that_it_reaches_at_that_instant_knows_it_for_what_it_is(run: Engine) -> None:
    """It tries again after the server's answer only, and takes this for one."""
    for round_trip_s in (0.0, 0.5):
        clients = Clients(2.0 + round_trip_s, Retries(2, 1.0, jitter=0.0, on=("timed_out",)))
        log = run(arrivals([0.0], TWO_SECONDS, service=[[5.0, 0.5]], clients=clients, round_trip_s=round_trip_s))
        assert log.arrival_s.tolist() == [0.0, 3.0 + round_trip_s]
        assert log.outcome[0] == TIMED_OUT
