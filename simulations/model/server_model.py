"""The model of one gated server: what is configured, and how long things take."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from loadtests.deployment import UNLIMITED, Deployment, Limit
from loadtests.foundation.checks import non_negative, positive
from loadtests.foundation.distributions import (
    Constant,
    Distribution,
    distribution_from_dict,
    distribution_to_dict,
)
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding

NO_TIME = Constant(0.0)


@dataclass(frozen=True)
class Limits:
    """A deployment's limits as both engines read them; infinity where there is none.

    Parameters
    ----------
    gate : float
        Requests inside (waiting or served) at which an arrival is answered 503.
    workers : float
        Requests served at a time.
    queue : float
        Requests that may wait for a worker.
    queue_timeout_s : float
        Longest wait for a worker.
    request_timeout_s : float
        Time from arrival after which the server answers `timed out`.
    gate_reset_s : float
        The gate forgets who is inside at the first arrival so long after it last forgot.
    db_pool : float
        Database connections of the instance.
    cpu_cores : float
        Cores that requests in their CPU stage share.
    """

    gate: float = math.inf
    workers: float = math.inf
    queue: float = math.inf
    queue_timeout_s: float = math.inf
    request_timeout_s: float = math.inf
    gate_reset_s: float = math.inf
    db_pool: float = math.inf
    cpu_cores: float = math.inf

    @property
    def most_in_flight(self) -> float:
        """Largest number of requests inside: min(gate, workers + queue); no bound where the gate forgets."""
        gate = self.gate if math.isinf(self.gate_reset_s) else math.inf
        return min(gate, self.workers + self.queue)

    @property
    def patience_s(self) -> float:
        """Longest time in the line."""
        return min(self.queue_timeout_s, self.request_timeout_s)


@dataclass(frozen=True)
class RequestClass:
    """One kind of request in the mix.

    Parameters
    ----------
    name : str
    weight : float, default 1
        Its share of the requests is weight / sum of weights.
    service_time, cpu_time, database_time : Distribution, optional
        Default: those of the model. `Constant(0)` for a stage that it skips.
    in_objective : bool, default True
        False for health probes and metrics calls, which objectives leave out.
    """

    name: str
    weight: float = 1.0
    service_time: Distribution | None = None
    cpu_time: Distribution | None = None
    database_time: Distribution | None = None
    in_objective: bool = True

    def __post_init__(self) -> None:
        positive(f"weight of the request class {self.name!r}", self.weight)
        _must_be_distributions(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        times = {
            name: None if getattr(self, name) is None else distribution_to_dict(getattr(self, name))
            for name in ("service_time", "cpu_time", "database_time")
        }
        return {"name": self.name, "weight": self.weight, **times, "in_objective": self.in_objective}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RequestClass:
        """Read what `to_dict` wrote."""
        times = {
            name: None if data.get(name) is None else distribution_from_dict(data[name])
            for name in ("service_time", "cpu_time", "database_time")
        }
        return cls(data["name"], float(data["weight"]), **times, in_objective=bool(data["in_objective"]))


@dataclass(frozen=True)
class ResourceUse:
    """What requests cost in CPU and memory; read off a run, without influence on it.

    Parameters
    ----------
    cpu_s_per_request : float, optional
        CPU seconds of a served request. Default: the mean of the model's CPU stage, 0 without one.
    idle_cpu : float, default 0
        Cores in use without any request.
    memory_base_bytes, memory_per_request_bytes : float, default 0
        Resident memory of an idle instance, and of each request inside it.
    """

    cpu_s_per_request: float | None = None
    idle_cpu: float = 0.0
    memory_base_bytes: float = 0.0
    memory_per_request_bytes: float = 0.0

    def __post_init__(self) -> None:
        for name in ("idle_cpu", "memory_base_bytes", "memory_per_request_bytes"):
            non_negative(name, getattr(self, name))
        if self.cpu_s_per_request is not None:
            non_negative("cpu_s_per_request", self.cpu_s_per_request)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "cpu_s_per_request": self.cpu_s_per_request, "idle_cpu": self.idle_cpu,
            "memory_base_bytes": self.memory_base_bytes, "memory_per_request_bytes": self.memory_per_request_bytes,
        }  # fmt: skip


@dataclass(frozen=True)
class ServerModel:
    """One instance: a gate, a FIFO queue, and workers that each hold one request at a time.

    A worker's request goes through up to three stages: its CPU time, for which all such requests
    share the cores (processor sharing); its database time, for which it holds one of the pool's
    connections; and its service time, which nothing else slows down.

    Parameters
    ----------
    deployment : Deployment
        Known limits. A limit that is not stated counts as none; `findings` says so.
    service_time : Distribution
        Time that a request holds a worker besides CPU and database, seconds.
    network_round_trip_s : float, default 0
        Time between the server's answer and the moment the client has it, plus
        the request's way in, lumped behind the answer. It holds no worker, adds
        to what the client sees, and is all that a rejected request takes
        unless `rejection_time_s` says otherwise.
    cpu_time : Distribution, optional
        CPU seconds on a core of its own; `deployment.cpu_cores` are shared.
    database_time : Distribution, optional
        Seconds for which a connection of `deployment.db_pool` is held.
    request_classes : tuple of RequestClass
        The mix; default one class with the model's times.
    resources : ResourceUse
    rejection_time_s : float, optional
        What a client waits for the answer 503 of the gate, or of a line without room. Default: the network
        round trip. A request that the server gives up on later waits the round trip, as a served one does.
    """

    deployment: Deployment
    service_time: Distribution
    network_round_trip_s: float = 0.0
    cpu_time: Distribution | None = None
    database_time: Distribution | None = None
    request_classes: tuple[RequestClass, ...] = ()
    resources: ResourceUse = field(default_factory=ResourceUse)
    rejection_time_s: float | None = None

    def __post_init__(self) -> None:
        non_negative("network_round_trip_s", self.network_round_trip_s)
        if self.rejection_time_s is not None:
            non_negative("rejection_time_s", self.rejection_time_s)
        _must_be_distributions(self)
        names = [item.name for item in self.request_classes]
        if len(set(names)) != len(names):
            raise InputError(f"The request classes are named {', '.join(names)}; give each a name of its own.")

    @cached_property
    def limits(self) -> Limits:
        """The limits with infinity for what is unlimited or not stated."""
        own = self.deployment
        return Limits(
            _as_number(own.gate), _as_number(own.workers), _as_number(own.queue_capacity),
            _as_number(own.queue_timeout_s), _as_number(own.request_timeout_s), _as_number(own.gate_reset_s),
            _as_number(own.db_pool), _as_number(own.cpu_cores),
        )  # fmt: skip

    @cached_property
    def classes(self) -> tuple[RequestClass, ...]:
        """The mix with every time filled in (`NO_TIME` for a stage that is skipped)."""
        return tuple(
            replace(
                item,
                service_time=item.service_time or self.service_time,
                cpu_time=item.cpu_time or self.cpu_time or NO_TIME,
                database_time=item.database_time or self.database_time or NO_TIME,
            )
            for item in self.request_classes or (RequestClass("all"),)
        )

    @property
    def rejected_after_s(self) -> float:
        """What a rejected request takes: `rejection_time_s`, or the network round trip where that is not given."""
        return self.network_round_trip_s if self.rejection_time_s is None else self.rejection_time_s

    @property
    def mean_service_s(self) -> float:
        """Mean service time over the mix, seconds."""
        return self._mean("service_time")

    @property
    def mean_cpu_s(self) -> float:
        """Mean CPU time over the mix, seconds."""
        return self._mean("cpu_time")

    @property
    def mean_database_s(self) -> float:
        """Mean database time over the mix, seconds."""
        return self._mean("database_time")

    @property
    def mean_held_s(self) -> float:
        """Mean time that a request holds its worker where it waits for nothing, seconds."""
        return self.mean_service_s + self.mean_cpu_s + self.mean_database_s

    def _mean(self, stage: str) -> float:
        total = sum(item.weight for item in self.classes)
        return float(sum(item.weight / total * getattr(item, stage).mean_s for item in self.classes))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Limits that the model takes as absent: not stated, or stated for a stage that it does not have."""
        own = self.deployment
        used: dict[str, Limit | float] = {
            "gate": own.gate,
            "workers": own.workers,
            "queue_capacity": own.queue_capacity,
        }
        used |= {"db_pool": own.db_pool} if self.mean_database_s > 0 else {}
        used |= {"cpu_cores": own.cpu_cores} if self.mean_cpu_s > 0 else {}
        absent = [_not_stated(name) for name, value in used.items() if value is None]
        return (*absent, *self.findings_of_left_out_limits)

    @property
    def findings_of_left_out_limits(self) -> tuple[Finding, ...]:
        """Limits that are stated and that nothing in this model uses."""
        unused = {"db_pool": self.mean_database_s, "cpu_cores": self.mean_cpu_s}
        stated = {name: getattr(self.deployment, name) for name, used_s in unused.items() if used_s == 0}
        return tuple(_left_out(name, value) for name, value in stated.items() if value not in (None, UNLIMITED))

    @property
    def saturation_rps(self) -> float:
        """Largest throughput by the utilization law: the least of limit / mean time over everything that is held."""
        limits = self.limits
        held_s = self.mean_held_s
        holders = ((min(limits.workers, limits.most_in_flight), held_s), (limits.db_pool, self.mean_database_s),
                   (limits.cpu_cores, self.mean_cpu_s))  # fmt: skip
        return min((limit / mean_s for limit, mean_s in holders if mean_s > 0), default=math.inf)

    @property
    def bottleneck(self) -> str:
        """What saturates first: ``workers``, ``gate``, ``db_pool``, ``cpu``; ``none`` without limits."""
        limits = self.limits
        rates = {
            "workers": _rate(limits.workers, self.mean_held_s), "gate": _rate(limits.gate, self.mean_held_s),
            "db_pool": _rate(limits.db_pool, self.mean_database_s), "cpu": _rate(limits.cpu_cores, self.mean_cpu_s),
        }  # fmt: skip
        name = min(rates, key=lambda key: rates[key])
        return name if math.isfinite(rates[name]) else "none"

    def with_deployment(self, deployment: Deployment) -> ServerModel:
        """The same times under other limits."""
        return replace(self, deployment=deployment)

    def with_mix(self, weights: dict[str, float]) -> ServerModel:
        """The same classes in other proportions; a class that is not named is left out."""
        known = {item.name: item for item in self.request_classes}
        unknown = sorted(set(weights) - set(known))
        if unknown:
            there = f"it has {', '.join(sorted(known))}" if known else "give it request_classes first"
            raise InputError(f"The model has no request class {', '.join(unknown)}; {there}.")
        kept = tuple(replace(known[name], weight=weight) for name, weight in weights.items())
        return replace(self, request_classes=kept)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        optional = {
            name: distribution_to_dict(value)
            for name in ("cpu_time", "database_time")
            if (value := getattr(self, name)) is not None
        }
        return {
            "deployment": self.deployment.to_dict(),
            "service_time": distribution_to_dict(self.service_time),
            "network_round_trip_s": self.network_round_trip_s,
            **optional,
            **({"request_classes": [item.to_dict() for item in self.request_classes]} if self.request_classes else {}),
            **({"resources": self.resources.to_dict()} if self.resources != ResourceUse() else {}),
            **({"rejection_time_s": self.rejection_time_s} if self.rejection_time_s is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ServerModel:
        """Read what `to_dict` wrote."""
        stages = {
            name: distribution_from_dict(data[name]) if data.get(name) else None
            for name in ("cpu_time", "database_time")
        }
        rejection_s = data.get("rejection_time_s")
        return cls(
            Deployment.from_dict(data["deployment"]),
            distribution_from_dict(data["service_time"]),
            float(data.get("network_round_trip_s", 0.0)),
            **stages,
            request_classes=tuple(RequestClass.from_dict(item) for item in data.get("request_classes", ())),
            resources=ResourceUse(**data.get("resources", {})),
            rejection_time_s=None if rejection_s is None else float(rejection_s),
        )


def _must_be_distributions(described: ServerModel | RequestClass) -> None:
    for name in ("service_time", "cpu_time", "database_time"):
        value = getattr(described, name)
        if isinstance(value, int | float | str):
            raise InputError(
                f"{name} is {value!r}; it must be a distribution, for example Constant(0.05) or Exponential(0.05)."
            )


def _as_number(limit: Limit | float) -> float:
    return math.inf if limit is None or limit == UNLIMITED else float(limit)


def _rate(limit: float, mean_s: float) -> float:
    return limit / mean_s if mean_s > 0 else math.inf


def _left_out(name: str, value: float) -> Finding:
    stage = {"db_pool": "database_time", "cpu_cores": "cpu_time"}[name]
    return Finding(
        code="limit-not-modelled",
        severity="info",
        message=f"The deployment states {name} = {value:g}, which this model does not simulate: it has no {stage}.",
        remedy=f"Give the model a {stage}, or check that {name} does not bind at the loads in question.",
        numbers={"limit": name, "value": value},
    )


def _not_stated(name: str) -> Finding:
    return Finding(
        code="limit-not-stated",
        severity="info",
        message=f"The deployment does not state {name}; the model takes it as no such limit.",
        remedy=f'State {name} in the deployment, as a number or as "unlimited".',
        numbers={"limit": name},
    )
