"""A plan with constraints asks for the largest need of every month, and says where that is more than the formula."""

from __future__ import annotations

import json

import pytest

from capacity import (
    CapacityPlan,
    FleetRules,
    GrowthProjection,
    InstanceCapacity,
    InstanceLimits,
    PlanConstraints,
    PlanningPolicy,
    ServiceDemand,
    plan_capacity,
)
from capacity.interfaces import cli
from capacity.output.report import write_report
from capacity.planning.planner import with_constraints
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval

GROWTH = GrowthProjection.from_points([(0, 1_000), (2, 3_000)], "users")
POLICY = PlanningPolicy(safety_factor=(1.0, 1.2))
BUSY = PlanConstraints(
    ServiceDemand(arrival_rate_rps=2, cpu_s_per_request=0.001), InstanceLimits(cpu_cores=1, cpu_target_percent=50)
)


def plan_of(constraints):
    return plan_capacity(GROWTH, InstanceCapacity.assumed(500, "users"), POLICY, constraints=constraints)


def test_without_further_limits_the_needs_are_those_of_the_formula():
    plan = plan_of(PlanConstraints())
    needs = [(item.low.instances, item.high.instances) for item in plan.constraints.months]
    assert needs == [step.instances for step in plan.steps]
    assert {item.high.binding.name for item in plan.constraints.months} == {"users"}
    assert "constraint-binds" not in {item.code for item in plan.findings}


def test_what_a_unit_asks_grows_with_the_peak_and_the_binding_constraint_is_named():
    """3,000 users send 6,000 requests a second of 1 ms: six cores, half of a core an instance."""
    plan = plan_of(BUSY)
    assert [(item.low.instances, item.high.instances) for item in plan.constraints.months] == [(4, 5), (7, 9), (12, 15)]
    (binds,) = (item for item in plan.findings if item.code == "constraint-binds")
    assert binds.numbers == {"months": [0, 1, 2], "binding": "cpu", "instances": 15}
    assert list(plan.constraints.to_frame()["runner_up"]) == ["users"] * 3


def test_a_constraint_binds_where_it_asks_for_more_at_the_high_factor():
    """2,000 requests a second of 1 ms: 2.86 instances, 3.43 with the factor; the formula says 2 and 3."""
    plan = plan_of(PlanConstraints(BUSY.per_unit, InstanceLimits(cpu_cores=1, cpu_target_percent=70)))
    today = plan.constraints.months[0]
    assert ((today.low.instances, today.high.instances), plan.steps[0].instances) == ((3, 4), (2, 3))
    (binds,) = (item for item in plan.findings if item.code == "constraint-binds")
    assert binds.numbers["months"][0] == 0


def test_a_ceiling_that_is_passed_is_critical_and_says_from_which_month():
    rules = FleetRules(database_max_connections=103, database_reserved_connections=3)
    plan = plan_of(PlanConstraints(limits=InstanceLimits(db_pool=20), rules=rules))
    (passed,) = (item for item in plan.findings if item.code == "constraint-ceiling-passed")
    assert plan.findings[0] == passed
    assert (passed.severity, passed.numbers["months"]) == ("critical", [1, 2])
    assert passed.message.startswith("In months 1-2, most in month 2: users asks for 8 instances")
    (first,) = (item for item in plan.constraints.months[1].high.findings if item.severity == "critical")
    assert passed.remedy != first.remedy  # what is enough for month 1 is not for month 2
    assert [item.high.is_feasible for item in plan.constraints.months] == [True, False, False]


def test_a_spare_instance_is_asked_for_beyond_the_formula():
    plan = plan_of(PlanConstraints(rules=FleetRules(spare_instances=1)))
    assert [item.low.instances for item in plan.constraints.months] == [3, 5, 7]
    assert "spare instances" in plan.summary()


def test_a_plan_with_constraints_is_the_same_after_its_file(tmp_path):
    plan = plan_of(BUSY)
    assert CapacityPlan.load(plan.save(tmp_path / "plan.json")).to_dict() == plan.to_dict()


def test_the_report_shows_the_largest_needs(tmp_path):
    plan_of(BUSY).save(tmp_path / "plan.json")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<h3>Largest need over all constraints</h3>" in page
    assert "<td>12-15</td><td>cpu</td><td>users</td>" in page


def test_asking_again_replaces_the_findings_about_constraints():
    again = with_constraints(plan_of(BUSY), PlanConstraints())
    assert "constraint-binds" not in {item.code for item in again.findings}


def test_the_command_reads_them_from_a_file(tmp_path, capsys):
    file = tmp_path / "constraints.toml"
    file.write_text('[limits]\ndb_pool = 200\n\n[rules]\ndatabase_max_connections = 1000\nmax_surge = "25%"\n')
    words = ["plan", "--growth", "guide", "--instance-capacity", "3350", "--constraints", str(file)]
    assert cli.run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [item["high"]["needs"][0]["name"] for item in document["constraints"]["months"]] == ["ccu"] * 7
    assert cli.run(words) == 0
    assert "Largest need over all constraints" in capsys.readouterr().out
    file.write_text("[limit]\ndb_pool = 200\n")
    assert cli.run(words) == 2
    assert "no limit; allowed are per_unit, limits, rules" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [("[limits", "not valid TOML"), ("[limits]\nworkers = 0\n", "workers is 0"), (None, "does not exist")],
)
def test_files_that_hold_no_constraints_are_refused(tmp_path, text, said):
    file = tmp_path / "constraints.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=said):
        PlanConstraints.read(file)


def test_an_autoscaler_that_may_run_more_than_there_can_be_is_told_its_maximum():
    """The autoscaler runs up to ten; of 90 connections eight have 10 each, as an update adds one."""
    few, more = (
        PlanConstraints(limits=InstanceLimits(db_pool=pool), rules=FleetRules(database_max_connections=90))
        for pool in (6, 10)
    )
    assert "autoscaler-beyond-ceiling" not in {item.code for item in plan_of(few).findings}
    (said,) = (item for item in plan_of(more).findings if item.code == "autoscaler-beyond-ceiling")
    assert said.numbers == {"autoscaler_max": 10, "ceiling": "database_connections", "most_instances": 8}


def test_a_capacity_in_the_constraints_that_is_not_the_plan_s_is_said():
    same, other = (plan_of(PlanConstraints(limits=InstanceLimits(normal_users=size))) for size in (500, 400))
    assert "constraint-capacity-replaced" not in {item.code for item in same.findings}
    (said,) = (item for item in other.findings if item.code == "constraint-capacity-replaced")
    assert said.numbers == {"normal_users": 400, "capacity": 500}
    assert [item.low.instances for item in other.constraints.months] == [step.instances[0] for step in other.steps]


MEASURED = {
    "cpu_s_per_request": Interval(0.8e-3, 1e-3, 1.2e-3, 0.9, "parameter"),
    "memory_per_request_bytes": Interval(2.0**20, 2.0**21, 2.0**22, 0.9, "parameter"),
    "memory_base_bytes": Interval(90 * 2.0**20, 100 * 2.0**20, 110 * 2.0**20, 0.9, "parameter"),
}


def test_what_a_calibration_s_gauges_told_fills_in_what_the_file_leaves_out():
    """Upper ends: 1.2 ms of a core, 4 MiB a request in flight, 110 MiB idle."""
    stated = PlanConstraints(
        ServiceDemand(arrival_rate_rps=2, in_flight=0.1), InstanceLimits(cpu_cores=1, memory_mib=1_000)
    )
    filled = stated.with_measured(MEASURED)
    assert filled.per_unit == ServiceDemand(
        arrival_rate_rps=2, in_flight=0.1, cpu_s_per_request=0.0012, memory_mib_per_in_flight=4
    )
    assert filled.limits == InstanceLimits(cpu_cores=1, memory_mib=1_000, memory_base_mib=110)
    plan = plan_of(filled)
    assert plan.constraints.months[0].high.binding.name == "cpu", "2,000/s x 1.2 ms x 1.2 of a core: three instances"
    (said,) = (item for item in plan.findings if item.code == "constraint-from-calibration")
    assert said.numbers == {"cpu_s_per_request": 0.0012, "memory_mib_per_in_flight": 4, "memory_base_mib": 110}
    assert CapacityPlan.from_dict(json.loads(json.dumps(plan.to_dict()))).constraints.inputs == filled


def test_what_the_file_states_wins_and_assumptions_fill_in_nothing():
    assert BUSY.with_measured(MEASURED) == BUSY
    without_limits = PlanConstraints(ServiceDemand(arrival_rate_rps=2), InstanceLimits(network_mbps=100))
    assert without_limits.with_measured(MEASURED) == without_limits
    needy = PlanConstraints(ServiceDemand(arrival_rate_rps=2), InstanceLimits(cpu_cores=1, memory_mib=500))
    assumed = {name: Interval.assumed(0.0) for name in MEASURED}
    assert needy.with_measured(assumed) == needy
    own_base = PlanConstraints(ServiceDemand(in_flight=1), InstanceLimits(memory_mib=500, memory_base_mib=50))
    assert own_base.with_measured(MEASURED).limits.memory_base_mib == 50
