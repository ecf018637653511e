"""Work over cores within a process, and the memory that its arrays give back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading

import pytest

from loadtests.foundation import threads
from loadtests.foundation.errors import InputError
from loadtests.foundation.threads import mapped, usable_cores

_TOUCHED = """
import resource, sys
import numpy as np
from loadtests.foundation.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def work():
    for array in [np.empty(3 << 20, np.uint8) for _ in range(3)]:
        array.fill(1)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_results_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 3)
    met = threading.Barrier(3, timeout=30)

    def work(number: int) -> int:
        met.wait()  # three run at once, or this breaks
        return number * number

    assert mapped(work, list(range(9))) == [number * number for number in range(9)]


def test_one_core_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 1)
    assert set(mapped(lambda _: threading.get_ident(), [1, 2, 3])) == {threading.get_ident()}


def test_an_error_reaches_who_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        mapped(lambda number: 1 // number, [1, 0])


def test_the_environment_says_how_many_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(threads.THREADS, raising=False)
    assert usable_cores() >= 1
    monkeypatch.setenv(threads.THREADS, "1")
    assert usable_cores() == 1
    for wrong in ("0", "-1", "two", ""):
        monkeypatch.setenv(threads.THREADS, wrong)
        with pytest.raises(InputError, match="whole number from 1 on"):
            usable_cores()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only this C library gives freed blocks back at once")
def test_freed_memory_is_used_again() -> None:
    """Where nobody has set the C library's own thresholds, as Dask does in the environment of its workers."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}

    def faults(how: str) -> int:
        command = [sys.executable, "-c", _TOUCHED, how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True, env=unset).stdout)

    assert faults("kept") < 100 < faults("plain")  # pages cleared by the system: 60 arrays of 768, if each comes anew
