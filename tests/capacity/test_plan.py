"""Plans of all kinds of inputs: what they decide, and how they are kept."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity import CapacityPlan, GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity, scaling_timeline
from capacity.demand.growth_points import GrowthPoint
from capacity.planning.policy import AutoscalingBounds, ServiceTargets
from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity

LONG = 40
measured = InstanceCapacity(Quantity.USERS, Interval(180, 200, 215), bound_by="p95", valid_up_to=240)


def plan_of(points: dict[int, float], capacity: Any, quantity: str = "users", **policy: Any) -> CapacityPlan:
    known = capacity if isinstance(capacity, InstanceCapacity) else InstanceCapacity.assumed(capacity, quantity)
    return plan_capacity(GrowthProjection.from_points(points, quantity), known, PlanningPolicy(**policy))


def codes(plan: CapacityPlan) -> set[str]:
    return {finding.code for finding in plan.findings}


peaks = st.lists(st.floats(1, 1e6), min_size=1, max_size=12).map(lambda values: dict(enumerate(values)))
capacities = st.floats(1, 1e5)
policies = st.builds(
    PlanningPolicy,
    safety_factor=st.tuples(st.integers(100, 150), st.integers(150, 300)).map(lambda f: (f[0] / 100, f[1] / 100)),
    lead_time_months=st.integers(0, 3),
    utilization_percent=st.one_of(st.none(), st.integers(10, 100)),
    autoscaling=st.builds(AutoscalingBounds, st.integers(1, 5), st.integers(5, 20)),
)


@given(peaks, capacities, policies)
def test_phases_follow_each_other_without_gaps(
    points: dict[int, float], capacity: float, policy: PlanningPolicy
) -> None:
    plan = plan_capacity(GrowthProjection.from_points(points), InstanceCapacity.assumed(capacity), policy)
    names = [phase.phase for phase in plan.phases]
    ranks = [["vertical", "horizontal", "autoscaling"].index(name) for name in names]
    assert ranks == sorted(set(ranks))
    assert plan.phases[0].from_month == 0
    assert plan.phases[-1].to_month is None
    for before, after in zip(plan.phases[:-1], plan.phases[1:], strict=True):
        assert before.to_month == after.from_month - 1
    for step in plan.steps:
        assert [phase.phase for phase in plan.phases if phase.covers(step.month)] == [step.phase]


@given(peaks, capacities, policies)
def test_what_runs_at_the_peak_lies_within_the_phase(
    points: dict[int, float], capacity: float, policy: PlanningPolicy
) -> None:
    plan = plan_capacity(GrowthProjection.from_points(points), InstanceCapacity.assumed(capacity), policy)
    for step in plan.steps:
        low, high = step.deployed.at_peak
        assert 1 <= step.deployed.min <= low <= high <= step.deployed.max
        if step.phase != "vertical":
            assert step.deployed.max >= step.instances[1]


@given(peaks, capacities, policies)
def test_every_plan_survives_its_json(points: dict[int, float], capacity: float, policy: PlanningPolicy) -> None:
    plan = plan_capacity(GrowthProjection.from_points(points), InstanceCapacity.assumed(capacity), policy)
    assert CapacityPlan.from_dict(json.loads(plan.to_json())) == plan


def test_a_plan_is_saved_and_loaded(tmp_path: Path) -> None:
    plan = plan_of({0: 100, 3: 900}, measured)
    assert CapacityPlan.load(plan.save(tmp_path / "plan.json")) == plan


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{}", "schema_version None"),
        ('{"schema_version": 99}', "this version reads 1"),
        ('{"schema_version": 1}', "not a plan"),
        ("[1]", "must hold a JSON object"),
        ("nothing", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=named):
        CapacityPlan.load(tmp_path / "plan.json")


def test_the_json_has_the_documented_keys() -> None:
    document = plan_of({0: 100, 3: 900}, 200).to_dict()
    assert {"schema_version", "seed", "versions", "inputs", "quantity", "instance_capacity"} < set(document)
    step = document["steps"][1]
    assert (step["month"], step["date"], step["interpolated"], step["order_by"]) == (1, None, True, None)
    assert {"peak_users", "instances", "phase", "deployed", "bound_by", "reason"} < set(step)
    assert set(step["deployed"]) == {"min", "max", "max_users"}
    assert set(document["phases"][0]) == {"phase", "from_month", "to_month", "instances", "reason"}


def test_a_plan_shows_itself() -> None:
    plan = plan_of({0: 100, 3: 900}, measured)
    assert repr(plan).startswith("CapacityPlan(months 0-3, peak 900 users, vertical > autoscaling")
    assert "200 (180 to 215) users" in plan.summary()
    assert "<table>" in plan._repr_html_()
    frame = plan.to_frame()
    assert frame["month"].tolist() == [0, 1, 2, 3]
    assert {"peak_users", "instances_low", "instances_high", "at_peak_high", "shed_rate"} <= set(frame)
    timeline = scaling_timeline(plan)
    assert timeline.to_frame()["to_month"].isna().tolist() == [False, True]
    assert "autoscaling" in timeline.summary()
    assert "<table>" in timeline._repr_html_()
    assert timeline.to_dict()["last_month"] == 3


def test_a_measured_capacity_is_planned_at_its_low_end_and_shown_over_its_interval() -> None:
    plan = plan_of({0: 900}, measured)
    low, _ = plan.steps[0].needs
    assert (low.instances, low.at_mid, low.least, low.most) == (6, 6, 6, 6)
    assert plan_of({0: 1_700}, measured).steps[0].needs[0].instances == 12
    assert plan_of({0: 1_700}, measured).steps[0].needs[0].at_mid == 11
    assert "capacity-uncertain" in codes(plan_of({0: 1_700}, measured))


def test_the_range_of_a_peak_changes_the_shown_range_not_the_plan() -> None:
    growth = GrowthProjection((GrowthPoint(0, 1_000, 500, 2_000),), Quantity.USERS)
    plan = plan_capacity(growth, InstanceCapacity.assumed(200, "users"))
    need = plan.steps[0].needs[1]
    assert (need.instances, need.least, need.most) == (8, 4, 15)
    assert "demand-uncertain" in codes(plan)


def test_a_plan_of_other_numbers_says_nothing_of_the_guide() -> None:
    plan = plan_of({0: 100, 6: 150}, InstanceCapacity(Quantity.USERS, Interval(200, 210, 220), bound_by="p95"))
    assert codes(plan) == {
        "headroom-on-headroom", "interpolated-months", "linear-scaling-assumed", "no-spare-instance",
        "utilization-base",
    }  # fmt: skip
    assert "3,350" not in plan.summary()
    assert "5,000" not in plan.summary()


def test_without_a_higher_maximum_one_instance_serves_up_to_its_normal_capacity() -> None:
    plan = plan_of({0: 100, 1: 200, 2: 300}, 200, utilization_percent=None)
    assert (plan.phases[0].phase, plan.phases[0].to_month) == ("vertical", 0)
    assert {"headroom-on-headroom", "utilization-base"}.isdisjoint(codes(plan))


def test_a_stated_maximum_counts_more_than_the_policys_utilization() -> None:
    plan = plan_of({0: 390}, InstanceCapacity.assumed(200, "users", max_value=400))
    assert plan.phases[0].phase == "vertical"
    assert plan.steps[0].deployed.max_load == 400


def test_the_look_ahead_reaches_as_far_as_the_lead_time() -> None:
    points = {0: 500, 1: 500, 2: 500, 3: 500, 4: 5_000}
    starts = {
        lead: scaling_timeline(plan_of(points, 200, lead_time_months=lead)).phases[-1].from_month for lead in (0, 1, 3)
    }
    assert starts == {0: 4, 1: 3, 3: 1}


def test_a_need_beyond_the_autoscalers_bound_raises_it_and_says_so() -> None:
    plan = plan_of({0: 500, 1: 6_000}, 200)
    assert plan.phases[-1].max_instances == 45
    assert plan.steps[-1].bound_by == "autoscaling_max"
    assert "autoscaling-max-raised" in codes(plan)


def test_users_and_requests_per_second_do_not_mix() -> None:
    with pytest.raises(InputError, match=r"growth counts users, the instance capacity rps.*think time"):
        plan_of({0: 100}, InstanceCapacity.assumed(200, "rps"))


@pytest.mark.parametrize(("demand", "capacity"), [("ccu", "users"), ("rps", "ccu")])
def test_an_unspecified_count_takes_the_other_sides_meaning_and_says_so(demand: str, capacity: str) -> None:
    plan = plan_of({0: 100}, InstanceCapacity.assumed(200, capacity), demand)
    assert "ccu-unspecified" in codes(plan)
    assert f"peak_{demand}" in plan.to_dict()["steps"][0]


@pytest.mark.parametrize("value", [Interval(0, 200, 300), Interval(-5, 200, 300), Interval(100, 200, math.inf)])
def test_a_capacity_that_may_be_nothing_is_refused(value: Interval) -> None:
    with pytest.raises(InputError, match="low end must be above 0"):
        plan_of({0: 100}, InstanceCapacity(Quantity.USERS, value))


@pytest.mark.parametrize("arguments", [({0: 1}, None), (None, 3_350), (None, None, {})])
def test_wrong_kinds_of_inputs_are_named(arguments: tuple[Any, ...]) -> None:
    usual = (GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy())
    given_ = [other if other is not None else own for other, own in zip(arguments, usual, strict=False)]
    with pytest.raises(InputError, match="make it with"):
        plan_capacity(*given_)


def test_requests_in_flight_above_a_stated_gate_are_critical() -> None:
    plan = plan_of({0: 150}, 120, "in_flight", deployment=Deployment(gate_limit=100))
    (finding,) = (f for f in plan.findings if f.code == "phase-relies-on-capacity-above-gate")
    assert finding.severity == "critical"
    assert finding.numbers["shed_rate"] == pytest.approx(1 - 100 / 150, abs=0.02)


def test_an_unlimited_gate_sheds_nothing_that_is_known() -> None:
    plan = plan_of({0: 150}, 120, "in_flight", deployment=Deployment(gate_limit="unlimited"))
    assert plan.steps[0].deployed.shed_rate is None
    assert "phase-relies-on-capacity-above-normal" in codes(plan)


def test_measured_users_meet_the_gate_through_their_requests_in_flight() -> None:
    capacity = InstanceCapacity(
        Quantity.USERS, Interval(300, 300, 300), bound_by="gate", in_flight=Interval(75, 75, 75)
    )
    plan = plan_of({0: 280}, capacity, deployment=Deployment(gate_limit=60))
    (finding,) = (f for f in plan.findings if f.code == "phase-relies-on-capacity-above-gate")
    assert finding.numbers["in_flight"] == 70
    assert finding.severity == "warning"


@pytest.mark.parametrize("quantity", ["users", "rps"])
def test_what_is_in_flight_beyond_the_measured_load_is_not_known(quantity: str) -> None:
    """400 users on an instance measured at 300 have far more in flight than 4/3 as much."""
    capacity = InstanceCapacity(
        Quantity.parse(quantity), Interval(300, 300, 300), bound_by="gate", in_flight=Interval(100, 100, 100)
    )
    plan = plan_of({0: 290, 1: 400}, capacity, quantity, deployment=Deployment(gate_limit=120))
    within, beyond = plan.steps
    assert within.deployed.shed_rate is not None
    assert beyond.deployed.at_peak == (1, 1)
    assert beyond.deployed.shed_rate is None
    assert beyond.to_dict(plan.quantity)["shed_rate"] is None
    assert plan.summary().splitlines()[3].split()[-1] == "-"
    assert "phase-relies-on-capacity-above-normal" in codes(plan)


def test_where_peaks_fall_the_first_months_counts_are_told_and_phases_stay() -> None:
    plan = plan_of({0: 7_000, 1: 1_000}, 3_350)
    (phase,) = plan.phases
    assert "Month 0 needs 7,000, " in phase.reason
    assert "asks for 3 at x1.2 up to 4 at x1.5 (1-4 over the phase)" in phase.reason
    (finding,) = (f for f in plan.findings if f.code == "demand-falls")
    assert "month 1: 1,000 after 7,000" in finding.message
    assert "demand-falls" not in codes(plan_of({0: 1_000, 1: 900}, 3_350))


def test_a_plan_keeps_where_its_capacity_came_from() -> None:
    origin = {"model": "model.json", "p95_s": 0.05}
    plan = replace(plan_of({0: 100}, measured), seed=7, capacity_inputs=origin)
    assert (plan.to_dict()["seed"], plan.to_dict()["inputs"]["capacity"]) == (7, origin)
    assert CapacityPlan.from_dict(json.loads(plan.to_json())) == plan


def test_a_huge_gate_takes_the_fluid_limit() -> None:
    plan = plan_of({0: 1.2e6}, 1e6, "in_flight")
    assert plan.steps[0].deployed.shed_rate == pytest.approx(1 / 6)


def test_a_plan_beyond_the_evidence_says_so() -> None:
    assert "capacity-beyond-evidence" in codes(plan_of({0: 250}, measured))
    assert "capacity-beyond-evidence" not in codes(plan_of({0: 230}, measured))


def test_users_with_a_throughput_target_state_their_cycle() -> None:
    plan = plan_of({0: 100}, 200, targets=ServiceTargets(rps_per_instance=100))
    (finding,) = (f for f in plan.findings if f.code == "littles-law")
    assert finding.severity == "info"
    assert "the think time must be 2 s - R" in finding.message


def test_a_plausible_target_raises_no_finding() -> None:
    plan = plan_of({0: 10}, 20, "in_flight", targets=ServiceTargets(rps_per_instance=1_000, p95_s=0.05))
    assert "littles-law" not in codes(plan)


def test_extrapolated_months_are_marked_and_reported() -> None:
    growth = GrowthProjection.from_points({0: 100, 1: 110}, "users", extrapolate_to=LONG)
    plan = plan_capacity(growth, InstanceCapacity.assumed(200, "users"))
    assert sum(step.extrapolated for step in plan.steps) == LONG - 1
    assert "extrapolated" in codes(plan)
