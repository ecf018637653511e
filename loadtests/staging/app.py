"""The staging server's routes: application work behind the gate, health beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loadtests.staging.database import MAX_LIMIT
from loadtests.staging.instance import Instance, ShedError
from loadtests.staging.metrics import Metrics

_RETRY_AFTER_S = 1
_UNAVAILABLE = 503
_DEFAULT_LIMIT = 20
_LONGEST_LIMIT = 10  # characters; Python refuses to read numbers of thousands of digits
_PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_SHED_REASONS = {
    "gate": "the in-flight limit is reached",
    "queue": "the queue is full",
    "queue-timeout": "the wait for a worker took too long",
}

Endpoint = Callable[[Request], Awaitable[Response]]


class Handlers:
    """One method a route, over one instance and its metrics."""

    def __init__(self, instance: Instance, metrics: Metrics) -> None:
        self.instance = instance
        self.metrics = metrics

    async def users(self, request: Request) -> Response:
        """Application work with a query: the first ``?limit=`` users."""
        limit = _limit(request.query_params.get("limit"))
        if limit is None:
            return JSONResponse({"error": f"limit must be a whole number between 1 and {MAX_LIMIT}"}, status_code=400)
        users = await self.instance.admit("/api/users", partial(self.instance.database.users, limit))
        return JSONResponse({"users": users})

    async def echo(self, request: Request) -> Response:
        """Application work without a query: the body of a POST, the parameters of a GET."""
        body = await request.body()

        async def work() -> tuple[Any, float]:
            return (body.decode("utf-8", "replace") if body else dict(request.query_params)), 0.0

        return JSONResponse({"echo": await self.instance.admit("/api/echo", work)})

    async def health(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "UP"})

    async def ready(self, _request: Request) -> Response:
        """Whether the instance should get traffic; utilizations are percents of normal capacity and of the queue."""
        return JSONResponse(self._readiness(), status_code=200 if self.instance.is_ready else _UNAVAILABLE)

    async def detailed(self, _request: Request) -> Response:
        """Health with everything known."""
        return JSONResponse({"status": "UP", **self._readiness(), "details": self.metrics.to_dict()})

    async def api_metrics(self, _request: Request) -> Response:
        """Rates, latencies and utilizations as JSON."""
        return JSONResponse(self.metrics.to_dict())

    async def prometheus(self, _request: Request) -> Response:
        """The Prometheus text format."""
        return Response(self.metrics.prometheus_text(), media_type=_PROMETHEUS_TEXT)

    def _readiness(self) -> dict[str, Any]:
        gauges = {
            "queue_utilization": self.instance.queue_utilization_percent,
            "ccu_utilization": self.instance.ccu_utilization_percent,
            "active_connections": self.instance.in_flight,
        }
        return {"ready": self.instance.is_ready, "metrics": gauges}


def _limit(text: str | None) -> int | None:
    if text is None:
        return _DEFAULT_LIMIT
    is_number = len(text) <= _LONGEST_LIMIT and text.isascii() and text.isdigit()
    return int(text) if is_number and 1 <= int(text) <= MAX_LIMIT else None


def _shed(error: ShedError) -> Response:
    reason = str(error)
    body = {"error": "service unavailable", "reason": reason, "message": _SHED_REASONS[reason]}
    return JSONResponse(body, status_code=_UNAVAILABLE, headers={"Retry-After": str(_RETRY_AFTER_S)})


def _measured(endpoint: Endpoint, path: str, metrics: Metrics, *, application: bool) -> Endpoint:
    async def answer(request: Request) -> Response:
        started = time.monotonic()
        status = 500
        try:
            response = await endpoint(request)
            status = response.status_code
            return response
        except ShedError as error:
            status = _UNAVAILABLE
            return _shed(error)
        finally:
            metrics.finished((request.method, path), status, time.monotonic() - started, application=application)

    return answer


def build_app(instance: Instance) -> Starlette:
    """The ASGI application over `instance`; flushes its log while it runs and closes it at the end."""
    metrics = Metrics(instance)
    handlers = Handlers(instance, metrics)

    def route(path: str, endpoint: Endpoint, methods: list[str], *, application: bool = False) -> Route:
        return Route(path, _measured(endpoint, path, metrics, application=application), methods=methods)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        flushing = asyncio.create_task(instance.log.keep_flushing())
        try:
            yield
        finally:
            flushing.cancel()
            with suppress(asyncio.CancelledError):
                await flushing

    return Starlette(
        routes=[
            route("/api/users", handlers.users, ["GET"], application=True),
            route("/api/echo", handlers.echo, ["GET", "POST"], application=True),
            route("/health", handlers.health, ["GET"]),
            route("/ready", handlers.ready, ["GET"]),
            route("/health/detailed", handlers.detailed, ["GET"]),
            route("/api/metrics", handlers.api_metrics, ["GET"]),
            route("/metrics", handlers.prometheus, ["GET"]),
        ],
        lifespan=lifespan,
    )
