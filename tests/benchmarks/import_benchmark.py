"""How fast and in how much memory a request log is imported.

``./run python tests/benchmarks/import_benchmark.py [--rows 10000000]`` writes a log of that many
rows, imports it in a process of its own and prints rows a second, processor seconds and the
highest resident memory of (1) streaming it into ``requests.parquet`` and (2) the whole import, with
copy, hashes and intervals, and (3) of reading the recording back.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from loadtests.importing.locust_files import write_locust_import
from loadtests.importing.notes import Notes
from loadtests.importing.request_log import LogOptions, write_log
from loadtests.importing.request_table import RequestTable
from loadtests.store import read_recording

_CHUNK = 1_000_000
_RATE_RPS = 5_000.0


def write_rows(path: Path, rows: int) -> None:
    """A log of `rows` requests at 5,000 a second, 5 % of them shed, on five endpoints."""
    random = np.random.default_rng(1)
    for first in range(0, rows, _CHUNK):
        number = min(_CHUNK, rows - first)
        shed = random.random(number) < 0.05
        table = pd.DataFrame(
            {
                "timestamp": np.round(1.7e9 + (first + np.arange(number)) / _RATE_RPS, 6),
                "request_type": "GET",
                "name": random.choice(["/health", "/ready", "/api/users", "/api/echo", "/api/metrics"], number),
                "response_time_ms": np.round(np.where(shed, 1.0, random.lognormal(3.5, 0.7, number)), 2),
                "response_length": 512,
                "status_code": np.where(shed, 503, 200),
                "exception": np.where(shed, "HTTPError('503 Server Error')", ""),
            }
        )
        table.to_csv(path, mode="a", header=first == 0, index=False)


def _streaming(folder: Path) -> None:
    table = RequestTable(folder / "requests.parquet")
    options = LogOptions(1.7e9, "run", lambda at: np.full(len(at), 100, dtype=np.int64))
    write_log(folder / "requests.csv", table, options, Notes())
    table.close()


def _whole(folder: Path) -> None:
    write_locust_import(folder, folder / "out")


def _read(folder: Path) -> None:
    read_recording(folder / "out")


def _nothing(_folder: Path) -> None:
    return None


def _measure(connection: object, work: Callable[[Path], None], folder: Path) -> None:
    before, cpu = time.perf_counter(), time.process_time()
    work(folder)
    seconds, cpu_s = time.perf_counter() - before, time.process_time() - cpu
    connection.send((seconds, cpu_s, _highest_mib()))  # type: ignore[attr-defined]


def _highest_mib() -> float:
    """Highest resident memory of this process (not of the one that started it), MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def measured(work: Callable[[Path], None], folder: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and highest resident MiB of `work` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(there, work, folder))
    process.start()
    found: tuple[float, float, float] = here.recv()
    process.join()
    return found


_PARTS = {"imports only": _nothing, "log to parquet": _streaming, "whole": _whole, "read": _read}


def main() -> None:
    """Print one JSON line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "requests.csv", rows)
        (folder / "STEPS.csv").write_text(
            "step,users,requests,start_s,end_s\n"
            + "".join(
                f"{step},{100 * step},requests.csv,{start:.0f},{start + rows / _RATE_RPS / 10:.0f}\n"
                for step, start in enumerate(np.arange(10) * rows / _RATE_RPS / 10, 1)
            )
        )
        for label, work in _PARTS.items():
            seconds, cpu_s, mib = measured(work, folder)
            result = {"part": label, "rows": rows, "seconds": round(seconds, 2), "cpu_s": round(cpu_s, 2)}
            print(json.dumps(result | {"rows_per_s": round(rows / seconds), "peak_rss_mib": round(mib)}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
