"""What counts as bad, whose requests count, and what is not known: tiny logs with exact answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential
from loadtests.foundation.errors import InputError
from simulations import Clients, Objective, OpenWorkload, RequestClass, Retries, ServerModel, judge
from simulations.analysis.metrics import Window
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import (
    ABANDONED,
    FAILED,
    OUTCOME_NAMES,
    SERVED,
    SHED_AT_GATE,
    SHED_AT_QUEUE,
    TIMED_OUT,
    RequestLog,
    Waits,
)

MIX = ServerModel(
    Deployment(), Constant(0.1),
    request_classes=(RequestClass("users"), RequestClass("probe", in_objective=False), RequestClass("batch")),
)  # fmt: skip
ALL = Window(0.0, 100.0)


def log_of(*rows: tuple[float, float, int, int], waits: Waits | None = None) -> RequestLog:
    """Rows of (sent, residence, outcome, class), each a logical request of its own."""
    sent, took, outcome, kind = (np.array(column) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(rows), np.int64)
    return RequestLog(
        sent.astype(float), sent.astype(float), (sent + took).astype(float), outcome.astype(np.int8), zeros,
        np.arange(len(rows)), zeros, zeros, kind.astype(np.int64), waits or Waits(),
    )  # fmt: skip


@pytest.mark.parametrize("outcome", [SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT, ABANDONED, FAILED])
def test_whatever_does_not_end_served_is_bad(outcome: int) -> None:
    log = log_of((1, 0.5, SERVED, 0), (2, 0.5, outcome, 0), (3, 0.7, SERVED, 0), (4, 0.6, SERVED, 0))
    found = judge(log, ALL, MIX, Objective(max_bad_fraction=0.2))
    assert found.bad_fraction == 0.25
    assert found.outcomes[OUTCOME_NAMES[outcome]] == 1
    assert not found.is_met
    assert judge(log, ALL, MIX, Objective(max_bad_fraction=0.25)).is_met


def test_percentiles_are_those_of_served_requests() -> None:
    log = log_of((1, 0.1, SERVED, 0), (2, 9.0, TIMED_OUT, 0), (3, 0.3, SERVED, 0))
    found = judge(log, ALL, MIX, Objective(p95_s=1.0, percentiles_s={0.5: 0.15}))
    assert [(item.limit.name, item.is_kept) for item in found.parts] == [("p50", False), ("p95", True)]
    assert [item.value for item in found.parts] == pytest.approx([0.2, 0.29])


def test_probes_do_not_count() -> None:
    log = log_of((1, 0.1, SERVED, 0), (2, 0.1, SHED_AT_GATE, 1), (3, 5.0, SERVED, 1), (4, 0.1, SERVED, 2))
    found = judge(log, ALL, MIX, Objective(p95_s=0.2, max_bad_fraction=0.0))
    assert (found.requests, found.bad_fraction, found.is_met) == (2, 0.0, True)


def test_one_class_can_be_judged_alone_or_beside_all() -> None:
    log = log_of((1, 0.1, SERVED, 0), (2, 0.8, SERVED, 2), (3, 0.1, SHED_AT_GATE, 2))
    alone = judge(log, ALL, MIX, Objective(p95_s=0.2, max_bad_fraction=0.1, request_class="users"))
    assert (alone.requests, alone.is_met) == (1, True)
    beside = judge(log, ALL, MIX, Objective(p95_s=1.0, class_limits={"batch": 0.5}))
    assert [(item.limit.request_class, item.is_kept) for item in beside.parts] == [(None, True), ("batch", False)]


def test_requests_belong_to_the_window_in_which_they_end() -> None:
    log = log_of((1, 0.1, SERVED, 0), (1, 3.0, SHED_AT_GATE, 0), (5, 0.1, SHED_AT_GATE, 0))
    assert judge(log, Window(1.0, 4.0), MIX, Objective(max_bad_fraction=0.0)).outcomes["served"] == 1
    assert judge(log, Window(1.0, 4.5), MIX, Objective(max_bad_fraction=0.5)).bad_fraction == 0.5


def test_with_retries_a_request_counts_once_with_all_the_time_that_it_took() -> None:
    waits = Waits(most_attempts=3, is_retried=(False, True, True, True, True, True))
    columns = {"user": [0, 0, 0, 1], "cycle": [0, 0, 0, 0], "attempt": [0, 1, 2, 0]}
    whole = {name: np.array(values, np.int64) for name, values in columns.items()}
    zeros, sent = np.zeros(4, np.int64), np.array([1.0, 2.0, 3.0, 1.0])
    outcome = np.array([SHED_AT_GATE, SHED_AT_QUEUE, SERVED, SERVED], np.int8)
    log = RequestLog(sent, sent, sent + 0.1, outcome, **whole, instance=zeros, request_class=zeros, waits=waits)
    found = judge(log, ALL, MIX, Objective(p95_s=1.0, max_bad_fraction=0.0))
    assert (found.requests, found.bad_fraction) == (2, 0.0)
    assert found.parts[1].value == pytest.approx(np.quantile([2.1, 0.1], 0.95))


def test_the_ledger_of_one_attempt_each_is_the_logical_one() -> None:
    """The short cut without retries judges the same requests as the ledger."""
    model = ServerModel(Deployment(workers=2, queue_capacity=3, queue_timeout_s=0.05), Exponential(0.1))
    once = OpenWorkload(25.0, clients=Clients(timeout_s=0.3, retries=Retries(most_attempts=1)))
    log = simulate_log(model, once, RunLength(5_000), seed=3)
    ledger = log.logical()
    window, objective = Window(10.0, 150.0), Objective(p95_s=1.0, max_bad_fraction=0.1)
    found = judge(log, window, model, objective)
    inside = (ledger.answered_s >= window.start_s) & (ledger.answered_s < window.end_s)
    served = inside & (ledger.outcome == SERVED)
    assert found.requests == np.count_nonzero(inside)
    assert 0.0 < found.bad_fraction == pytest.approx(1 - np.count_nonzero(served) / np.count_nonzero(inside))
    assert found.parts[1].value == pytest.approx(np.quantile(ledger.total_s[served], 0.95))


def test_what_was_not_seen_is_not_kept() -> None:
    nothing = judge(log_of((1, 0.1, SERVED, 0)), Window(50.0, 60.0), MIX, Objective(p95_s=1.0, max_bad_fraction=0.5))
    assert all(math.isnan(item.value) for item in nothing.parts)
    assert not nothing.is_met
    none_served = judge(log_of((1, 0.1, FAILED, 0)), ALL, MIX, Objective(p95_s=1.0), level=0.9)
    assert math.isnan(none_served.parts[0].value)
    assert not none_served.parts[0].interval.is_known
    assert not none_served.is_met


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective(), "needs a limit"),
        (lambda: Objective(request_class="users"), "needs a limit"),
        (lambda: Objective(p95_s=0.0), "p95_s"),
        (lambda: Objective(p95_s=math.nan), "p95_s"),
        (lambda: Objective(max_bad_fraction=1.0), "max_bad_fraction is 1.0"),
        (lambda: Objective(max_bad_fraction=-0.1), "between 0 and 1"),
        (lambda: Objective(percentiles_s={95: 0.1}), "percentile of 95"),
        (lambda: Objective(percentiles_s={0.0: 0.1}), "between 0 and 1"),
        (lambda: Objective(class_limits={"users": -1.0}), "users"),
        (lambda: judge(log_of((1, 0.1, SERVED, 0)), ALL, MIX, Objective(class_limits={"user": 1.0})), "users, probe"),
        (lambda: judge(log_of((1, 0.1, SERVED, 0)), ALL, MIX, Objective(1.0, request_class="bat")), "class bat"),
    ],
)  # fmt: skip
def test_bad_objectives_are_named(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


def test_an_objective_that_no_class_counts_for_is_refused() -> None:
    probes = ServerModel(Deployment(), Constant(0.1), request_classes=(RequestClass("probe", in_objective=False),))
    with pytest.raises(InputError, match="name one"):
        Objective(p95_s=1.0).check(probes)
    Objective(p95_s=1.0, request_class="probe").check(probes)


def test_an_objective_says_what_it_bounds() -> None:
    whole = Objective(0.05, 0.001, {0.99: 0.2}, {"users": 0.1}, "users")
    assert whole.to_dict() == {
        "p95_s": 0.05, "max_bad_fraction": 0.001, "percentiles_s": {"0.99": 0.2}, "class_limits": {"users": 0.1},
        "request_class": "users",
    }  # fmt: skip
    assert [item.name for item in whole.limits] == ["bad", "p95", "p99", "p95"]
