"""What must be measured in a process of its own: peak memory, a long run, a start."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path

from benchmarks import our_side
from benchmarks.measure import Spread

TESTS = Path(__file__).resolve().parents[1]
LONG = 100_000_000
STARTS = 5

# The peak comes from VmHWM where there is one: ru_maxrss of a child also counts the parent it was forked from.
_MEASURED = """
import json, resource, sys, time
sys.path.insert(0, {tests!r})
{warm_up}
began = time.perf_counter()
{body}
seconds = time.perf_counter() - began
unit = 1e6 if sys.platform == "darwin" else 1e3
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
try:
    lines = open("/proc/self/status").read().splitlines()
    peak_mb = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1.024e-3
except OSError:
    pass
print(json.dumps([seconds, peak_mb]))
"""


class MeasurementError(RuntimeError):
    """The process to be measured failed; the message is its last line."""


@lru_cache(maxsize=8)
def long_run(requests: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a streaming run, after a short one that loads the compiled code."""
    warm_up, body = (our_side.LONG_RUN.format(requests=count) for count in (100_000, requests))
    told = _python(_MEASURED.format(tests=str(TESTS), warm_up=warm_up, body=body))
    seconds, peak_mb = json.loads(told.splitlines()[-1])
    return seconds, peak_mb


def long_run_s(scale: float) -> Spread:
    """Time of the long run."""
    return _once(long_run(int(LONG * scale))[0])


def long_run_peak_mb(scale: float) -> Spread:
    """Peak memory of the long run."""
    return _once(long_run(int(LONG * scale))[1])


def long_run_growth_mb(scale: float) -> Spread:
    """By how much ten times the requests raise the peak."""
    return _once(long_run(int(LONG * scale))[1] - long_run(int(LONG * scale) // 10)[1])


def warm_start_s(scale: float) -> Spread:
    """A whole Python process that imports and runs, interpreter start included; the first fills the cache."""
    times = []
    for _ in range(1 + STARTS):
        began = time.perf_counter()
        _python(our_side.FIRST_RUN)
        times.append(time.perf_counter() - began)
    return Spread.of(times[1:])


def _once(value: float) -> Spread:
    return Spread(value, value, value)


def _python(source: str) -> str:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MeasurementError(done.stderr.strip().splitlines()[-1])
    return done.stdout
