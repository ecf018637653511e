"""The pages name what the code has: finding codes of the guide's plan, columns and keys of every file."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pytest

from capacity import (
    CapacityPlan,
    DatedEvent,
    EventCalendar,
    GrowthProjection,
    InstanceCapacity,
    OrderingRules,
    PlanningPolicy,
    TrafficHistory,
    actuals_against_plan,
    compare_plans,
    forecast_growth,
    plan_capacity,
)
from capacity.demand import growth
from capacity.planning.planner import with_orders
from capacity.thresholds import Measurements, Metric, ThresholdProfiles, judge_thresholds
from capacity.thresholds.scaling import Action
from loadtests import (
    ComparisonRule,
    Deployment,
    Exponential,
    Interval,
    LogNormal,
    QueryMap,
    RecordingComparison,
    preflight,
)
from loadtests.comparison.result import Difference
from loadtests.comparison.rule import SHARES
from loadtests.foundation.findings import Finding
from loadtests.foundation.server_access import Access
from loadtests.foundation.units import Quantity
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.journals.journal import MARK_COLUMNS, MarkEvent
from loadtests.knee.knee_search import KneeOptions, StopReason, search_knee
from loadtests.knee.knee_step import KneeObjective, KneeStep
from loadtests.live.windows import LIVE_METRICS, ObservedWindow
from loadtests.load import load_report
from loadtests.load.abort import Aborted, parse_abort
from loadtests.load.load_report import OfferedLoad
from loadtests.load.pacing import PacingKind
from loadtests.load.plan import LoadPlan
from loadtests.prometheus import importer
from loadtests.prometheus.importer import SAMPLE_COLUMNS
from loadtests.prometheus.query_map import DEFAULT_GAUGES
from loadtests.recording import STEP_METRICS, Cut, LoadStep
from loadtests.staging.fault_log import FAULT_LOG_HEADER
from loadtests.staging.faults import KINDS
from loadtests.staging.service_log import HEADER
from loadtests.tables import GENERATOR_COLUMNS, LATENCY_BIN_COLUMNS, OUTCOMES, REQUEST_COLUMNS, SCHEDULE_COLUMNS
from loadtests.trust.judge import CHECKS
from loadtests.trust.report import CheckResult, TrustReport
from simulations import (
    CalibrationResult,
    CapacityCurve,
    Fleet,
    LoadPrediction,
    OpenWorkload,
    ServerModel,
    ValidationReport,
)
from simulations.analysis.capacity_curve import CapacityPoint
from simulations.analysis.metrics import METRIC_NAMES
from simulations.calibration import drift_findings
from simulations.calibration.drift_result import (
    Direction,
    DriftReport,
    DriftVerdict,
    JudgedValue,
    JudgedWindow,
    MetricDrift,
    Pattern,
)
from simulations.calibration.further_step import NextStep
from simulations.calibration.load_prediction import UTILIZATIONS
from simulations.calibration.model_form import ModelForm
from simulations.calibration.result import ParameterDraws
from simulations.calibration.scalability import Scalability
from simulations.calibration.scoring import FormScore
from simulations.calibration.service_shapes import measured_shape
from simulations.calibration.validation import LIMITS, MetricComparison, StepValidation
from simulations.engines import event_kernel, recursion_kernels, simpy_engine

DOCS = Path(__file__).parents[2] / "docs"
ONE = Interval(1.0, 1.0, 1.0)
CUT = Cut(1.0, 1, "planned settling time")
STEP = LoadStep(1, 1, 0.0, 1.0, 1, dict.fromkeys(STEP_METRICS, ONE), {"served": 1}, 0.1, "none", blocks=30, cut=CUT)


def names_on(page: str) -> set[str]:
    """Every word inside backticks."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in re.findall(r"[\w-]+", code)}


@pytest.fixture(scope="module")
def guide_plan() -> CapacityPlan:
    return plan_capacity(GrowthProjection.guide(), InstanceCapacity.assumed(3_350), PlanningPolicy.guide())


def test_every_finding_about_the_guide_is_explained(guide_plan: CapacityPlan) -> None:
    codes = {finding.code for finding in guide_plan.findings}
    assert codes - names_on("the-guide.md") == set()


def test_every_column_of_a_recording_is_described() -> None:
    tables = (REQUEST_COLUMNS, SCHEDULE_COLUMNS, LATENCY_BIN_COLUMNS, GENERATOR_COLUMNS, GAUGE_COLUMNS, MARK_COLUMNS)
    columns = {name for table in tables for name in table} | {*STEP_METRICS, *OUTCOMES, *HEADER.strip().split(",")}
    columns |= set(FAULT_LOG_HEADER.strip().split(","))
    assert columns - names_on("files.md") == set()


def test_every_kind_of_fault_is_described() -> None:
    assert set(KINDS) - names_on("how-it-works.md") == set()


def test_every_key_of_a_load_plan_and_of_what_became_of_it_is_described() -> None:
    documents = [LoadPlan((5,)).to_dict(), Aborted(parse_abort("p95>1s"), 2.0, 100).to_dict()]
    documents += [documents[0][part] for part in ("shape", "pacing", "access")]
    keys = {key for document in documents for key in document} | {item.name for item in fields(OfferedLoad)}
    keys |= {item.name for item in fields(Access)} | {*get_args(MarkEvent), *get_args(PacingKind)}
    keys |= set(re.findall(r'Finding\(\s*"([a-z-]+)"', "".join(map(source, (load_report, preflight)))))
    assert "requests-sent-late" in keys
    assert keys - names_on("files.md") == set()


def source(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def test_every_key_of_a_knee_is_described() -> None:
    step = KneeStep(10, 20.0, 1_000, 5, 30.0, 0.1, 0.02, 1.0)
    result = search_knee(lambda _users: step, KneeObjective(0.2), KneeOptions(max_steps=1))
    keys = {*result.to_dict(), *result.to_dict()["steps"][0], *result.objective.to_dict(), *get_args(StopReason)}
    assert keys - names_on("files.md") == set()


def test_every_trust_check_and_key_of_its_report_is_described() -> None:
    report = TrustReport((Finding("a", "info", "b"),), (CheckResult("a", "b", "ok"),)).to_dict()
    keys = {*report, *report["checks"][0], *report["findings"][0]}
    assert {check.code for check in CHECKS} - names_on("trust-checks.md") == set()
    assert keys - names_on("files.md") == set()


def test_every_limit_of_a_deployment_is_described() -> None:
    assert {item.name for item in fields(Deployment)} - names_on("files.md") == set()


def test_every_key_of_a_query_map_and_column_of_its_samples_is_described() -> None:
    keys = {item.name for item in fields(QueryMap)} | set(DEFAULT_GAUGES) | set(SAMPLE_COLUMNS)
    assert keys - names_on("files.md") == set()


def test_every_finding_about_live_traffic_is_explained() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(importer.__file__).parent.glob("*.py")]
    codes = {code for text in texts for code in re.findall(r'Finding\(\s*"([a-z-]+)"', text)}
    assert len(codes) > 15
    assert codes - names_on("how-it-works.md") == set()


def test_every_finding_about_a_forecast_is_explained() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(growth.__file__).parent.glob("*.py")]
    codes = {code for text in texts for code in re.findall(r'Finding\(\s*"([a-z-]+)"', text)}
    assert len(codes) > 10
    assert codes - names_on("how-it-works.md") == set()


def test_every_key_and_column_of_a_forecast_is_described() -> None:
    history = TrafficHistory(
        "made up", 86_400.0 * np.arange(400), 9.0 + np.arange(400) % 5, np.zeros(400, bool), 86_400.0
    )
    event = (
        DatedEvent("launch", date(1970, 3, 1), date(1970, 3, 2)),
        DatedEvent("launch", date(1971, 2, 10), date(1971, 2, 10)),
    )
    document = forecast_growth(history, 1, events=EventCalendar(event)).to_dict()
    parts = [document, *(document[part] for part in ("history", "within_interval_peak", "growth"))]
    parts += [document[part][0] for part in ("models", "scores", "months", "events")]
    parts += [document["events"][0]["past"][0], document["events"][0]["coming"][0]]
    assert {key for part in parts for key in part} - names_on("files.md") == set()


def test_every_key_of_a_step_a_model_and_a_validation_is_described() -> None:
    draws = ParameterDraws(("service_mean_s",), np.ones((1, 1)))
    model = ServerModel(Deployment(), LogNormal(0.1, 1.0))
    form = ModelForm(Deployment(), measured_shape(np.array([0.1, 0.2])))
    scores, step = (FormScore("lognormal", 1.0, 1, 0.0),), NextStep(1.0, {}, "")
    scaling = Scalability(ONE, ONE, ONE, 0.0, ONE, (1.0,), (1.0,))
    fit = CalibrationResult(
        model, form, {}, {}, draws, scores, Exponential(1.0), (STEP,), (), step, 1, 0.9, "", scaling
    )  # fmt: skip
    comparison = MetricComparison("mean_s", ONE, ONE, 0.1)
    checked = StepValidation(1, 1, "below", True, {"mean_s": comparison})
    report = ValidationReport((checked,), dict.fromkeys(LIMITS, 0.0), {}, 1.0, "pass", 2)
    written = (STEP, fit, model, comparison, checked, report, ONE, CUT, form, step, scaling)
    keys = {key for item in written for key in item.to_dict()} | set(fit.to_dict()["scores"][0])
    assert keys - names_on("files.md") == set()


def test_every_key_of_a_comparison_is_described() -> None:
    item = Difference("p95_s", "step", 1, ONE, ONE, ONE, ONE, 0.05, "unclear")
    document = RecordingComparison((item,), ComparisonRule(), (), "", "", 1).to_dict()
    keys = {key for part in (document, document["rule"], document["differences"][0]) for key in part} | {*SHARES}
    assert keys - names_on("files.md") == set()


def test_every_key_of_a_comparison_of_plans_is_described(guide_plan: CapacityPlan) -> None:
    document = compare_plans(guide_plan, guide_plan).to_dict()
    parts = [document, document["months"][0], document["cheapest"], document["findings"]]
    assert {key for part in parts for key in part} - names_on("files.md") == set()


def test_every_key_of_a_prediction_and_a_curve_is_described() -> None:
    predicted = LoadPrediction(
        OpenWorkload(1.0), 1.0, Deployment(), Fleet(), dict.fromkeys((*METRIC_NAMES, "in_flight"), ONE),
        dict.fromkeys(UTILIZATIONS, ONE), (), 1,
    )  # fmt: skip
    curve = CapacityCurve((CapacityPoint(1.0, dict.fromkeys(METRIC_NAMES, ONE)),), "simulation", Quantity.RPS)
    document, shape = predicted.to_dict(), curve.to_dict()
    parts = [document, document["residence_time_s"], document["utilization"], document["fleet"], shape]
    parts += [shape["levels"][0], shape["levels"][0]["metrics"], shape["knee"], dict.fromkeys(curve.to_frame().columns)]
    keys = {re.sub(r"_(low|mid|high)$", "", key) for part in parts for key in part}
    assert keys - names_on("files.md") == set()


def test_every_key_of_a_capacity_and_a_plan_is_described(guide_plan: CapacityPlan) -> None:
    document = guide_plan.to_dict()
    parts = [document, document["inputs"], document["instance_capacity"], document["steps"][0], document["phases"][0]]
    parts += [document["steps"][0]["needs"][0], document["steps"][0]["at_peak"]["low"], document["findings"][0]]
    parts += [document["inputs"]["policy"], document["inputs"]["growth"], document["inputs"]["growth"]["points"][1]]
    orders = with_orders(guide_plan, OrderingRules()).to_dict()["orders"]
    parts += [orders, orders["rules"], orders["orders"][0], orders["months"][0]]
    assert {key for part in parts for key in part} - names_on("files.md") == set()


def test_every_key_of_a_drift_report_and_every_finding_of_it_is_described() -> None:
    seen = ObservedWindow(0.0, 60.0, 40, Quantity.USERS, {"p95_s": (0.1, 0.1)})
    value = JudgedValue((0.1, 0.1), Interval(0.1, 0.1, 0.1), False)
    metric = MetricDrift("p95_s", 0.5, "none", None, None, None, 0.0, 1)
    report = DriftReport((JudgedWindow(seen, {"p95_s": value}),), {"p95_s": metric}, 0.5, 0.05, "inside", (), 0.9, 1)
    document = report.to_dict()
    keys = {*document, *document["windows"][0], *value.to_dict(), *metric.to_dict(), *LIVE_METRICS}
    keys |= {*get_args(DriftVerdict), *get_args(Pattern), *get_args(Direction)}
    assert keys - names_on("files.md") == set()
    codes = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source(drift_findings)))
    assert len(codes) == 5
    assert codes - names_on("how-it-works.md") == set()


def test_every_key_of_actuals_of_compared_plans_and_of_judged_thresholds_is_described(
    guide_plan: CapacityPlan,
) -> None:
    actuals = actuals_against_plan(guide_plan, {1: 9_000}).to_dict()
    compared = compare_plans(guide_plan, guide_plan).to_dict()
    measured = Measurements.from_dict({"error_rate": 0.5, "cpu_utilization": {"time_s": [0, 300], "value": [1, 1]}})
    judged = judge_thresholds(ThresholdProfiles.guide(ccu_base="max"), measured, Deployment.guide()).to_dict()
    keys = {*actuals, *actuals["months"][0], *(item["code"] for item in actuals["findings"]), *compared}
    keys |= set(compared["months"][0])
    keys |= {*compared["findings"], *judged, *judged["verdicts"][0], *judged["verdicts"][0]["judged"][0]}
    keys |= {*judged["scaling"], *judged["unreachable"][0]}
    assert keys - names_on("files.md") == set()


def test_every_metric_and_key_of_threshold_profiles_is_described() -> None:
    document = ThresholdProfiles.guide().to_dict()
    parts = [document, *document.values(), document["scaling"]["rules"][0], document["daily"]["bands"]["p95_s"]]
    parts += [document["incident"]["severities"], document["incident"]["severities"]["P1"]]
    keys = {key for part in parts for key in part} | {*Metric, *get_args(Action)}
    assert keys - names_on("files.md") == set()


def test_the_functions_that_a_request_passes_exist() -> None:
    text = (DOCS / "how-it-works.md").read_text(encoding="utf-8").split("### Follow a request")[1].split("\n## ")[0]
    rows = [line.split("|")[2:5] for line in text.splitlines() if line.startswith("| ") and "`" in line]
    simpy, events, recursion = (re.findall(r"`([\w.]+)`", " ".join(column)) for column in zip(*rows, strict=True))
    missing = [name for name in simpy if not callable(attrgetter(name.removesuffix(".choose"))(simpy_engine))]
    missing += [name for name in events if not hasattr(event_kernel, name)]
    missing += [name for name in recursion if not hasattr(recursion_kernels, name)]
    assert missing == []
