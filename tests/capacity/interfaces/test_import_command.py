"""`capacity import-locust` for people and machines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from capacity.interfaces.cli import run
from loadtests import read_recording
from support.csv_files import RECORDINGS, read_csv, write_csv

GUNICORN = RECORDINGS / "gunicorn_sync"


@pytest.fixture
def one_run(tmp_path: Path) -> Path:
    """A STEPS.csv with one run whose request names hold a formula and a terminal code."""
    place = tmp_path / "in"
    place.mkdir()
    (place / "r.csv").write_bytes(gzip.decompress((GUNICORN / "u0020" / "requests.csv.gz").read_bytes()))
    rows = [row | {"name": "=1+1\x1b[2J"} for row in read_csv(place / "r.csv")]
    write_csv(place / "r.csv", rows)
    return write_csv(place / "STEPS.csv", [{"step": 1, "users": 20, "requests": "r.csv"}])


def test_import_for_people_shows_steps_and_findings_and_no_terminal_codes(
    one_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = str(GUNICORN / "deployment.json")
    out = tmp_path / "out"
    assert run(["import-locust", str(one_run), "--deployment", limits, "--out", str(out), "--think", "none"]) == 0
    shown = capsys.readouterr()
    assert "log" in shown.out
    assert "[no-user-ids]" in shown.out
    assert "\x1b[2J" not in shown.out + shown.err
    recording = read_recording(out)
    assert recording.deployment.workers == 8
    assert recording.steps[0].think == "none"
    assert set(recording.requests["endpoint"]) == {"=1+1\x1b[2J"}


def test_import_for_machines_prints_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = GUNICORN / "u0045" / "locust"
    assert run(["import-locust", str(prefix), "--out", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert [step["users"] for step in document["steps"]] == [45]
    assert document["source"]["steps"] == {"1": "log"}
    assert {finding["code"] for finding in document["findings"]} >= {"no-user-ids"}


@pytest.mark.parametrize("missing", ["absent/locust", "absent.csv"])
def test_a_source_that_is_not_there_is_bad_usage(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import-locust", str(tmp_path / missing), "--out", str(tmp_path / "out")]) == 2
    assert "STEPS.csv" in capsys.readouterr().err


def test_an_output_folder_with_something_in_it_is_bad_usage(
    one_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    assert run(["import-locust", str(one_run), "--out", str(tmp_path / "out")]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine").read_text() == "keep"
