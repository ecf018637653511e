"""The gate whose counter is set back: it admits while fewer are inside than its limit plus those it forgot.

The first arrival more than `gate_reset_s` after the last reset (the start, at first) resets it.
"""

from __future__ import annotations

from simulations.engines.request_log import SERVED, SHED_AT_GATE, SHED_AT_QUEUE
from simulations.model.fleet import Fleet
from simulations.model.server_model import Limits
from support.stories import Engine, arrivals, on_both_engines

pytestmark = on_both_engines

ONE_AND_FORGETS = Limits(gate=1, gate_reset_s=10.0)


def test_an_arrival_exactly_the_period_after_the_start_resets_nothing(run: Engine) -> None:
    log = run(arrivals([0.0, 10.0], ONE_AND_FORGETS, service=99.0))
    assert log.outcome.tolist() == [SERVED, SHED_AT_GATE]


def test_an_arrival_more_than_the_period_after_the_start_is_let_in_beside_the_forgotten(run: Engine) -> None:
    log = run(arrivals([0.0, 10.5, 11.0], ONE_AND_FORGETS, service=99.0))
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


def test_the_period_runs_from_the_last_reset(run: Engine) -> None:
    log = run(arrivals([0.0, 15.0, 25.0, 25.5], ONE_AND_FORGETS, service=99.0))
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE, SERVED]


def test_an_arrival_that_resets_counts_as_one_inside_afterwards(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 11.0, 12.0, 13.0], Limits(gate=2, gate_reset_s=10.0), service=99.0))
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED, SERVED, SHED_AT_GATE]


def test_the_forgotten_make_room_when_they_leave_and_once_more(run: Engine) -> None:
    """Room for those inside now plus the limit, until the next reset; so 1 + 1 although the first has gone."""
    log = run(arrivals([0.0, 11.0, 12.5, 13.0], ONE_AND_FORGETS, service=[12.0, 99.0, 99.0, 99.0]))
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED, SHED_AT_GATE]


def test_a_reset_while_nobody_is_inside_changes_nothing(run: Engine) -> None:
    log = run(arrivals([0.0, 11.0, 12.0], ONE_AND_FORGETS, service=[1.0, 99.0, 99.0]))
    assert log.outcome.tolist() == [SERVED, SERVED, SHED_AT_GATE]


def test_an_arrival_that_the_full_line_sheds_has_reset_the_gate_too(run: Engine) -> None:
    short = Limits(gate=1, workers=1, queue=0, gate_reset_s=10.0)
    log = run(arrivals([0.0, 11.0, 12.5, 13.0], short, service=[12.0, 1.0, 99.0, 1.0]))
    assert log.outcome.tolist() == [SERVED, SHED_AT_QUEUE, SERVED, SHED_AT_QUEUE]


def test_every_instance_forgets_by_itself(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 11.0, 11.5, 11.5], ONE_AND_FORGETS, service=99.0, fleet=Fleet(2)))
    assert log.instance.tolist() == [0, 1, 0, 1, 0]
    assert log.outcome.tolist() == [SERVED, SERVED, SERVED, SERVED, SHED_AT_GATE]
