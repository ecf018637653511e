"""What a trust check is: a pure function of a recording, with a name and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtests.foundation.findings import Finding
from loadtests.recording import Recording

FALSE_ALARM_RATE = 0.001
"""What each check's threshold is set for, per recording, all of its steps and metrics together (Bonferroni).

A fifth of the 0.5 % that is promised: the distributions behind the thresholds are approximations.
"""


@dataclass(frozen=True)
class NotApplicable:
    """The recording does not hold what a check looks at.

    Parameters
    ----------
    why : str
    """

    why: str


Looked = Sequence[Finding] | NotApplicable


@dataclass(frozen=True)
class Check:
    """One trust check.

    Parameters
    ----------
    code : str
        Its name, and that of its findings.
    looks_at : str
        What it compares, in a few words.
    look : callable
        From a recording to what it found: nothing, findings, or that it does not apply.
    """

    code: str
    looks_at: str
    look: Callable[[Recording], Looked]
