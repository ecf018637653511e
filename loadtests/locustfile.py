"""Locust side: users who send a mix of requests and think after every response, also after a 503.

Usable by itself: ``locust -f locustfile.py -H URL --users 50 --run-time 10s --headless``.
"""

from __future__ import annotations

import itertools
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any

import numpy as np
from locust import FastHttpUser, events, task

from loadtests import listener
from loadtests.foundation.draws import draws_s
from loadtests.foundation.seeds import generator
from loadtests.foundation.units import parse_duration_s
from loadtests.plan import DEFAULT_REQUESTS, LoadPlan, Request, format_request, parse_request, parse_think
from loadtests.shapes import StepShape

_THINK, _CHOICE = 0, 1
_BODY_METHODS = ("POST", "PUT", "PATCH")


class PlannedUser(FastHttpUser):
    """Thinks, sends one request of the mix, and so on; everything random is seeded by the user's number."""

    _numbers = itertools.count()

    def __init__(self, environment: Any) -> None:
        options = environment.parsed_options
        self.network_timeout = self.connection_timeout = options.request_timeout
        super().__init__(environment)
        number = next(self._numbers)
        worker = max(getattr(environment.runner, "worker_index", 0), 0)
        self._think_s = draws_s(parse_think(options.think), generator(options.seed, worker, number, _THINK))
        self._requests = _mix(options.request or DEFAULT_REQUESTS, generator(options.seed, worker, number, _CHOICE))

    def wait_time(self) -> float:
        """The next think time, seconds."""
        return next(self._think_s)

    def on_start(self) -> None:
        """Think before the first request, or users who start together would arrive together."""
        self.wait()

    @task
    def send(self) -> None:
        """Send the next request of the mix."""
        method, path, _ = next(self._requests)
        self.client.request(method, path, json={} if method in _BODY_METHODS else None)


def _mix(requests: Sequence[Request], random: np.random.Generator) -> Iterator[Request]:
    edges = np.cumsum([weight for _, _, weight in requests])
    while True:
        for place in np.searchsorted(edges, random.random(64) * edges[-1], side="right"):
            yield requests[min(int(place), len(requests) - 1)]


def _explained(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    @wraps(parse)
    def argument(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return argument


def _text_of(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """Check an option but keep its text: a master sends its options to the workers, and cannot send our objects."""

    @wraps(parse)
    def argument(text: str) -> str:
        _explained(parse)(text)
        return text

    return argument


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or min(levels) < 1:
        raise ArgumentTypeError(f"{text!r} is not a list of users; write whole numbers from 1, e.g. 5,10,20")
    return levels


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the plan's options to Locust's command line."""
    defaults = ", ".join(map(format_request, DEFAULT_REQUESTS))
    group = parser.add_argument_group("Load plan")
    for name, kind, default, text in (
        (
            "--think",
            _text_of(parse_think),
            "exponential:1s",
            "time between response and next request, a distribution",
        ),
        (
            "--step-users",
            _levels,
            None,
            "levels of users, one step each, e.g. 5,10,20 (instead of --users, --run-time)",
        ),
        ("--step-time", _explained(parse_duration_s), "30s", "length of a step, e.g. 30s"),
        ("--hold-time", _explained(parse_duration_s), "0s", "how long the last step's users go on after its end"),
        ("--request-timeout", _explained(parse_duration_s), "30s", "longest wait for a response"),
        ("--seed", int, 1, "seed of think times and of the mix"),
    ):
        group.add_argument(name, type=kind, default=default, help=text)
    group.add_argument(
        "--request", type=_explained(parse_request), action="append",
        help=f"'METHOD /path weight', may be repeated (default: {defaults})",
    )  # fmt: skip


@events.init.add_listener
def use_steps(environment: Any, runner: Any, **_event: Any) -> None:
    """Leave the load to users and shape of a locustfile beside this one; otherwise follow the plan."""
    listener.start(environment)
    options = environment.parsed_options
    theirs = [user for user in environment.user_classes if user is not PlannedUser]
    environment.user_classes = theirs or environment.user_classes
    if not theirs:
        environment.nominal_think = parse_think(options.think).text()
        environment.load_plan = _noted_plan(options)
    if options.step_users and environment.shape_class is None:
        shape = StepShape(
            options.step_users,
            options.step_time,
            options.hold_time,
            spawn_rate=options.spawn_rate,
            listener=getattr(environment, "journal_listener", None),
        )
        shape.runner = runner
        environment.shape_class = shape


def _noted_plan(options: Any) -> dict[str, Any] | None:
    """The plan as a recording notes it; without steps one level, that of --users, for --run-time."""
    users, length_s = options.step_users or [options.num_users or 1], options.step_time
    if not options.step_users:
        if not options.run_time:
            return None
        length_s = float(options.run_time)
    plan = LoadPlan(
        users=tuple(users),
        step_time_s=length_s,
        think=parse_think(options.think),
        requests=tuple(options.request or DEFAULT_REQUESTS),
        spawn_rate=options.spawn_rate,
        seed=options.seed,
        request_timeout_s=options.request_timeout,
    )
    return plan.to_dict()
