"""Growth by a rule instead of by points: percentages, compound, linear, logistic; and dated events on top of any.

Each returns a `GrowthProjection` with a point for every month. A parameter may be a number or (low, mid, high): then
the months have ranges, the path keeping its place (low stays low).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from capacity.demand.growth import GrowthProjection, Interpolation, Stated, three
from capacity.demand.growth_points import MAX_MONTHS, GrowthPoint
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact, plain
from loadtests.foundation.units import Quantity

_HUNDRED = 100


def growth_from_percentages(
    today: Number, cumulative_percent: Mapping[int, Stated], quantity: str = "ccu"
) -> GrowthProjection:
    """Peaks that lie so many percent above today's, exactly.

    Parameters
    ----------
    today : number
        Peak of month 0, above 0.
    cumulative_percent : mapping of int to number or (low, mid, high)
        Growth over month 0 by month (20 for "+20 %"), above -100. Months between are interpolated by the plan.
    quantity : str, default "ccu"

    Returns
    -------
    GrowthProjection

    Raises
    ------
    InputError
        For a growth of -100 % or less, and what is not a number.

    Examples
    --------
    >>> [point.peak for point in growth_from_percentages(3_350, {1: 20, 3: 50, 6: 100}).points]
    [3350, 4020, 5025, 6700]
    """
    first = _peak_today(today)
    if 0 in cumulative_percent and any(_factor("growth of month 0", one) != 1 for one in three(cumulative_percent[0])):
        raise InputError(f"Month 0 is today: its growth is 0 %, given is {cumulative_percent[0]} %.")
    points: dict[int, Stated] = {0: plain(first)}
    for month, percent in sorted(cumulative_percent.items()):
        low, mid, high = (plain(first * _factor(f"growth of month {month}", one)) for one in three(percent))
        points[month] = (low, mid, high) if isinstance(percent, tuple) else mid
    return GrowthProjection.from_points(points, quantity)


def compound_growth(today: Number, percent_per_month: Stated, months: int, quantity: str = "ccu") -> GrowthProjection:
    """The same percentage every month: p(m) = p(0) (1 + g/100)^m.

    Parameters
    ----------
    today : number
    percent_per_month : number or (low, mid, high)
        Above -100.
    months : int
        Last month, 1 to 1,200.
    quantity : str, default "ccu"

    Returns
    -------
    GrowthProjection

    Examples
    --------
    >>> [point.peak for point in compound_growth(1_000, 10, 3).points]
    [1000, 1100, 1210, 1331]
    """
    return _projection(
        today, ("percent_per_month", percent_per_month), months, quantity,
        lambda first, percent, month: first * _factor("percent_per_month", percent) ** month,
    )  # fmt: skip


def linear_growth(today: Number, per_month: Stated, months: int, quantity: str = "ccu") -> GrowthProjection:
    """The same amount every month: p(m) = p(0) + a m.

    Parameters
    ----------
    today : number
    per_month : number or (low, mid, high)
        In the quantity; every peak must stay above 0.
    months : int
    quantity : str, default "ccu"

    Returns
    -------
    GrowthProjection
    """
    return _projection(
        today,
        ("per_month", per_month),
        months,
        quantity,
        lambda first, amount, month: first + exact("per_month", amount) * month,
    )


def logistic_growth(
    today: Number, saturation: Stated, percent_per_month: Number, months: int, quantity: str = "ccu"
) -> GrowthProjection:
    """Growth that slows down towards a saturation K: p(m) = K / (1 + (K/p(0) - 1) exp(-r m)) [1]_.

    Parameters
    ----------
    today : number
    saturation : number or (low, mid, high)
        Above today's peak.
    percent_per_month : number
        Growth while far below the saturation, exp(r) - 1, above 0.
    months : int
    quantity : str, default "ccu"

    Returns
    -------
    GrowthProjection

    References
    ----------
    .. [1] P. F. Verhulst, "Notice sur la loi que la population suit dans son accroissement", Correspondance
       mathematique et physique 10, 1838.
    """
    rate = math.log(float(_factor("percent_per_month", percent_per_month)))
    if rate <= 0:
        raise InputError(f"percent_per_month is {percent_per_month}; towards a saturation it must be above 0.")

    def at(first: Fraction, top: Number, month: int) -> Fraction:
        most = exact("saturation", top)
        if most <= first:
            raise InputError(f"saturation is {top}; it must lie above today's peak of {plain(first)}.")
        value = float(most) / (1.0 + float(most / first - 1) * math.exp(-rate * month))
        return first if month == 0 else Fraction(str(plain(value)))

    return _projection(today, ("saturation", saturation), months, quantity, at)


@dataclass(frozen=True)
class DemandEvent:
    """A dated change of the peak: a season, a holiday, a launch, a campaign.

    Parameters
    ----------
    name : str
    first_month, last_month : int
        Both included; months from today.
    factor : number or (low, mid, high)
        Of the peak in these months, above 0: 1.4 for 40 % more.

    Raises
    ------
    InputError
        For months out of order and factors that are not above 0, or out of order.
    """

    name: str
    first_month: int
    last_month: int
    factor: Stated

    def __post_init__(self) -> None:
        object.__setattr__(self, "first_month", whole("first_month", self.first_month, most=MAX_MONTHS))
        object.__setattr__(self, "last_month", whole("last_month", self.last_month, most=MAX_MONTHS))
        if self.first_month > self.last_month:
            raise InputError(f"The event {self.name!r} ends in month {self.last_month}, before it begins.")
        if not 0 < self.factors[0] <= self.factors[1] <= self.factors[2]:
            raise InputError(f"The event {self.name!r} has factor {self.factor}; 0 < low <= mid <= high is needed.")

    @property
    def factors(self) -> tuple[Fraction, Fraction, Fraction]:
        """Low, mid, high; the same three times for a number."""
        low, mid, high = three(self.factor)
        return exact("factor", low), exact("factor", mid), exact("factor", high)

    def covers(self, month: int) -> bool:
        """Whether it changes this month's peak."""
        return self.first_month <= month <= self.last_month


def with_events(
    growth: GrowthProjection, events: Iterable[DemandEvent], interpolation: Interpolation = "geometric"
) -> GrowthProjection:
    """The same growth with events on top: the peaks of their months are multiplied, several events one by one.

    Parameters
    ----------
    growth : GrowthProjection
    events : iterable of DemandEvent
    interpolation : {"geometric", "linear"}
        Of the growth, before the events.

    Returns
    -------
    GrowthProjection
        With a point for every month; interpolated and extrapolated months stay that.

    Raises
    ------
    InputError
        When an event lies beyond the growth's last month.
    """
    chosen = tuple(events)
    beyond = [item.name for item in chosen if item.last_month > growth.last_month]
    if beyond:
        raise InputError(
            f"{', '.join(beyond)}: beyond the growth's last month, {growth.last_month}. Project further, or move it."
        )
    points = []
    for month in growth.monthly(interpolation):
        low, mid, high = (Fraction(1),) * 3
        for event in (item for item in chosen if item.covers(month.month)):
            low, mid, high = (one * other for one, other in zip((low, mid, high), event.factors, strict=True))
        ends = [month.peak if end is None else end for end in (month.low, month.peak, month.high)]
        least, peak, most = (plain(exact("peak", e) * f) for e, f in zip(ends, (low, mid, high), strict=True))
        is_ranged = month.low is not None or low != high
        lowest, highest = (least, most) if is_ranged else (None, None)
        far = None if month.p99 is None else plain(exact("p99", month.p99) * high)
        points.append(GrowthPoint(month.month, peak, lowest, highest, None, month.standing, month.dependence, far))
    return replace(growth, points=tuple(points), extrapolate_to=None)


def _projection(
    today: Number,
    stated: tuple[str, Stated],
    months: int,
    quantity: str,
    at: Callable[[Fraction, Number, int], Fraction],
) -> GrowthProjection:
    """A point for every month, with the ends' range where the parameter has one."""
    first, last = _peak_today(today), whole("months", months, least=1, most=MAX_MONTHS)
    name, value = stated
    low, mid, high = three(value)
    if not exact(name, low) <= exact(name, mid) <= exact(name, high):
        raise InputError(f"{name} is ({low}, {mid}, {high}); low <= mid <= high is needed.")
    points = []
    for month in range(last + 1):
        least, peak, most = (_positive_peak(at(first, value, month), month) for value in (low, mid, high))
        points.append(GrowthPoint(month, peak, *((least, most) if low != high else (None, None))))
    return GrowthProjection(tuple(points), Quantity.parse(quantity))


def _peak_today(today: Number) -> Fraction:
    first = exact("today", today)
    if first <= 0:
        raise InputError(f"today's peak is {today}; it must be above 0.")
    return first


def _factor(name: str, percent: Number) -> Fraction:
    factor = 1 + exact(name, percent) / _HUNDRED
    if factor <= 0:
        raise InputError(f"{name} is {percent} %; it must be above -100 %, or nothing is left.")
    return factor


def _positive_peak(value: Fraction, month: int) -> float:
    if value <= 0:
        raise InputError(f"The peak of month {month} would be {plain(value)}; every peak must be above 0.")
    try:
        return plain(value)
    except OverflowError:
        raise InputError(f"The peak of month {month} is too large for a number; stop earlier.") from None
