"""Builds `event_list.cpp` where there is a compiler, and calls it on the same arrays."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.systems import Floats, Result, System

SOURCE = Path(__file__).with_name("event_list.cpp")


def compiler() -> str | None:
    """Path of a C++ compiler, if there is one."""
    return shutil.which("g++") or shutil.which("c++")


def compiler_version() -> str:
    """First line of what the compiler says about itself."""
    found = compiler()
    if found is None:
        return "not installed"
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    return told.splitlines()[0]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "event_list.so"
        options = ["-O2", "-std=c++17", "-shared", "-fPIC", str(SOURCE), "-o", str(target)]
        subprocess.run([str(compiler()), *options], check=True)
        library = ctypes.CDLL(str(target))
    library.run_open.restype = ctypes.c_int64
    return library


def open_run(system: System) -> Callable[[], Result]:
    """Prepare a run of the base case."""
    run_open = _library().run_open
    departure_s = np.empty(system.requests)
    numbers = [ctypes.c_int64(value) for value in (system.requests, system.workers, system.cap)]
    arrays = [_pointer(values) for values in (system.arrival_s, system.service_s, departure_s)]

    def run() -> Result:
        shed = run_open(*arrays[:2], *numbers, arrays[2])
        return Result(departure_s, shed)

    return run


def _pointer(values: Floats) -> ctypes.c_void_p:
    return ctypes.c_void_p(np.ascontiguousarray(values).ctypes.data)
