"""`capacity check`: verdict, findings with remedies, a table of the checks, and the exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.interfaces.cli import run
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.recording import Recording
from loadtests.store import write_recording
from loadtests.trust.judge import CHECKS
from simulations.model.server_model import ServerModel
from support import faults
from support.clean_recordings import Setting, clean_recording

MODEL = ServerModel(Deployment(workers=8, queue_capacity=12), LogNormal(0.08, 0.8), 0.002)


@pytest.fixture(scope="module")
def clean() -> Recording:
    return clean_recording(Setting(MODEL, Exponential(0.4), (30, 60), 25.0), seed=3)


def stored(recording: Recording, folder: Path) -> str:
    from loadtests.gauges import GAUGE_COLUMNS
    from loadtests.tables import empty_table

    folder.mkdir()
    write_recording(folder, replace(recording, gauges=empty_table(GAUGE_COLUMNS)))
    return str(folder)


def test_a_trusted_recording_exits_0_and_shows_every_check(
    clean: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", stored(clean, tmp_path / "r"), "--strict"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Verdict: trusted")
    assert all(check.code in shown for check in CHECKS)


@pytest.mark.parametrize(("share", "code", "strict_code"), [(0.02, 0, 99), (0.3, 99, 99)])
def test_caveats_exit_99_only_with_strict_and_a_refusal_always(
    clean: Recording, tmp_path: Path, share: float, code: int, strict_code: int
) -> None:
    folder = stored(faults.inject_rate_limit(clean, share), tmp_path / "r")
    assert (run(["check", folder]), run(["check", folder, "--strict"])) == (code, strict_code)


def test_findings_come_with_their_remedy(clean: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", stored(faults.inject_missing_page(clean, "/api/users"), tmp_path / "r")])
    shown = capsys.readouterr().out
    assert "GET /api/users answered 404 to 100% of its" in shown
    assert "Correct the path" in shown


def test_json_is_all_that_goes_to_stdout(clean: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored(faults.lose_rows(clean, 0.05), tmp_path / "r")
    assert run(["check", folder, "--json"]) == 99
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["verdict"] == "refused"
    assert document["findings"][0]["code"] == "lost-requests"
    assert [item["code"] for item in document["checks"]] == [check.code for check in CHECKS]


def test_a_folder_that_is_no_recording_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(tmp_path)]) == 2
    assert "is no recording" in capsys.readouterr().err
