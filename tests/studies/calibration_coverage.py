"""Study: how often do calibration and prediction intervals hold the truth?

Each case draws a server and a load test from a stated range, simulates the
recording, calibrates on five levels, and notes whether the 90 % parameter
intervals hold the true times and whether the 90 % prediction intervals hold
what an independent window of the same length shows at a sixth level. One row
a case is appended to the results, so the study resumes where it stopped.

    python tests/studies/calibration_coverage.py --cases 400

Range: 4 to 60 workers; a line of half to twice the workers; service lognormal
or gamma, mean 20 to 200 ms, cv 0.4 to 1.5; round trip 1 to 10 % of the mean;
exponential think time of 2 to 10 service times; 20 s windows; levels at 0.4,
0.7, 1.0, 1.3 and 1.8 of the saturation population, held out 0.5 to 1.6.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Exponential, Gamma, LogNormal
from loadtests.foundation.seeds import generator
from loadtests.foundation.versions import versions_of
from loadtests.recording import STEP_METRICS
from simulations.calibration.fitting import calibrate
from simulations.calibration.prediction import predict_window
from simulations.calibration.problem import PARAMETERS
from simulations.model.server_model import ServerModel
from support.synthetic_recordings import record_model

LEVELS = (0.4, 0.7, 1.0, 1.3, 1.8)
SEED = 20_261_123
RESULTS = Path(__file__).parent / "results" / "calibration_coverage.csv"


def run_case(case: int) -> dict[str, object]:
    """One server, one recording, one fit."""
    rng = generator(SEED, case)
    workers = int(rng.integers(4, 61))
    mean_s, cv = float(rng.uniform(0.02, 0.2)), float(rng.uniform(0.4, 1.5))
    family = (LogNormal, Gamma)[int(rng.integers(2))]
    round_trip_s = mean_s * float(rng.uniform(0.01, 0.1))
    deployment = Deployment(workers=workers, queue_capacity=max(1, round(workers * float(rng.uniform(0.5, 2.0)))))
    truth = ServerModel(deployment, family(mean_s, cv), round_trip_s)
    think = Exponential(mean_s * float(rng.uniform(2, 10)))
    saturation = workers * (mean_s + round_trip_s + think.mean_s) / mean_s
    users = [max(2, round(level * saturation)) for level in LEVELS]
    fit = calibrate(record_model(truth, users, think, seed=case + 1), seed=case)
    held_out_level = float(rng.uniform(0.5, 1.6))
    held_out = record_model(truth, [max(2, round(held_out_level * saturation))], think, seed=10_000 + case).steps[0]
    predicted = predict_window(fit, held_out.users, held_out.window_s, seed=case)
    true_values = dict(zip(PARAMETERS, (mean_s, cv, round_trip_s), strict=True))
    row: dict[str, object] = {
        "case": case, "workers": workers, "family": family.__name__.lower(), "chosen": fit.family,
        "held_out_level": held_out_level,
    }  # fmt: skip
    for name, value in true_values.items():
        row[f"{name}_held"] = int(fit.parameters[name].contains(value))
        row[f"{name}_relative_error"] = fit.parameters[name].mid / value - 1
    for name in STEP_METRICS:
        row[f"predicted_{name}_held"] = int(predicted[name].contains(held_out.metrics[name].mid))
    return row


def cases_done(path: Path) -> set[int]:
    """Cases that stand in the results already."""
    if not path.exists():
        return set()
    with path.open(newline="") as stream:
        return {int(row["case"]) for row in csv.DictReader(stream)}


def run_study(cases: int, path: Path = RESULTS) -> None:
    """Append the cases that are missing."""
    done = cases_done(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for case in range(cases):
        if case in done:
            continue
        row = run_case(case)
        with path.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(row))
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


def coverage(path: Path = RESULTS) -> dict[str, tuple[float, int]]:
    """Share of intervals that held the truth, and the number of cases, by column."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    held = [name for name in rows[0] if name.endswith("_held")]
    return {name: (sum(int(row[name]) for row in rows) / len(rows), len(rows)) for name in held}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=400)
    run_study(parser.parse_args().cases)
    for column, (share, count) in coverage().items():
        sys.stdout.write(f"{column:<34} {share:.3f} of {count}\n")
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
