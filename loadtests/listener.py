"""Locust side: records every request. Works beside any locustfile, in one process or in many.

``locust -f listener.py,theirs.py --recording DIR ...``

makes a recording in the new folder DIR when the test ends; ``--journal FILE`` only writes the files
that a recording is made of. With ``--processes N``, or workers started elsewhere, these options are
the master's: the workers (which load this file too, or `locustfile.py`) send it their rows.
A run whose journal is there already is refused.
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
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import gevent
import psutil
from locust import User, events
from locust.runners import STATE_INIT, MasterRunner, WorkerRunner

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import write_json
from loadtests.journals.journal import Journal, MarkEvent, RequestRow, classify, workers_path
from loadtests.locust_side.generator_state import GeneratorState
from loadtests.locust_side.step_marks import UserCountMarks
from loadtests.locust_side.stock_recording import StockRecording
from loadtests.locust_side.worker_link import MasterLink, WorkerSink

FLUSH_EVERY_S = 1.0
_LONGEST_END_S = 10.0
_NO_USER = -1
_MOST_ANCESTORS = 5
_LINE_BREAKS = str.maketrans("\r\n", "  ")


class Sink(Protocol):
    """Where a process puts its rows."""

    def add(self, row: RequestRow) -> None:
        """Keep a request until the next flush."""

    def flush(self) -> None:
        """Hand over what waits, with the state of the process."""

    def close(self) -> None:
        """Hand over the last rows."""


class JournalSink:
    """Rows of the process that writes the journal itself.

    Parameters
    ----------
    environment : locust.env.Environment
    journal : Journal
    """

    def __init__(self, environment: Any, journal: Journal) -> None:
        self._journal = journal
        self._state = GeneratorState(environment)
        self._name = "master" if isinstance(environment.runner, MasterRunner) else "0"
        self._made = 0
        gevent.spawn(self._state.watch_lag)

    def add(self, row: RequestRow) -> None:
        """Keep a request until the next flush."""
        self._made += 1
        self._journal.add(row)

    def flush(self) -> None:
        """Write what waits, then the state of the process."""
        self._journal.flush(self._state.pulse(self._name, self._made))

    def close(self) -> None:
        """Write the last rows and close the journal; may be called again."""
        if not self._journal.is_closed:
            self._journal.flush(self._state.pulse(self._name, self._made, is_closed=True))
            self._journal.close()


class Listener:
    """Turns Locust's requests into rows, in one process that runs users."""

    def __init__(self, environment: Any, sink: Sink) -> None:
        self.is_on = True
        self._environment = environment
        self._sink = sink
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._next_number = itertools.count()
        self._cycles: defaultdict[int, int] = defaultdict(int)

    def on_request(self, **event: Any) -> None:
        """Add the row of one finished request."""
        if not self.is_on:
            return
        finish = time.monotonic()
        duration_s = (event.get("response_time") or 0.0) / 1e3
        status = int(getattr(event.get("response"), "status_code", 0) or 0)
        user = self._user_number()
        cycle = self._cycles[user]
        self._cycles[user] = cycle + 1
        row = RequestRow(
            sent_at=event.get("start_time") or time.time() - duration_s,
            start_s=finish - duration_s,
            finish_s=finish,
            worker_id=str(self._environment.runner.worker_index),
            user_id=user,
            cycle=cycle,
            method=str(event["request_type"]).translate(_LINE_BREAKS),
            endpoint=str(event["name"]).translate(_LINE_BREAKS),
            status=status,
            outcome=classify(status, event.get("exception")),
            users=self._environment.runner.user_count,
            response_bytes=int(event.get("response_length") or 0),
            due_s=(event.get("context") or {}).get("due_s"),
        )
        self._sink.add(row)

    def keep_flushing(self, parent: int | None) -> None:
        """Flush every second; end the test when its parent process was named and is gone."""
        while True:
            gevent.sleep(FLUSH_EVERY_S)
            if self.is_on:
                self._sink.flush()
            if parent is not None and os.getppid() != parent:
                self._end_without_parent()

    def _end_without_parent(self) -> None:
        """End in order; at once if that takes too long, as nobody is left to see it."""
        os.kill(os.getpid(), signal.SIGTERM)
        gevent.sleep((self._environment.stop_timeout or 0.0) + _LONGEST_END_S)
        self._sink.flush()
        os._exit(1)

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


class Recorder:
    """The one process of a test that writes its journal: one that runs users itself, or the master.

    Parameters
    ----------
    environment : locust.env.Environment
    journal : Journal
    """

    def __init__(self, environment: Any, journal: Journal) -> None:
        self.step = 1
        self._environment = environment
        self._journal = journal
        self._sink = JournalSink(environment, journal)
        self._marks = UserCountMarks(environment, journal.mark)
        self._link = MasterLink(environment, journal) if isinstance(environment.runner, MasterRunner) else None

    def attach(self, parent: int | None) -> None:
        """Listen; close after Locust's own statistics are final."""
        happenings = self._environment.events
        self._marks.attach()
        listener = Listener(self._environment, self._sink)
        if self._link is None:
            happenings.request.add_listener(listener.on_request)
        else:
            self._link.attach()
        happenings.spawning_complete.add_listener(self._on_spawning_complete)
        happenings.quit.add_listener(self._on_quit)
        gevent.spawn(listener.keep_flushing, parent)

    def mark(self, event: MarkEvent, users: int) -> None:
        """Write a mark of the current step, for a shape that sets `step`; marks by user counts then end."""
        self._marks.is_left_to_a_shape = True
        self._journal.mark(event, self.step, users)

    def _on_spawning_complete(self, user_count: int, **_event: Any) -> None:
        if self._marks.is_left_to_a_shape:
            self._journal.mark("reached", self.step, user_count)

    def _on_quit(self, **_event: Any) -> None:
        """Write what is left; Locust's totals are final by now."""
        if self._link is not None and not self._journal.is_closed:
            write_json(workers_path(self._journal.path), self._link.workers())
        self._sink.close()


def _is_user(greenlet: Any) -> bool:
    """Whether Locust runs a simulated user in this greenlet; it hands the user over as an argument."""
    arguments: Any = getattr(greenlet, "args", None)
    return bool(arguments) and isinstance(arguments[0], User)


@events.init_command_line_parser.add_listener
def add_options(parser: Any) -> None:
    """Add our options to Locust's command line, once."""
    if "--journal" not in parser._option_string_actions:
        group = parser.add_argument_group("Recording")
        group.add_argument("--recording", metavar="DIR", help="make a recording in this new folder when the test ends")
        group.add_argument("--deployment", metavar="FILE", help="known limits of the server, kept in the recording")
        group.add_argument("--journal", metavar="FILE", help="only write the journal: CSV, one row a request")
        group.add_argument("--end-with-parent", type=int, metavar="PID", help="stop when this parent process has ended")


@events.init.add_listener
def start(environment: Any, **_event: Any) -> None:
    """Record where that is asked for."""
    # Timers count from the event loop's last look at the clock, before seconds of imports: --run-time would be short.
    gevent.get_hub().loop.update_now()
    if hasattr(environment, "journal_listener"):
        return
    environment.journal_listener = None
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner):
        _record_in_worker(environment)
    elif options.recording or options.journal:
        stock = StockRecording(environment, Path(options.recording)) if options.recording else None
        _interrupt_between_greenlets()
        _end_in_order_on_sigterm(environment)
        environment.journal_listener = Recorder(environment, _open_journal(Path(options.journal or ""), stock))
        environment.journal_listener.attach(options.end_with_parent)
        if stock is not None:
            stock.attach()


def _record_in_worker(environment: Any) -> None:
    """Send rows from the start of a test on, if the master's options (known by then) ask for them."""
    sink = WorkerSink(environment)
    listener = Listener(environment, sink)
    listener.is_on = False
    environment.events.request.add_listener(listener.on_request)
    parent = os.getppid() if environment.parsed_options.processes else None
    _interrupt_between_greenlets()

    def on_test_start(**_event: Any) -> None:
        options = environment.parsed_options
        if not listener.is_on and (options.recording or options.journal):
            listener.is_on = True
            sink.attach()
            gevent.spawn(listener.keep_flushing, parent)

    environment.events.test_start.add_listener(on_test_start)


def _interrupt_between_greenlets() -> None:
    """Take Ctrl-C when the event loop is at rest; anywhere else it could fall between a request and its row."""
    gevent.signal_handler(signal.SIGINT, _interrupt)


def _interrupt() -> None:
    """Raise KeyboardInterrupt in the main greenlet; raised here it would be printed first, perhaps to a closed pipe."""
    gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())


def _end_in_order_on_sigterm(environment: Any) -> None:
    """Locust listens to SIGTERM only after a headless shape has run and workers have come; until then it just dies."""

    def end() -> None:
        runner = environment.runner
        if environment.parsed_options.headless and (runner.shape_greenlet or runner.state == STATE_INIT):
            _interrupt()

    gevent.signal_handler(signal.SIGTERM, end)


def _open_journal(path: Path, stock: StockRecording | None) -> Journal:
    """The journal of the test; ends the run where it cannot be opened (Locust would go on without one)."""
    try:
        return Journal(path if stock is None else stock.new_journal())
    except FileExistsError as error:
        why = f"The journal {error.filename} exists already; name another with --journal, or move this one away."
    except OSError as error:
        why = f"The journal {error.filename} cannot be written ({error.strerror}); name another file or folder."
    except InputError as error:
        why = str(error)
    _end_forked_workers()
    sys.exit(why)


def _end_forked_workers() -> None:
    """End the workers that ``--processes`` made; without a master they would wait for one."""
    this = psutil.Process()
    for child in this.children():
        with suppress(psutil.Error):
            if child.cmdline() == this.cmdline():
                child.terminate()
