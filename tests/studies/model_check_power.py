"""How often the model checks speak of servers inside the model family, and of servers outside it.

``./run python tests/studies/model_check_power.py --known 400 --calibrated 150 --strange 10`` writes one row a case and
seed: the codes of its findings that are a warning or worse, and of those that refuse. Rows that are there already are
left alone, so the study resumes where it stopped; several processes may share it (``--share 0/2``).

- ``clean-known``: random servers of the family; the draws lie around an estimate that is 1 % off the truth (95 % of
  the spread of a fit to six levels). Many, so that a rate of 0.5 % can be told.
- ``clean-calibrated``: fewer of them, calibrated from their recording as a user would.
- the others: servers outside the family (`tests/support/strange_servers.py`) at the stated size of their fault,
  calibrated from their recording. A recording that `calibrate` refuses counts as noticed (``calibrate-refuses``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests import Deployment, Exponential, LogNormal
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.recording import Recording
from simulations import ServerModel, calibrate
from simulations.calibration.check_rules import RULES
from simulations.calibration.model_checks import check_model, findings_of
from simulations.calibration.window_comparison import WINDOWS, compare_draws
from studies.results_table import append_rows, read_rows
from support.strange_servers import (
    LastComeFirstServed,
    LimitedClients,
    PinnedWorkers,
    RandomOrder,
    SlowsDown,
    SlowsUnderLoad,
    record_server,
)
from support.synthetic_recordings import record_model

RESULTS = Path(__file__).parent / "results" / "model_check_power.csv"
_OFF = 0.01
_UNBOUNDED = Deployment(gate_limit="unlimited", workers=8, queue_capacity="unlimited")
_GATED = Deployment(gate_limit=40, workers=8, queue_capacity=32)
_RESETS = Deployment(gate_limit=40, workers=8, gate_reset_s=60.0)
_SERVICE, _THINK, _ROUND_TRIP_S = LogNormal(0.06, 0.8), Exponential(1.0), 0.001
_USERS = [30, 70, 100, 130, 160, 220]

JUDGED = len(RULES) + 3
"""Comparisons that can speak: the rules, the distance, the drift, and coherency."""

KNOWN, CALIBRATED = "clean-known", "clean-calibrated"
FIRST_SEED = 5_001
"""Other seeds were looked at while the checks were made."""

Build = Callable[[int], Recording]
Check = Callable[[int], tuple[Finding, ...]]


def strange_cases() -> dict[str, Build]:
    """A recording by seed for each kind of server outside the family."""
    open_line = ServerModel(_UNBOUNDED, _SERVICE, _ROUND_TRIP_S)
    gated = ServerModel(_GATED, _SERVICE, _ROUND_TRIP_S)
    forgets, stated = ServerModel(_RESETS, _SERVICE, _ROUND_TRIP_S), Deployment(gate_limit=40, workers=8)
    few, some = [4, 6, 9, 12, 18, 24], [30, 70, 100, 120, 140, 170]
    return {
        "pinned by idle connections, 5 s": lambda seed: record_server(open_line, few, _THINK, PinnedWorkers, seed=seed),
        "3 requests in 3 s a client, 429": lambda seed: record_server(
            gated, _USERS, _THINK, LimitedClients, turned_away=(429, "rate_limited"), seed=seed),
        "3 requests in 3 s a client, 503": lambda seed: record_server(gated, _USERS, _THINK, LimitedClients, seed=seed),
        "gate forgets every 60 s": lambda seed: record_server(
            forgets, _USERS, _THINK, window_s=60.0, stated=stated, seed=seed),
        "last come, first served": lambda seed: record_server(
            open_line, some, _THINK, LastComeFirstServed, seed=seed),
        "random order": lambda seed: record_server(open_line, some, _THINK, RandomOrder, seed=seed),
        "times grow 1 % a second": lambda seed: record_server(gated, _USERS, _THINK, SlowsDown, seed=seed),
        "times 2 % longer for each inside": lambda seed: record_server(
            open_line, some, _THINK, SlowsUnderLoad, seed=seed),
    }  # fmt: skip


def clean_server(seed: int) -> tuple[ServerModel, Exponential, list[int], float]:
    """A random server of the family, with its think time, load levels and window."""
    rng = np.random.default_rng([seed, 77])
    workers, mean_s = int(rng.integers(2, 17)), float(np.exp(rng.uniform(np.log(0.05), np.log(0.2))))
    gate = int(workers * rng.uniform(1.2, 6.0)) if rng.random() < 0.6 else None
    deployment = Deployment(
        gate_limit=gate or "unlimited", workers=workers, queue_capacity="unlimited",
        db_pool=max(1, workers // 2), cpu_cores=max(1.0, workers / 3),
    )  # fmt: skip
    stage = ("cpu_time", "database_time", "none", "none")[int(rng.integers(4))]
    cv, share = float(rng.uniform(0.3, 1.3)), 0.0 if stage == "none" else float(rng.uniform(0.1, 0.5))
    stages = {} if stage == "none" else {stage: LogNormal(share * mean_s, cv)}
    model = ServerModel(deployment, LogNormal((1 - share) * mean_s, cv), float(rng.uniform(2e-4, 3e-3)), **stages)
    think = Exponential(float(rng.uniform(0.2, 2.0)))
    most = model.saturation_rps * (model.mean_held_s + think.mean_s)
    loads = np.linspace(0.25, float(rng.uniform(1.1, 1.7)), int(rng.integers(4, 8))) * most
    return model, think, [max(2, round(load)) for load in loads], float(rng.uniform(20.0, 40.0))


def check_known(seed: int) -> tuple[Finding, ...]:
    """Checks of a clean recording against draws around an estimate near the truth."""
    model, think, users, window_s = clean_server(seed)
    recording = record_model(model, users, think, window_s, seed, summarised=True)
    rng = np.random.default_rng([seed, 78])
    estimate = np.exp(_OFF * rng.standard_normal(3))
    models = [_scaled(model, estimate * np.exp(_OFF * rng.standard_normal(3))) for _ in range(WINDOWS)]
    return findings_of(compare_draws(models, think, recording, seed=seed))


def _scaled(model: ServerModel, factors: np.ndarray) -> ServerModel:
    def time(given: LogNormal | None) -> LogNormal | None:
        return None if given is None else LogNormal(given.mean_s * factors[0], given.cv * factors[1])

    return ServerModel(
        model.deployment, time(model.service_time), model.network_round_trip_s * factors[2],
        cpu_time=time(model.cpu_time), database_time=time(model.database_time),
    )  # fmt: skip


def check_calibrated(recording: Recording, seed: int) -> tuple[Finding, ...]:
    """Checks of a recording against the model calibrated from it."""
    try:
        return check_model(calibrate(recording, seed=seed), recording, seed=seed)
    except InputError as error:
        return (Finding("calibrate-refuses", "critical", str(error)),)


def calibrated_clean(seed: int) -> tuple[Finding, ...]:
    """As `check_known`, calibrated; servers without stages, which every calibration knows."""
    model, think, users, window_s = clean_server(seed)
    plain = ServerModel(model.deployment, LogNormal(model.mean_held_s, model.service_time.cv), _ROUND_TRIP_S)
    return check_calibrated(record_model(plain, users, think, window_s, seed), seed)


def row_of(case: str, seed: int, found: tuple[Finding, ...]) -> dict[str, object]:
    """Codes of a recording's findings, those of one kind joined by spaces."""
    noticed = sorted({item.code for item in found if item.severity != "info"})
    refused = sorted({item.code for item in found if item.severity == "critical"})
    return {"case": case, "seed": seed, "noticed": " ".join(noticed), "refused": " ".join(refused)}


def run_study(
    cases: dict[str, tuple[Check, int]], path: Path = RESULTS, first: int = FIRST_SEED, share: tuple[int, int] = (0, 1)
) -> None:
    """Append the recordings that are missing, of this share of them; `cases` has a check and a count by name."""
    for case, (check, count) in cases.items():
        for seed in range(first + share[0], first + count, share[1]):
            done = {(row["case"], int(row["seed"])) for row in read_rows(path)}
            if (case, seed) not in done:
                row = row_of(case, seed, check(seed))
                append_rows(path, [row])
                sys.stderr.write(f"{case} {seed}: {row['noticed'] or '-'}\n")


def cases_of(known: int, calibrated: int, strange: int) -> dict[str, tuple[Check, int]]:
    """The study's cases with so many recordings each."""
    found: dict[str, tuple[Check, int]] = {
        KNOWN: (check_known, known), CALIBRATED: (calibrated_clean, calibrated),
    }  # fmt: skip
    for case, build in strange_cases().items():
        found[case] = (lambda seed, build=build: check_calibrated(build(seed), seed)), strange
    return found


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("known", 400), ("calibrated", 150), ("strange", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    number, _, of = given.share.partition("/")
    cases = cases_of(given.known, given.calibrated, given.strange)
    run_study(cases, given.out, given.first_seed, (int(number), int(of)))


if __name__ == "__main__":
    main()
