"""Reset the TCP connection of a client, although the HTTP server owns its socket."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
from contextlib import suppress

_OPEN_FILES = "/dev/fd"
_ANY_ADDRESS = struct.pack("H14x", socket.AF_UNSPEC)
_CLOSE_AT_ONCE = struct.pack("ii", 1, 0)

Peer = tuple[str, int]


class ConnectionResetter:
    """Finds sockets of this process by the address of their peer."""

    def __init__(self) -> None:
        self._files: dict[Peer, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)

    def reset(self, peer: Peer) -> bool:
        """Send a reset to `peer`; False when no such connection is open or the system cannot.

        Connecting a TCP socket to "no address" aborts its connection at once on Linux. Elsewhere the reset goes
        out when the HTTP server closes the socket, which it does as soon as it reads the end of the stream.
        """
        duplicate = self._duplicate(peer)
        if duplicate is None:
            return False
        with duplicate, suppress(OSError):
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_AT_ONCE)
            if self._libc.connect(duplicate.fileno(), _ANY_ADDRESS, len(_ANY_ADDRESS)) != 0:
                duplicate.shutdown(socket.SHUT_RD)
            return True
        return False

    def _duplicate(self, peer: Peer) -> socket.socket | None:
        for attempt in range(2):
            if attempt:
                self._files = dict(_connections())
            number = self._files.get(peer)
            if number is not None and _peer_of(number) == peer:
                with suppress(OSError):
                    return _opened(number)
        return None


def _connections() -> list[tuple[Peer, int]]:
    numbers = [int(name) for name in os.listdir(_OPEN_FILES)]
    return [(peer, number) for number in numbers if (peer := _peer_of(number)) is not None]


def _opened(number: int) -> socket.socket:
    """A second file of the same socket (`socket.fromfd` would leak one for each file that is no socket)."""
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        raise OSError("no socket")
    copy = os.dup(number)
    try:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _peer_of(number: int) -> Peer | None:
    try:
        with _opened(number) as duplicate:
            host, port = duplicate.getpeername()[:2]
            return str(host), int(port)
    except (OSError, ValueError, TypeError):
        return None
