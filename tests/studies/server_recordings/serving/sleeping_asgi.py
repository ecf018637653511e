"""An asynchronous application that sleeps: for uvicorn, alone or behind HAProxy."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from work import ENDPOINTS, draw_s, note

_CLOSING = [(b"connection", b"close")] if os.environ.get("CLOSE_CONNECTIONS") else []

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Sleep as long as the endpoint's distribution says, then answer with a few bytes."""
    if scope["type"] == "lifespan":
        return await _live(receive, send)
    path = scope["path"]
    if path == "/health":
        return await _answer(send, 200, b"up\n")
    if path not in ENDPOINTS:
        return await _answer(send, 404, b"no such endpoint\n")
    begun = time.monotonic()
    await asyncio.sleep(draw_s(ENDPOINTS[path]["sleep"]))
    note(path, service=time.monotonic() - begun)
    return await _answer(send, 200, b"done\n")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode()), *_CLOSING]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
