"""Locust side: visitors who come, send several requests with think times between them, and leave.

A user of the level is a source of visitors. Each visitor is a greenlet, a connection and, in the recording, a user of
its own, so that gaps between its requests are think times.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from gevent.event import Event
from gevent.pool import Group

from loadtests.foundation.draws import draws_s
from loadtests.foundation.seeds import generator
from loadtests.load.plan import LoadPlan
from loadtests.load.planned_requests import planned_mix

_LENGTH, _THINK, _CHOICE = 0, 1, 2


class Sessions:
    """The visitors that one source has let in.

    Parameters
    ----------
    source : locust.User
        Its `send` sends a request, its `new_client` opens a connection.
    plan : LoadPlan
        With a pacing in sessions.
    key : tuple of int
        Seed and path of the source; visitors are seeded by it and their number.
    """

    def __init__(self, source: Any, plan: LoadPlan, key: tuple[int, ...]) -> None:
        self._source = source
        self._plan = plan
        self._key = key
        self._numbers = itertools.count()
        self._inside = Group()
        self._is_over = Event()

    def begin(self, due_s: float) -> None:
        """Let the next visitor in, who does not keep the source waiting.

        Parameters
        ----------
        due_s : float
            When it was due, monotonic seconds.
        """
        # The listener knows a user by the first argument of its greenlet: so each visitor counts as one.
        self._inside.spawn(_visit, self._source, self, next(self._numbers), due_s)

    def end(self) -> None:
        """Nobody sends any more; wait until those are answered who wait."""
        self._is_over.set()
        self._inside.join(timeout=self._plan.request_timeout_s)

    def visit(self, number: int, due_s: float) -> None:
        """One visitor from its first request to its last.

        Parameters
        ----------
        number : int
        due_s : float
            When its first request was due.
        """
        plan = self._plan
        seed, *path = self._key
        length = generator(seed, *path, number, _LENGTH).geometric(1 / plan.pacing.requests_per_session)
        think_s = draws_s(plan.think, generator(seed, *path, number, _THINK))
        requests = planned_mix(plan.requests, generator(seed, *path, number, _CHOICE))
        client = self._source.new_client()
        try:
            for _ in range(int(length)):
                if self._is_over.wait(max(due_s - time.monotonic(), 0.0)):
                    return
                self._source.send(client, next(requests), due_s)
                due_s = time.monotonic() + next(think_s)
        finally:
            client.client.close()


def _visit(source: Any, sessions: Sessions, number: int, due_s: float) -> None:
    del source
    sessions.visit(number, due_s)
