"""Capacity of one instance, and the curve that it is read off.

Light on purpose: numbers in, numbers out, so that a caller who only plans
loads neither the simulator nor the load generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity

if TYPE_CHECKING:
    import pandas as pd

    from loadtests.recording import LoadStep


@dataclass(frozen=True)
class InstanceCapacity:
    """The load that one instance carries, what it counts and how sure we are.

    Parameters
    ----------
    quantity : Quantity
        What `value` counts.
    value : Interval
        Load for normal operation: the largest that meets the objective, or an assumption.
    max_value : Interval, optional
        Load at which the instance starts to turn requests away beyond what is allowed.
        None: not stated; the planning policy's utilization then gives it.
    bound_by : str
        What stops a larger load: ``p95``, ``bad``, ``gate``, ``workers``, ``assumed``, ...
    arrival_rate_rps, in_flight : Interval, optional
        The same capacity in requests per second and in requests inside the instance.
    objective : dict, optional
        The limits that `value` keeps (`p95_s`, `max_bad_fraction`).
    valid_up_to : float, optional
        Largest load at which the evidence holds (the highest measured level).
    """

    quantity: Quantity
    value: Interval
    max_value: Interval | None = None
    bound_by: str = "assumed"
    arrival_rate_rps: Interval | None = None
    in_flight: Interval | None = None
    objective: dict[str, float] = field(default_factory=dict)
    valid_up_to: float | None = None

    def __post_init__(self) -> None:
        positive("instance capacity", self.value.mid)

    @classmethod
    def assumed(cls, value: float, quantity: str = "ccu", max_value: float | None = None) -> InstanceCapacity:
        """A capacity that somebody states, without evidence."""
        positive("instance capacity", value)
        top = None if max_value is None else Interval.assumed(positive("maximum of an instance", max_value))
        if max_value is not None and max_value < value:
            raise InputError(f"The maximum of an instance is {max_value}, below its normal capacity {value}.")
        return cls(Quantity.parse(quantity), Interval.assumed(value), top)

    @property
    def is_assumed(self) -> bool:
        """True when no measurement stands behind it."""
        return self.value.kind == "assumed"

    def to_dict(self) -> dict[str, Any]:
        """JSON form (`interfaces`: quantity, value, arrival_rate_rps, in_flight, bound_by, valid_up_to)."""
        optional = {
            name: None if getattr(self, name) is None else getattr(self, name).to_dict()
            for name in ("max_value", "arrival_rate_rps", "in_flight")
        }
        return {
            "quantity": self.quantity.value, "value": self.value.to_dict(), **optional, "bound_by": self.bound_by,
            "objective": dict(self.objective), "valid_up_to": self.valid_up_to,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> InstanceCapacity:
        """Read what `to_dict` wrote."""

        def interval(name: str) -> Interval | None:
            return None if data.get(name) is None else Interval.from_dict(data[name])

        return cls(
            Quantity.parse(data["quantity"]), Interval.from_dict(data["value"]), interval("max_value"),
            data.get("bound_by", "assumed"), interval("arrival_rate_rps"), interval("in_flight"),
            dict(data.get("objective", {})), data.get("valid_up_to"),
        )  # fmt: skip


@dataclass(frozen=True)
class CapacityPoint:
    """One load level: what goes in (`users`) and what comes out, each with its interval."""

    users: int
    metrics: dict[str, Interval]


@dataclass(frozen=True)
class CapacityCurve:
    """Load against what the instance does with it; from a recording or from a sweep, same columns.

    Parameters
    ----------
    points : tuple of CapacityPoint
        In ascending order of users.
    source : str
        ``recording`` or ``simulation``.
    """

    points: tuple[CapacityPoint, ...]
    source: str

    @classmethod
    def from_steps(cls, steps: Sequence[LoadStep]) -> CapacityCurve:
        """The measured curve."""
        ordered = sorted(steps, key=lambda item: item.users)
        return cls(tuple(CapacityPoint(item.users, dict(item.metrics)) for item in ordered), "recording")

    @property
    def users(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Load levels."""
        return np.array([point.users for point in self.points], dtype=np.int64)

    def metric(self, name: str) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
        """Arrays low, mid, high of one metric over the levels."""
        chosen = [point.metrics[name] for point in self.points]
        return tuple(np.array([getattr(item, part) for item in chosen], dtype=float) for part in ("low", "mid", "high"))

    def to_frame(self) -> pd.DataFrame:
        """One row a level; columns users and <metric>_low, _mid, _high (SI units)."""
        import pandas as pd

        columns: dict[str, Any] = {"users": self.users}
        for name in self.points[0].metrics if self.points else ():
            for part, values in zip(("low", "mid", "high"), self.metric(name), strict=True):
                columns[f"{name}_{part}"] = values
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return f"CapacityCurve({len(self.points)} levels from {self.source})"
