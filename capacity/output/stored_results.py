"""Finds and reads what a report is made of; a file that does not hold what its name says is an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json
from loadtests.foundation.intervals import Interval
from loadtests.store import MANIFEST
from simulations.analysis.capacity_curve import InstanceCapacity

T = TypeVar("T")

_ERRORS = (KeyError, TypeError, AttributeError, ValueError, IndexError)


def find_recording(folder: Path) -> Path | None:
    """The folder itself, its ``recording``, or its only folder that is a recording."""
    named = [place for place in (folder, folder / "recording") if (place / MANIFEST).is_file()]
    if named:
        return named[0]
    return _only("recording", (path.parent for path in folder.glob(f"*/{MANIFEST}")))


def find_file(folder: Path, name: str) -> Path | None:
    """A file of the folder, or the only one of that name one folder down."""
    direct = folder / name
    return direct if direct.is_file() else _only(name, folder.glob(f"*/{name}"))


def find_capacity(folder: Path) -> Path | None:
    """``capacity.json`` of the folder, or the only one beside a plan; several plans say their capacities themselves."""
    if (folder / "capacity.json").is_file():
        return folder / "capacity.json"
    beside_plans = [path for path in folder.glob("*/capacity.json") if path.with_name("plan.json").is_file()]
    return beside_plans[0] if len(beside_plans) == 1 else None


def find_plans(folder: Path) -> list[Path]:
    """Every ``plan.json``, of the folder and one folder down; not the load plan that a recording keeps."""
    of_locust = folder / "locust" / "plan.json" if (folder / "manifest.json").is_file() else None
    return sorted(path for path in (*folder.glob("plan.json"), *folder.glob("*/plan.json")) if path != of_locust)


def _only(what: str, places: Iterable[Path]) -> Path | None:
    found = sorted(places)
    if len(found) > 1:
        listed = ", ".join(map(str, found))
        raise InputError(f"There is more than one {what} to report on: {listed}. Name the folder of one of them.")
    return found[0] if found else None


def read_capacity(path: Path) -> InstanceCapacity:
    """Read ``capacity.json``."""
    document = read_json(path, "capacity file")
    return _read(path, "a capacity", "capacity plan --model ... --out DIR", lambda: _capacity(document))


def read_validation(path: Path) -> dict[str, Any]:
    """Read ``validation.json`` and check that all is there that a report shows."""
    document = read_json(path, "validation file")
    _read(path, "a validation", "capacity validate ... --out FILE", lambda: _check_validation(document))
    return document


def read_stored(path: Path, what: str, command: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Read a document of a command; one that does not hold what its name says is an error that names it."""
    document = read_json(path, f"{what} file")
    return _read(path, what, command, lambda: read(document))


def _read(path: Path, what: str, command: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except _ERRORS as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"The file {path} does not hold {what} ({reason}); write it anew with `{command}`, or move it away."
        ) from None


def _capacity(document: Mapping[str, Any]) -> InstanceCapacity:
    return InstanceCapacity.from_dict(document["instance_capacity"])


def _check_validation(document: Mapping[str, Any]) -> None:
    _texts(document, "verdict")
    _numbers(document, "interval_coverage")
    medians = document["median_relative_error"]
    _numbers(medians, *medians)
    for errors in document["baselines"].values():
        _numbers(errors, *medians)
    for step in document["steps"]:
        _numbers(step, "step", "users", "inside_calibrated_range")
        _texts(step, "region")
        for metric in step["metrics"].values():
            Interval.from_dict(metric["predicted"])
            _numbers(metric, "measured", "relative_error", "absolute_error", "limit", "passes")


def _texts(part: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(part[name], str):
            raise TypeError(f"{name} is {part[name]!r}, not a word")


def _numbers(part: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if not isinstance(part[name], (int, float, type(None))):
            raise TypeError(f"{name} is {part[name]!r}, not a number")
