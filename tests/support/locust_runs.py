"""Stock Locust as people start it at a shell, for tests of what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import loadtests
from loadtests.journals.journal import count_rows
from loadtests.store import JOURNAL

T = TypeVar("T")

FLOWS = """
import gevent
from locust import FastHttpUser, HttpUser, SequentialTaskSet, between, constant, task

class Steps(SequentialTaskSet):
    @task
    def first(self):
        self.client.get("/api/users", name="users")
    @task
    def second(self):
        self.client.get("/api/echo")
        self.client.get("/nothing")

class Slow(HttpUser):
    wait_time = between(0.02, 0.1)
    tasks = [Steps]
    def on_start(self):
        self.client.get("/health", name="login")

class Quick(FastHttpUser):
    wait_time = constant(0.05)
    @task
    def both(self):
        gevent.joinall([gevent.spawn(self.client.get, path) for path in ("/api/echo", "/ready")])
"""
"""A user's own locustfile: a sequence, several requests a wait, one at the start, parallel ones."""


def our(name: str) -> str:
    """Path of a file of ours that Locust loads."""
    return str(Path(loadtests.__path__[0]) / name)


def locust_total(report: Path) -> int:
    """Locust's own count of requests."""
    return sum(entry["num_requests"] for entry in json.loads(report.read_text()))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def two_processes() -> tuple[str, ...]:
    """Locust's options for two processes here, at a port that no other run uses."""
    port = str(free_port())
    here = ("--master-bind-host", "127.0.0.1", "--master-host", "127.0.0.1")
    return ("--processes", "2", *here, "--master-bind-port", port, "--master-port", port)


def start_locust(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start stock Locust in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "--headless", "--only-summary", *words], cwd=folder, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout_s: float = 60.0) -> tuple[int, str]:
    """Wait for its end; return exit code and what it said."""
    try:
        said, _ = process.communicate(timeout=timeout_s)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode, said


def wait_for_rows(folder: Path, rows: int, timeout_s: float = 40.0) -> None:
    """Wait until the journal of a recording to be has so many rows."""
    deadline = time.monotonic() + timeout_s
    while count_rows(folder / JOURNAL) < rows:
        assert time.monotonic() < deadline, f"{count_rows(folder / JOURNAL)} of {rows} rows"
        time.sleep(0.05)


def at_once(acts: Mapping[str, Callable[[Path], T]], folder: Path) -> dict[str, Future[T]]:
    """Let independent runs share their waiting time, each in a folder of its own.

    Two at once: more starve each other of processor time, and Locust takes a starved worker for lost.

    Parameters
    ----------
    acts : mapping of str to callable
        Each takes its folder.
    folder : Path

    Returns
    -------
    dict of str to Future
        All done; `result()` returns what an act has returned, or raises what it has raised.
    """
    folders = {name: folder / name for name in acts}
    for path in folders.values():
        path.mkdir()
    with ThreadPoolExecutor(2) as pool:
        return {name: pool.submit(act, folders[name]) for name, act in acts.items()}
