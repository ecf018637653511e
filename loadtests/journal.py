"""The journal that a load generator appends to while it runs: requests and step marks.

Two CSV files. Requests: the columns of a recording's requests table, with
absolute monotonic times. Marks (beside it, ``.marks.csv``): `event` (`asked`:
a level of users was asked for, `passing`: a stretch that is no plateau begins,
such as a ramp, `reached`: users that were asked for run, `ended`: the last step
is over), `step` from 1, `users`, `monotonic_s`, `epoch_s`.
"""

from __future__ import annotations

import csv
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import IO, Any, Literal

from loadtests.tables import REQUEST_COLUMNS, SCHEDULE_COLUMNS, Outcome

MarkEvent = Literal["asked", "passing", "reached", "ended"]

_TOO_MANY, _UNAVAILABLE = 429, 503
_TIMEOUTS = ("Timeout", "TimeoutError", "timeout", "ConnectTimeout", "ReadTimeout")
_RESETS = ("HTTPConnectionClosed", "RemoteDisconnected", "ProtocolError", "ChunkedEncodingError", "EmptyResponse")


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One finished request, in the order of the columns; `due_s` only where requests were due on a schedule."""

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


def marks_path(journal: Path) -> Path:
    """Where the marks of a journal are."""
    return journal.with_suffix(".marks.csv")


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


def worker_path(journal: Path, worker: str) -> Path:
    """Where a worker of several writes its requests; `worker` is unique to it and to its run."""
    return journal.with_name(f"{journal.stem}.{worker}{journal.suffix}")


class Journal:
    """Appends whole rows to both files; rows wait in memory until `flush`.

    Each process needs a journal of its own: lines that two of them write into one file tear
    each other up.

    Parameters
    ----------
    path : Path
        New file of the requests.
    has_marks : bool, default True
        Whether it also has a file of marks (also new).
    has_schedule : bool, default False
        Whether its requests are due on a schedule, and rows say when.

    Raises
    ------
    FileExistsError
        When there is such a file, which is left as it is.
    """

    def __init__(self, path: Path, *, has_marks: bool = True, has_schedule: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._columns = (*REQUEST_COLUMNS, *(SCHEDULE_COLUMNS if has_schedule else ()))
        self._requests = _open_table(path, self._columns)
        self._marks = _open_table(marks_path(path), MARK_COLUMNS) if has_marks else None
        self._waiting: list[tuple[Any, ...]] = []

    def add(self, row: RequestRow) -> None:
        """Keep a request until the next flush."""
        self._waiting.append(astuple(row)[: len(self._columns)])

    def mark(self, event: MarkEvent, step: int, users: int) -> None:
        """Write a mark with the time of now."""
        if self._marks is not None and not self._marks.closed:
            csv.writer(self._marks).writerow(astuple(Mark(event, step, users, time.monotonic(), time.time())))
            self._marks.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        rows, self._waiting = self._waiting, []
        if rows and not self._requests.closed:
            csv.writer(self._requests).writerows(rows)
            self._requests.flush()

    def close(self) -> None:
        """Flush and close; may be called again."""
        self.flush()
        self._requests.close()
        if self._marks is not None:
            self._marks.close()


def _open_table(path: Path, columns: tuple[str, ...]) -> IO[str]:
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
    """How many whole request rows are on disk."""
    if not journal.is_file():
        return 0
    with journal.open("rb") as stream:
        return max(sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) - 1, 0)
