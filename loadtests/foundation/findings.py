"""A finding: something a person should know about an input or a result, with its numbers and a remedy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Finding:
    """One diagnostic.

    Parameters
    ----------
    code : str
        Stable name in kebab case, for example ``littles-law``.
    severity : {"info", "warning", "critical"}
    message : str
        One or two sentences with the numbers in them.
    remedy : str
        What to do about it.
    numbers : dict, optional
        The numbers behind the message, SI units, for machines.
    """

    code: str
    severity: Severity
    message: str
    remedy: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def numbers_text(self) -> str:
        """The numbers for people: ``gate 3350; months 0, 1``; empty where there are none."""
        return "; ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.numbers.items())

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "numbers": dict(self.numbers),
            "remedy": self.remedy,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Finding:
        """Read what `to_dict` wrote."""
        return cls(data["code"], data["severity"], data["message"], data.get("remedy", ""), data.get("numbers", {}))


def _shown(value: Any) -> str:
    """A number to six digits; what is in a list or an object, one after the other."""
    if isinstance(value, dict):
        return "(" + ", ".join(f"{str(name).replace('_', ' ')} {_shown(part)}" for name, part in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
