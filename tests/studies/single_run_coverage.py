"""Study: how often do the intervals of one `simulate` call hold the long-run value?

The cells and truths of `simulation_coverage.py`; an experiment is one call of `simulate` with as
many requests as that study's twenty replications have together. One row a chunk of 500
experiments is appended, so the study resumes where it stopped.

    python tests/studies/single_run_coverage.py --experiments 10000 --minutes 40 [--cells 0:6]
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import simulation_coverage as study

from loadtests.foundation.seeds import derive_key
from loadtests.foundation.versions import versions_of
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import SimulationResult, simulate

RESULTS = study.FOLDER / "single_run_coverage.csv"
DESIGN = "single"
TOO_SHORT = ("batches-correlated", "run-too-short")


def one_call(cell: study.Cell, number: int) -> SimulationResult:
    """What a user would run once."""
    window_s = study.REPLICATIONS * cell.requests / study.rate(cell)
    seed = derive_key(study.SEED, 4_000 + study.CELLS.index(cell), number)
    horizon_s = warm_up_time_s(cell.model, cell.workload) + window_s
    return simulate(cell.model, cell.workload, horizon_s=horizon_s, seed=seed, level=study.LEVEL)


def run_chunk(
    cell: study.Cell, chunk: int, truth: dict[str, float], experiments: int = study.CHUNK
) -> dict[str, object]:
    """Counts over a chunk, and how many runs said of themselves that they were short."""
    counts: dict[str, float] = {"said_short": 0.0}
    for number in range(chunk * study.CHUNK, chunk * study.CHUNK + experiments):
        result = one_call(cell, number)
        study.add(counts, "said_short", float(any(item.code in TOO_SHORT for item in result.findings)))
        for name in study.judged_metrics(truth):
            study.judge(counts, f"{DESIGN}_{name}", result.metrics[name], truth[name])
    empty = {f"{DESIGN}_{name}_{part}": "" for name in study.METRICS for part in study.PARTS}
    return {
        "cell": cell.name, "chunk": chunk, "experiments": experiments, "seed": study.SEED, **empty, **counts,
        "versions": " ".join(f"{name}={value}" for name, value in versions_of("numpy", "numba", "scipy").items()),
    }  # fmt: skip


def run_study(experiments: int, minutes: float, cells: tuple[study.Cell, ...]) -> None:
    """Append the chunks that are missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, chunk in study.missing_chunks(experiments, RESULTS, cells):
        if time.monotonic() > end:
            return
        study.append(RESULTS, run_chunk(cell, chunk, study.truth_of(cell)))


def totals() -> dict[str, dict[str, float]]:
    """Sums over the chunks, by cell."""
    return study.totals(RESULTS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--cells", default=":", help="which, as a slice")
    asked = parser.parse_args()
    first, last = (int(part) if part else None for part in asked.cells.split(":"))
    run_study(asked.experiments, asked.minutes, study.CELLS[first:last])
    for cell, found in totals().items():
        held = [
            f"{found[key] / found['experiments']:.4f}"
            for name in study.METRICS
            if (key := f"{DESIGN}_{name}_held") in found
        ]
        sys.stdout.write(f"{cell:<30} {found['experiments']:>6.0f}  {'  '.join(held)}\n")
