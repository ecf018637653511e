"""A report finds what the commands wrote, where the README has them write it, and names a file that is no good."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from capacity.interfaces.cli import run
from capacity.output import figures
from capacity.output.report import read_content, write_report
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.recording import Recording
from loadtests.store import write_recording
from simulations.calibration.fitting import calibrate
from simulations.calibration.result import CalibrationResult
from simulations.model.server_model import ServerModel
from support.synthetic_recordings import record_model

GROWTH = "month,peak_users\n0,20\n2,60\n"


@pytest.fixture(scope="module")
def recording() -> Recording:
    model = ServerModel(Deployment(workers=8, queue_capacity=8), LogNormal(0.05, 0.7), 0.001)
    return record_model(model, (10, 25, 40, 80), Exponential(0.2), window_s=8.0)


@pytest.fixture(scope="module")
def fit(recording: Recording) -> CalibrationResult:
    return calibrate(recording.only([1, 3, 4]), seed=1)


def test_the_steps_of_the_readme_give_a_whole_report(
    recording: Recording,
    fit: CalibrationResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("growth.csv").write_text(GROWTH)
    write_recording(
        Path("recording"), replace(recording, gauges=pd.DataFrame(columns=list(GAUGE_COLUMNS)), manifest={"seed": 1})
    )
    fit.save("model.json")
    assert run(["validate", "model.json", "--against", "recording", "--out", "validation.json", "--json"]) in {0, 99}
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(Path("validation.json").read_text())
    assert shown["inputs"] == {"model": "model.json", "recording": "recording", "steps": [2]}
    asked = ["--model", "model.json", "--p95", "300ms", "--think", "exponential:0.2", "--seed", "5"]
    assert run(["plan", "--growth", "growth.csv", *asked, "--out", "plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    origin = {"model": "model.json", "p95_s": 0.3, "max_bad_fraction": 0.001, "think": "exponential:0.2"}
    assert (plan["seed"], plan["inputs"]["capacity"]) == (5, origin)
    stored = json.loads(Path("plan/capacity.json").read_text())
    assert (stored["seed"], stored["inputs"]) == (5, origin)
    assert stored["instance_capacity"] == plan["instance_capacity"]

    content = read_content(Path())
    assert all([content.recording, content.fit, content.validation, content.capacity, content.plans])
    assert run(["report", ".", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == {"folder": "."}
    assert Path("report.html").read_text().count("(held out)") == 1


def test_a_recording_with_its_model_may_be_reported_on_as_it_is(
    recording: Recording, fit: CalibrationResult, tmp_path: Path
) -> None:
    """Its load plan, `locust/plan.json`, is no capacity plan."""
    folder = tmp_path / "recording"
    folder.mkdir()
    empty = pd.DataFrame(columns=list(GAUGE_COLUMNS))
    write_recording(folder, replace(recording, gauges=empty, manifest={"seed": 1}))
    (folder / "locust").mkdir(exist_ok=True)
    (folder / "locust" / "plan.json").write_text(json.dumps({"users": [10, 25, 40, 80]}))
    fit.save(folder / "model.json")
    content = read_content(folder)
    assert content.plans == ()
    assert content.recording is not None


def test_a_step_of_another_recording_is_held_out_whatever_its_number(
    recording: Recording, fit: CalibrationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[int]] = []
    monkeypatch.setattr(figures, "plot_load_test_fit", lambda *_, held_out, **__: shown.append(held_out))
    figures.measurement_figures(recording, fit, None)
    other = replace(recording, steps=tuple(replace(step, start_s=step.start_s + 1) for step in recording.steps))
    figures.measurement_figures(other, fit, None)
    assert shown == [[2]] * 6 + [[1, 2, 3, 4]] * 6


BAD: list[tuple[str, Any]] = [
    ("capacity.json", {}),
    ("capacity.json", {"instance_capacity": {"quantity": "users", "value": 5}}),
    ("validation.json", {"a": 1}),
    ("validation.json", {"verdict": "pass", "interval_coverage": "all", "steps": []}),
    ("plan.json", {"schema_version": 1}),
]


@pytest.mark.parametrize(("name", "document"), BAD)
def test_a_file_without_its_content_is_named(name: str, document: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_text(json.dumps(document))
    with pytest.raises(InputError, match="anew") as caught:
        write_report(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_two_models_one_folder_down_are_too_many(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.json").write_text("{}")
    with pytest.raises(InputError, match=r"more than one model\.json.*Name the folder"):
        write_report(tmp_path)


def test_what_came_after_a_plan_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("growth.csv").write_text("month,peak_users,low,high\n0,20,20,20\n2,60,40,90\n")
    Path("actuals.csv").write_text("month,peak\n2,85\n")
    words = ["--growth", "growth.csv", "--instance-capacity", "10", "--quantity", "users"]
    assert run(["plan", *words, "--out", "plan"]) == 0
    assert run(["actuals", "plan/plan.json", "actuals.csv", "--out", "actuals.json"]) == 0
    page = write_report(tmp_path).read_text()
    assert "You are on percentile 92% of the forecast." in page
    assert "actual-needs-more" in page
    Path("actuals.json").write_text('{"months": []}')
    with pytest.raises(InputError, match="does not hold actuals"):
        write_report(tmp_path)
