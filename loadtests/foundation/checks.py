"""Small checks of inputs, each with a message that names the value, the rule and the remedy."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import Any

from loadtests.foundation.errors import InputError


def finite(name: str, value: float) -> float:
    """Return `value` as a float; refuse NaN, infinities and what is not a number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; it must be a number.") from None
    except OverflowError:
        raise InputError(f"{name} has more digits than a number can have here; it must be below 1e308.") from None
    if not math.isfinite(number):
        raise InputError(f"{name} is {value!r}; it must be a finite number.")
    return number


def stated_number(name: str, value: object, *, alternative: str = "") -> float:
    """Return a number from a file as a finite float; refuse text and truth values, which `finite` would convert."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} is {value!r}; it must be a number (in a file: without quotes){alternative}.")
    return finite(name, value)  # type: ignore[arg-type]


def positive(name: str, value: float) -> float:
    """Return `value` as a finite float above 0."""
    number = finite(name, value)
    if number <= 0:
        raise InputError(f"{name} is {value!r}; it must be above 0.")
    return number


def non_negative(name: str, value: float) -> float:
    """Return `value` as a finite float of at least 0."""
    number = finite(name, value)
    if number < 0:
        raise InputError(f"{name} is {value!r}; it must be 0 or more.")
    return number


def whole(name: str, value: float, *, least: int = 0, most: int | None = None) -> int:
    """Return `value` as an int of at least `least` (and at most `most`); refuse fractions."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else finite(name, value)
    allowed = f"a whole number of at least {least}" + ("" if most is None else f" and at most {most}")
    if number != int(number) or number < least or (most is not None and number > most):
        raise InputError(f"{name} is {value!r}; it must be {allowed}.")
    return int(number)


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return `value` when it is one of `allowed`."""
    if value not in allowed:
        raise InputError(f"{name} is {value!r}; it must be one of {', '.join(sorted(allowed))}.")
    return value


def named_values(what: str, data: object, allowed: Collection[str] | None = None) -> dict[str, Any]:
    """Return an object of a file as a dict; refuse what is no object, and names that are not `allowed` (None: any)."""
    if not isinstance(data, Mapping):
        raise InputError(f"The {what} is {data!r}; it must be an object with named values.")
    unknown = sorted(set(map(str, data)) - set(data if allowed is None else allowed))
    if allowed is not None and unknown:
        raise InputError(f"The {what} has no {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}.")
    return dict(data)
