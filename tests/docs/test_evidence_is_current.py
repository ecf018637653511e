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


def test_intervals_do_not_fail_grossly_on_fresh_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight cases outside the committed ones.

    Each case has three parameter intervals of true coverage near 0.85; at most 8 of 24 held
    has a probability below 1e-7 even then, while a bias of a few standard errors shows at once.
    """
    import calibration_coverage as study

    rows = [study.run_case(case) for case in range(100_000, 100_008)]
    names = ("service_mean_s_held", "service_cv_held", "network_round_trip_s_held")
    assert sum(int(str(row[name])) for row in rows for name in names) > 8
    assert sum(int(str(row["predicted_goodput_rps_held"])) for row in rows) > 2
