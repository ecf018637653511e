"""The rules of the model as tiny stories with exact times, run over both engines."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from simulations.engines import compiled_engine, simpy_engine
from simulations.engines.inputs import EngineInput, OpenTimes, RunLength, UserTimes, Work
from simulations.engines.request_log import SERVED, SHED_AT_GATE, SHED_AT_QUEUE, RequestLog
from simulations.model.server_model import Limits

NONE = math.inf

pytestmark = pytest.mark.parametrize("engine", [simpy_engine, compiled_engine], ids=["simpy", "compiled"])


def play(
    engine: ModuleType, arrivals: list[float], services: list[float], *, gate: float, workers: float, queue: float
) -> RequestLog:
    times = OpenTimes(np.array(arrivals, dtype=float), np.array(services, dtype=float))
    return engine.run(EngineInput(Limits(gate, workers, queue), times, RunLength(requests=len(arrivals))))


def play_users(
    engine: ModuleType, first: list[float], service: list[list[float]], think: list[list[float]], limits: Limits,
    round_trip_s: float = 0.0, length: RunLength | None = None,
) -> RequestLog:  # fmt: skip
    times, work = (
        UserTimes.given(np.array(first), np.array(think, dtype=float)),
        Work.given(np.array(service, dtype=float)),
    )
    return engine.run(EngineInput(limits, times, length or RunLength(requests=1_000), round_trip_s, work))


def test_a_request_that_finds_a_free_worker_starts_at_once(engine: ModuleType) -> None:
    log = play(engine, [1.0], [2.0], gate=2, workers=1, queue=1)
    assert (log.start_s[0], log.departure_s[0], log.outcome[0]) == (1.0, 3.0, SERVED)


def test_the_line_is_served_in_the_order_of_arrival(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0], [4.0, 1.0, 1.0], gate=NONE, workers=1, queue=NONE)
    assert log.start_s.tolist() == [0.0, 4.0, 5.0]
    assert log.departure_s.tolist() == [4.0, 5.0, 6.0]
    assert log.waiting_s.tolist() == [0.0, 3.0, 3.0]


def test_three_arrive_and_the_gate_lets_two_in(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0], [5.0, 5.0, 5.0], gate=2, workers=1, queue=10)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]
    assert log.departure_s.tolist() == [5.0, 10.0, 2.0]


def test_a_full_line_sheds_although_the_gate_is_open(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0], [5.0, 5.0, 5.0], gate=10, workers=1, queue=1)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_QUEUE]


def test_where_gate_and_line_are_full_at_once_the_gate_is_asked_first(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0], [5.0, 5.0, 5.0], gate=2, workers=1, queue=1)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


def test_a_gate_below_the_workers_admits_only_its_limit(engine: ModuleType) -> None:
    log = play(engine, [0.0, 0.5, 1.0, 6.0], [5.0] * 4, gate=2, workers=8, queue=0)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE, SERVED]


def test_without_any_limit_nobody_waits(engine: ModuleType) -> None:
    log = play(engine, [0.0, 0.0, 0.0], [5.0, 1.0, 3.0], gate=NONE, workers=NONE, queue=NONE)
    assert log.departure_s.tolist() == [5.0, 1.0, 3.0]


def test_a_loss_system_has_places_only_for_those_in_service(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0, 3.0], [2.5, 9.0, 9.0, 1.0], gate=2, workers=NONE, queue=0)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE, SERVED]


def test_a_completion_comes_before_an_arrival_at_the_same_moment(engine: ModuleType) -> None:
    log = play(engine, [0.0, 2.0], [2.0, 1.0], gate=1, workers=1, queue=0)
    assert log.outcome.tolist() == [SERVED, SERVED]


def test_a_worker_freed_at_the_moment_of_an_arrival_goes_to_the_line_first(engine: ModuleType) -> None:
    log = play(engine, [0.0, 1.0, 2.0], [2.0, 4.0, 1.0], gate=2, workers=1, queue=1)
    assert log.start_s.tolist()[:2] == [0.0, 2.0]
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED]
    assert log.start_s[2] == 6.0


def test_simultaneous_arrivals_enter_in_their_order(engine: ModuleType) -> None:
    log = play(engine, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], gate=2, workers=1, queue=1)
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


def test_requests_that_take_no_time_leave_room_for_the_next_at_the_same_moment(engine: ModuleType) -> None:
    log = play(engine, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], gate=1, workers=1, queue=0)
    assert log.outcome.tolist() == [SERVED] * 3


def test_a_user_thinks_after_each_answer_before_asking_again(engine: ModuleType) -> None:
    log = play_users(engine, [0.0], [[1.0, 1.0]], [[0.0, 3.0]], Limits(1, 1, 0), round_trip_s=0.5)
    assert log.arrival_s.tolist() == [0.0, 4.5]
    assert log.residence_s.tolist() == [1.5, 1.5]


def test_a_rejected_user_thinks_too(engine: ModuleType) -> None:
    log = play_users(engine, [0.0, 1.0], [[5.0, 1.0], [1.0, 1.0]], [[0.0, 9.0], [0.0, 5.0]], Limits(1, 1, 0))
    assert log.user.tolist() == [0, 1, 1, 0]
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE, SERVED, SERVED]
    assert log.arrival_s.tolist() == [0.0, 1.0, 6.0, 14.0]


def test_users_who_ask_at_the_same_moment_enter_by_their_number(engine: ModuleType) -> None:
    log = play_users(engine, [2.0, 2.0, 2.0], [[1.0]] * 3, [[0.0]] * 3, Limits(2, 1, 1))
    assert log.user.tolist() == [0, 1, 2]
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


def test_no_request_starts_after_the_horizon_but_the_last_ones_are_answered(engine: ModuleType) -> None:
    log = play_users(
        engine, [0.0], [[2.0] * 5], [[0.0] * 5], Limits(1, 1, 0), length=RunLength(horizon_s=4.0)
    )  # fmt: skip
    assert log.arrival_s.tolist() == [0.0, 2.0, 4.0]
    assert log.departure_s.tolist() == [2.0, 4.0, 6.0]
