"""Where in a run its levels are, and from when on they are steady."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadtests.importing.history import History

SETTLE_S, SETTLE_SHARE = 12.0, 0.25
"""Dropped after the ramp: 12 s, which is how far Locust's smoothed numbers look back, but at most a quarter."""
SHORTEST_PLATEAU_S = 10.0


@dataclass(frozen=True)
class Plateau:
    """A stretch of constant users, seconds since the epoch."""

    users: int
    start_s: float
    end_s: float


def plateaus(history: History) -> tuple[Plateau, ...]:
    """Stretches of at least 10 s over which User Count stays the same, in order of time."""
    users = np.nan_to_num(history.users, nan=-1.0)
    borders = np.flatnonzero(np.diff(users)) + 1
    starts, ends = np.concatenate([[0], borders]), np.concatenate([borders, [len(users)]]) - 1
    found = [
        Plateau(int(users[first]), float(history.time_s[first]), float(history.time_s[last]))
        for first, last in zip(starts, ends, strict=True)
    ]
    return tuple(item for item in found if item.users > 0 and item.end_s - item.start_s >= SHORTEST_PLATEAU_S)


def reached_s(history: History | None, users: int, start_s: float, end_s: float) -> float:
    """When from `start_s` on the users all ran, by User Count; NaN when that is not known, infinite for never."""
    if history is None or not np.isfinite(history.users).any():
        return math.nan
    inside = (history.time_s >= start_s - 1) & (history.time_s < end_s)
    at = history.time_s[inside & (history.users == users)]
    return max(float(at[0]), start_s) if at.size else math.inf


def settled_s(reached: float, start_s: float, end_s: float) -> float:
    """From when on a level counts as steady: a settling time after its users were reached.

    Without User Count the settling time counts from the start; it is then a quarter, as the ramp
    is in it.
    """
    if math.isnan(reached):
        return start_s + SETTLE_SHARE * (end_s - start_s)
    return reached + min(SETTLE_S, SETTLE_SHARE * max(end_s - reached, 0.0))
