"""Locust side: runs a load shape at exact times, and ends tests whose abort condition is met."""

from __future__ import annotations

from typing import Any

import gevent
from locust import LoadTestShape

from loadtests.load.load_shapes import LoadShape, Stretch
from loadtests.load.plan import automatic_spawn_rate
from loadtests.locust_side.abort_watch import AbortWatch

_TICK_S = 1.0


class PlannedShape(LoadTestShape):
    """The stretches of a shape, one after the other.

    Abstract for Locust, which would use any other shape that it finds in a
    locustfile; the locustfile sets it on the environment when a shape is asked
    for.

    Parameters
    ----------
    shape : LoadShape
    hold_s : float
        The last stretch's users go on this long after its end, so that think times that
        began in it are seen whole.
    spawn_rate : float or None
        Users a second at the begin of a level; None: by `automatic_spawn_rate`.
    listener : Listener or None
        Is told when a stretch begins and when the last one is over.
    watch : AbortWatch or None
        Ends the test when a condition is met.
    """

    abstract = True

    def __init__(
        self, shape: LoadShape, hold_s: float, *, spawn_rate: float | None, listener: Any, watch: AbortWatch | None
    ) -> None:
        super().__init__()
        self._stretches = shape.stretches
        self._ends_s = _ends_s(shape)
        self._hold_s = hold_s
        self._spawn_rate = spawn_rate
        self._listener = listener
        self._watch = watch
        self._current = -1
        self._target = (0, 1.0)

    def tick(self) -> tuple[int, float] | None:
        """The users of now. Locust asks once a second; near a stretch's end this waits for the exact time."""
        if self._watch is not None and self._watch.aborted():
            self._end()
            return None
        left_s = self._end_s() - self.get_run_time()
        if left_s < _TICK_S:
            gevent.sleep(max(left_s, 0.0))
            self._advance()
        if self._current > len(self._stretches):
            return None
        self._follow_ramp()
        return self._target

    def _end_s(self) -> float:
        """When the current phase ends, seconds after the start: a stretch, or the hold after the last one."""
        if self._current < 0:
            return 0.0
        if self._current < len(self._stretches):
            return self._ends_s[self._current]
        return self._ends_s[-1] + self._hold_s

    def _advance(self) -> None:
        self._current += 1
        if self._current == len(self._stretches):
            self._mark("ended", self.get_current_user_count())
        elif self._current < len(self._stretches):
            self._begin(self._stretches[self._current])

    def _end(self) -> None:
        if 0 <= self._current < len(self._stretches):
            self._mark("ended", self.get_current_user_count())
        self._current = len(self._stretches) + 1

    def _begin(self, stretch: Stretch) -> None:
        running, users = self.get_current_user_count(), stretch.begin_users
        rate = self._spawn_rate or automatic_spawn_rate(users - running, stretch.seconds)
        self._target = (users, rate)
        if self._listener is not None:
            self._listener.step = self._current + 1
        self._mark("asked" if stretch.is_plateau else "passing", users)
        if users == running:
            self._mark("reached", users)

    def _follow_ramp(self) -> None:
        """On a ramp, the users of the middle of the time until the next change, at once.

        The next change is a second away, or the stretch's end where that is nearer than two.
        """
        if self._current >= len(self._stretches):
            return
        stretch = self._stretches[self._current]
        if stretch.begin_users == stretch.end_users:
            return
        left_s = self._ends_s[self._current] - self.get_run_time()
        until_change_s = left_s if left_s < 2 * _TICK_S else _TICK_S
        users, before = stretch.users_after(stretch.seconds - left_s + until_change_s / 2), self._target[0]
        if users != before:
            self._target = (users, float(max(abs(users - self.get_current_user_count()), 1)))

    def _mark(self, event: Any, users: int) -> None:
        if self._listener is not None:
            self._listener.mark(event, users)


def _ends_s(shape: LoadShape) -> list[float]:
    ends, end_s = [], 0.0
    for stretch in shape.stretches:
        end_s += stretch.seconds
        ends.append(end_s)
    return ends


def quit_when_aborted(runner: Any, watch: AbortWatch) -> None:
    """Start looking once a second, where no shape does; end the test when a condition is met.

    Parameters
    ----------
    runner : locust.runners.Runner
    watch : AbortWatch
    """

    def look() -> None:
        while not watch.aborted():
            gevent.sleep(_TICK_S)
        runner.quit()

    gevent.spawn(look)
