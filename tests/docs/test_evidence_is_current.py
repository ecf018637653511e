"""The page of evidence says what the committed results say, and a bounded form of the study still runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "studies"))


def test_the_evidence_page_is_written_from_the_results() -> None:
    import write_evidence

    assert write_evidence.PAGE.read_text() == write_evidence.page_text(), (
        "docs/evidence.md is out of date; run ./run python tests/studies/write_evidence.py"
    )


def test_a_fresh_comparison_sees_a_slower_release_and_lets_an_equal_one_pass() -> None:
    """Six pairs outside the committed ones. "Worse" of equal ones in at most 5 %: three of six has probability 0.002.

    At 20 % slower the study found every pair worse.
    """
    import comparison_errors as study

    rows = [row for pair in range(100_000, 100_006) for row in study.run_pair(pair, ("same", "slower_20"))]
    worse = {cell: sum(r["verdict"] == "worse" for r in rows if r["cell"] == cell) for cell in ("same", "slower_20")}
    assert worse["same"] < 3
    assert worse["slower_20"] >= 5


@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(100_000, 100_040, 4))
def test_intervals_do_not_fail_grossly_on_fresh_servers(first: int) -> None:
    """Forty cases outside the committed ones, in groups of four.

    Each case has four intervals, of three parameters and a prediction, of true coverage near 0.85; at most 4 of 16
    held has a probability of 1e-7 even then (1e-6 for all groups), while a bias of a few standard errors shows at once.
    """
    import calibration_coverage as study

    rows = [study.run_case(case) for case in range(first, first + 4)]
    names = ("service_mean_s_held", "service_cv_held", "network_round_trip_s_held", "predicted_goodput_rps_held")
    assert sum(int(str(row[name])) for row in rows for name in names) > 4


def test_forecasts_do_not_fail_grossly_on_fresh_series() -> None:
    """Four short and two long series outside the committed ones, 24 months: held more than half, at a nominal 90 %.

    The months of a series go together, so this sees an interval that is far too narrow or in the wrong place, no more.
    """
    import forecast_coverage as study

    fresh = [study.run_one("short", number) for number in range(100_000, 100_004)]
    fresh += [study.run_one(cell, 100_000) for cell in ("season", "launches, dated")]
    held = [int(str(row[f"held_{month}"])) for row in fresh for month in range(1, 7) if row[f"held_{month}"] != ""]
    assert len(held) == 24
    assert sum(held) > 12


def test_a_study_of_forecasts_goes_on_where_it_stopped(tmp_path: Path) -> None:
    import forecast_coverage as study

    asked: list[tuple[str, int]] = []

    def one(cell: str, number: int) -> dict[str, object]:
        asked.append((cell, number))
        return {"cell": cell, "series": number}

    path = tmp_path / "results.csv"
    study.run_study(1, 1.0, path, one)
    study.run_study(2, 1.0, path, one)
    assert len(asked) == len(set(asked)) == len(list(study.missing(2, tmp_path / "none.csv")))
    assert list(study.missing(2, path)) == []


def test_model_checks_leave_fresh_servers_of_the_family_in_peace(tmp_path: Path) -> None:
    """Six servers outside the committed ones. At 5 % of false alarms three of six has probability 0.002."""
    import model_check_power as study

    path = tmp_path / "checks.csv"
    cases = {study.KNOWN: (study.check_known, 6)}
    study.run_study(cases, path, first=100_000, share=(0, 2))
    study.run_study(cases, path, first=100_000)
    rows = study.read_rows(path)
    assert sorted(int(row["seed"]) for row in rows) == list(range(100_000, 100_006))
    assert sum(bool(row["noticed"]) for row in rows) < 3
