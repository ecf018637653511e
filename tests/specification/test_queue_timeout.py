"""The server's limit on waiting: who has stood in line that long leaves it."""

from __future__ import annotations

from simulations.engines.request_log import SERVED, SHED_AT_QUEUE, TIMED_OUT
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines

pytestmark = on_both_engines

ONE_WORKER = Limits(workers=1, queue_timeout_s=2.0)


def test_a_request_leaves_the_line_after_exactly_its_patience(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_WORKER, service=[5.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT]
    assert (log.start_s[1], log.departure_s[1], log.answered_s[1]) == (3.0, 3.0, 3.0)


def test_a_worker_that_comes_free_at_that_instant_is_taken(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_WORKER, service=[3.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, SERVED]
    assert (log.start_s[1], log.departure_s[1]) == (3.0, 4.0)


def test_the_limit_is_on_waiting_not_on_the_work(run: Engine) -> None:
    log = run(arrivals([0.0, 0.5], ONE_WORKER, service=[1.0, 9.0]))
    assert log.outcome.tolist() == [SERVED, SERVED]
    assert log.departure_s.tolist() == [1.0, 10.0]


def test_who_comes_behind_one_that_left_is_served_next(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 3.5], ONE_WORKER, service=[5.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, SERVED]
    assert log.start_s[2] == 5.0


def test_the_place_in_line_is_free_from_that_instant_on(run: Engine) -> None:
    short = Limits(workers=1, queue=1, queue_timeout_s=2.0)
    log = run(arrivals([0.0, 1.0, 2.5, 3.0], short, service=[4.0, 1.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, SHED_AT_QUEUE, SERVED]
    assert log.start_s[3] == 4.0


def test_the_gate_lets_another_in_from_that_instant_on(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 3.0], Limits(2, 1, queue_timeout_s=2.0), service=[4.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, SERVED]


def test_all_who_came_together_leave_together(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 1.0, 1.0], ONE_WORKER, service=[8.0, 1.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, TIMED_OUT, TIMED_OUT]
    assert log.departure_s.tolist() == [8.0, 3.0, 3.0, 3.0]


def test_who_has_got_a_worker_is_safe_while_it_shares_a_core_or_waits_for_a_connection(run: Engine) -> None:
    limits = Limits(workers=1, queue_timeout_s=2.0, cpu_cores=1.0)
    log = run(arrivals([0.0, 0.5], limits, cpu=[1.0, 5.0], service=[0.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, SERVED]
    assert log.departure_s.tolist() == [1.0, 7.0]
    limits = Limits(workers=2, queue_timeout_s=2.0, db_pool=1)
    log = run(arrivals([0.0, 0.0, 0.5], limits, database=[9.0, 0.0, 1.0], service=[0.0, 1.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED]
    assert log.departure_s.tolist() == [9.0, 1.0, 11.0]
