"""Runs the staging application on granian, in this process, on a socket that we bind ourselves."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from loadtests.foundation.errors import CapacityError, RunError
from loadtests.foundation.limits import raise_file_limit
from loadtests.staging.app import build_app
from loadtests.staging.cpu_work import limit_cores
from loadtests.staging.instance import Instance
from loadtests.staging.options import StagingOptions, bound

HOST = "127.0.0.1"
READY_PREFIX = "staging server ready on "
_CONNECTIONS = 65_535
_IDLE_CONNECTION_MS = 600_000
_STOP_TIMEOUT_S = 5.0
_STDIN = 0


class _BoundServer(Server):  # type: ignore[misc, unused-ignore]
    """granian serving a socket that is already bound.

    Its own binding sets SO_REUSEPORT, under which two servers would silently
    share one port, and cannot report which free port it took.
    """

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self._listener = listener
        super().__init__(
            app,
            address=HOST,
            port=listener.getsockname()[1],
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_CONNECTIONS,
            backpressure=_CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=_IDLE_CONNECTION_MS),
            log_level=LogLevels.error,
        )

    def _init_shared_socket(self) -> None:
        holder: Any = SocketHolder
        shared = holder(self._listener.detach(), False, self.backlog)  # granian closes it
        self._shd, self._sfd = shared, shared.get_fd()
        self._ssp = None


def bind(port: int) -> socket.socket:
    """A listening socket on the loopback interface.

    Raises
    ------
    RunError
        When the port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise RunError(_why_not(port, error)) from None
    listener.setblocking(False)
    return listener


def _why_not(port: int, error: OSError) -> str:
    remedy = "choose another port, or 0 for a free one"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {HOST} is in use by another process; stop that process, {remedy}."
    return f"Port {port} on {HOST} cannot be used ({error.strerror}); {remedy}."


def run_staging(options: StagingOptions, *, end_with_stdin: bool = False) -> None:
    """Serve in the foreground until SIGINT or SIGTERM.

    Prints one line with the address to stdout once it listens.

    Parameters
    ----------
    options : StagingOptions
    end_with_stdin : bool, default False
        Also stop when standard input closes, so the server never outlives its parent.

    Raises
    ------
    RunError
        When the port or the service log cannot be used.
    """
    raise_file_limit()
    listener = bind(options.port)
    try:
        cores = limit_cores(bound(options.deployment.cpu_cores))
        if cores.message is not None:
            print(cores.message, file=sys.stderr, flush=True)  # noqa: T201
        instance = Instance(options)
        try:
            asyncio.run(_serve(build_app(instance, cores), listener, end_with_stdin=end_with_stdin))
        finally:
            instance.close()
    finally:
        listener.close()


async def _serve(app: Any, listener: socket.socket, *, end_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    server = _BoundServer(app, listener)
    stop = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)
    if end_with_stdin:
        loop.add_reader(_STDIN, _stop_at_end, loop, stop)
    serving = asyncio.create_task(server.serve())
    print(f"{READY_PREFIX}http://{HOST}:{server.bind_port} (pid {os.getpid()})", flush=True)  # noqa: T201
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        stopping.cancel()
        raise RunError("The HTTP server ended by itself; its messages are above.")
    server.stop()  # type: ignore[no-untyped-call]
    with suppress(TimeoutError):
        await asyncio.wait_for(serving, _STOP_TIMEOUT_S)


def _stop_at_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(_STDIN, 4096):
        loop.remove_reader(_STDIN)
        stop.set()


def main(arguments: list[str]) -> int:
    """Serve with the options given as one JSON argument; return the exit code."""
    try:
        run_staging(StagingOptions.from_dict(json.loads(arguments[0])), end_with_stdin=True)
    except CapacityError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0
