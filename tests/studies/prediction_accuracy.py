"""How well do calibrations predict what they have not seen? Over every recording of this project.

    ./run python tests/studies/prediction_accuracy.py

Each recording says in its `truth.json` which levels are for calibration and which for tests. A third-party recording
is calibrated three times: from its request logs, from Locust's JSON reports alone, and from its CSV files alone; all
are judged by what the request log shows at the test levels. A recording of a changed server or load (`after` names
the one before) is predicted by a calibration on all steps of the one before. One row a metric and test level goes
to `results/prediction_accuracy.csv`; recordings that stand there already are left alone (delete their rows to repeat
them). The true settings are never given to a calibration.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from loadtests import import_locust, read_deployment, read_recording
from loadtests.foundation.errors import InputError
from loadtests.recording import Recording
from simulations.calibration.baselines import BaselineLoad, baseline_predictions
from simulations.calibration.fitting import calibrate
from simulations.calibration.observations import workload_of
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import ValidationReport, validate_model
from simulations.model.fleet import Fleet

Source = Literal["log", "json", "csv"]

RECORDINGS = Path(__file__).parents[2] / "data" / "recordings"
RESULTS = Path(__file__).parent / "results" / "prediction_accuracy.csv"
SEED = 1
METRICS = ("goodput_rps", "mean_s", "p95_s", "p99_s", "shed_rate")


@dataclass(frozen=True)
class Trial:
    """One calibration and what it predicts.

    `calibrated_on` are steps of `source` of the recording in `before`; `tested_on` of that in `folder`.
    """

    name: str
    folder: Path
    before: Path
    source: Source
    calibrated_on: tuple[int, ...]
    tested_on: tuple[int, ...]
    instances: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """What tells trials apart."""
        return self.name, self.source


def trials(root: Path = RECORDINGS) -> Iterator[Trial]:
    """Every trial that the recordings offer, in alphabetical order."""
    for folder in sorted((root / "third_party").iterdir()):
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        train, test = _steps_of_levels(folder, truth)
        for source in ("log", "json", "csv"):
            yield Trial(folder.name, folder, folder, source, train, test)
    for folder in sorted((root / "staging").iterdir()):
        if (folder / "truth.json").exists():
            truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
            before = folder.parent / truth["after"] if truth.get("after") else folder
            yield Trial(
                folder.name, folder, before, "log", tuple(truth["train_steps"]), tuple(truth["test_steps"]),
                int(truth.get("instances", 1)),
            )  # fmt: skip


def _steps_of_levels(folder: Path, truth: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    with (folder / "steps.csv").open(newline="", encoding="utf-8") as stream:
        steps = {int(row["users"]): int(row["step"]) for row in csv.DictReader(stream)}
    train = [steps[users] for users in truth["train_levels"]]
    test = [steps[users] for users in (*truth["test_interpolation"], *truth["test_extrapolation"])]
    return tuple(train), tuple(sorted(test))


def load(folder: Path, source: Source) -> Recording:
    """A recording; of a third-party one what a source alone tells."""
    if (folder / "manifest.json").exists():
        return read_recording(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "source"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(*_LEFT_OUT[source]))
        if source != "log":
            _forget_logs(copy / "steps.csv")
        deployment = read_deployment(folder / "deployment.json")
        found = import_locust(copy / "steps.csv", Path(scratch) / "recording", deployment=deployment)
        return replace(found, path=None)


_LEFT_OUT: dict[str, tuple[str, ...]] = {
    "log": (), "json": ("requests.csv.gz",), "csv": ("requests.csv.gz", "*_report.json"),
}  # fmt: skip


def _forget_logs(steps: Path) -> None:
    with steps.open(newline="", encoding="utf-8") as stream:
        rows = [{**row, "requests": ""} for row in csv.DictReader(stream)]
    with steps.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run_trial(trial: Trial) -> list[dict[str, object]]:
    """Calibrate, predict, compare: a row a test level and metric."""
    base = load(trial.before, trial.source)
    chosen = base.only(trial.calibrated_on) if trial.before == trial.folder else base
    began = time.process_time()
    fit = calibrate(chosen, seed=SEED)
    cpu_s = time.process_time() - began
    measured = load(trial.folder, "log").only(trial.tested_on)
    report = validate_model(fit, measured, fleet=Fleet(trial.instances), seed=SEED + 1)
    loads = {
        step.step: BaselineLoad.of(fit, workload_of(measured, step), measured.deployment, trial.instances)
        for step in measured.steps
    }
    return list(_rows(trial, fit, report, loads, cpu_s))


def _rows(
    trial: Trial, fit: CalibrationResult, report: ValidationReport, loads: dict[int, BaselineLoad], cpu_s: float
) -> Iterator[dict[str, object]]:
    """`loads`: what the baselines are asked about, by step."""
    for step in report.steps:
        baselines = baseline_predictions(fit, loads[step.step])
        for name in METRICS:
            found = step.comparisons[name]
            yield {
                "recording": trial.name, "source": trial.source, "kind": _kind(trial), "form": fit.family,
                "users": step.users, "region": step.region, "inside": int(step.inside_calibrated_range),
                "metric": name, "measured": _short(found.measured), "low": _short(found.predicted.low),
                "mid": _short(found.predicted.mid), "high": _short(found.predicted.high),
                "error": _short(found.judged_error), "held": int(found.predicted.contains(found.measured)),
                "noise": _short(found.noise),
                **{f"{base}_error": _short(_baseline_error(name, said, found.measured))
                   for base, said in baselines.items()},
                "verdict": report.verdict, "calibration_cpu_s": round(cpu_s, 1),
            }  # fmt: skip


def _kind(trial: Trial) -> str:
    return "transfer" if trial.before != trial.folder else trial.folder.parent.name


def _baseline_error(metric: str, said: dict[str, float], measured: float) -> float:
    value = said.get(metric, float("nan"))
    if metric == "shed_rate":
        return abs(value - measured)
    return abs(value / measured - 1) if measured else float("nan")


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def run_study(path: Path = RESULTS, root: Path = RECORDINGS, names: tuple[str, ...] = ()) -> None:
    """Append what is missing."""
    done = set()
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            done = {(row["recording"], row["source"]) for row in csv.DictReader(stream)}
    for trial in trials(root):
        if trial.key in done or (names and trial.name not in names):
            continue
        try:
            rows = run_trial(trial)
        except InputError as error:
            sys.stderr.write(f"{trial.name} ({trial.source}): {error}\n")
            continue
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="recordings; none: all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--recordings", type=Path, default=RECORDINGS)
    given = parser.parse_args()
    run_study(given.out, given.recordings, tuple(given.names))
