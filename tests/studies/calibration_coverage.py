"""Study: how often do calibration and prediction intervals hold the truth?

Each case draws a server and a load test from a stated range, simulates the recording, calibrates, and notes whether
the 90 % parameter intervals hold the true values and whether the 90 % prediction intervals hold what an independent
window of the same length shows at a level that was left out. One row a case is appended to the results, so the study
resumes where it stopped; several processes may share it (``--share 0/2`` and ``--share 1/2``).

    python tests/studies/calibration_coverage.py --cases 500

Regimes, drawn by their weights:

- ``fifo``: 4 to 60 workers and a line of half to twice as many, both stated;
- ``fifo-open``: the same, nothing stated: workers and gate are searched;
- ``loss``: a gate of 6 to 40, no limit on workers;
- ``cores``: 16 to 64 workers that share 1 to 4 cores for 40 to 90 % of their time, stated;
- ``database``: 20 to 60 workers, a pool of 3 to 12 connections held for 30 to 80 % of the time, stated;
- ``light``: as ``fifo`` below half of saturation, where nothing waits.

Service lognormal or gamma, mean 20 to 200 ms, cv 0.4 to 1.5 (``cores``, ``database``: 0.4 to 1.0); round trip 1 to
10 % of the mean; exponential think time of 2 to 10 service times; 20 s windows; five levels at 0.4, 0.7, 1.0, 1.3 and
1.8 of the saturation population (``light``: 0.15, 0.3, 0.45), held out 0.5 to 1.6 (0.2 to 0.5). A server's times are
1 % longer or shorter from run to run, as the calibration takes them to be.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.comparison.rule import RUN_TO_RUN_CV
from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.distributions import Distribution, Exponential
from loadtests.foundation.seeds import generator
from loadtests.foundation.versions import versions_of
from loadtests.recording import STEP_METRICS, Recording
from simulations.analysis.run_length import cycle_time_s
from simulations.calibration.fitting import calibrate
from simulations.calibration.model_form import STAGE_NAMES, ModelForm, Stage
from simulations.calibration.prediction import predict_window
from simulations.calibration.service_shapes import ServiceShape
from simulations.calibration.step_view import FEWEST_SERVED
from simulations.model.workload import ClosedWorkload
from studies.results_table import append_rows, read_rows
from support.synthetic_recordings import record_model

REGIMES = {"fifo": 0.3, "fifo-open": 0.15, "loss": 0.15, "cores": 0.15, "database": 0.15, "light": 0.1}
LEVELS, LIGHT_LEVELS = (0.4, 0.7, 1.0, 1.3, 1.8), (0.15, 0.3, 0.45)
WINDOW_S = 20.0
SEED = 20_271_126
MADE_WITH = "numpy 2.4.6, numba 0.68.1, scipy 1.17.1, Python 3.11.7"
RESULTS = Path(__file__).parent / "results" / "calibration_coverage.csv"
PARAMETERS = (
    "service_mean_s", "service_cv", "network_round_trip_s", "cpu_mean_s", "database_mean_s", "workers", "gate_limit",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One server and its load test.

    `stated` is what its deployment tells the calibration.
    """

    regime: str
    form: ModelForm
    numbers: dict[str, float]
    stated: Deployment
    think: Distribution

    @property
    def saturation_users(self) -> float:
        """Users that would keep what saturates busy without waiting."""
        model = self.form.model_of(self.numbers)
        return model.saturation_rps * cycle_time_s(model, ClosedWorkload(1, self.think))

    def record(self, levels: tuple[float, ...], seed: int, rng: np.random.Generator) -> Recording:
        """A recording, the server's speed its own in each run."""
        speeds = np.exp(RUN_TO_RUN_CV * rng.standard_normal(len(levels)))
        models = [self.form.model_of(self.numbers, float(speed)) for speed in speeds]
        users = [max(2, round(level * self.saturation_users)) for level in levels]
        found = record_model(models, users, self.think, seed=seed, window_s=WINDOW_S)
        if min(step.outcomes.get("served", 0) for step in found.steps) < FEWEST_SERVED:  # it asks for longer windows
            found = record_model(models, users, self.think, seed=seed, window_s=3 * WINDOW_S)
        return Recording(self.stated, found.steps, found.requests)

    def truth(self) -> dict[str, float]:
        """True values by parameter."""
        found = dict(self.numbers)
        if self.regime == "fifo-open":
            found["workers"] = float(self.form.deployment.workers or 0)
            found["gate_limit"] = float(self.form.deployment.gate or 0)
        return found


def draw_case(rng: np.random.Generator) -> Case:
    """A server and a load from the stated range."""
    regime = str(rng.choice(list(REGIMES), p=list(REGIMES.values())))
    mean_s = float(rng.uniform(0.02, 0.2))
    has_stage = regime in ("cores", "database")
    numbers = {
        "service_mean_s": mean_s, "service_cv": float(rng.uniform(0.4, 1.0 if has_stage else 1.5)),
        "network_round_trip_s": mean_s * float(rng.uniform(0.01, 0.1)),
    }  # fmt: skip
    shape = ServiceShape(("lognormal", "gamma")[int(rng.integers(2))])
    deployment, stage = _deployment(regime, rng)
    if stage != "none":
        low, high = (0.4, 0.9) if stage == "cores" else (0.3, 0.8)
        share = float(rng.uniform(low, high))
        numbers[STAGE_NAMES[stage]] = share * mean_s
        numbers["service_mean_s"] = (1 - share) * mean_s
    stated = Deployment() if regime == "fifo-open" else deployment
    think = Exponential(mean_s * float(rng.uniform(2, 10)))
    return Case(regime, ModelForm(deployment, shape, stage), numbers, stated, think)


def _deployment(regime: str, rng: np.random.Generator) -> tuple[Deployment, Stage]:
    if regime == "loss":
        return Deployment(workers=UNLIMITED, gate_limit=int(rng.integers(6, 41))), "none"
    if regime == "cores":
        workers = int(rng.integers(16, 65))
        return Deployment(workers=workers, queue_capacity=workers, cpu_cores=float(rng.integers(1, 5))), "cores"
    if regime == "database":
        workers = int(rng.integers(20, 61))
        return Deployment(workers=workers, queue_capacity=workers, db_pool=int(rng.integers(3, 13))), "database"
    workers = int(rng.integers(4, 61))
    return Deployment(workers=workers, queue_capacity=max(1, round(workers * float(rng.uniform(0.5, 2.0))))), "none"


def run_case(number: int) -> dict[str, object]:
    """One server, one recording, one fit."""
    rng = generator(SEED, number)
    case = draw_case(rng)
    is_light = case.regime == "light"
    fit = calibrate(case.record(LIGHT_LEVELS if is_light else LEVELS, number + 1, rng), seed=number)
    level = float(rng.uniform(0.2, 0.5) if is_light else rng.uniform(0.5, 1.6))
    held_out = case.record((level,), 10_000 + number, rng).steps[0]
    predicted = predict_window(fit, held_out.users, held_out.window_s, think_time=case.think, seed=number)
    truth = case.truth()
    row: dict[str, object] = {
        "case": number, "regime": case.regime, "shape": case.form.shape.name, "chosen": fit.family,
        "held_out_level": round(level, 4),
    }  # fmt: skip
    for name in PARAMETERS:
        known = name in truth and name in fit.parameters
        row[f"{name}_held"] = int(fit.parameters[name].contains(truth[name])) if known else ""
        row[f"{name}_relative_error"] = round(fit.parameters[name].mid / truth[name] - 1, 5) if known else ""
    for name in STEP_METRICS:
        measured = held_out.metrics[name].mid
        row[f"predicted_{name}_held"] = int(predicted[name].contains(measured)) if math.isfinite(measured) else ""
    return row


def cases_done(path: Path) -> set[int]:
    """Cases that stand in the results already."""
    return {int(row["case"]) for row in read_rows(path)}


def run_study(cases: int, path: Path = RESULTS, share: tuple[int, int] = (0, 1)) -> None:
    """Append the cases that are missing, of this share of them."""
    for case in range(share[0], cases, share[1]):
        if case not in cases_done(path):
            append_rows(path, [run_case(case)])


def coverage(path: Path = RESULTS, regime: str = "") -> dict[str, tuple[float, int]]:
    """Share of intervals that held the truth, and the number of cases, by column; of one regime if named."""
    rows = [row for row in read_rows(path) if regime in ("", row["regime"])]
    found = {}
    for name in (key for key in (rows[0] if rows else {}) if key.endswith("_held")):
        known = [int(row[name]) for row in rows if row[name] != ""]
        if known:
            found[name] = (sum(known) / len(known), len(known))
    return found


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    return int(number), int(of)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--share", type=_share, default=(0, 1))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    run_study(given.cases, given.out, given.share)
    for kind in ("", *REGIMES):
        for column, (held, count) in coverage(given.out, kind).items():
            sys.stdout.write(f"{kind or 'all':<10} {column:<34} {held:.3f} of {count}\n")
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
