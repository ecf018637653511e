"""No check fires on the committed recordings, unless what it says is true."""

import json
from pathlib import Path

import pytest

from loadtests import import_locust, read_recording
from loadtests.deployment import read_deployment
from loadtests.trust.judge import check_recording

RECORDINGS = Path(__file__).parents[3] / "data" / "recordings"
STAGING = sorted(path.name for path in (RECORDINGS / "staging").iterdir())
THINK = {"gunicorn_sync": "exponential:0.6"}
TRUE = {"too-few-samples", "gate-unobserved"}  # few requests in a small step; servers without a gate, or below it


@pytest.mark.parametrize(
    ("folder", "source", "verdict"),
    [
        *((path.parent.name, "steps.csv", "trusted") for path in sorted(RECORDINGS.glob("third_party/*/steps.csv"))),
        ("haproxy_gate", "shape/locust", "trusted"),
        ("gunicorn_sync", "shape_ramp/locust", "usable-with-caveats"),  # 154 served requests in its first step
    ],
)
def test_the_checks_are_silent_on_clean_recordings(tmp_path, folder, source, verdict):
    case = RECORDINGS / "third_party" / folder
    think = THINK.get(folder, "exponential:1.0")
    deployment = read_deployment(case / "deployment.json")
    report = check_recording(import_locust(case / source, tmp_path / "out", deployment=deployment, think=think))
    assert report.verdict == verdict, report.summary()
    assert set(report.fired) <= TRUE


@pytest.mark.parametrize("name", STAGING)
def test_recordings_of_the_staging_server_are_trusted_and_name_their_steps_for_tests(name):
    recording = read_recording(RECORDINGS / "staging" / name)
    report = check_recording(recording)
    truth = json.loads((RECORDINGS / "staging" / name / "truth.json").read_text(encoding="utf-8"))
    assert report.verdict == "trusted", report.summary()
    assert set(report.fired) <= TRUE
    assert sorted(truth["train_steps"] + truth["test_steps"]) == [step.step for step in recording.steps]
    assert [step.users for step in recording.steps] == truth["users"]
