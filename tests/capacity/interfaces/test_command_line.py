"""The commands as people and machines call them: output, exit codes, errors that help."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capacity.interfaces.cli import run

GROWTH = "month,peak_ccu\n0,3350\n1,4000\n3,5000\n6,7000\n"


def json_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Stdout must hold one JSON document and nothing else."""
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_instances_prints_the_formula_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["instances", "--peak", "7000", "--instance-capacity", "3350", "--safety-factor", "1.2,1.5", "--json"]) == 0
    )
    found = json_of(capsys)
    assert [item["instances"] for item in found["results"]] == [3, 4]  # type: ignore[index, union-attr]
    asked = {"peak": "7000", "instance_capacity": "3350", "safety_factor": "1.2,1.5", "instance_max": None}
    assert (found["inputs"], found["seed"]) == (asked, None)


def test_instances_reads_numbers_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    """33,500 / 3,350 x 1.1 is 11 exactly; in doubles it rounds up to 12."""
    assert (
        run(["instances", "--peak", "33_500", "--instance-capacity", "3_350", "--safety-factor", "1.1", "--json"]) == 0
    )
    assert json_of(capsys)["results"][0]["instances"] == 11  # type: ignore[index]


def test_instances_prints_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["instances", "--peak", "7000", "--instance-capacity", "3350"]) == 0
    assert "of normal capacity" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["file", "stdin", "guide"])
def test_plan_gives_the_guides_plan(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growth.csv"
    path.write_text(GROWTH)
    monkeypatch.setattr(sys, "stdin", io.StringIO(GROWTH))
    growth = {"file": str(path), "stdin": "-", "guide": "guide"}[source]
    assert run(["plan", "--growth", growth, "--instance-capacity", "3350", "--json"]) == 0
    plan = json_of(capsys)
    steps = {step["month"]: step for step in plan["steps"]}  # type: ignore[attr-defined]
    assert [steps[month]["instances"] for month in (0, 1, 3, 6)] == [
        {"low": 2, "high": 2}, {"low": 2, "high": 2}, {"low": 2, "high": 3}, {"low": 3, "high": 4},
    ]  # fmt: skip
    phases = [(p["phase"], p["from_month"], p["to_month"], p["instances"]) for p in plan["phases"]]  # type: ignore[attr-defined]
    assert phases == [
        ("vertical", 0, 2, {"min": 1, "max": 1}),
        ("horizontal", 3, 4, {"min": 2, "max": 3}),
        ("autoscaling", 5, None, {"min": 3, "max": 10}),
    ]


def test_plan_writes_its_file_and_its_charts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert (
        run(["plan", "--growth", "guide", "--policy", "guide", "--instance-capacity", "3350", "--out", str(out)]) == 0
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "growth_capacity.png", "instances_outlook.png", "order_dates.png", "plan.json",
        "sensitivity.png", "timeline.png",
    ]  # fmt: skip
    assert run(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "assumed capacity" in page
    assert "littles-law" in page
    assert "Order dates" in page
    assert page.count("data:image/png;base64,") == 5
    for address in ("http://", "https://", 'src="/', "href="):
        assert address not in page, "the page must stand alone"
    capsys.readouterr()


def test_strict_fails_on_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--growth", "guide", "--instance-capacity", "3350", "--strict"]) == 99
    assert "at-the-limit-today" in capsys.readouterr().out


def test_locustfile_names_an_existing_file(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ([], ["--listener"]):
        assert run(["locustfile", *option]) == 0
        assert Path(capsys.readouterr().out.strip()).is_file()


RECORD = ["record", "--host", "http://127.0.0.1:9", "--out", "r"]

BAD = [
    (["instances", "--peak", "7000", "--instance-capacity", "0"], "above 0"),
    (["instances", "--peak", "3350,5", "--instance-capacity", "10"], "--peak is '3350,5'; write it without commas"),
    (["instances", "--peak", "many", "--instance-capacity", "10"], "--peak is 'many'"),
    (["instances", "--peak", "nan", "--instance-capacity", "10"], "finite"),
    (["instances", "--peak", "-5", "--instance-capacity", "10"], "-5"),
    (["instances", "--peak", "10", "--instance-capacity", "10", "--safety-factor", "0.9"], "0.9"),
    (["plan", "--growth", "guide"], "--instance-capacity"),
    (["plan", "--growth", "absent.csv", "--instance-capacity", "10"], "absent.csv"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--quantity", "cars"], "cars"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--policy", "absent.json"], "absent.json"),
    (["plan", "--growth", "guide", "--model", "absent.json", "--p95", "50ms"], "absent.json"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--p95", "50ms"], "--p95 has no effect"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--think", "none"], "--think has no effect"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--max-bad", "1%"], "--max-bad has no effect"),
    (["plan", "--growth", "guide", "--instance-capacity", "10", "--seed", "0"], "--seed has no effect"),
    (["plan", "--growth", "guide", "--model", "m.json", "--instance-max", "9"], "--instance-max has no effect"),
    (["report", "absent"], "absent"),
    (["calibrate", "absent"], "absent"),
    (["validate", "absent.json", "--against", "absent"], "absent.json"),
    (["record", "--host", "http://127.0.0.1:9", "--users", "5,x", "--out", "r"], "5,x"),
    (["record", "--host", "nowhere", "--users", "5", "--out", "r"], "nowhere"),
    ([*RECORD], "Give either --users"),
    ([*RECORD, "--users", "5", "--shape", "soak:5:5s"], "Give either --users"),
    ([*RECORD, "--shape", "wave:5"], "replay:FILE:PEAK:SPEED"),
    ([*RECORD, "--shape", "replay:absent.csv:5:60"], "absent.csv"),
    ([*RECORD, "--shape", "breakpoint:5:5:5s"], "nothing stops it"),
    ([*RECORD, "--users", "5", "--mix", "guide", "--request", "GET /"], "either --request or --mix"),
    ([*RECORD, "--users", "5", "--mix", "mine"], "one of guide"),
    ([*RECORD, "--users", "5", "--pacing", "often"], "poisson:RATE"),
    ([*RECORD, "--users", "5", "--header", "Authorization: abc"], "env:VARIABLE"),
    ([*RECORD, "--users", "5", "--abort-if", "slow"], "error-rate>5%"),
    ([*RECORD, "--users", "5", "--ca", "absent.pem"], "absent.pem"),
    (["record", "--host", "http://127.0.0.1:9", "--users", "5", "--step-time", "-3s", "--out", "r"], "-3s"),
    (["record", "--host", "http://127.0.0.1:9", "--users", "5", "--think", "sometimes", "--out", "r"], "sometimes"),
    (["staging", "--port", "99999"], "99999"),
    (["staging", "--service-time", "slow"], "slow"),
    (["instances"], "peak"),
    (["fly"], "fly"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_ends_with_exit_code_2_and_says_what_was_given(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_a_host_that_refuses_is_a_run_time_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["record", "--host", "http://127.0.0.1:9", "--users", "5", "--out", "r"]) == 1
    assert "http://127.0.0.1:9" in capsys.readouterr().err


LIGHT = [
    ["--help"],
    ["instances", "--peak", "7000", "--instance-capacity", "3350"],
    ["plan", "--growth", "guide", "--instance-capacity", "3350"],
    ["thresholds", "--metric", "p95_s=80ms"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=["help", "instances", "plan", "thresholds"])
def test_planning_commands_load_no_heavy_library(arguments: list[str]) -> None:
    # pydantic is not in the list: the command-line library itself reads arguments with it.
    code = f"""
import sys
from capacity.interfaces.cli import run
assert run({arguments!r}) == 0
heavy = {{"simpy", "numba", "locust", "gevent", "matplotlib", "pandas", "fastapi", "granian", "starlette", "pyarrow",
         "statsmodels"}}
loaded = sorted(heavy & set(sys.modules))
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_installed_command_answers() -> None:
    command = shutil.which("capacity", path=str(Path(sys.executable).parent))
    assert command, "the console command is not installed beside the interpreter"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("fluxor-capacity ")
