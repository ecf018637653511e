"""The study of equivalence with theory: its committed results, a bounded run of it, and its statistics."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studies"))

import theory_equivalence as study

SMALL = study.Effort(replications=24, fewest=480_000, most=480_000, pilot_replications=4, pilot_requests=5_000)
FALSE_ALARM = 1e-6


def test_every_committed_case_is_equivalent_to_theory() -> None:
    with study.RESULTS.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["cell"] for row in rows} == {cell.name for cell in study.CELLS}
    assert [row["cell"] for row in rows if row["equivalent"] != "1"] == []
    for row in rows:
        truth = next(cell for cell in study.CELLS if cell.name == row["cell"]).truth[row["metric"]]
        assert float(row["truth"]) == pytest.approx(truth, rel=1e-9), (row["cell"], row["metric"])


def test_a_bounded_run_agrees_with_theory_and_resumes(tmp_path: Path) -> None:
    """Three short cells: |t| beyond its 1e-6 quantile over all rows would be a bias. A second run adds nothing."""
    path = tmp_path / "results.csv"
    cells = [cell for cell in study.CELLS if cell.name in ("M/M/1 at 0.5", "M/M/4/8 at 1.4", "M/D/1 at 0.5")]
    study.run_study(cells[:1], SMALL, path)
    study.run_study(cells, SMALL, path)
    written = path.read_text()
    study.run_study(cells, SMALL, path)
    assert path.read_text() == written
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(study.metrics_of(cell)) for cell in cells)
    assert study.report(path).count("\n") == len(rows)
    for row in rows:
        freedom = SMALL.replications - 1 - len(row["controls"].split("+"))
        critical = stats.t.isf(FALSE_ALARM / len(rows) / 2, freedom)
        assert abs(float(row["relative_bias"])) <= critical * float(row["standard_error"]), row


def test_controls_take_out_what_they_explain_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    control, noise = random.standard_normal(400), random.standard_normal(400)
    found = study.controlled(0.01 + 3 * control + noise, [control])
    assert found.bias == pytest.approx(0.01, abs=5 / np.sqrt(400))
    # Var(3 C + E) / Var(E) = 10; the ratio of two variance estimates of 400 each has a spread of about 10 %
    assert found.variance_reduction == pytest.approx(10, rel=0.35)


@pytest.mark.parametrize(("bias", "equivalent"), [(0.0, True), (0.003, True), (0.0045, False), (0.006, False)])
def test_the_two_one_sided_tests_ask_for_a_bias_inside_the_margin(bias: float, equivalent: bool) -> None:
    found = study.Estimate(bias, 0.001, 60, 1.0)
    assert (found.p_value < study.LEVEL) == equivalent
    assert found.power > 0.99
    assert study.Estimate(bias, 0.004, 60, 1.0).power == 0.0
