"""Locust side: writes the journal of every request. Works beside any locustfile.

``locust -f listener.py,theirs.py --journal requests.csv ...``

With ``--processes N`` (or workers elsewhere) each worker writes a journal of its own,
``requests.HOST_ID.csv`` with Locust's own id of the worker; ``requests.csv`` is the master's then
and has no rows, as the master sends no requests. Together they hold every request once. A run whose
``requests.csv`` is there already is refused.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import gevent
import psutil
from locust import User, events
from locust.runners import WorkerRunner

from loadtests.journal import Journal, MarkEvent, RequestRow, classify, worker_path
from loadtests.plan_options import has_schedule

FLUSH_EVERY_S = 1.0
_NO_USER = -1
_MOST_ANCESTORS = 5


class Listener:
    """Turns Locust's events into journal rows and marks, in one Locust process."""

    def __init__(self, environment: Any, journal: Journal) -> None:
        self.step = 1
        self._environment = environment
        self._journal = journal
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._next_number = itertools.count()
        self._cycles: defaultdict[int, int] = defaultdict(int)

    def attach(self) -> None:
        """Listen to requests and ramps; close after Locust's own statistics are final."""
        happenings = self._environment.events
        happenings.request.add_listener(self.on_request)
        happenings.spawning_complete.add_listener(self.on_spawning_complete)
        happenings.quit.add_listener(self.on_quit)

    def keep_flushing(self, parent: int | None) -> None:
        """Flush every second; end the test when its parent process was named and is gone."""
        while True:
            gevent.sleep(FLUSH_EVERY_S)
            self._journal.flush()
            if parent is not None and os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def mark(self, event: MarkEvent, users: int) -> None:
        """Write a mark of the current step."""
        self._journal.mark(event, self.step, users)

    def on_request(self, **event: Any) -> None:
        """Add the row of one finished request."""
        finish = time.monotonic()
        duration_s = (event.get("response_time") or 0.0) / 1e3
        exception = event.get("exception")
        status = int(getattr(event.get("response"), "status_code", 0) or 0)
        user = self._user_number()
        row = RequestRow(
            sent_at=event.get("start_time") or time.time() - duration_s,
            start_s=finish - duration_s,
            finish_s=finish,
            worker_id=str(getattr(self._environment.runner, "worker_index", 0)),
            user_id=user,
            cycle=self._cycles[user],
            method=event["request_type"],
            endpoint=event["name"],
            status=status,
            outcome=classify(status, exception),
            users=self._environment.runner.user_count,
            response_bytes=int(event.get("response_length") or 0),
            due_s=(event.get("context") or {}).get("due_s"),
        )
        self._cycles[user] += 1
        self._journal.add(row)

    def on_spawning_complete(self, user_count: int, **_event: Any) -> None:
        """Mark that a level's users all run."""
        self.mark("reached", user_count)

    def on_quit(self, **_event: Any) -> None:
        """Write what is left; Locust's totals are final by now."""
        self._journal.close()

    def _user_number(self) -> int:
        """The number of the user that the current greenlet works for; -1 when there is none."""
        greenlet: Any = gevent.getcurrent()
        for _ in range(_MOST_ANCESTORS):
            if greenlet in self._numbers:
                return self._numbers[greenlet]
            if _is_user(greenlet):
                return self._numbers.setdefault(greenlet, next(self._next_number))
            spawner = getattr(greenlet, "spawning_greenlet", None)
            greenlet = spawner() if callable(spawner) else None
            if greenlet is None:
                break
        return _NO_USER


def _is_user(greenlet: Any) -> bool:
    """Whether Locust runs a simulated user in this greenlet; it hands the user over as an argument."""
    arguments: Any = getattr(greenlet, "args", None)
    return bool(arguments) and isinstance(arguments[0], User)


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add our options to Locust's command line, once."""
    if "--journal" not in parser._option_string_actions:
        group = parser.add_argument_group("Journal")
        group.add_argument("--journal", help="CSV file with one row a request")
        group.add_argument("--end-with-parent", type=int, metavar="PID", help="stop when this parent process has ended")


@events.init.add_listener
def start(environment: Any, **_event: Any) -> None:
    """Attach a listener where a journal is asked for."""
    # Timers count from the event loop's last look at the clock, before seconds of imports: --run-time would be short.
    gevent.get_hub().loop.update_now()
    path = getattr(environment.parsed_options, "journal", None)
    if path and not hasattr(environment, "journal_listener"):
        journal = _open_journal(Path(path), environment.runner, has_schedule=has_schedule(environment.parsed_options))
        environment.journal_listener = Listener(environment, journal)
        environment.journal_listener.attach()
        gevent.spawn(environment.journal_listener.keep_flushing, environment.parsed_options.end_with_parent)


def _open_journal(path: Path, runner: Any, *, has_schedule: bool) -> Journal:
    """The journal of this process; ends the run where it cannot be opened (Locust would go on without one)."""
    try:
        if isinstance(runner, WorkerRunner):
            return Journal(worker_path(path, runner.client_id), has_marks=False, has_schedule=has_schedule)
        return Journal(path, has_schedule=has_schedule)
    except FileExistsError as error:
        why = f"The journal {error.filename} exists already; name another with --journal, or move this one away."
    except OSError as error:
        why = f"The journal {path} cannot be written ({error.strerror}); name another file with --journal."
    _end_forked_workers()
    sys.exit(why)


def _end_forked_workers() -> None:
    """End the workers that ``--processes`` made; without a master they would wait for one."""
    this = psutil.Process()
    for child in this.children():
        with suppress(psutil.Error):
            if child.cmdline() == this.cmdline():
                child.terminate()
