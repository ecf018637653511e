"""What a peak asks for, and what one instance has: the two sides of every constraint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from capacity.planning.fleet_rules import kept, known_values
from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.units import Quantity

LOADS = {
    Quantity.CCU: "ccu",
    Quantity.USERS: "users",
    Quantity.CONNECTIONS: "connections",
    Quantity.IN_FLIGHT: "in_flight",
    Quantity.RPS: "arrival_rate_rps",
}
"""The field of `ServiceDemand` that counts each quantity."""


@dataclass(frozen=True)
class ServiceDemand:
    """What a peak asks for. Everything is optional: what is not stated is not checked.

    Parameters
    ----------
    ccu, users, connections, in_flight : number, optional
        The peak, by what it counts.
    arrival_rate_rps : number, optional
        The peak in requests per second.
    residence_time_s : number, optional
        Mean time of a request at the service; with the rate it gives what is in flight.
    cpu_s_per_request, worker_time_s, database_time_s : number, optional
        Mean time for which a request uses a core, holds a worker, and holds a database connection, seconds.
    memory_mib_per_in_flight : number, optional
        Memory of each request in flight, MiB.
    bytes_per_request : number, optional
        Network traffic of a request, both ways together.

    Raises
    ------
    InputError
        For a negative number, NaN, infinity or text, with its name.
    """

    ccu: Number | None = None
    users: Number | None = None
    connections: Number | None = None
    in_flight: Number | None = None
    arrival_rate_rps: Number | None = None
    residence_time_s: Number | None = None
    cpu_s_per_request: Number | None = None
    worker_time_s: Number | None = None
    database_time_s: Number | None = None
    memory_mib_per_in_flight: Number | None = None
    bytes_per_request: Number | None = None

    def __post_init__(self) -> None:
        _keep_numbers(self)

    def peaked(self, quantity: Quantity, peak: Number) -> ServiceDemand:
        """The same demand with a peak of one quantity filled in."""
        return replace(self, **{LOADS[quantity]: peak})

    def loads(self, share: Fraction = Fraction(1)) -> dict[str, Fraction]:
        """The stated peaks by field name, times `share`."""
        stated = {name: getattr(self, name) for name in LOADS.values()}
        return {name: share * exact(name, value) for name, value in stated.items() if value is not None}

    def to_dict(self) -> dict[str, Any]:
        """JSON form: what is stated."""
        return _stated(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ServiceDemand:
        """Read `to_dict`'s form; unknown names are an error that lists the known."""
        return cls(**known_values("service demands", data, cls))


@dataclass(frozen=True)
class InstanceLimits:
    """What one instance has. Everything is optional: what is not stated is not checked.

    Parameters
    ----------
    normal_ccu, normal_users, normal_connections, normal_in_flight, normal_rps : number, optional
        Load for normal operation, by what it counts; above 0.
    cpu_cores : number, optional
        Cores that are *requested* for the instance.
    cpu_target_percent : number, default 100
        Share of them meant to be used, percent: 70 of 2 requested cores leaves 1.4, as an autoscaler counts.
    memory_mib : number, optional
        Memory that is requested, MiB.
    memory_target_percent : number, default 100
        Share of it meant to be used, percent.
    memory_base_mib : number, default 0
        Memory of an idle instance, MiB.
    workers : int, optional
        Requests served at a time.
    db_pool : int, optional
        Database connections that the instance opens.
    network_mbps : number, optional
        Megabits a second.

    Raises
    ------
    InputError
        For a number that is not above 0 (a base: below 0), and a percentage outside 0..100.
    """

    normal_ccu: Number | None = None
    normal_users: Number | None = None
    normal_connections: Number | None = None
    normal_in_flight: Number | None = None
    normal_rps: Number | None = None
    cpu_cores: Number | None = None
    cpu_target_percent: Number = 100
    memory_mib: Number | None = None
    memory_target_percent: Number = 100
    memory_base_mib: Number = 0
    workers: Number | None = None
    db_pool: Number | None = None
    network_mbps: Number | None = None

    def __post_init__(self) -> None:
        _keep_numbers(self)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "memory_base_mib" and value is not None and value == 0:
                raise InputError(f"{item.name} is 0; it must be above 0. Leave out what is not known.")
            if item.name.endswith("percent") and value > 100:
                raise InputError(f"{item.name} is {value}; it must be at most 100.")

    @classmethod
    def of_deployment(cls, deployment: Deployment, **others: Number) -> InstanceLimits:
        """Workers, pool and cores of a deployment, where they are numbers; others by name.

        Parameters
        ----------
        deployment : Deployment
        **others
            Further limits of `InstanceLimits`, such as ``memory_mib=4096``; they win over the deployment's.
        """
        own = {name: getattr(deployment, name) for name in ("workers", "db_pool", "cpu_cores")}
        return cls.from_dict({name: v for name, v in own.items() if isinstance(v, (int, float))} | others)

    def normal(self, quantity: Quantity) -> Fraction | None:
        """Load for normal operation in one quantity, exactly; None when not stated."""
        name = f"normal_{quantity}"
        value = getattr(self, name)
        return None if value is None else exact(name, value)

    @property
    def usable_cores(self) -> Fraction | None:
        """Requested cores times their target, exactly."""
        return _part("cpu_cores", self.cpu_cores, self.cpu_target_percent)

    @property
    def usable_memory_mib(self) -> Fraction | None:
        """Requested memory times its target, less what an idle instance takes; may be 0 or less."""
        meant = _part("memory_mib", self.memory_mib, self.memory_target_percent)
        return None if meant is None else meant - exact("memory_base_mib", self.memory_base_mib)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: what is stated."""
        return _stated(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InstanceLimits:
        """Read `to_dict`'s form; unknown names are an error that lists the known."""
        return cls(**known_values("instance limits", data, cls))


def _part(name: str, value: Number | None, percent: Number) -> Fraction | None:
    return None if value is None else exact(name, value) * exact("percent", percent) / 100


def _keep_numbers(part: ServiceDemand | InstanceLimits) -> None:
    for item in fields(part):
        value = getattr(part, item.name)
        if value is not None:
            object.__setattr__(part, item.name, kept(item.name, value))


def _stated(part: ServiceDemand | InstanceLimits) -> dict[str, Any]:
    values = {item.name: getattr(part, item.name) for item in fields(part)}
    return {name: value for name, value in values.items() if value is not None}
