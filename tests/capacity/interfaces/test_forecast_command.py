"""`capacity forecast`: from a history to a growth CSV that `capacity plan` reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from capacity.interfaces.cli import run
from support.traffic import seasonal_days

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of days, enough for a month ahead."""
    from datetime import date, timedelta

    path = tmp_path_factory.mktemp("forecast") / "history.csv"
    rows = (f"{date(2025, 1, 1) + timedelta(day)},{value:.1f}\n" for day, value in enumerate(seasonal_days(1)))
    path.write_text("timestamp,value\n" + "".join(rows))
    return path


def test_a_forecast_becomes_a_plan(history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    growth, chart = tmp_path / "growth.csv", tmp_path / "forecast.png"
    asked = ["--horizon", "2mo", "--quantity", "rps", "--within-interval-peak", "2"]
    assert run(["forecast", str(history), *asked, "--out", str(growth), "--chart", str(chart)]) == 0
    shown = capsys.readouterr()
    assert "Backtest at" in shown.out
    assert "effective origins" in shown.out
    assert f"Wrote {growth}" in shown.err
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert growth.read_text().splitlines()[0] == "month_end,peak_rps,low,high,p99,own_share,persistence"
    planned = ["plan", "--growth", str(growth), "--instance-capacity", "500", "--quantity", "rps", "--json"]
    assert run(planned) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["month"] for step in steps] == [0, 1, 2]
    assert steps[2]["peak_low"] < steps[2]["peak_rps"] < steps[2]["peak_high"]


def test_counts_are_told_from_rates(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for said in ("", "loads", "counts"):
        asked = ["--horizon", "1mo", "--quantity", "rps", *(["--values", said] if said else []), "--json"]
        assert run(["forecast", str(history), *asked]) == 0
        found[said] = json.loads(capsys.readouterr().out)
    warned = {said: "counts-or-rates" in {item["code"] for item in made["findings"]} for said, made in found.items()}
    assert warned == {"": True, "loads": False, "counts": False}
    loads, counts = (found[said]["months"][0]["p50"] for said in ("loads", "counts"))
    assert counts == pytest.approx(loads / 86_400, rel=1e-3)
    assert run(["forecast", str(history), "--quantity", "users", "--values", "counts"]) == 2
    assert "not users" in capsys.readouterr().err


def test_machines_get_one_document(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["forecast", str(history), "--horizon", "1mo", "--seed", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["seed"], document["inputs"]["horizon_months"], document["quantity"]) == (3, 1, "ccu")
    assert "statsmodels" in document["versions"]
    assert "peak-inside-interval-unknown" in {item["code"] for item in document["findings"]}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--horizon", "soon"], "--horizon is 'soon'"),
        (["--horizon", "99y"], "horizon_months is 1188"),
        (["--horizon", "2y"], "shorten the horizon"),
        (["--within-interval-peak", "0.5"], "give 1 or more"),
        (["--within-interval-peak", "2", "--finer", "x.csv"], "one of the two"),
        (["--quantity", "things"], "must be one of"),
        (["--chart", "x.jpg"], ".png"),
        (["--timezone", "Nowhere"], "time zone"),
        (["--models", "oracle"], "must be one of prophet"),
        (["--retry-share", "100%"], "from 0 to below 1"),
        (["--events", "nowhere.csv"], "events file nowhere.csv does not exist"),
    ],
)
def test_what_cannot_be_forecast_is_refused(
    arguments: list[str], named: str, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments if "--horizon" in arguments else ["--horizon", "1mo", *arguments]
    assert run(["forecast", str(history), *given]) == 2
    assert named in capsys.readouterr().err


def test_a_refused_forecast_leaves_the_file_as_it_was(history: Path, tmp_path: Path) -> None:
    growth = tmp_path / "growth.csv"
    growth.write_text("kept")
    assert run(["forecast", str(history), "--horizon", "4y", "--out", str(growth)]) == 2
    assert growth.read_text() == "kept"


def test_the_factor_is_estimated_from_a_finer_history(capsys: pytest.CaptureFixture[str], history: Path) -> None:
    finer = ROOT / "data" / "traffic_histories" / "elb_request_count_8c0756.csv"
    assert run(["forecast", str(history), "--horizon", "1mo", "--finer", str(finer)]) == 0
    shown = capsys.readouterr().out
    assert "14 windows of 1 day" in shown
    assert "peak-factor-from-few-windows" in shown


def test_events_and_retries_are_given_on_the_command_line(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.csv"
    events.write_text("name,first,last,low,factor,high\nsale,2025-05-05,2025-05-07,,,\nsale,2026-01-12,,1.5,2,3\n")
    asked = ["forecast", str(history), "--horizon", "1mo", "--events", str(events), "--retry-share", "20%"]
    assert run([*asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["history"]["retry_share"] == 0.2
    assert document["inputs"]["events"] == str(events)
    assert [item["source"] for item in document["events"][0]["coming"]] == ["stated"]
    assert document["months"][0]["events"] == ["sale"]
    assert run(asked) == 0
    shown = capsys.readouterr().out
    assert "2 (1.5 to 3)" in shown
    assert "events-taken-out" in shown
    assert "retries-separated" in shown
