"""A slower release under real Locust is called worse; the same one twice is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.interfaces import cli
from loadtests import Constant, Deployment, LoadPlan, StagingOptions, read_recording, record, start_staging
from loadtests.comparison.compare import compare_steps
from loadtests.comparison.rule import ComparisonRule

pytestmark = [pytest.mark.realtime, pytest.mark.xdist_group("realtime")]

PLAN = LoadPlan((6, 12), 2.5, Constant(0.05), settle_s=0.5)
RARELY_WRONG = ComparisonRule(margin=0.2, level=0.999)
"""False alarms: at most (1 - 0.999) / 2, one in 2,000 runs, where the release is 20 % slower; fewer where it is not."""


def recorded(service_time: str, folder: Path) -> Path:
    with start_staging(StagingOptions(Deployment(workers=16, queue_capacity=16), service_time)) as server:
        record(server.host, PLAN, folder)
    return folder


def test_a_slower_release_is_worse_and_the_same_release_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, again = (recorded("constant:50ms", tmp_path / name) for name in ("before", "again"))
    slower = recorded("constant:65ms", tmp_path / "slower")
    capsys.readouterr()
    assert cli.run(["compare", str(before), str(slower), "--no-calibrate", "--json"]) == 99
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "worse"
    assert {item["users"] for item in document["differences"] if item["scope"] == "step"} == {6, 12}
    same = compare_steps(read_recording(before), read_recording(again), RARELY_WRONG)
    assert same.verdict != "worse"
