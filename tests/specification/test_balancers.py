"""Which instance an attempt goes to."""

from __future__ import annotations

import pytest

from simulations.engines.random_streams import STAGE_ROUTE, uniforms
from simulations.engines.request_log import ABANDONED, SERVED
from simulations.model.clients import Clients, Retries
from simulations.model.fleet import Balancer, Fleet
from simulations.model.server_model import Limits
from support.stories import KEY, Engine, arrivals, on_both_engines, users

pytestmark = on_both_engines

MANY = 64


def luck(user: int, cycle: int, attempt: int = 0) -> tuple[float, float]:
    first, second = uniforms(KEY, cycle, user, attempt=attempt, stage=STAGE_ROUTE)
    return float(first), float(second)


def drawn(user: int, cycle: int, attempt: int = 0) -> int:
    """The instance of `MANY` that an attempt's own number names."""
    return int(luck(user, cycle, attempt)[0] * MANY)


def test_round_robin_takes_turns_whatever_is_inside(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 2.0, 3.0], service=[0.5, 9.0, 9.0, 9.0], fleet=Fleet(3)))
    assert log.instance.tolist() == [0, 1, 2, 0]


def test_round_robin_counts_attempts_that_are_turned_away_too(run: Engine) -> None:
    clients = Clients(retries=Retries(2, 1.0, jitter=0.0))
    log = run(arrivals([0.0, 0.0, 0.5, 0.75], Limits(gate=1), service=9.0, clients=clients, fleet=Fleet(2)))
    assert log.instance.tolist() == [0, 1, 0, 1, 0, 1]


def test_random_goes_by_the_attempts_own_number(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 2.0], service=9.0, fleet=Fleet(MANY, "random")))
    assert log.instance.tolist() == [drawn(0, 0), drawn(0, 1), drawn(0, 2)]


def test_least_connections_takes_the_emptiest(run: Engine) -> None:
    log = run(arrivals([0.0, 0.0, 0.0, 2.0, 3.0], service=[9.0, 1.0, 9.0, 9.0, 9.0],
                       fleet=Fleet(3, "least-connections")))  # fmt: skip
    # At 2 only number 1 is empty; at 3 all hold one, and 2 is next in turn.
    assert log.instance.tolist() == [0, 1, 2, 1, 2]


def test_least_connections_gives_ties_to_the_next_in_turn(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0, 2.0, 3.0], service=0.5, fleet=Fleet(3, "least-connections")))
    assert log.instance.tolist() == [0, 1, 2, 0]


def test_least_connections_counts_those_who_wait_and_those_without_a_client(run: Engine) -> None:
    fleet = Fleet(2, "least-connections")
    log = run(arrivals([0.0, 0.0, 0.5, 2.0, 2.0], Limits(workers=1), service=[5.0, 1.0, 5.0, 1.0, 1.0],
                       clients=Clients(1.0), fleet=fleet))  # fmt: skip
    # Number 2 waits at 0; both clients there have given up by 2, yet instance 1 is still the emptier one, twice.
    assert log.instance.tolist() == [0, 1, 0, 1, 1]
    assert log.outcome.tolist()[2] == ABANDONED


def test_two_choices_takes_the_less_loaded_of_the_two(run: Engine) -> None:
    """With two instances, both are always asked: the tie goes to the first one drawn."""
    log = run(arrivals([0.0, 1.0, 2.0, 6.0], service=[5.0, 9.0, 1.0, 9.0], fleet=Fleet(2, "two-choices")))
    first = int(luck(0, 0)[0] * 2)
    # At 2 both hold one: the tie goes to the first drawn. At 6 the first to come has gone.
    assert log.instance.tolist() == [first, 1 - first, int(luck(0, 2)[0] * 2), first]


def test_two_choices_never_looks_at_a_third(run: Engine) -> None:
    log = run(arrivals([0.0, 1.0], service=9.0, fleet=Fleet(MANY, "two-choices")))
    one, two = luck(0, 1)
    first, second = int(one * MANY), int(two * (MANY - 1))
    second += second >= first
    assert log.instance[1] == (second if log.instance[0] == first else first)
    assert log.instance[0] == drawn(0, 0)


@pytest.mark.parametrize("balancer", ["round-robin", "random", "two-choices", "least-connections", "per-connection"])
def test_one_instance_gets_everything(run: Engine, balancer: Balancer) -> None:
    log = run(users([0.0, 0.0], [[0.0, 1.0]] * 2, service=1.0, fleet=Fleet(1, balancer)))
    assert log.instance.tolist() == [0, 0, 0, 0]


def test_a_connection_stays_where_it_was_opened(run: Engine) -> None:
    log = run(users([0.0, 0.0], [[0.0, 1.0, 1.0]] * 2, service=1.0, fleet=Fleet(MANY, "per-connection")))
    for user in (0, 1):
        assert log.instance[log.user == user].tolist() == [drawn(user, 0)] * 3
    assert drawn(0, 0) != drawn(1, 0)


def test_a_connection_is_opened_anew_when_its_keep_alive_has_ended(run: Engine) -> None:
    fleet = Fleet(MANY, "per-connection")
    log = run(users([0.0], [[0.0, 1.0, 1.0, 1.0, 1.0]], service=1.0, clients=Clients(keep_alive_s=4.0), fleet=fleet))
    assert log.arrival_s.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert log.instance.tolist() == [drawn(0, cycle) for cycle in (0, 0, 2, 2, 4)]
    assert len({drawn(0, cycle) for cycle in (0, 2, 4)}) == 3


def test_a_client_that_gave_up_opens_a_new_connection(run: Engine) -> None:
    fleet = Fleet(MANY, "per-connection")
    log = run(users([0.0], [[0.0, 1.0, 1.0]], service=[[1.0, 5.0, 1.0]], clients=Clients(2.0), fleet=fleet))
    assert log.outcome.tolist() == [SERVED, ABANDONED, SERVED]
    assert log.instance.tolist() == [drawn(0, 0), drawn(0, 0), drawn(0, 2)]


def test_an_open_arrival_opens_a_connection_and_keeps_it_for_its_retries(run: Engine) -> None:
    clients = Clients(retries=Retries(3, 1.0, jitter=0.0))
    fleet = Fleet(MANY, "per-connection")
    log = run(arrivals([0.0, 1.0], Limits(gate=0), clients=clients, fleet=fleet))
    for position in (0, 1):
        assert log.instance[log.cycle == position].tolist() == [drawn(0, position)] * 3
