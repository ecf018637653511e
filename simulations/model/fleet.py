"""Several instances of one model behind a balancer, and limits that change on a schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from loadtests.foundation.checks import non_negative, one_of, positive, whole
from loadtests.foundation.errors import InputError

Balancer = Literal["round-robin", "random", "two-choices", "least-connections", "per-connection"]
BALANCERS: tuple[str, ...] = get_args(Balancer)
MOST_INSTANCES = 4_096

_CHANGEABLE = ("gate", "workers", "queue", "db_pool", "cpu_cores")


@dataclass(frozen=True)
class LimitChange:
    """New limits from a moment on; what is not named stays.

    More workers, connections or cores serve the line at once. With fewer, those that are
    busy finish first. A lower gate or line turns away newcomers only.

    Parameters
    ----------
    at_s : float
        Simulated time, seconds.
    gate, workers, queue, db_pool, cpu_cores : float, optional
        The new limit of each instance; infinity for none.
    instance : int, optional
        Which instance (from 0); default all.
    """

    at_s: float
    gate: float | None = None
    workers: float | None = None
    queue: float | None = None
    db_pool: float | None = None
    cpu_cores: float | None = None
    instance: int | None = None

    def __post_init__(self) -> None:
        non_negative("at_s", self.at_s)
        if not self.limits:
            raise InputError(
                f"A change at {self.at_s:g} s names no limit; give at least one of {', '.join(_CHANGEABLE)}."
            )
        for name in _CHANGEABLE:
            value = getattr(self, name)
            if value is None or value == math.inf:
                continue
            if name == "cpu_cores":
                positive(name, value)
            else:
                whole(name, value)

    @property
    def limits(self) -> dict[str, float]:
        """The new limits by name."""
        return {name: float(getattr(self, name)) for name in _CHANGEABLE if getattr(self, name) is not None}


@dataclass(frozen=True)
class Fleet:
    """Instances of the same model behind a load balancer.

    Parameters
    ----------
    instances : int, default 1
    balancer : str, default "round-robin"
        ``round-robin``; ``random``; ``two-choices`` (the less loaded of two random ones);
        ``least-connections`` (fewest requests inside, ties to the next in turn); ``per-connection``
        (each user's connection goes to a random instance and stays there until it is
        closed, which is what a plain Kubernetes Service does [1]_).
    database_connections : int, optional
        Requests of the whole fleet that the database serves at a time; others wait in order,
        each holding a connection of its instance's pool.
    changes : tuple of LimitChange
        In any order.

    References
    ----------
    .. [1] Kubernetes documentation, "Virtual IPs and Service Proxies": iptables mode picks a backend
       at random for each new connection.
    """

    instances: int = 1
    balancer: Balancer = "round-robin"
    database_connections: int | None = None
    changes: tuple[LimitChange, ...] = ()

    def __post_init__(self) -> None:
        whole("instances", self.instances, least=1, most=MOST_INSTANCES)
        one_of("balancer", self.balancer, BALANCERS)
        if self.database_connections is not None:
            whole("database_connections", self.database_connections, least=1)
        for change in self.changes:
            if change.instance is not None and not 0 <= change.instance < self.instances:
                raise InputError(
                    f"A change names instance {change.instance}; allowed: 0 to {self.instances - 1}, or none for all."
                )

        self._refuse_closed_for_ever()

    def _refuse_closed_for_ever(self) -> None:
        """Workers or connections set to 0 and never raised again would leave requests waiting without end."""
        for name in ("workers", "db_pool"):
            last = dict.fromkeys(range(self.instances), math.inf)
            for change in sorted(self.changes, key=lambda item: item.at_s):
                chosen = last if change.instance is None else (change.instance,)
                last.update({number: change.limits[name] for number in chosen if name in change.limits})
            stuck = [str(number) for number, limit in last.items() if limit < 1]
            if stuck:
                raise InputError(
                    f"The changes leave instance {', '.join(stuck)} with {name} = 0 for ever, so that requests "
                    "would wait without end. Raise it again by a later change, or close the gate instead (gate=0)."
                )

    @property
    def is_one_instance(self) -> bool:
        """True for a single instance whose limits stay."""
        return self.instances == 1 and not self.changes and self.database_connections is None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        changes = [{"at_s": change.at_s, "instance": change.instance, **change.limits} for change in self.changes]
        return {
            "instances": self.instances, "balancer": self.balancer,
            "database_connections": self.database_connections, "changes": changes,
        }  # fmt: skip
