"""One stated peak, and one month's peak of a projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from capacity.demand.month_dependence import KEPT, MonthDependence
from loadtests.foundation.checks import finite, one_of, positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import plain
from loadtests.foundation.intervals import Interval

MAX_MONTHS = 1_200
LEVEL_BESIDE_P99 = 0.9
"""Probability of the range of a month that states its 99 % point too, as a forecast does."""
_NUMBERS = ("month", "peak", "low", "high", "p99", "stated_percent")
Standing = Literal["stated", "interpolated", "extrapolated"]


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """A peak that somebody states for a month.

    Parameters
    ----------
    month : int
        Whole months from today (0), at most 1,200.
    peak : float
        Peak load of that month, above 0: a cumulative, absolute value.
    low, high : float, optional
        Range that the peak may lie in; both or neither, around `peak`.
    stated_percent : float, optional
        The growth over month 0 that was written beside the peak, percent (20 for
        "+20 %"). It is compared, never used: the absolute peak counts.
    standing : {"stated", "interpolated", "extrapolated"}
        What the peak rests on: somebody's word, the points around it, or the last segment continued.
    dependence : MonthDependence, optional
        On the month before, within the ranges; absent: low stays low.
    p99 : float, optional
        Peak that is exceeded once in a hundred, at least `high`, where that is not as `low`, `peak` and `high` would
        have it: rare bursts lie far beyond a range that they are seldom in. With it `low` and `high` are the ends of a
        90 % interval.

    Raises
    ------
    InputError
        For a month that is not whole, a peak that is not above 0, or a range that leaves it out.
    """

    month: int
    peak: float
    low: float | None = None
    high: float | None = None
    stated_percent: float | None = None
    standing: Standing = "stated"
    dependence: MonthDependence = KEPT
    p99: float | None = None

    def __post_init__(self) -> None:
        one_of("standing", self.standing, get_args(Standing))
        object.__setattr__(self, "month", whole("month", self.month, most=MAX_MONTHS))
        object.__setattr__(self, "peak", _load("peak", self.peak))
        if (self.low is None) != (self.high is None):
            raise InputError(f"month {self.month} has only one of low and high; give both or neither.")
        if self.low is not None and self.high is not None:
            object.__setattr__(self, "low", _load("low", self.low))
            object.__setattr__(self, "high", _load("high", self.high))
            if not self.low <= self.peak <= self.high:
                raise InputError(
                    f"month {self.month} has low {self.low}, peak {self.peak}, high {self.high}; "
                    "low <= peak <= high is needed."
                )
        if self.p99 is not None:
            object.__setattr__(self, "p99", _load("p99", self.p99))
            if self.low is None or self.high is None or not self.low < self.high <= self.p99:
                raise InputError(
                    f"month {self.month} has low {self.low}, high {self.high} and p99 {self.p99}; p99 goes with a "
                    "range, low < high <= p99."
                )
        if self.stated_percent is not None:
            object.__setattr__(self, "stated_percent", plain(finite("stated_percent", self.stated_percent)))

    def to_dict(self) -> dict[str, Any]:
        """JSON form, without what is absent."""
        values = {name: getattr(self, name) for name in _NUMBERS}
        more = {} if self.standing == "stated" else {"standing": self.standing}
        return {name: value for name, value in values.items() if value is not None} | more | self.dependence.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GrowthPoint:
        """Read what `to_dict` wrote."""
        linked = {name: data[name] for name in ("own_share", "persistence") if name in data}
        own = {name: value for name, value in data.items() if name not in linked}
        return cls(**own, dependence=MonthDependence(**linked))


@dataclass(frozen=True, slots=True)
class MonthlyPeak:
    """The peak of one month: stated, interpolated between stated ones, or extrapolated beyond the last."""

    month: int
    peak: float
    low: float | None = None
    high: float | None = None
    interpolated: bool = False
    extrapolated: bool = False
    dependence: MonthDependence = KEPT
    p99: float | None = None

    @property
    def range(self) -> Interval:
        """The peak with its range; a growth states no probability for it, but where it states `p99`."""
        if self.low is None or self.high is None:
            return Interval.assumed(self.peak)
        if self.p99 is not None:
            return Interval(self.low, self.peak, self.high, level=LEVEL_BESIDE_P99, kind="prediction")
        return Interval(self.low, self.peak, self.high, level=1.0, kind="assumed")

    @property
    def is_bent(self) -> bool:
        """Whether it does not just keep its place from the month before, in a range that says all."""
        return self.dependence != KEPT or self.p99 is not None

    @property
    def standing(self) -> Standing:
        """What it rests on, in a word."""
        return "extrapolated" if self.extrapolated else "interpolated" if self.interpolated else "stated"


def _load(name: str, value: float) -> float:
    number = positive(name, value)
    return int(number) if number == int(number) else number
