"""The model of one gated server: what is configured, and how long things take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from loadtests.deployment import UNLIMITED, Deployment, Limit
from loadtests.foundation.checks import non_negative
from loadtests.foundation.distributions import Distribution, distribution_from_dict, distribution_to_dict
from loadtests.foundation.findings import Finding

_NOT_SIMULATED = ("queue_timeout_s", "db_pool", "cpu_cores", "request_timeout_s")


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
    """

    gate: float
    workers: float
    queue: float

    @property
    def most_in_flight(self) -> float:
        """Largest number of requests inside: min(gate, workers + queue)."""
        return min(self.gate, self.workers + self.queue)


@dataclass(frozen=True)
class ServerModel:
    """One instance: a gate, a FIFO queue and a pool of workers.

    Parameters
    ----------
    deployment : Deployment
        Known limits. A limit that is not stated counts as none; `findings` says so.
    service_time : Distribution
        Time that a request holds a worker, seconds.
    network_round_trip_s : float, default 0
        Time between the server's answer and the moment the client has it, plus
        the request's way in, lumped behind the answer. It holds no worker, adds
        to what the client sees, and is all that a rejected request takes.
    """

    deployment: Deployment
    service_time: Distribution
    network_round_trip_s: float = 0.0

    def __post_init__(self) -> None:
        non_negative("network_round_trip_s", self.network_round_trip_s)

    @property
    def limits(self) -> Limits:
        """The limits with infinity for what is unlimited or not stated."""
        own = self.deployment
        return Limits(_as_number(own.gate), _as_number(own.workers), _as_number(own.queue_capacity))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Limits that the model takes as absent: not stated, or stated but not part of this model."""
        own = self.deployment
        used = {"gate": own.gate, "workers": own.workers, "queue_capacity": own.queue_capacity}
        absent = [_not_stated(name) for name, value in used.items() if value is None]
        return (*absent, *self.findings_of_left_out_limits)

    @property
    def findings_of_left_out_limits(self) -> tuple[Finding, ...]:
        """Limits that are stated and that this model does not simulate."""
        stated = {name: getattr(self.deployment, name) for name in _NOT_SIMULATED}
        return tuple(_left_out(name, value) for name, value in stated.items() if value not in (None, UNLIMITED))

    @property
    def saturation_rps(self) -> float:
        """Largest throughput by the utilization law: workers (or the gate, if lower) / mean service time."""
        mean_s = self.service_time.mean_s
        return min(self.limits.workers, self.limits.gate) / mean_s if mean_s > 0 else math.inf

    def with_deployment(self, deployment: Deployment) -> ServerModel:
        """The same times under other limits."""
        return replace(self, deployment=deployment)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "deployment": self.deployment.to_dict(),
            "service_time": distribution_to_dict(self.service_time),
            "network_round_trip_s": self.network_round_trip_s,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ServerModel:
        """Read what `to_dict` wrote."""
        return cls(
            Deployment.from_dict(data["deployment"]),
            distribution_from_dict(data["service_time"]),
            float(data.get("network_round_trip_s", 0.0)),
        )


def _as_number(limit: Limit) -> float:
    return math.inf if limit is None or limit == UNLIMITED else float(limit)


def _left_out(name: str, value: float) -> Finding:
    return Finding(
        code="limit-not-modelled",
        severity="warning" if name.endswith("_timeout_s") else "info",
        message=f"The deployment states {name} = {value:g}, which this model does not simulate.",
        remedy="Check that it does not bind at the loads in question; the model is too optimistic where it does.",
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
