"""Runs all cases and ceilings and collects plain data: numbers, machine, versions."""

from __future__ import annotations

import os
import platform
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import report as words
from benchmarks.cases import Case, Ceiling
from benchmarks.measure import PairedTimings, Side, Spread, measure_pairs
from benchmarks.peers.event_list import compiler_version
from benchmarks.resources import MeasurementError
from loadtests.foundation.versions import versions_of

LEAST_S, LEAST_S_QUICK = 0.3, 0.1
QUICK_OURS, QUICK_PEER, QUICK_CEILINGS = 0.5, 0.3, 0.1


@dataclass(frozen=True)
class Settings:
    """How much to measure, and by which clock (``wall`` or ``cpu``) the ratios are."""

    pairs: int
    quick: bool
    clock: str
    only: str = ""

    @property
    def least_s(self) -> float:
        return LEAST_S_QUICK if self.quick else LEAST_S

    def requests(self, full: tuple[int, int]) -> tuple[int, int]:
        """Both sides' requests; a quick run takes a part of them."""
        return (int(full[0] * QUICK_OURS), int(full[1] * QUICK_PEER)) if self.quick else full


def run_session(
    cases: list[Case], ceilings: list[Ceiling], settings: Settings, report: Callable[[str], None]
) -> dict[str, Any]:
    """Everything, in order, reporting row by row."""
    wanted = [case for case in cases if settings.only in f"{case.name} vs {case.against}"]
    checks = [ceiling for ceiling in ceilings if settings.only in ceiling.name]
    report(words.HEADER)
    case_rows = [_told(run_case(case, settings), report) for case in wanted]
    ceiling_rows = [_told(run_ceiling(ceiling, settings), report) for ceiling in checks]
    return {
        "schema_version": 1, "settings": asdict(settings), "least_s": settings.least_s,
        "machine": machine(), "versions": {**versions_of("numpy", "numba", "simpy", "ciw"), "c++": compiler_version()},
        "cases": case_rows, "ceilings": ceiling_rows,
    }  # fmt: skip


def _told(row: dict[str, Any], report: Callable[[str], None]) -> dict[str, Any]:
    report(words.row_text(row))
    return row


def run_case(case: Case, settings: Settings) -> dict[str, Any]:
    """One row: names, floor, requests, and if both sides exist ratios and rates."""
    requests = settings.requests(case.requests)
    row: dict[str, Any] = {"name": case.name, "against": case.against, "floor": case.floor, "requests": requests}
    if case.ours is None or case.peer is None:
        return row | {"verdict": "pending" if case.ours is None else "not measured"}
    sides = (
        Side("ours", partial(case.ours, requests[0]), requests[0]),
        Side(case.against, partial(case.peer, requests[1]), requests[1]),
    )
    timings = measure_pairs(*sides, settings.pairs, settings.least_s)
    clock = "wall" if case.wall_only else settings.clock
    ratio = timings.ratio(clock)
    return row | {"clock": clock, **_numbers(timings, clock), "verdict": _verdict(ratio.median, case.floor)}


def _numbers(timings: PairedTimings, clock: str) -> dict[str, Any]:
    rates = {
        name: asdict(Spread.of([getattr(timing, f"{clock}_rps") for timing in side]))
        for name, side in (("ours_rps", timings.ours), ("peer_rps", timings.peer))
    }
    return {
        "ratio": asdict(timings.ratio(clock)), "ratio_by_wall": asdict(timings.ratio("wall")),
        "ratio_by_cpu": asdict(timings.ratio("cpu")), **rates,
        "sheds_per_request": [timings.ours[-1].shed_rate, timings.peer[-1].shed_rate],
    }  # fmt: skip


def _verdict(ratio: float, floor: float | None) -> str:
    if floor is None:
        return "no floor"
    return "met" if ratio >= floor else "missed"


def run_ceiling(ceiling: Ceiling, settings: Settings) -> dict[str, Any]:
    """One row; a process that fails is a missed ceiling with its reason."""
    scale = QUICK_CEILINGS if settings.quick else 1.0
    name, most = ceiling.of_scale(scale)
    row: dict[str, Any] = {"name": name, "unit": ceiling.unit, "ceiling": most}
    try:
        value = ceiling.measure(scale)
    except MeasurementError as error:
        return row | {"verdict": "missed", "problem": str(error)}
    return row | {"value": asdict(value), "verdict": "met" if value.median <= most else "missed"}


def machine() -> dict[str, Any]:
    """Cores that this process may use, the processor, the system; nothing that names the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores, "cpu": _cpu_model(), "system": platform.system(), "architecture": platform.machine(),
        "python_build": "optimized" if _is_optimized_python() else "not optimized",
    }  # fmt: skip


def _is_optimized_python() -> bool:
    """Whether this Python was built with profile-guided optimization: it speeds SimPy up, and us hardly."""
    return "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
