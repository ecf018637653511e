"""The staging server's routes: application work behind the gate, health beside it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loadtests.staging.connection_reset import ConnectionResetter
from loadtests.staging.cpu_work import Cores
from loadtests.staging.database import MAX_LIMIT
from loadtests.staging.fault_injection import FaultInjector, Instead
from loadtests.staging.instance import Call, Instance, ShedError
from loadtests.staging.metrics import Metrics

_RETRY_AFTER_S = 1
_UNAVAILABLE = 503
_DEFAULT_LIMIT = 20
_LONGEST_LIMIT = 10  # characters; Python refuses to read numbers of thousands of digits
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{0,64}")
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
        users = await self.instance.admit(_call(request), partial(self.instance.database.users, limit))
        return JSONResponse({"users": users})

    async def echo(self, request: Request) -> Response:
        """Application work without a query: the body of a POST, the parameters of a GET."""
        body = await request.body()

        async def work() -> tuple[Any, float]:
            return (body.decode("utf-8", "replace") if body else dict(request.query_params)), 0.0

        return JSONResponse({"echo": await self.instance.admit(_call(request), work)})

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
            "active_connections": self.instance.counted,
        }
        return {"ready": self.instance.is_ready, "metrics": gauges}


def _limit(text: str | None) -> int | None:
    if text is None:
        return _DEFAULT_LIMIT
    is_number = len(text) <= _LONGEST_LIMIT and text.isascii() and text.isdigit()
    return int(text) if is_number and 1 <= int(text) <= MAX_LIMIT else None


def _call(request: Request) -> Call:
    given = request.headers.get("x-request-id", "")
    return Call(request.url.path, given if _REQUEST_ID.fullmatch(given) else "")


def _shed(error: ShedError) -> Response:
    reason = str(error)
    body = {"error": "service unavailable", "reason": reason, "message": _SHED_REASONS[reason]}
    return JSONResponse(body, status_code=_UNAVAILABLE, headers={"Retry-After": str(_RETRY_AFTER_S)})


class _Turnstile:
    """Lets scripted faults answer instead of the application."""

    def __init__(self, faults: FaultInjector) -> None:
        self._faults = faults
        self._resetter = ConnectionResetter()

    def instead(self, request: Request) -> tuple[Response, int] | None:
        """A response and the status to count it under (0: the connection is reset); None: go on."""
        host, port = (request.client.host, int(request.client.port)) if request.client else ("", 0)  # granian: a text
        client = f"{host}:{port}"
        found = self._faults.instead(request.url.path, host, client)
        if found is None:
            return None
        what, fault = found
        if what is Instead.RESET:
            done = self._resetter.reset((host, port))
            self._faults.log.add("hit" if done else "missed", fault, request.url.path, client)
            return (Response(), 0) if done else None
        headers = {"Retry-After": str(_RETRY_AFTER_S)} if what is Instead.RATE_LIMITED else {}
        body = {"error": "rate limited" if headers else "internal server error"}
        return JSONResponse(body, status_code=what, headers=headers), int(what)


def _measured(endpoint: Endpoint, path: str, metrics: Metrics, turnstile: _Turnstile | None) -> Endpoint:
    async def answer(request: Request) -> Response:
        started = time.monotonic()
        status = 500
        try:
            if turnstile is not None and (met := turnstile.instead(request)) is not None:
                response, status = met
                return response
            response = await endpoint(request)
            status = response.status_code
            return response
        except ShedError as error:
            status = _UNAVAILABLE
            return _shed(error)
        finally:
            duration_s = time.monotonic() - started
            metrics.finished((request.method, path), status, duration_s, application=turnstile is not None)

    return answer


def build_app(instance: Instance, cores: Cores | None = None) -> Starlette:
    """The ASGI application over `instance`; flushes its log and follows its faults while it runs."""
    metrics = Metrics(instance, cores)
    handlers = Handlers(instance, metrics)
    turnstile = _Turnstile(instance.faults)

    def route(path: str, endpoint: Endpoint, methods: list[str], *, application: bool = False) -> Route:
        guarded = turnstile if application else None
        return Route(path, _measured(endpoint, path, metrics, guarded), methods=methods)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        instance.faults.begin()
        tasks = [asyncio.create_task(work) for work in (instance.log.keep_flushing(), instance.faults.follow_script())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
