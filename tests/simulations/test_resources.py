"""CPU and memory of a request, from the gauges of a recording."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.files import to_json
from loadtests.recording import Recording
from simulations import CalibrationResult, ServerModel, calibrate
from simulations.calibration.resources import measured_resources
from simulations.model.server_model import ResourceUse
from support.synthetic_recordings import record_model

MIB = 2.0**20
BASE, EACH = 80 * MIB, 1.5 * MIB
MODEL = ServerModel(Deployment(workers=8, queue_capacity=20), Exponential(0.05), 0.001)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record_model(MODEL, (10, 20, 30, 45), Exponential(0.2), window_s=15.0)


def with_gauges(
    recording: Recording, *, column: str = "server_resident_bytes", growth: float = 0.0, noise: float = 0.0
) -> Recording:
    """Polls once a second: memory of the requests inside at that moment, `growth` bytes a second, and noise."""
    times = np.concatenate([np.arange(step.start_s, step.end_s) for step in recording.steps])
    start, finish = (np.sort(recording.requests[name].to_numpy()) for name in ("start_s", "finish_s"))
    inside = np.searchsorted(start, times) - np.searchsorted(finish, times)
    scatter = noise * np.random.default_rng(1).standard_normal(times.size)
    gauges = pd.DataFrame({"time_s": times, column: BASE + EACH * inside + growth * times + scatter})
    return replace(recording, gauges=gauges)


@pytest.mark.parametrize("column", ["server_resident_bytes", "process_resident_bytes"])
def test_memory_is_a_line_in_the_requests_inside(recording: Recording, column: str) -> None:
    found = measured_resources(with_gauges(recording, column=column, noise=MIB), 0.9)
    each, base = found.parameters["memory_per_request_bytes"], found.parameters["memory_base_bytes"]
    # Polls see the number inside once a second, the line takes its mean: a few requests either way.
    assert each.mid == pytest.approx(EACH, rel=0.25)
    assert base.mid == pytest.approx(BASE, rel=0.15)
    assert each.low < each.mid < each.high
    assert found.findings == ()
    use = found.used_by(MODEL).resources
    assert (use.memory_per_request_bytes, use.memory_base_bytes) == (each.mid, base.mid)
    assert use.cpu_s_per_request is None, "no gauge shows processor time"


def test_memory_that_grows_by_itself_is_said_and_not_told_from_that_of_requests(recording: Recording) -> None:
    found = measured_resources(with_gauges(recording, growth=2 * MIB), 0.9)
    assert [item.code for item in found.findings] == ["memory-grows-with-time"]
    assert found.unsure == ("memory_per_request_bytes",)
    grown = found.findings[0].numbers["within_steps_bytes"]
    assert grown == pytest.approx(2 * MIB * sum(step.window_s for step in recording.steps), rel=0.25)


def test_without_gauges_costs_are_assumed_and_marked(recording: Recording) -> None:
    model = replace(MODEL, resources=ResourceUse(memory_base_bytes=BASE))
    found = measured_resources(recording, 0.9)
    assert (found.parameters, found.used_by(model)) == ({}, model)


def test_a_calibration_holds_what_gauges_told_and_marks_the_rest(recording: Recording) -> None:
    fit = calibrate(with_gauges(recording), seed=1)
    assert fit.resources["memory_per_request_bytes"].kind == "parameter"
    assert set(fit.assumed_resources) == {"cpu_s_per_request", "idle_cpu"}
    assert "ASSUMED" in fit.summary()
    again = CalibrationResult.from_dict(json.loads(to_json(fit.to_dict())))
    assert again.resources == fit.resources
    assert again.model.resources.memory_base_bytes == pytest.approx(BASE, rel=0.15)
