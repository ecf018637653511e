"""A pool of slots granted strictly first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class PoolFullError(Exception):
    """No slot is free and nobody else may wait."""


class FifoPool:
    """Slots with a bounded first-in, first-out queue, for one event loop.

    A released slot passes straight to the longest waiting request, so no
    newcomer can overtake. A waiter that is cancelled or times out leaves the
    queue; one that is cancelled just after it was granted a slot passes it on.

    Parameters
    ----------
    size : int or None
        Number of slots; None for no limit.
    max_waiting : int or None
        How many may wait; None for no limit.
    """

    def __init__(self, size: int | None, max_waiting: int | None = None) -> None:
        self.size = size
        self.max_waiting = max_waiting
        self.in_use = 0
        self._turns: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._turns)

    async def acquire(self, timeout_s: float | None = None) -> None:
        """Take a slot, waiting for at most `timeout_s` seconds.

        Raises
        ------
        PoolFullError
            When the queue is full.
        TimeoutError
            When the wait took too long.
        """
        if self.size is None or self.in_use < self.size:
            self.in_use += 1
            return
        if self.max_waiting is not None and len(self._turns) >= self.max_waiting:
            raise PoolFullError
        await self._wait_for_turn(timeout_s)

    async def _wait_for_turn(self, timeout_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.append(turn)
        timer = None if timeout_s is None else loop.call_later(timeout_s, _expire, turn)
        try:
            await turn
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn in self._turns:
            self._turns.remove(turn)
        elif turn.done() and not turn.cancelled() and turn.exception() is None:
            self.release()

    def release(self) -> None:
        """Give a slot back; the longest waiting request gets it."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_use -= 1


def _expire(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
