"""A real SQLite file behind a pool of real connections, one thread each."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loadtests.staging.fifo_pool import FifoPool

MAX_LIMIT = 200
_ROWS = 500
_THREADS_WITHOUT_LIMIT = 64
_QUERY = "SELECT id, name, email FROM users ORDER BY id LIMIT ?"


class Database:
    """Users in a temporary SQLite file.

    Parameters
    ----------
    connections : int or None
        Size of the pool; None for no limit. A connection opens when its thread first has
        work. Without a limit every query is granted a connection at once; queries whose SQL
        runs at the same moment (some 0.1 ms each) share 64 threads at most.
    times_s : iterator of float
        How long each query holds its connection at least, seconds.
    factor : callable
        What the times, the real query's included, are multiplied by at the moment.
    """

    def __init__(
        self, connections: int | None, times_s: Iterator[float], factor: Callable[[], float] = lambda: 1.0
    ) -> None:
        self.pool = FifoPool(connections)
        self.errors_total = 0
        self._times_s = times_s
        self._factor = factor
        self._folder = Path(tempfile.mkdtemp(prefix="fluxor-staging-"))
        self._file = self._folder / "users.sqlite"
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        threads = _THREADS_WITHOUT_LIMIT if connections is None else connections
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="db", initializer=self._connect)
        self._seed()

    def _seed(self) -> None:
        rows = [(number, f"user{number}", f"user{number}@example.com") for number in range(1, _ROWS + 1)]
        connection = sqlite3.connect(self._file)
        with connection:
            connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
            connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
        connection.close()

    def _connect(self) -> None:
        self._local.connection = sqlite3.connect(self._file, check_same_thread=False)
        self._opened.append(self._local.connection)

    def _select(self, limit: int) -> list[tuple[int, str, str]]:
        return list(self._local.connection.execute(_QUERY, (limit,)))

    async def users(self, limit: int) -> tuple[list[dict[str, int | str]], float]:
        """The first `limit` users, and how many seconds the query waited for a connection."""
        asked = time.monotonic()
        await self.pool.acquire()
        granted = time.monotonic()
        try:
            rows = await asyncio.get_running_loop().run_in_executor(self._threads, self._select, limit)
            held_s = max(next(self._times_s), time.monotonic() - granted) * self._factor()
            rest_s = granted + held_s - time.monotonic()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
        except sqlite3.Error:
            self.errors_total += 1
            raise
        finally:
            self.pool.release()
        return [{"id": number, "name": name, "email": email} for number, name, email in rows], granted - asked

    def close(self) -> None:
        """Close every connection and remove the file."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)
