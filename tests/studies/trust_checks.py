"""False alarms and detection power of the trust checks.

Resumable: one row a recording is appended to results/trust_false_alarms.csv, one row a recording and fault to
results/trust_power.csv; a second call goes on where it stopped.

    python tests/studies/trust_checks.py --clean 1000 --faulty 200

Clean recordings are drawn from the range that `tests/support/clean_recordings.py` states and judged by every check; a
false alarm is a finding of severity warning or critical. Percentiles that rest on too few requests are no false
alarms: that check counts, it does not estimate, and its statement is true by definition. Faults are put into other
clean recordings (`tests/support/faults.py`); a fault is detected when the check that is meant for it fires.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtests.foundation.versions import versions_of
from loadtests.recording import Recording
from loadtests.trust.check import NotApplicable
from loadtests.trust.judge import CHECKS, check_recording
from support import faults
from support.clean_recordings import Setting, clean_recording, draw_setting

SEED, FAULTY_SEED = 20_261_125, 20_261_126
RESULTS = Path(__file__).parent / "results"
MADE_WITH = "numpy 2.4.6, numba 0.68.1, scipy 1.17.1, Python 3.11.7"
FALSE_ALARMS, POWER = RESULTS / "trust_false_alarms.csv", RESULTS / "trust_power.csv"


@dataclass(frozen=True)
class Fault:
    """A fault of a stated size, and the check that is meant to see it."""

    name: str
    check: str
    size: str
    put: Callable[[Recording], Recording]
    change: Callable[[Setting], Setting] = lambda setting: setting


def _middle_s(recording: Recording) -> float:
    step = faults.last_step(recording)
    return step.start_s + 0.4 * step.window_s


def _share_of_window(recording: Recording, share: float) -> float:
    return faults.last_step(recording).window_s * share


def _stall(share: float) -> Callable[[Recording], Recording]:
    return lambda item: faults.inject_stall(item, _middle_s(item), _share_of_window(item, share))


def _hang(recording: Recording) -> Recording:
    last_s = max(10.0, 20.0 * faults.last_step(recording).gap_mean_s)
    return faults.hang_users(recording, 0.1, last_s)


def _two_processes(setting: Setting) -> Setting:
    return replace(setting, processes=max(setting.processes, 2))


def _herd(setting: Setting) -> Setting:
    return replace(setting, settle_s=0.0, spread_s=0.01)


FAULTS: tuple[Fault, ...] = (
    Fault("silent users", "operational-law", "3 % of the users (at least one) never send",
          lambda item: faults.silence_users(item, 0.03)),
    Fault("think time", "think-time-law", "stated think time 10 % too long",
          lambda item: faults.state_think_time(item, 1.1)),
    Fault("lost rows without ids", "think-time-law", "10 % of the rows lost, users not known",
          lambda item: faults.without_user_ids(faults.lose_rows(item, 0.10))),
    Fault("busy generator", "generator-saturated", "90 % of a core", lambda item: faults.busy_generator(item, 0.9)),
    Fault("late event loop", "generator-saturated", "late by 100 ms every second",
          lambda item: faults.late_generator(item, 0.1)),
    Fault("file descriptors", "generator-saturated", "95 % of the limit",
          lambda item: faults.full_generator(item, 0.95)),
    Fault("generator pause", "generator-paused", "1 s in the window",
          lambda item: faults.inject_generator_pause(item, _middle_s(item), 1.0)),
    Fault("herd", "spawn-herd", "all users of a level send at once, nothing is cut", lambda item: item, _herd),
    Fault("stall", "stall", "a thirtieth of the window (1 s of 30 s)", _stall(1 / 30)),
    Fault("long stall", "stall", "a tenth of the window (3 s of 30 s)", _stall(1 / 10)),
    Fault("omission", "coordinated-omission", "a stall of a tenth of the window", _stall(1 / 10)),
    Fault("trend", "non-stationary", "residence times +50 % over the window",
          lambda item: faults.inject_trend(item, 0.5)),
    Fault("strong trend", "non-stationary", "residence times +200 % over the window",
          lambda item: faults.inject_trend(item, 2.0)),
    Fault("lost rows", "lost-requests", "5 % of the rows lost", lambda item: faults.lose_rows(item, 0.05)),
    Fault("few lost rows", "lost-requests", "0.5 % of the rows lost", lambda item: faults.lose_rows(item, 0.005)),
    Fault("doubled worker", "duplicated-requests", "one process's rows twice, under another name",
          lambda item: faults.duplicate_worker(item, "0")),
    Fault("lost worker", "lost-worker", "one of 2 to 4 processes ends at 40 % of the last window",
          lambda item: faults.drop_worker(item, "0", _middle_s(item)), _two_processes),
    Fault("clock set", "clock-jump", "wall clock set by 0.5 s",
          lambda item: faults.clock_jump(item, _middle_s(item), 0.5)),
    Fault("clock back", "clock-jump", "the recording's clock goes back by 1 s",
          lambda item: faults.clock_goes_back(item, _middle_s(item), 1.0)),
    Fault("short windows", "too-few-samples", "windows of 1 s", lambda item: faults.cut_windows(item, 1.0)),
    Fault("429", "rate-limited", "1 % of the answers", lambda item: faults.inject_rate_limit(item, 0.01)),
    Fault("404", "client-errors", "one endpoint answers 404",
          lambda item: faults.inject_missing_page(item, "/api/users")),
    Fault("timeouts", "failed-requests", "3 % of the requests", lambda item: faults.inject_failures(item, 0.03)),
    Fault("hanging users", "censored-requests", "10 % of the users (at least 3) wait in vain for the last 20 gaps",
          _hang),
)  # fmt: skip


def run_clean(case: int) -> dict[str, object]:
    """One clean recording: 1 by check that fired, empty where it does not apply."""
    recording = clean_recording(draw_setting(SEED, case), seed=case + 1)
    states = {item.code: item.state for item in check_recording(recording).checks}
    marks = {"ok": 0, "fired": 1, "not-applicable": ""}
    return {"case": case, **{code: marks[state] for code, state in states.items()}}


def run_faulty(case: int) -> list[dict[str, object]]:
    """One recording with every fault in turn."""
    setting = draw_setting(FAULTY_SEED, case)
    looks = {check.code: check.look for check in CHECKS}
    plain = clean_recording(setting, seed=case + 1)
    rows: list[dict[str, object]] = []
    for fault in FAULTS:
        changed = fault.change(setting)
        base = plain if changed == setting else clean_recording(changed, seed=case + 1)
        seen = looks[fault.check](fault.put(base))
        is_seen = "" if isinstance(seen, NotApplicable) else int(any(item.severity != "info" for item in seen))
        rows.append({"case": case, "fault": fault.name, "check": fault.check, "detected": is_seen})
    return rows


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows that stand in the results already."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def append_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Add rows, with a header to a new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        if stream.tell() == 0:
            writer.writeheader()
        writer.writerows(rows)


def run_study(clean: int, faulty: int) -> None:
    """Append the cases that are missing."""
    done = {int(row["case"]) for row in read_rows(FALSE_ALARMS)}
    for case in sorted(set(range(clean)) - done):
        append_rows(FALSE_ALARMS, [run_clean(case)])
    done = {int(row["case"]) for row in read_rows(POWER)}
    for case in sorted(set(range(faulty)) - done):
        append_rows(POWER, run_faulty(case))


@dataclass(frozen=True)
class Count:
    """How often a check fired, of how many recordings, and in how many it did not apply."""

    fired: int
    recordings: int
    not_applicable: int


def _count(marks: list[str]) -> Count:
    return Count(marks.count("1"), len(marks), marks.count(""))


def false_alarms(path: Path = FALSE_ALARMS) -> dict[str, Count]:
    """By check, over all clean recordings."""
    rows = read_rows(path)
    return {check.code: _count([row[check.code] for row in rows]) for check in CHECKS}


def power(path: Path = POWER) -> dict[str, Count]:
    """By fault, over all faulty recordings; one to which the check does not apply counts as not detected."""
    rows = read_rows(path)
    return {fault.name: _count([row["detected"] for row in rows if row["fault"] == fault.name]) for fault in FAULTS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", type=int, default=1_000)
    parser.add_argument("--faulty", type=int, default=200)
    asked = parser.parse_args()
    run_study(asked.clean, asked.faulty)
    for name, found in [*false_alarms().items(), *power().items()]:
        sys.stdout.write(f"{name:<24} {found.fired} of {found.recordings}, not applicable {found.not_applicable}\n")
    sys.stdout.write(f"seeds {SEED}, {FAULTY_SEED}, versions {versions_of('numpy', 'numba', 'scipy')}\n")
