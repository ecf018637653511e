"""`find_capacity` over every kind of workload: theory, bad outcomes, classes, fleets, refusals."""

from __future__ import annotations

import pytest
from scipy import optimize, stats

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Constant, Exponential, Gamma
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity
from simulations import (
    Clients,
    ClosedWorkload,
    Fleet,
    InstanceCapacity,
    Objective,
    OpenWorkload,
    RequestClass,
    Retries,
    ServerModel,
    SessionWorkload,
    find_capacity,
)
from simulations.analysis.objective import ObjectiveNotMetError
from simulations.analysis.queueing_theory import closed_mmc_residence_quantile, mmc_residence_quantile, mmck
from simulations.model.workload import ProfileWorkload, Workload

MMCK = ServerModel(Deployment(workers=4, queue_capacity=6), Exponential(1.0))
OPEN = OpenWorkload(1.0)
SEEDS = 15


def least_held(level: float) -> int:
    """Fewer than this many of `SEEDS` intervals hold the truth in one of a million trials, were they exact."""
    return int(stats.binom.ppf(1e-6, SEEDS, level))


def test_the_capacity_of_an_mmck_instance_lies_in_the_interval() -> None:
    """Shed limit 2 % solved from the formula; false alarm 1e-6."""
    truth = optimize.brentq(lambda rate: mmck(rate, 1.0, 4, 10).blocked_fraction - 0.02, 0.5, 8.0)
    found = [find_capacity(MMCK, OPEN, max_bad_fraction=0.02, seed=seed) for seed in range(SEEDS)]
    assert sum(item.value.contains(truth) for item in found) >= least_held(0.9)
    assert all(abs(item.value.mid / truth - 1) < 0.05 for item in found)
    assert {item.quantity for item in found} == {Quantity.RPS}
    assert all(item.value.high / item.value.low < 1.1 for item in found)


def test_the_capacity_of_a_closed_station_lies_in_the_interval() -> None:
    """The P95 of the machine-repairman station solved from the formula; false alarm 1e-6."""
    model = ServerModel(Deployment(workers=10, queue_capacity="unlimited"), Exponential(0.1))
    quantiles = {users: float(closed_mmc_residence_quantile(users, 10, 0.1, 1.0, 0.95)) for users in range(80, 160)}
    truth = max(users for users, p95_s in quantiles.items() if p95_s <= 0.5)
    found = [
        find_capacity(model, ClosedWorkload(1, Exponential(1.0)), p95_s=0.5, seed=seed).value for seed in range(SEEDS)
    ]
    assert sum(item.contains(truth) for item in found) >= least_held(0.9)
    assert all(item.high - item.low < 8 for item in found)


def test_timing_out_slow_requests_does_not_look_better() -> None:
    """The same server with impatient clients: the served ones are faster, and nobody is fooled."""
    model = ServerModel(Deployment(workers=4, queue_capacity=400), Exponential(0.05), 0.001)
    objective = Objective(p95_s=0.3, max_bad_fraction=0.01)
    for workload in (ClosedWorkload(1, Exponential(0.3)), OpenWorkload(1.0)):
        waiting = find_capacity(model, workload, objective=objective)
        clients = Clients(timeout_s=0.3)
        impatient = type(workload)(**{**vars(workload), "clients": clients})
        giving_up = find_capacity(model, impatient, objective=objective)
        assert giving_up.value.low <= waiting.value.high
        assert giving_up.value.mid < waiting.value.mid
        praised = find_capacity(model, impatient, p95_s=0.302)
        assert praised.value.mid > 1.02 * waiting.value.high, "what a limit on served requests alone would say"


def test_a_server_that_times_out_is_judged_by_what_it_drops() -> None:
    strict = ServerModel(Deployment(workers=4, queue_capacity=400, queue_timeout_s=0.2), Exponential(0.05))
    found = find_capacity(strict, OPEN, p95_s=0.5, max_bad_fraction=0.01)
    assert found.value.high < strict.saturation_rps
    assert found.bound_by in ("workers", "bad")


def with_probe(service_s: float, *, in_objective: bool) -> ServerModel:
    probe = RequestClass("probe", 0.1, Constant(service_s), in_objective=in_objective)
    users = RequestClass("users", 0.9, Exponential(0.05))
    return ServerModel(Deployment(workers=4, queue_capacity=20), Exponential(0.05), request_classes=(users, probe))


def test_a_probe_does_not_count_but_its_work_does() -> None:
    limits = {"p95_s": 0.25, "max_bad_fraction": 0.01}
    left_out = find_capacity(with_probe(0.3, in_objective=False), OPEN, **limits)
    with pytest.raises(ObjectiveNotMetError, match="Even a load"):
        find_capacity(with_probe(0.3, in_objective=True), OPEN, **limits)
    light = find_capacity(with_probe(0.001, in_objective=False), OPEN, **limits)
    assert left_out.value.high < light.value.low


def test_an_objective_on_one_class_names_it() -> None:
    model = with_probe(0.3, in_objective=True)
    alone = find_capacity(model, OPEN, objective=Objective(0.25, 0.01, request_class="users"))
    beside = find_capacity(model, OPEN, objective=Objective(max_bad_fraction=0.3, class_limits={"users": 0.25}))
    left_out = find_capacity(with_probe(0.3, in_objective=False), OPEN, p95_s=0.25, max_bad_fraction=0.01)
    assert alone.value == left_out.value
    assert (alone.request_class, beside.request_class) == ("users", "users")
    # The time of the users' requests binds in both, so they agree up to the search's resolution.
    assert beside.value.mid == pytest.approx(alone.value.mid, rel=0.005)
    assert InstanceCapacity.from_dict(alone.to_dict()) == alone


def test_with_retries_the_logical_requests_are_judged() -> None:
    """One more try saves most of those that a full server sheds; attempts alone would be judged as before."""
    retries = Retries(most_attempts=4, backoff_s=0.5, jitter=1.0)
    once = find_capacity(MMCK, OPEN, max_bad_fraction=0.01)
    again = find_capacity(MMCK, OpenWorkload(1.0, clients=Clients(retries=retries)), max_bad_fraction=0.01)
    assert again.value.low > once.value.high


def test_a_looser_objective_never_allows_less() -> None:
    """The same random numbers at every objective; these differ by more than the search's resolution of 0.5 %."""
    by_time = [find_capacity(MMCK, OPEN, p95_s=p95, max_bad_fraction=0.2) for p95 in (3.2, 3.6, 4.0)]
    by_bad = [find_capacity(MMCK, OPEN, max_bad_fraction=share) for share in (0.01, 0.02, 0.05)]
    sessions = SessionWorkload(0.1, 5, Exponential(2.0))
    of_sessions = [find_capacity(MMCK, sessions, max_bad_fraction=share) for share in (0.02, 0.05)]
    for found in (by_time, by_bad, of_sessions):
        loads = [item.value.mid for item in found]
        assert loads == sorted(loads)
        assert loads[0] < loads[-1]


def test_two_instances_carry_about_twice_as_much_and_an_even_spread_carries_more() -> None:
    one = find_capacity(MMCK, OPEN, max_bad_fraction=0.02).value
    shared = {
        name: find_capacity(MMCK, OPEN, max_bad_fraction=0.02, fleet=Fleet(2, name)).value
        for name in ("random", "least-connections")
    }
    # Random routing splits a Poisson stream into two: exactly twice one instance, up to noise.
    assert shared["random"].low <= 2 * one.high
    assert shared["random"].high >= 2 * one.low
    assert shared["least-connections"].low > shared["random"].high


def test_arrivals_keep_their_shape_at_every_rate() -> None:
    """Regular arrivals need less room than random ones."""
    regular = find_capacity(MMCK, OpenWorkload(2.0, Gamma(0.5, 0.3)), max_bad_fraction=0.02)
    assert regular.value.low > find_capacity(MMCK, OPEN, max_bad_fraction=0.02).value.high


def test_the_bottleneck_stops_a_larger_load() -> None:
    pool = ServerModel(
        Deployment(workers=50, queue_capacity=500, db_pool=4), Constant(0.01), database_time=Exponential(0.05)
    )
    assert find_capacity(pool, OPEN, p95_s=1.0, max_bad_fraction=0.01).bound_by == "db_pool"
    cores = ServerModel(Deployment(workers=50, queue_capacity=500, cpu_cores=2), Constant(0.0), cpu_time=Constant(0.05))
    assert find_capacity(cores, OPEN, p95_s=1.0, max_bad_fraction=0.01).bound_by == "cpu"
    roomy = ServerModel(Deployment(workers=100, queue_capacity=0), Exponential(0.1))
    assert find_capacity(roomy, OPEN, max_bad_fraction=0.01).bound_by == "gate"


def test_nothing_shed_at_all_is_an_objective_of_a_closed_population() -> None:
    """Ten places for ten users; the eleventh can be turned away."""
    found = find_capacity(MMCK, ClosedWorkload(1, Exponential(1.0)), max_bad_fraction=0.0)
    assert (found.value.low, found.value.mid, found.value.high) == (10, 10, 10)


def test_draws_give_an_interval_of_parameters() -> None:
    draws = [ServerModel(MMCK.deployment, Exponential(mean_s)) for mean_s in (0.9, 0.95, 1.0, 1.05, 1.1)]
    found = find_capacity(MMCK, OPEN, max_bad_fraction=0.02, draws=draws, level=0.8)
    assert found.value.kind == "parameter"
    assert found.value.low == pytest.approx(found.value.mid / 1.1, rel=0.05)
    assert found.value.high == pytest.approx(found.value.mid / 0.9, rel=0.05)


ENDLESS = ServerModel(Deployment(workers=4, queue_capacity="unlimited"), Exponential(1.0))


@pytest.mark.parametrize(
    ("model", "workload", "objective", "message"),
    [
        (MMCK, ProfileWorkload((0.0, 10.0), (1.0, 2.0)), {"p95_s": 1.0}, "ProfileWorkload"),
        (MMCK, ClosedWorkload(5, Exponential(1.0), population=((0.0, 5),)), {"p95_s": 1.0}, "without population"),
        (MMCK, OPEN, {"p95_s": 1.0}, "Even a load of 0.004 requests"),
        (MMCK, OPEN, {"p95_s": 50.0}, "max_bad_fraction too"),
        (ENDLESS, OPEN, {"max_bad_fraction": 0.1}, "met at any load"),
        (MMCK, OPEN, {"p95_s": 5.0, "objective": Objective(p95_s=5.0)}, "not both"),
        (MMCK, OPEN, {"p95_s": 5.0, "level": 1.0}, "level"),
        (MMCK, OPEN, {"objective": Objective(max_bad_fraction=0.1, request_class="users")}, "the model has all"),
        (MMCK, ClosedWorkload(1, Exponential(1e6)), {"max_bad_fraction": 0.1}, "users, more than 2,000,000"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_for_is_refused(
    model: ServerModel, workload: Workload, objective: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        find_capacity(model, workload, **objective)  # type: ignore[arg-type]


def test_an_endless_line_is_bounded_by_its_percentile() -> None:
    """False alarm 1e-6: the interval's level."""
    found = find_capacity(ENDLESS, OPEN, p95_s=5.0, level=1 - 1e-6)
    truth = optimize.brentq(lambda rate: float(mmc_residence_quantile(rate, 1.0, 4, 0.95)) - 5.0, 0.1, 3.999)
    assert found.max_value is None
    assert found.value.contains(truth)
    assert abs(found.value.mid / truth - 1) < 0.02
