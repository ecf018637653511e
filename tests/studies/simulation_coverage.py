"""Study: how often do the intervals of a simulation hold the long-run value?

A cell is a server under a load. An experiment is what a user would run once:
replications, one long run, or replications until a precision. Ten thousand of
them a cell say how often the 95 % interval of the mean and the P95 of served
residence times and of the shed rate holds the truth. One row a chunk of 500
experiments is appended to the results, so the study resumes where it stopped.

    python tests/studies/simulation_coverage.py --experiments 10000 --minutes 40

Designs. `fixed`: 20 replications with seeds of their own. `sequential`: `until_precise` for one
metric at a time, at least 20 replications, to the half-width that 25 replications have in the
long run. Both leave out the warm-up of `replicated_runs.common_warm_up_s`. (One long run, as `simulate`
makes it, has a study of its own: `single_run_coverage.py`.)

Truth. Exponential service: exact, from the states of M/M/c/K (or its closed form)
and the residence time of a request that finds j inside. Otherwise a reference of
600 runs of 400,000 requests, at least 2,000 times one experiment (its error is a 45th of an
experiment's, which moves a coverage of 95 % by less than 0.01 %).
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Distribution, parse_distribution
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import versions_of
from simulations.analysis.metrics import Window
from simulations.analysis.replicated_runs import common_warm_up_s
from simulations.analysis.replications import (
    FEW_EVENTS,
    mean_interval,
    none_seen_interval,
    quantile_with_less_bias,
    share_interval,
    shed_cluster_size,
)
from simulations.analysis.sequential import LEAST_REPLICATIONS, Precision, until_precise
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload, Workload

Floats = NDArray[np.float64]

SEED = 20_270_114
LEVEL = 0.95
CHUNK = 500
REPLICATIONS = LEAST_REPLICATIONS
METRICS = ("mean_s", "p95_s", "shed_rate")
DESIGNS = ("fixed", "sequential")
FOLDER = Path(__file__).parent / "results"
RESULTS = FOLDER / "simulation_coverage.csv"
TRUTHS = FOLDER / "simulation_coverage_truth.csv"
NONE_SEEN = FOLDER / "none_seen_coverage.csv"
_REFERENCE_RUNS, _REFERENCE_REQUESTS = 600, 400_000
_SEQUENTIAL_REPLICATIONS = 25


@dataclass(frozen=True)
class Tabulated:
    """A distribution whose quantile table is computed once, not once a run."""

    of: Distribution
    known: dict[str, Floats] = field(default_factory=dict, compare=False)

    @property
    def mean_s(self) -> float:
        return self.of.mean_s

    @property
    def cv(self) -> float:
        return self.of.cv

    def text(self) -> str:
        return self.of.text()

    def quantile_s(self, probability: ArrayLike) -> Floats:
        return self._once("lower", self.of.quantile_s, probability)

    def upper_quantile_s(self, probability: ArrayLike) -> Floats:
        return self._once("upper", self.of.upper_quantile_s, probability)

    def _once(self, name: str, compute: Callable[[ArrayLike], Floats], probability: ArrayLike) -> Floats:
        key = f"{name} {np.size(probability)}"
        if key not in self.known:
            self.known[key] = compute(probability)
        return self.known[key]


@dataclass(frozen=True)
class Cell:
    """A server under a load, in units of its mean service time; a population where `users` is given."""

    name: str
    workers: int
    queue: int
    service: str
    load: float = 0.0
    users: int = 0
    requests: int = 3_000

    @cached_property
    def model(self) -> ServerModel:
        return ServerModel(Deployment(workers=self.workers, queue_capacity=self.queue), _tabulated(self.service))

    @cached_property
    def workload(self) -> Workload:
        if self.users:
            return ClosedWorkload(self.users, _tabulated("exponential:2s"))
        rate = self.load * self.workers
        return OpenWorkload(rate, _tabulated(f"exponential:{1 / rate!r}s"))


@cache
def _tabulated(text: str) -> Tabulated:
    return Tabulated(parse_distribution(text))


CELLS = (
    *(Cell(f"M/M/4/10 at {load}", 4, 6, "exponential:1s", load) for load in (0.5, 0.8, 0.95, 1.05, 1.2)),
    Cell("M/M/50/75 at 0.95", 50, 25, "exponential:1s", 0.95),
    Cell("M/G/4/10 cv 2 at 0.95", 4, 6, "lognormal:1s:2", 0.95),
    Cell("M/G/50/75 cv 2 at 0.95", 50, 25, "lognormal:1s:2", 0.95, requests=6_000),
    Cell("M/D/4/10 at 0.95", 4, 6, "constant:1s", 0.95),
    Cell("closed, 20 users, 4 workers", 4, 6, "exponential:1s", users=20),
    Cell("M/M/50/75 at 1.05", 50, 25, "exponential:1s", 1.05),
    Cell("M/G/4/10 cv 2 at 1.2", 4, 6, "lognormal:1s:2", 1.2),
    Cell("M/G/4/10 cv 1 at 0.95", 4, 6, "lognormal:1s:1", 0.95),
    Cell("M/G/4/10 cv 2 at 0.8", 4, 6, "lognormal:1s:2", 0.8),
    Cell("M/M/50/75 at 1.2", 50, 25, "exponential:1s", 1.2),
    Cell("closed, 12 users, 4 workers", 4, 6, "exponential:1s", users=12),
    Cell("M/M/50/75 at 0.8", 50, 25, "exponential:1s", 0.8),
    Cell("M/D/4/10 at 1.2", 4, 6, "constant:1s", 1.2),
)

# ---------------------------------------------------------------- what one run shows


def observed(log: RequestLog, window: Window) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Residence times, whether served, and answer times of the requests answered in a window."""
    inside = (log.departure_s >= window.start_s) & (log.departure_s < window.end_s)
    answered_s = log.departure_s[inside]
    return answered_s - log.arrival_s[inside], log.served[inside], answered_s


def run_log(cell: Cell, requests: int, seed: int) -> tuple[RequestLog, Window]:
    """One run with about so many requests after its warm-up."""
    warm_up_s = _warm_up_s(cell)
    length = RunLength(horizon_s=warm_up_s + requests / rate(cell))
    log = simulate_log(cell.model, cell.workload, length, seed=seed)
    return log, Window(warm_up_s, float(log.arrival_s[-1]))


def row(cell: Cell, requests: int, seed: int) -> dict[str, float]:
    """What `replicated_runs.run_replication` gives, the studied metrics only (a test holds the two together)."""
    residence_s, served, _ = observed(*run_log(cell, requests, seed))
    good = residence_s[served]
    count = float(residence_s.size)
    return {
        "mean_s": float(good.mean()), "p95_s": quantile_with_less_bias(good, 0.95),
        "shed_rate": 1.0 - good.size / count, "sheds": count - good.size, "requests": count,
    }  # fmt: skip


@cache
def _warm_up_s(cell: Cell) -> float:
    return common_warm_up_s((cell.model,), cell.workload)


@cache
def rate(cell: Cell) -> float:
    return cell.load * cell.workers if cell.load else min(cell.users / 3.0, cell.workers)


# ---------------------------------------------------------------- the designs


def fixed(rows: list[dict[str, float]]) -> dict[str, Interval]:
    """Twenty replications."""
    first = rows[:REPLICATIONS]
    return {
        "mean_s": mean_interval([item["mean_s"] for item in first], LEVEL),
        "p95_s": mean_interval([item["p95_s"] for item in first], LEVEL),
        "shed_rate": share_interval([item["sheds"] for item in first], [item["requests"] for item in first], LEVEL),
    }


def sequential(
    run_one: Callable[[int], dict[str, float]], targets: dict[str, float]
) -> tuple[dict[str, Interval], dict[str, int]]:
    """Each metric with a target in turn, over the same replications."""
    found = {
        name: until_precise(run_one, Precision(relative, (name,), LEVEL), most=100_000)
        for name, relative in targets.items()
    }
    return {name: item.intervals[name] for name, item in found.items()}, {
        name: item.replications for name, item in found.items()
    }


@dataclass
class Experiment:
    """Replications of one experiment, run when first asked for."""

    cell: Cell
    number: int
    rows: list[dict[str, float]] = field(default_factory=list)

    def run_one(self, number: int) -> dict[str, float]:
        while len(self.rows) <= number:
            self.rows.append(row(self.cell, self.cell.requests, self.first_seed + len(self.rows)))
        return self.rows[number]

    @cached_property
    def first_seed(self) -> int:
        """Below 2^52, so that consecutive seeds stay exact as floats; the engine hashes each."""
        return derive_key(SEED, CELLS.index(self.cell), self.number) >> 12


# ---------------------------------------------------------------- the truth


def exact_truth(cell: Cell) -> dict[str, float]:
    """Long-run metrics of M/M/c/K, open or closed, from the state that an admitted request finds [Kleinrock 1975]."""
    room = cell.workers + cell.queue
    level = np.arange(room + 1, dtype=float)
    births = np.full(room + 1, rate(cell)) if cell.load else (cell.users - level) / 2.0
    steps = np.log(births[:-1]) - np.log(np.minimum(level[1:], cell.workers))
    state = np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    arrivals = births * state
    seen = arrivals[:-1] / arrivals[:-1].sum()
    waits_s = np.maximum(level[:-1] - cell.workers + 1, 0.0) / cell.workers
    quantile_s = optimize.brentq(lambda t: _exceeds(t, seen, cell.workers) - 0.05, 1e-6, 1e3, xtol=1e-12)
    return {
        "mean_s": float(seen @ waits_s) + 1.0,
        "p95_s": float(quantile_s),
        "shed_rate": float(arrivals[-1] / arrivals.sum()),
    }


def _exceeds(time_s: float, seen: Floats, workers: int) -> float:
    """P(residence > t): an Erlang(k, c) wait and one exponential service, mixed over the state found."""
    total = float(seen[:workers].sum()) * math.exp(-time_s)
    for k, share in enumerate(seen[workers:], start=1):
        waiting = float(special.gammaincc(k, workers * time_s))
        served = (
            math.exp(-time_s) * (workers / (workers - 1.0)) ** k * float(special.gammainc(k, (workers - 1.0) * time_s))
        )
        total += float(share) * (waiting + served)
    return total


def reference_truth(cell: Cell, runs: int = _REFERENCE_RUNS) -> dict[str, float]:
    """Long-run metrics from runs much longer than an experiment."""
    rows = [
        row(cell, _REFERENCE_REQUESTS, derive_key(SEED, 1_000 + CELLS.index(cell), run) >> 12) for run in range(runs)
    ]
    totals = {name: np.array([item[name] for item in rows]) for name in rows[0]}
    return {
        "mean_s": float(totals["mean_s"].mean()),
        "p95_s": float(totals["p95_s"].mean()),
        "shed_rate": float(totals["sheds"].sum() / totals["requests"].sum()),
    }


def truth_of(cell: Cell, path: Path = TRUTHS) -> dict[str, float]:
    """Truth, expected sheds of an experiment and targets of the sequential design, computed once and kept."""
    kept = kept_truth(cell, path)
    if kept is not None:
        return kept
    is_exact = cell.service.startswith("exponential")
    found = exact_truth(cell) if is_exact else reference_truth(cell)
    found["expected_sheds"] = found["shed_rate"] * REPLICATIONS * cell.requests
    found.update(_targets(cell))
    append(path, {"cell": cell.name, "source": "exact" if is_exact else "reference", **found})
    return found


def kept_truth(cell: Cell, path: Path = TRUTHS) -> dict[str, float] | None:
    """What `truth_of` kept; None where it has not been computed."""
    if not path.exists():
        return None
    with path.open(newline="") as stream:
        rows = {item.pop("cell"): item for item in csv.DictReader(stream)}
    found = rows.get(cell.name)
    return None if found is None else {name: float(value) for name, value in found.items() if name != "source"}


def _targets(cell: Cell, runs: int = 1_000) -> dict[str, float]:
    """The relative half-width that 25 replications have, rounded to two digits."""
    rows = [row(cell, cell.requests, derive_key(SEED, 2_000 + CELLS.index(cell), run) >> 12) for run in range(runs)]
    found = {}
    for name in METRICS:
        values = np.array([item[name] for item in rows])
        half = 1.96 * float(values.std(ddof=1)) / math.sqrt(_SEQUENTIAL_REPLICATIONS)
        found[f"target_{name}"] = float(f"{half / max(float(values.mean()), 1e-12):.2g}")
    return found


# ---------------------------------------------------------------- running


def run_chunk(cell: Cell, chunk: int, truth: dict[str, float], experiments: int = CHUNK) -> dict[str, object]:
    """Counts over a chunk: intervals that held the truth, lay below or above it, and their mean relative width."""
    judged = judged_metrics(truth)
    targets = {name: truth[f"target_{name}"] for name in judged}
    counts: dict[str, float] = {}
    for number in range(chunk * CHUNK, chunk * CHUNK + experiments):
        one = Experiment(cell, number)
        stopped, used = sequential(one.run_one, targets)
        for design, found in (("fixed", fixed(one.rows)), ("sequential", stopped)):
            for name in judged:
                judge(counts, f"{design}_{name}", found[name], truth[name])
        for name, replications in used.items():
            add(counts, f"replications_{name}", replications)
    empty = {f"{design}_{name}_{part}": "" for design in DESIGNS for name in METRICS for part in PARTS}
    empty.update({f"replications_{name}": "" for name in METRICS})
    return {
        "cell": cell.name, "chunk": chunk, "experiments": experiments, "seed": SEED, **empty, **counts,
        "versions": " ".join(f"{name}={value}" for name, value in versions_of("numpy", "numba", "scipy").items()),
    }  # fmt: skip


def judged_metrics(truth: dict[str, float]) -> list[str]:
    """The shed rate only where an experiment expects enough sheds."""
    return [name for name in METRICS if name != "shed_rate" or truth["expected_sheds"] >= FEW_EVENTS]


PARTS = ("held", "below", "above", "width")


def judge(counts: dict[str, float], name: str, found: Interval, truth: float) -> None:
    add(counts, f"{name}_held", float(found.contains(truth)))
    add(counts, f"{name}_below", float(found.high < truth))
    add(counts, f"{name}_above", float(found.low > truth))
    add(counts, f"{name}_width", (found.high - found.low) / truth)


def add(counts: dict[str, float], name: str, amount: float) -> None:
    counts[name] = round(counts.get(name, 0.0) + amount, 9)


def missing_chunks(
    experiments: int, path: Path = RESULTS, cells: tuple[Cell, ...] = CELLS
) -> Iterator[tuple[Cell, int]]:
    """Cell by cell, what does not stand in the results."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        with path.open(newline="") as stream:
            done = {(item["cell"], int(item["chunk"])) for item in csv.DictReader(stream)}
    for cell in cells:
        for chunk in range(experiments // CHUNK):
            if (cell.name, chunk) not in done:
                yield cell, chunk


def run_study(experiments: int, minutes: float = math.inf) -> None:
    """Append the chunks that are missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, chunk in missing_chunks(experiments):
        if time.monotonic() > end:
            return
        append(RESULTS, run_chunk(cell, chunk, truth_of(cell)))


def append(path: Path, columns: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(columns))
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerow(columns)


# ---------------------------------------------------------------- the bound where nothing is seen


def run_none_seen(experiments: int = 10_000) -> None:
    """Runs so long that the bound for none seen is just below the truth: how many see none? At most 5 % should."""
    if NONE_SEEN.exists():
        return
    for cell in (
        Cell("M/M/4/10 at 0.4", 4, 6, "exponential:1s", 0.4),
        Cell("M/M/4/10 at 0.5", 4, 6, "exponential:1s", 0.5),
    ):
        share = exact_truth(cell)["shed_rate"]
        for assumed in (1.0, shed_cluster_size(cell.load)):
            requests = math.ceil(math.log(0.05) / math.log1p(-share) * assumed)
            bound = none_seen_interval(requests, LEVEL, cluster_size=assumed).high
            none = sum(_sheds_none(cell, requests, number) for number in range(experiments))
            append(NONE_SEEN, {
                "cell": cell.name, "cluster_size": assumed, "requests": requests, "experiments": experiments,
                "bound": bound, "truth": share, "held": experiments - none, "seed": SEED,
            })  # fmt: skip


def _sheds_none(cell: Cell, requests: int, number: int) -> bool:
    residence_s, served, _ = observed(*run_log(cell, requests, derive_key(SEED, 3_000, number) >> 12))
    return bool(np.all(served)) and residence_s.size > 0


# ---------------------------------------------------------------- reading the results


def totals(path: Path = RESULTS) -> dict[str, dict[str, float]]:
    """Sums over the chunks, by cell; only what was judged."""
    found: dict[str, dict[str, float]] = {}
    with path.open(newline="") as stream:
        for item in csv.DictReader(stream):
            cell = found.setdefault(item["cell"], {})
            for name, value in item.items():
                if name not in ("cell", "chunk", "seed", "versions") and value != "":
                    cell[name] = cell.get(name, 0.0) + float(value)
    return found


def summary() -> Iterator[str]:
    """A line a cell and design: shares held of mean, P95 and shed rate."""
    for cell, found in totals().items():
        count = found["experiments"]
        for design in DESIGNS:
            shares = [
                f"{found[key] / count:.4f}" if (key := f"{design}_{name}_held") in found else "     -"
                for name in METRICS
            ]
            yield f"{cell:<30} {design:<11} {count:>6.0f}  {'  '.join(shares)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    asked = parser.parse_args()
    run_none_seen()
    run_study(asked.experiments, asked.minutes)
    sys.stdout.write("\n".join([*summary(), f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}", ""]))
