"""Real Locust against the real staging server, from load test to timeline. Counts and kinds, never latencies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from capacity.planning.plan import CapacityPlan
from loadtests.store import read_recording
from simulations.calibration.result import CalibrationResult

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.xdist_group("realtime"),
    pytest.mark.timeout(600),
]  # kernels are compiled first in a fresh clone

CAPACITY = [sys.executable, "-m", "capacity.interfaces.cli"]


def capacity(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*CAPACITY, *arguments], cwd=folder, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("demo")
    done = capacity(folder, "demo", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    return folder / "capacity-demo", json.loads(done.stdout)


def test_every_request_is_recorded_once_and_the_gate_sheds_beyond_its_limit(
    demo: tuple[Path, dict[str, object]],
) -> None:
    folder, _ = demo
    recording = read_recording(folder / "recording")
    assert recording.manifest["totals"]["locust"] == recording.manifest["totals"]["journal"] == len(recording.requests)
    assert len(recording.steps) == 6
    cycles = recording.requests.groupby(["worker_id", "user_id"])["cycle"]
    assert (cycles.max() + 1 == cycles.size()).all(), "each user's cycles count 0, 1, 2, ..."
    lightest, heaviest = recording.steps[0], recording.steps[-1]
    assert lightest.outcomes.get("shed", 0) == 0
    assert heaviest.outcomes["shed"] > 0
    served = int((recording.requests["outcome"] == "served").sum())
    preflight = 2  # before the load, one request of each kind is tried
    assert len(pd.read_csv(folder / "service_times.csv")) == served + preflight


def test_the_model_is_calibrated_without_the_held_out_step(demo: tuple[Path, dict[str, object]]) -> None:
    folder, result = demo
    fit = CalibrationResult.load(folder / "model.json")
    assert [step.step for step in fit.steps] == [1, 2, 3, 5, 6]
    validation = result["validation"]
    assert [step["step"] for step in validation["steps"]] == [4]  # type: ignore[index]
    refusing = [item for item in fit.findings if item.severity == "critical"]  # a starved machine may have some
    assert validation["verdict"] in ({"refused"} if refusing else {"pass", "fail"})  # type: ignore[index]


def test_every_document_says_where_it_came_from(demo: tuple[Path, dict[str, object]]) -> None:
    folder, result = demo
    for document in (
        result,
        *(json.loads((folder / name).read_text()) for name in ("validation.json", "capacity.json")),
    ):
        assert {"schema_version", "inputs", "seed", "versions"} <= set(document)
        assert document["inputs"]
    measured = json.loads((folder / "measured" / "plan.json").read_text())
    assert measured["seed"] == 1
    assert measured["inputs"]["capacity"]["model"].endswith("model.json")


def test_the_two_plans_are_labelled_and_nothing_assumed_is_shown_as_measured(
    demo: tuple[Path, dict[str, object]],
) -> None:
    folder, _ = demo
    guide = CapacityPlan.load(folder / "guide_assumed" / "plan.json")
    measured = CapacityPlan.load(folder / "measured" / "plan.json")
    assert guide.instance_capacity.value.kind == "assumed"
    assert measured.instance_capacity.value.kind == "parameter"
    assert measured.instance_capacity.max_value is not None
    assert measured.instance_capacity.max_value.kind == "parameter"
    assert [step.instances for step in guide.steps if step.month in (0, 1, 3, 6)] == [(2, 2), (2, 2), (2, 3), (3, 4)]
    page = (folder / "report.html").read_text()
    assert "assumed capacity" in page
    assert "measured capacity" in page


def test_the_stages_run_one_by_one_give_the_same_model(demo: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = demo
    recording = str(folder / "recording")
    done = capacity(tmp_path, "calibrate", recording, "--steps", "1-3,5,6", "--out", "model.json", "--json")
    assert done.returncode in {0, 99}, done.stderr  # a starved machine's recording may be refused
    assert json.loads(done.stdout)["parameters"] == json.loads((folder / "model.json").read_text())["parameters"]
    done = capacity(tmp_path, "validate", "model.json", "--against", recording, "--json")
    assert done.returncode in {0, 99}, done.stderr
    assert [step["step"] for step in json.loads(done.stdout)["steps"]] == [4]
    done = capacity(
        tmp_path,
        "plan",
        "--growth",
        "guide",
        "--quantity",
        "users",
        "--model",
        "model.json",
        "--p95",
        "300ms",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["instance_capacity"]["value"]["kind"] == "parameter"


def test_a_second_demo_does_not_touch_the_first(demo: tuple[Path, dict[str, object]]) -> None:
    folder, _ = demo
    done = capacity(folder.parent, "demo", "--quick", "--out", "capacity-demo")
    assert done.returncode == 2
    assert "capacity-demo" in done.stderr


def test_ctrl_c_leaves_no_process_and_no_half_recording(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*CAPACITY, "demo", "--quick", "--out", "d"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        journal = tmp_path / "d" / "recording" / "locust" / "journal.csv"
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.stat().st_size > 10_000):
            assert time.monotonic() < deadline, "the load test never began"
            assert child.poll() is None
            time.sleep(0.2)
        family = psutil.Process(child.pid).children(recursive=True)
        assert family
        os.kill(child.pid, signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, said
    assert "requests are journalled in" in said
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert not (tmp_path / "d" / "recording" / "manifest.json").exists()
    assert capacity(tmp_path, "calibrate", "d/recording").returncode == 2
