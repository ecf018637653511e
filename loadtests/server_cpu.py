"""Processor time and memory of a server on this machine, seen from outside."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import cached_property
from urllib.parse import urlsplit

import psutil


class ServerCpu:
    """Finds the processes that listen on a loopback port and adds up what they use.

    Processes of other users are not visible without their rights; then nothing is known.

    Parameters
    ----------
    host : str
        Base address of the server.
    """

    def __init__(self, host: str) -> None:
        self._host = host

    @property
    def is_known(self) -> bool:
        """Whether a process was found at the first look."""
        return bool(self._processes)

    def seconds(self) -> float:
        """Processor seconds since their start, their children included; NaN where not known."""
        return self._sum(lambda process: sum(process.cpu_times()[:2]))

    def resident_bytes(self) -> float:
        """Resident memory, their children included; pages that they share count once each. NaN where not known."""
        return self._sum(lambda process: process.memory_info().rss)

    def _sum(self, of_process: Callable[[psutil.Process], float]) -> float:
        if not self._processes:
            return float("nan")
        try:
            family = {process for parent in self._processes for process in (parent, *parent.children(recursive=True))}
            return float(sum(of_process(process) for process in family))
        except psutil.Error:
            return float("nan")

    @cached_property
    def _processes(self) -> list[psutil.Process]:
        port = _loopback_port(self._host)
        if port is None:
            return []
        try:
            found = psutil.net_connections(kind="tcp")
            listening = {item.pid for item in found if item.status == psutil.CONN_LISTEN and item.laddr.port == port}
            return [psutil.Process(pid) for pid in listening if pid is not None]
        except (psutil.Error, OSError):
            return []


def _loopback_port(host: str) -> int | None:
    parts = urlsplit(host)
    name = parts.hostname or ""
    try:
        is_loopback = name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return None
    return (parts.port or (443 if parts.scheme == "https" else 80)) if is_loopback else None
