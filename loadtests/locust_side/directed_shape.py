"""Locust side: a load shape that somebody else directs, level by level, while the test runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from locust import LoadTestShape

from loadtests.knee.directions import Directions
from loadtests.load.plan import automatic_spawn_rate


class DirectedShape(LoadTestShape):
    """Asks a file once a second which level of users to run.

    Abstract for Locust, which would use any other shape that it finds in a locustfile.

    Parameters
    ----------
    path : Path
        Of the `Directions`; each is a new step.
    listener : Recorder or None
        Is told when a step begins and when the last one is over.
    """

    abstract = True

    def __init__(self, path: Path, listener: Any) -> None:
        super().__init__()
        self._path = path
        self._listener = listener
        self._step = 0
        self._target = (0, 1.0)

    def tick(self) -> tuple[int, float] | None:
        """The users of now; None once the end was asked for."""
        asked = Directions.from_dict(json.loads(self._path.read_text(encoding="utf-8")))
        if asked.users == 0:
            self._mark("ended", self.get_current_user_count())
            return None
        if asked.step != self._step:
            self._begin(asked)
        return self._target

    def _begin(self, asked: Directions) -> None:
        running = self.get_current_user_count()
        self._step = asked.step
        rate = asked.spawn_rate or automatic_spawn_rate(asked.users - running, asked.ramp_within_s)
        self._target = (asked.users, rate)
        if self._listener is not None:
            self._listener.step = asked.step
        self._mark("asked", asked.users)
        if asked.users == running:
            self._mark("reached", asked.users)

    def _mark(self, event: Any, users: int) -> None:
        if self._listener is not None:
            self._listener.mark(event, users)
