"""Numbers as people wrote them: each is read as its shortest decimal, then counted exactly.

The double nearest to 1.1 lies a little above it, so 33,500 / 3,350 x 1.1 in
doubles is a little above 11 and its ceiling is 12. Read as decimals it is 11.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from numbers import Real

from loadtests.foundation.errors import InputError

Number = int | float | Decimal | Fraction

_SIGNIFICANT_DIGITS = 12


def exact(name: str, value: Number) -> Fraction:
    """Return `value` as a fraction, a float as its shortest decimal (0.1 is one tenth).

    Parameters
    ----------
    name : str
        What the number is, for the error.
    value : int, float, Decimal, Fraction or a numpy scalar

    Raises
    ------
    InputError
        For text, booleans, NaN, infinities and what a double cannot reach.
    """
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise InputError(f"{name} is {value!r}; it must be a number.")
    if not _is_representable(value):
        raise InputError(f"{name} is {value!r}; it must be a finite number.")
    return Fraction(str(value))


def _is_representable(value: Number) -> bool:
    """Whether a double can hold the magnitude: refuses NaN, infinities and decimals like 1e999999."""
    try:
        nearest = float(value)
    except (OverflowError, ValueError):
        return False
    return math.isfinite(nearest) and (nearest != 0.0 or value == 0)


def plain(value: Fraction | float) -> int | float:
    """Return an int where `value` is whole, else a float of 12 significant digits (for JSON and tables)."""
    if value == int(value):
        return int(value)
    try:
        return float(f"{float(value):.{_SIGNIFICANT_DIGITS}g}")
    except OverflowError:
        raise InputError("A result is beyond 1e308; check the units of the numbers that were given.") from None
