"""`capacity compare` on recordings and models on disk."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capacity import GrowthProjection, InstanceCapacity, plan_capacity
from capacity.interfaces import cli
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.files import write_json
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.store import write_recording
from loadtests.tables import empty_table
from simulations import ServerModel, calibrate
from support.synthetic_recordings import record_model

MANIFEST: dict[str, Any] = {
    "created_at": "", "host": "http://127.0.0.1", "command": [], "plan": {}, "seed": 1, "ramps": [], "left_out": [],
    "clock": {"origin_monotonic_s": 0.0, "origin_epoch_s": 0.0}, "generator": {}, "totals": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders ``a``, ``again`` and ``slower``, and model files beside them."""
    folder = tmp_path_factory.mktemp("sides")
    for seed, (name, mean_s) in enumerate((("a", 0.08), ("again", 0.08), ("slower", 0.11)), start=1):
        model = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(mean_s, 0.8), 0.002)
        made = record_model(model, (16, 40), Exponential(0.3), 20.0, seed)
        (folder / name).mkdir()
        write_recording(folder / name, replace(made, gauges=empty_table(GAUGE_COLUMNS), manifest=MANIFEST))
        calibrate(made, seed=1).save(folder / f"{name}.json")
    write_json(folder / "plan.json", {"schema_version": 1, "steps": [], "phases": []})
    for name, peak in (("real_plan", 1_000), ("other_plan", 1_200)):
        growth = GrowthProjection.from_points([(0, 300), (2, 500), (3, peak)])
        plan_capacity(growth, InstanceCapacity.assumed(100)).save(folder / f"{name}.json")
    return folder


def run(sides: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.run(["compare", *(str(sides / word) if (sides / word).exists() else word for word in words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_slower_release_exits_99_and_writes_what_it_found(
    sides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, chart = tmp_path / "comparison.json", tmp_path / "comparison.png"
    code, out, _ = run(sides, capsys, "a", "slower", "--out", str(result), "--chart", str(chart))
    assert code == 99
    assert "service_mean_s" in out
    assert "Verdict: worse" in out
    document = json.loads(result.read_text())
    assert document["verdict"] == "worse"
    assert document["inputs"]["margin"] == 0.05
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_json_is_the_only_thing_on_stdout(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(sides, capsys, "a", "again", "--no-calibrate", "--margin", "0.5", "--json")
    document = json.loads(out)
    assert (code, document["verdict"], document["rule"]["margin"]) == (0, "not worse", 0.5)
    assert document["rule"]["share_margin"] == 0.5


def test_what_is_unclear_fails_only_when_strict(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("a", "again", "--no-calibrate", "--margin", "0%")
    code, out, _ = run(sides, capsys, *words)
    assert code == 0
    assert "Verdict: unclear" in out
    assert run(sides, capsys, *words, "--strict")[0] == 99


def test_two_models_are_compared(sides: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(sides, capsys, "a.json", "slower.json", "--json")
    document = json.loads(out)
    assert (code, document["compared"]) == (99, "models")
    assert {item["scope"] for item in document["differences"]} == {"parameter", "prediction"}


def test_of_two_plans_the_changed_months_are_said(
    sides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "changed.json"
    code, out, _ = run(sides, capsys, "real_plan.json", "other_plan.json")
    assert code == 0
    assert "growth: " in out
    code, out, _ = run(sides, capsys, "real_plan.json", "other_plan.json", "--json", "--out", str(written))
    document = json.loads(out)
    assert (document["changed"], [item["month"] for item in document["months"] if item["changed"]]) == (True, [3])
    assert json.loads(written.read_text()) == document


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "a.json"), r"B \(.*a.json\) is a model"),
        (("a", "nowhere"), r"B \(nowhere\) is not there"),
        (("a", "plan.json"), r"two recordings .* two models .* or two plans .*is a plan"),
        (("plan.json", "plan.json"), "against itself"),
        (("real_plan.json", "other_plan.json", "--chart", "x.png"), "of two plans there is a table"),
        (("a", "again", "--chart", "picture.jpg"), "ends in .png"),
        (("a", "again", "--margin", "five"), "--margin is 'five'"),
        (("a", "again", "--level", "90"), "level is 90"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    sides: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = run(sides, capsys, *words)
    assert (code, out) == (2, "")
    assert re.search(said, " ".join(err.split()))


@pytest.mark.parametrize("words", [("a", "a"), ("a", "copy"), ("a.json", "a.json")])
def test_the_same_thing_twice_is_refused_with_what_to_do(
    sides: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    shutil.copytree(sides / "a", sides / "copy", dirs_exist_ok=True)
    code, out, said = run(sides, capsys, *words, "--no-calibrate")
    assert (code, out) == (2, "")
    assert "the one of the release before as A and the one of the release after as B" in re.sub(r"\s+", " ", said)
