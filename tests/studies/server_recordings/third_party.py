"""The third-party servers as data: what is started, what it does, and which loads it gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Times = dict[str, list[float]]
"""What an endpoint does: "sleep", "cpu" or "query" -> [mean in seconds, coefficient of variation], lognormal."""

HAPROXY_QUEUE = """
global
  maxconn 4000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 60s
  timeout queue {queue_timeout_ms}ms
  retries 0
  http-reuse always
frontend entry
  bind 127.0.0.1:{port}
  default_backend work
backend work
  server one 127.0.0.1:{backend_port} maxconn {workers}
"""


@dataclass(frozen=True)
class Level:
    """One run: so many users, and what its measurement is for."""

    users: int
    split: str  # train | interpolation | extrapolation | repeat
    repeat: int = 1

    @property
    def name(self) -> str:
        return f"u{self.users:04d}" + (f"rep{self.repeat}" if self.repeat > 1 else "")


@dataclass(frozen=True)
class ThirdPartyServer:
    """One server nobody here wrote, in front of or around work of known times.

    `command` is formatted with `port`, `backend_port` and `folder`; programs of Python packages come from the
    environment that the recorder is told. `truth` says what is really so, `deployment` what its operator knows.
    """

    name: str
    kind: str
    server: str
    command: tuple[str, ...]
    endpoints: dict[str, Times]
    deployment: dict[str, Any]
    truth: dict[str, Any]
    levels: tuple[Level, ...]
    mix: dict[str, float] = field(default_factory=lambda: {"/work": 1.0})
    think_s: float = 1.0
    seconds: int = 60
    environment: dict[str, str] = field(default_factory=dict)
    haproxy: str | None = None
    backend: tuple[str, ...] | None = None
    is_cpu_bound: bool = False
    packages: tuple[str, ...] = ()


def _levels(train: tuple[int, ...], interpolation: tuple[int, ...], extrapolation: tuple[int, ...],
            repeats: tuple[int, ...] = ()) -> tuple[Level, ...]:  # fmt: skip
    of = dict.fromkeys(train, "train")
    of |= dict.fromkeys(interpolation, "interpolation") | dict.fromkeys(extrapolation, "extrapolation")
    return (
        *(Level(users, of[users]) for users in sorted(of)),
        *(Level(users, "repeat", number) for users in repeats for number in (2, 3)),
    )


_UVICORN = ("python", "-m", "uvicorn", "sleeping_asgi:application", "--host", "127.0.0.1", "--no-access-log",
            "--log-level", "warning", "--timeout-keep-alive", "600", "--backlog", "4096")  # fmt: skip

SERVERS = (
    ThirdPartyServer(
        name="haproxy_queue_timeout",
        kind="c workers + FIFO queue with a longest wait, no gate",
        server="HAProxy (server maxconn 8, timeout queue 250 ms) -> uvicorn, an application that sleeps",
        command=("haproxy", "-db", "-f", "{folder}/haproxy.cfg"),
        haproxy=HAPROXY_QUEUE,
        backend=(*_UVICORN, "--port", "{backend_port}"),
        endpoints={"/work": {"sleep": [0.080, 1.0]}},
        deployment={
            "workers": 8, "queue_timeout_s": 0.25, "gate_limit": "unlimited", "queue_capacity": "unlimited",
        },
        truth={"cap_in_flight": None, "workers": 8, "queue_max": None, "queue_timeout_ms": 250, "order": "FIFO",
               "proxy_keepalive": True, "shed": "503 after waiting 250 ms"},
        levels=_levels((35, 70, 113, 165), (93, 135), (195,), repeats=(113,)),
        packages=("uvicorn",),
    ),
    ThirdPartyServer(
        name="uvicorn_limit",
        kind="loss system: gate without a line",
        server="uvicorn --limit-concurrency 17 around an asynchronous application that sleeps; a connection a request",
        command=(*_UVICORN, "--port", "{port}", "--limit-concurrency", "17"),
        environment={"CLOSE_CONNECTIONS": "1"},
        endpoints={"/work": {"sleep": [0.120, 0.7]}},
        deployment={"gate_limit": 16, "workers": "unlimited"},
        truth={"cap_in_flight": 16, "workers": None, "queue_max": 0, "queue_timeout_ms": None, "order": None,
               "why_cap_in_flight": "uvicorn counts open connections, a new request's own included, and answers 503 "
               "when there are 17: 16 are served at a time",
               "proxy_keepalive": False},
        levels=_levels((45, 90, 155, 190), (130,), (230, 270), repeats=(155,)),
        packages=("uvicorn",),
    ),
    ThirdPartyServer(
        name="waitress_endpoints",
        kind="FIFO queue + c workers, three endpoints of different service times, no gate",
        server="waitress, 8 threads, connection limit 4000",
        command=("waitress-serve", "--listen=127.0.0.1:{port}", "--threads=8", "--connection-limit=4000",
                 "--backlog=4096", "--channel-timeout=600", "--no-expose-tracebacks", "working_wsgi:application"),
        endpoints={
            "/fast": {"sleep": [0.020, 0.5]}, "/medium": {"sleep": [0.080, 0.6]}, "/slow": {"sleep": [0.250, 0.5]},
        },
        mix={"/fast": 5, "/medium": 3, "/slow": 2},
        deployment={"workers": 8, "gate_limit": "unlimited", "queue_capacity": "unlimited"},
        truth={"cap_in_flight": None, "workers": 8, "queue_max": None, "queue_timeout_ms": None, "order": "FIFO"},
        levels=_levels((32, 64, 108, 130), (90,), (158, 185), repeats=(108,)),
        packages=("waitress",),
    ),
    ThirdPartyServer(
        name="gunicorn_pool",
        kind="c workers, most of whose requests then need one of few database connections",
        server="gunicorn, 1 gthread worker with 24 threads, SQLAlchemy QueuePool of 6 connections (SQLite)",
        command=("gunicorn", "working_wsgi:application", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread",
                 "--workers", "1", "--threads", "24", "--worker-connections", "4000", "--backlog", "4096",
                 "--keep-alive", "600", "--graceful-timeout", "5", "--log-level", "warning"),
        environment={"POOL_SIZE": "6"},
        endpoints={"/orders": {"sleep": [0.020, 0.5], "query": [0.060, 0.8]}, "/static": {"sleep": [0.030, 0.5]}},
        mix={"/orders": 3, "/static": 1},
        deployment={"workers": 24, "db_pool": 6, "gate_limit": "unlimited", "queue_capacity": "unlimited"},
        truth={"cap_in_flight": None, "workers": 24, "queue_max": None, "queue_timeout_ms": None, "db_pool": 6,
               "order": "FIFO for threads; SQLAlchemy's pool wakes the longest waiter, but a thread that comes just "
               "then may be quicker",
               "database_free_endpoints": ["/static"]},
        levels=_levels((43, 85, 150, 180), (123,), (215, 255), repeats=(150,)),
        packages=("gunicorn", "sqlalchemy"),
    ),
    ThirdPartyServer(
        name="gunicorn_cpu",
        kind="processor sharing on one core, at most c at a time, FIFO queue before them, no gate",
        server="gunicorn, 1 gthread worker with 8 threads that hash (no global lock), pinned to one core",
        command=("gunicorn", "working_wsgi:application", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread",
                 "--workers", "1", "--threads", "8", "--worker-connections", "4000", "--backlog", "4096",
                 "--keep-alive", "600", "--graceful-timeout", "5", "--log-level", "warning"),
        endpoints={"/work": {"cpu": [0.020, 0.6]}},
        deployment={"workers": 8, "cpu_cores": 1, "gate_limit": "unlimited", "queue_capacity": "unlimited"},
        truth={"cap_in_flight": None, "workers": 8, "queue_max": None, "queue_timeout_ms": None, "cpu_cores": 1,
               "order": "FIFO for threads, then the system's scheduler"},
        levels=_levels((15, 30, 52, 65), (43,), (78, 92), repeats=(52,)),
        is_cpu_bound=True,
        seconds=50,
        packages=("gunicorn",),
    ),
)  # fmt: skip
