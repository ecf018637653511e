"""CPU time on shared cores (processor sharing): n requests on k cores each run at the rate min(1, k / n)."""

from __future__ import annotations

from simulations.model.fleet import Fleet, LimitChange
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines

pytestmark = on_both_engines

ONE_CORE = Limits(cpu_cores=1.0)


def test_a_request_alone_has_a_core_for_itself(run: Engine) -> None:
    assert run(arrivals([1.0], ONE_CORE, cpu=2.0)).departure_s.tolist() == [3.0]


def test_two_equal_requests_on_one_core_take_twice_as_long(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], ONE_CORE, cpu=1.5))
    assert log.departure_s.tolist() == [3.0, 3.0]
    assert log.start_s.tolist() == [0.0, 0.0]


def test_nobody_runs_faster_than_one_core(run: Engine) -> None:
    assert run(arrivals([0.0, 0.0], Limits(cpu_cores=8.0), cpu=[1.0, 3.0])).departure_s.tolist() == [1.0, 3.0]


def test_four_requests_on_two_cores_run_at_half_speed(run: Engine) -> None:
    log = run(arrivals([0.0] * 4, Limits(cpu_cores=2.0), cpu=[1.0, 1.0, 2.0, 2.0]))
    assert log.departure_s.tolist() == [2.0, 2.0, 3.0, 3.0]


def test_half_a_core_takes_twice_as_long(run: Engine) -> None:
    assert run(arrivals([0.0], Limits(cpu_cores=0.5), cpu=1.0)).departure_s.tolist() == [2.0]


def test_one_that_joins_halfway_slows_the_other_down_from_then_on(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], ONE_CORE, cpu=[2.0, 0.5]))
    assert log.departure_s.tolist() == [2.5, 2.0]


def test_a_short_one_overtakes_a_long_one(run: Engine) -> None:
    log = run(arrivals([0.0, 2.0, 2.5], ONE_CORE, cpu=[4.0, 0.25, 1.0]))
    # 2 to 2.5: two share, the short one is done; 2.5 on: the first has 1.75 left, the third 1.
    assert log.departure_s.tolist() == [5.25, 2.5, 4.5]


def test_only_who_has_a_worker_takes_part(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0], Limits(workers=2, cpu_cores=1.0), cpu=1.0))
    assert log.departure_s.tolist() == [2.0, 2.0, 3.0]
    assert log.start_s.tolist() == [0.0, 0.0, 2.0]


def test_database_and_service_times_are_not_shared(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], ONE_CORE, cpu=[1.0, 1.0], database=[2.0, 4.0], service=[3.0, 0.5]))
    assert log.departure_s.tolist() == [7.0, 6.5]


def test_a_request_without_cpu_time_passes_by(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0], ONE_CORE, cpu=[0.0, 1.0], service=[0.5, 0.0]))
    assert log.departure_s.tolist() == [0.5, 1.0]


def test_more_cores_speed_up_what_is_left(run: Engine) -> None:
    fleet = Fleet(changes=(LimitChange(1.0, cpu_cores=2.0),))
    log = run(arrivals([0.0, 0.0], ONE_CORE, cpu=2.0, fleet=fleet))
    assert log.departure_s.tolist() == [2.5, 2.5]


def test_every_instance_has_cores_of_its_own(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0], ONE_CORE, cpu=1.0, fleet=Fleet(2)))
    assert log.instance.tolist() == [0, 1, 0]
    assert log.departure_s.tolist() == [2.0, 1.0, 2.0]
