"""The trust report: a verdict, what was found, and what each check did."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import pandas as pd

from loadtests.foundation.findings import Finding

Verdict = Literal["trusted", "usable-with-caveats", "refused"]
CheckState = Literal["ok", "fired", "not-applicable"]

_ORDER = {"critical": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class CheckResult:
    """What one check did.

    Parameters
    ----------
    code : str
    looks_at : str
    state : {"ok", "fired", "not-applicable"}
        Statements (severity info) leave a check ok.
    why : str
        Why it does not apply, or what it said; empty where it found nothing.
    """

    code: str
    looks_at: str
    state: CheckState
    why: str = ""

    def to_dict(self) -> dict[str, str]:
        """JSON form."""
        return {"code": self.code, "looks_at": self.looks_at, "state": self.state, "why": self.why}


@dataclass(frozen=True, repr=False)
class TrustReport:
    """Whether a recording can be believed.

    Parameters
    ----------
    findings : tuple of Finding
        Of the checks, and those that whoever made the recording stated; most severe first.
    checks : tuple of CheckResult
        One a check.
    """

    findings: tuple[Finding, ...]
    checks: tuple[CheckResult, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.findings, key=lambda item: _ORDER[item.severity])
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def verdict(self) -> Verdict:
        """``refused`` with a critical finding, ``usable-with-caveats`` with a warning, otherwise ``trusted``."""
        severities = {item.severity for item in self.findings}
        if "critical" in severities:
            return "refused"
        return "usable-with-caveats" if "warning" in severities else "trusted"

    @property
    def fired(self) -> tuple[str, ...]:
        """Codes of the checks that fired."""
        return tuple(item.code for item in self.checks if item.state == "fired")

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "verdict": self.verdict,
            "findings": [item.to_dict() for item in self.findings],
            "checks": [item.to_dict() for item in self.checks],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrustReport:
        """Read what `to_dict` wrote; the verdict follows from the findings.

        Parameters
        ----------
        data : dict

        Returns
        -------
        TrustReport
        """
        return cls(
            tuple(Finding.from_dict(item) for item in data["findings"]),
            tuple(CheckResult(**item) for item in data["checks"]),
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a check: code, looks_at, state, why."""
        return pd.DataFrame([item.to_dict() for item in self.checks], columns=["code", "looks_at", "state", "why"])

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        for item in self.findings:
            lines.append(f"  {item.severity}: {item.message} [{item.code}]")
            lines += [f"    {item.remedy}"] if item.remedy else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        states = [item.state for item in self.checks]
        return (
            f"TrustReport({self.verdict}: {states.count('ok')} checks ok, {states.count('fired')} fired, "
            f"{states.count('not-applicable')} not applicable)"
        )

    def _repr_html_(self) -> str:
        found = "".join(
            f"<li>{escape(item.severity)}: {escape(item.message)} <em>{escape(item.remedy)}</em></li>"
            for item in self.findings
        )
        return f"<p>{escape(repr(self))}</p><ul>{found}</ul>{self.to_frame().to_html(index=False)}"
