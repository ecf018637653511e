"""Scripted faults: what goes wrong on a staging server, and when.

Text form, times as everywhere (``500ms``, ``5s``, ``2m``), counted from the moment
the server is ready; a duration may be ``forever``:

==================================  ====================================================
``stall:AT:DURATION[:loop]``        the event loop is frozen: nothing at all is answered
``stall:AT:DURATION:workers``       no service starts or ends; health routes answer
``slow-database:AT:DURATION:F``     queries hold their connection F times as long
``slow-start:AT:DURATION:F``        ``/ready`` says 503, service and CPU time are F-fold
``reset:AT:DURATION:P``             connections are reset without an answer, probability P
``error:AT:DURATION:P``             500 instead of an answer, probability P
``rate-limit:AT:DURATION:RATE``     429 for what one client address sends beyond RATE a second
``forgetful-gate:AT:DURATION:EVERY``  the gate's counter is set to 0 by the first request
                                    more than EVERY after the last time
``crash:AT``                        the process ends at once with exit code 70
==================================  ====================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.foundation.checks import one_of, positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import read_json
from loadtests.foundation.units import parse_duration_s, parse_fraction

CRASH_EXIT_CODE = 70
FOREVER = "forever"
LOOP, WORKERS = "loop", "workers"

Value = float | str | None
_GRAMMAR = (
    "stall:AT:DURATION[:loop|workers], slow-database:AT:DURATION:FACTOR, slow-start:AT:DURATION:FACTOR, "
    "reset:AT:DURATION:PROBABILITY, error:AT:DURATION:PROBABILITY, rate-limit:AT:DURATION:RATE, "
    "forgetful-gate:AT:DURATION:EVERY or crash:AT"
)


def _factor(value: str | float) -> float:
    return positive("the factor", value)  # type: ignore[arg-type]


def _stalled(value: str | float) -> str:
    return one_of("what stalls", str(value), (LOOP, WORKERS))


def _every(value: str | float) -> float:
    return positive("the time between two resets", parse_duration_s(value, "the time between two resets"))


def _rate(value: str | float) -> float:
    return positive("the rate", value)  # type: ignore[arg-type]


def _probability(value: str | float) -> float:
    return parse_fraction(value, "the probability")


_VALUES: dict[str, Callable[[str | float], float | str]] = {
    "stall": _stalled,
    "slow-database": _factor,
    "slow-start": _factor,
    "reset": _probability,
    "error": _probability,
    "rate-limit": _rate,
    "forgetful-gate": _every,
}
KINDS = (*_VALUES, "crash")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    at_s : float
        Start, seconds after the server is ready.
    duration_s : float
        Length in seconds; infinite: until the server ends. 0 for a crash.
    value : float or str, optional
        By kind: what stalls (``loop``, the default, or ``workers``), a factor, a probability,
        a rate per second, seconds between two resets of the gate; nothing for a crash.

    Raises
    ------
    InputError
        For an unknown kind or a number out of range.
    """

    kind: str
    at_s: float
    duration_s: float = 0.0
    value: Value = None

    def __post_init__(self) -> None:
        one_of("the kind of a fault", self.kind, KINDS)
        object.__setattr__(self, "at_s", parse_duration_s(self.at_s, "the start of a fault"))
        if self.kind == "crash":
            if self.duration_s or self.value is not None:
                raise InputError("A crash has a start and nothing else: crash:AT.")
            return
        object.__setattr__(self, "duration_s", _duration_s(self.duration_s))
        value = LOOP if self.kind == "stall" and self.value is None else self.value
        if value is None:
            raise InputError(f"A fault {self.kind} needs a last part; write one of {_GRAMMAR}.")
        object.__setattr__(self, "value", _VALUES[self.kind](value))
        if self.kind == "stall" and self.value == LOOP and math.isinf(self.duration_s):
            raise InputError("A stall of the event loop needs an end: it could never be stopped otherwise.")

    @property
    def end_s(self) -> float:
        """When it is over, seconds after the server is ready."""
        return self.at_s + self.duration_s

    def text(self) -> str:
        """The text form."""
        if self.kind == "crash":
            return f"crash:{self.at_s:.12g}s"
        duration = FOREVER if math.isinf(self.duration_s) else f"{self.duration_s:.12g}s"
        value = self.value if isinstance(self.value, str) else f"{self.value:.12g}"
        return f"{self.kind}:{self.at_s:.12g}s:{duration}:{value}"


def _duration_s(given: str | float) -> float:
    if given in (FOREVER, math.inf):
        return math.inf
    return positive("the duration of a fault", parse_duration_s(given, "the duration of a fault"))


def parse_fault(text: str) -> Fault:
    """Read the text form.

    Parameters
    ----------
    text : str
        Such as ``stall:5s:2s``; the module's docstring has the grammar.

    Returns
    -------
    Fault

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    kind, *parts = text.strip().lower().split(":")
    fewest = 1 if kind == "crash" else 2
    if kind not in KINDS or not fewest <= len(parts) <= (1 if kind == "crash" else 3):
        raise InputError(f"The fault {text!r} is not known; write {_GRAMMAR}, for example slow-database:10s:30s:5.")
    start_s = parse_duration_s(parts[0], "the start of a fault")
    duration_s = _duration_s(parts[1]) if len(parts) > 1 else 0.0
    try:
        return Fault(kind, start_s, duration_s, parts[2] if len(parts) > 2 else None)
    except InputError as error:
        raise InputError(f"The fault {text!r} cannot be read: {error}") from None


def parse_faults(items: Iterable[Fault | str | dict[str, Any]]) -> tuple[Fault, ...]:
    """Faults given as texts, as objects of a script or as they are; all problems in one error.

    Parameters
    ----------
    items : iterable of Fault, str or dict
        An object has the keys ``kind``, ``at_s``, ``duration_s`` (a number or ``"forever"``) and ``value``.

    Returns
    -------
    tuple of Fault

    Raises
    ------
    InputError
        Listing everything that cannot be read.
    """
    found, problems = [], []
    for item in items:
        try:
            found.append(_fault(item))
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    return tuple(found)


def _fault(item: Fault | str | dict[str, Any]) -> Fault:
    if isinstance(item, Fault):
        return item
    if isinstance(item, str):
        return parse_fault(item)
    if isinstance(item, dict) and {"kind", "at_s"} <= set(item) <= {"kind", "at_s", "duration_s", "value"}:
        return Fault(**item)
    raise InputError(
        f"A fault is given as {item!r}; write its text, or an object with kind, at_s, duration_s and value."
    )


def read_fault_script(path: str | Path) -> tuple[Fault, ...]:
    """Read a script of faults: JSON, ``{"faults": ["stall:5s:2s", {"kind": "crash", "at_s": 60}]}``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    tuple of Fault

    Raises
    ------
    InputError
        When the file cannot be read or does not hold such a list; all its problems in one error.
    """
    document = read_json(Path(path), "fault script")
    faults = document.get("faults") if isinstance(document, dict) else None
    if not isinstance(faults, list) or set(document) - {"faults", "schema_version"}:
        raise InputError(
            f'The fault script {path} must be an object with a list "faults", such as {{"faults": ["stall:5s:2s"]}}.'
        )
    return parse_faults(faults)
