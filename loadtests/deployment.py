"""What is configured on one instance of a gated server: limits that are known, not estimated."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from loadtests.foundation.checks import finite, positive, stated_number, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json_or_toml

Unlimited = Literal["unlimited"]
Limit = int | Unlimited | None
UNLIMITED: Unlimited = "unlimited"

_SERVER_DEFAULT_PERCENT = 67
_MIN_WORKERS, _MAX_WORKERS = 50, 500
_MIN_QUEUE = 100

_LEAST = {"max_ccu": 1, "gate_limit": 1, "workers": 1, "queue_capacity": 0, "db_pool": 1}
_NUMBERS = (*_LEAST, "utilization_percent", "queue_timeout_s", "cpu_cores", "request_timeout_s", "gate_reset_s")
_MAY_BE_UNLIMITED = ("gate_limit", "workers", "queue_capacity", "db_pool", "queue_timeout_s", "request_timeout_s")


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
        Time from arrival after which the server answers that it took too long.
    gate_reset_s : float, optional
        As the public server is built: the gate's counter is set to 0 by the first request
        more than this long after the last reset, while requests are inside (60 there).
        Absent: the gate counts right.

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
    gate_reset_s: float | None = None

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not (value == UNLIMITED and name in _MAY_BE_UNLIMITED):
                object.__setattr__(self, name, _checked(name, value))

    @classmethod
    def from_utilization(cls, max_ccu: int, utilization_percent: float = _SERVER_DEFAULT_PERCENT) -> Deployment:
        """Limits by the server's own rule.

        normal = int(max x percent / 100); workers = normal // 10 within 50..500;
        queue = max(normal - workers, 100); the gate is workers + queue.

        Parameters
        ----------
        max_ccu : int
            The concurrency that the instance is built for.
        utilization_percent : float, default 67
            Share of it for normal operation. Outside 1..100 it becomes 67, as on the server.

        Returns
        -------
        Deployment

        Raises
        ------
        InputError
            When `max_ccu` is not a whole number of at least 1.
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
        """The server's overflow preset: its own rule with the whole of `max_ccu` as the normal capacity.

        Parameters
        ----------
        max_ccu : int
            The concurrency that the instance is built for, and is run at.

        Returns
        -------
        Deployment
            With `utilization_percent` 100: 5,000 gives 500 workers, a queue of 4,500 and a gate at 5,000.

        Raises
        ------
        InputError
            When `max_ccu` is not a whole number of at least 1.
        """
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

    def with_gate_at(self, base: Literal["normal", "max"]) -> Deployment:
        """The gate at normal capacity, as the server has it, or at `max_ccu`; the line takes up the difference.

        Parameters
        ----------
        base : {"normal", "max"}

        Returns
        -------
        Deployment

        Raises
        ------
        InputError
            When the base or the workers are not stated as numbers.
        """
        gate = {"normal": self.normal_ccu, "max": self.max_ccu}.get(base)
        if gate is None or not isinstance(self.workers, int):
            raise InputError(
                f"The gate cannot be put at {base!r}: this deployment states max_ccu = {self.max_ccu}, "
                f'utilization_percent = {self.utilization_percent}, workers = {self.workers}. Use "normal" or "max", '
                "and state those three as numbers."
            )
        return replace(self, gate_limit=gate, queue_capacity=max(gate - self.workers, 0))

    def with_limits(self, **limits: Any) -> Deployment:
        """A copy with some limits replaced.

        Parameters
        ----------
        **limits
            Fields of `Deployment` by name.

        Returns
        -------
        Deployment
        """
        return replace(self, **limits)

    def to_dict(self) -> dict[str, Any]:
        """Only what is stated; JSON-ready."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Deployment:
        """Read `to_dict`'s form.

        Parameters
        ----------
        data : dict
            Limits by name; an absent one is not stated.

        Returns
        -------
        Deployment

        Raises
        ------
        InputError
            For an unknown key (with the known ones) or a limit out of range.
        """
        if not isinstance(data, dict):
            raise InputError(f"A deployment is given as {data!r}; it must be an object with limits by name.")
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise InputError(f"A deployment has no {', '.join(unknown)}; allowed are {', '.join(sorted(known))}.")
        return cls(**data)


def _checked(name: str, value: object) -> float:
    """The limit `name` as a number in its range."""
    number = stated_number(name, value, alternative=' or "unlimited"' if name in _MAY_BE_UNLIMITED else "")
    if name in _LEAST:
        return whole(name, number, least=_LEAST[name])
    if name != "utilization_percent":
        return positive(name, number)
    if not 1 <= number <= 100:
        raise InputError(f"{name} is {value!r}; it must lie between 1 and 100.")
    return number


def read_deployment(path: str | Path) -> Deployment:
    """Read a deployment from JSON or TOML (by the file's ending).

    Parameters
    ----------
    path : str or Path
        A file whose keys are the fields of `Deployment`; an absent one is not stated. Numbers
        are written without quotes.

    Returns
    -------
    Deployment

    Raises
    ------
    InputError
        When the file is missing or cannot be read, or for an unknown key or a limit out of range.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"The deployment file {path} does not exist; give the path of a JSON or TOML file of the limits that are "
            'known, such as {"workers": 50, "queue_capacity": 151}.'
        )
    return Deployment.from_dict(read_json_or_toml(path, "deployment file"))
