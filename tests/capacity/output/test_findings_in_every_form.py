"""Every finding that a plan must name is there with code, severity, numbers and remedy: as JSON, text and HTML."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import pytest

from capacity import CapacityPlan, GrowthProjection, InstanceCapacity, PlanningPolicy, plan_capacity
from capacity.interfaces.commands_plan import print_plan
from capacity.output.report import write_report
from loadtests import Interval
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity

GUIDE = {
    "littles-law": "residence_time_s",
    "worker-time-per-request": "time_per_request_s",
    "db-time-per-request": "time_per_request_s",
    "unreachable-threshold": "thresholds",
    "headroom-on-headroom": "planned_utilization_max",
    "phase-relies-on-capacity-above-gate": "in_flight",
    "vertical-step-unsupported": "ratios",
}
BEYOND = {"capacity-beyond-evidence": "valid_up_to", "extrapolated": "months"}


@pytest.fixture(scope="module")
def guide() -> CapacityPlan:
    return plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide())


@pytest.fixture(scope="module")
def beyond() -> CapacityPlan:
    """Measured up to 150 users an instance, planned with 200, in months that nobody stated."""
    growth = replace(GrowthProjection.from_points([(0, 900), (2, 1_100)], "users"), extrapolate_to=4)
    one = InstanceCapacity(Quantity.USERS, Interval(180, 200, 215), bound_by="p95", valid_up_to=150)
    return plan_capacity(growth, one, PlanningPolicy(utilization_percent=None))


@pytest.fixture(params=[("guide", code, key) for code, key in GUIDE.items()] + [("beyond", *p) for p in BEYOND.items()])
def case(request: pytest.FixtureRequest) -> tuple[CapacityPlan, Finding, str]:
    name, code, key = request.param
    plan = request.getfixturevalue(name)
    (finding,) = (item for item in plan.findings if item.code == code)
    return plan, finding, key


def test_json_has_all_of_it(case: tuple[CapacityPlan, Finding, str]) -> None:
    plan, finding, key = case
    stored = next(item for item in json.loads(plan.to_json())["findings"] if item["code"] == finding.code)
    assert stored["severity"] in {"info", "warning", "critical"}
    assert stored["message"]
    assert stored["remedy"]
    assert stored["numbers"][key] not in (None, [], {})


def test_text_has_all_of_it(case: tuple[CapacityPlan, Finding, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A message has its numbers in it."""
    plan, finding, _ = case
    print_plan(plan)
    printed = " ".join(capsys.readouterr().out.split())
    summary = " ".join(plan.summary().split())
    for text in (printed, summary):
        assert finding.message in text
        assert f"[{finding.code}]" in text
        assert finding.remedy in text
    assert f"{finding.severity} {finding.message}" in printed
    assert f"{finding.severity}: {finding.message}" in summary
    assert any(character.isdigit() for character in finding.message)


def test_html_has_all_of_it(case: tuple[CapacityPlan, Finding, str], tmp_path: Path) -> None:
    plan, finding, key = case
    plan.save(tmp_path / "plan.json")
    for page in (write_report(tmp_path).read_text(encoding="utf-8"), plan._repr_html_()):
        text = html.unescape(page)
        for part in (finding.code, finding.severity, finding.message, finding.remedy, finding.numbers_text):
            assert part in text, part
        assert key.replace("_", " ") in finding.numbers_text
    assert f"<strong>{finding.severity}</strong>: " in write_report(tmp_path).read_text(encoding="utf-8")


def test_a_claim_that_its_resources_carry_is_no_finding() -> None:
    """And neither is a gate wide enough, nor a plan within its evidence."""
    one = InstanceCapacity(Quantity.USERS, Interval(180, 200, 215), bound_by="p95", valid_up_to=240)
    plan = plan_capacity(
        GrowthProjection.from_points([(0, 900), (1, 1_100)], "users"), one, PlanningPolicy(utilization_percent=None)
    )
    assert not {*GUIDE, *BEYOND} & {item.code for item in plan.findings}
