"""What a calibration says of its own model, repeated wherever the model is used."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.foundation.findings import Finding
from simulations.calibration.result import CalibrationResult

REFUSED, DOUBTFUL = "model-refused", "model-in-doubt"


def standing_findings(fit: CalibrationResult) -> tuple[Finding, ...]:
    """One finding for all critical ones of a calibration, and one for its warnings; none for a model without either.

    Parameters
    ----------
    fit : CalibrationResult

    Returns
    -------
    tuple of Finding
        ``model-refused`` (critical) and ``model-in-doubt`` (warning), each with the codes and texts that it stands for.
    """
    critical = [item for item in fit.findings if item.severity == "critical"]
    doubts = [item for item in fit.findings if item.severity == "warning"]
    found = []
    if critical:
        found.append(
            Finding(
                REFUSED, "critical",
                f"The calibration refuses this model ({_codes(critical)}), so no number here can be relied on: "
                f"{critical[0].message}",
                critical[0].remedy or "Remove the cause, record and calibrate again.", _numbers(critical),
            )
        )  # fmt: skip
    if doubts:
        found.append(
            Finding(
                DOUBTFUL, "warning",
                f"The calibration has warnings about this model ({_codes(doubts)}): {doubts[0].message}",
                doubts[0].remedy, _numbers(doubts),
            )
        )  # fmt: skip
    return tuple(found)


def _codes(items: Sequence[Finding]) -> str:
    return ", ".join(dict.fromkeys(item.code for item in items))


def _numbers(items: Sequence[Finding]) -> dict[str, list[str]]:
    return {"codes": [item.code for item in items], "messages": [item.message for item in items]}
