"""One run of a scenario by whichever engine fits, or several over threads; stops at once when interrupted."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from loadtests.foundation.errors import InputError
from loadtests.foundation.threads import usable_cores
from simulations.analysis.run_length import is_stationary, offered_rate_rps
from simulations.engines import inputs
from simulations.engines.inputs import EngineInput, RunLength
from simulations.engines.request_log import RequestLog
from simulations.engines.time_cells import CELLS, TimeCells
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, Workload

if TYPE_CHECKING:
    from simulations.engines.simpy_engine import Server

EngineName = Literal["auto", "simpy", "compiled"]

_SIMPY_REQUESTS_PER_WALL_S = 20_000
_MOST_SIMPY_REQUESTS = 20_000_000
_KEPT_HISTOGRAMS = 64

Read = TypeVar("Read")


@dataclass(frozen=True)
class Scenario:
    """What is simulated, how long, and by which engine.

    Parameters
    ----------
    model : ServerModel
    workload : Workload
    fleet : Fleet
    length : RunLength
    engine : {"auto", "simpy", "compiled"}
    server : type, optional
        A SimPy server of the user's own.
    """

    model: ServerModel
    workload: Workload
    fleet: Fleet
    length: RunLength
    engine: EngineName = "auto"
    server: type[Server] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"model": self.model.to_dict(), "workload": self.workload.to_dict(), "fleet": self.fleet.to_dict()}

    @property
    def is_stationary(self) -> bool:
        """Whether load and limits stay the same, so that there is a long run to speak of."""
        return is_stationary(self.workload) and not self.fleet.changes

    @property
    def expected_requests(self) -> float:
        """About how many attempts a run will have (without retries)."""
        rate = offered_rate_rps(self.model, self.workload)
        if isinstance(self.workload, ClosedWorkload) and math.isinf(self.model.limits.most_in_flight):
            rate = min(rate, self.fleet.instances * self.model.saturation_rps)
        return min(self.length.most_rows, rate * self.length.horizon_s)

    @property
    def shortest_s(self) -> float:
        """The least time that a run is expected to cover: rejected users come back sooner, clients may try again."""
        rate = offered_rate_rps(self.model, self.workload)
        inside = self.model.limits.most_in_flight * self.fleet.instances
        if isinstance(self.workload, ClosedWorkload) and self.workload.users > inside:
            away_s = self.workload.think_time.mean_s + self.model.rejected_after_s
            rate = max(rate, (self.workload.users - inside) / away_s)
        retries = self.workload.clients.retries
        rate *= 1 if retries is None else retries.most_attempts
        return min(self.length.horizon_s, self.length.most_rows / rate if rate > 0 else math.inf)

    def choose(self) -> tuple[str, str]:
        """The engine, and why."""
        if self.server is not None:
            if self.engine == "compiled":
                raise InputError('A server of your own runs on the SimPy engine only; give engine="auto" or "simpy".')
            return "simpy", f"SimPy: {self.server.__name__} is a server of your own, which no kernel covers"
        if self.engine == "simpy":
            return "simpy", "SimPy: asked for"
        return "compiled", ""


@dataclass(frozen=True)
class OneRun:
    """What one run left: its sums over cells of time, the log where it was kept, who ran it, and from which seed."""

    cells: TimeCells
    engine: str
    reason: str
    seed: int
    log: RequestLog | None = field(default=None, repr=False)


class _StoppedError(Exception):
    """Another thread was interrupted."""


class _WatchedCells(TimeCells):
    """Cells that refuse more rows once a flag is set, which ends the run that fills them."""

    stop: threading.Event | None = None

    def add_columns(self, *columns: Any) -> None:
        self._look()
        super().add_columns(*columns)

    def add_rows(self, rows: Any) -> None:
        self._look()
        super().add_rows(rows)

    def _look(self) -> None:
        if self.stop is not None and self.stop.is_set():
            raise _StoppedError


def run_once(scenario: Scenario, seed: int, *, keep: bool, stop: threading.Event | None = None) -> OneRun:
    """Simulate once; with `keep` the request log stays."""
    engine, reason = scenario.choose()
    inputs.affordable(scenario.expected_requests)
    if engine == "simpy":
        return _run_simpy(scenario, seed, reason, keep=keep)
    from simulations.engines import compiled_engine
    from simulations.engines.kernel_choice import choose_kernel

    given = compiled_engine.prepare(scenario.model, scenario.workload, scenario.length, seed, scenario.fleet)
    cells = _cells(scenario, given)
    cells.stop = stop
    choice = choose_kernel(given)
    said = f"compiled, {choice.kernel} kernel: {choice.reason}"
    if not keep:
        compiled_engine.stream(given, cells)
        return OneRun(cells, engine, said, seed)
    inputs.within_memory(int(scenario.expected_requests))
    log = compiled_engine.run(given)
    cells.add_log(log)
    return OneRun(cells, engine, said, seed, log)


def run_threaded(
    scenario: Scenario, seeds: Sequence[int], *, keep: bool = False, threads: int | None = None
) -> list[OneRun]:
    """Simulate once for each seed over threads (default: one a core): the kernels let go of the lock."""
    return [run for run, _ in read_threaded(scenario, seeds, lambda _: None, keep=keep, threads=threads)]


def read_threaded(
    scenario: Scenario, seeds: Sequence[int], read: Callable[[OneRun], Read], *, keep: bool = False,
    threads: int | None = None,
) -> list[tuple[OneRun, Read]]:  # fmt: skip
    """As `run_threaded`, each run with what `read` makes of it. Of more than 64 runs the histograms go then."""
    inputs.affordable(scenario.expected_requests * len(seeds))
    stop = threading.Event()

    def one(seed: int) -> tuple[OneRun, Read]:
        run = run_once(scenario, seed, keep=keep, stop=stop)
        found = read(run)
        if len(seeds) > _KEPT_HISTOGRAMS:
            run.cells.forget_times()
        return run, found

    if scenario.choose()[0] == "simpy":
        return [one(seed) for seed in seeds]
    with ThreadPoolExecutor(min(threads or usable_cores(), len(seeds))) as pool:
        try:
            return list(pool.map(one, seeds))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cells(scenario: Scenario, given: EngineInput) -> _WatchedCells:
    """Cells so wide that the shortest expected run fills most of them; they double when it lasts longer."""
    shortest_s = scenario.shortest_s
    width_s = shortest_s / (CELLS - 4) if 0 < shortest_s < math.inf else 1e-3
    return _WatchedCells(max(width_s, 1e-12), given.waits)


def _run_simpy(scenario: Scenario, seed: int, reason: str, *, keep: bool) -> OneRun:
    from simulations.engines import simpy_engine

    expected = scenario.expected_requests
    if expected > _MOST_SIMPY_REQUESTS:
        raise InputError(
            f"The SimPy engine would need about {expected / _SIMPY_REQUESTS_PER_WALL_S / 3600:,.1f} hours for about "
            f"{expected:,.0f} requests; at most {_MOST_SIMPY_REQUESTS:,}. Shorten the run, or use the compiled engine."
        )
    given = inputs.prepare(scenario.model, scenario.workload, scenario.length, seed, scenario.fleet)
    log = simpy_engine.run(given, scenario.server or simpy_engine.Server)
    cells = _cells(scenario, given)
    cells.add_log(log)
    return OneRun(cells, "simpy", reason, seed, log if keep else None)
