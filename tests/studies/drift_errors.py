"""Study: how often is an unchanged service said to drift, and how often is a slower one noticed?

Each case draws a server and a load test as ``calibration_coverage.py`` does, calibrates on the five levels, and then
measures a live series: 12 windows of 20 s at levels of 0.3 to 1.4 of the saturation population, which follow a day.
The server's times are 1 % longer or shorter from run to run, another in every window (even cases) or one for the whole
series (odd cases). The series is compared twice: as it is, and with 10 and 20 % longer service times from window 7 on.
One row a case is appended to the results, so the study resumes where it stopped.

    python tests/studies/drift_errors.py --cases 60
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.comparison.rule import RUN_TO_RUN_CV
from loadtests.foundation.seeds import derive_key, generator
from loadtests.foundation.units import Quantity
from loadtests.foundation.versions import versions_of
from loadtests.live.windows import LIVE_METRICS, ObservedWindow
from simulations.calibration.drift import DriftOptions, judge_series
from simulations.calibration.fitting import calibrate
from simulations.calibration.live_series import LiveRun, LiveSetting, runs_of_windows, simulate_run, simulated_series
from simulations.calibration.result import CalibrationResult
from simulations.model.fleet import Fleet
from studies.calibration_coverage import LEVELS, LIGHT_LEVELS, Case, cases_done, draw_case
from studies.results_table import append_rows, read_rows

SEED = 20_270_811
RESULTS = Path(__file__).parent / "results" / "drift_errors.csv"
WINDOWS, WINDOW_S, CHANGE_AT = 12, 20.0, 6
SLOWER = (1.0, 1.1, 1.2)


def live_levels(case: Case) -> list[int]:
    """Users of the windows: up and down over a day."""
    low, high = (0.15, 0.45) if case.regime == "light" else (0.3, 1.4)
    middle, swing = (low + high) / 2, (high - low) / 2
    shares = [middle - swing * math.cos(2 * math.pi * place / WINDOWS) for place in range(WINDOWS)]
    return [max(2, round(share * case.saturation_users)) for share in shares]


def live_series(
    case: Case, runs: Sequence[LiveRun], speeds: Sequence[float], slower: float, number: int
) -> tuple[LiveRun, ...]:
    """The windows as the server shows them, with longer times from `CHANGE_AT` on."""
    found = []
    for place, (run, speed) in enumerate(zip(runs, speeds, strict=True)):
        model = case.form.model_of(case.numbers, speed * (slower if place >= CHANGE_AT else 1.0))
        row = simulate_run(model, run, Fleet(), derive_key(SEED, 91, number, place) >> 1)[0]
        known = {name: (value, value) for name, value in zip(LIVE_METRICS, row, strict=True) if math.isfinite(value)}
        found.append(replace(run, windows=(replace(run.windows[0], metrics=known),)))
    return tuple(found)


def runs_of(fit: CalibrationResult, case: Case) -> tuple[LiveRun, ...]:
    """Windows an hour apart, their think time known."""
    windows = [
        ObservedWindow(3_600.0 * place, WINDOW_S, users, Quantity.USERS, {"mean_s": (0.0, 0.0)})
        for place, users in enumerate(live_levels(case))
    ]
    return runs_of_windows(fit, windows, case.think)


def run_case(number: int) -> dict[str, object]:
    """One server, one calibration, one live series with and without a change."""
    rng = generator(SEED, number)
    case = draw_case(rng)
    levels = LIGHT_LEVELS if case.regime == "light" else LEVELS
    fit = calibrate(case.record(levels, number + 1, rng), seed=number)
    runs, setting = runs_of(fit, case), LiveSetting(case.stated)
    draws = [simulated_series(fit, runs, setting, is_one_speed=one, seed=number) for one in (True, False)]
    errors = rng.standard_normal(WINDOWS) if number % 2 == 0 else np.full(WINDOWS, rng.standard_normal())
    speeds = np.exp(RUN_TO_RUN_CV * errors).tolist()
    row: dict[str, object] = {"case": number, "regime": case.regime}
    for slower in SLOWER:
        live = live_series(case, runs, speeds, slower, number)
        report = judge_series(fit, live, draws, DriftOptions(), setting=setting, seed=number)
        name = name_of(slower)
        row |= {f"{name}_verdict": report.verdict, f"{name}_p": report.p_value}
    return row


def run_study(cases: int, path: Path = RESULTS, share: tuple[int, int] = (0, 1)) -> None:
    """Append the cases that are missing, of this share of them."""
    for case in range(share[0], cases, share[1]):
        if case not in cases_done(path):
            append_rows(path, [run_case(case)])


def name_of(slower: float) -> str:
    """Of the columns of a change."""
    return f"slower_{100 * (slower - 1):.0f}_percent"


def results(path: Path = RESULTS) -> list[dict[str, str]]:
    """The cases so far."""
    return read_rows(path)


def verdict_shares(path: Path = RESULTS) -> dict[str, dict[str, float]]:
    """Share of the cases by verdict, for each size of the change."""
    rows = results(path)
    return {
        name: {
            verdict: sum(row[f"{name}_verdict"] == verdict for row in rows) / len(rows)
            for verdict in ("inside", "excursion", "drift")
        }
        for name in map(name_of, SLOWER)
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    run_study(given.cases, given.out, (given.first, given.of))
    for change, shares in verdict_shares(given.out).items():
        sys.stdout.write(f"{change:<20} " + ", ".join(f"{name} {share:.3f}" for name, share in shares.items()) + "\n")
    sys.stdout.write(f"seed {SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
