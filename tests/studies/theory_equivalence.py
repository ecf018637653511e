"""Study: is the simulation's long run within 0.5 % of exact theory, up to a load of 0.9?

Each cell is simulated in independent replications. Control variates (the drawn
mean service time, its mean square, the arrival rate or the mean think time, all
of known expectation) take out what the draws explain, by linear regression [1]_.
Two one-sided t tests [2]_ at 5 % then ask for a bias within 0.5 %. The union of
such claims needs no correction: each must hold by itself. A pilot with its own
random numbers sets the length of the runs, so that the test has 95 % power
without a bias, as far as the budget of requests goes; the power reached is in
the results.

One row for each cell and metric is appended to the results, so the study
resumes where it stopped.

    python tests/studies/theory_equivalence.py

References
----------
.. [1] S. S. Lavenberg, P. D. Welch, "A perspective on the use of control variables to
   increase the efficiency of Monte Carlo simulations", Management Science 27 (1981) 322-335.
.. [2] D. J. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.foundation.distributions import Constant, Exponential, Gamma, LogNormal, Uniform
from loadtests.foundation.versions import versions_of
from simulations.analysis.metrics import full_window, window_metrics
from simulations.model.workload import OpenWorkload
from support.theory_cells import (
    WARM_UP_FRACTION,
    Cell,
    closed_cell,
    controls,
    loss_cell,
    mg1_cell,
    mmc_cell,
    mmck_cell,
)

SEED = 20_261_202
MARGIN, LEVEL, POWER = 0.005, 0.05, 0.95
METRICS = ("mean_s", "p95_s", "shed_rate", "goodput_rps")
PILOT, STUDY = 0, 1
RESULTS = Path(__file__).parent / "results" / "theory_equivalence.csv"
LOADS = (0.5, 0.7, 0.8, 0.9)

CELLS = [
    *(mmc_cell(f"M/M/1 at {load}", 1, load) for load in LOADS),
    *(mmc_cell(f"M/M/10 at {load}", 10, load) for load in LOADS),
    *(mg1_cell(f"M/D/1 at {load}", Constant(0.1), load) for load in LOADS),
    *(mg1_cell(f"M/gamma/1, cv 0.5, at {load}", Gamma(0.1, 0.5), load) for load in LOADS),
    *(mg1_cell(f"M/lognormal/1, cv 1, at {load}", LogNormal(0.1, 1.0), load) for load in LOADS),
    *(mmck_cell(f"M/M/4/8 at {load}", 4, load, 8) for load in (0.9, 1.4)),
    mmck_cell("M/M/4/99 behind a gate of 8 at 1.2", 4, 1.2, 99, gate=8),
    loss_cell("M/lognormal/10/10 at 9 erlangs", LogNormal(0.1, 1.5), 10, 10, 9.0),
    closed_cell("closed 40/5, exponential think", 40, 5, Exponential(0.6)),
    closed_cell("closed 40/5, constant think", 40, 5, Constant(0.6)),
    closed_cell("closed 25/5, uniform think", 25, 5, Uniform(0.2, 1.0)),
    closed_cell("closed 60/5, lognormal think", 60, 5, LogNormal(1.0, 2.0)),
]


@dataclass(frozen=True)
class Effort:
    """How much is simulated: replications, and requests of all of them together."""

    replications: int = 128
    fewest: int = 8_000_000
    most: int = 500_000_000
    pilot_replications: int = 32
    pilot_requests: int = 250_000


@dataclass(frozen=True)
class Estimate:
    """A relative bias with its standard error, and what the controls were worth."""

    bias: float
    standard_error: float
    freedom: int
    variance_reduction: float

    @property
    def p_value(self) -> float:
        """Of two one-sided tests: the chance of this, were the bias at the nearer margin."""
        return float(stats.t.sf((MARGIN - abs(self.bias)) / self.standard_error, self.freedom))

    @property
    def power(self) -> float:
        """Chance that the test says equivalent when there is no bias."""
        room = MARGIN / self.standard_error - float(stats.t.isf(LEVEL, self.freedom))
        return max(2.0 * float(stats.t.cdf(room, self.freedom)) - 1.0, 0.0)


def run_cell(cell: Cell, effort: Effort) -> list[dict[str, object]]:
    """One row for each metric that theory knows."""
    names = metrics_of(cell)
    requests = planned_requests(cell, names, effort)
    errors, drawn = replications(cell, names, effort.replications, requests, STUDY)
    return [
        row_of(cell, name, controlled(errors[name], list(drawn.values())), requests, effort.replications, list(drawn))
        for name in names
    ]


def metrics_of(cell: Cell) -> list[str]:
    """Metrics that theory knows and that no control fixes.

    Without waiting the residence is the service time, and a system that sheds nothing gives out what comes in.
    """
    fixed = {"mean_s"} if cell.truth["mean_s"] == cell.model.service_time.mean_s else set()
    if isinstance(cell.workload, OpenWorkload) and "shed_rate" not in cell.truth:
        fixed.add("goodput_rps")
    return [name for name in METRICS if name in cell.truth and name not in fixed]


def replications(
    cell: Cell, names: list[str], count: int, requests: int, stage: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Relative errors by metric, and controls by name: one number a replication."""
    errors: list[list[float]] = []
    drawn: list[dict[str, float]] = []
    for number in range(count):
        log = cell.log(requests, SEED, stage, number)
        window = full_window(log, WARM_UP_FRACTION)
        found = window_metrics(log, window)
        errors.append([found[name] / cell.truth[name] - 1.0 for name in names])
        drawn.append(controls(log, window, found, cell))
    by_name = {name: np.array([run[name] for run in drawn]) for name in drawn[0]}
    return dict(zip(names, np.array(errors).T, strict=True)), by_name


def planned_requests(cell: Cell, names: list[str], effort: Effort) -> int:
    """Requests of one replication that give every metric its power without controls, within the effort.

    The pilot's variance enters by its upper 90 % confidence bound.
    """
    errors, _ = replications(cell, names, effort.pilot_replications, effort.pilot_requests, PILOT)
    freedom = effort.pilot_replications - 1
    caution = freedom / float(stats.chi2.isf(0.9, freedom))
    variance = max(float(np.var(values, ddof=1)) for values in errors.values()) * effort.pilot_requests * caution
    target = MARGIN / float(stats.norm.isf(LEVEL) + stats.norm.isf((1 - POWER) / 2))
    total = min(max(variance / target**2, effort.fewest), effort.most)
    return math.ceil(total / effort.replications)


def controlled(errors: np.ndarray, drawn: list[np.ndarray]) -> Estimate:
    """Regression of the errors on the controls, whose expectations are 0: the intercept is the bias."""
    columns = np.column_stack([np.ones_like(errors), *drawn])
    coefficients = np.linalg.lstsq(columns, errors, rcond=None)[0]
    freedom = errors.size - columns.shape[1]
    variance = float(np.sum((errors - columns @ coefficients) ** 2)) / freedom
    standard_error = math.sqrt(variance * np.linalg.pinv(columns.T @ columns)[0, 0])
    plain = float(np.var(errors, ddof=1)) / errors.size
    return Estimate(float(coefficients[0]), standard_error, freedom, plain / standard_error**2)


def row_of(cell: Cell, metric: str, found: Estimate, requests: int, count: int, names: list[str]) -> dict[str, object]:
    """A row of the results."""
    return {
        "cell": cell.name, "metric": metric, "truth": cell.truth[metric], "relative_bias": found.bias,
        "standard_error": found.standard_error, "p_value": found.p_value,
        "equivalent": int(found.p_value < LEVEL), "power": found.power, "replications": count,
        "requests_per_replication": requests, "variance_reduction": found.variance_reduction,
        "controls": "+".join(names), "seed": SEED, "versions": json.dumps(versions_of("numpy", "numba", "scipy")),
    }  # fmt: skip


def cells_done(path: Path) -> set[str]:
    """Cells that stand in the results already."""
    if not path.exists():
        return set()
    with path.open(newline="") as stream:
        return {row["cell"] for row in csv.DictReader(stream)}


def run_study(cells: list[Cell], effort: Effort, path: Path = RESULTS) -> None:
    """Append the cells that are missing."""
    done = cells_done(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells:
        if cell.name in done:
            continue
        rows = run_cell(cell, effort)
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)


def report(path: Path = RESULTS) -> str:
    """One line a row."""
    with path.open(newline="") as stream:
        return "".join(
            f"{row['cell']:<36} {row['metric']:<12} bias {float(row['relative_bias']):+.3%} "
            f"+- {float(row['standard_error']):.3%}, equivalent: {'yes' if row['equivalent'] == '1' else 'NO'}, "
            f"power {float(row['power']):.2f}, variance / {float(row['variance_reduction']):.1f}\n"
            for row in csv.DictReader(stream)
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most-requests", type=int, default=Effort.most, help="largest number of requests of one cell")
    run_study(CELLS, Effort(most=parser.parse_args().most_requests))
    sys.stdout.write(report())
