"""Database time: a connection of the instance's pool, and with it one of the shared database's places."""

from __future__ import annotations

from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

ONE_CONNECTION = Limits(db_pool=1)


def test_connections_go_to_those_who_asked_first(run: Engine) -> None:
    log = run(arrivals([0.0, 0.5, 1.0], ONE_CONNECTION, database=[2.0, 1.0, 1.0]))
    assert log.departure_s.tolist() == [2.0, 3.0, 4.0]
    assert log.start_s.tolist() == [0.0, 0.5, 1.0]


def test_as_many_at_a_time_as_there_are_connections(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0], Limits(db_pool=2), database=[2.0, 3.0, 2.0]))
    assert log.departure_s.tolist() == [2.0, 3.0, 4.0]


def test_a_connection_is_held_during_the_database_time_only(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], ONE_CONNECTION, cpu=1.0, database=2.0, service=3.0))
    # CPU 0 to 1 for both; database 1 to 3 and 3 to 5; then the rest.
    assert log.departure_s.tolist() == [6.0, 8.0]


def test_a_request_without_database_time_needs_no_connection(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], ONE_CONNECTION, database=[5.0, 0.0], service=[0.0, 1.0]))
    assert log.departure_s.tolist() == [5.0, 1.0]


def test_a_worker_is_kept_while_waiting_for_a_connection(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0], Limits(workers=2, db_pool=1), database=[2.0, 1.0, 0.0], service=1.0))
    # The second waits for the connection until 2 and holds its worker; the third gets the first one's at 3.
    assert log.start_s.tolist() == [0.0, 0.0, 3.0]
    assert log.departure_s.tolist() == [3.0, 4.0, 4.0]


def test_a_shared_database_limits_the_whole_fleet(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0], database=[2.0, 2.0, 1.0], fleet=Fleet(3, database_connections=2)))
    assert log.instance.tolist() == [0, 1, 2]
    assert log.departure_s.tolist() == [2.0, 2.0, 3.0]


def test_who_waits_for_the_database_keeps_a_connection_of_the_instance(run: Engine) -> None:
    fleet = Fleet(2, database_connections=1)
    log = run(arrivals([0.0, 0.0, 1.0, 1.0], ONE_CONNECTION, database=[4.0, 1.0, 1.0, 1.0], fleet=fleet))
    assert log.instance.tolist() == [0, 1, 0, 1]
    # The fourth has to wait for the connection that the second keeps until 5, so the third is before it.
    assert log.departure_s.tolist() == [4.0, 5.0, 6.0, 7.0]


def test_connections_granted_at_one_moment_are_used_in_the_order_of_users(run: Engine) -> None:
    """Two connections come free at 2; users 3 and 2 stand in line in this order; the database has one place left."""
    first_s, database = [0.0, 0.0, 0.5, 0.25, 0.0], [[2.0], [2.0], [1.0], [1.0], [9.0]]
    fleet = Fleet(database_connections=2)
    log = run(users(first_s, [[0.0]] * 5, Limits(db_pool=3), database=database, fleet=fleet))
    left_s = dict(zip(log.user.tolist(), log.departure_s.tolist(), strict=True))
    # User 4 has the third connection and waits for the database: one of the two places free at 2 is for it.
    assert left_s == {0: 2.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 11.0}


def test_connections_granted_at_one_moment_are_used_in_the_order_of_instances(run: Engine) -> None:
    """At 2 the connections of instances 0 and 1 come free; the request waiting on instance 1 came first."""
    at_s, database = [0.0, 0.0, 0.0, 0.0, 0.25, 0.25, 0.5], [2.0, 2.0, 9.0, 0.0, 1.0, 0.0, 1.0]
    log = run(arrivals(at_s, ONE_CONNECTION, database=database, fleet=Fleet(3, database_connections=2)))
    assert log.instance.tolist() == [0, 1, 2, 0, 1, 2, 0]
    # Number 2 waits for the database from the start: one of the two places free at 2 is for it.
    assert log.departure_s.tolist() == [2.0, 2.0, 11.0, 0.0, 4.0, 0.25, 3.0]
