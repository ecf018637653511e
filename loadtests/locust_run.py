"""One run of Locust as a child process: its command line, and watching it to its end."""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import loadtests
from loadtests.foundation.checks import whole
from loadtests.foundation.children import Child
from loadtests.foundation.errors import InputError, RunError
from loadtests.journals.journal import Mark, read_marks
from loadtests.journals.progress import JournalWatch, Progress
from loadtests.load.plan import LoadPlan
from loadtests.store import JOURNAL, LOCUST, REPORT

_POLL_S = 0.25
_LONGEST_DRAIN_S = 10.0
_OVERTIME_S = 60.0
_LONGEST_WAIT_FOR_WORKERS_S = 120
_LOCUSTFILE = "loadtests/locustfile.py"
_LOG = "locust.log"
DIRECTIONS = "directions.json"
PLAN = "plan.json"
"""The load plan, in Locust's folder of the recording."""
_LAST_LINES = 15
_LOOPBACK = "127.0.0.1"

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class LoadGenerator:
    """With how many processes to send the load, and whose users.

    Parameters
    ----------
    processes : int
        Locust processes that run users on this machine. With more than one, another one leads them.
    expect_workers : int
        Instead: wait for so many workers that are started elsewhere,
        ``locust --worker --master-host HERE --master-port PORT -f "$(capacity locustfile)"``.
    master_bind : str
        Where workers reach this machine, ``ADDRESS:PORT``; loopback unless stated.
    locustfile : Path, optional
        A locustfile of your own; its users run, and its load shape if it has one.

    Raises
    ------
    InputError
        For numbers out of range, processes together with expected workers, an address that cannot
        be read, or a locustfile that does not exist.
    """

    processes: int = 1
    expect_workers: int = 0
    master_bind: str = f"{_LOOPBACK}:5557"
    locustfile: Path | None = None

    def __post_init__(self) -> None:
        whole("processes", self.processes, least=1)
        whole("expect_workers", self.expect_workers)
        if self.processes > 1 and self.expect_workers:
            raise InputError(
                f"There are {self.processes} processes and {self.expect_workers} expected workers; the load comes "
                "either from processes of this machine or from workers that are started elsewhere, so give one of both."
            )
        address, mark, port = self.master_bind.rpartition(":")
        if not (mark and address and port.isdigit() and 0 < int(port) < 65_536):
            raise InputError(
                f"The address {self.master_bind!r} for workers is none; write ADDRESS:PORT, as 127.0.0.1:5557."
            )
        if self.locustfile is not None and not self.locustfile.is_file():
            raise InputError(f"The locustfile {self.locustfile} does not exist; give the path of a Python file.")

    def words(self) -> list[str]:
        """Locust's arguments for it."""
        if self.expect_workers:
            address, _, port = self.master_bind.rpartition(":")
            return [
                "--master", "--expect-workers", str(self.expect_workers),
                "--expect-workers-max-wait", str(_LONGEST_WAIT_FOR_WORKERS_S),
                "--master-bind-host", address, "--master-bind-port", port,
            ]  # fmt: skip
        if self.processes > 1:
            port = str(_free_port())
            return [
                "--processes", str(self.processes), "--master-bind-host", _LOOPBACK, "--master-bind-port", port,
                "--master-host", _LOOPBACK, "--master-port", port,
            ]  # fmt: skip
        return []


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


class LocustRun:
    """One run of Locust and what it leaves behind in its folder.

    Parameters
    ----------
    host : str
    plan : LoadPlan
    folder : Path
        Of the recording.
    generator : LoadGenerator
    is_directed : bool
        Whether levels of users are asked for one by one, in the file `directions`.
    """

    def __init__(
        self, host: str, plan: LoadPlan, folder: Path, generator: LoadGenerator, *, is_directed: bool = False
    ) -> None:
        self.host = host
        self.plan = plan
        self.folder = folder
        self.generator = generator
        self.is_directed = is_directed
        self.drain_s = math.ceil(min(plan.request_timeout_s, _LONGEST_DRAIN_S))
        self._generator_words = generator.words()

    @property
    def journal(self) -> Path:
        """Where it writes what it does."""
        return self.folder / JOURNAL

    @property
    def directions(self) -> Path:
        """Where the level of users to send is asked for."""
        return self.folder / LOCUST / DIRECTIONS

    @property
    def marks(self) -> tuple[Mark, ...]:
        """What it has marked so far."""
        return read_marks(self.journal)

    def command(self) -> list[str]:
        """Locust's arguments, file names relative to its folder in the recording."""
        own = self.generator.locustfile
        words = ["-f", ",".join([_LOCUSTFILE, *([own.name] if own else [])]), "--headless", "--host", self.host]
        words += ["--directions", DIRECTIONS] if self.is_directed else []
        words += ["--plan", PLAN, "--stop-timeout", str(self.drain_s)]
        words += ["--csv", "stats", "--csv-full-history", "--json-file", REPORT, "--logfile", _LOG, "--only-summary"]
        return [*words, "--exit-code-on-error", "0", "--journal", self.journal.name, *self._generator_words]

    def watch(self, on_progress: OnProgress | None) -> None:
        """Run Locust to its end; end it on every other way out."""
        with self.running() as child:
            self._follow(child, JournalWatch(self.journal, self.plan), on_progress)

    @contextmanager
    def running(self) -> Iterator[Child]:
        """Locust as a child process for the length of a ``with`` block, which has to wait for its end.

        Yields
        ------
        Child

        Raises
        ------
        RunError
            When Locust has failed, or ended before its load did.
        """
        package = Path(loadtests.__file__).parent
        command = [sys.executable, "-m", "locust", *self._with_paths(package), "--end-with-parent", str(os.getpid())]
        child = Child(command, folder=self.folder / LOCUST, environment=_environment(package.parent))
        try:
            yield child
        finally:
            child.end(self.drain_s + 2 * _LONGEST_DRAIN_S)
        if child.exit_code != 0 or not any(mark.event == "ended" for mark in self.marks):
            raise self.failure(child)

    def failure(self, child: Child) -> RunError:
        """That Locust ended before its time, with its last messages."""
        return RunError(f"Locust ended early (exit code {child.exit_code}); its last messages:\n{self._said(child)}")

    def _with_paths(self, package: Path) -> list[str]:
        own = self.generator.locustfile
        files = [str(package / "locustfile.py"), *([str(own.absolute())] if own else [])]
        option, _, *words = self.command()
        return [option, ",".join(files), *words]

    def _follow(self, child: Child, watch: JournalWatch, on_progress: OnProgress | None) -> None:
        deadline = self._deadline()
        while not child.wait(_POLL_S):
            progress = watch.progress()
            if on_progress is not None and progress is not None:
                on_progress(progress)
            if time.monotonic() > deadline:
                raise RunError(f"Locust did not end in time; its last messages:\n{self._said(child)}")

    def _deadline(self) -> float:
        """When the plan must be through; a user's own load shape may take as long as it likes."""
        if self.generator.locustfile is not None:
            return math.inf
        waiting_s = _LONGEST_WAIT_FOR_WORKERS_S if self.generator.expect_workers else 0.0
        planned_s = self.plan.duration_s + self.plan.settling_s + self.drain_s
        return time.monotonic() + waiting_s + planned_s + _OVERTIME_S

    def _said(self, child: Child) -> str:
        log = self.folder / LOCUST / _LOG
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        return "\n".join([*lines[-_LAST_LINES:], child.last_errors()]).strip() or "it said nothing"


def _environment(root: Path) -> dict[str, str]:
    """Ours without Locust's variables (they would change the plan), and with this package importable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    paths = [str(root), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
