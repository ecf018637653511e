"""What the staging server says of itself: Prometheus text and JSON."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from loadtests.staging.cpu_work import Cores
from loadtests.staging.instance import Instance

WINDOW_S = 60.0
_MOST_RECENT = 20_000
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_FIRST_ERROR_STATUS = 500
_UNAVAILABLE = 503
_TOO_MANY = 429
_NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class _Finished:
    at_s: float
    status: int
    duration_s: float


class _QueryErrors(Collector):
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily("fluxor_db_errors", "Failed queries.", self._instance.database.errors_total)


class Metrics:
    """Counters of one instance. `application` requests are those behind the gate."""

    def __init__(self, instance: Instance, cores: Cores | None = None) -> None:
        self._instance = instance
        self._cores = cores or Cores(os.cpu_count() or 1, None, pinned=False)
        self._begun = time.monotonic()
        self._process = psutil.Process()
        self._recent: deque[_Finished] = deque(maxlen=_MOST_RECENT)
        self._totals = {"total": 0, "served": 0, "shed": 0, "rate_limited": 0, "failed": 0}
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ("method", "path")
        self._requests = Counter("http_requests", "Requests answered.", (*labels, "status"), registry=self._registry)
        self._durations = Histogram(
            "http_request_duration_seconds", "Time in the server.", labels, buckets=_BUCKETS, registry=self._registry
        )
        self._registry.register(_QueryErrors(instance))
        self._register_gauges()

    def _register_gauges(self) -> None:
        instance, limits = self._instance, self._instance.limits
        pool = instance.database.pool
        gauges: tuple[tuple[str, str, Callable[[], int | None]], ...] = (
            ("fluxor_in_flight_requests", "Requests admitted and not yet answered.", lambda: instance.counted),
            ("fluxor_normal_ccu", "Concurrency of normal operation.", lambda: limits.normal_ccu),
            ("fluxor_max_ccu", "Concurrency that the instance is built for.", lambda: limits.max_ccu),
            ("fluxor_gate_limit", "In-flight requests at which the gate answers 503.", lambda: limits.gate),
            ("fluxor_workers_busy", "Requests in service.", lambda: instance.workers.in_use),
            ("fluxor_workers", "Requests that can be in service.", lambda: limits.workers),
            ("fluxor_queue_length", "Requests waiting for a worker.", lambda: instance.workers.waiting),
            ("fluxor_queue_capacity", "Requests that may wait for a worker.", lambda: limits.queue),
            ("fluxor_db_connections_in_use", "Database connections in use.", lambda: pool.in_use),
            ("fluxor_db_connections_max", "Size of the database pool.", lambda: pool.size),
        )
        new_gauge: Any = Gauge
        for name, text, read in gauges:
            if read() is not None:
                new_gauge(name, text, registry=self._registry).set_function(partial(_number, read))

    def finished(self, labels: tuple[str, str], status: int, duration_s: float, *, application: bool) -> None:
        """Count one answered request; `labels` are its method and route."""
        self._requests.labels(*labels, str(status)).inc()
        self._durations.labels(*labels).observe(duration_s)
        if application:
            self._totals["total"] += 1
            self._totals[_kind(status)] += 1
            self._recent.append(_Finished(time.monotonic(), status, duration_s))

    def prometheus_text(self) -> bytes:
        """The text exposition format."""
        return bytes(generate_latest(self._registry))

    def to_dict(self) -> dict[str, Any]:
        """The body of ``/api/metrics``: rates and latencies of the last minute, fractions 0..1."""
        instance, limits = self._instance, self._instance.limits
        pool = instance.database.pool
        with self._process.oneshot():
            cpu, memory = self._process.cpu_times(), self._process.memory_info()
        return {
            **self._last_minute(),
            "uptime_s": round(time.monotonic() - self._begun, 3),
            "requests": dict(self._totals),
            "ccu": {
                "in_flight": instance.in_flight, "peak_in_flight": instance.peak_in_flight, "gate": limits.gate,
                "normal": limits.normal_ccu, "max": limits.max_ccu, "base": "normal",
                "utilization_percent": instance.ccu_utilization_percent,
            },
            "queue": {
                "length": instance.workers.waiting, "capacity": limits.queue,
                "utilization_percent": instance.queue_utilization_percent,
            },
            "workers": {"busy": instance.workers.in_use, "total": limits.workers},
            "database": {
                "connections_in_use": pool.in_use, "connections_max": pool.size, "waiting": pool.waiting,
                "errors_total": instance.database.errors_total,
            },
            "cpu": {"cores": self._cores.count, "cores_stated": self._cores.stated, "pinned": self._cores.pinned},
            "process": {"cpu_seconds": round(cpu.user + cpu.system, 3), "resident_bytes": memory.rss},
        }  # fmt: skip

    def _last_minute(self) -> dict[str, Any]:
        now = time.monotonic()
        recent = [item for item in self._recent if now - item.at_s <= WINDOW_S]
        served = [item.duration_s for item in recent if _kind(item.status) == "served"]
        errors = sum(_is_error(item.status) for item in recent)
        span_s = min(WINDOW_S, now - self._begun)
        if len(self._recent) == _MOST_RECENT and recent:
            span_s = min(span_s, now - recent[0].at_s)
        quantiles = np.quantile(served, [0.5, 0.95, 0.99]).round(6).tolist() if served else [None] * 3
        return {
            "window_s": round(span_s, 3),
            "requests_per_second": round(len(recent) / span_s, 3) if span_s > 0 else 0.0,
            "error_rate": round(errors / len(recent), 6) if recent else 0.0,
            "latency_s": dict(zip(("p50", "p95", "p99"), quantiles, strict=True)),
        }


def _number(read: Callable[[], int | None]) -> float:
    return float(read() or 0)


def _is_error(status: int) -> bool:
    return status >= _FIRST_ERROR_STATUS or status == _NO_ANSWER


def _kind(status: int) -> str:
    if status == _UNAVAILABLE:
        return "shed"
    if status == _TOO_MANY:
        return "rate_limited"
    return "failed" if _is_error(status) else "served"
