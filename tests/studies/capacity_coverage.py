"""Study: how often does the interval of `find_capacity` hold the true capacity?

A cell is a server, a kind of load and an objective whose capacity is known exactly: the load at which a formula of
M/M/c, M/M/c/K or a closed station reaches the limit, by root finding (of users: the last whole number within it). An
experiment is one search, as a user would run it, with a seed of its own. One row a chunk of experiments is
appended to the results, so the study resumes where it stopped.

    python tests/studies/capacity_coverage.py --experiments 400 --minutes 8
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scipy import optimize

sys.path.insert(0, str(Path(__file__).resolve().parent))

import simulation_coverage as simulation

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import versions_of
from simulations.analysis.capacity_search import find_capacity
from simulations.analysis.objective import Objective
from simulations.analysis.queueing_theory import (
    closed_mmc_residence_quantile,
    mmc_residence_quantile,
    mmck,
    mmck_residence_quantile,
)
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, Workload

SEED = 20_270_301
LEVEL = 0.9
CHUNK = 25
RESULTS = Path(__file__).parent / "results" / "capacity_coverage.csv"
_THINK = Exponential(2.0)


@dataclass(frozen=True)
class Cell:
    """A search in units of the mean service time, and how far a load's exact values exceed the limits."""

    name: str
    workers: int
    queue: int | None
    objective: Objective
    exceeds: Callable[[float], float]
    is_closed: bool = False

    @property
    def model(self) -> ServerModel:
        queue = "unlimited" if self.queue is None else self.queue
        return ServerModel(Deployment(workers=self.workers, queue_capacity=queue), Exponential(1.0))

    @property
    def workload(self) -> Workload:
        return ClosedWorkload(1, _THINK) if self.is_closed else OpenWorkload(1.0)


def _shed(workers: int, room: int, most: float) -> Callable[[float], float]:
    return lambda rate: mmck(rate, 1.0, workers, room).blocked_fraction - most


def _slow(workers: int, room: int | None, most_s: float) -> Callable[[float], float]:
    if room is None:
        return lambda rate: float(mmc_residence_quantile(rate, 1.0, workers, 0.95)) - most_s
    return lambda rate: float(mmck_residence_quantile(rate, 1.0, workers, room, 0.95)) - most_s


def _either(first: Callable[[float], float], second: Callable[[float], float]) -> Callable[[float], float]:
    return lambda load: max(first(load), second(load))


def _closed_shed(most: float) -> Callable[[float], float]:
    def exceeds(users: float) -> float:
        cell = simulation.Cell("closed", 4, 6, "exponential:1s", users=int(users))
        return simulation.exact_truth(cell)["shed_rate"] - most

    return exceeds


CELLS = (
    Cell("M/M/4/10, 1 % bad", 4, 6, Objective(max_bad_fraction=0.01), _shed(4, 10, 0.01)),
    Cell("M/M/4/10, 0.1 % bad", 4, 6, Objective(max_bad_fraction=0.001), _shed(4, 10, 0.001)),
    Cell("M/M/50/75, 1 % bad", 50, 25, Objective(max_bad_fraction=0.01), _shed(50, 75, 0.01)),
    Cell("M/M/4, P95 5", 4, None, Objective(p95_s=5.0), _slow(4, None, 5.0)),
    Cell("M/M/50, P95 3.5", 50, None, Objective(p95_s=3.5), _slow(50, None, 3.5)),
    Cell(
        "M/M/4/10, P95 3.3 and 1 % bad", 4, 6, Objective(p95_s=3.3, max_bad_fraction=0.01),
        _either(_slow(4, 10, 3.3), _shed(4, 10, 0.01)),
    ),
    Cell(
        "closed, 10 workers, P95 5", 10, None, Objective(p95_s=5.0),
        lambda users: float(closed_mmc_residence_quantile(int(users), 10, 1.0, 2.0, 0.95)) - 5.0, is_closed=True,
    ),
    Cell("closed, 4 workers, 1 % bad", 4, 6, Objective(max_bad_fraction=0.01), _closed_shed(0.01), is_closed=True),
)  # fmt: skip


@cache
def truth_of(cell: Cell) -> float:
    """The capacity by the formula."""
    if cell.is_closed:
        users = 11  # ten fit without being turned away
        while cell.exceeds(users + 1) <= 0:
            users += 1
        return float(users)
    most = cell.workers * (0.9999 if cell.queue is None else 2.0)
    return float(optimize.brentq(cell.exceeds, 0.05 * cell.workers, most, xtol=1e-9))


def search(cell: Cell, number: int) -> Interval:
    """One experiment."""
    seed = derive_key(SEED, CELLS.index(cell), number) >> 12
    return find_capacity(cell.model, cell.workload, objective=cell.objective, seed=seed, level=LEVEL).value


def run_chunk(cell: Cell, chunk: int, experiments: int = CHUNK) -> dict[str, object]:
    """Counts over a chunk: intervals that held the truth, lay below or above it; mean width and error of the middle."""
    truth = truth_of(cell)
    found = [search(cell, number) for number in range(chunk * CHUNK, chunk * CHUNK + experiments)]
    return {
        "cell": cell.name, "chunk": chunk, "experiments": experiments, "level": LEVEL, "truth": truth,
        "held": sum(item.contains(truth) for item in found),
        "below": sum(item.high < truth for item in found), "above": sum(item.low > truth for item in found),
        "width": sum((item.high - item.low) / truth for item in found),
        "error": sum(item.mid / truth - 1 for item in found), "seed": SEED,
        "versions": " ".join(f"{name}={value}" for name, value in versions_of("numpy", "numba", "scipy").items()),
    }  # fmt: skip


def missing_chunks(experiments: int, path: Path = RESULTS) -> Iterator[tuple[Cell, int]]:
    """Chunk by chunk over all cells, what does not stand in the results."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        with path.open(newline="") as stream:
            done = {(item["cell"], int(item["chunk"])) for item in csv.DictReader(stream)}
    for chunk in range(experiments // CHUNK):
        for cell in CELLS:
            if (cell.name, chunk) not in done:
                yield cell, chunk


def run_study(experiments: int, minutes: float = math.inf, path: Path = RESULTS) -> None:
    """Append the chunks that are missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, chunk in missing_chunks(experiments, path):
        if time.monotonic() > end:
            return
        row = run_chunk(cell, chunk)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(row))
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


def totals(path: Path = RESULTS) -> dict[str, dict[str, float]]:
    """Sums over the chunks, by cell, in the order of `CELLS`."""
    sums = ("experiments", "held", "below", "above", "width", "error")
    found: dict[str, dict[str, float]] = {}
    with path.open(newline="") as stream:
        for item in csv.DictReader(stream):
            cell = found.setdefault(item["cell"], dict.fromkeys(sums, 0.0))
            for name in sums:
                cell[name] += float(item[name])
    return {cell.name: found[cell.name] for cell in CELLS if cell.name in found}


def versions_seen(path: Path = RESULTS) -> set[str]:
    """The versions that the rows were computed with."""
    with path.open(newline="") as stream:
        return {item["versions"] for item in csv.DictReader(stream)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked = parser.parse_args()
    run_study(asked.experiments, asked.minutes)
    for name, sums in totals().items():
        count = sums["experiments"]
        sys.stdout.write(
            f"{name:<32} {count:>5.0f}  held {sums['held'] / count:.3f}  below {sums['below'] / count:.3f}  "
            f"above {sums['above'] / count:.3f}  width {sums['width'] / count:.2%}  error {sums['error'] / count:.3%}\n"
        )
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
