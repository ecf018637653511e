"""A bounded form of the study of knee searches, by its own code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))

import knee_coverage as study


def test_the_exact_knee_of_a_study_s_station_is_the_last_level_that_keeps_the_objective():
    for cell in study.CELLS:
        knee = study.knee_of(cell)
        assert study.keeps(cell, knee)
        assert not study.keeps(cell, knee + 1)


def test_the_interval_holds_the_exact_knee_most_of_the_time():
    """Eight searches at 90 %: fewer than five that hold it would happen once in 200 times."""
    cell = study.CELLS[1]
    rows = [study.row(cell, number) for number in range(8)]
    assert sum(int(str(row["held"])) for row in rows) >= 5
    assert all(float(str(row["low"])) > 0.5 * study.knee_of(cell) for row in rows)
