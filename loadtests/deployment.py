"""What is configured on one instance of a gated server: limits that are known, not estimated."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from loadtests.foundation.checks import finite, positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json

Unlimited = Literal["unlimited"]
Limit = int | Unlimited | None
UNLIMITED: Unlimited = "unlimited"

_SERVER_DEFAULT_PERCENT = 67
_MIN_WORKERS, _MAX_WORKERS = 50, 500
_MIN_QUEUE = 100


@dataclass(frozen=True)
class Deployment:
    """The limits of one instance. ``None`` means *not stated*; ``"unlimited"`` a known absence.

    Parameters
    ----------
    max_ccu : int, optional
        The concurrency that the instance is built for (5,000 in the guide).
    utilization_percent : float, optional
        Share of `max_ccu` meant for normal operation, 1 to 100 (67 in the guide).
    gate_limit : int or "unlimited", optional
        In-flight requests at which the gate answers 503. Absent: `workers` plus
        `queue_capacity` when both are stated.
    workers : int or "unlimited", optional
        Requests served at a time.
    queue_capacity : int or "unlimited", optional
        Requests that may wait for a worker.
    queue_timeout_s : float or "unlimited", optional
        Longest wait for a worker before the server gives up.
    db_pool : int or "unlimited", optional
        Database connections.
    cpu_cores : float, optional
    request_timeout_s : float or "unlimited", optional

    Raises
    ------
    InputError
        For a negative, zero or non-finite limit, with its name.
    """

    max_ccu: int | None = None
    utilization_percent: float | None = None
    gate_limit: Limit = None
    workers: Limit = None
    queue_capacity: Limit = None
    queue_timeout_s: float | Unlimited | None = None
    db_pool: Limit = None
    cpu_cores: float | None = None
    request_timeout_s: float | Unlimited | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_ccu", 1), ("gate_limit", 1), ("workers", 1), ("queue_capacity", 0), ("db_pool", 1)):
            value = getattr(self, name)
            if value is not None and not (value == UNLIMITED and name != "max_ccu"):
                object.__setattr__(self, name, whole(name, value, least=least))
        for name in ("queue_timeout_s", "cpu_cores", "request_timeout_s"):
            value = getattr(self, name)
            if value is not None and not (value == UNLIMITED and name != "cpu_cores"):
                positive(name, value)
        if (
            self.utilization_percent is not None
            and not 1 <= finite("utilization_percent", self.utilization_percent) <= 100
        ):
            raise InputError(f"utilization_percent is {self.utilization_percent!r}; it must lie between 1 and 100.")

    @classmethod
    def from_utilization(cls, max_ccu: int, utilization_percent: float = _SERVER_DEFAULT_PERCENT) -> Deployment:
        """Limits by the server's own rule.

        normal = int(max x percent / 100); workers = normal // 10 within 50..500;
        queue = max(normal - workers, 100); the gate is workers + queue. A
        percentage outside 1..100 becomes 67, as the server does.
        """
        max_ccu = whole("max_ccu", max_ccu, least=1)
        percent = finite("utilization_percent", utilization_percent)
        if not 1 <= percent <= 100:
            percent = _SERVER_DEFAULT_PERCENT
        normal = int(max_ccu * percent / 100)
        workers = min(max(normal // 10, _MIN_WORKERS), _MAX_WORKERS)
        return cls(max_ccu, percent, workers=workers, queue_capacity=max(normal - workers, _MIN_QUEUE))

    @classmethod
    def from_overflow(cls, max_ccu: int) -> Deployment:
        """The server's rule with the whole of `max_ccu` as the normal capacity."""
        return cls.from_utilization(max_ccu, 100)

    @classmethod
    def guide(cls) -> Deployment:
        """The guide's instance: 5,000 at 67 % (normal 3,350, 335 workers, queue 3,015), 100 DB connections, 4 cores."""
        return replace(cls.from_utilization(5_000, 67), db_pool=100, cpu_cores=4.0)

    @property
    def normal_ccu(self) -> int | None:
        """int(max_ccu x utilization_percent / 100), None when either is not stated."""
        if self.max_ccu is None or self.utilization_percent is None:
            return None
        return int(self.max_ccu * self.utilization_percent / 100)

    @property
    def gate(self) -> Limit:
        """The gate's limit: as given, or workers + queue; None when not stated."""
        if self.gate_limit is not None:
            return self.gate_limit
        if UNLIMITED in (self.workers, self.queue_capacity):
            return UNLIMITED
        if self.workers is None or self.queue_capacity is None:
            return None
        return int(self.workers) + int(self.queue_capacity)

    def with_limits(self, **limits: Any) -> Deployment:
        """A copy with some limits replaced."""
        return replace(self, **limits)

    def to_dict(self) -> dict[str, Any]:
        """Only what is stated; JSON-ready."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Deployment:
        """Read `to_dict`'s form; an unknown key is an error that lists the known ones."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise InputError(f"A deployment has no {', '.join(unknown)}; allowed are {', '.join(sorted(known))}.")
        return cls(**data)


def read_deployment(path: str | Path) -> Deployment:
    """Read a deployment from JSON or TOML (by the file's ending)."""
    path = Path(path)
    if path.suffix.lower() != ".toml":
        return Deployment.from_dict(read_json(path, "deployment file"))
    if not path.is_file():
        raise InputError(f"The deployment file {path} does not exist; give the path of a JSON or TOML file.")
    try:
        return Deployment.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"The deployment file {path} is not valid TOML ({error}).") from None
