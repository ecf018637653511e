"""The further load step that would tell the most."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from simulations.calibration.valid_range import USERS


@dataclass(frozen=True)
class NextStep:
    """A step that is worth recording.

    Parameters
    ----------
    load : float
        In `unit`: users, or requests per second of an open load.
    shrinks : dict of str to float
        Factor by which the standard error of each parameter would shrink, as far as the linearised fit tells.
    reason : str
    unit : str, default "users"
    """

    load: float
    shrinks: dict[str, float]
    reason: str
    unit: str = USERS

    @property
    def text(self) -> str:
        """For people."""
        return f"record a step at {self.load:g} {self.unit}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)
