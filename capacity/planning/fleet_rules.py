"""What a fleet must survive and must not exceed: losses, rolling updates, connections, a quota.

References
----------
.. [1] Kubernetes documentation, Deployments, "Rolling Update Deployment": `maxUnavailable` in percent is
   rounded down, `maxSurge` in percent is rounded up, and both cannot be 0. Where both come out as 0 after
   rounding, the controller takes one instance as unavailable.
.. [2] PostgreSQL documentation, "Connections and Authentication": `max_connections` is 100 by default, of which
   `superuser_reserved_connections` (3) are kept from applications.
.. [3] N. J. Gunther, "Guerrilla Capacity Planning", Springer, 2007, chapter 4; G. M. Amdahl, AFIPS 30, 1967.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

from capacity.planning.instance_formula import checked_factor
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain

_COUNTS = {"database_max_connections": 1, "max_instances": 1}


@dataclass(frozen=True)
class FleetRules:
    """Rules for the whole fleet.

    Parameters
    ----------
    spare_instances : int, default 0
        k of N+k: so many instances may be lost at the peak.
    zones : int, default 1
        Zones over which the instances are spread evenly.
    survives_zone_loss : bool, default False
        The other zones must carry the peak when the fullest one is lost.
    max_surge, max_unavailable : int or str, default 1 and 0
        Of a rolling update: a number, or text such as ``"25%"`` of the instances. The guide's values are the
        defaults; percentages are rounded as Kubernetes does, surge up and unavailable down.
    carries_peak_during_update : bool, default True
        The instances that serve during an update must carry the peak. False: updates happen away from the peak.
    loss_safety_factor : number, default 1
        Safety factor that is kept while instances are missing. 1: a loss may use up the headroom.
    database_max_connections : int, optional
        Connections that the database takes. Absent: no such ceiling.
    database_reserved_connections : int, default 0
        Of them, those that instances cannot have (administrators, other services).
    max_instances : int, optional
        Quota of instances that exist at the same time, those that a rolling update adds included.
    contention : number, default 0
        Share of an instance's work in which it waits for what all share (a database, a lock, the balancer), 0 to below
        1: n instances carry n / (1 + contention (n - 1)) of one, never more than 1 / contention (Amdahl's law, the
        Universal Scalability Law without coherency [3]_ of the module). `fit_usl` estimates it from measured fleets.

    Raises
    ------
    InputError
        For a count out of range, a zone loss with one zone, and a rolling update that could not move.
    """

    spare_instances: int = 0
    zones: int = 1
    survives_zone_loss: bool = False
    max_surge: int | str = 1
    max_unavailable: int | str = 0
    carries_peak_during_update: bool = True
    loss_safety_factor: Number = 1
    database_max_connections: int | None = None
    database_reserved_connections: int = 0
    max_instances: int | None = None
    contention: Number = 0

    def __post_init__(self) -> None:
        for name, least in (("spare_instances", 0), ("zones", 1), ("database_reserved_connections", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least=least))
        for name, least in _COUNTS.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name), least=least))
        _check_truth(self, "survives_zone_loss", "carries_peak_during_update")
        self._check_update()
        checked_factor(self.loss_safety_factor)
        object.__setattr__(self, "loss_safety_factor", kept("loss_safety_factor", self.loss_safety_factor))
        object.__setattr__(self, "contention", kept("contention", self.contention))
        if not 0 <= self.contention < 1:
            raise InputError(f"contention is {self.contention}; it must be at least 0 and below 1, such as 0.02.")
        most, reserved = self.database_max_connections, self.database_reserved_connections
        if most is not None and reserved >= most:
            raise InputError(f"database_reserved_connections is {reserved}; it must be below the database's {most}.")
        if self.survives_zone_loss and self.zones < 2:
            raise InputError("zones is 1; a fleet survives the loss of a zone only with at least 2.")

    def _check_update(self) -> None:
        for name in ("max_surge", "max_unavailable"):
            object.__setattr__(self, name, _count_or_percent(name, getattr(self, name)))
        if _share(self.max_unavailable) == 1 and self.carries_peak_during_update:
            raise InputError("max_unavailable is 100%; nothing would serve during an update. Give less.")
        if _is_none(self.max_surge) and _is_none(self.max_unavailable):
            raise InputError(
                "max_surge and max_unavailable are both 0; such an update cannot begin. Let one of them be at least 1."
            )

    def carried(self, instances: int) -> Fraction:
        """How many of a single instance so many carry together."""
        count, contention = max(instances, 0), exact("contention", self.contention)
        return count / (1 + contention * (count - 1))

    def instances_for(self, load: Fraction) -> int | None:
        """Fewest instances that carry the load of so many single ones; None when no number does."""
        contention = exact("contention", self.contention)
        if contention * load >= 1:
            return None
        return math.ceil(load * (1 - contention) / (1 - contention * load))

    @property
    def serves_less_during_update(self) -> bool:
        """Whether instances may be missing during a rolling update that the peak has to be carried in."""
        return self.carries_peak_during_update and (_is_none(self.max_surge) or not _is_none(self.max_unavailable))

    def surge(self, instances: int) -> int:
        """Instances that a rolling update of `instances` adds for a while [1]_ (of the module)."""
        share = _share(self.max_surge)
        return int(self.max_surge) if share is None else math.ceil(instances * share)

    def unavailable(self, instances: int) -> int:
        """Most of `instances` that a rolling update takes away at a time."""
        share = _share(self.max_unavailable)
        taken = int(self.max_unavailable) if share is None else math.floor(instances * share)
        return min(instances, max(taken, 1 if _is_none(self.max_surge) else 0))

    def largest_fleet_within(self, existing: int) -> int:
        """Most instances of which, with what an update adds, no more than `existing` exist at a time."""
        share = _share(self.max_surge)
        return max(0, existing - int(self.max_surge) if share is None else math.floor(existing / (1 + share)))

    def after_zone_loss(self, instances: int) -> int:
        """Instances left when the fullest zone of an even spread is lost."""
        return instances - math.ceil(Fraction(instances, self.zones))

    def for_zone_loss(self, serving: int) -> int:
        """Fewest instances that leave `serving` after a zone loss: n - ceil(n / z) >= m gives ceil(m z / (z - 1))."""
        return math.ceil(Fraction(serving * self.zones, self.zones - 1))

    def for_update(self, serving: int) -> int:
        """Fewest instances of which `serving` serve during a rolling update."""
        if serving == 0:
            return 0
        share = _share(self.max_unavailable)
        count = serving + int(self.max_unavailable) if share is None else math.floor((serving - 1) / (1 - share)) + 1
        while count - self.unavailable(count) < serving:
            count += 1
        return count

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FleetRules:
        """Read `to_dict`'s form; absent keys take the defaults, unknown ones are an error that lists the known."""
        return cls(**known_values("fleet rules", data, cls))


def known_values(what: str, data: Any, kind: type) -> dict[str, Any]:
    """Return the values by name; refuse what is no object, and names that `kind` does not have."""
    if not isinstance(data, Mapping):
        raise InputError(f"The {what} are {data!r}; they must be an object with named values.")
    names = {item.name for item in fields(kind)}
    unknown = sorted(map(str, set(data) - names))
    if unknown:
        raise InputError(f"The {what} have no {', '.join(unknown)}; allowed are {', '.join(sorted(names))}.")
    return dict(data)


def _check_truth(rules: FleetRules, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(rules, name), bool):
            raise InputError(f"{name} is {getattr(rules, name)!r}; it must be true or false.")


def _count_or_percent(name: str, value: Any) -> int | str:
    if not isinstance(value, str):
        return whole(name, value)
    share = _share(value)
    if share is None or not 0 <= share <= 1:
        raise InputError(f'{name} is {value!r}; it must be a whole number, or a percentage such as "25%".')
    return value.strip()


def _share(value: int | str) -> Fraction | None:
    """The exact share that text in percent states; None for a count."""
    if not isinstance(value, str):
        return None
    try:
        return Fraction(value.strip().removesuffix("%").strip()) / 100 if value.strip().endswith("%") else None
    except (ValueError, ZeroDivisionError):
        return None


def _is_none(value: int | str) -> bool:
    return value == 0 or _share(value) == 0


def kept(name: str, value: Number) -> int | float:
    """A checked number as plain JSON can hold it; at least 0."""
    number = exact(name, value)
    if number < 0:
        raise InputError(f"{name} is {value!r}; it must be 0 or more.")
    return value if isinstance(value, (int, float)) else plain(number)
