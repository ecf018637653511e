"""A threaded application that sleeps, hashes or queries a pooled database: for gunicorn and waitress."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from work import ENDPOINTS, burn, draw_s, note

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def _engine() -> Any:
    """SQLAlchemy's own pool of connections to an SQLite file, as many as `POOL_SIZE` says; None without it."""
    if "POOL_SIZE" not in os.environ:
        return None
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import QueuePool

    path = Path(tempfile.mkdtemp(prefix="recorded-")) / "orders.sqlite"
    engine = create_engine(
        f"sqlite:///{path}", poolclass=QueuePool, pool_size=int(os.environ["POOL_SIZE"]), max_overflow=0,
        pool_timeout=60, connect_args={"check_same_thread": False},
    )  # fmt: skip
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    return engine


_ENGINE = _engine()


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    """Do what the endpoint's settings say: hash, sleep, hold a connection."""
    path = environ["PATH_INFO"]
    if path == "/health":
        return _answer(start_response, "200 OK", b"up\n")
    if path not in ENDPOINTS:
        return _answer(start_response, "404 Not Found", b"no such endpoint\n")
    begun = time.monotonic()
    times_s = _work(ENDPOINTS[path])
    note(path, service=time.monotonic() - begun, **times_s)
    return _answer(start_response, "200 OK", b"done\n")


def _work(spec: dict[str, list[float]]) -> dict[str, float]:
    times_s: dict[str, float] = {}
    if "cpu" in spec:
        begun = time.thread_time()
        burn(draw_s(spec["cpu"]))
        times_s["cpu"] = time.thread_time() - begun
    if "sleep" in spec:
        begun = time.monotonic()
        time.sleep(draw_s(spec["sleep"]))
        times_s["sleep"] = time.monotonic() - begun
    return times_s | (_query(draw_s(spec["query"])) if "query" in spec else {})


def _query(held_s: float) -> dict[str, float]:
    from sqlalchemy import text

    asked = time.monotonic()
    with _ENGINE.connect() as connection:
        granted = time.monotonic()
        connection.execute(text("SELECT count(*) FROM orders")).scalar()
        time.sleep(max(held_s - (time.monotonic() - granted), 0.0))
    return {"pool_wait": granted - asked, "query": time.monotonic() - granted}


def _answer(start_response: StartResponse, status: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
