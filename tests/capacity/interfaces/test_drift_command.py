"""`capacity drift`: does the live service still lie where its model predicts it?"""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from capacity.interfaces.cli import run as command
from capacity.output.report import write_report
from loadtests import Deployment, Exponential, LogNormal
from loadtests.gauges import GAUGE_COLUMNS
from loadtests.live.windows import windows_of_recording
from loadtests.recording import Recording
from loadtests.store import write_recording
from simulations import ServerModel, calibrate
from support.synthetic_recordings import record_model

TRUTH = ServerModel(Deployment(workers=6, queue_capacity=8), LogNormal(0.06, 0.8), 0.001)
SLOWER = ServerModel(Deployment(workers=6, queue_capacity=8), LogNormal(0.075, 0.8), 0.001)
THINK = Exponential(0.6)
LIVE = (20, 40, 60, 80, 60, 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, live windows of the same and of a slower server, and a recording of the latter."""
    place = tmp_path_factory.mktemp("drift")
    calibrate(record_model(TRUTH, [20, 60, 90], THINK)).save(place / "model.json")
    _csv(record_model(TRUTH, LIVE, THINK, seed=51), place / "same.csv")
    _csv(record_model(SLOWER, LIVE, THINK, seed=51), place / "slower.csv")
    soak = record_model(SLOWER, [50], THINK, window_s=60.0, seed=52)
    write_recording(
        place / "soak", replace(soak, gauges=pd.DataFrame(columns=list(GAUGE_COLUMNS)), manifest={"seed": 1})
    )
    return place


def _csv(recording: Recording, path: Path) -> None:
    rows = [
        {"start_s": item.start_s, "window_s": item.window_s, "users": item.load}
        | {name: value for name, (value, _) in item.metrics.items()}
        for item in windows_of_recording(recording)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


def run(capsys: pytest.CaptureFixture[str], folder: Path, live: str, *words: str) -> tuple[int, str, str]:
    code = command(["drift", str(folder / "model.json"), str(folder / live), *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_service_that_is_the_same_lies_inside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, folder, "same.csv", "--json")
    document = json.loads(out)
    assert (code, document["verdict"], document["false_alarms"]) == (0, "inside", 0.05)
    assert document["p_value"] > 0.05
    assert len(document["windows"]) == len(LIVE)


def test_a_slower_one_is_told_with_numbers_remedy_chart_and_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ("--out", str(tmp_path / "drift.json"), "--chart", str(tmp_path / "drift.png"))
    code, out, _ = run(capsys, folder, "slower.csv", "--json", *files)
    document = json.loads(out)
    finding = document["findings"][0]
    assert (code, document["verdict"]) == (99, "drift")
    assert (finding["code"], finding["severity"]) == ("live-drift", "critical")
    assert document["metrics"]["p50_s"]["direction"] == "above"
    assert document["metrics"]["p50_s"]["change"]["low"] > 0
    assert json.loads((tmp_path / "drift.json").read_text()) == document
    assert (tmp_path / "drift.png").read_bytes().startswith(b"\x89PNG")
    page = html.unescape(write_report(tmp_path).read_text())
    assert "no longer lies where the model predicts it" in page
    assert finding["remedy"] in page


def test_text_names_the_windows_the_findings_and_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, folder, "soak", "--window", "10s")
    assert "Windows with a metric outside" in out
    assert "[live-drift]" in out
    assert "calibrate on it" in " ".join(out.split())
    assert "Verdict: drift" in out


@pytest.mark.parametrize(
    ("live", "words", "said"),
    [
        ("same.csv", ("--window", "10s"), "cuts the steps of a recording"),
        ("soak", ("--think", "exponential:1"), "no effect with a recording"),
        ("same.csv", ("--false-alarms", "0.1%"), "must lie between 0.01"),
        ("same.csv", ("--chart", "drift.jpg"), "ends in .png"),
        ("same.csv", ("--balancer", "random"), "no effect with one instance"),
        ("nowhere.csv", (), "does not exist"),
    ],
)
def test_what_has_no_effect_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], live: str, words: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, folder, live, *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
