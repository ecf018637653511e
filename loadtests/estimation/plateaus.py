"""Plateaus of a load: stretches with the same number of users, found in a series of user counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plateau:
    """A stretch of constant users.

    Parameters
    ----------
    step : int
        Number, from 1.
    users : int
    start_s, end_s : float
        From the first sample that shows these users to the last, on the clock of the series.
    """

    step: int
    users: int
    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s


def find_plateaus(times: ArrayLike, users: ArrayLike, *, shortest_s: float = 10.0) -> tuple[Plateau, ...]:
    """Stretches of at least `shortest_s` with constant users; what lies between them is a ramp.

    Parameters
    ----------
    times : array_like of float, shape (n,)
        When the users were counted, seconds, ascending.
    users : array_like of int, shape (n,)
    shortest_s : float, default 10
        Shorter stretches count as part of a ramp.

    Returns
    -------
    tuple of Plateau
        In the order of time, numbered from 1; without stretches of no users.

    Raises
    ------
    InputError
        When the two differ in length, times are not ascending, or users are no whole numbers from 0; all
        problems at once.
    """
    positive("shortest_s", shortest_s)
    at, count = np.asarray(times, dtype=float), np.asarray(users, dtype=float)
    _refuse_no_series(at, count)
    if at.size == 0:
        return ()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(count)) + 1])
    ends = np.concatenate([starts[1:] - 1, [at.size - 1]])
    kept = [
        (int(count[first]), float(at[first]), float(at[last]))
        for first, last in zip(starts, ends, strict=True)
        if count[first] > 0 and at[last] - at[first] >= shortest_s
    ]
    return tuple(Plateau(number, *item) for number, item in enumerate(kept, start=1))


def _refuse_no_series(at: Floats, count: Floats) -> None:
    problems = []
    if at.ndim != 1 or at.shape != count.shape:
        problems.append(f"times have the shape {at.shape} and users {count.shape}; give one number of users a time")
    else:
        behind = ~np.isfinite(at) | (np.diff(at, prepend=at[:1]) < 0)
        problems += [
            f"times must ascend, and the one at place {place} ({at[place]}) does not; sort the rows by time"
            for place in np.flatnonzero(behind)[:1]
        ]
    wrong = count[~(np.isfinite(count) & (count >= 0) & (count == np.round(count)))]
    if wrong.size:
        problems.append(f"users must be whole numbers from 0; {wrong.size} are not, the first is {wrong[0]}")
    if problems:
        raise InputError("No plateaus can be found: " + "; ".join(problems) + ".")
