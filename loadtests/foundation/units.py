"""One grammar for durations, fractions and typed amounts of load.

Durations: ``50ms``, ``0.05``, ``30s``, ``2m``, ``1h`` (bare numbers are seconds).
Fractions: ``0.1%``, ``0.001``.
"""

from __future__ import annotations

import re
from enum import StrEnum

from loadtests.foundation.checks import finite
from loadtests.foundation.errors import InputError

_SECONDS_PER_UNIT = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"^\s*([0-9.eE+-]+)\s*([a-z]*)\s*$")


class Quantity(StrEnum):
    """What a load or a capacity counts. ``ccu`` is the guide's unspecified count."""

    USERS = "users"
    CONNECTIONS = "connections"
    IN_FLIGHT = "in_flight"
    RPS = "rps"
    CCU = "ccu"

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Read a quantity's name; the error lists the allowed ones."""
        try:
            return cls(text)
        except ValueError:
            allowed = ", ".join(item.value for item in cls)
            raise InputError(f"The quantity {text!r} is not known; it must be one of {allowed}.") from None


def parse_duration_s(text: str | float, name: str = "duration") -> float:
    """Return seconds, at least 0, from text such as ``50ms``, ``0.05`` or ``30s``."""
    match = _DURATION.match(str(text))
    if match is None or match.group(2) not in _SECONDS_PER_UNIT:
        raise InputError(f"{name} is {text!r}; write it as 50ms, 0.05, 30s, 2m or 1h (bare numbers are seconds).")
    seconds = finite(name, _number(match.group(1), name, text)) * _SECONDS_PER_UNIT[match.group(2)]
    if seconds < 0:
        raise InputError(f"{name} is {text!r}; it must not be negative.")
    return seconds


def parse_fraction(text: str | float, name: str = "fraction") -> float:
    """Return a fraction in 0..1 from text such as ``0.1%`` or ``0.001``."""
    plain = str(text).strip()
    scale = 0.01 if plain.endswith("%") else 1.0
    value = finite(name, _number(plain.rstrip("% "), name, text)) * scale
    if not 0.0 <= value <= 1.0:
        raise InputError(f"{name} is {text!r}; it must lie between 0 and 1 (or 0% and 100%).")
    return value


def _number(digits: str, name: str, given: str | float) -> float:
    try:
        return float(digits)
    except ValueError:
        raise InputError(f"{name} is {given!r}; it must be a number with an optional unit.") from None


def format_duration(seconds: float) -> str:
    """Seconds for people: ``0.8 ms``, ``53.1 ms``, ``1.25 s``, ``2.5 min``."""
    if seconds < 1.0:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
