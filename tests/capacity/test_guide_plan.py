"""The guide's plan, number by number, and as a golden document."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from capacity import CapacityPlan, GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity, scaling_timeline
from capacity import read_growth as read_growth_file

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plan() -> CapacityPlan:
    return plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide())


GOLDEN = runpy.run_path(str(ROOT / "tests/golden/make_plans.py"))


@pytest.mark.parametrize("name", GOLDEN["PLANS"])
def test_the_golden_plans_stay_as_they_are(name: str) -> None:
    expected = json.loads((GOLDEN["FOLDER"] / f"{name}.json").read_text(encoding="utf-8"))
    assert GOLDEN["document"](name) == expected, (
        f"The plan {name} changed. If that is meant: ./run python tests/golden/make_plans.py, and review the diff."
    )


def test_the_guides_files_give_the_guides_plan(plan: CapacityPlan) -> None:
    growth = read_growth_file(ROOT / "data/guide/growth.csv")
    policy = PlanningPolicy.read(ROOT / "data/guide/policy.json")
    assert plan_capacity(growth, InstanceCapacity.assumed(3_350), policy) == plan


def test_the_formula_asks_for_the_guides_instances(plan: CapacityPlan) -> None:
    assert {step.month: step.instances for step in plan.steps if not step.interpolated} == {
        0: (2, 2), 1: (2, 2), 3: (2, 3), 6: (3, 4),
    }  # fmt: skip


@pytest.mark.parametrize("interpolation", ["geometric", "linear"])
def test_the_timeline_follows_from_the_rules(interpolation: Any) -> None:
    policy = PlanningPolicy(interpolation=interpolation)
    plan = plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), policy)
    found = [(p.phase, p.from_month, p.to_month, p.min_instances, p.max_instances) for p in plan.phases]
    assert found == [("vertical", 0, 2, 1, 1), ("horizontal", 3, 4, 2, 3), ("autoscaling", 5, None, 3, 10)]


def test_every_phase_says_why(plan: CapacityPlan) -> None:
    vertical, horizontal, autoscaling = (phase.reason for phase in scaling_timeline(plan).phases)
    assert "4,472, stays below the maximum of one instance, 5,000" in vertical
    assert "2 at x1.2 up to 3 at x1.5" in horizontal
    assert "7,000, more than 2 x 3,350 = 6,700: losing one of 3 instances would break it" in autoscaling


def test_three_instances_carry_10050_and_at_most_15000(plan: CapacityPlan) -> None:
    month_3 = plan.steps[3].deployed
    assert (month_3.min, month_3.max, month_3.max_load) == (2, 3, 15_000)
    assert month_3.utilization_normal == (5_000 / 6_700, 5_000 / 10_050)


def test_one_instance_today_is_full_and_stays_so(plan: CapacityPlan) -> None:
    today, month_1, month_2 = (step.deployed for step in plan.steps[:3])
    assert (today.utilization_normal, today.utilization_max) == ((1, 1), (0.67, 0.67))
    assert month_1.utilization_max == (0.8, 0.8)
    assert 0.16 < (month_1.shed_rate or 0) < 0.17  # a little above the fluid limit, 1 - 3,350 / 4,000
    assert 0.25 < (month_2.shed_rate or 0) < 0.26


MESSAGES = {
    "ccu-unspecified": "may mean users, connections or requests in flight",
    "littles-law": "67 ms, above the P95 target of 50 ms: not impossible but implausible, the slowest 5 % would have "
    "to average 390 ms or more. If 3,350 counts users instead, their think time must be 67 ms - R",
    "utilization-base": "100 % of its normal capacity (3,350) and 67 % of its maximum (5,000)",
    "stated-percent-differs": "Month 6 is stated as +100 %, which is 6,700; its peak of 7,000 is +109.0 % "
    "(4 instances instead of 3 at x1.5)",
    "interpolated-months": "months 2, 4-5 are interpolated (geometric)",
    "formula-exceeds-timeline": "In months 0-2 the formula asks for more",
    "phase-relies-on-capacity-above-gate": "month 2 has 4,472 in flight against 3,350 on 1 instance; 25.2 %",
    "headroom-on-headroom": "x1.2 leaves 16.7 % and x1.5 leaves 33.3 % free; normal capacity is itself 67 % of the "
    "maximum, so a fleet sized by the formula peaks at 55.8 % to 44.7 % of its maximum",
    "at-the-limit-today": "100 % of the normal capacity of 1 instance: at the limit today",
    "unreachable-threshold": "ccu_utilization_max is at most 0.67 (the gate closes at 3,350 in flight, the maximum is "
    "5,000), so these thresholds cannot be reached: daily critical at 0.8, alert warning at 0.8, "
    "alert critical at 0.95, scaling scale at 0.8",
    "rps-band-edge": "3 instances on target make 150,000, past 100,000",
    "vertical-step-unsupported": "5,000 to 15,000 (x3), but only workers x2, db_pool x2, cpu_cores x2, memory_gb x2",
    "db-time-per-request": "100 leave 2 ms",
    "worker-time-per-request": "335 leave 6.7 ms, or 50 leave 1 ms",
    "linear-scaling-assumed": "10 instances are taken to carry 10 x 3,350 = 33,500",
    "no-spare-instance": "In months 0-3, 6 the peak does not survive the loss of one instance",
    "assumed-capacity": "3,350 ccu, is assumed",
}


def test_every_contradiction_of_the_guide_is_found_once(plan: CapacityPlan) -> None:
    assert sorted(finding.code for finding in plan.findings) == sorted(MESSAGES)


@pytest.mark.parametrize(("code", "part"), MESSAGES.items())
def test_the_contradiction_is_told_with_its_numbers(plan: CapacityPlan, code: str, part: str) -> None:
    (finding,) = (finding for finding in plan.findings if finding.code == code)
    assert part in finding.message
    assert finding.remedy
    assert finding.numbers


def test_the_most_severe_findings_come_first(plan: CapacityPlan) -> None:
    order = ["critical", "warning", "info"]
    ranks = [order.index(finding.severity) for finding in plan.findings]
    assert ranks == sorted(ranks)
