"""Where a noisy, nearly monotone excess over a limit crosses zero, in as few simulations as possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Excess = Callable[[float], float]

_NEAREST = 0.1
"""The next load tried is no closer to an end of the bracket than this share of it."""


@dataclass(frozen=True)
class LoadScale:
    """Loads that can be tried.

    Parameters
    ----------
    is_whole : bool
        Only whole loads (users).
    least : float
        The lightest load that is tried; a lighter one counts as within every limit.
    most : float
        A load that no limit survives.
    """

    is_whole: bool
    least: float
    most: float

    def rounded(self, load: float) -> float:
        """The nearest load that can be tried."""
        return float(round(load)) if self.is_whole else load

    def is_close(self, low: float, high: float, share: float) -> bool:
        """Whether a bracket is no wider than a share of the load, or than one user."""
        return high - low <= max(1.0 if self.is_whole else 0.0, share * low)


@dataclass(frozen=True)
class Bracket:
    """A load within the limit and one beyond it, each with its excess."""

    low: float
    high: float
    at_low: float
    at_high: float

    @property
    def crossing(self) -> float:
        """Where a straight line between the ends is 0; the lower end where it cannot be drawn."""
        if not (math.isfinite(self.at_low) and math.isfinite(self.at_high)) or self.at_high <= self.at_low:
            return self.low
        return self.low + (self.high - self.low) * min(-self.at_low / (self.at_high - self.at_low), 1.0)


def crossing(excess: Excess, scale: LoadScale, around: Bracket, closeness: float = 0.005) -> float:
    """The load at which `excess` becomes positive, inside a bracket.

    Regula falsi, kept away from the ends of the bracket so that it always shrinks (by at least a tenth).

    Parameters
    ----------
    excess : callable
        Of a load; positive beyond the limit, infinity where nothing is known.
    scale : LoadScale
    around : Bracket
    closeness : float, default 0.005
        Width of the bracket, as a share of the load, across which a straight line is good enough.

    Returns
    -------
    float
        0 for a bracket that begins there. Not rounded: between two whole loads, where the line between
        their excesses crosses 0.
    """
    found = around
    while found.low > 0 and not scale.is_close(found.low, found.high, closeness):
        middle = _next(found, scale)
        value = excess(middle)
        if value > 0:
            found = Bracket(found.low, middle, found.at_low, value)
        else:
            found = Bracket(middle, found.high, value, found.at_high)
    return found.crossing


def known_bracket(excess: Excess, known: Iterable[float], width: float) -> Bracket | None:
    """The bracket between two of the loads that have been simulated, when it is no wider than a share of the load."""
    tried = {load: excess(load) for load in known}
    high = min((load for load, value in tried.items() if value > 0), default=math.inf)
    low = max((load for load, value in tried.items() if value <= 0 and load < high), default=0.0)
    return Bracket(low, high, tried[low], tried[high]) if low > 0 and high - low <= width * low else None


def bracket(excess: Excess, scale: LoadScale, guess: float, width: float) -> Bracket:
    """A bracket around a guess, opened by doubling `width` (a share of the guess) until it holds the crossing.

    The lower end is 0, with an excess of minus infinity, when even the lightest load is beyond the limit;
    the upper end is `scale.most`, taken as beyond, when nothing below it is.
    """
    low = high = min(max(scale.rounded(guess), scale.least), scale.most)
    at_low = at_high = excess(low)
    step = max(width * guess, 1.0 if scale.is_whole else 0.0)
    while at_low > 0:
        high, at_high = low, at_low
        if low <= scale.least:
            return Bracket(0.0, high, -math.inf, at_high)
        low, step = max(scale.rounded(low - step), scale.least), 2 * step
        at_low = excess(low)
    while at_high <= 0:
        low, at_low = high, at_high
        if high >= scale.most:
            return Bracket(low, high, at_low, math.inf)
        high, step = min(scale.rounded(high + step), scale.most), 2 * step
        at_high = excess(high)
    return Bracket(low, high, at_low, at_high)


def _next(found: Bracket, scale: LoadScale) -> float:
    width = found.high - found.low
    line = found.crossing if math.isfinite(found.at_low + found.at_high) else found.low + width / 2
    middle = scale.rounded(min(max(line, found.low + _NEAREST * width), found.high - _NEAREST * width))
    # A whole load strictly inside: the bracket is wider than one.
    return min(max(middle, found.low + 1), found.high - 1) if scale.is_whole else middle
