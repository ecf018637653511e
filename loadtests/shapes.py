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
    spawn_rate : float or None
        Users a second; None: by `automatic_spawn_rate`.
    listener : Listener or None
        Is told when a step begins and when the last one is over.
    """

    abstract = True

    def __init__(self, levels: list[int], step_time_s: float, spawn_rate: float | None, listener: Any) -> None:
        super().__init__()
        self._levels = levels
        self._step_time_s = step_time_s
        self._spawn_rate = spawn_rate
        self._listener = listener
        self._current = -1
        self._rate = 1.0

    def tick(self) -> tuple[int, float] | None:
        """The level of now. Locust asks once a second; near a step's end this waits for the exact time."""
        left_s = (self._current + 1) * self._step_time_s - self.get_run_time()
        if left_s < _TICK_S:
            gevent.sleep(max(left_s, 0.0))
            self._advance()
        return None if self._current == len(self._levels) else (self._levels[self._current], self._rate)

    def _advance(self) -> None:
        running = self.get_current_user_count()
        self._current += 1
        if self._current == len(self._levels):
            self._mark("ended", running)
            return
        target = self._levels[self._current]
        self._rate = self._spawn_rate or automatic_spawn_rate(target - running, self._step_time_s)
        if self._listener is not None:
            self._listener.step = self._current + 1
        self._mark("asked", target)
        if target == running:
            self._mark("reached", target)

    def _mark(self, event: Any, users: int) -> None:
        if self._listener is not None:
            self._listener.mark(event, users)
