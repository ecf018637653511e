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
from loadtests.staging.database import Database
from loadtests.staging.fifo_pool import FifoPool, PoolFullError
from loadtests.staging.options import StagingOptions, bound
from loadtests.staging.service_log import ServiceLog, ServiceRow

_NOT_READY_PERCENT = 90.0
_SERVICE_DRAWS, _DATABASE_DRAWS = 0, 1

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
        )


def _count(limit: int | str | None) -> int | None:
    value = bound(limit)
    return None if value is None else int(value)


class Instance:
    """The state of one instance; lives on one event loop, so counters need no lock.

    A request counts as in flight from admission until its response is ready.
    The gate is checked before the queue, so either can be the one that sheds.
    """

    def __init__(self, options: StagingOptions) -> None:
        self.limits = Limits.of(options)
        self.workers = FifoPool(self.limits.workers, self.limits.queue)
        self.in_flight = 0
        self.peak_in_flight = 0
        self.log = ServiceLog(options.service_log)
        self.database = Database(
            _count(options.deployment.db_pool), _drawn(options.db_time, options.seed, _DATABASE_DRAWS)
        )
        self._planned_s = _drawn(options.service_time, options.seed, _SERVICE_DRAWS)
        self._started = 0

    async def admit(self, endpoint: str, work: Work) -> Any:
        """Pass the gate and the queue, then do `work` for at least the planned service time.

        Raises
        ------
        ShedError
            When a limit binds.
        """
        arrived = time.monotonic()
        if self.limits.gate is not None and self.in_flight >= self.limits.gate:
            raise ShedError("gate")
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            await self._take_worker()
            try:
                return await self._serve(endpoint, arrived, work)
            finally:
                self.workers.release()
        finally:
            self.in_flight -= 1

    async def _take_worker(self) -> None:
        try:
            await self.workers.acquire(self.limits.queue_timeout_s)
        except PoolFullError:
            raise ShedError("queue") from None
        except TimeoutError:
            raise ShedError("queue-timeout") from None

    async def _serve(self, endpoint: str, arrived: float, work: Work) -> Any:
        epoch, started, planned = time.time(), time.monotonic(), next(self._planned_s)
        self._started += 1
        number = self._started
        result, db_wait_s = await work()
        rest_s = started + planned - time.monotonic()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        realised = time.monotonic() - started
        row = ServiceRow(number, endpoint, epoch, started, started - arrived, planned, realised, db_wait_s)
        self.log.add(row)
        return result

    @property
    def ccu_utilization_percent(self) -> float:
        """In flight as a share of normal capacity (of the gate where that is not stated)."""
        return _percent(self.in_flight, self.limits.normal_ccu or self.limits.gate)

    @property
    def queue_utilization_percent(self) -> float:
        """Waiting requests as a share of the queue's capacity."""
        return _percent(self.workers.waiting, self.limits.queue)

    @property
    def is_ready(self) -> bool:
        """False from 90 % utilization of normal capacity or of the queue."""
        return max(self.ccu_utilization_percent, self.queue_utilization_percent) < _NOT_READY_PERCENT

    def close(self) -> None:
        """Flush the log, close the database, remove its file."""
        self.log.close()
        self.database.close()


def _percent(part: int, whole: int | None) -> float:
    return round(100.0 * part / whole, 3) if whole else 0.0


def _drawn(text: str, seed: int, purpose: int) -> Any:
    distribution: Distribution = parse_distribution(text)
    return draws_s(distribution, generator(seed, purpose))
