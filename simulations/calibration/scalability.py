"""Contention and coherency of a recorded server, beside what its calibrated model shows at the same loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtests.foundation.intervals import Interval

_INTERVALS = ("contention", "coherency", "single_rps", "modelled_loss")


@dataclass(frozen=True)
class Scalability:
    """The Universal Scalability Law [1]_ through the steps of a recording: served requests over requests inside.

    It describes; predictions do not use it. A line of workers bends the curve too, so what counts is how far the
    measured loss lies above the one that the model shows.

    Parameters
    ----------
    contention, coherency : Interval
        Alpha and beta, for each served request inside (mean number, by Little's law).
    single_rps : Interval
        Gamma: requests per second with one request inside at a time.
    measured_loss : float
        Share of the throughput that coherency takes at the heaviest load, beta N (N - 1) over the law's divisor.
    modelled_loss : Interval
        The same of windows that the calibrated model shows.
    load, throughput_rps : tuple of float
        What was fitted.

    References
    ----------
    .. [1] N. J. Gunther, Guerrilla Capacity Planning, Springer, 2007, chapters 4 to 6.
    """

    contention: Interval
    coherency: Interval
    single_rps: Interval
    measured_loss: float
    modelled_loss: Interval
    load: tuple[float, ...] = field(repr=False)
    throughput_rps: tuple[float, ...] = field(repr=False)

    @property
    def text(self) -> str:
        """For people."""
        return (
            f"scalability law: contention {self.contention}, coherency {self.coherency} a request inside; at the "
            f"heaviest load coherency takes {self.measured_loss:.1%} of the throughput, and the model, which has none, "
            f"looks like {self.modelled_loss.low:.1%} to {self.modelled_loss.high:.1%}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **{name: getattr(self, name).to_dict() for name in _INTERVALS}, "measured_loss": self.measured_loss,
            "load": list(self.load), "throughput_rps": list(self.throughput_rps),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scalability:
        """Read what `to_dict` wrote."""
        intervals = {name: Interval.from_dict(data[name]) for name in _INTERVALS}
        lists = {name: tuple(float(value) for value in data[name]) for name in ("load", "throughput_rps")}
        return cls(**intervals, measured_loss=float(data["measured_loss"]), **lists)  # type: ignore[arg-type]
