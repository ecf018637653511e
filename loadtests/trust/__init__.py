"""Checks that make a recording believable, and the verdict that they add up to."""

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from loadtests.trust.judge import check_recording
    from loadtests.trust.report import CheckResult, TrustReport

__all__ = ["CheckResult", "TrustReport", "check_recording"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "CheckResult": "loadtests.trust.report",
        "TrustReport": "loadtests.trust.report",
        "check_recording": "loadtests.trust.judge",
    },
)
