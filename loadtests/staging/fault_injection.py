"""Makes the scripted faults happen inside a running instance."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from enum import IntEnum

from loadtests.foundation.seeds import generator
from loadtests.staging.fault_log import FaultLog
from loadtests.staging.faults import CRASH_EXIT_CODE, LOOP, WORKERS, Fault

_FAULT_DRAWS = 3
_LONGEST_SLEEP_S = 3600.0
_CLIENTS_REMEMBERED = 10_000


class Instead(IntEnum):
    """What a request gets instead of an answer; an HTTP status, or 0 for a reset."""

    RESET = 0
    RATE_LIMITED = 429
    ERROR = 500


class _Allowance:
    """A token bucket for each client address: `rate` requests a second, a burst of one second's worth."""

    def __init__(self, rate_rps: float) -> None:
        self._rate_rps = rate_rps
        self._most = max(rate_rps, 1.0)
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, client: str, now_s: float) -> bool:
        left, seen_s = self._left.pop(client, (self._most, now_s))
        left = min(self._most, left + (now_s - seen_s) * self._rate_rps)
        allowed = left >= 1.0
        self._left[client] = (left - 1.0 if allowed else left, now_s)
        if len(self._left) > _CLIENTS_REMEMBERED:
            del self._left[next(iter(self._left))]
        return allowed


class FaultInjector:
    """The faults of one instance, on its event loop. Nothing happens before `begin`.

    Parameters
    ----------
    faults : tuple of Fault
    seed : int
        Of the draws that decide which requests are hit.
    log : FaultLog
    before_crash : callable
        Called before the process ends hard, to save the logs: they are instruments, not part of what crashes.
    """

    def __init__(
        self, faults: tuple[Fault, ...], seed: int, log: FaultLog, before_crash: Callable[[], None] = lambda: None
    ) -> None:
        self.log = log
        self._faults = faults
        self._before_crash = before_crash
        self._origin_s = math.inf
        self._random = generator(seed, _FAULT_DRAWS)
        self._allowances = {
            fault: _Allowance(float(fault.value or 0)) for fault in faults if fault.kind == "rate-limit"
        }

    def begin(self) -> None:
        """The server is ready: the script's clock starts."""
        self._origin_s = time.monotonic()
        self.log.add("ready", at_s=self._origin_s)

    async def follow_script(self) -> None:
        """Log beginnings and ends, freeze the loop, crash; returns when nothing more is to happen."""
        moments = [(fault.at_s, 1, fault) for fault in self._faults]
        moments += [(fault.end_s, 0, fault) for fault in self._faults if _ends_by_itself(fault)]
        for at_s, begins, fault in sorted(moments, key=lambda moment: moment[:2]):
            await _sleep_until(self._origin_s + at_s)
            if begins:
                self._begin(fault)
            else:
                self.log.add("end", fault)

    def _begin(self, fault: Fault) -> None:
        self.log.add("begin", fault)
        if fault.kind == "crash":
            self._before_crash()
            os._exit(CRASH_EXIT_CODE)
        if _freezes_loop(fault):
            time.sleep(max(self._origin_s + fault.end_s - time.monotonic(), 0.0))
            self.log.add("end", fault)

    def _active(self, *kinds: str) -> list[Fault]:
        if not self._faults:
            return []
        now_s = time.monotonic() - self._origin_s
        return [fault for fault in self._faults if fault.kind in kinds and fault.at_s <= now_s < fault.end_s]

    def _product(self, kind: str) -> float:
        return math.prod(float(fault.value or 1) for fault in self._active(kind))

    @property
    def service_factor(self) -> float:
        """Service and CPU times are multiplied by this now."""
        return self._product("slow-start")

    @property
    def database_factor(self) -> float:
        """Times that a query holds its connection are multiplied by this now."""
        return self._product("slow-database")

    @property
    def is_starting(self) -> bool:
        """Whether a slow start is on, so that the instance is not ready."""
        return bool(self._active("slow-start"))

    @property
    def gate_reset_s(self) -> float | None:
        """How often the gate forgets now; None: it does not."""
        return min((float(fault.value or 0) for fault in self._active("forgetful-gate")), default=None)

    async def thaw(self) -> None:
        """Wait until no stall of the workers is on."""
        while frozen := [fault for fault in self._active("stall") if fault.value == WORKERS]:
            await _sleep_until(self._origin_s + max(fault.end_s for fault in frozen))

    def instead(self, endpoint: str, host: str, client: str) -> tuple[Instead, Fault] | None:
        """What this request gets instead of an answer, and why; None: it goes on to the gate.

        Parameters
        ----------
        endpoint, client : str
            Path, and address with port, for the log.
        host : str
            Address that a rate is counted for.
        """
        for fault in self._active("rate-limit", "error", "reset"):
            what = self._what(fault, host)
            if what is not None:
                if what is not Instead.RESET:
                    self.log.add("hit", fault, endpoint, client)
                return what, fault
        return None

    def _what(self, fault: Fault, host: str) -> Instead | None:
        if fault.kind == "rate-limit":
            return None if self._allowances[fault].takes(host, time.monotonic()) else Instead.RATE_LIMITED
        if self._random.random() >= float(fault.value or 0):
            return None
        return Instead.ERROR if fault.kind == "error" else Instead.RESET


def _freezes_loop(fault: Fault) -> bool:
    return fault.kind == "stall" and fault.value == LOOP


def _ends_by_itself(fault: Fault) -> bool:
    return fault.kind != "crash" and not _freezes_loop(fault) and math.isfinite(fault.end_s)


async def _sleep_until(moment_s: float) -> None:
    while (rest_s := moment_s - time.monotonic()) > 0:
        await asyncio.sleep(min(rest_s, _LONGEST_SLEEP_S))
