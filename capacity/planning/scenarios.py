"""Joint scenarios of growth, capacity and lead time: drawn once, then counted as often as one asks.

Numbers are drawn by the rule of `capacity.planning.uncertain`. A growth path keeps its position in the ranges of all
months (low stays low): that is what somebody who states low, mid and high means, and of all dependences it gives the
widest sums. Where the growth says how its months depend on each other, as a forecast does, positions follow that
(`capacity.demand.month_dependence`). Draws of one's own can take the place of either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.month_dependence import KEPT, positions
from capacity.planning import scenario_loops
from capacity.planning.constraints import required_fleet
from capacity.planning.fleet_loads import ALONE, FleetLoads
from capacity.planning.growth_paths import GrowthPaths
from capacity.planning.instance_formula import checked_factor
from capacity.planning.orders import DRAWS
from capacity.planning.slices import in_slices
from capacity.planning.uncertain import RANGE_LEVEL, SplitLognormal
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Guesses = tuple[float, float, NDArray[np.uint16]]
Tables = tuple[Floats, Guesses]

_MOST_INSTANCES = 20_000
_WORTH_COMPILING = 100
_PARTS, _MOST_LOG, _MORE = 65_536, 700.0, 1e-6


@dataclass(frozen=True, eq=False)
class Scenarios:
    """What may come, scenario by scenario. Made by `draw_scenarios`, or by `Scenarios.of` from draws of one's own.

    Parameters
    ----------
    paths : GrowthPaths
        Logarithms of the peak load of each month from today (0).
    capacity : array, shape (scenarios,)
        Load that one instance carries, above 0.
    lead_time_months : array, shape (scenarios,)
        From an order to its capacity, at least 0.
    stated_peaks : array, shape (scenarios, months) or (months,), optional
        The peaks themselves where somebody states them, of all scenarios or the same for all; NaN elsewhere. Counts of
        instances are exact for these numbers.
    fleets : FleetLoads, optional
        What fleets carry under constraints; default: n instances carry n times one.
    moments : array, shape (scenarios,), optional
        Where a peak is the highest of the month that ends there: ranks, between 0 and 1, of when within its month a
        scenario passes a fleet. Default: peaks are points in time, and the load moves from each to the next.

    Raises
    ------
    InputError
        For other shapes, and numbers outside these ranges.
    """

    paths: GrowthPaths
    capacity: Floats
    lead_time_months: Floats
    stated_peaks: Floats | None = None
    fleets: FleetLoads = ALONE
    moments: Floats | None = None

    def __post_init__(self) -> None:
        _check("capacity", self.capacity, 1, least=math.ulp(0.0))
        _check("lead_time_months", self.lead_time_months, 1, least=0.0)
        if not np.all(np.isfinite(self.paths.ends)):
            raise InputError("The paths have positions or curves that are not finite; give finite numbers.")
        if not len(self.paths) == len(self.capacity) == len(self.lead_time_months):
            raise InputError(
                f"There are {len(self.paths)} paths, {len(self.capacity)} capacities and "
                f"{len(self.lead_time_months)} lead times; give one of each a scenario."
            )

    @classmethod
    def of(cls, peaks: Floats, capacity: Floats, lead_time_months: Floats) -> Scenarios:
        """From the peaks themselves, shape (scenarios, months), above 0."""
        stated = np.asarray(peaks, dtype=np.float64)
        _check("peaks", stated, 2, least=math.ulp(0.0))
        one, lead = (np.asarray(item, dtype=np.float64) for item in (capacity, lead_time_months))
        return cls(GrowthPaths.stated(np.log(stated)), one, lead, stated)

    def under(self, fleets: FleetLoads) -> Scenarios:
        """The same scenarios of fleets that carry as much as this says."""
        return replace(self, fleets=fleets)

    def within_months(self, seed: int = 1) -> Scenarios:
        """The same where each peak is the highest of the month that ends there, as of a forecast.

        Within a month all moments are alike: those who have not passed a fleet before pass it at a constant rate [1]_,
        the one by which as many have passed at its end as do. A single scenario passes in the middle.

        References
        ----------
        .. [1] D. R. Cox, D. Oakes, Analysis of Survival Data, Chapman and Hall, 1984, section 2.3: the piecewise
           constant hazard.
        """
        count = len(self)
        return replace(self, moments=np.array([0.5]) if count == 1 else generator(seed, 6, 2).random(count))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def months(self) -> int:
        """Number of months, today's included."""
        return self.paths.months

    @property
    def log_peaks(self) -> Floats:
        """Logarithms of all peaks, shape (scenarios, months); made when they are asked for."""
        return self.paths.log_peaks

    @cached_property
    def _log_each(self) -> Floats:
        """Logarithm of what one instance carries."""
        return np.log(self.fleets.each(self.capacity))

    def first_passages(self, sizes: Sequence[int], *, geometric: bool = True) -> Floats:
        """Months after which the load first exceeds what fleets of these sizes carry; infinite where it never does.

        Parameters
        ----------
        sizes : sequence of int
            Ascending, at least 1.
        geometric : bool, default True
            How the load moves between two months that are points in time; else along a line.

        Returns
        -------
        array, shape (scenarios, sizes)
        """
        return self.load_passages(self.fleets.carried(sizes), geometric=geometric)

    def load_passages(self, loads: Floats, *, geometric: bool = True) -> Floats:
        """The same for loads in single instances, ascending and at least 0."""
        logs = _log(np.asarray(loads, dtype=np.float64))
        loops, found = _loops(len(self)), np.empty((len(self), logs.size))

        def run(part: slice) -> None:
            ends = (part.start, part.stop)
            loops.first_passages(self.paths.for_loops, self._log_each, logs, geometric, found, ends)

        in_slices(run, len(self))
        return found if self.moments is None else _within_months(found, self.moments)

    def exceeding_today(self, fleet: int) -> float:
        """Share of scenarios in which a fleet carries less than today's peak."""
        limit = self._log_each + _log(self.fleets.carried([fleet])) + scenario_loops.SAME
        return float(np.mean(self.paths.at(0) > limit))

    def instance_counts(self, safety_factor: float = 1.0) -> Counts:
        """How many scenarios need how many instances: ceil(peak / capacity x factor), exact as `required_instances`.

        Under constraints the fewest that meet all of them, exact as `required_by_constraints`.

        Returns
        -------
        array of int, shape (months, instances)
            At [m, n] the scenarios that need n instances in month m; the last place is that many or more (20,000 are
            told apart).
        """
        tables = self._tables(float(safety_factor))
        parts = in_slices(lambda part: self._counted(tables, part), len(self))
        found = np.asarray(sum(counted for counted, _ in parts))
        month, rows = np.divmod(np.concatenate([unsure for _, unsure in parts]), len(self))
        for each in np.unique(month).tolist():
            self._count_exactly(each, rows[month == each], safety_factor, found[each])
        return found

    def _counted(self, tables: Tables, part: slice) -> tuple[Counts, Counts]:
        """Counts of some scenarios, and what is left to exact arithmetic."""
        carried, guesses = tables
        block, room = scenario_loops.BLOCK, part.stop - part.start
        while True:
            counted, unsure = np.zeros((self.months, carried.size), dtype=np.int64), np.empty(room, dtype=np.int64)
            rooms = np.empty(block, dtype=np.uint16), np.empty(block, dtype=np.int64), unsure
            left = _loops(len(self)).count_instances(
                self.paths.for_loops, self._log_each, carried, guesses, counted, rooms, (part.start, part.stop)
            )
            if left <= room:
                return counted, unsure[:left]
            room = left

    def _count_exactly(self, month: int, rows: Counts, safety_factor: float, into: Counts) -> None:
        """Each pair of peak and capacity once."""
        peaks = np.exp(self.paths.at(month, rows))
        if self.stated_peaks is not None:
            stated = np.broadcast_to(self.stated_peaks, (len(self), self.months))[rows, month]
            peaks = np.where(np.isnan(stated), peaks, stated)
        pairs, times = np.unique(np.stack([peaks, self.capacity[rows]]), axis=1, return_counts=True)
        for (peak, one), count in zip(pairs.T.tolist(), times.tolist(), strict=True):
            needed = self.fleets.required(peak, one, checked_factor(safety_factor))
            into[into.size - 1 if needed is None else min(needed, into.size - 1)] += count

    def exact_counts(self, safety_factor: float = 1.0) -> list[int]:
        """Instances by month of the first scenario, exactly; 20,001 where no number is enough."""
        one = float(self.capacity[0])
        peaks = np.exp(self.log_peaks[0]) if self.stated_peaks is None else np.atleast_2d(self.stated_peaks)[0]
        factor = checked_factor(safety_factor)
        found = [self.fleets.required(float(peak), one, factor) for peak in peaks]
        return [_MOST_INSTANCES + 1 if needed is None else needed for needed in found]

    def _tables(self, safety_factor: float) -> Tables:
        """Logarithm of what 0, 1, 2, ... instances carry over the factor, and the guesses of `count_instances`."""
        smallest, largest = float(self._log_each.min()), float(self._log_each.max())
        low, high = self.paths.ends
        told_apart = float(_log(self.fleets.carried([_MOST_INSTANCES], safety_factor))[0])
        first, last = float(low.min()) - largest, self._most(high - smallest, told_apart)
        carried = _log(self.fleets.carried(range(self._fewest(last, safety_factor) + 2), safety_factor))
        return carried, _guesses(carried, first, min(last, float(carried[-1])))

    def _fewest(self, log_load: float, safety_factor: float) -> int:
        """Instances that carry more than a load, at most as many as are told apart."""
        load = Fraction(math.exp(min(log_load + _MORE, _MOST_LOG)))
        needed = required_fleet(load, self.fleets.rules, checked_factor(safety_factor))
        return _MOST_INSTANCES if needed is None else min(needed, _MOST_INSTANCES)

    def _most(self, bounds: Floats, told_apart: float) -> float:
        """Largest load; bounds by month are of what need not meet, so beyond what is told apart loads are looked at."""
        far = np.flatnonzero(bounds > told_apart).tolist()
        met = [float(np.max(self.paths.at(month) - self._log_each)) for month in far]
        near = float(np.max(bounds, where=bounds <= told_apart, initial=-math.inf))
        return max([near, *met])

    def phase_counts(
        self, maximum_over_normal: float, high_factor: float, lead_months: int, *, maximum: float | None = None
    ) -> Counts:
        """How many scenarios are in which phase, by the rules of `capacity.planning.timeline`, without constraints.

        Parameters
        ----------
        maximum_over_normal : float
            Largest load of an instance over its capacity.
        high_factor : float
        lead_months : int
        maximum : float, optional
            Largest load of an instance, where it is stated: the same in all scenarios, but for larger capacities.

        Returns
        -------
        array of int, shape (months, 3)
            Vertical, horizontal, autoscaling.
        """
        rules = np.array([high_factor, lead_months], dtype=np.float64)
        paths, one = self.paths.for_loops, np.log(self.capacity)
        most = one + math.log(maximum_over_normal) if maximum is None else np.maximum(one, math.log(maximum))

        def run(part: slice) -> Counts:
            begun = np.zeros((self.months, 2), dtype=np.int64)
            ends = (part.start, part.stop)
            _loops(len(self)).count_phases(paths, one, most, rules, begun, ends)
            return begun

        horizontal, autoscaling = np.sum(in_slices(run, len(self)), axis=0).cumsum(axis=0).T
        return np.stack([len(self) - horizontal, horizontal - autoscaling, autoscaling], axis=1)


def draw_scenarios(
    months: Sequence[MonthlyPeak],
    capacity: Interval,
    lead_time_months: Interval,
    *,
    seed: int = 1,
    count: int = DRAWS,
    range_level: float = RANGE_LEVEL,
) -> Scenarios:
    """Draw scenarios from the ranges of growth, capacity and lead time, independent of each other.

    Parameters
    ----------
    months : sequence of MonthlyPeak
        As by `GrowthProjection.monthly`.
    capacity : Interval
        Of one instance.
    lead_time_months : Interval
    seed : int, default 1
    count : int, default 100,000
        One is enough, and is what comes, where nothing is uncertain.
    range_level : float, default 0.9
        Probability that a range is taken to enclose where none is stated with it, as for every month of a growth.

    Returns
    -------
    Scenarios

    Raises
    ------
    InputError
        For a capacity that may be 0, and ends that are not finite.
    """
    count = whole("count", count, least=1)
    _check_range("instance capacity", capacity, least=math.ulp(0.0))
    _check_range("lead time", lead_time_months, least=0.0)
    ranges = [SplitLognormal.of(month.range, range_level, month.p99) for month in months]
    one, lead = (SplitLognormal.of(value, range_level) for value in (capacity, lead_time_months))
    if not any(item.is_uncertain for item in (*ranges, one, lead)):
        count = 1
    position, carried, waited = generator(seed, 6).standard_normal((3, count))
    paths = GrowthPaths.of(ranges, _places(months, position, seed))
    values = in_slices(lambda part: (one.at(carried[part]), lead.at(waited[part])), count)
    fixed = np.array([math.nan if item.is_uncertain else item.mid for item in ranges])
    carries, waits = (np.concatenate(parts) for parts in zip(*values, strict=True))
    return Scenarios(paths, carries, waits, fixed)


def _places(months: Sequence[MonthlyPeak], position: Floats, seed: int) -> Floats:
    """Positions by scenario, shape (scenarios,) where a path keeps its own, else (months, scenarios)."""
    links = [month.dependence for month in months]
    if not any(month.is_bent for month in months):
        return position
    if all(link == KEPT for link in links):
        links = links[:1]
    return positions(position, links, generator(seed, 6, 1)).T


def _check_range(name: str, value: Interval, *, least: float) -> None:
    if not least <= value.low <= value.high < math.inf:
        bound = "at least 0" if least == 0 else "above 0"
        raise InputError(
            f"The {name} goes from {value.low:g} to {value.high:g}; to draw from it, its ends must be {bound} and "
            "finite."
        )


def _within_months(passed: Floats, ranks: Floats) -> Floats:
    """Passages by month, shape (scenarios, fleets), moved to moments of constant hazard within it.

    Where a share h of the scenarios that are left passes within a month, 1 - (1 - h)^t have after a part t of it.
    """
    if len(passed) == 1:
        return np.where(passed > 0.0, np.floor(passed) + ranks, passed)
    found = np.empty_like(passed)
    for fleet, months in enumerate(passed.T):
        is_later = np.isfinite(months) & (months > 0.0)
        month = months[is_later].astype(np.int64)
        passing = np.bincount(month)
        left = np.count_nonzero(months > 0.0) - (passing.cumsum() - passing)
        with np.errstate(divide="ignore"):
            rate, share = -np.log1p(-passing / left), (passing / left)[month]
            found[:, fleet] = months
            found[is_later, fleet] = month - np.log1p(-share * ranks[is_later]) / rate[month]
    return np.maximum.accumulate(found, axis=1)


def _log(loads: Floats) -> Floats:
    """Logarithms; of a load of 0 minus infinity."""
    with np.errstate(divide="ignore"):
        return np.log(loads)


def _guesses(carried: Floats, first: float, last: float) -> Guesses:
    """Least load, parts per unit above it, and instances by part; 0 where the part holds the end of a count.

    A part counts as wider by a thousandth and by what is left to exact arithmetic, so that rounding moves no load out.
    """
    scale = _PARTS / (last - first) if last > first else 0.0
    ends, slack = (np.maximum(carried[1:], first) - first) * scale, 1e-3 + 2 * scenario_loops.NEAR * scale
    first_part, last_part = (
        np.bincount(np.clip(np.floor(edge), 0, _PARTS - 1).astype(np.int64), minlength=_PARTS)
        for edge in (ends - slack, ends + slack)
    )
    begun, over = first_part.cumsum(), last_part.cumsum() - last_part
    counts = np.where(begun == over, over + 1, 0)
    counts[[0, -1]] = 0  # loads beyond the ends are put there
    return first, scale, counts.astype(np.uint16)


def _loops(scenarios: int) -> Any:
    """Compiled where there are many scenarios; numba takes longer to load than a few take in plain Python."""
    if scenarios < _WORTH_COMPILING:
        return scenario_loops
    from capacity.planning import scenario_kernels

    return scenario_kernels


def _check(name: str, values: Floats, dimensions: int, *, least: float) -> None:
    if values.ndim != dimensions or values.size == 0:
        raise InputError(f"{name} has shape {values.shape}; it must have {dimensions} dimension(s) and not be empty.")
    low, high = float(values.min()), float(values.max())  # NaN, too, shows in both
    if not (low >= least and math.isfinite(high)):
        bound = "and at least 0" if least == 0 else "and above 0"
        raise InputError(f"{name} must be finite {bound} in every scenario; they go from {low:g} to {high:g}.")
