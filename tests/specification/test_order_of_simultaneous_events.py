"""What happens first at one moment, one story for each pair of neighbours; the other order would give other numbers.

Completion, database release, change of limits, grant, the server's timeout, the client's giving up, retry, arrival.
"""

from __future__ import annotations

from simulations.engines.request_log import ABANDONED, SERVED, SHED_AT_GATE, TIMED_OUT
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Fleet, LimitChange
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines


def test_the_end_of_cpu_time_comes_before_a_database_release(run: Engine) -> None:
    """Number 4 finishes its CPU time when two connections come free.

    It asks before they are given back, so it stands in line behind number 3 and gets its connection by a grant
    like number 3, in the order of owners; number 3 takes the one place left at the database. Had the
    connections been given back first, number 4 would have taken one without a grant, before number 3's.
    """
    fleet = Fleet(database_connections=2)
    log = run(arrivals([0.0] * 5, Limits(db_pool=3), cpu=[0.0, 0.0, 0.0, 0.0, 4.0],
                       database=[4.0, 4.0, 2.0, 1.0, 1.0], fleet=fleet))  # fmt: skip
    assert log.departure_s.tolist() == [4.0, 4.0, 6.0, 5.0, 6.0]


def test_a_database_release_comes_before_a_change_of_the_pool(run: Engine) -> None:
    """The connection that comes free at 2 goes to the next in line, although the pool is closed at 2."""
    fleet = Fleet(changes=(LimitChange(2.0, db_pool=0), LimitChange(9.0, db_pool=1)))
    log = run(arrivals([0.0, 0.0, 0.0, 20.0], Limits(db_pool=1), database=[2.0, 1.0, 1.0, 1.0], fleet=fleet))
    assert log.departure_s.tolist() == [2.0, 3.0, 10.0, 21.0]


def test_a_completion_comes_before_a_change_of_the_workers(run: Engine) -> None:
    fleet = Fleet(changes=(LimitChange(2.0, workers=0), LimitChange(9.0, workers=1)))
    log = run(arrivals([0.0, 0.0, 0.0, 20.0], Limits(workers=1), service=[2.0, 1.0, 1.0, 1.0], fleet=fleet))
    assert log.start_s.tolist() == [0.0, 2.0, 9.0, 20.0]


def test_a_change_comes_before_what_a_granted_request_does(run: Engine) -> None:
    """Number 1 gets its worker at 2, when the pool is closed: it finds the pool closed."""
    fleet = Fleet(changes=(LimitChange(2.0, db_pool=0), LimitChange(9.0, db_pool=1)))
    limits, service, database = Limits(workers=1, db_pool=1), [2.0, 0.0, 0.0], [0.0, 1.0, 1.0]
    log = run(arrivals([0.0, 0.0, 20.0], limits, service=service, database=database, fleet=fleet))
    assert log.start_s.tolist() == [0.0, 2.0, 20.0]
    assert log.departure_s.tolist() == [2.0, 10.0, 21.0]


def test_a_grant_comes_before_a_timeout(run: Engine) -> None:
    """Number 1 gets its worker at the moment its patience ends, needs no time, and hands it to number 2."""
    limits = Limits(workers=1, queue_timeout_s=1.0)
    log = run(arrivals([0.0, 1.0, 1.0], limits, service=[2.0, 0.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED]
    assert log.departure_s.tolist() == [2.0, 2.0, 3.0]


def test_the_servers_timeout_comes_before_the_clients(run: Engine) -> None:
    limits, clients = Limits(workers=1, queue_timeout_s=2.0), Clients(timeout_s=2.0)
    service = [[9.0, 1.0], [1.0, 1.0]]
    log = run(users([0.0, 1.0], [[0.0, 99.0], [0.0, 99.0]], limits, service=service, clients=clients, horizon_s=50.0))
    assert log.outcome.tolist() == [ABANDONED, TIMED_OUT]
    assert log.answered_s.tolist() == [2.0, 3.0]


def test_giving_up_comes_before_a_retry(run: Engine) -> None:
    """At 2 client 0 gives up and tries again at once, and so does client 1, whose answer has just come.

    The place that is free is for client 0: it gives up before anybody tries again, and 0 is before 1.
    """
    clients = Clients(2.0, Retries(2, 0.0, jitter=0.0))
    log = run(arrivals([0.0, 1.0], Limits(gate=1), service=[[2.0, 0.5], [9.0, 0.5]], clients=clients,
                       round_trip_s=1.0))  # fmt: skip
    assert log.arrival_s.tolist() == [0.0, 1.0, 2.0, 2.0]
    assert log.cycle.tolist() == [0, 1, 0, 1]
    assert log.outcome.tolist() == [ABANDONED, SHED_AT_GATE, SERVED, SHED_AT_GATE]


def test_a_retry_comes_before_an_arrival(run: Engine) -> None:
    clients = Clients(retries=Retries(2, 1.0, jitter=0.0))
    log = run(users([3.0, 0.0, 2.0], [[0.0]] * 3, Limits(gate=1), service=[[1.0], [2.5], [1.0]], clients=clients))
    # User 2 was turned away at 2 and tries again at 3, when user 0 asks for the first time.
    assert log.user.tolist() == [1, 2, 2, 0, 0]
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED, SHED_AT_GATE, SERVED]


def test_a_timeout_comes_before_an_arrival(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 2.0], Limits(2, 1, queue_timeout_s=1.0), service=[9.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, TIMED_OUT]


def test_a_change_comes_before_an_arrival(run: Engine) -> None:
    log = run(arrivals([2.0], fleet=Fleet(changes=(LimitChange(2.0, gate=0),))))
    assert log.outcome.tolist() == [SHED_AT_GATE]


def test_completions_at_one_moment_come_in_the_order_of_instances_not_of_arrival(run: Engine) -> None:
    """Three requests finish their CPU time at 2; both of instance 0 ask the database first."""
    fleet = Fleet(2, database_connections=1)
    log = run(arrivals([0.0, 0.25, 1.0], cpu=[2.0, 1.75, 1.0], database=[1.0] * 3, fleet=fleet))
    assert log.instance.tolist() == [0, 1, 0]
    assert log.departure_s.tolist() == [3.0, 5.0, 4.0]


def test_all_completions_of_a_moment_come_before_its_first_grant(run: Engine) -> None:
    """Two workers come free at 2. User 3 is before user 2 in line, but user 2 acts first and takes the connection."""
    service, database = [[2.0], [2.0], [0.0], [0.0]], [[0.0], [0.0], [1.0], [1.0]]
    limits = Limits(workers=2, db_pool=1)
    log = run(users([0.0, 0.0, 1.0, 0.5], [[0.0]] * 4, limits, service=service, database=database))
    assert dict(zip(log.user.tolist(), log.departure_s.tolist(), strict=True)) == {0: 2.0, 1: 2.0, 2: 3.0, 3: 4.0}
