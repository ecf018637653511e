"""Growth of the peak load over whole months, and what lies between and beyond the stated points."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, get_args

from capacity.demand.growth_points import MAX_MONTHS, GrowthPoint, MonthlyPeak
from capacity.demand.growth_table import csv_rows, points_from_rows
from capacity.demand.wording import amount, html_table, month_list, signed_percent, text_table
from loadtests.foundation.checks import one_of, positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain
from loadtests.foundation.units import Quantity

if TYPE_CHECKING:
    import pandas as pd

Interpolation = Literal["geometric", "linear"]
Stated = Number | tuple[Number, Number, Number]
"""A number, or (low, mid, high)."""
_END = "month_end"
_Curve = Callable[[float, float, float, int], float]


@dataclass(frozen=True)
class GrowthProjection:
    """Peak load by month, from today (month 0).

    Use `from_points`, `from_frame`, `guide` or `read_growth`.

    Parameters
    ----------
    points : tuple of GrowthPoint
        In ascending order of months, the first at month 0.
    quantity : Quantity
        What the peaks count.
    extrapolate_to : int, optional
        Last month to project to beyond the last point, continuing the last
        segment; absent: the projection ends with the last point.
    start : date, optional
        Date of month 0, where the growth was given by dates.
    months_end : bool, default False
        Whether a date is the end of its month, as in a forecast, whose month 0 ends with the history; else its
        first day.
    """

    points: tuple[GrowthPoint, ...]
    quantity: Quantity = Quantity.CCU
    extrapolate_to: int | None = None
    start: date | None = None
    months_end: bool = False

    def __post_init__(self) -> None:
        _check_order(self.points)
        if self.extrapolate_to is not None:
            self._check_extrapolation(whole("extrapolate_to", self.extrapolate_to, most=MAX_MONTHS))

    def _check_extrapolation(self, month: int) -> None:
        if self.points[-1].p99 is not None:
            raise InputError(
                "The last two months of a forecast differ by season and chance; continued, they are no growth. Leave "
                "extrapolate_to out, and forecast further instead (capacity forecast --horizon)."
            )
        if month <= self.points[-1].month:
            raise InputError(
                f"extrapolate_to is {month}, but the last stated month is {self.points[-1].month}; "
                "give a later month, or leave it out."
            )
        if len(self.points) < 2:
            raise InputError("Extrapolation continues the last segment; with one point there is none. Give two.")

    @classmethod
    def from_points(
        cls,
        points: Mapping[int, Stated] | Iterable[tuple[int, Stated]],
        quantity: str = "ccu",
        *,
        extrapolate_to: int | None = None,
    ) -> GrowthProjection:
        """Growth from ``{month: peak}``, or from (month, peak) pairs in ascending order.

        A peak is a number, or (low, mid, high).

        Raises
        ------
        InputError
            Without points, for months that are not whole, repeated or unsorted,
            for peaks that are not above 0, and without a month 0.

        Examples
        --------
        >>> growth = GrowthProjection.from_points({0: 3_350, 1: 4_000, 3: 5_000, 6: 7_000})
        >>> round(growth.monthly()[2].peak)
        4472
        """
        pairs = sorted(points.items()) if isinstance(points, Mapping) else list(points)
        return cls(tuple(_given(month, peak) for month, peak in pairs), Quantity.parse(quantity), extrapolate_to)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        quantity: str | None = None,
        *,
        extrapolate_to: int | None = None,
        start: date | None = None,
    ) -> GrowthProjection:
        """Growth from a table with the columns of a growth CSV (see `read_growth`).

        All bad rows are named in one error, by their position from 0.
        """
        names = [str(name) for name in frame.columns]
        records = (dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None))
        rows = [(f"row {position}", record) for position, record in enumerate(records)]
        points, counted, begins = points_from_rows("The frame", names, rows, quantity, start)
        return cls(points, counted, extrapolate_to, begins, _END in names)

    @classmethod
    def guide(cls) -> GrowthProjection:
        """The guide's growth, with the percentages that it states beside it."""
        stated = ((0, 3_350, None), (1, 4_000, 20), (3, 5_000, 50), (6, 7_000, 100))
        return cls(tuple(GrowthPoint(month, peak, stated_percent=percent) for month, peak, percent in stated))

    @property
    def last_stated_month(self) -> int:
        """Month of the last point that is not extrapolated."""
        return max((point.month for point in self.points if point.standing != "extrapolated"), default=0)

    @property
    def last_month(self) -> int:
        """Last month of the projection, extrapolation included."""
        return self.extrapolate_to or self.points[-1].month

    def monthly(self, interpolation: Interpolation = "geometric") -> tuple[MonthlyPeak, ...]:
        """The peak of every month from 0 to the last.

        Geometric: the same percentage each month, p(m) = a (b/a)^((m-i)/(j-i))
        between the points (i, a) and (j, b). Linear: the same amount each month.
        Both keep the stated points and are computed to 12 significant digits.

        Raises
        ------
        InputError
            When an extrapolation falls to 0 or beyond what a number can hold.
        """
        one_of("interpolation", interpolation, get_args(Interpolation))
        known = {point.month: point for point in self.points}
        between = _geometric if interpolation == "geometric" else _linear
        return tuple(
            _stated(known[month]) if month in known else self._between(month, between)
            for month in range(self.last_month + 1)
        )

    def _between(self, month: int, between: _Curve) -> MonthlyPeak:
        beyond = month > self.points[-1].month
        left, right = self.points[-2:] if beyond else _neighbours(self.points, month)
        share = (month - left.month) / (right.month - left.month)
        low = high = None
        if left.low is not None or right.low is not None:
            low = between(left.low or left.peak, right.low or right.peak, share, month)
            high = between(left.high or left.peak, right.high or right.peak, share, month)
        far = None
        if left.p99 is not None or right.p99 is not None:
            far = between(_farthest(left), _farthest(right), share, month)
        peak = between(left.peak, right.peak, share, month)
        if low is not None and high is not None and beyond:  # ends that grow at different rates may meet
            low = min(low, plain(peak * (right.low or right.peak) / right.peak))
            high = max(high, plain(peak * (right.high or right.peak) / right.peak))
        return MonthlyPeak(month, peak, low, high, not beyond, beyond, right.dependence, far)

    def implied_percent(self, point: GrowthPoint) -> float:
        """Growth of `point` over month 0, percent (19.4 for 4,000 over 3,350)."""
        return (point.peak / self.points[0].peak - 1) * 100

    def scaled(self, factor: Number) -> GrowthProjection:
        """The same growth at `factor` times the load (above 0), for example to fit a measured instance."""
        by = exact("factor", factor)
        positive("factor", float(by))

        def times(value: float | None) -> float | None:
            return None if value is None else plain(exact("peak", value) * by)

        points = (
            replace(p, peak=plain(exact("peak", p.peak) * by), low=times(p.low), high=times(p.high), p99=times(p.p99))
            for p in self.points
        )
        return replace(self, points=tuple(points))

    def to_frame(self, interpolation: Interpolation = "geometric") -> pd.DataFrame:
        """One row a month: month, peak_<quantity>, low, high, interpolated, extrapolated, stated_percent."""
        import pandas as pd

        stated = {point.month: point.stated_percent for point in self.points}
        rows = self.monthly(interpolation)
        columns: dict[str, Any] = {"month": [row.month for row in rows]}
        columns[f"peak_{self.quantity}"] = [row.peak for row in rows]
        for name in ("low", "high"):
            columns[name] = [_or_nan(getattr(row, name)) for row in rows]
        columns["interpolated"] = [row.interpolated for row in rows]
        columns["extrapolated"] = [row.extrapolated for row in rows]
        columns["stated_percent"] = [_or_nan(stated.get(row.month)) for row in rows]
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "quantity": self.quantity.value,
            "points": [point.to_dict() for point in self.points],
            "extrapolate_to": self.extrapolate_to,
        } | self._dates()

    def _dates(self) -> dict[str, Any]:
        start = {} if self.start is None else {"start": self.start.isoformat()}
        return start | ({"months_end": True} if self.months_end else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GrowthProjection:
        """Read what `to_dict` wrote."""
        points = tuple(GrowthPoint.from_dict(point) for point in data["points"])
        start = None if data.get("start") is None else date.fromisoformat(data["start"])
        return cls(
            points, Quantity.parse(data["quantity"]), data.get("extrapolate_to"), start, data.get("months_end", False)
        )

    def summary(self) -> str:
        """A table of the months for people."""
        lines = [f"Peak load ({self.quantity}) by month; growth over month 0"]
        lines.append(text_table(("month", "peak", "growth", ""), self._rows()))
        return "\n".join(lines)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        today = self.points[0].peak
        return [
            (str(row.month), amount(row.peak), signed_percent(row.peak / today - 1), row.standing)
            for row in self.monthly()
        ]

    def __repr__(self) -> str:
        first, last = self.points[0], self.points[-1]
        stated = month_list(point.month for point in self.points)
        more = "" if self.extrapolate_to is None else f", extrapolated to month {self.extrapolate_to}"
        return f"GrowthProjection({amount(first.peak)} to {amount(last.peak)} {self.quantity}, {stated}{more})"

    def _repr_html_(self) -> str:
        return html_table(("month", f"peak ({self.quantity})", "growth", ""), self._rows(), repr(self))


def read_growth(
    source: str | Path | TextIO,
    quantity: str | None = None,
    *,
    extrapolate_to: int | None = None,
    start: date | None = None,
) -> GrowthProjection:
    """Read a growth CSV.

    Columns: ``month`` (whole, from 0, ascending), or ``date`` or ``month_end``
    (first day or end of each month, ISO 8601, a row a month or fewer, all on the
    same day of the month), and one of ``peak_ccu``, ``peak_users``,
    ``peak_connections``, ``peak_in_flight``, ``peak_rps`` or plain ``peak``;
    optional ``low`` and ``high`` (range of the peak), ``p99`` (exceeded once in a
    hundred), ``stated_percent`` (the growth that somebody wrote beside it), ``own_share`` and ``persistence`` (how
    a month's place in its range depends on the month before, see
    `MonthDependence`) and ``note`` (ignored).

    Parameters
    ----------
    source : path or text stream
    quantity : str, optional
        What a plain ``peak`` column counts (``ccu`` when absent); must not
        contradict the column's name.
    extrapolate_to : int, optional
        Last month to project to.
    start : date, optional
        Date of month 0; absent: the first row's, where rows have dates.

    Raises
    ------
    InputError
        For a missing or unreadable file and missing or unknown columns; all bad
        rows are named in one error with their line numbers.
    """
    name, header, rows = csv_rows(source)
    points, counted, begins = points_from_rows(name, header, rows, quantity, start)
    return GrowthProjection(points, counted, extrapolate_to, begins, _END in header)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _geometric(start: float, end: float, share: float, month: int) -> float:
    try:
        return plain(math.exp(math.log(start) + share * (math.log(end) - math.log(start))))
    except OverflowError:
        raise InputError(f"The extrapolated peak of month {month} is too large for a number; stop earlier.") from None


def _linear(start: float, end: float, share: float, month: int) -> float:
    value = start + share * (end - start)
    if not 0 < value < math.inf:
        raise InputError(
            f"The extrapolated peak of month {month} is {value}; it must be above 0. "
            "Extrapolate less far, or geometrically."
        )
    return plain(value)


def _stated(point: GrowthPoint) -> MonthlyPeak:
    return MonthlyPeak(
        point.month, point.peak, point.low, point.high, point.standing == "interpolated",
        point.standing == "extrapolated", point.dependence, point.p99,
    )  # fmt: skip


def _farthest(point: GrowthPoint) -> float:
    return point.p99 or point.high or point.peak


def _neighbours(points: tuple[GrowthPoint, ...], month: int) -> tuple[GrowthPoint, GrowthPoint]:
    return next((a, b) for a, b in pairwise(points) if a.month < month < b.month)


def _given(month: int, stated: Stated) -> GrowthPoint:
    if not isinstance(stated, tuple):
        return GrowthPoint(month, _decimal("peak", stated))
    low, mid, high = (_decimal("peak", value) for value in three(stated))
    return GrowthPoint(month, mid, low, high)


def three(stated: Stated) -> tuple[Number, Number, Number]:
    """Low, mid and high; the same three times for a number."""
    if not isinstance(stated, tuple):
        return stated, stated, stated
    if len(stated) != 3:
        raise InputError(f"{stated!r} must be one number, or (low, mid, high).")
    return stated


def _decimal(name: str, value: Number) -> float:
    number = exact(name, value)
    return int(number) if number.denominator == 1 else float(number)


def _check_order(points: tuple[GrowthPoint, ...]) -> None:
    if not points:
        raise InputError("The growth is empty; give at least the peak of today as month 0.")
    for before, after in pairwise(points):
        if after.month == before.month:
            raise InputError(f"month {after.month} is given twice; give one peak a month.")
        if after.month < before.month:
            raise InputError(f"month {after.month} comes after month {before.month}; give the months in order.")
    if points[0].month != 0:
        raise InputError(f"The first month is {points[0].month}; it must be 0, the peak of today.")
