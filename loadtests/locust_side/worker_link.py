"""Locust side: brings the rows of Locust's workers to its master, whoever started them and wherever they run.

Every worker sends its new rows once a second as a message of its own kind over Locust's connection,
and once more before each of Locust's reports. Messages of one connection arrive in their order, so
the master has a row before it has the statistics that count it. Nothing has to be collected from
other machines.

Locust alone loses requests at the end of a test: its master waits half a second for the last
reports, while workers let their users finish for as long as ``--stop-timeout``, and a worker that is
interrupted sends none. So a worker here first stops its users and reports, and only then may the
master (which asks for that and waits) or the worker itself go on to quit.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import gevent
from gevent.lock import RLock

from loadtests.journals.journal import Journal, Pulse, RequestRow, to_lines
from loadtests.locust_side.generator_state import GeneratorState

_ROWS, _DRAIN, _DRAINED = "journal_rows", "journal_drain", "journal_drained"
_LONGEST_GRACE_S = 10.0


class WorkerSink:
    """Keeps a worker's rows until they are on their way to the master.

    Parameters
    ----------
    environment : locust.env.Environment
        That of a worker.
    """

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._state = GeneratorState(environment)
        self._waiting: list[RequestRow] = []
        self._sent = 0
        self._messages = 0
        self._is_closed = False
        self._is_stopping = RLock()

    def attach(self) -> None:
        """Report before Locust does, and stop before Locust quits."""
        self._runner.register_message(_DRAIN, self._on_drain, concurrent=True)
        self._environment.events.report_to_master.add_listener(lambda **_: self.flush())
        self._environment.events.quitting.add_listener(lambda **_: self._drain())
        gevent.spawn(self._state.watch_lag)

    def add(self, row: RequestRow) -> None:
        """Keep a request until the next flush."""
        self._is_closed = False
        self._waiting.append(row)

    def flush(self) -> None:
        """Send what waits; it waits on where that fails."""
        rows, self._waiting = self._waiting, []
        made = self._sent + len(rows)
        worker = str(self._runner.worker_index)
        pulse = self._state.pulse(worker, made, client_id=self._runner.client_id, is_closed=self._is_closed)
        message = {"number": self._messages, "lines": to_lines(rows), "pulse": list(pulse)}
        self._messages, self._sent = self._messages + 1, made
        try:
            self._runner.send_message(_ROWS, message)
        except Exception:
            self._waiting = rows + self._waiting
            self._sent -= len(rows)

    def close(self) -> None:
        """Send the last rows."""
        self._is_closed = True
        self.flush()

    def _on_drain(self, **_message: Any) -> None:
        self._drain()
        self._runner.send_message(_DRAINED, {})

    def _drain(self) -> None:
        """Let the users finish as Locust would, then report: rows first, the statistics that count them after."""
        with self._is_stopping:
            self._runner.stop()
            self.close()
            self._runner._send_stats()


class MasterLink:
    """Writes what the workers send into the master's journal.

    Parameters
    ----------
    environment : locust.env.Environment
        That of a master.
    journal : Journal
    """

    def __init__(self, environment: Any, journal: Journal) -> None:
        self._environment = environment
        self._runner = environment.runner
        self._journal = journal
        self._seen: defaultdict[str, set[int]] = defaultdict(set)
        self._drained: set[str] = set()
        self._locust_counts: defaultdict[str, int] = defaultdict(int)

    def attach(self) -> None:
        """Take the workers' rows; wait for their last ones before Locust stops."""
        self._runner.register_message(_ROWS, self._on_rows)
        self._runner.register_message(_DRAINED, lambda msg, **_: self._drained.add(msg.node_id))
        self._environment.events.worker_report.add_listener(self._on_report)
        self._environment.events.test_stopping.add_listener(lambda **_: self._drain())

    def workers(self) -> dict[str, dict[str, Any]]:
        """Locust's own index and count of requests of every worker that reported any."""
        counts = self._locust_counts
        return {
            client: {"index": self._runner.get_worker_index(client), "requests": counts[client]} for client in counts
        }

    def _on_rows(self, msg: Any, **_event: Any) -> None:
        if msg.data["number"] in self._seen[msg.node_id]:
            return
        self._seen[msg.node_id].add(msg.data["number"])
        self._journal.add_from_worker(msg.node_id, msg.data["lines"])
        self._journal.add_pulse(Pulse(*msg.data["pulse"])._replace(received_s=time.monotonic()))

    def _on_report(self, client_id: str, data: dict[str, Any]) -> None:
        self._locust_counts[client_id] += int(data["stats_total"]["num_requests"])

    def _drain(self) -> None:
        """Ask the workers to stop their users and report, and wait until they have, are gone, or time is up."""
        self._drained.clear()
        deadline = time.monotonic() + (self._environment.stop_timeout or 0.0) + _LONGEST_GRACE_S
        for client in self._awaited():
            self._runner.send_message(_DRAIN, {}, client)
        while self._awaited() and time.monotonic() < deadline:
            gevent.sleep(0.02)

    def _awaited(self) -> list[str]:
        missing = {client.id for client in self._runner.clients.missing}
        known = [client for client in self._runner.clients if client in self._seen]
        return [client for client in known if client not in self._drained and client not in missing]
