"""CPU work that really shares the cores: in threads, without Python's lock, at the system's discretion.

Work on the event loop would be first come, first served. Threads that hash are run by the operating
system's scheduler, which gives each the same share: processor sharing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

MOST_THREADS = 1_024
_NICENESS = 5
_CALIBRATION_ROUNDS = 20_000
_LONGEST_CHUNK_S = 0.05  # so that a server that ends does not wait for long work
_FIRST_SHARE = 0.8
_CLOSE_ENOUGH = 0.01  # of what was planned; what was used is logged
_FEWEST_ROUNDS = 16


@dataclass(frozen=True, slots=True)
class CpuUse:
    """What one request did on the CPU; seconds. `wall_s` from asking for a thread to being back on the loop."""

    planned_s: float = 0.0
    consumed_s: float = 0.0
    wall_s: float = 0.0


@dataclass(frozen=True)
class Cores:
    """The cores that this process may use, and what became of the number that was stated."""

    count: int
    stated: float | None
    pinned: bool
    message: str | None = None


def limit_cores(stated: float | None) -> Cores:
    """Restrict this process, and all threads that it starts from now on, to as many cores as stated.

    Takes the cores with the highest numbers, so a load generator is best put on the lowest. Only
    whole cores can be given: a fraction is rounded down, to at least 1. Systems without
    ``sched_setaffinity`` (macOS) and machines with fewer cores leave the process as it is. What
    could not be kept is in the message.
    """
    if not hasattr(os, "sched_setaffinity"):
        count = os.cpu_count() or 1
        note = None if stated is None else f"cpu_cores = {stated:g} is not kept: this system cannot pin a process."
        return Cores(count, stated, pinned=False, message=note)
    usable = sorted(os.sched_getaffinity(0))
    wanted = len(usable) if stated is None else max(int(stated), 1)
    note = None
    if stated is not None and min(wanted, len(usable)) != stated:
        note = f"cpu_cores is {stated:g}; the server runs on {min(wanted, len(usable))} of {len(usable)} usable cores."
    if wanted >= len(usable):
        return Cores(len(usable), stated, pinned=False, message=note)
    os.sched_setaffinity(0, usable[-wanted:])
    return Cores(wanted, stated, pinned=True, message=note)


class CpuWork:
    """Burns CPU time in threads, one a request.

    The threads run at a lower priority than the event loop (Linux), which needs little but needs it at once.
    At most `MOST_THREADS` requests share the cores; what comes on top waits its turn.

    Parameters
    ----------
    threads : int or None
        How many requests can ever be at it at a time; None: no limit.
    """

    def __init__(self, threads: int | None) -> None:
        most = MOST_THREADS if threads is None else min(threads, MOST_THREADS)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="cpu", initializer=_yield_to_the_loop)
        self._rounds_per_s = _calibrate()
        self._closing = False

    async def burn(self, planned_s: float) -> CpuUse:
        """Use `planned_s` seconds of CPU time; the wall time depends on who else wants the cores."""
        asked = time.monotonic()
        consumed = await asyncio.get_running_loop().run_in_executor(self._threads, self._burn, planned_s)
        return CpuUse(planned_s, consumed, time.monotonic() - asked)

    def _burn(self, planned_s: float) -> float:
        """Hash until the planned time is used, in as few calls as possible: each needs Python's lock to come back.

        The first call stops short of the plan, so that a core slower than the last one measured does not overdo it.
        """
        begun, used, share = time.thread_time(), 0.0, _FIRST_SHARE
        while planned_s - used > _CLOSE_ENOUGH * planned_s and not self._closing:
            rounds = max(int(min(share * (planned_s - used), _LONGEST_CHUNK_S) * self._rounds_per_s), _FEWEST_ROUNDS)
            before, share = used, 1.0
            _hash(rounds)
            used = time.thread_time() - begun
            if rounds > _CALIBRATION_ROUNDS:
                self._rounds_per_s = rounds / (used - before)  # the speed that the cores have now
        return used

    def close(self) -> None:
        """End all work."""
        self._closing = True
        self._threads.shutdown(wait=True, cancel_futures=True)


def _hash(rounds: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"work", b"salt", rounds)  # OpenSSL computes without Python's lock


def _calibrate() -> float:
    """Rounds of hashing that one second of CPU time does; the best of three."""
    rates = []
    for _ in range(3):
        begun = time.thread_time()
        _hash(_CALIBRATION_ROUNDS)
        rates.append(_CALIBRATION_ROUNDS / max(time.thread_time() - begun, 1e-9))
    return max(rates)


def _yield_to_the_loop() -> None:
    if sys.platform == "linux":  # the only system where a priority belongs to a thread
        own = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(own + _NICENESS, 19))
