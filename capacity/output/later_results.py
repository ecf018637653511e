"""Sections of a report on what came after the plan: `actuals.json` and `drift.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capacity.demand.wording import amount
from capacity.output.stored_results import read_stored
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

_ACTUALS = ("month", "planned", "actual", "of the plan", "percentile", "instances needed", "planned")
_DRIFT = ("metric", "pattern", "since window", "change against the model", "p", "windows outside")
_VERDICTS = {
    "inside": "The live service lies where the model predicts it.",
    "excursion": "Single windows lie outside what the model predicts.",
    "drift": "The live service no longer lies where the model predicts it.",
}


@dataclass(frozen=True)
class LaterSection:
    """A table with a sentence before it and findings after it."""

    title: str
    said: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    findings: tuple[Finding, ...]


def read_actuals_section(path: Path) -> LaterSection:
    """Read what `capacity actuals --out` wrote."""
    return read_stored(path, "actuals", "capacity actuals ... --out FILE", _actuals)


def read_drift_section(path: Path) -> LaterSection:
    """Read what `capacity drift --out` wrote."""
    return read_stored(path, "a drift report", "capacity drift ... --out FILE", _drift)


LATER_READERS: dict[str, Callable[[Path], LaterSection]] = {
    "actuals.json": read_actuals_section,
    "drift.json": read_drift_section,
}


def _actuals(document: Mapping[str, Any]) -> LaterSection:
    months = document["months"]
    last = months[-1]
    said = f"Month {last['month']}: {last['ratio']:.1%} of the planned peak."
    if last["percentile"] is not None:
        said += f" You are on percentile {last['percentile']:.0%} of the forecast."
    rows = tuple(
        (
            str(item["month"]), amount(item["planned"]), amount(item["actual"]), f"{item['ratio']:.1%}",
            "-" if item["percentile"] is None else f"{item['percentile']:.0%}", str(item["instances_needed"]),
            str(item["instances_planned"]),
        )
        for item in months
    )  # fmt: skip
    return LaterSection("Actuals against the plan", said, _ACTUALS, rows, _findings(document))


def _drift(document: Mapping[str, Any]) -> LaterSection:
    said = (
        f"{_VERDICTS[document['verdict']]} ({len(document['windows'])} windows, p {document['p_value']:.2f}; false "
        f"alarms in at most {document['false_alarms']:.0%} of such series.)"
    )
    rows = tuple(
        (
            name, item["pattern"], "-" if item["since_window"] is None else str(item["since_window"]),
            _change(name, item["change"]), f"{item['p_value']:.2f}", f"{item['outside_share']:.0%}",
        )
        for name, item in document["metrics"].items()
    )  # fmt: skip
    return LaterSection("Is the live service still this one?", said, _DRIFT, rows, _findings(document))


def _change(name: str, stored: dict[str, Any] | None) -> str:
    if stored is None:
        return "-"
    change = Interval.from_dict(stored).scaled(100.0)
    return change.format("+.1f", "points" if name == "shed_rate" else "%")


def _findings(document: Mapping[str, Any]) -> tuple[Finding, ...]:
    return tuple(Finding.from_dict(item) for item in document["findings"])
