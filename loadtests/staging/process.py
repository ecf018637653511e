"""The staging server as a child process of whoever tests it."""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.foundation.children import Child
from loadtests.foundation.errors import InputError, RunError
from loadtests.foundation.http_client import fetch
from loadtests.staging.options import StagingOptions

_READY_LINE = re.compile(r"ready on (?P<host>http://[\d.]+:(?P<port>\d+))")
_POLL_S = 0.02


@dataclass(frozen=True)
class StagingServer:
    """A running staging server.

    Parameters
    ----------
    host : str
        Base address, ``http://127.0.0.1:PORT``.
    port : int
    pid : int
    service_log : Path or None
        Where it logs the realised service times; complete once the server has ended.
    """

    host: str
    port: int
    pid: int
    service_log: Path | None


@contextmanager
def start_staging(options: StagingOptions | None = None, *, timeout_s: float = 20.0) -> Iterator[StagingServer]:
    """Run the staging server in a child process for the length of a ``with`` block.

    The server is ended with the block, also after an exception or Ctrl-C, and
    by itself should this process be killed.

    Parameters
    ----------
    options : StagingOptions, optional
    timeout_s : float, default 20
        Longest wait for it to answer, seconds.

    Yields
    ------
    StagingServer

    Raises
    ------
    RunError
        When it does not start; with the last lines of its messages.
    """
    options = options or StagingOptions()
    child = Child([sys.executable, "-m", "loadtests.staging", json.dumps(options.to_dict())])
    try:
        yield _wait_until_ready(child, options, time.monotonic() + timeout_s)
    finally:
        child.end()


def _wait_until_ready(child: Child, options: StagingOptions, deadline: float) -> StagingServer:
    child.has_first_line.wait(deadline - time.monotonic())
    match = _READY_LINE.search(child.first_line or "")
    if match is None:
        child.wait(1.0)
        raise _failure(child)
    host = match["host"]
    while not _answers(host):
        if child.exit_code is not None or time.monotonic() > deadline:
            raise _failure(child)
        time.sleep(_POLL_S)
    return StagingServer(host, int(match["port"]), child.pid, options.service_log)


def _answers(host: str) -> bool:
    try:
        return fetch(f"{host}/health", timeout_s=1.0).status == 200
    except (OSError, http.client.HTTPException):
        return False


def _failure(child: Child) -> RunError | InputError:
    said = child.last_errors() or "it said nothing"
    if child.exit_code is None:
        return RunError(f"The staging server did not answer in time; its last messages:\n{said}")
    kind = InputError if child.exit_code == InputError.exit_code else RunError
    return kind(f"The staging server did not start (exit code {child.exit_code}):\n{said}")
