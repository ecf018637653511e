"""The journal that a load generator appends to while it runs: what a recording is made of afterwards.

CSV files of whole lines, flushed every second, beside each other:

- ``journal.csv``: requests, `JOURNAL_COLUMNS` with absolute monotonic times; `users` are those of the
  row's own process, `due_s` is empty where requests are not due on a schedule. With several processes
  each worker has a file ``journal.CLIENT.csv`` with Locust's own id of it, written by the master from
  what the worker sends.
- ``journal.marks.csv``: `event` (`asked`: a level of users was asked for, `passing`: a stretch that is
  no plateau begins, such as a ramp, `reached`: users that were asked for run, `ended`: the last step
  is over), `step` from 1, `users`, `monotonic_s`, `epoch_s`.
- ``journal.generator.csv``: `Pulse`, one row a process and second.
- ``journal.gauges.csv``: what the server said of itself.

And two JSON files: ``journal.run.json``, how the test was started, and ``journal.workers.json``,
Locust's own count of each worker's requests, written when it ends in order.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from loadtests.tables import GENERATOR_COLUMNS, REQUEST_COLUMNS, SCHEDULE_COLUMNS, Outcome

MarkEvent = Literal["asked", "passing", "reached", "ended"]

JOURNAL_COLUMNS: dict[str, str] = {**REQUEST_COLUMNS, **SCHEDULE_COLUMNS}

_TOO_MANY, _UNAVAILABLE = 429, 503
_TIMEOUTS = ("Timeout", "TimeoutError", "timeout", "ConnectTimeout", "ReadTimeout")
_RESETS = ("HTTPConnectionClosed", "RemoteDisconnected", "ProtocolError", "ChunkedEncodingError", "EmptyResponse")


class RequestRow(NamedTuple):
    """One finished request, in the order of the columns."""

    sent_at: float
    start_s: float
    finish_s: float
    worker_id: str
    user_id: int
    cycle: int
    method: str
    endpoint: str
    status: int
    outcome: Outcome
    users: int
    response_bytes: int
    due_s: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the load as a whole."""

    event: MarkEvent
    step: int
    users: int
    monotonic_s: float
    epoch_s: float


MARK_COLUMNS = tuple(item.name for item in fields(Mark))


class Pulse(NamedTuple):
    """State of one load generator process at one moment; the first fields are those of the generator table.

    Parameters
    ----------
    time_s, epoch_offset_s : float
        On the process's own monotonic clock.
    requests : float
        Rows that it has made since its start, these up to `time_s` being in the journal.
    client_id : str
        Locust's own id of the worker; empty for the process that writes the journal.
    machine : str
        What its monotonic clock belongs to.
    received_s : float
        When the writing process had it, on that process's monotonic clock.
    closed : int
        1: the process has ended in order, no request follows.
    """

    time_s: float
    worker_id: str
    users: float
    requests: float
    cpu_s: float
    loop_lag_s: float
    open_files: float
    file_limit: float
    epoch_offset_s: float
    client_id: str
    machine: str
    received_s: float
    closed: int


PULSE_COLUMNS: dict[str, str] = {
    **GENERATOR_COLUMNS, "client_id": "str", "machine": "str", "received_s": "float64", "closed": "int64",
}  # fmt: skip


def marks_path(journal: Path) -> Path:
    """Where the marks of a journal are."""
    return journal.with_suffix(".marks.csv")


def pulses_path(journal: Path) -> Path:
    """Where the states of the load generator's processes are."""
    return journal.with_suffix(".generator.csv")


def gauges_path(journal: Path) -> Path:
    """Where the server's gauges are."""
    return journal.with_suffix(".gauges.csv")


def run_path(journal: Path) -> Path:
    """Where it says how the test was started."""
    return journal.with_suffix(".run.json")


def workers_path(journal: Path) -> Path:
    """Where Locust's own counts of the workers are."""
    return journal.with_suffix(".workers.json")


def classify(status: int, exception: BaseException | None) -> Outcome:
    """The outcome of a request from its status (0: no response) and the error, if any."""
    if status == _UNAVAILABLE:
        return "shed"
    if status == _TOO_MANY:
        return "rate_limited"
    if status >= 500:
        return "server_error"
    if status >= 400:
        return "client_error"
    if exception is None:
        return "served" if status else "failed"
    return "failed" if status else _without_response(exception)


def _without_response(exception: BaseException) -> Outcome:
    for error in _causes(exception):
        name = type(error).__name__
        if isinstance(error, TimeoutError) or name in _TIMEOUTS:
            return "timeout"
        if isinstance(error, ConnectionRefusedError):
            return "refused"
        if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)) or name in _RESETS:
            return "reset"
    return "failed"


def _causes(exception: BaseException) -> list[BaseException]:
    """The exception and what it wraps, outermost first (HTTP libraries wrap in several ways)."""
    found: list[BaseException] = []
    todo: list[Any] = [exception]
    while todo:
        error = todo.pop(0)
        if isinstance(error, BaseException) and error not in found:
            found.append(error)
            wrapped = (getattr(error, "original", None), getattr(error, "reason", None))
            todo += [error.__cause__, *error.args, *wrapped, error.__context__]
    return found


def worker_path(journal: Path, client_id: str) -> Path:
    """Where a worker's requests are; `client_id` is unique to it and to its run."""
    return journal.with_name(f"{journal.stem}.{client_id}{journal.suffix}")


def worker_files(journal: Path) -> dict[str, Path]:
    """The workers' files that there are, by the worker's id."""
    others = {marks_path(journal), pulses_path(journal), gauges_path(journal)}
    found = sorted(journal.parent.glob(f"{journal.stem}.*{journal.suffix}"))
    start, end = len(journal.stem) + 1, -len(journal.suffix)
    return {path.name[start:end]: path for path in found if path not in others}


def journal_files(journal: Path) -> list[Path]:
    """Every file that a recording makes superfluous once it is written."""
    rest = (pulses_path(journal), gauges_path(journal), run_path(journal), workers_path(journal))
    return [path for path in (journal, *worker_files(journal).values(), *rest) if path.is_file()]


def to_lines(rows: Iterable[tuple[Any, ...]]) -> str:
    """Rows as CSV lines."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


class Journal:
    """Appends whole lines to the files of one test; rows wait in memory until `flush`.

    One process writes all of a journal: lines that two of them write into one file tear each
    other up.

    Parameters
    ----------
    path : Path
        New file of the requests.

    Raises
    ------
    FileExistsError
        When there is such a file, which is left as it is.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._files = {
            path: _open_table(path, JOURNAL_COLUMNS),
            marks_path(path): _open_table(marks_path(path), MARK_COLUMNS),
            pulses_path(path): _open_table(pulses_path(path), PULSE_COLUMNS),
        }
        self._waiting: list[RequestRow] = []
        self.is_closed = False

    def add(self, row: RequestRow) -> None:
        """Keep a request until the next flush."""
        self._waiting.append(row)

    def mark(self, event: MarkEvent, step: int, users: int) -> None:
        """Write a mark with the time of now."""
        mark = Mark(event, step, users, time.monotonic(), time.time())
        self._append(marks_path(self.path), to_lines([astuple(mark)]))

    def flush(self, pulse: Pulse | None = None) -> None:
        """Write the rows that wait, then the state of this process."""
        rows, self._waiting = self._waiting, []
        self._append(self.path, to_lines(rows))
        if pulse is not None:
            self.add_pulse(pulse)

    def add_pulse(self, pulse: Pulse) -> None:
        """Write the state of a process."""
        self._append(pulses_path(self.path), to_lines([pulse]))

    def add_from_worker(self, client_id: str, lines: str) -> None:
        """Write a worker's lines into its own file."""
        path = worker_path(self.path, client_id)
        if path not in self._files and not self.is_closed:
            self._files[path] = _open_table(path, JOURNAL_COLUMNS)
        self._append(path, lines)

    def close(self) -> None:
        """Flush and close; may be called again."""
        self.flush()
        self.is_closed = True
        for stream in self._files.values():
            stream.close()

    def _append(self, path: Path, lines: str) -> None:
        if lines and not self.is_closed:
            self._files[path].write(lines)
            self._files[path].flush()


def _open_table(path: Path, columns: Iterable[str]) -> IO[str]:
    stream = path.open("x", newline="", encoding="utf-8")
    csv.writer(stream).writerow(columns)
    stream.flush()
    return stream


def read_marks(journal: Path) -> tuple[Mark, ...]:
    """The marks written so far (a line still being written is left out); none when there is no file."""
    path = marks_path(journal)
    if not path.is_file():
        return ()
    text = path.read_text(encoding="utf-8")
    rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))[1:]
    return tuple(_mark(row) for row in rows)


def _mark(row: list[str]) -> Mark:
    event, step, users, monotonic_s, epoch_s = row
    return Mark(event, int(step), int(users), float(monotonic_s), float(epoch_s))  # type: ignore[arg-type]


def count_rows(journal: Path) -> int:
    """How many whole request rows are on disk, the workers' included."""
    return sum(_count_rows(path) for path in (journal, *worker_files(journal).values()))


def _count_rows(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as stream:
        return max(sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) - 1, 0)
