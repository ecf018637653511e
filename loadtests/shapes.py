"""Locust side: a load shape that steps through levels of users at exact times."""

from __future__ import annotations

from typing import Any

import gevent
from locust import LoadTestShape

from loadtests.plan import automatic_spawn_rate

_TICK_S = 1.0


class StepShape(LoadTestShape):
    """Levels of users, each for the same time.

    Abstract for Locust, which would use any other shape that it finds in a
    locustfile; the locustfile sets it on the environment when steps are asked
    for.

    Parameters
    ----------
    levels : list of int
    step_time_s : float
    hold_s : float
        The last level goes on this long after its end, so that think times that
        began in it are seen whole.
    spawn_rate : float or None
        Users a second; None: by `automatic_spawn_rate`.
    listener : Listener or None
        Is told when a step begins and when the last one is over.
    """

    abstract = True

    def __init__(
        self, levels: list[int], step_time_s: float, hold_s: float, *, spawn_rate: float | None, listener: Any
    ) -> None:
        super().__init__()
        self._levels = levels
        self._step_time_s = step_time_s
        self._hold_s = hold_s
        self._spawn_rate = spawn_rate
        self._listener = listener
        self._current = -1
        self._rate = 1.0

    def tick(self) -> tuple[int, float] | None:
        """The level of now. Locust asks once a second; near a step's end this waits for the exact time."""
        left_s = self._end_s() - self.get_run_time()
        if left_s < _TICK_S:
            gevent.sleep(max(left_s, 0.0))
            self._advance()
        if self._current > len(self._levels):
            return None
        return self._levels[min(self._current, len(self._levels) - 1)], self._rate

    def _end_s(self) -> float:
        """When the current phase ends, seconds after the start: a step, or the hold after the last one."""
        steps_s = min(self._current + 1, len(self._levels)) * self._step_time_s
        return steps_s + (self._hold_s if self._current == len(self._levels) else 0.0)

    def _advance(self) -> None:
        running = self.get_current_user_count()
        self._current += 1
        if self._current == len(self._levels):
            self._mark("ended", running)
        elif self._current < len(self._levels):
            self._begin_step(self._levels[self._current], running)

    def _begin_step(self, target: int, running: int) -> None:
        self._rate = self._spawn_rate or automatic_spawn_rate(target - running, self._step_time_s)
        if self._listener is not None:
            self._listener.step = self._current + 1
        self._mark("asked", target)
        if target == running:
            self._mark("reached", target)

    def _mark(self, event: Any, users: int) -> None:
        if self._listener is not None:
            self._listener.mark(event, users)
