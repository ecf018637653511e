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
from loadtests.foundation.findings import Finding
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
        The limits that `value` keeps (`p95_s`, `max_bad_fraction`, ...).
    valid_up_to : float, optional
        Largest load at which the evidence holds (the highest measured level).
    request_class : str, optional
        The request class whose limit stops a larger load; None: that of all classes together.
    findings : tuple of Finding, optional
        What to know of the model that it comes from.
    """

    quantity: Quantity
    value: Interval
    max_value: Interval | None = None
    bound_by: str = "assumed"
    arrival_rate_rps: Interval | None = None
    in_flight: Interval | None = None
    objective: dict[str, Any] = field(default_factory=dict)
    valid_up_to: float | None = None
    request_class: str | None = None
    findings: tuple[Finding, ...] = ()

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
        """JSON form (keys in docs/files.md)."""
        optional = {
            name: None if getattr(self, name) is None else getattr(self, name).to_dict()
            for name in ("max_value", "arrival_rate_rps", "in_flight")
        }
        return {
            "quantity": self.quantity.value, "value": self.value.to_dict(), **optional, "bound_by": self.bound_by,
            "request_class": self.request_class, "objective": dict(self.objective), "valid_up_to": self.valid_up_to,
            "findings": [item.to_dict() for item in self.findings],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> InstanceCapacity:
        """Read what `to_dict` wrote."""

        def interval(name: str) -> Interval | None:
            return None if data.get(name) is None else Interval.from_dict(data[name])

        return cls(
            Quantity.parse(data["quantity"]), Interval.from_dict(data["value"]), interval("max_value"),
            data.get("bound_by", "assumed"), interval("arrival_rate_rps"), interval("in_flight"),
            dict(data.get("objective", {})), data.get("valid_up_to"), data.get("request_class"),
            tuple(Finding.from_dict(item) for item in data.get("findings", ())),
        )  # fmt: skip


@dataclass(frozen=True)
class CapacityPoint:
    """One load level: what goes in and what comes out.

    Parameters
    ----------
    load : float
        In the curve's quantity.
    metrics : dict of str to Interval
    samples : dict of str to tuple of float
        The same metrics in each replication (or of each draw) of a sweep, in the same order at every
        level; empty for a recording.
    """

    load: float
    metrics: dict[str, Interval]
    samples: dict[str, tuple[float, ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class CapacityCurve:
    """Load against what the instance does with it; from a recording or from a sweep, same columns.

    Parameters
    ----------
    points : tuple of CapacityPoint
        In ascending order of load.
    source : str
        ``recording``, ``simulation`` or ``model``.
    quantity : Quantity, default users
        What the load counts.
    """

    points: tuple[CapacityPoint, ...]
    source: str
    quantity: Quantity = Quantity.USERS

    @classmethod
    def from_steps(cls, steps: Sequence[LoadStep]) -> CapacityCurve:
        """The measured curve."""
        ordered = sorted(steps, key=lambda item: item.users)
        points = tuple(CapacityPoint(item.users, dict(item.metrics)) for item in ordered)
        return cls(points, "recording", ordered[0].load_quantity if ordered else Quantity.USERS)

    @property
    def load(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Load levels, in the curve's quantity."""
        return np.array([point.load for point in self.points], dtype=float)

    @property
    def users(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Load levels of a curve over users.

        Raises
        ------
        InputError
            When the curve counts something else.
        """
        if self.quantity != Quantity.USERS:
            raise InputError(f"This curve's load counts {self.quantity}, not users; read .load instead.")
        return np.array([point.load for point in self.points], dtype=np.int64)

    def metric(self, name: str) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
        """Arrays low, mid, high of one metric over the levels."""
        chosen = [point.metrics[name] for point in self.points]
        return tuple(np.array([getattr(item, part) for item in chosen], dtype=float) for part in ("low", "mid", "high"))

    def knee(self, *, level: float = 0.9, seed: int = 1) -> CurveFeature:
        """Where more load buys more waiting than throughput: the maximum of power, goodput over residence time [1]_.

        A parabola through the logarithm of the power at the highest level and its neighbours. The interval comes from
        the knee of each replication (Student's t), of each draw (quantiles), or, for a recording, of 400
        curves drawn from its intervals; the distance between levels is not part of it.

        Parameters
        ----------
        level : float, default 0.9
            Of the interval.
        seed : int, default 1
            Of the curves drawn from a recording's intervals.

        Returns
        -------
        CurveFeature
            Without a load, and with a finding, when the power is largest at either end of the curve.

        References
        ----------
        .. [1] L. Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer
           communications", Proc. International Conference on Communications, 1979, pages 43.1.1-43.1.10.
        """
        from simulations.analysis.curve_features import knee_of

        return knee_of(self, level, seed)

    def saturation(self, *, level: float = 0.9, seed: int = 1) -> CurveFeature:
        """The plateau of the goodput: its height, and the load that reaches 98 % of it.

        The plateau is reached when the goodput falls again, or when over the last 5 % of the load or more it grows
        less than a tenth as fast as the load.

        Parameters
        ----------
        level : float, default 0.9
            Of the intervals.
        seed : int, default 1
            Of the curves drawn from a recording's intervals.

        Returns
        -------
        CurveFeature
            Without numbers, and with a finding, when the curve does not reach it.
        """
        from simulations.analysis.curve_features import saturation_of

        return saturation_of(self, level, seed)

    def to_frame(self) -> pd.DataFrame:
        """One row a level; columns users (or arrival_rate_rps), and <metric>_low, _mid, _high (SI units)."""
        import pandas as pd

        is_rate = self.quantity == Quantity.RPS
        load = self.users if self.quantity == Quantity.USERS else self.load
        columns: dict[str, Any] = {"arrival_rate_rps" if is_rate else self.quantity.value: load}
        for name in self.points[0].metrics if self.points else ():
            for part, values in zip(("low", "mid", "high"), self.metric(name), strict=True):
                columns[f"{name}_{part}"] = values
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: quantity, source, levels (load, metrics), knee and saturation."""
        levels = [
            {"load": point.load, "metrics": {name: item.to_dict() for name, item in point.metrics.items()}}
            for point in self.points
        ]
        return {
            "quantity": self.quantity.value, "source": self.source, "levels": levels,
            "knee": self.knee().to_dict(), "saturation": self.saturation().to_dict(),
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"CapacityCurve({len(self.points)} levels in {self.quantity.value} from {self.source})"


@dataclass(frozen=True)
class CurveFeature:
    """A remarkable place of a capacity curve.

    Parameters
    ----------
    name : str
        ``knee`` or ``saturation``.
    quantity : Quantity
        What the load counts.
    load, goodput_rps : Interval, optional
        Where it is and what is served there; None: the curve does not show it.
    findings : tuple of Finding
        Why not.
    """

    name: str
    quantity: Quantity
    load: Interval | None = None
    goodput_rps: Interval | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether the curve shows it."""
        return self.load is not None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "quantity": self.quantity.value,
            "load": None if self.load is None else self.load.to_dict(),
            "goodput_rps": None if self.goodput_rps is None else self.goodput_rps.to_dict(),
            "findings": [item.to_dict() for item in self.findings],
        }
