"""Locust side: users who send a mix of requests and think after every response, send on a schedule, or bring visitors.

Usable by itself: ``locust -f locustfile.py -H URL --users 50 --run-time 10s --headless``, or with
``--shape ramp:1:50:60s`` instead of users and time.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import FastHttpSession
from locust.exception import StopTest
from locust.runners import WorkerRunner

from loadtests import listener
from loadtests.foundation.draws import draws_s
from loadtests.foundation.errors import InputError
from loadtests.foundation.http_client import BODY_METHODS, EMPTY_BODY, with_content_type
from loadtests.foundation.seeds import generator
from loadtests.foundation.server_access import tls_context
from loadtests.foundation.units import parse_duration_s
from loadtests.load.abort import abort_notice
from loadtests.load.load_shapes import LoadShape
from loadtests.load.pacing import due_times_s
from loadtests.load.plan import LoadPlan
from loadtests.load.plan_options import add_plan_options, plan_of, shape_of
from loadtests.load.planned_requests import Request, planned_mix
from loadtests.locust_side.abort_watch import AbortWatch
from loadtests.locust_side.directed_shape import DirectedShape
from loadtests.locust_side.sessions import Sessions
from loadtests.locust_side.shapes import PlannedShape, quit_when_aborted

_THINK, _CHOICE, _SCHEDULE, _SESSION = 0, 1, 2, 3
_ABORTED = 1


class PlannedUser(FastHttpUser):
    """Waits, sends one request of the mix, and so on; everything random is seeded by the user's number."""

    max_redirects = 0
    _numbers = itertools.count()

    def __init__(self, environment: Any) -> None:
        plan = _plan(environment.parsed_options)
        self.network_timeout = self.connection_timeout = plan.request_timeout_s
        self.default_headers: dict[str, str] = plan.access.header_values()
        self.insecure = plan.access.is_insecure
        self.ssl_context_factory = partial(_same_context, plan)
        super().__init__(environment)
        number = next(self._numbers)
        worker = max(getattr(environment.runner, "worker_index", 0), 0)
        self._think_s = draws_s(plan.think, generator(plan.seed, worker, number, _THINK))
        self._requests = planned_mix(plan.requests, generator(plan.seed, worker, number, _CHOICE))
        self._due = self._schedule(plan, generator(plan.seed, worker, number, _SCHEDULE))
        self._due_s: float | None = None
        key = (plan.seed, worker, number, _SESSION)
        self._sessions = Sessions(self, plan, key) if plan.pacing.has_sessions else None

    @staticmethod
    def _schedule(plan: LoadPlan, random: np.random.Generator) -> Iterator[float] | None:
        """Monotonic times at which this user's requests are due; None when it thinks instead."""
        if not plan.pacing.is_scheduled:
            return None
        begin_s = time.monotonic()
        return (begin_s + due_s for due_s in due_times_s(plan.pacing, random))

    def wait_time(self) -> float:
        """Seconds to wait: the next think time, or until the next request is due (0 when that is past)."""
        if self._due is None:
            return next(self._think_s)
        self._due_s = next(self._due)
        return max(self._due_s - time.monotonic(), 0.0)

    def on_start(self) -> None:
        """Wait before the first request, or users who start together would arrive together."""
        self.wait()

    def on_stop(self) -> None:
        """Wait for the answers that visitors still wait for; they send no more."""
        if self._sessions is not None:
            self._sessions.end()

    @task
    def act(self) -> None:
        """Send the next request of the mix, or let the next visitor in."""
        if self._sessions is None:
            self.send(self.client, next(self._requests), self._due_s)
        elif self._due_s is not None:
            self._sessions.begin(self._due_s)

    def send(self, client: FastHttpSession, request: Request, due_s: float | None) -> None:
        """Send a request.

        Parameters
        ----------
        client : FastHttpSession
        request : Request
        due_s : float or None
            When it was due, monotonic seconds; None: nobody said so.
        """
        body = request.body or (EMPTY_BODY if request.method in BODY_METHODS else "")
        headers = with_content_type(self.default_headers, body)
        payload: Any = body.encode() or None
        context = {} if due_s is None else {"due_s": due_s}
        client.request(request.method, request.path, data=payload, headers=headers, context=context)

    def new_client(self) -> FastHttpSession:
        """A client with a connection of its own, for a visitor."""
        return FastHttpSession(
            self.host, self.environment.events.request, self, insecure=self.insecure,
            ssl_context_factory=self.ssl_context_factory, headers=self.default_headers, concurrency=1,
            network_timeout=self.network_timeout, connection_timeout=self.connection_timeout,
            max_redirects=self.max_redirects, max_retries=self.max_retries,
        )  # fmt: skip


def _plan(options: Any) -> LoadPlan:
    try:
        return plan_of(options)
    except InputError as error:
        raise StopTest(str(error)) from None


def _same_context(plan: LoadPlan, **_authorities: Any) -> Any:
    """One TLS context for all users: reading the authorities for each would cost milliseconds."""
    return tls_context(plan.access)


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add the plan's options to Locust's command line."""
    add_plan_options(parser)


@events.init.add_listener
def use_plan(environment: Any, runner: Any, **_event: Any) -> None:
    """Check what the plan needs, watch for its abort conditions, and put its shape in force.

    Users and a shape of a locustfile beside this one go before the plan's.
    """
    listener.start(environment)
    plan = _plan_that_can_run(environment)
    if isinstance(runner, WorkerRunner):
        AbortWatch(environment, (), None)  # counts for its master, whatever its own options are
        return
    watch = _watch(environment, plan) if plan.abort_if else None
    theirs = [user for user in environment.user_classes if user is not PlannedUser]
    environment.user_classes = theirs or environment.user_classes
    shape = shape_of(environment.parsed_options)
    _note(environment, plan, shape, is_ours=not theirs)
    if environment.parsed_options.directions:
        environment.shape_class = DirectedShape(Path(environment.parsed_options.directions), _recorder(environment))
        environment.shape_class.runner = runner
        return
    if shape is not None and environment.shape_class is None:
        environment.shape_class = _planned_shape(environment, plan, shape, watch)
        environment.shape_class.runner = runner
    elif watch is not None:
        quit_when_aborted(runner, watch)


def _recorder(environment: Any) -> Any:
    return getattr(environment, "journal_listener", None)


def _note(environment: Any, plan: LoadPlan, shape: LoadShape | None, *, is_ours: bool) -> None:
    """What a recording of this test will say of its load; of users of somebody's own only their levels are known."""
    environment.access = plan.access
    environment.has_planned_steps = shape is not None
    if is_ours:
        environment.nominal_think = plan.think_text
        environment.load_plan = plan.to_dict() if shape is not None or environment.parsed_options.run_time else None


def _plan_that_can_run(environment: Any) -> LoadPlan:
    """The plan, its headers and TLS files tried; ends Locust where they cannot be had."""
    try:
        plan = plan_of(environment.parsed_options)
        plan.access.header_values()
        if (environment.host or "").startswith("https"):
            tls_context(plan.access)
    except InputError as error:
        sys.exit(str(error))
    return plan


def _planned_shape(environment: Any, plan: LoadPlan, shape: LoadShape, watch: AbortWatch | None) -> PlannedShape:
    """A plan's file says how long the last level goes on, else an option does."""
    options = environment.parsed_options
    return PlannedShape(
        shape,
        plan.settling_s if options.plan else parse_duration_s(options.hold_time),
        spawn_rate=plan.spawn_rate,
        listener=_recorder(environment),
        watch=watch,
    )


def _watch(environment: Any, plan: LoadPlan) -> AbortWatch:
    """The watch; an aborted test's exit code is 1, unless it looked for its limit or somebody reads the notice."""
    options = environment.parsed_options
    journal, parent = getattr(options, "journal", None), getattr(options, "end_with_parent", None)
    watch = AbortWatch(environment, plan.abort_if, abort_notice(Path(journal)) if journal else None)

    def set_exit_code(**_event: Any) -> None:
        if watch.has_aborted and parent is None and not plan.load_shape.is_sought_limit:
            environment.process_exit_code = _ABORTED

    environment.events.quitting.add_listener(set_exit_code)
    return watch
