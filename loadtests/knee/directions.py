"""What a directed load test is asked for: a level of users, until another one is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Directions:
    """The level of now.

    Parameters
    ----------
    step : int
        Number of the step, from 1; another number is a new step, also of the same users.
    users : int
        0 ends the test.
    ramp_within_s : float
        A third of this is the longest that the ramp may take.
    spawn_rate : float, optional
        Users a second; absent: chosen by the change.
    """

    step: int
    users: int
    ramp_within_s: float
    spawn_rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Directions:
        """Read what `to_dict` wrote."""
        return cls(data["step"], data["users"], data["ramp_within_s"], data["spawn_rate"])
