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
