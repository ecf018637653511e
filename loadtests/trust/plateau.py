"""One step of a recording as arrays: who was inside when, block by block of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.recording import LoadStep, Recording

Floats = NDArray[np.float64]
TURNED_AWAY = ("shed", "rate_limited")
"""Outcomes of requests that never got a place."""


@dataclass(frozen=True)
class Plateau:
    """The requests of one steady window, those that cross its borders included.

    Parameters
    ----------
    step : LoadStep
    start_s, finish_s : array of float
        Sending and finishing times of every request that was inside at some time of the window.
    """

    step: LoadStep
    start_s: Floats
    finish_s: Floats

    @property
    def finished_s(self) -> Floats:
        """Finishing times inside the window, ascending."""
        return np.sort(self.finish_s[(self.finish_s >= self.step.start_s) & (self.finish_s < self.step.end_s)])

    @property
    def started_s(self) -> Floats:
        """Sending times inside the window, ascending."""
        return np.sort(self.start_s[(self.start_s >= self.step.start_s) & (self.start_s < self.step.end_s)])

    @property
    def cycle_s(self) -> float:
        """A user's mean cycle (residence plus gap) by N = X (R + Z), seconds; infinite without requests."""
        count = self.finished_s.size
        return self.step.users * self.step.window_s / count if count else float("inf")

    def edges_s(self, blocks: int) -> Floats:
        """Borders of equal blocks of the window."""
        return np.linspace(self.step.start_s, self.step.end_s, blocks + 1)

    def in_flight(self, edges_s: Floats) -> Floats:
        """Mean number of requests inside, for each block between two edges."""
        return np.asarray(np.diff(clipped_integral(self.start_s, self.finish_s, edges_s)) / np.diff(edges_s))

    def throughput(self, edges_s: Floats) -> Floats:
        """Requests finished a second, for each block between two edges."""
        return np.asarray(np.diff(np.searchsorted(self.finished_s, edges_s)) / np.diff(edges_s))


def plateau_of(recording: Recording, step: LoadStep, *, only_admitted: bool = False) -> Plateau:
    """Take a step's requests out of the table.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
    only_admitted : bool, default False
        Leave out the requests that were turned away.

    Returns
    -------
    Plateau
    """
    start, finish = (recording.requests[name].to_numpy(dtype=float) for name in ("start_s", "finish_s"))
    inside = np.flatnonzero((finish >= step.start_s) & (start < step.end_s))
    if only_admitted:
        inside = inside[~recording.requests["outcome"].iloc[inside].isin(TURNED_AWAY).to_numpy()]
    return Plateau(step, start[inside], finish[inside])


def clipped_integral(begin_s: Floats, end_s: Floats, at_s: Floats) -> Floats:
    """Integral of the number of open intervals from the distant past up to each time.

    Parameters
    ----------
    begin_s, end_s : array of float
        Intervals.
    at_s : array of float
        Times, ascending.

    Returns
    -------
    array of float
        Sum over the intervals of the part before each time.
    """
    return _passed(begin_s, at_s) - _passed(end_s, at_s)


def _passed(moments_s: Floats, at_s: Floats) -> Floats:
    """Sum over the moments before each time of how long ago they were."""
    ordered = np.sort(moments_s)
    before = np.searchsorted(ordered, at_s)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    return np.asarray(before * at_s - sums[before])
