"""Paths of growth: positions in the ranges of months, and what peaks they stand for, without a table of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from capacity.planning.slices import in_slices
from capacity.planning.uncertain import SplitLognormal
from loadtests.foundation.errors import InputError

Floats = NDArray[np.float64]
Rows = NDArray[np.int64] | slice

_ITSELF = (0.0, 1.0, 1.0, 0.0, 0.0)
_ALL = slice(None)


@dataclass(frozen=True, eq=False)
class GrowthPaths:
    """Logarithms of peaks by scenario and month, as positions on a month's curve.

    A position x stands for middle + x up (x down below 0) + more x', where x' is what x has beyond `errors`. Curves
    rise with the position. A path that keeps its place needs one position for all months, and nothing else is held.

    Parameters
    ----------
    curves : array, shape (months, 5)
        Middle, up, down, more, errors.
    position : array, shape (1, scenarios) or (months, scenarios)
        Of all months, or of each.

    Raises
    ------
    InputError
        For other shapes.
    """

    curves: Floats
    position: Floats

    def __post_init__(self) -> None:
        months, rows = len(self.curves), self.position.shape[0]
        if self.curves.shape != (months, len(_ITSELF)) or rows not in (1, months) or self.position.size == 0:
            raise InputError(
                f"curves have shape {self.curves.shape} and positions {self.position.shape}; five numbers a month are "
                "needed, and a row of positions for all months or one for each."
            )

    @classmethod
    def of(cls, ranges: Sequence[SplitLognormal], position: Floats) -> GrowthPaths:
        """Of months' distributions at standard normal positions, shape (scenarios,) or (months, scenarios)."""
        curves = [(math.log(law.mid), law.up, law.down, law.beyond - law.up, law.errors) for law in ranges]
        return cls(np.array(curves), np.atleast_2d(position))

    @classmethod
    def stated(cls, log_peaks: Floats) -> GrowthPaths:
        """Of the logarithms themselves, shape (scenarios, months)."""
        by_month = np.ascontiguousarray(log_peaks.T)
        return cls(np.tile(np.array(_ITSELF), (len(by_month), 1)), by_month)

    def __len__(self) -> int:
        return int(self.position.shape[1])

    @property
    def months(self) -> int:
        """Number of months, today's included."""
        return len(self.curves)

    @property
    def for_loops(self) -> tuple[Floats, Floats]:
        """As the loops of `capacity.planning.scenario_loops` take them."""
        return self.curves, self.position

    def at(self, month: int, rows: Rows = _ALL) -> Floats:
        """Logarithms of one month's peaks, of some scenarios."""
        place = self.position[min(month, len(self.position) - 1), rows]
        return np.asarray(_on_curve(self.curves[month], place))

    @cached_property
    def log_peaks(self) -> Floats:
        """All of them, shape (scenarios, months); made when somebody asks."""
        found = np.empty((self.months, len(self)))
        for month in range(self.months):
            found[month] = self.at(month)
        return found.T

    @cached_property
    def ends(self) -> tuple[Floats, Floats]:
        """Least and most by month; NaN where a position is."""
        found = [_ends(self.position)]
        if len(self.position) > 1:
            found = in_slices(lambda part: _ends(self.position[:, part]), len(self))
        lowest, highest = np.min([low for low, _ in found], axis=0), np.max([high for _, high in found], axis=0)
        return _on_curve(self.curves.T, lowest), _on_curve(self.curves.T, highest)


def _ends(position: Floats) -> tuple[Floats, Floats]:
    return position.min(axis=1), position.max(axis=1)


def _on_curve(curve: Floats, place: Floats) -> Floats:
    mid, up, down, more, errors = curve
    return np.asarray(mid + place * np.where(place >= 0.0, up, down) + more * np.maximum(place - errors, 0.0))
