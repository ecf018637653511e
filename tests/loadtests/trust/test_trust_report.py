from dataclasses import replace

import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.recording import LoadStep, Recording
from loadtests.tables import REQUEST_COLUMNS, empty_table
from loadtests.trust.judge import check_recording, with_trust
from loadtests.trust.report import CheckResult, TrustReport

CHECK = CheckResult("stall", "periods without an answer", "ok")


def grouped(**changes):
    """A step whose requests are only known in groups: 40 users, 50 requests a second, 200 ms, think 600 ms."""
    metrics = {
        "throughput_rps": Interval(49.0, 50.0, 51.0), "goodput_rps": Interval(49.0, 50.0, 51.0),
        "shed_rate": Interval(0.0, 0.0, 0.001), "mean_s": Interval(0.19, 0.2, 0.21),
        "p50_s": Interval(0.17, 0.18, 0.19), "p95_s": Interval(0.4, 0.42, 0.45), "p99_s": Interval(0.6, 0.65, 0.7),
    }  # fmt: skip
    step = LoadStep(1, 40, 5.0, 65.0, 3_000, metrics, {"served": 3_000}, think="exponential:0.6")
    step = replace(step, **changes)
    return Recording(Deployment(workers=20), (step,), empty_table(REQUEST_COLUMNS))


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [
        ((), "trusted"),
        (("info",), "trusted"),
        (("info", "warning"), "usable-with-caveats"),
        (("warning", "critical", "info"), "refused"),
    ],
)
def test_the_worst_finding_makes_the_verdict(severities, verdict):
    report = TrustReport(tuple(Finding("x", severity, "said") for severity in severities), (CHECK,))
    assert report.verdict == verdict
    assert repr(report).startswith(f"TrustReport({verdict}: 1 checks ok")


def test_findings_stand_with_the_most_severe_first():
    report = TrustReport((Finding("a", "info", "low"), Finding("b", "critical", "high", "do it")), ())
    assert [item.code for item in report.findings] == ["b", "a"]
    assert report.summary().splitlines()[1:3] == ["  critical: high [b]", "    do it"]


def test_a_report_comes_back_from_its_json():
    report = TrustReport((Finding("a", "warning", "so", "do", {"n": 1}),), (CHECK,))
    assert TrustReport.from_dict(report.to_dict()) == report
    assert list(report.to_frame().columns) == ["code", "looks_at", "state", "why"]


def test_html_shows_messages_as_text():
    assert "&lt;b&gt;" in TrustReport((Finding("a", "info", "<b>"),), ())._repr_html_()


def test_what_the_recorder_stated_counts():
    stated = Finding("journal-cut", "warning", "The last second is missing.")
    recording = replace(grouped(), manifest={"findings": [stated.to_dict()]})
    report = check_recording(recording)
    assert stated in report.findings
    assert report.verdict == "usable-with-caveats"


def test_without_single_requests_the_steps_own_numbers_are_judged():
    report = check_recording(grouped())
    assert report.verdict == "trusted"
    states = {item.code: item.state for item in report.checks}
    assert {states[code] for code in ("stall", "non-stationary", "operational-law")} == {"not-applicable"}
    assert {states[code] for code in ("think-time-law", "too-few-samples", "rate-limited", "gate-unobserved")} == {"ok"}


def test_without_single_requests_a_wrong_number_of_users_is_refused():
    report = check_recording(grouped(users=60))
    assert report.verdict == "refused"
    assert report.findings[0].code == "think-time-law"


def test_without_single_requests_429_and_4xx_are_seen_in_the_outcomes():
    report = check_recording(grouped(outcomes={"served": 2_000, "rate_limited": 500, "client_error": 500}))
    assert {"rate-limited", "client-errors"} <= set(report.fired)


def test_a_step_without_a_served_request_is_a_caveat():
    unknown = dict.fromkeys(("mean_s", "p50_s", "p95_s", "p99_s"), Interval.unknown())
    recording = grouped(outcomes={"shed": 3_000}, metrics={**grouped().steps[0].metrics, **unknown})
    assert "too-few-samples" in check_recording(recording).fired


def test_mean_processor_use_stands_in_for_the_generator_s_table():
    busy = replace(grouped(), manifest={"generator": {"cpu_mean": 0.97, "processes": 1}})
    assert check_recording(busy).fired == ("generator-saturated",)
    shared = replace(grouped(), manifest={"generator": {"cpu_mean": 0.97, "processes": 2}})
    assert check_recording(shared).fired == ()


def test_the_report_goes_into_the_manifest():
    recording = with_trust(grouped())
    assert TrustReport.from_dict(recording.manifest["trust"]) == check_recording(grouped())
    assert recording.manifest["trust"]["verdict"] == "trusted"
