"""What each resource of an instance is asked for at a peak: one exact quotient a constraint.

References
----------
.. [1] P. J. Denning, J. P. Buzen, "The operational analysis of queueing network models", ACM Computing Surveys
   10(3), 1978: the utilization law U = X S, for c servers X S / c.
.. [2] J. D. C. Little, "A proof for the queuing formula L = lambda W", Operations Research 9(3), 1961: L = X R.
.. [3] The operations guide, capacity planning: (peak traffic / instance capacity) x safety factor, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from capacity.demand.wording import amount
from capacity.planning.constraint_inputs import LOADS, InstanceLimits, ServiceDemand
from loadtests.foundation.exact_numbers import exact

GUIDE_FORMULA = "instance formula [3]"
UTILIZATION_LAW = "utilization law, U = X S / c [1]"
LITTLES_LAW = "Little's law, L = X R [2]"

_BITS, _MEGA = 8, 1_000_000


@dataclass(frozen=True)
class ResourceAsk:
    """One resource at the peak: what is asked of it, and what one instance gives, in the same unit.

    Parameters
    ----------
    name : str
        Of the constraint.
    asked, each : Fraction
        At the peak without a safety factor; what one instance gives.
    formula : str
        The quotient as text with its numbers.
    source : str
        The law, with its number in the references of the module.
    """

    name: str
    asked: Fraction
    each: Fraction
    formula: str
    source: str

    @property
    def instances(self) -> Fraction | None:
        """Instances that the peak fills, not rounded; None when no number of them is enough."""
        return self.asked / self.each if self.each > 0 else None


def resource_asks(demand: ServiceDemand, limits: InstanceLimits) -> tuple[ResourceAsk, ...]:
    """Every constraint whose two sides are stated, in a fixed order."""
    found = [*_loads(demand, limits)]
    found += [ask for builder in _BUILDERS.values() if (ask := builder(demand, limits)) is not None]
    return tuple(found)


def not_checked(demand: ServiceDemand, limits: InstanceLimits) -> tuple[str, ...]:
    """Constraints of which something is stated but not enough, with what is missing."""
    found = []
    for name, (own, shared) in _NEEDED.items():
        stated = {item for item in own if _value(item, demand, limits) is not None}
        missing = [item for item in (*own, *shared) if _value(item, demand, limits) is None]
        if name == "memory" and requests_in_flight(demand) is None:
            missing.append("in_flight")
        if stated and missing:
            found.append(f"{name}: {' and '.join(missing)} not stated")
    return tuple(found)


def requests_in_flight(demand: ServiceDemand) -> tuple[Fraction, str] | None:
    """Requests in flight and their formula: stated, by L = X R [2]_ (of the module), or the unspecified CCU."""
    if demand.in_flight is not None:
        return exact("in_flight", demand.in_flight), f"{_number(demand.in_flight)} in flight"
    if demand.arrival_rate_rps is not None and demand.residence_time_s is not None:
        inside = exact("rate", demand.arrival_rate_rps) * exact("residence_time_s", demand.residence_time_s)
        return inside, f"{_number(demand.arrival_rate_rps)} requests/s x {demand.residence_time_s} s in flight"
    if demand.ccu is not None:
        return exact("ccu", demand.ccu), f"{_number(demand.ccu)} ccu read as in flight"
    return None


def _loads(demand: ServiceDemand, limits: InstanceLimits) -> Iterator[ResourceAsk]:
    for quantity, field in LOADS.items():
        peak, normal = getattr(demand, field), limits.normal(quantity)
        if peak is not None and normal is not None:
            text = f"{_number(peak)} {quantity} / {_number(normal)}"
            yield ResourceAsk(str(quantity), exact(field, peak), normal, text, GUIDE_FORMULA)


def _cpu(demand: ServiceDemand, limits: InstanceLimits) -> ResourceAsk | None:
    cores = limits.usable_cores
    if demand.arrival_rate_rps is None or demand.cpu_s_per_request is None or cores is None:
        return None
    text = f"{_rate(demand)} x {demand.cpu_s_per_request} s / {_number(cores)} cores"
    if limits.cpu_target_percent != 100:
        text += f" ({limits.cpu_target_percent} % of {limits.cpu_cores})"
    return ResourceAsk("cpu", _busy(demand, "cpu_s_per_request"), cores, text, UTILIZATION_LAW)


def _memory(demand: ServiceDemand, limits: InstanceLimits) -> ResourceAsk | None:
    inside, usable = requests_in_flight(demand), limits.usable_memory_mib
    if demand.memory_mib_per_in_flight is None or inside is None or usable is None:
        return None
    text = f"{inside[1]} x {demand.memory_mib_per_in_flight} MiB / {_number(usable)} MiB"
    text += f" ({limits.memory_target_percent} % of {_number(limits.memory_mib or 0)}, less {limits.memory_base_mib})"
    asked = inside[0] * exact("memory_mib_per_in_flight", demand.memory_mib_per_in_flight)
    return ResourceAsk("memory", asked, usable, text, LITTLES_LAW if "requests/s" in text else GUIDE_FORMULA)


def _workers(demand: ServiceDemand, limits: InstanceLimits) -> ResourceAsk | None:
    return _pool("workers", "worker_time_s", demand, limits.workers)


def _db_pool(demand: ServiceDemand, limits: InstanceLimits) -> ResourceAsk | None:
    return _pool("db_pool", "database_time_s", demand, limits.db_pool)


def _pool(name: str, time: str, demand: ServiceDemand, size: object) -> ResourceAsk | None:
    if demand.arrival_rate_rps is None or getattr(demand, time) is None or size is None:
        return None
    noun = "workers" if name == "workers" else "connections"
    text = f"{_rate(demand)} x {getattr(demand, time)} s / {_number(size)} {noun}"
    return ResourceAsk(name, _busy(demand, time), exact(name, size), text, UTILIZATION_LAW)  # type: ignore[arg-type]


def _network(demand: ServiceDemand, limits: InstanceLimits) -> ResourceAsk | None:
    if demand.arrival_rate_rps is None or demand.bytes_per_request is None or limits.network_mbps is None:
        return None
    mbps = _busy(demand, "bytes_per_request") * _BITS / _MEGA
    text = f"{_rate(demand)} x {_number(demand.bytes_per_request)} bytes x 8 / {_number(limits.network_mbps)} Mbit/s"
    return ResourceAsk("network", mbps, exact("network_mbps", limits.network_mbps), text, UTILIZATION_LAW)


_BUILDERS: dict[str, Callable[[ServiceDemand, InstanceLimits], ResourceAsk | None]] = {
    "cpu": _cpu, "memory": _memory, "workers": _workers, "db_pool": _db_pool, "network": _network,
}  # fmt: skip
_NEEDED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cpu": (("cpu_s_per_request", "cpu_cores"), ("arrival_rate_rps",)),
    "memory": (("memory_mib_per_in_flight", "memory_mib"), ()),
    "workers": (("worker_time_s", "workers"), ("arrival_rate_rps",)),
    "db_pool": (("database_time_s", "db_pool"), ("arrival_rate_rps",)),
    "network": (("bytes_per_request", "network_mbps"), ("arrival_rate_rps",)),
}
"""By constraint: what is its own, and what it shares with others."""


def _value(name: str, demand: ServiceDemand, limits: InstanceLimits) -> object:
    return getattr(demand, name, None) if hasattr(demand, name) else getattr(limits, name)


def _busy(demand: ServiceDemand, each: str) -> Fraction:
    """X S: what is in use on average at the peak."""
    return exact("arrival_rate_rps", demand.arrival_rate_rps or 0) * exact(each, getattr(demand, each))


def _rate(demand: ServiceDemand) -> str:
    return f"{_number(demand.arrival_rate_rps or 0)} requests/s"


def _number(value: object) -> str:
    return amount(exact("number", value))  # type: ignore[arg-type]
