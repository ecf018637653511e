"""Study: how often does the interval of a knee search hold the true knee, and how many steps does it take?

A cell is a closed station of exponential times and an objective. Its knee is known exactly: the last number of users
at which the stationary distribution of M/M/c/K with that many users keeps the objective. An experiment is one search
by `search_knee`, in which every step is 30 s of simulated requests, judged as those of a real server are. One row an
experiment is appended to the results, so the study resumes where it stopped.

    python tests/studies/knee_coverage.py --experiments 200 --minutes 10
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window
from loadtests.foundation.distributions import Exponential
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import versions_of
from loadtests.knee.knee_search import KneeOptions, KneeResult, search_knee
from loadtests.knee.knee_step import KneeObjective, KneeStep, measure_step
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload
from support.synthetic_recordings import step_rows

SEED = 20_270_402
LEVEL = 0.9
WINDOW_S = 30.0
OPTIONS = KneeOptions(most_users=2_000, level=LEVEL)
RESULTS = Path(__file__).parent / "results" / "knee_coverage.csv"


@dataclass(frozen=True)
class Cell:
    """A closed station and what it must keep; times in seconds."""

    name: str
    workers: int
    queue: int
    service_s: float
    think_s: float
    objective: KneeObjective

    @property
    def model(self) -> ServerModel:
        return ServerModel(Deployment(workers=self.workers, queue_capacity=self.queue), Exponential(self.service_s))

    def workload(self, users: int) -> ClosedWorkload:
        return ClosedWorkload(users, Exponential(self.think_s))


CELLS = (
    Cell("10 workers, P95 300 ms", 10, 5_000, 0.05, 0.5, KneeObjective(0.3)),
    Cell("8 workers, slow service, P95 1 s", 8, 5_000, 0.2, 1.0, KneeObjective(1.0)),
    Cell("50 workers, P95 200 ms", 50, 5_000, 0.05, 0.2, KneeObjective(0.2)),
    Cell("10 workers, gate 20, 0.1 % bad", 10, 10, 0.05, 0.5, KneeObjective(max_bad_fraction=0.001)),
    Cell("10 workers, gate 20, 1 % bad", 10, 10, 0.05, 0.5, KneeObjective(max_bad_fraction=0.01)),
    Cell("40 workers, gate 50, P95 200 ms and 0.1 % bad", 40, 10, 0.05, 0.5, KneeObjective(0.2, 0.001)),
)


def keeps(cell: Cell, users: int) -> bool:
    """Whether so many users keep the objective in the long run [Kleinrock 1975, M/M/c/K with a finite population]."""
    room = min(cell.workers + cell.queue, users)
    level = np.arange(room + 1, dtype=float)
    births = (users - level) / cell.think_s
    deaths = np.minimum(level[1:], cell.workers) / cell.service_s
    log_state = np.concatenate([[0.0], np.cumsum(np.log(births[:-1]) - np.log(deaths))])
    arrivals = births * np.exp(log_state - log_state.max())
    is_full = room == cell.workers + cell.queue
    bad = arrivals[-1] / arrivals.sum() if is_full else 0.0
    seen = arrivals[:room] / arrivals[:room].sum()
    limit_s, limit = cell.objective.p95_s, cell.objective.max_bad_fraction
    is_fast = limit_s is None or _exceeds(cell, limit_s / cell.service_s, seen) <= 0.05
    return is_fast and (limit is None or bad <= limit)


def _exceeds(cell: Cell, time: float, seen: np.ndarray) -> float:
    """P(residence > t) in service times: an Erlang(k, c) wait and one exponential service, over the state found."""
    workers = cell.workers
    waits = np.arange(1, len(seen) - workers + 1)
    total = float(seen[:workers].sum()) * math.exp(-time)
    log_ratio = waits * math.log(workers / (workers - 1.0)) - time
    waiting = special.gammaincc(waits, workers * time)
    in_service = np.exp(log_ratio + np.log(np.maximum(special.gammainc(waits, (workers - 1.0) * time), 1e-300)))
    return total + float(seen[workers:] @ (waiting + in_service))


@cache
def knee_of(cell: Cell) -> int:
    """The last number of users, counted up, that keeps the objective."""
    low, high = 1, OPTIONS.most_users
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps(cell, middle) else (low, middle)
    return low


def measured(cell: Cell, users: int, seed: int) -> KneeStep:
    """One step of the length that a test would have."""
    workload = cell.workload(users)
    warm_up_s = warm_up_time_s(cell.model, workload)
    end_s = warm_up_s + WINDOW_S
    log = simulate_log(cell.model, workload, RunLength(horizon_s=end_s), seed=seed)
    rows = step_rows(log.to_frame(), users, 0.0, 0)
    inside = (rows["finish_s"] >= warm_up_s) & (rows["finish_s"] < end_s)
    return measure_step(rows[inside], Window(1, users, warm_up_s, end_s))


def search(cell: Cell, number: int) -> KneeResult:
    """One experiment."""
    asked = iter(range(10_000))

    def measure(users: int) -> KneeStep:
        return measured(cell, users, derive_key(SEED, CELLS.index(cell), number, next(asked)) >> 12)

    return search_knee(measure, cell.objective, OPTIONS)


def row(cell: Cell, number: int) -> dict[str, object]:
    """One line of the results."""
    result, truth = search(cell, number), knee_of(cell)
    found = result.knee_users
    return {
        "cell": cell.name, "number": number, "level": LEVEL, "truth": truth, "low": found.low, "mid": found.mid,
        "high": found.high, "held": int(found.low <= truth <= found.high), "steps": len(result.steps),
        "reason": result.reason, "largest_asked": max(step.users for step in result.steps), "seed": SEED,
        "versions": " ".join(f"{name}={value}" for name, value in versions_of("numpy", "numba", "scipy").items()),
    }  # fmt: skip


def missing(experiments: int, path: Path = RESULTS) -> Iterator[tuple[Cell, int]]:
    """What does not stand in the results."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        with path.open(newline="") as stream:
            done = {(item["cell"], int(item["number"])) for item in csv.DictReader(stream)}
    for number in range(experiments):
        yield from ((cell, number) for cell in CELLS if (cell.name, number) not in done)


def run_study(experiments: int, minutes: float = math.inf, path: Path = RESULTS) -> None:
    """Append the experiments that are missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, number in missing(experiments, path):
        if time.monotonic() > end:
            return
        line = row(cell, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(line))
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerow(line)


def results(path: Path = RESULTS) -> dict[str, list[dict[str, str]]]:
    """The rows by cell, in the order of `CELLS`."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {cell.name: [item for item in rows if item["cell"] == cell.name] for cell in CELLS}
    return {name: items for name, items in found.items() if items}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked_for = parser.parse_args()
    run_study(asked_for.experiments, asked_for.minutes)
    for name, items in results().items():
        held = np.mean([int(item["held"]) for item in items])
        steps = np.mean([int(item["steps"]) for item in items])
        width = np.mean([(float(item["high"]) - float(item["low"])) / float(item["truth"]) for item in items])
        error = np.mean([float(item["mid"]) / float(item["truth"]) - 1 for item in items])
        sys.stdout.write(
            f"{name:<48} {len(items):>4}  truth {items[0]['truth']:>4}  held {held:.3f}  steps {steps:.1f}  "
            f"width {width:.1%}  error {error:+.1%}\n"
        )
