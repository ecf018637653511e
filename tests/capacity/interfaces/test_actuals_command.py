"""`capacity actuals`: on which percentile of the forecast the measured peaks lie."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from capacity.interfaces.cli import run as command

GROWTH = "month,peak_users,low,high\n0,1000,1000,1000\n2,1200,1100,1500\n4,1600,1300,2400\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "growth.csv").write_text(GROWTH)
    words = ["plan", "--growth", str(tmp_path / "growth.csv"), "--instance-capacity", "100", "--quantity", "users"]
    assert command([*words, "--start", "2026-12-01", "--out", str(tmp_path)]) == 0
    return tmp_path / "plan.json"


def run(capsys: pytest.CaptureFixture[str], plan: Path, csv: str, *words: str) -> tuple[int, str, str]:
    path = plan.with_name("actuals.csv")
    path.write_text(csv)
    capsys.readouterr()
    code = command(["actuals", str(plan), str(path), *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_you_are_on_a_percentile_of_the_forecast(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = plan.with_name("actuals.json")
    code, out, _ = run(capsys, plan, "month,peak\n2,1200\n4,2000\n", "--json", "--out", str(written))
    document = json.loads(out)
    assert code == 0
    assert [item["month"] for item in document["months"]] == [2, 4]
    assert document["months"][0]["percentile"] == pytest.approx(0.5)
    # 1.645 standard deviations at 2,400: log(2000/1600) / log(2400/1600) of them, so the 82nd percentile.
    assert document["months"][1]["percentile"] == pytest.approx(0.817, abs=0.002)
    assert json.loads(written.read_text()) == document
    assert "You are on percentile 82% of the forecast." in run(capsys, plan, "month,peak\n4,2000\n")[1]


def test_what_lies_outside_and_what_needs_more_is_a_finding(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, plan, "month,peak_users\n4,2600\n", "--json", "--strict")
    findings = {item["code"]: item for item in json.loads(out)["findings"]}
    assert code == 99
    assert findings["actual-needs-more"]["numbers"] == {"months": [4], "needed": [32], "planned": [20]}
    assert findings["actual-outside-forecast"]["numbers"]["months"] == [4]
    assert "[actual-outside-forecast]" in run(capsys, plan, "month,peak_users\n4,2600\n")[1]
    assert run(capsys, plan, "month,peak\n2,1200\n", "--strict")[0] == 0


def test_months_after_the_plan_are_said_and_do_not_hide_the_others(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, plan, "month,peak_users\n2,1200\n5,1900\n6,2000\n", "--json")
    document = json.loads(out)
    assert (code, [item["month"] for item in document["months"]], document["beyond"]) == (0, [2], [5, 6])
    (said,) = (item for item in document["findings"] if item["code"] == "actual-beyond-plan")
    assert "months 5-6" in said["message"]


def test_dates_fall_into_the_plans_months_and_their_largest_peak_counts(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, plan, "date,peak\n2027-02-01,1100\n2027-02-28,1250\n2027-03-01,900\n", "--json")
    assert [(item["month"], item["actual"]) for item in json.loads(out)["months"]] == [(2, 1_250), (3, 900)]


def test_a_plan_without_ranges_says_why_there_is_no_percentile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", "--growth", "guide", "--instance-capacity", "3350", "--out", str(tmp_path)]
    assert command(words) == 0
    code, out, _ = run(capsys, tmp_path / "plan.json", "month,peak\n1,4000\n")
    assert (code, "forecast-without-range" in out) == (0, True)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        ("month,load\n1,5\n", "needed are month or date, and peak or peak_users"),
        ("month,peak_rps\n1,5\n", "counts rps (peak_rps), the plan users"),
        ("month,peak\n1,5\n1,6\n9,x\n", "2 bad rows"),
        ("month,peak\n9,5\n", "ends with month 4"),
        ("date,peak\n2026-11-30,5\n", "before the plan's month 0, which begins on 2026-12-01"),
        ("date,peak\nsoon,5\n", "write it as 2026-12-01"),
        ("month,peak\n", "no actuals"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    plan: Path, capsys: pytest.CaptureFixture[str], csv: str, said: str
) -> None:
    code, out, err = run(capsys, plan, csv)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())


def test_a_fleet_of_none_is_refused(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert command(["plan", "--growth", "guide", "--instance-capacity", "3350", "--fleet", "0"]) == 2
    assert "--fleet is 0; it must be at least 1" in " ".join(capsys.readouterr().err.split())


def test_a_day_behind_a_forecasts_end_is_in_its_first_month(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From history to actuals: month 0 ends with the history, so the days that follow it are month 1."""
    days = (f"{date(2024, 1, 1) + timedelta(day)},{1_000 + day % 7}" for day in range(730))
    (tmp_path / "history.csv").write_text("\n".join(["timestamp,value", *days, ""]))
    growth = tmp_path / "growth.csv"
    words = ["forecast", str(tmp_path / "history.csv"), "--horizon", "2mo", "--quantity", "users", "--out", str(growth)]
    assert command([*words, "--within-interval-peak", "1"]) == 0
    assert growth.read_text().splitlines()[1].startswith("2025-12-31,1006,")
    words = ["plan", "--growth", str(growth), "--instance-capacity", "100", "--out", str(tmp_path)]
    assert command(words) == 0
    _, out, _ = run(
        capsys, tmp_path / "plan.json", "date,peak\n2025-12-30,1005\n2025-12-31,1006\n2026-01-31,990\n", "--json"
    )
    months = [(item["month"], item["actual"]) for item in json.loads(out)["months"]]
    assert months == [(0, 1_005), (1, 1_006), (2, 990)]
