"""A small form of the coverage study: gross failures only, and that the study measures what ships."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from simulations.analysis.queueing_theory import closed_mmc, mmck
from simulations.analysis.replicated_runs import ReplicationPlan, run_replication

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "studies"))

import capacity_coverage as capacity_study
import simulation_coverage as study
import single_run_coverage as single

FRESH_CHUNK = 1_000
EXPERIMENTS = 130
NUMBERS = (len(study.DESIGNS) + 1) * len(study.METRICS)


def cell_named(name: str) -> study.Cell:
    return next(cell for cell in study.CELLS if cell.name == name)


def test_no_interval_fails_grossly() -> None:
    """Three cells of 130 fresh experiments, 390 for each of nine pairs of design and metric.

    If every true coverage lies in 0.94 to 0.96, any of the nine bounds is broken with a probability below 2e-6
    (binomial, Bonferroni). Nine times in ten a coverage below 0.86 shows.
    """
    cells = ("M/M/4/10 at 0.95", "M/M/50/75 at 0.95", "closed, 20 users, 4 workers")
    counts: dict[str, float] = {}
    for cell in map(cell_named, cells):
        for runner in (study, single):
            for name, value in runner.run_chunk(cell, FRESH_CHUNK, study.kept_truth(cell) or {}, EXPERIMENTS).items():
                if name.endswith("_held"):
                    counts[name] = counts.get(name, 0.0) + float(str(value))
    least = stats.binom.ppf(1e-6 / NUMBERS, len(cells) * EXPERIMENTS, 0.94)
    most = stats.binom.isf(1e-6 / NUMBERS, len(cells) * EXPERIMENTS, 0.96)
    assert len(counts) == NUMBERS
    assert {name: held for name, held in counts.items() if not least <= held <= most} == {}


def test_the_studys_exact_truth_is_that_of_queueing_theory() -> None:
    for name in ("M/M/4/10 at 1.2", "M/M/50/75 at 0.95"):
        cell = cell_named(name)
        truth = study.exact_truth(cell)
        theory = mmck(cell.load * cell.workers, 1.0, cell.workers, cell.workers + cell.queue)
        assert truth["mean_s"] == pytest.approx(theory.residence_time_s, rel=1e-9)
        assert truth["shed_rate"] == pytest.approx(theory.blocked_fraction, rel=1e-9)
    everybody_fits = study.Cell("closed", 4, 6, "exponential:1s", users=10)
    truth = study.exact_truth(everybody_fits)
    assert truth["mean_s"] == pytest.approx(closed_mmc(10, 4, 1.0, 2.0).residence_time_s, rel=1e-9)
    no_line = study.exact_truth(study.Cell("loss", 4, 0, "exponential:1s", 0.9))
    assert no_line["p95_s"] == pytest.approx(-np.log(0.05), rel=1e-9)


def test_the_studys_rows_are_the_librarys() -> None:
    cell = cell_named("M/M/4/10 at 0.8")
    plan = ReplicationPlan(requests=cell.requests)
    ours, shipped = study.row(cell, cell.requests, 9), run_replication(cell.model, cell.workload, plan, 9)
    assert ours == pytest.approx({name: shipped[name] for name in ours}, rel=1e-12)


def test_the_capacity_study_counts_what_ships(tmp_path: Path) -> None:
    """One fresh chunk of the two cheapest cells; resumed, it adds nothing."""
    cells = [cell for cell in capacity_study.CELLS if cell.is_closed]
    for cell in cells:
        row = capacity_study.run_chunk(cell, FRESH_CHUNK, 4)
        counts = {name: int(str(row[name])) for name in ("held", "below", "above", "experiments")}
        assert counts["held"] + counts["below"] + counts["above"] == counts["experiments"] == 4
    done = {(cell.name, chunk) for cell, chunk in capacity_study.missing_chunks(50, tmp_path / "none.csv")}
    assert len(done) == 2 * len(capacity_study.CELLS)


def test_the_capacity_studys_truth_is_where_the_limit_is_reached() -> None:
    for cell in capacity_study.CELLS:
        truth = capacity_study.truth_of(cell)
        nearest = 1.0 if cell.is_closed else 1e-6 * truth
        assert cell.exceeds(truth - (0 if cell.is_closed else nearest)) <= 0
        assert cell.exceeds(truth + nearest) > 0
