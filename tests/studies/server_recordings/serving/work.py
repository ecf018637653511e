"""What an endpoint does with a request, drawn at random, and what it really took: loaded by the servers under test.

The environment variable `SERVED_WORK` holds the endpoints as JSON: path -> {"sleep": [mean s, cv], "cpu": [mean s, cv],
"query": [mean s, cv]}; `WORK_SEED` the seed; `WORK_STATISTICS` the file that gets the counts once a second;
`ROUNDS_PER_S` how many rounds of hashing a second of CPU time does, about.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import threading
import time
from pathlib import Path

ENDPOINTS: dict[str, dict[str, list[float]]] = json.loads(os.environ.get("SERVED_WORK", "{}"))
_ROUNDS_PER_S = float(os.environ.get("ROUNDS_PER_S", "0"))
_CALIBRATION_ROUNDS = 20_000
_FIRST_SHARE = 0.5  # so that a core slower than when it was measured does not overdo it
_CLOSE_ENOUGH = 0.01
_FEWEST_ROUNDS = 16
_random = random.Random(int(os.environ.get("WORK_SEED", "1")))
_lock = threading.Lock()
_sums: dict[str, dict[str, list[float]]] = {}


def draw_s(spec: list[float]) -> float:
    """A lognormal time of the mean and coefficient of variation given."""
    mean_s, cv = spec
    variance = math.log1p(cv * cv)
    return _random.lognormvariate(math.log(mean_s) - variance / 2, math.sqrt(variance))


def burn(cpu_s: float) -> None:
    """Hash without Python's lock until so much CPU time is used, in few calls, at whatever speed the core has now."""
    begun, used_s, done = time.thread_time(), 0.0, 0
    rate, share = _ROUNDS_PER_S, _FIRST_SHARE
    while cpu_s - used_s > _CLOSE_ENOUGH * cpu_s:
        rounds = max(int(share * (cpu_s - used_s) * rate), _FEWEST_ROUNDS)
        hash_rounds(rounds)
        used_s, done = time.thread_time() - begun, done + rounds
        rate, share = done / used_s, 1.0


def hash_rounds(rounds: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"work", b"salt", rounds)


def rounds_per_s() -> float:
    """The speed of this core now: the best of five."""
    rates = []
    for _ in range(5):
        begun = time.thread_time()
        hash_rounds(_CALIBRATION_ROUNDS)
        rates.append(_CALIBRATION_ROUNDS / (time.thread_time() - begun))
    return max(rates)


def note(path: str, **times_s: float) -> None:
    """Count one request's realised times."""
    with _lock:
        sums = _sums.setdefault(path, {})
        for name, value in times_s.items():
            row = sums.setdefault(name, [0, 0.0, 0.0])
            row[0] += 1
            row[1] += value
            row[2] += value * value


def _statistics() -> dict[str, dict[str, dict[str, float]]]:
    with _lock:
        return {path: {name: _moments(row) for name, row in sums.items()} for path, sums in _sums.items()}


def _moments(row: list[float]) -> dict[str, float]:
    count, total, squares = row
    mean = total / count
    spread = math.sqrt(max(squares / count - mean * mean, 0.0))
    return {"n": int(count), "mean_s": round(mean, 6), "cv": round(spread / mean, 4) if mean else 0.0}


def _keep_writing(path: Path) -> None:
    while True:
        time.sleep(1.0)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(_statistics()), encoding="utf-8")
        fresh.replace(path)


if "WORK_STATISTICS" in os.environ:
    threading.Thread(target=_keep_writing, args=(Path(os.environ["WORK_STATISTICS"]),), daemon=True).start()
