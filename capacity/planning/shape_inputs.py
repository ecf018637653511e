"""The inputs of `choose_shape`, checked and in one form: peaks by month, capacities by shape, and their draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy.special import ndtri

from capacity.demand.growth import GrowthProjection
from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.month_dependence import positions
from capacity.demand.wording import month_list
from capacity.planning.basis import common_quantity
from capacity.planning.constraint_uses import resource_asks
from capacity.planning.shape_choice import ShapeQuestion
from capacity.planning.shapes import InstanceShape, ShapeCapacity, repeated_names
from capacity.planning.uncertain import (
    Floats,
    SplitLognormal,
    Uncertain,
    checked_uncertain,
    drawn,
    summarised,
    uniforms,
)
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import Number, exact
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator
from loadtests.foundation.units import Quantity
from simulations.analysis.capacity_curve import InstanceCapacity

Peaks = GrowthProjection | Mapping[int, Uncertain]
Capacity = ShapeCapacity | InstanceCapacity | Uncertain
_NOTHING = Interval.assumed(0.0)
_GROWTH, _CAPACITY = 1, 2


@dataclass(frozen=True)
class ShapeCase:
    """Checked inputs.

    Parameters
    ----------
    question : ShapeQuestion
    shapes : tuple of InstanceShape
        All with a price in one currency.
    peaks : dict of int to Interval or array
    capacities : dict of str to Interval or array
    given : dict of str to ShapeCapacity, InstanceCapacity or number
        The capacities as they were given.
    growth : tuple of MonthlyPeak
        The months of a growth, which say how they depend on each other; empty where peaks were given by month.
    """

    question: ShapeQuestion
    shapes: tuple[InstanceShape, ...]
    peaks: dict[int, Interval | Floats]
    capacities: dict[str, Interval | Floats]
    given: dict[str, Capacity]
    growth: tuple[MonthlyPeak, ...] = ()

    @classmethod
    def of(
        cls,
        peaks: Peaks,
        shapes: Sequence[InstanceShape],
        capacities: Mapping[str, Capacity],
        question: ShapeQuestion,
    ) -> ShapeCase:
        """Check everything; see `choose_shape`."""
        chosen = tuple(shapes)
        check_shapes(chosen)
        given = _given_capacities(chosen, capacities)
        _check_quantities(peaks, given)
        read = {name: _uncertain_capacity(name, value) for name, value in given.items()}
        months = _peaks_by_month(peaks, question)
        _check_prices(chosen, months)
        growth = peaks.monthly(question.interpolation) if isinstance(peaks, GrowthProjection) else ()
        return cls(question, chosen, months, read, given, growth)

    @property
    def currency(self) -> str:
        """Of every price."""
        return self.shapes[0].currency or ""

    @property
    def is_uncertain(self) -> bool:
        """Whether anything has a range; else there are no probabilities."""
        ranges = map(summarised, (*self.peaks.values(), *self.capacities.values()))
        return any(item.low < item.high for item in ranges)

    def peak_draws(self) -> dict[int, Floats]:
        """Draws of each month's peak; the months of one draw belong to the same future."""
        at = uniforms(self.question.draws, self.question.seed, _GROWTH)
        if any(month.is_bent for month in self.growth):
            return self._dependent_draws(ndtri(at))
        return {month: drawn(peak, at, self.question.range_level) for month, peak in self.peaks.items()}

    def _dependent_draws(self, first: Floats) -> dict[int, Floats]:
        """The same where months depend on each other as the growth says, as scenarios of orders do."""
        rng = generator(self.question.seed, _GROWTH, 1)
        places = positions(first, [month.dependence for month in self.growth], rng).T
        return {
            month.month: SplitLognormal.of(month.range, self.question.range_level, month.p99).at(place)
            for month, place in zip(self.growth, places, strict=True)
        }

    def capacity_draws(self, name: str) -> Floats:
        """Draws of a shape's capacity, resources of `per_unit` included; the same uniform numbers for all shapes."""
        at = uniforms(self.question.draws, self.question.seed, _CAPACITY)
        return np.minimum(
            drawn(self.capacities[name], at, self.question.range_level), float(self.most_by_resources(name))
        )

    def most_by_resources(self, name: str) -> Fraction | float:
        """Largest load that the resources of one instance carry by `per_unit`; infinite where nothing is stated."""
        if self.question.per_unit is None:
            return math.inf
        filled = [ask.instances for ask in resource_asks(self.question.per_unit, self.shape(name).limits)]
        if None in filled:
            return Fraction(0)
        largest = max((item for item in filled if item), default=None)
        return math.inf if largest is None else 1 / largest

    def shape(self, name: str) -> InstanceShape:
        """The shape of a name."""
        return next(shape for shape in self.shapes if shape.name == name)

    def exact_load(self, peak: Number, capacity: Number, name: str) -> Fraction | None:
        """Instances of a shape that a peak fills, exactly; None when an instance carries nothing."""
        most = self.most_by_resources(name)
        is_bound = isinstance(most, Fraction) and float(capacity) >= float(most)
        each = Fraction(most) if is_bound else exact("capacity", capacity)
        if each == 0:
            return Fraction(0) if peak == 0 else None
        return exact("peak", peak) / each


def check_shapes(shapes: tuple[InstanceShape, ...]) -> None:
    """Refuse what cannot be chosen between: no shapes, shapes without a price, several currencies."""
    if not shapes:
        raise InputError("No shape is given; give at least one InstanceShape.")
    strange = [shape for shape in shapes if not isinstance(shape, InstanceShape)]
    if strange:
        raise InputError(f"A shape is {strange[0]!r}; make it with InstanceShape(...) or read_shapes.")
    if problems := repeated_names(shapes):
        raise InputError(" ".join(problems))
    without = [shape.name for shape in shapes if shape.price_per_hour is None]
    if without:
        raise InputError(
            f"There is no price for {', '.join(without)}, so a month of it has no cost; state price_per_hour and "
            "currency, or leave the shape out."
        )
    currencies = sorted({shape.currency or "" for shape in shapes})
    if len(currencies) > 1:
        raise InputError(f"The prices are in {' and '.join(currencies)}; give all in one currency.")


def _check_prices(shapes: tuple[InstanceShape, ...], months: Iterable[int]) -> None:
    for shape in shapes:
        without = [month for month in months if shape.price_in(month) is None]
        if without:
            raise InputError(
                f"Shape {shape.name} has no price for {month_list(without)}; state price_per_hour from month "
                f"{without[0]} on, or leave the shape out."
            )


def _given_capacities(shapes: tuple[InstanceShape, ...], capacities: Mapping[str, Capacity]) -> dict[str, Capacity]:
    """A capacity for each shape: the given one, else the one that the shape states itself."""
    stated = {shape.name: shape.stated_capacity for shape in shapes if shape.stated_capacity is not None}
    found: dict[str, Capacity] = {**stated, **capacities}
    names = {shape.name for shape in shapes}
    unknown, missing = sorted(set(found) - names), sorted(names - set(found))
    if unknown:
        raise InputError(f"There is no shape {', '.join(unknown)}; the shapes are {', '.join(sorted(names))}.")
    if missing:
        raise InputError(
            f"No capacity is given for {', '.join(missing)}; state capacity in each shape, or take it from a "
            "calibrated model (capacity_of_shape, --model)."
        )
    return {shape.name: found[shape.name] for shape in shapes}


def _check_quantities(peaks: Peaks, capacities: Mapping[str, Capacity]) -> None:
    counted = {name: quantity for name, value in capacities.items() if (quantity := _quantity(value)) is not None}
    if len(set(counted.values())) > 1:
        listed = ", ".join(f"{name} in {quantity}" for name, quantity in counted.items())
        raise InputError(f"The capacities count different things ({listed}); give all in one quantity.")
    if isinstance(peaks, GrowthProjection):
        for quantity in counted.values():
            common_quantity(peaks.quantity, quantity)


def _quantity(value: Capacity) -> Quantity | None:
    inner = value.capacity if isinstance(value, ShapeCapacity) else value
    return inner.quantity if isinstance(inner, InstanceCapacity) else None


def _uncertain_capacity(name: str, value: Capacity) -> Interval | Floats:
    inner = value.capacity if isinstance(value, ShapeCapacity) else value
    if inner is None:
        return _NOTHING
    number = inner.value if isinstance(inner, InstanceCapacity) else inner
    return checked_uncertain(f"the capacity of {name}", number)


def _peaks_by_month(peaks: Peaks, question: ShapeQuestion) -> dict[int, Interval | Floats]:
    if isinstance(peaks, GrowthProjection):
        return {item.month: item.range for item in peaks.monthly(question.interpolation)}
    if not isinstance(peaks, Mapping) or not peaks:
        raise InputError("No peak is given; give a GrowthProjection, or a peak by month such as {0: 3350, 1: 4000}.")
    found = {whole("month", month): checked_uncertain(f"the peak of month {month}", peaks[month]) for month in peaks}
    gaps = list(_gaps(sorted(found)))
    if gaps:
        raise InputError(
            f"There is no peak for month {', '.join(map(str, gaps))}; give every month between the first and the "
            "last, or a GrowthProjection, which interpolates."
        )
    return dict(sorted(found.items()))


def _gaps(months: list[int]) -> Iterator[int]:
    for before, after in pairwise(months):
        yield from range(before + 1, after)
