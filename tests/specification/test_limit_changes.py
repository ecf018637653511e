"""Limits that change while the line is not empty."""

from __future__ import annotations

import math

from simulations.engines.request_log import SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT
from simulations.model.fleet import Fleet, LimitChange
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

ONE_WORKER = Limits(workers=1)


def changing(*changes: LimitChange, instances: int = 1) -> Fleet:
    return Fleet(instances, changes=changes)


def test_more_workers_serve_the_line_at_once(run: Engine) -> None:
    fleet = changing(LimitChange(2.0, workers=3))
    log = run(arrivals([0.0, 0.5, 1.0, 1.5], ONE_WORKER, service=[9.0, 1.0, 1.0, 1.0], fleet=fleet))
    assert log.start_s.tolist() == [0.0, 2.0, 2.0, 3.0]


def test_the_line_decides_who_gets_the_new_workers(run: Engine) -> None:
    """Users 2, 1, 0 stand in line in this order: two new workers are for 2 and 1."""
    fleet = changing(LimitChange(2.0, workers=3))
    given = users([1.5, 1.0, 0.5, 0.0], [[0.0]] * 4, ONE_WORKER, service=[[1.0], [1.0], [1.0], [9.0]], fleet=fleet)
    log = run(given)
    assert dict(zip(log.user.tolist(), log.start_s.tolist(), strict=True)) == {3: 0.0, 2: 2.0, 1: 2.0, 0: 3.0}


def test_those_who_got_a_worker_at_one_moment_act_in_the_order_of_their_numbers(run: Engine) -> None:
    """User 2 is before user 1 in line; both get a worker at 2, and user 1 asks for the one connection first."""
    fleet = changing(LimitChange(2.0, workers=3))
    given = users(
        [0.0, 1.0, 0.5], [[0.0]] * 3, Limits(workers=1, db_pool=1), service=[[9.0], [0.0], [0.0]],
        database=[[0.0], [1.0], [1.0]], fleet=fleet,
    )  # fmt: skip
    log = run(given)
    assert dict(zip(log.user.tolist(), log.departure_s.tolist(), strict=True)) == {0: 9.0, 1: 3.0, 2: 4.0}


def test_with_fewer_workers_those_that_are_busy_finish_first(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, workers=1))
    log = run(arrivals([0.0, 0.0, 0.5], Limits(workers=2), service=[3.0, 5.0, 1.0], fleet=fleet))
    assert log.departure_s.tolist() == [3.0, 5.0, 6.0]
    assert log.start_s[2] == 5.0


def test_without_any_worker_the_line_waits_until_there_is_one_again(run: Engine) -> None:
    fleet = changing(LimitChange(0.5, workers=0), LimitChange(4.0, workers=1))
    log = run(arrivals([0.0, 1.0, 1.5, 9.0], ONE_WORKER, service=1.0, fleet=fleet))
    assert log.start_s.tolist() == [0.0, 4.0, 5.0, 9.0]


def test_new_workers_pass_over_those_who_have_left_the_line(run: Engine) -> None:
    fleet = changing(LimitChange(3.0, workers=2))
    limits = Limits(workers=1, queue_timeout_s=2.0)
    log = run(arrivals([0.0, 0.5, 2.0], limits, service=[9.0, 1.0, 1.0], fleet=fleet))
    assert log.outcome.tolist() == [SERVED, TIMED_OUT, SERVED]
    assert log.start_s.tolist() == [0.0, 2.5, 3.0]


def test_a_lower_gate_turns_away_newcomers_only(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, gate=1))
    log = run(arrivals([0.0, 0.5, 2.0, 4.5], Limits(3, 1), service=[3.0, 1.0, 1.0, 1.0], fleet=fleet))
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE, SERVED]
    assert log.departure_s[1] == 4.0


def test_a_shorter_line_turns_away_newcomers_only(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, queue=1))
    log = run(arrivals([0.0, 0.0, 0.0, 2.0], Limits(workers=1, queue=2), service=4.0, fleet=fleet))
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED, SHED_AT_QUEUE]
    assert log.departure_s.tolist() == [4.0, 8.0, 12.0, 2.0]


def test_more_connections_serve_their_line_at_once(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, db_pool=2))
    log = run(arrivals([0.0, 0.0, 0.0], Limits(db_pool=1), database=[3.0, 1.0, 1.0], fleet=fleet))
    assert log.departure_s.tolist() == [3.0, 2.0, 3.0]


def test_with_fewer_connections_those_in_use_are_given_back_first(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, db_pool=1))
    log = run(arrivals([0.0, 0.0, 0.5], Limits(db_pool=2), database=[2.0, 3.0, 1.0], fleet=fleet))
    assert log.departure_s.tolist() == [2.0, 3.0, 4.0]


def test_fewer_cores_slow_down_what_is_left(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, cpu_cores=1.0))
    log = run(arrivals([0.0, 0.0], Limits(cpu_cores=2.0), cpu=2.0, fleet=fleet))
    assert log.departure_s.tolist() == [3.0, 3.0]


def test_a_limit_can_be_taken_away(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, workers=math.inf))
    log = run(arrivals([0.0, 0.0, 0.0], ONE_WORKER, service=5.0, fleet=fleet))
    assert log.start_s.tolist() == [0.0, 1.0, 1.0]


def test_a_change_of_one_instance_leaves_the_others_alone(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, workers=2, instance=1), instances=2)
    log = run(arrivals([0.0, 0.0, 0.0, 0.0], ONE_WORKER, service=5.0, fleet=fleet))
    assert log.instance.tolist() == [0, 1, 0, 1]
    assert log.start_s.tolist() == [0.0, 0.0, 5.0, 1.0]


def test_of_two_changes_at_one_moment_the_one_given_later_stays(run: Engine) -> None:
    fleet = changing(LimitChange(1.0, gate=0), LimitChange(1.0, gate=1))
    assert run(arrivals([1.0], fleet=fleet, service=1.0)).outcome.tolist() == [SERVED]


def test_changes_come_in_the_order_of_time_however_they_were_given(run: Engine) -> None:
    fleet = changing(LimitChange(2.0, gate=1), LimitChange(1.0, gate=0))
    log = run(arrivals([0.5, 1.5, 2.5], fleet=fleet, service=0.25))
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED]
