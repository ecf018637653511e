"""One gated instance: admission, the queue for workers, the service, and its counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from loadtests.foundation.distributions import Distribution, parse_distribution
from loadtests.foundation.draws import draws_s
from loadtests.foundation.seeds import generator
from loadtests.staging.cpu_work import CpuUse, CpuWork
from loadtests.staging.database import Database
from loadtests.staging.fault_injection import FaultInjector
from loadtests.staging.fault_log import FaultLog
from loadtests.staging.fifo_pool import FifoPool, PoolFullError
from loadtests.staging.options import StagingOptions, bound
from loadtests.staging.service_log import ServiceLog, ServiceRow

_NOT_READY_PERCENT = 90.0
_SERVICE_DRAWS, _DATABASE_DRAWS, _CPU_DRAWS = 0, 1, 2

Work = Callable[[], Awaitable[tuple[Any, float]]]
"""What a request does while it holds a worker: its result, and seconds waited for the database."""


class ShedError(Exception):
    """The request was not admitted; the message says which limit bound."""


@dataclass(frozen=True)
class Limits:
    """The limits in force; None where there is none."""

    gate: int | None
    workers: int | None
    queue: int | None
    queue_timeout_s: float | None
    normal_ccu: int | None
    max_ccu: int | None
    gate_reset_s: float | None

    @classmethod
    def of(cls, options: StagingOptions) -> Limits:
        """The limits that a deployment states."""
        deployment = options.deployment
        return cls(
            gate=_count(deployment.gate),
            workers=_count(deployment.workers),
            queue=_count(deployment.queue_capacity),
            queue_timeout_s=bound(deployment.queue_timeout_s),
            normal_ccu=deployment.normal_ccu,
            max_ccu=deployment.max_ccu,
            gate_reset_s=deployment.gate_reset_s,
        )


def _count(limit: int | str | None) -> int | None:
    value = bound(limit)
    return None if value is None else int(value)


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the instance sees it: where it goes, and the name that its client gave it."""

    endpoint: str
    request_id: str = ""


class Instance:
    """The state of one instance; lives on one event loop, so counters need no lock.

    A request counts as in flight from admission until its response is ready, whether or not its client is
    still there. The gate is checked before the queue, so either can be the one that sheds.
    """

    def __init__(self, options: StagingOptions) -> None:
        self.limits = Limits.of(options)
        self.workers = FifoPool(self.limits.workers, self.limits.queue)
        self.in_flight = 0
        self.peak_in_flight = 0
        self._forgotten, self._forgot_at_s = 0, time.monotonic()
        self.log = ServiceLog(options.service_log)
        self.faults = FaultInjector(options.faults, options.seed, FaultLog(options.fault_log), self.log.flush)
        self.database = Database(
            _count(options.deployment.db_pool),
            _drawn(options.db_time, options.seed, _DATABASE_DRAWS),
            lambda: self.faults.database_factor,
        )
        self._planned_s = _drawn(options.service_time, options.seed, _SERVICE_DRAWS)
        self._planned_cpu_s = _drawn(options.cpu_time, options.seed, _CPU_DRAWS)
        has_cpu_work = parse_distribution(options.cpu_time).mean_s > 0
        self.cpu = CpuWork(self.limits.workers) if has_cpu_work else None
        self._started = 0

    async def admit(self, call: Call, work: Work) -> Any:
        """Pass the gate and the queue, then use the CPU, and do `work` for at least the planned service time.

        Raises
        ------
        ShedError
            When a limit binds.
        """
        arrived = time.monotonic()
        self._forget(arrived)
        if self.limits.gate is not None and self.counted >= self.limits.gate:
            raise ShedError("gate")
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            await self._take_worker()
            try:
                return await self._serve(call, arrived, work)
            finally:
                self.workers.release()
        finally:
            self.in_flight -= 1

    def _forget(self, now_s: float) -> None:
        """As the public server is built: the counter is set to 0 while requests are inside."""
        stated = [every for every in (self.limits.gate_reset_s, self.faults.gate_reset_s) if every is not None]
        if not stated:
            self._forgotten = 0
        elif now_s - self._forgot_at_s > min(stated):
            self._forgotten, self._forgot_at_s = self.in_flight, now_s

    @property
    def counted(self) -> int:
        """The gate's counter: requests in flight, less those that a forgetful gate no longer knows of."""
        return self.in_flight - self._forgotten

    async def _take_worker(self) -> None:
        try:
            await self.workers.acquire(self.limits.queue_timeout_s)
        except PoolFullError:
            raise ShedError("queue") from None
        except TimeoutError:
            raise ShedError("queue-timeout") from None

    async def _serve(self, call: Call, arrived: float, work: Work) -> Any:
        service = _Service(arrived, next(self._planned_s), next(self._planned_cpu_s))
        self._started += 1
        number = self._started
        try:
            return await self._work(service, work)
        except asyncio.CancelledError:
            service.outcome = "cancelled"
            raise
        except Exception:
            service.outcome = "failed"
            raise
        finally:
            self.log.add(ServiceRow(number, call.endpoint, service.times_s(), service.outcome, call.request_id))

    async def _work(self, service: _Service, work: Work) -> Any:
        await self.faults.thaw()
        factor = self.faults.service_factor
        if self.cpu is not None:
            service.cpu = await self.cpu.burn(service.planned_cpu_s * factor)
        began = time.monotonic()
        result, service.db_wait_s = await work()
        rest_s = began + service.planned_s * factor - time.monotonic()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        await self.faults.thaw()
        return result

    @property
    def ccu_utilization_percent(self) -> float:
        """In flight as a share of normal capacity (of the gate where that is not stated)."""
        return _percent(self.counted, self.limits.normal_ccu or self.limits.gate)

    @property
    def queue_utilization_percent(self) -> float:
        """Waiting requests as a share of the queue's capacity."""
        return _percent(self.workers.waiting, self.limits.queue)

    @property
    def is_ready(self) -> bool:
        """False during a slow start, and from 90 % utilization of normal capacity or of the queue."""
        if self.faults.is_starting:
            return False
        return max(self.ccu_utilization_percent, self.queue_utilization_percent) < _NOT_READY_PERCENT

    def close(self) -> None:
        """End the CPU work, flush and close the logs, close the database, remove its file."""
        if self.cpu is not None:
            self.cpu.close()
        self.log.close()
        self.faults.log.close()
        self.database.close()


class _Service:
    """One request's time with its worker, as far as it has come."""

    def __init__(self, arrived_s: float, planned_s: float, planned_cpu_s: float) -> None:
        self.epoch_s, self.start_s, self.arrived_s = time.time(), time.monotonic(), arrived_s
        self.planned_s, self.planned_cpu_s = planned_s, planned_cpu_s
        self.db_wait_s = 0.0
        self.cpu = CpuUse()
        self.outcome = "served"

    def times_s(self) -> tuple[float, ...]:
        """The times of a log row, with the end of the service now."""
        held_s = time.monotonic() - self.start_s
        waits = (self.start_s - self.arrived_s, self.planned_s, held_s, self.db_wait_s)
        return (self.epoch_s, self.start_s, *waits, self.planned_cpu_s, self.cpu.consumed_s, self.cpu.wall_s)


def _percent(part: int, whole: int | None) -> float:
    return round(100.0 * part / whole, 3) if whole else 0.0


def _drawn(text: str, seed: int, purpose: int) -> Any:
    distribution: Distribution = parse_distribution(text)
    return draws_s(distribution, generator(seed, purpose))
