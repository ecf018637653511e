"""The compiled engine against exact theory: a t test over independent replications of each cell and metric.

All comparisons form one family: each is tested at 1e-6 over their number (Bonferroni), so the whole file gives a
false alarm in at most one of a million seeds. The seeds are fixed, so a failure is a change of the code. Each
standard error must be at most 0.25 % of the value, and each test says the smallest bias that it would find with
95 % power (`pytest -s` shows it).
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import stats

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import LogNormal
from simulations.analysis.queueing_theory import erlang_b
from simulations.analysis.simulation import simulate
from simulations.model.server_model import ServerModel
from simulations.model.workload import OpenWorkload
from support.theory_cells import CELLS, Cell

FAMILY_WISE_FALSE_ALARM = 1e-6
COMPARISONS = sum(len(cell.truth) for cell in CELLS)
REPLICATIONS = 40
SEED = 20_261_201
LARGEST_STANDARD_ERROR = 0.0025
CRITICAL = float(stats.t.isf(FAMILY_WISE_FALSE_ALARM / COMPARISONS / 2, REPLICATIONS - 1))
"""Of |t|, two-sided."""
POWER = 0.95


def smallest_detectable(standard_error: float) -> float:
    """The bias that the test finds with 95 % power: critical value and power quantile, in standard errors."""
    return standard_error * (CRITICAL + float(stats.t.ppf(POWER, REPLICATIONS - 1)))


def test_the_family_has_at_least_twenty_five_comparisons() -> None:
    assert COMPARISONS >= 25
    assert len({cell.name for cell in CELLS}) == len(CELLS)


@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_the_long_run_agrees_with_theory(cell: Cell) -> None:
    wrong = []
    for name, errors in cell.relative_errors(REPLICATIONS, SEED).items():
        bias, standard_error = float(np.mean(errors)), float(np.std(errors, ddof=1)) / np.sqrt(REPLICATIONS)
        sys.stdout.write(
            f"{cell.name:<36} {name:<12} {cell.truth[name]:<9.5g} bias {bias:+.3%}, standard error "
            f"{standard_error:.3%}, finds {smallest_detectable(standard_error):.2%}\n"
        )
        assert standard_error <= LARGEST_STANDARD_ERROR, (name, standard_error)
        if abs(bias) > CRITICAL * standard_error:
            wrong.append((name, bias, standard_error))
    assert not wrong


def test_the_test_finds_a_bias_of_two_percent() -> None:
    """The same cell against a truth that is 2 % off: the test must fail there, or it could not fail at all."""
    cell = CELLS[0]
    errors = cell.relative_errors(REPLICATIONS, SEED)["mean_s"]
    standard_error = float(np.std(errors, ddof=1)) / np.sqrt(REPLICATIONS)
    assert smallest_detectable(standard_error) < 0.02
    assert abs(float(np.mean((1 + errors) / 1.02 - 1))) > CRITICAL * standard_error / 1.02


def test_the_readable_engine_loses_by_erlang_b_whatever_the_service_distribution() -> None:
    """SimPy, which is too slow for the family above; the same sample path as the compiled engine by other tests."""
    model = ServerModel(Deployment(gate_limit=10, workers="unlimited"), LogNormal(0.1, 1.5))
    level = 1 - FAMILY_WISE_FALSE_ALARM
    shed = simulate(model, OpenWorkload(80.0), requests=60_000, seed=3, engine="simpy", level=level).metrics[
        "shed_rate"
    ]
    assert shed.contains(erlang_b(10, 8.0))
