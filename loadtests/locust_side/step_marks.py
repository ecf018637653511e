"""Locust side: marks where the number of users that is asked for changes, for tests without a shape of ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import gevent

from loadtests.journals.journal import MarkEvent

_LOOK_EVERY_S = 0.1


class UserCountMarks:
    """A step begins whenever Locust is asked for another number of users; stopping the test ends the last one.

    So a plain ``--users 50`` run is one step, and plateaus of a user's own ``LoadTestShape``, or of
    somebody at the web page, are steps. A shape that marks its steps itself is left to do so.

    Parameters
    ----------
    environment : locust.env.Environment
    mark : callable
        Takes event, step and users.
    """

    def __init__(self, environment: Any, mark: Callable[[MarkEvent, int, int], None]) -> None:
        self.is_left_to_a_shape = False
        self._environment = environment
        self._mark = mark
        self._step = 0
        self._users = 0
        self._is_running = False
        self._watcher: Any = None

    def attach(self) -> None:
        """Follow Locust from the start of a test to its end."""
        happenings = self._environment.events
        happenings.test_start.add_listener(self._on_start)
        happenings.spawning_complete.add_listener(self._on_spawned)

    def _on_start(self, **_event: Any) -> None:
        self._is_running = True
        self._look()
        if self._watcher is None:
            self._watcher = gevent.spawn(self._watch)
            self._environment.runner.stop = self._marking(self._environment.runner.stop)

    def _marking(self, stop: Callable[..., None]) -> Callable[..., None]:
        """Mark the end before Locust stops: it first looks up who asked it to, which holds up every user for 0.3 s."""

        @functools.wraps(stop)
        def marked(*words: Any, **named: Any) -> None:
            self._end()
            stop(*words, **named)

        return marked

    def _on_spawned(self, user_count: int, **_event: Any) -> None:
        self._look()
        if self._users and not self.is_left_to_a_shape:
            self._mark("reached", self._step, user_count)

    def _end(self) -> None:
        self._go_to(0)
        self._is_running = False
        self._watcher.kill(block=False)
        self._watcher = None
        del self._environment.runner.stop

    def _watch(self) -> None:
        while True:
            self._look()
            gevent.sleep(_LOOK_EVERY_S)

    def _look(self) -> None:
        if self._is_running:
            self._go_to(self._environment.runner.target_user_count)

    def _go_to(self, users: int) -> None:
        if self.is_left_to_a_shape or users == self._users:
            return
        if users:
            self._step += 1
            self._mark("asked", self._step, users)
        else:
            self._mark("ended", self._step, self._users)
        self._users = users
