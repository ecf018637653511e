"""The loads of one instance inside which a calibrated model may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadtests.foundation.units import Quantity
from loadtests.recording import LoadStep

USERS, RATE = "users", "requests per second"


@dataclass(frozen=True)
class ValidRange:
    """From the lightest to the heaviest load of one instance that a model was calibrated on.

    Beyond it a prediction rests on the model alone: it carries the finding ``beyond-calibrated-range``.

    Parameters
    ----------
    lowest, highest : float
        Load, in `unit`.
    unit : str
        ``users``; ``requests per second`` where users are not known.
    lowest_rps, highest_rps : float
        Requests per second that were seen, shed ones included.
    """

    lowest: float
    highest: float
    unit: str
    lowest_rps: float
    highest_rps: float

    @classmethod
    def of(cls, steps: Sequence[LoadStep]) -> ValidRange:
        """Of the steps that a model was calibrated on."""
        rates = [step.metrics["throughput_rps"].mid for step in steps]
        if any(step.load_quantity is not Quantity.USERS for step in steps):
            return cls(min(rates), max(rates), RATE, min(rates), max(rates))
        users = [float(step.users) for step in steps]
        return cls(min(users), max(users), USERS, min(rates), max(rates))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.lowest:,.4g} to {self.highest:,.4g} {self.unit}"
