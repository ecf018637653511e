"""Load levels from text: ``500:6000:500`` (both ends included), or ``100,200,400``."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from loadtests.foundation.errors import InputError

MOST_LEVELS = 1_000
_EXAMPLES = "write a range such as 500:6000:500, or levels such as 100,200,400"


def parse_levels(text: str, name: str) -> list[float]:
    """Read load levels, at most 1,000.

    Parameters
    ----------
    text : str
        ``FIRST:LAST:STEP``, counted in exact decimals with the last one included when the steps meet it,
        or numbers with commas between them.
    name : str
        Of the option, for messages.

    Returns
    -------
    list of float
        In the order given.

    Raises
    ------
    InputError
        For no numbers, a step of 0, a range that ends before it begins, or too many levels.
    """
    if ":" in text:
        return [float(item) for item in _range(text, name)]
    parts = [part for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError(f"{name} is {text!r}, without any level; {_EXAMPLES}.")
    if len(parts) > MOST_LEVELS:
        raise InputError(f"{name} has {len(parts):,} levels, more than {MOST_LEVELS:,}; choose fewer.")
    return [float(_number(part, text, name)) for part in parts]


def parse_load(text: str, name: str) -> float:
    """Read one load: a single number."""
    return float(_number(text, text, name, "write one number, for example 240"))


def _range(text: str, name: str) -> list[Decimal]:
    parts = text.split(":")
    if len(parts) != 3:
        raise InputError(f"{name} is {text!r}; a range has three parts, FIRST:LAST:STEP, for example 500:6000:500.")
    first, last, step = (_number(part, text, name) for part in parts)
    if step <= 0:
        raise InputError(f"{name} is {text!r} with a step of {step}; the step must be above 0.")
    if last < first:
        raise InputError(f"{name} is {text!r}; the range must not end ({last}) before it begins ({first}).")
    count = int((last - first) / step) + 1
    if count > MOST_LEVELS:
        raise InputError(f"{name} is {text!r}, {count:,} levels, more than {MOST_LEVELS:,}; choose a larger step.")
    return [first + step * number for number in range(count)]


def _number(part: str, text: str, name: str, advice: str = _EXAMPLES) -> Decimal:
    try:
        number = Decimal(part.strip().replace("_", ""))
    except InvalidOperation:
        raise InputError(f"{name} is {text!r}; {part.strip()!r} is not a number: {advice}.") from None
    if not number.is_finite() or number.adjusted() > 12:
        raise InputError(f"{name} is {text!r}; {part.strip()!r} is not a finite number of sensible size: {advice}.")
    return number
