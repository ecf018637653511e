"""What a load test left out or left behind is said, never hidden."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import loadtests.runner
from capacity.interfaces.cli import run
from capacity.interfaces.commands_loadtests import print_recording
from capacity.interfaces.demo import HELD_OUT_STEP, check_held_out_step
from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import PLANNED_SETTLING
from loadtests.foundation.errors import RunError
from loadtests.foundation.intervals import Interval
from loadtests.journals.journal import Journal, RequestRow
from loadtests.recording import STEP_METRICS, Cut, LoadStep, Recording
from loadtests.store import JOURNAL

ONE = Interval(1.0, 1.0, 1.0)
REASON = "its users were never all running"
RECORD = ["record", "--host", "http://127.0.0.1:9", "--users", "5,10", "--out", "r"]


def recording_of(*numbers: int) -> Recording:
    metrics = dict.fromkeys(STEP_METRICS, ONE)
    steps = tuple(LoadStep(n, 5 * n, 0.0, 1.0, 1, metrics, {"served": 1}, 0.1, "none") for n in numbers)
    missing = [{"step": n, "users": 5 * n, "reason": REASON} for n in range(1, 3) if n not in numbers]
    return Recording(Deployment(), steps, pd.DataFrame(), pd.DataFrame(), {"left_out": missing, "seed": 4})


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_a_step_that_was_left_out_is_named(recorded: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.setattr(loadtests.runner, "record", lambda *_, **__: recording_of(1))
    assert run([*RECORD, "--json"]) == 0
    said = capsys.readouterr()
    assert f"Step 2 (10 users) is left out: {REASON}." in said.err
    document = json.loads(said.out)
    assert document["left_out"] == [{"step": 2, "users": 10, "reason": REASON}]
    assert (document["seed"], document["inputs"]["host"]) == (4, "http://127.0.0.1:9")


def test_what_a_step_cannot_tell_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    step = recording_of(1).steps[0]
    unknown = replace(step, metrics=dict.fromkeys(STEP_METRICS, Interval.unknown()))
    print_recording(replace(recording_of(1), steps=(unknown,)))
    shown = capsys.readouterr().out
    assert "nan" not in shown
    assert " - " in shown


def test_what_was_cut_and_why_is_printed_with_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    planned, settled = recording_of(1, 2).steps
    steps = (
        replace(planned, blocks=40, cut=Cut(2.5, 70, PLANNED_SETTLING)),
        replace(settled, blocks=9, cut=Cut(11.5, 1_234, "transient in mean residence time")),
    )
    print_recording(replace(recording_of(1, 2), steps=steps))
    said = capsys.readouterr()
    assert "2.5 s" in said.out
    assert "11.5 s" in said.out
    assert "Step 2: 11.5 s and 1,234 requests cut; transient in mean residence time." in said.err
    assert "Step 1" not in said.err
    assert "fewer than 20 independent stretches of time (how many): 2 (9)." in said.err


def test_a_recording_without_steps_is_an_error(
    recorded: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.setattr(loadtests.runner, "record", lambda *_, **__: recording_of())
    assert run([*RECORD, "--json"]) == 1
    said = capsys.readouterr()
    assert "No step of r has a steady window" in said.err
    assert said.out == ""


def test_an_interrupted_load_test_says_what_was_saved(
    recorded: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_host: str, _plan: object, folder: Path, **_: object) -> None:
        journal = Journal(folder / JOURNAL)
        for cycle in range(3):
            journal.add(RequestRow(0.0, 0.0, 1.0, "w", 0, cycle, "GET", "/", 200, "served", 1, 0))
        journal.close()
        raise KeyboardInterrupt

    recorded.setattr(loadtests.runner, "record", interrupted)
    assert run(RECORD) == 130
    said = capsys.readouterr().err
    assert f"3 requests are journalled in r/{JOURNAL}" in said
    assert "not a whole recording" in said


def test_the_demo_does_not_go_on_without_its_held_out_step(tmp_path: Path) -> None:
    check_held_out_step(recording_of(1, HELD_OUT_STEP), tmp_path)
    missing = [{"step": HELD_OUT_STEP, "users": 240, "reason": REASON}]
    dropped = replace(recording_of(1, 2), manifest={"left_out": missing})
    with pytest.raises(RunError, match=rf"Step {HELD_OUT_STEP} \(240 users\).*{REASON}"):
        check_held_out_step(dropped, tmp_path)


def test_a_folder_without_a_test_cannot_be_recovered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recover", str(tmp_path)]) == 2
    assert "holds no journal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--processes", "0"], "processes"), (["--locustfile", "none.py"], "The locustfile none.py does not exist")],
)
def test_a_load_generator_that_cannot_be_is_refused(
    recorded: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert run([*RECORD, *options]) == 2
    assert said in capsys.readouterr().err
