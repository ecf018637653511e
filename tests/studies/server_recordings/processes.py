"""Starts servers and ends them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

_READY_WITHIN_S = 20.0


def free_ports(count: int) -> list[int]:
    """So many different ports; all are held until each is known."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def running(command: Sequence[str], log: Path, *, environment: dict[str, str] | None = None,
            cwd: Path | None = None, core: int | None = None) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """A process that is ended at exit; `core` pins it and all that it starts."""
    pinned = ["taskset", "-c", str(core), *command] if core is not None else list(command)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            pinned, env={**os.environ, **(environment or {})}, cwd=cwd, stdout=stream, stderr=stream
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_up(process: subprocess.Popen[bytes], port: int, path: str = "/health") -> None:
    """Ask until the server answers 200."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200 and process.poll() is None:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise SystemExit(f"No server answered on port {port} within {_READY_WITHIN_S:g} s; its log says why.")
