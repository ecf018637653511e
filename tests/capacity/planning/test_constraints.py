"""The number of instances is the maximum over all constraints; a ceiling that none can pass is said so."""

import doctest
import json
import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.planning import constraints
from capacity.planning.constraint_inputs import InstanceLimits, ServiceDemand
from capacity.planning.constraint_report import ConstraintReport
from capacity.planning.constraints import largest_load, required_by_constraints, required_fleet
from capacity.planning.fleet_rules import FleetRules
from loadtests import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact
from loadtests.foundation.units import Quantity

GUIDE_PEAK = ServiceDemand(ccu=7_000)
GUIDE_LIMITS = InstanceLimits(normal_ccu=3_350)


def need(report: ConstraintReport, name: str) -> Any:
    return next(item for item in report.needs if item.name == name)


@pytest.mark.parametrize(("factor", "instances"), [(1.2, 3), (1.5, 4)])
def test_with_one_load_it_is_the_guides_formula(factor: float, instances: int) -> None:
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, safety_factor=factor)
    assert (report.instances, report.binding.name, report.is_feasible) == (instances, "ccu", True)
    assert "7,000 ccu / 3,350" in report.binding.formula


def test_the_largest_need_binds_and_the_next_one_is_named() -> None:
    """10 requests/s: 0.5 s of CPU each are 5 cores, 3 s of a worker are 30 workers, 1 Mbit each is 10 Mbit/s."""
    demand = ServiceDemand(arrival_rate_rps=10, cpu_s_per_request=0.5, worker_time_s=3, bytes_per_request=125_000)
    limits = InstanceLimits(cpu_cores=2, workers=8, network_mbps=10)
    report = required_by_constraints(demand, limits)
    assert {item.name: item.instances for item in report.needs} == {"workers": 4, "cpu": 3, "network": 1}
    assert report.runner_up == need(report, "cpu")
    assert (report.binding.name, report.instances) == ("workers", 4)
    assert need(report, "network").instances == 1
    assert need(report, "workers").utilization == 30 / 32
    assert need(report, "cpu").utilization == 5 / 8


def test_the_cores_are_those_requested_times_their_target() -> None:
    """The guide's autoscaler: 70 % of the 2 requested cores are 1.4, not 70 % of the limit of 4."""
    demand = ServiceDemand(arrival_rate_rps=14, cpu_s_per_request=0.1)
    report = required_by_constraints(demand, InstanceLimits(cpu_cores=2, cpu_target_percent=70))
    assert report.instances == 1
    more = ServiceDemand(arrival_rate_rps=14.0001, cpu_s_per_request=0.1)
    assert required_by_constraints(more, InstanceLimits(cpu_cores=2, cpu_target_percent=70)).instances == 2


def test_memory_in_flight_follows_from_rate_and_residence_time() -> None:
    """100 requests/s that stay 0.5 s are 50 in flight; at 4 MiB each they fill 200 of the 100 MiB beside the base."""
    demand = ServiceDemand(arrival_rate_rps=100, residence_time_s=0.5, memory_mib_per_in_flight=4)
    limits = InstanceLimits(memory_mib=250, memory_target_percent=80, memory_base_mib=100)
    report = required_by_constraints(demand, limits)
    assert (report.instances, report.binding.name) == (2, "memory")
    assert "Little's law" in report.binding.source


def test_no_number_of_instances_helps_where_an_idle_one_fills_its_memory() -> None:
    demand = ServiceDemand(in_flight=10, memory_mib_per_in_flight=1)
    report = required_by_constraints(demand, InstanceLimits(memory_mib=100, memory_base_mib=100))
    assert (report.instances, report.is_feasible, report.binding.name) == (None, False, "memory")
    assert [item.code for item in report.findings] == ["constraint-cannot-be-met"]


@pytest.mark.parametrize(
    ("rules", "name", "instances"),
    [
        (FleetRules(spare_instances=2), "spare_instances", 5),
        (FleetRules(zones=3, survives_zone_loss=True), "zone_loss", 5),
        (FleetRules(zones=2, survives_zone_loss=True), "zone_loss", 6),
        (FleetRules(max_unavailable=1), "rolling_update", 4),
        (FleetRules(max_unavailable="25%"), "rolling_update", 3),
        (FleetRules(max_unavailable="34%"), "rolling_update", 4),
        (FleetRules(max_surge=0, max_unavailable="10%"), "rolling_update", 4),
    ],
)
def test_a_loss_leaves_enough(rules: FleetRules, name: str, instances: int) -> None:
    """Three instances carry 7,000 at 3,350. Of 5 in 3 zones, 2 are in the fullest; 25 % of 3 are rounded down to 0."""
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, rules)
    assert need(report, name).instances == instances


def test_headroom_may_be_used_up_by_a_loss_unless_the_rules_keep_it() -> None:
    few = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, FleetRules(spare_instances=1), 1.5)
    assert (few.instances, few.binding.name) == (4, "ccu")
    more = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, FleetRules(spare_instances=1, loss_safety_factor=1.5), 1.5)
    assert (more.instances, more.binding.name) == (5, "spare_instances")


def test_an_update_that_only_adds_instances_asks_for_nothing() -> None:
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, FleetRules(max_surge=1, max_unavailable=0))
    assert [item.name for item in report.needs] == ["ccu"]
    assert report.runner_up is None


def test_updates_may_be_kept_away_from_the_peak() -> None:
    rules = FleetRules(max_unavailable="50%", carries_peak_during_update=False)
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, rules)
    assert report.instances == 3
    assert [item.name for item in report.needs] == ["ccu"]


def test_the_guides_pools_pass_a_stock_database() -> None:
    """100 connections less 3 reserved: no instance with a pool of 200 fits. That is said, with what would fit."""
    rules = FleetRules(database_max_connections=100, database_reserved_connections=3)
    report = required_by_constraints(GUIDE_PEAK, InstanceLimits(normal_ccu=3_350, db_pool=200), rules, 1.2)
    assert (report.instances, report.is_feasible, report.ceilings[0].most_instances) == (3, False, 0)
    assert report.largest_peak == {"ccu": 0}
    assert report.changes == (
        "a pool of at most 24 connections an instance (db_pool)",
        "a pooler between instances and database, which shares connections",
        "a database that takes at least 803 connections (database_max_connections)",
    )


def test_a_ceiling_has_room_for_what_an_update_adds() -> None:
    """1,000 connections in pools of 200 are 5 instances at a time: 4 and the one that an update adds."""
    limits = InstanceLimits(normal_ccu=3_350, db_pool=200)
    report = required_by_constraints(ServiceDemand(ccu=13_400), limits, FleetRules(database_max_connections=1_000))
    assert (report.instances, report.ceilings[0].most_instances, report.is_feasible) == (4, 4, True)
    more = required_by_constraints(ServiceDemand(ccu=13_401), limits, FleetRules(database_max_connections=1_000))
    assert (more.instances, more.is_feasible) == (5, False)
    assert more.largest_peak == {"ccu": 13_400}
    assert "a smaller max_surge, which adds instances during an update" in more.changes
    assert "adding instances cannot help" in more.findings[0].message


def test_no_pool_size_helps_where_the_database_is_too_slow() -> None:
    """1,000 requests/s that each hold a connection for 0.2 s hold 200 at once; the database takes 100."""
    demand = ServiceDemand(arrival_rate_rps=1_000, database_time_s=0.2)
    report = required_by_constraints(demand, InstanceLimits(db_pool=10), FleetRules(database_max_connections=100))
    assert report.changes == ("a database that takes at least 210 connections (database_max_connections)",)


def test_a_quota_counts_what_an_update_adds() -> None:
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, FleetRules(max_instances=3, max_surge="25%"))
    assert (report.instances, report.ceilings[0].most_instances, report.is_feasible) == (3, 2, False)
    assert report.changes == ("a quota of at least 4 instances (max_instances), or a larger instance",)
    assert report.largest_peak == {"ccu": 6_700}


def test_what_is_half_stated_is_not_checked_and_said() -> None:
    demand = ServiceDemand(ccu=100, cpu_s_per_request=0.1)
    report = required_by_constraints(demand, InstanceLimits(normal_ccu=50, db_pool=10, memory_mib=100))
    assert report.not_checked == (
        "cpu: cpu_cores and arrival_rate_rps not stated",
        "memory: memory_mib_per_in_flight not stated",
        "db_pool: database_time_s and arrival_rate_rps not stated",
    )
    assert [item.code for item in report.findings] == ["constraint-not-checked"]


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(InputError, match="no constraint in common"):
        required_by_constraints(ServiceDemand(users=10), GUIDE_LIMITS)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: FleetRules(zones=1, survives_zone_loss=True), "at least 2"),
        (lambda: FleetRules(max_surge=0), "both 0"),
        (lambda: FleetRules(database_max_connections=3, database_reserved_connections=3), "below the database's 3"),
        (lambda: FleetRules(max_surge="0%", max_unavailable="0%"), "both 0"),
        (lambda: FleetRules(max_unavailable="100%"), "nothing would serve"),
        (lambda: FleetRules(max_surge="a lot"), "a percentage such as"),
        (lambda: FleetRules(max_surge=-1), "max_surge"),
        (lambda: FleetRules(spare_instances=0.5), "spare_instances"),  # type: ignore[arg-type]
        (lambda: FleetRules(survives_zone_loss="no"), "true or false"),  # type: ignore[arg-type]
        (lambda: FleetRules.from_dict({"zone": 2}), "have no zone"),
        (lambda: FleetRules(loss_safety_factor=0.5), "at least 1"),
        (lambda: ServiceDemand(ccu=-1), "ccu is -1"),
        (lambda: ServiceDemand.from_dict({"cpu": 1}), "have no cpu"),
        (lambda: ServiceDemand(arrival_rate_rps=math.nan), "arrival_rate_rps"),
        (lambda: InstanceLimits(normal_rps=0), "normal_rps is 0"),
        (lambda: InstanceLimits(cpu_cores=2, cpu_target_percent=140), "at most 100"),
        (lambda: required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, safety_factor=0.9), "at least 1"),
    ],
)
def test_what_is_not_allowed_is_named(make: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()


def test_a_month_of_a_growth_fills_in_its_peak() -> None:
    per_request = ServiceDemand(cpu_s_per_request=0.1)
    assert per_request.peaked(Quantity.RPS, 14) == ServiceDemand(arrival_rate_rps=14, cpu_s_per_request=0.1)


def test_the_example_of_the_docstring_is_true() -> None:
    assert doctest.testmod(constraints).attempted > 0
    assert doctest.testmod(constraints).failed == 0


def test_a_deployments_limits_are_taken_where_they_are_numbers() -> None:
    deployment = Deployment(workers=50, db_pool="unlimited", cpu_cores=4.0)
    assert InstanceLimits.of_deployment(deployment, memory_mib=4_096) == InstanceLimits(
        workers=50, cpu_cores=4.0, memory_mib=4_096
    )


counts, factors = st.integers(0, 10**6), st.integers(100, 300).map(lambda value: value / 100)
hundredths = st.integers(1, 500).map(lambda value: value / 100)
demands = st.builds(
    ServiceDemand, ccu=counts, arrival_rate_rps=hundredths, cpu_s_per_request=hundredths, worker_time_s=hundredths,
    database_time_s=hundredths, memory_mib_per_in_flight=hundredths, bytes_per_request=counts,
)  # fmt: skip
instances_limits = st.builds(
    InstanceLimits, normal_ccu=st.integers(1, 5_000), cpu_cores=hundredths, cpu_target_percent=st.integers(1, 100),
    memory_mib=st.integers(200, 10_000), memory_base_mib=st.integers(0, 100), memory_target_percent=st.just(80),
    workers=st.integers(1, 500), db_pool=st.integers(1, 300), network_mbps=hundredths,
)  # fmt: skip
shares = st.integers(0, 90).map(lambda value: f"{value}%")
all_rules = st.builds(
    FleetRules, spare_instances=st.integers(0, 3), zones=st.integers(2, 5), survives_zone_loss=st.booleans(),
    max_surge=st.integers(1, 5) | shares.filter(lambda text: text != "0%"), max_unavailable=st.integers(0, 5) | shares,
    carries_peak_during_update=st.booleans(), loss_safety_factor=factors,
    database_max_connections=st.none() | st.integers(1, 10**6), max_instances=st.none() | st.integers(1, 10**5),
)  # fmt: skip


def broken(report: ConstraintReport, fleet: int, share: Fraction = Fraction(1)) -> set[str]:
    """Constraints that a fleet breaks, counted apart from the code under test: in products, without quotients."""
    d, own, rules = report.demand, report.limits, report.rules
    rate = share * exact("", d.arrival_rate_rps or 0)
    usable = exact("", own.memory_mib or 0) * 80 / 100 - exact("", own.memory_base_mib)
    sides = {
        "ccu": (share * exact("", d.ccu or 0), exact("", own.normal_ccu or 0)),
        "cpu": (rate * exact("", d.cpu_s_per_request or 0), own.usable_cores or Fraction(0)),
        "memory": (share * exact("", d.ccu or 0) * exact("", d.memory_mib_per_in_flight or 0), usable),
        "workers": (rate * exact("", d.worker_time_s or 0), exact("", own.workers or 0)),
        "db_pool": (rate * exact("", d.database_time_s or 0), exact("", own.db_pool or 0)),
        "network": (rate * exact("", d.bytes_per_request or 0) * 8, exact("", own.network_mbps or 0) * 10**6),
    }
    factor, in_loss = exact("", report.safety_factor), exact("", rules.loss_safety_factor)
    found = {name for name, (asked, each) in sides.items() if asked * factor > fleet * each}
    zones = [fleet // rules.zones + (zone < fleet % rules.zones) for zone in range(rules.zones)]
    unavailable, existing = update_of(rules, fleet)
    left = {"spare_instances": fleet - rules.spare_instances} if rules.spare_instances else {}
    left |= {"zone_loss": fleet - max(zones)} if rules.survives_zone_loss else {}
    if rules.carries_peak_during_update and rules.max_unavailable not in (0, "0%"):
        left["rolling_update"] = fleet - unavailable
    for name, serving in left.items():
        if any(asked * in_loss > serving * each for asked, each in sides.values()):
            found.add(name)
    if rules.database_max_connections and existing * (own.db_pool or 0) > rules.database_max_connections:
        found.add("database_connections")
    if rules.max_instances and existing > rules.max_instances:
        found.add("max_instances")
    return found


def update_of(rules: FleetRules, fleet: int) -> tuple[int, int]:
    surge, unavailable = rules.max_surge, rules.max_unavailable
    added = surge if isinstance(surge, int) else -(-int(surge[:-1]) * fleet // 100)
    taken = unavailable if isinstance(unavailable, int) else int(unavailable[:-1]) * fleet // 100
    return min(taken, fleet), fleet + added


CEILINGS = {"database_connections", "max_instances"}


@given(demands, instances_limits, all_rules, factors)
def test_so_many_instances_meet_every_constraint_and_one_less_breaks_the_binding_one(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules, factor: float
) -> None:
    report = required_by_constraints(demand, limits, rules, factor)
    fleet = report.instances
    assert fleet == max(item.instances or 0 for item in report.needs)
    assert fleet is not None
    assert broken(report, fleet) - CEILINGS == set()
    assert fleet == 0 or report.binding.name in broken(report, fleet - 1)
    assert report.is_feasible == (not broken(report, fleet) & CEILINGS)
    for item in report.needs:
        assert item.instances is not None
        assert item.name not in broken(report, item.instances)
        assert item.instances == 0 or item.name in broken(report, item.instances - 1)


@given(demands, instances_limits, all_rules, factors)
def test_a_ceiling_carries_what_it_says_and_not_a_millionth_more(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules, factor: float
) -> None:
    report = required_by_constraints(demand, limits, rules, factor)
    for ceiling in report.ceilings:
        assert ceiling.most_instances == 0 or not broken(report, ceiling.most_instances) & {ceiling.name}
        assert ceiling.name in broken(report, ceiling.most_instances + 1)
    if report.ceilings and report.largest_share:
        most, share = report.ceilings[0].most_instances, exact("", report.largest_share)
        assert broken(report, most, share) == set()
        assert broken(report, most, share * Fraction(1_000_001, 1_000_000))


@given(demands, instances_limits, all_rules, factors, st.integers(1, 1_000))
def test_more_demand_or_a_larger_factor_never_needs_fewer(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules, factor: float, more: int
) -> None:
    few = required_by_constraints(demand, limits, rules, factor).instances or 0
    for field, value in demand.to_dict().items():
        larger = ServiceDemand.from_dict(demand.to_dict() | {field: value + more})
        assert (required_by_constraints(larger, limits, rules, factor).instances or 0) >= few
    assert (required_by_constraints(demand, limits, rules, factor + more / 100).instances or 0) >= few


@given(demands, instances_limits, all_rules, factors, st.integers(1, 1_000))
def test_more_resources_never_need_more(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules, factor: float, more: int
) -> None:
    many = required_by_constraints(demand, limits, rules, factor).instances or 0
    for field, value in limits.to_dict().items():
        if field == "memory_base_mib" or field.endswith("percent"):
            continue
        larger = InstanceLimits.from_dict(limits.to_dict() | {field: value + more})
        assert (required_by_constraints(demand, larger, rules, factor).instances or 0) <= many


@given(demands, instances_limits, all_rules, factors)
def test_the_json_form_reads_back_as_the_same_report(
    demand: ServiceDemand, limits: InstanceLimits, rules: FleetRules, factor: float
) -> None:
    report = required_by_constraints(demand, limits, rules, factor)
    assert ConstraintReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


@pytest.mark.parametrize(("peak", "capacity", "factor", "instances"), [(33_500, 3_350, 1.1, 11), (0.3, 0.1, 1, 3)])
def test_a_result_that_is_whole_is_not_rounded_up(peak: float, capacity: float, factor: float, instances: int) -> None:
    report = required_by_constraints(ServiceDemand(ccu=peak), InstanceLimits(normal_ccu=capacity), safety_factor=factor)
    assert report.instances == instances


def test_the_report_is_shown_as_text_table_and_html() -> None:
    rules = FleetRules(spare_instances=1, max_instances=4)
    report = required_by_constraints(GUIDE_PEAK, GUIDE_LIMITS, rules, 1.2)
    assert report.summary().startswith("4 instances, bound by spare_instances, then ccu; NOT feasible")
    assert list(report.to_frame()["name"]) == ["spare_instances", "ccu"]
    assert "bound by spare_instances" in report._repr_html_()
    assert repr(report) == "ConstraintReport(4 instances, bound by spare_instances, then ccu; NOT feasible)"
    with pytest.raises(InputError, match="constraint-report"):
        ConstraintReport.from_dict({"kind": "plan"})


def test_contention_makes_a_fleet_carry_less_than_the_sum_of_its_instances():
    """USL: 10 instances at 5 % carry 10 / 1.45 = 6.9 of one; 7 of one take 7 x 0.95 / 0.65 = 10.2, so 11."""
    rules = FleetRules(contention=0.05)
    assert rules.carried(10) == Fraction(200, 29)
    assert [rules.instances_for(Fraction(load)) for load in (0, 1, 7, 19, 20)] == [0, 1, 11, 361, None]
    demand, limits = ServiceDemand(users=700), InstanceLimits(normal_users=100)
    found = required_by_constraints(demand, limits, rules)
    assert (found.instances, required_by_constraints(demand, limits).instances) == (11, 7)
    assert "at a contention of 0.05 11 carry" in found.binding.formula
    spare = required_by_constraints(demand, limits, replace(rules, spare_instances=2))
    assert spare.instances == 13


def test_no_fleet_keeps_a_factor_through_a_loss_where_contention_leaves_less():
    """At 0.05 no fleet carries 20 instances' load: 17 without a loss, but 17 x 1.25 with one missing by no number."""
    demand, limits = ServiceDemand(ccu=1_700), InstanceLimits(normal_ccu=100)
    rules = FleetRules(contention=0.05, spare_instances=1, loss_safety_factor=1.25)
    report = required_by_constraints(demand, limits, rules)
    assert (report.instances, report.binding.name, report.is_feasible) == (None, "spare_instances", False)
    assert "21.25 of one; at a contention of 0.05 no number carries" in report.binding.formula
    assert required_by_constraints(demand, limits, replace(rules, spare_instances=0)).instances == 108
    assert required_fleet(Fraction(17), replace(rules, spare_instances=0), Fraction(1)) == 108


def test_no_fleet_carries_more_than_contention_leaves():
    found = required_by_constraints(
        ServiceDemand(users=2_100), InstanceLimits(normal_users=100), FleetRules(contention=0.05)
    )
    assert found.instances is None
    assert any("no fleet carries more than 20 of one" in text for text in found.changes)
    assert "constraint-cannot-be-met" in {item.code for item in found.findings}


@given(st.fractions(0, 40), st.sampled_from([0, 0.01, 0.02, 0.3]), st.integers(0, 3), st.integers(10, 15))
def test_the_largest_load_of_a_fleet_is_the_inverse_of_the_fleet_for_a_load(load, contention, spare, tenths):
    rules, factor = FleetRules(contention=contention, spare_instances=spare), Fraction(tenths, 10)
    fleet = required_fleet(load, rules, factor)
    if fleet is None:
        assert contention * load * factor >= 1
    else:
        assert largest_load(fleet, rules, factor) >= load
        assert fleet == 0 or largest_load(fleet - 1, rules, factor) < load or fleet <= spare


@pytest.mark.parametrize("bad", [-0.1, 1, float("nan")])
def test_a_contention_that_is_none_is_refused(bad):
    with pytest.raises(InputError, match="contention"):
        FleetRules(contention=bad)
