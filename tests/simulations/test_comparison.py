"""Two systems under the same luck: the difference, and what sharing the luck saved."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import simpy

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential, LogNormal
from loadtests.foundation.errors import InputError
from simulations.analysis.comparison import compare_models, compare_paired
from simulations.analysis.metrics import full_window, window_metrics
from simulations.analysis.replicated_runs import (
    ReplicationPlan,
    common_warm_up_s,
    metrics_row,
    run_replication,
)
from simulations.analysis.replications import mean_interval
from simulations.analysis.run_length import service_settling_s, warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import ABANDONED
from simulations.engines.simpy_engine import Server
from simulations.engines.simpy_stations import COMPLETION, Request
from simulations.model.clients import Clients
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload

SLOW = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(0.05))
FAST = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(0.045))
PLAN = ReplicationPlan(replications=10, requests=2_000)


class TwiceAsSlow(Server):
    """Every request takes twice its service time."""

    def work(self, request: Request) -> Generator[simpy.Event, Any, None]:
        yield self.env.at(self.env.now + 2 * request.service_s, COMPLETION, request)


def rows(values: list[float]) -> list[dict[str, float]]:
    return [{"mean_s": value} for value in values]


def test_the_difference_is_that_of_pairs() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0], [1.5, 2.4, 3.6, 4.5]
    found = compare_paired(rows(a), rows(b))["mean_s"]
    expected_interval = mean_interval([0.5, 0.4, 0.6, 0.5])
    assert found.difference.to_dict() == pytest.approx(expected_interval.to_dict())
    assert found.relative_difference.mid == pytest.approx(12.0 / 10.0 - 1)
    assert (found.pairs, found.degrees_of_freedom, found.is_significant) == (4, 3, True)
    reduction = (np.var(a, ddof=1) + np.var(b, ddof=1)) / np.var(np.subtract(b, a), ddof=1)
    assert found.variance_reduction.mid == pytest.approx(reduction, rel=1e-12)


def test_the_variance_reduction_has_the_coverage_of_its_level() -> None:
    """2,000 experiments of 15 pairs, correlation 0.8, unequal spreads: exact for normal values.

    0.93 to 0.97 is four standard errors (0.0049) either side of 0.95 (false alarm 6e-5).
    """
    rng = np.random.default_rng(11)
    true = (1.0 + 4.0) / (1.0 + 4.0 - 2 * 0.8 * 2.0)
    common, own = rng.normal(size=(2, 2_000, 15))
    a, b = common + 10.0, 2.0 * (0.8 * common + 0.6 * own) + 12.0
    found = [compare_paired(rows(list(x)), rows(list(y)))["mean_s"] for x, y in zip(a, b, strict=True)]
    assert 0.93 < np.mean([item.variance_reduction.contains(true) for item in found]) < 0.97
    assert 0.93 < np.mean([item.difference.contains(2.0) for item in found]) < 0.97
    assert 0.93 < np.mean([item.relative_difference.contains(0.2) for item in found]) < 0.97


def test_a_constant_difference_saves_without_bound_and_no_variation_says_nothing() -> None:
    shifted = compare_paired(rows([1.0, 2.0, 4.0]), rows([2.0, 3.0, 5.0]))["mean_s"]
    assert shifted.variance_reduction.mid == math.inf
    still = compare_paired(rows([1.0] * 3), rows([2.0] * 3))["mean_s"]
    assert not still.variance_reduction.is_known
    assert not compare_paired(rows([0.0] * 3), rows([2.0] * 3))["mean_s"].relative_difference.is_known


@pytest.mark.parametrize("workload", [OpenWorkload(76.0), ClosedWorkload(20, Exponential(0.15))])
def test_models_that_share_their_luck_are_told_apart_with_less(workload: OpenWorkload | ClosedWorkload) -> None:
    """Ten replications of a 10 % faster service: the means differ by many standard errors of a pair."""
    found = compare_models(SLOW, FAST, workload, PLAN, seed=3)["mean_s"]
    assert found.is_significant
    assert found.difference.high < 0
    assert found.variance_reduction.mid > 1.5


def test_common_random_numbers_save_more_than_chance() -> None:
    """The whole interval of the ratio lies above 1 (by chance in 2.5 % of seeds, if sharing saved nothing)."""
    assert compare_models(SLOW, FAST, OpenWorkload(76.0), PLAN, seed=3)["mean_s"].variance_reduction.low > 1.0


def test_a_model_does_not_differ_from_itself() -> None:
    found = compare_models(SLOW, SLOW, OpenWorkload(76.0), ReplicationPlan(3, 500))["mean_s"]
    assert (found.difference.low, found.difference.high) == (0.0, 0.0)


def test_two_balancers_meet_the_same_luck() -> None:
    """Three instances at 0.75 behind turns taken blindly and behind a look at what is inside."""
    sides = Fleet(3, "random"), Fleet(3, "least-connections")
    found = compare_models(SLOW, SLOW, OpenWorkload(180.0), PLAN, fleet=sides, seed=3)
    assert found["mean_s"].is_significant
    assert found["mean_s"].difference.high < 0
    assert found["shed_rate"].difference.high < 0
    assert found["throughput_rps"].variance_reduction.mid > 10  # the same arrivals
    assert compare_models(SLOW, SLOW, OpenWorkload(180.0), PLAN, fleet=sides[::-1], seed=3)["mean_s"].a == (
        found["mean_s"].b
    )


def test_one_fleet_serves_both_sides() -> None:
    fleet, workload = Fleet(2, "two-choices"), ClosedWorkload(40, Exponential(0.2))
    once = compare_models(SLOW, FAST, workload, PLAN, fleet=fleet)
    assert once == compare_models(SLOW, FAST, workload, PLAN, fleet=(fleet, fleet))
    assert once["busy_workers"].a.mid > 4  # more than one instance has


def test_one_more_instance_sheds_less() -> None:
    found = compare_models(SLOW, SLOW, OpenWorkload(150.0), PLAN, fleet=(Fleet(2), Fleet(3)))
    assert found["shed_rate"].difference.high < 0


def test_a_server_of_ones_own_is_compared_with_the_librarys() -> None:
    """The library's own, run in SimPy, does not differ by a bit; one that takes twice as long does."""
    plan = ReplicationPlan(3, 300, warm_up_s=1.0)
    same = compare_models(SLOW, SLOW, OpenWorkload(30.0), plan, server=(None, Server))
    assert all((item.difference.low, item.difference.high) == (0.0, 0.0) for item in same.values())
    found = compare_models(SLOW, SLOW, OpenWorkload(30.0), plan, server=(None, TwiceAsSlow))["mean_s"]
    assert found.difference.low > 0.03
    both = compare_models(SLOW, FAST, OpenWorkload(30.0), plan, server=TwiceAsSlow)["mean_s"]
    assert both.a == found.b


def test_a_replication_belongs_to_its_seed_and_counts_what_it_saw() -> None:
    row = run_replication(SLOW, OpenWorkload(100.0), PLAN, 5)
    assert row == run_replication(SLOW, OpenWorkload(100.0), PLAN, 5)
    assert row["mean_s"] != run_replication(SLOW, OpenWorkload(100.0), PLAN, 6)["mean_s"]
    assert row["sheds"] / row["requests"] == pytest.approx(row["shed_rate"], rel=1e-12)
    assert row["requests"] == pytest.approx(2_000, abs=6 * math.sqrt(2_000))  # Poisson: six standard deviations


def test_the_warm_up_is_known_where_it_has_a_closed_form() -> None:
    """Exponential: E[(S - t)+] / E[S] = exp(-t / mean), 0.1 % after 6.9 means. Constant: after its length."""
    assert service_settling_s(Exponential(2.0)) == pytest.approx(2.0 * math.log(1_000), rel=0.01)
    assert service_settling_s(Constant(3.0)) == pytest.approx(3.0, rel=1e-6)
    assert service_settling_s(LogNormal(1.0, 2.0)) > 50.0
    assert common_warm_up_s((SLOW, FAST), OpenWorkload(10.0)) == warm_up_time_s(SLOW, OpenWorkload(10.0))
    fleets = Fleet(1), Fleet(2)
    assert common_warm_up_s((SLOW, SLOW), OpenWorkload(70.0), fleets) == warm_up_time_s(SLOW, OpenWorkload(70.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_paired(rows([1.0, 2.0]), rows([1.0, 2.0])), "at least 3"),
        (lambda: compare_paired(rows([1.0] * 3), rows([1.0] * 4)), "given 3 and 4"),
        (lambda: compare_paired(rows([1.0] * 3), [{"x": 1.0}] * 3), "no metric in common"),
        (lambda: compare_paired(rows([1.0] * 3), rows([1.0] * 3), 0.0), "level"),
        (lambda: compare_models(SLOW, FAST, OpenWorkload(9.0), ReplicationPlan(2)), "replications"),
        (lambda: compare_models(SLOW, FAST, OpenWorkload(9.0), fleet=(Fleet(), Fleet(), Fleet())), "tuple of 3"),
        (lambda: compare_models(SLOW, FAST, OpenWorkload(9.0), server=(None, TwiceAsSlow)), "TwiceAsSlow.*warm_up_s"),
        (lambda: ReplicationPlan(1), "replications"),
        (lambda: ReplicationPlan(2, 10), "requests"),
        (lambda: ReplicationPlan(warm_up_s=-1.0), "warm_up_s"),
    ],
)
def test_what_is_not_possible_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


def test_only_what_the_server_turned_away_counts_as_shed() -> None:
    """With impatient clients many attempts end without an answer, and hardly any is turned away."""
    workload = OpenWorkload(45.0, clients=Clients(timeout_s=0.12))
    log = simulate_log(SLOW, workload, RunLength(20_000), seed=3)
    window = full_window(log, 0.1)
    row, plain = metrics_row(log, window), window_metrics(log, window)
    assert np.count_nonzero(log.outcome == ABANDONED) > 1_000
    assert row["sheds"] / row["requests"] == pytest.approx(plain["shed_rate"])
    assert row["p95_s"] == pytest.approx(plain["p95_s"], rel=0.05)
    assert row["p95_s"] <= 0.12
