"""Study: how often do the intervals of a recorded step hold the long-run value?

A cell is a closed loop (users that think between requests) at a load: users over the users that
keep every worker just busy, N* = c (S + Z) / S. A window is a step of 45 s as a load test has it,
summarised as `summarise_steps` does. Five hundred windows a cell say how often the 90 % interval of
each step metric holds the long-run value. One row a chunk of 50 windows is appended to the
results, so the study resumes where it stopped.

    python tests/studies/step_interval_coverage.py --windows 500 --minutes 40 [--cells 0:6]

Windows are stretches of one settled run, 5 s apart; each chunk is a run with a seed of its own.
Truth: 40 further runs of 2,500 s each, so 2,000 times a window (its error is a 45th of a window's).
What is not judged: the shed rate where a window expects fewer than `FEW_SHEDS` sheds.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loadtests.deployment import Deployment
from loadtests.estimation.block_bootstrap import ENOUGH_BLOCKS
from loadtests.estimation.steady_state import Window, without_warm_up
from loadtests.estimation.step_metrics import WindowRows, metrics_of
from loadtests.foundation.distributions import parse_distribution
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import versions_of
from loadtests.recording import STEP_METRICS
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import RequestLog
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

Floats = NDArray[np.float64]

SEED = 20_270_402
LEVEL = 0.9
WINDOW_S, APART_S, CHUNK = 45.0, 5.0, 50
LOADS = (0.5, 0.7, 0.85, 0.95, 1.0, 1.1, 1.2)
FEW_SHEDS = 10.0
PARTS = ("held", "below", "above", "width")
FOLDER = Path(__file__).parent / "results"
RESULTS = FOLDER / "step_interval_coverage.csv"
TRUTHS = FOLDER / "step_interval_coverage_truth.csv"
_TRUTH_RUNS = 40


@dataclass(frozen=True)
class System:
    """A server and its users' think time."""

    name: str
    workers: int
    service: str
    think: str


SYSTEMS = (
    System("exponential", 8, "exponential:0.05", "exponential:0.5"),
    System("low cv", 8, "lognormal:0.05:0.3", "uniform:0.25:0.75"),
    System("high cv", 8, "lognormal:0.05:2", "exponential:0.5"),
    System("many workers", 50, "lognormal:0.1:1", "exponential:0.5"),
    System("slow cycle", 8, "lognormal:0.05:1", "exponential:2"),
)


@dataclass(frozen=True)
class Cell:
    """A system at a load; the line of a gated one has a place for each worker, else for everybody."""

    system: System
    load: float
    is_gated: bool

    @property
    def name(self) -> str:
        return f"{self.system.name}, {'gate' if self.is_gated else 'no gate'}, {self.load}"

    @cached_property
    def users(self) -> int:
        service_s = parse_distribution(self.system.service).mean_s
        cycle_s = service_s + parse_distribution(self.system.think).mean_s
        return max(round(self.load * self.system.workers * cycle_s / service_s), 1)

    @cached_property
    def model(self) -> ServerModel:
        queue = self.system.workers if self.is_gated else self.users
        limits = Deployment(workers=self.system.workers, queue_capacity=queue)
        return ServerModel(limits, parse_distribution(self.system.service))

    @cached_property
    def workload(self) -> ClosedWorkload:
        return ClosedWorkload(self.users, parse_distribution(self.system.think))

    @cached_property
    def warm_up_s(self) -> float:
        return warm_up_time_s(self.model, self.workload)


CELLS = tuple(Cell(system, load, is_gated) for system in SYSTEMS for is_gated in (True, False) for load in LOADS)


def run(cell: Cell, windows: int, *path: int) -> RequestLog:
    """A settled run of so many windows, its warm-up in front."""
    horizon_s = cell.warm_up_s + windows * (WINDOW_S + APART_S)
    seed = derive_key(SEED, CELLS.index(cell), *path) >> 12
    return simulate_log(cell.model, cell.workload, RunLength(horizon_s=horizon_s), seed=seed)


# ---------------------------------------------------------------- the truth


def truth_of(cell: Cell, path: Path = TRUTHS) -> dict[str, float]:
    """Long-run values of the step metrics, computed once and kept."""
    kept = _rows_by_cell(path).get(cell.name)
    if kept is None:
        kept = {"cell": cell.name, "users": cell.users, "seed": SEED, **long_run(cell)}
        append(path, kept)
    return {name: float(kept[name]) for name in STEP_METRICS}


def long_run(cell: Cell, runs: int = _TRUTH_RUNS) -> dict[str, float]:
    """Counts over time and pooled served residence times of runs that no window comes from."""
    length_s, answered, good_s = 0.0, 0, []
    for number in range(runs):
        log = run(cell, CHUNK, 1, number)
        end_s = cell.warm_up_s + CHUNK * (WINDOW_S + APART_S)
        inside = (log.departure_s >= cell.warm_up_s) & (log.departure_s < end_s)
        length_s += end_s - cell.warm_up_s
        answered += int(inside.sum())
        good = inside & log.served
        good_s.append((log.departure_s - log.arrival_s)[good].astype(np.float32))
    residence_s = np.concatenate(good_s)
    p50, p95, p99 = (float(value) for value in np.quantile(residence_s, [0.5, 0.95, 0.99]))
    return {
        "throughput_rps": answered / length_s, "goodput_rps": residence_s.size / length_s,
        "shed_rate": 1.0 - residence_s.size / answered, "mean_s": float(residence_s.mean(dtype=float)),
        "p50_s": p50, "p95_s": p95, "p99_s": p99,
    }  # fmt: skip


def judged_metrics(truth: dict[str, float]) -> list[str]:
    """Goodput only where it is not throughput; the shed rate where enough are expected."""
    sheds = truth["shed_rate"] * truth["throughput_rps"] * WINDOW_S
    return [name for name in STEP_METRICS if name not in ("shed_rate", "goodput_rps") or sheds >= FEW_SHEDS]


# ---------------------------------------------------------------- windows


def window_tables(cell: Cell, windows: int, chunk: int) -> Iterator[tuple[pd.DataFrame, Window]]:
    """The requests of each window of a chunk, and the window."""
    log = run(cell, windows, 0, chunk)
    order = np.argsort(log.departure_s, kind="stable")
    finish_s, start_s, served = log.departure_s[order], log.arrival_s[order], log.served[order]
    for number in range(windows):
        begin_s = cell.warm_up_s + number * (WINDOW_S + APART_S)
        first, last = np.searchsorted(finish_s, [begin_s, begin_s + WINDOW_S])
        columns = {"start_s": start_s[first:last], "finish_s": finish_s[first:last]}
        outcome = np.where(served[first:last], "served", "shed")
        window = Window(number + 1, cell.users, begin_s, begin_s + WINDOW_S)
        yield pd.DataFrame({**columns, "outcome": outcome}), window


def intervals_of(table: pd.DataFrame, window: Window) -> tuple[dict[str, Interval], int]:
    """The metrics and the number of blocks that `summarise` gives, without the rest of it (a test compares)."""
    rows = WindowRows.of(table, window.users, window.start_s, window.length_s)
    metrics, blocks = metrics_of(rows, LEVEL)
    return metrics, int(blocks.number)


def run_chunk(cell: Cell, chunk: int, truth: dict[str, float], windows: int = CHUNK) -> dict[str, object]:
    """Counts over a chunk: intervals that held the truth, lay below or above it, and their relative width.

    In the first chunk the search for a transient is judged, too: there is none.
    """
    counts: dict[str, float] = {"blocks": 0.0, "few_blocks": 0.0}
    for table, window in window_tables(cell, windows, chunk):
        found, blocks = intervals_of(table, window)
        add(counts, "blocks", blocks)
        add(counts, "few_blocks", float(blocks < ENOUGH_BLOCKS))
        for name in judged_metrics(truth):
            judge(counts, name, found[name], truth[name])
        if chunk == 0:
            add(counts, "searched", 1.0)
            add(counts, "cut_short", float(without_warm_up(table, [window]) != (window,)))
    empty = {f"{name}_{part}": "" for name in STEP_METRICS for part in PARTS}
    empty |= {"searched": "", "cut_short": ""}
    versions = " ".join(f"{name}={value}" for name, value in versions_of("numpy", "numba", "scipy").items())
    return {
        "cell": cell.name, "chunk": chunk, "windows": windows, "seed": SEED, **empty, **counts, "versions": versions,
    }  # fmt: skip


def judge(counts: dict[str, float], name: str, found: Interval, truth: float) -> None:
    add(counts, f"{name}_held", float(found.contains(truth)))
    add(counts, f"{name}_below", float(found.high < truth))
    add(counts, f"{name}_above", float(found.low > truth))
    add(counts, f"{name}_width", (found.high - found.low) / truth)


def add(counts: dict[str, float], name: str, amount: float) -> None:
    counts[name] = round(counts.get(name, 0.0) + amount, 9)


# ---------------------------------------------------------------- running


def missing_chunks(windows: int, path: Path = RESULTS, cells: tuple[Cell, ...] = CELLS) -> Iterator[tuple[Cell, int]]:
    """What does not stand in the results, all cells once before any a second time."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        with path.open(newline="") as stream:
            done = {(item["cell"], int(item["chunk"])) for item in csv.DictReader(stream)}
    for chunk in range(windows // CHUNK):
        for cell in cells:
            if (cell.name, chunk) not in done:
                yield cell, chunk


def run_study(windows: int, minutes: float, cells: tuple[Cell, ...]) -> None:
    """Append the chunks that are missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, chunk in missing_chunks(windows, cells=cells):
        if time.monotonic() > end:
            return
        append(RESULTS, run_chunk(cell, chunk, truth_of(cell)))


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


def versions_seen(path: Path = RESULTS) -> set[str]:
    """Versions that the results were made with."""
    with path.open(newline="") as stream:
        return {item["versions"] for item in csv.DictReader(stream)}


def append(path: Path, columns: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(columns))
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerow(columns)


def _rows_by_cell(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    with path.open(newline="") as stream:
        return {item["cell"]: item for item in csv.DictReader(stream)}


def summary() -> Iterator[str]:
    """A line a cell: shares held, mean number of blocks, share of windows cut without a transient."""
    for cell, found in totals().items():
        count = found["windows"]
        shares = [f"{name} {found[key] / count:.3f}" for name in STEP_METRICS if (key := f"{name}_held") in found]
        cut = found["cut_short"] / found["searched"]
        yield (f"{cell:<28} {count:>5.0f} blocks {found['blocks'] / count:5.1f} cut {cut:.3f}  {'  '.join(shares)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--cells", default=":", help="which, as a slice")
    asked = parser.parse_args()
    first, last = (int(part) if part else None for part in asked.cells.split(":"))
    run_study(asked.windows, asked.minutes, CELLS[first:last])
    sys.stdout.write("\n".join([*summary(), ""]))
