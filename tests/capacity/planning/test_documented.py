"""The page names every key, constraint and finding of constraints and shapes."""

import re
from dataclasses import fields
from pathlib import Path

import capacity.planning
from capacity import FleetRules, InstanceLimits, InstanceShape, ServiceDemand, ShapeQuestion, choose_shape
from capacity.planning.constraints import required_by_constraints
from loadtests import Deployment, Interval

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "constraints-and-shapes.md").read_text(encoding="utf-8")
NAMED = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"[\w-]+", code)}
OWN = ("constraint_report", "alternative_findings", "shape_capacity")


def test_every_key_of_both_results_is_described() -> None:
    rules = FleetRules(max_instances=9, survives_zone_loss=True, zones=2, spare_instances=1)
    report = required_by_constraints(ServiceDemand(ccu=1), InstanceLimits(normal_ccu=1), rules).to_dict()
    shape = InstanceShape("one", Deployment(), price_per_hour=1, currency="EUR")
    peaks = {0: Interval(1, 2, 3)}
    choice = choose_shape(peaks, [shape], {"one": 1}, ShapeQuestion(rules=rules)).to_dict()
    parts = [report, report["inputs"], report["needs"][0], report["ceilings"][0], report["inputs"]["rules"], choice]
    parts += [choice["inputs"], choice["inputs"]["question"], choice["plans"][0], choice["plans"][0]["fleets"][0]]
    parts += [choice["scenarios"][0], choice["frontier"][0]]
    keys = {key for part in parts for key in part} | {need["name"] for need in report["needs"]}
    keys |= {item.name for item in fields(InstanceShape)} - {"deployment"} | {
        item.name for item in fields(ServiceDemand)
    }
    assert keys - NAMED == set()


def test_every_finding_is_explained() -> None:
    folder = Path(next(iter(capacity.planning.__path__)))
    texts = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in OWN]
    codes = {code for text in texts for code in re.findall(r'Finding\(\s*"([a-z-]+)"', text)}
    assert len(codes) > 8
    assert codes - NAMED == set()
