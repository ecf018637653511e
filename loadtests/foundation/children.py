"""Child processes that end when we want them to, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_LAST_LINES = 20


class Child:
    """A child process in a session of its own, its output kept readable.

    Ctrl-C in a terminal does not reach it; whoever started it calls `end`. Its
    standard input is a pipe that closes when this process dies.

    Parameters
    ----------
    command : sequence of str
    folder : Path, optional
        Working directory.
    environment : mapping, optional
        Environment variables instead of this process's own.
    """

    def __init__(
        self, command: Sequence[str], *, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=folder,
            env=environment,
        )
        self.pid = self._process.pid
        self.first_line: str | None = None
        self.has_first_line = threading.Event()
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_output(self) -> None:
        for line in _lines(self._process.stdout):
            if self.first_line is None:
                self.first_line = line
                self.has_first_line.set()
        self.has_first_line.set()

    def _read_errors(self) -> None:
        for line in _lines(self._process.stderr):
            self._last.append(line)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False when it still runs after `timeout_s` seconds."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_errors(self) -> str:
        """The last lines of its standard error."""
        if self.exit_code is not None:
            self._readers[1].join(1.0)
        return "\n".join(self._last)

    def end(self, grace_s: float = 10.0) -> None:
        """Ask it to end (SIGTERM), insist (SIGKILL) after `grace_s` seconds, and collect it."""
        if self.exit_code is None:
            self._process.send_signal(signal.SIGTERM)
            if not self.wait(grace_s):
                self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(1.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _lines(stream: IO[bytes] | None) -> list[str] | map[str]:
    return [] if stream is None else map(_decoded, stream)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip()
