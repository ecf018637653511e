"""Study: how often does a comparison of two recordings err, and how often does it see a slower release?

Each pair draws one recording A and one B for every cell, all of one server, as load tests of
four steps of 30 s. Every recording has its own speed (coefficient of variation 1 %, as the
comparison states). Cells, by what B is:

- ``same``: the same server;
- ``at_margin``: every time of the server and its users 5 % longer, so that every residence time
  is exactly 5 % longer and every rate 4.8 % lower: the margin itself, in every difference at once;
- ``slower_10``, ``slower_20``: service times 10 % and 20 % longer, think times as before;
- ``restless``: the same server, but speeds of a coefficient of variation of 3 % where 1 % is stated.

``..._with_service_time`` are the same comparisons with both sides calibrated, as the command does it.
One row a pair and cell is appended to the results, so the study resumes where it stopped.

    python tests/studies/comparison_errors.py --pairs 300
    python tests/studies/comparison_errors.py --pairs 60 --cells same_with_service_time at_margin_with_service_time

The server: 12 workers, a line of 18, lognormal service of mean 80 ms and cv 0.8, round trip
2 ms, exponential think time of 0.3 s; 24, 42, 60 and 78 users (load 0.42 to 1.36 of saturation).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.comparison.compare import compare_steps
from loadtests.comparison.result import RecordingComparison
from loadtests.comparison.rule import RUN_TO_RUN_CV, ComparisonRule
from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, LogNormal
from loadtests.foundation.seeds import generator
from loadtests.foundation.versions import versions_of
from loadtests.recording import Recording
from simulations.calibration.release_comparison import compare_recordings
from simulations.model.server_model import ServerModel
from support.synthetic_recordings import record_model

SEED = 20_261_125
RESULTS = Path(__file__).parent / "results" / "comparison_errors.csv"
RULE = ComparisonRule()
USERS, WINDOW_S, THINK = (24, 42, 60, 78), 30.0, Exponential(0.3)
DEPLOYMENT = Deployment(workers=12, queue_capacity=18)
RESTLESS_CV = 0.03
CELLS = ("same", "at_margin", "slower_10", "slower_20", "restless")
SUFFIX = "_with_service_time"
SERVICE_CELLS = tuple(f"{cell}{SUFFIX}" for cell in ("same", "at_margin", "slower_10"))
_HELD = ("goodput_rps", "mean_s", "p95_s")


def record_cell(cell: str, pair: int, *, summarised: bool = False) -> Recording:
    """Recording of A (cell ``a``) or of a cell's B."""
    place = ("a", *CELLS).index(cell)
    rng = generator(SEED, pair, place)
    # A has the stated variation already; B gets the rest of that of two restless runs.
    cv = np.sqrt(2 * RESTLESS_CV**2 - RUN_TO_RUN_CV**2) if cell == "restless" else RUN_TO_RUN_CV
    slower = {"at_margin": 1 + RULE.margin, "slower_10": 1.1, "slower_20": 1.2}.get(cell, 1.0)
    all_times = slower if cell == "at_margin" else 1.0
    mean_s = 0.08 * slower * float(np.exp(cv * rng.standard_normal()))
    model = ServerModel(DEPLOYMENT, LogNormal(mean_s, 0.8), 0.002 * all_times)
    made = record_model(
        model, USERS, Exponential(THINK.mean_s * all_times), WINDOW_S, 10 * pair + place + 1, summarised=summarised
    )
    return replace(made, steps=tuple(replace(step, think=THINK.text()) for step in made.steps))


def run_pair(pair: int, cells: Sequence[str] = CELLS) -> Iterator[dict[str, object]]:
    """One row a cell."""
    a = record_cell("a", pair, summarised=any(cell in SERVICE_CELLS for cell in cells))
    for cell in cells:
        is_calibrated, kind = cell in SERVICE_CELLS, cell.removesuffix(SUFFIX)
        b = record_cell(kind, pair, summarised=is_calibrated)
        compare = compare_recordings if is_calibrated else compare_steps
        found = compare(a, b, RULE, seed=pair + 1)
        overall = found.of("p95_s").change
        yield {
            "pair": pair, "cell": cell, "verdict": found.verdict, "judged": len(found.judged),
            "worse": sum(item.verdict == "worse" for item in found.judged),
            **{f"{name}_held": _held(found, name, kind) for name in _HELD},
            "half_width_p95_all_steps": round((overall.high - overall.low) / 2, 5),
        }  # fmt: skip


def _held(found: RecordingComparison, metric: str, cell: str) -> object:
    """How many of the steps' intervals hold the true change; empty where it is not known."""
    truths = {"same": 0.0, "at_margin": 1 / (1 + RULE.margin) - 1 if metric == "goodput_rps" else RULE.margin}
    if cell not in truths:
        return ""
    return sum(found.of(metric, users).change.contains(truths[cell]) for users in USERS)


def pairs_done(path: Path) -> set[tuple[int, str]]:
    """Pairs and cells that stand in the results already."""
    if not path.exists():
        return set()
    with path.open(newline="") as stream:
        return {(int(row["pair"]), row["cell"]) for row in csv.DictReader(stream)}


def run_study(pairs: int, cells: Sequence[str] = CELLS, path: Path = RESULTS) -> None:
    """Append the rows that are missing."""
    done = pairs_done(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for pair in range(pairs):
        missing = tuple(cell for cell in cells if (pair, cell) not in done)
        for row in run_pair(pair, missing) if missing else ():
            with path.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, fieldnames=list(row), lineterminator="\n")
                if stream.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)


def rows_by_cell(path: Path = RESULTS) -> dict[str, list[dict[str, str]]]:
    """The results of each cell."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {cell: [row for row in rows if row["cell"] == cell] for cell in (*CELLS, *SERVICE_CELLS)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--cells", nargs="+", choices=(*CELLS, *SERVICE_CELLS), default=CELLS)
    asked = parser.parse_args()
    run_study(asked.pairs, asked.cells)
    for name, found_rows in rows_by_cell().items():
        verdicts = [row["verdict"] for row in found_rows]
        counts = {verdict: verdicts.count(verdict) for verdict in ("worse", "unclear", "not worse")}
        sys.stdout.write(f"{name:<28} {counts} of {len(verdicts)}\n")
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
