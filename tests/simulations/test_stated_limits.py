"""Limits that a deployment states and that a recording contradicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.findings import Finding
from loadtests.recording import Recording
from simulations.calibration.fitting import calibrate
from simulations.calibration.stated_limits import Contradiction, contradiction_finding, disagreements
from simulations.model.server_model import ServerModel

MakeRecording = Callable[..., Recording]
TRUTH = ServerModel(Deployment(workers=20, queue_capacity=30), LogNormal(0.06, 0.8), 0.002)


def findings_under(make_recording: MakeRecording, truth: ServerModel, stated: Deployment) -> dict[str, Finding]:
    seen = make_recording(truth, (40, 100, 200), Exponential(0.3))
    return {item.code: item for item in calibrate(Recording(stated, seen.steps, seen.requests)).findings}


@pytest.mark.parametrize(
    ("stated", "name", "shown"),
    [
        (Deployment(workers=10, queue_capacity=30), "workers", 20),
        (Deployment(workers=20, gate_limit=30), "gate_limit", 50),
        (Deployment(workers=20, queue_capacity=80), "queue_capacity", 30),
    ],
)
def test_a_limit_that_the_recording_contradicts_is_named_with_what_it_shows(
    make_recording: MakeRecording, stated: Deployment, name: str, shown: int
) -> None:
    found = findings_under(make_recording, TRUTH, stated)
    said = found["stated-limit-contradicted"]
    assert said.severity == "critical"
    assert set(said.numbers["stated"]) == {name}
    assert said.numbers["stated"][name] == getattr(stated, name)
    assert said.numbers["shown"][name] == pytest.approx(shown, abs=2)
    assert f"{name} is stated as {getattr(stated, name)}" in said.message
    assert name in said.remedy
    assert "compared forms do not explain" not in found["poor-fit"].message


def test_a_queue_timeout_that_the_rejections_contradict_is_named(make_recording: MakeRecording) -> None:
    limits = Deployment(workers=20, gate_limit=UNLIMITED, queue_timeout_s=0.2)
    truth = ServerModel(limits, LogNormal(0.06, 0.8), 0.002)
    said = findings_under(make_recording, truth, limits.with_limits(queue_timeout_s=1.0))["stated-limit-contradicted"]
    assert said.numbers["stated"] == {"queue_timeout_s": 1.0}
    assert said.numbers["shown"]["queue_timeout_s"] == pytest.approx(0.2, abs=0.01)


def test_what_is_stated_as_it_is_is_not_contradicted(make_recording: MakeRecording) -> None:
    found = findings_under(make_recording, TRUTH, TRUTH.deployment)
    assert not {"stated-limit-contradicted", "stated-limits-disagree", "poor-fit"} & set(found)


def test_a_gate_below_the_workers_disagrees_with_them_and_a_tighter_gate_does_not() -> None:
    (said,) = disagreements(Deployment(gate_limit=10, workers=20, queue_capacity=30))
    assert (said.code, said.severity) == ("stated-limits-disagree", "warning")
    assert "gate of 10 below its 20 workers" in said.message
    for fine in (Deployment(gate_limit=25, workers=20, queue_capacity=30), Deployment(gate_limit=10, workers=UNLIMITED),
                 Deployment(gate_limit=10), Deployment(workers=20, queue_capacity=0)):  # fmt: skip
        assert not list(disagreements(fine))


def test_no_such_limit_is_said_in_words() -> None:
    said = contradiction_finding(Contradiction({"gate_limit": 30}, {"gate_limit": UNLIMITED}, 0.5), 20.0)
    assert "gate_limit is stated as 30, the recording shows no such limit" in said.message
