"""The compiled engine: the same input and log as the SimPy engine, by whichever kernel fits.

The event-driven kernel is imported where it is used: loading it takes as long as a million requests. Where a kernel has
to be compiled first, which takes much longer, that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.memory import keep_freed_memory
from loadtests.foundation.seeds import derive_key
from simulations.engines import compile_notice, recursion_engine, recursion_kernels
from simulations.engines import inputs as by_numpy
from simulations.engines.inputs import ClientRules, DrawnArrivals, EngineInput, RunLength, Work
from simulations.engines.kernel_choice import choose_kernel
from simulations.engines.recursion_engine import Stretch
from simulations.engines.request_log import RequestLog
from simulations.engines.time_cells import TimeCells
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import OpenWorkload, Workload

Floats = NDArray[np.float64]

_ARRIVALS_AT_ONCE = 1 << 14


def prepare(
    model: ServerModel, workload: Workload, length: RunLength, seed: int, fleet: Fleet | None = None
) -> EngineInput:
    """As `inputs.prepare`, with the arrivals of a plain open workload drawn while the run goes on: the same bits."""
    if not isinstance(workload, OpenWorkload):
        return by_numpy.prepare(model, workload, length, seed, fleet)
    key = derive_key(seed)
    arrivals = DrawnArrivals(key, by_numpy.cached_table(workload.gap), _draw_arrivals)
    return EngineInput(
        model.limits, arrivals, length, model.network_round_trip_s, Work.of(model, key),
        ClientRules.of(workload.clients), fleet or Fleet(), model.rejection_time_s,
    )  # fmt: skip


def _draw_arrivals(key: int, first: int, now_s: float, gap_table: Floats) -> Floats:
    arrival_s = np.empty(_ARRIVALS_AT_ONCE)
    recursion_kernels.draw_arrivals(np.uint64(key), first, now_s, gap_table, arrival_s, np.empty(_ARRIVALS_AT_ONCE))
    return arrival_s


def run(given: EngineInput) -> RequestLog:
    """Simulate one run; the same rows as `simpy_engine.run`, bit for bit."""
    keep_freed_memory()
    return run_events(given) if choose_kernel(given).kernel == "events" else run_recursion(given)


def stream(given: EngineInput, cells: TimeCells) -> None:
    """Simulate one run into `cells`, without keeping its rows."""
    keep_freed_memory()
    if choose_kernel(given).kernel == "events":
        _event_engine().run_rows(given, cells.add_rows)
        return
    for part in _stretches(given):
        cells.add_columns(part.arrival_s, part.start_s, part.departure_s, part.outcome)


def run_recursion(given: EngineInput) -> RequestLog:
    """Simulate one run with the recursion, which the chooser has found to cover it."""
    parts: list[Stretch] = []
    rows = 0
    for stretch in _stretches(given):
        parts.append(stretch.copy())
        rows = by_numpy.within_memory(rows + len(stretch.arrival_s))
    whole = parts[0] if len(parts) == 1 else Stretch.join(parts)
    zeros = np.zeros(rows, np.int64)
    return RequestLog(
        whole.arrival_s, whole.start_s, whole.departure_s, whole.outcome, whole.user, whole.cycle, zeros, zeros,
        whole.request_class, given.waits,
    )  # fmt: skip


def run_events(given: EngineInput) -> RequestLog:
    """Simulate one run with the event-driven kernel, which covers every model."""
    event_engine = _event_engine()
    columns = event_engine.LogColumns(given)
    log: RequestLog = columns.log(event_engine.run_rows(given, columns.take))
    return log


def _event_engine() -> ModuleType:
    from simulations.engines import event_engine, event_kernel

    compile_notice.announce(event_kernel.run, "event-driven", "20 to 30 seconds")
    return event_engine


def _stretches(given: EngineInput) -> Iterator[Stretch]:
    for kernel, name in ((recursion_kernels.serve, "recursion"), (recursion_kernels.run_closed, "closed recursion")):
        compile_notice.announce(kernel, name, "about 10 seconds")
    return recursion_engine.stretches(given)
