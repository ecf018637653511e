"""The event-driven kernel never reads or writes outside its arrays: random runs with checked bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
RUNS = 60

SCRIPT = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
from hypothesis import HealthCheck, Phase, given, settings
from numba import njit
import numpy as np
from parity.random_runs import full_runs
from simulations.engines import compiled_engine

@njit
def beyond(array):
    return array[array.size]

try:
    beyond(np.zeros(1))
except IndexError:
    print("checked")

played = 0

@settings(max_examples={RUNS}, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
          suppress_health_check=list(HealthCheck))
@given(full_runs())
def play(run):
    global played
    compiled_engine.run_events(run)
    played += 1

play()
print("played", played)
"""


def test_random_runs_stay_inside_their_arrays(tmp_path: Path) -> None:
    """In a process of its own, because bounds are a matter of compilation."""
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.split() == ["checked", "played", str(RUNS)]
