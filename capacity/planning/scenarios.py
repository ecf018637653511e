"""Joint scenarios of growth, capacity and lead time: drawn once, then counted as often as one asks.

Numbers are drawn by the rule of `capacity.planning.uncertain`. A growth path keeps its position in the ranges of all
months (low stays low): that is what somebody who states low, mid and high means, and of all dependences it gives the
widest sums. Where the growth says how its months depend on each other, as a forecast does, positions follow that
(`capacity.demand.month_dependence`). Draws of one's own can take the place of either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.month_dependence import positions
from capacity.planning import scenario_loops
from capacity.planning.instance_formula import required_instances
from capacity.planning.orders import DRAWS
from capacity.planning.uncertain import RANGE_LEVEL, SplitLognormal
from loadtests.foundation.checks import whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.seeds import generator

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Found = TypeVar("Found")

_SLICES = 4
_MOST_INSTANCES = 20_000
_PHASES = 3
_WORTH_COMPILING = 100
_PARTS, _MOST_LOG = 16_384, 700.0


@dataclass(frozen=True, eq=False)
class Scenarios:
    """What may come, scenario by scenario. Made by `draw_scenarios`, or by `Scenarios.of` from draws of one's own.

    Parameters
    ----------
    log_peaks : array, shape (scenarios, months)
        Logarithm of the peak load of each month from today (0).
    capacity : array, shape (scenarios,)
        Load that one instance carries, above 0.
    lead_time_months : array, shape (scenarios,)
        From an order to its capacity, at least 0.
    stated_peaks : array, shape (scenarios, months) or (months,), optional
        The peaks themselves where somebody states them, of all scenarios or the same for all; NaN elsewhere. Counts of
        instances are exact for these numbers.

    Raises
    ------
    InputError
        For other shapes, and numbers outside these ranges.
    """

    log_peaks: Floats
    capacity: Floats
    lead_time_months: Floats
    stated_peaks: Floats | None = None

    def __post_init__(self) -> None:
        _check("log_peaks", self.log_peaks, 2, least=-math.inf, extent=self._extent)
        _check("capacity", self.capacity, 1, least=math.ulp(0.0))
        _check("lead_time_months", self.lead_time_months, 1, least=0.0)
        if not len(self.log_peaks) == len(self.capacity) == len(self.lead_time_months):
            raise InputError(
                f"There are {len(self.log_peaks)} paths, {len(self.capacity)} capacities and "
                f"{len(self.lead_time_months)} lead times; give one of each a scenario."
            )

    @classmethod
    def of(cls, peaks: Floats, capacity: Floats, lead_time_months: Floats) -> Scenarios:
        """From the peaks themselves, shape (scenarios, months), above 0."""
        stated = np.asarray(peaks, dtype=np.float64)
        _check("peaks", stated, 2, least=math.ulp(0.0))
        one, lead = (np.asarray(item, dtype=np.float64) for item in (capacity, lead_time_months))
        return cls(np.log(stated), one, lead, stated)

    def __len__(self) -> int:
        return len(self.log_peaks)

    @property
    def months(self) -> int:
        """Number of months, today's included."""
        return int(self.log_peaks.shape[1])

    @cached_property
    def _log_capacity(self) -> Floats:
        return np.log(self.capacity)

    @cached_property
    def _by_month(self) -> Floats:
        """`log_peaks` with a row a month, one after another in memory; no copy where they were drawn here."""
        return np.ascontiguousarray(self.log_peaks.T)

    @cached_property
    def _extent(self) -> tuple[float, float]:
        """Least and most of all loads; NaN where one is."""
        if self.log_peaks.ndim != 2 or self.log_peaks.size == 0:
            return math.nan, math.nan
        found = _in_threads(lambda part: _ends(self._by_month[:, part]), len(self.log_peaks))
        return float(np.min([low for low, _ in found])), float(np.max([high for _, high in found]))

    def first_passages(self, sizes: Sequence[int], *, geometric: bool = True) -> Floats:
        """Months after which the load first exceeds what fleets of these sizes carry; infinite where it never does.

        Parameters
        ----------
        sizes : sequence of int
            Ascending, at least 1.
        geometric : bool, default True
            How the load moves between two months; else along a line.

        Returns
        -------
        array, shape (scenarios, sizes)
        """
        loops, found = _loops(len(self)), np.empty((len(self), len(sizes)))
        logs = np.log(np.asarray(sizes, dtype=np.float64))

        def run(part: slice) -> None:
            ends = (part.start, part.stop)
            loops.first_passages(self._by_month, self._log_capacity, logs, geometric, found, ends)

        _in_threads(run, len(self))
        return found

    def exceeding_today(self, fleet: int) -> float:
        """Share of scenarios in which a fleet carries less than today's peak."""
        limit = self._log_capacity + math.log(fleet) + scenario_loops.SAME
        return float(np.mean(self.log_peaks[:, 0] > limit))

    def instance_counts(self, safety_factor: float = 1.0) -> Counts:
        """How many scenarios need how many instances: ceil(peak / capacity x factor), exact as `required_instances`.

        Returns
        -------
        array of int, shape (months, instances)
            At [m, n] the scenarios that need n instances in month m; the last place is that many or more (20,000 are
            told apart).
        """
        carried, guesses = self._tables(float(safety_factor))
        loops, shape = _loops(len(self)), (self.months, carried.size)
        unsure = np.zeros((self.months, len(self)), dtype=np.bool_)

        def run(part: slice) -> tuple[Counts, int]:
            counted, room = np.zeros(shape, dtype=np.int64), np.empty(scenario_loops.BLOCK, dtype=np.int32)
            ends, found = (part.start, part.stop), (room, unsure)
            left = loops.count_instances(self._by_month, self._log_capacity, carried, guesses, counted, found, ends)
            return counted, left

        parts = _in_threads(run, len(self))
        found = np.asarray(sum((counted for counted, _ in parts), np.zeros(shape, dtype=np.int64)))
        if any(left for _, left in parts):
            for month in np.flatnonzero(unsure.any(axis=1)).tolist():
                self._count_exactly(month, np.flatnonzero(unsure[month]), safety_factor, found[month])
        return found

    def _count_exactly(self, month: int, rows: Counts, safety_factor: float, into: Counts) -> None:
        """Each pair of peak and capacity once."""
        stated = None if self.stated_peaks is None else np.broadcast_to(self.stated_peaks, self.log_peaks.shape)
        peaks = np.exp(self.log_peaks[rows, month]) if stated is None else stated[rows, month]
        peaks = np.where(np.isnan(peaks), np.exp(self.log_peaks[rows, month]), peaks)
        pairs, times = np.unique(np.stack([peaks, self.capacity[rows]]), axis=1, return_counts=True)
        for (peak, one), count in zip(pairs.T.tolist(), times.tolist(), strict=True):
            into[min(required_instances(peak, one, safety_factor), into.size - 1)] += count

    def exact_counts(self, safety_factor: float = 1.0) -> list[int]:
        """Instances by month of the first scenario, exactly."""
        one = float(self.capacity[0])
        peaks = np.exp(self.log_peaks[0]) if self.stated_peaks is None else np.atleast_2d(self.stated_peaks)[0]
        return [required_instances(float(peak), one, safety_factor) for peak in peaks]

    def _tables(self, safety_factor: float) -> tuple[Floats, tuple[float, float, Counts]]:
        """Logarithm of what 0, 1, 2, ... instances carry over the factor, and the guesses of `count_instances`."""
        least, highest = self._extent
        first, last = least - float(self._log_capacity.max()), highest - float(self._log_capacity.min())
        if last + math.log(safety_factor) > math.log(_MOST_INSTANCES):  # a bound so far, of what never meets
            last = float(np.max(self._by_month.max(axis=0) - self._log_capacity))
        most = min(math.exp(min(last, _MOST_LOG)) * safety_factor, float(_MOST_INSTANCES))
        with np.errstate(divide="ignore"):
            carried = np.log(np.arange(math.ceil(most) + 2, dtype=np.float64)) - math.log(safety_factor)
        return carried, _guesses(carried, first, min(last, float(carried[-1])))

    def phase_counts(
        self, maximum_over_normal: float, high_factor: float, lead_months: int, *, maximum: float | None = None
    ) -> Counts:
        """How many scenarios are in which phase, by the rules of `capacity.planning.timeline`.

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
        loops, shape = _loops(len(self)), (self.months, _PHASES)
        rules = np.array([high_factor, lead_months], dtype=np.float64)
        most = self._log_capacity + math.log(maximum_over_normal)
        most = most if maximum is None else np.maximum(self._log_capacity, math.log(maximum))

        def run(part: slice) -> Counts:
            counted = np.zeros(shape, dtype=np.int64)
            loops.count_phases(self._by_month, self._log_capacity, most, rules, counted, (part.start, part.stop))
            return counted

        return np.asarray(sum(_in_threads(run, len(self)), np.zeros(shape, dtype=np.int64)))


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
    rng = generator(seed, 6)
    position, carried, waited = rng.standard_normal((3, count))
    place = _places(months, position, seed)
    return _scenarios(ranges, place, one.at(carried), lead.at(waited))


def _places(months: Sequence[MonthlyPeak], position: Floats, seed: int) -> Floats:
    """Positions by scenario, shape (scenarios,) where a path keeps its own, else by month too."""
    links = [month.dependence for month in months]
    if not any(month.is_bent for month in months):
        return position
    return positions(position, links, generator(seed, 6, 1))


def _check_range(name: str, value: Interval, *, least: float) -> None:
    if not least <= value.low <= value.high < math.inf:
        bound = "at least 0" if least == 0 else "above 0"
        raise InputError(
            f"The {name} goes from {value.low:g} to {value.high:g}; to draw from it, its ends must be {bound} and "
            "finite."
        )


def _scenarios(ranges: Sequence[SplitLognormal], position: Floats, capacity: Floats, lead: Floats) -> Scenarios:
    count = len(position)
    if not any(item.is_uncertain for item in ranges):
        mids = np.array([item.mid for item in ranges], dtype=np.float64)
        return Scenarios.of(np.tile(mids, (count, 1)), capacity, lead)
    logs, up, down, beyond, errors = np.array(
        [(math.log(item.mid), item.up, item.down, item.beyond, item.errors) for item in ranges]
    ).T.copy()
    loops, found = _loops(count), np.empty((len(ranges), count))

    def run(part: slice) -> None:
        if position.ndim == 1:
            loops.growth_paths(logs, up, down, position, found, (part.start, part.stop))
        else:
            loops.wandering_paths(logs, (up, down, beyond, errors), position.T, found, (part.start, part.stop))

    _in_threads(run, count)
    fixed = np.array([math.nan if item.is_uncertain else item.mid for item in ranges])
    return Scenarios(found.T, capacity, lead, fixed)


def _guesses(carried: Floats, first: float, last: float) -> tuple[float, float, Counts]:
    """Least load, parts per unit above it, and instances by part; below 0 where the part holds the end of a count.

    A part counts as wider by a thousandth and by what is left to exact arithmetic, so that rounding moves no load out.
    """
    edges, width = np.linspace(first, last, _PARTS + 1, retstep=True)
    slack = 1e-3 * float(width) + 2 * scenario_loops.NEAR
    least, most = (np.searchsorted(carried, ends) for ends in (edges[:-1] - slack, edges[1:] + slack))
    counts = np.where(least == most, least, -np.clip(least, 1, carried.size - 1))
    counts[[0, -1]] = -np.abs(counts[[0, -1]])  # loads beyond the ends are put there
    scale = _PARTS / (last - first) if last > first else 0.0
    return first, scale, counts.astype(np.int32)


def _loops(scenarios: int) -> Any:
    """Compiled where there are many scenarios; numba takes longer to load than a few take in plain Python."""
    if scenarios < _WORTH_COMPILING:
        return scenario_loops
    from capacity.planning import scenario_kernels

    return scenario_kernels


def _in_threads(run: Callable[[slice], Found], number: int) -> list[Found]:
    """Run slices of so many scenarios, a thread each where there are many."""
    if number < _SLICES * 1_000:
        return [run(slice(0, number))]
    edges = np.linspace(0, number, _SLICES + 1).astype(int).tolist()
    with ThreadPoolExecutor(_SLICES) as threads:
        return list(threads.map(run, map(slice, edges[:-1], edges[1:])))


def _ends(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())  # NaN, too, shows in both


def _check(
    name: str, values: Floats, dimensions: int, *, least: float, extent: tuple[float, float] | None = None
) -> None:
    if values.ndim != dimensions or values.size == 0:
        raise InputError(f"{name} has shape {values.shape}; it must have {dimensions} dimension(s) and not be empty.")
    low, high = _ends(values) if extent is None else extent
    if not (low >= least and math.isfinite(low) and math.isfinite(high)):
        bound = {0.0: " and at least 0", -math.inf: ""}.get(least, " and above 0")
        raise InputError(f"{name} must be finite{bound} in every scenario; they go from {low:g} to {high:g}.")
