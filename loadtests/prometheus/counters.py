"""From raw counter samples to what was counted between two scrapes, whatever restarts and gaps there were.

PromQL's `increase` extrapolates to the ends of its range and takes a counter's first sample as its
starting point, so that the first 503 of a server, whose series begins with it, is never counted.
Here the raw samples of one scraped instance are put side by side. A series that appears while
others of its instance are scraped began at 0. A counter never goes down, so where one does, where
the process's start time changes or (without that) where series vanish, the process was started
anew: every counter then began at 0, and what it counted between the last scrape and its end is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from loadtests.prometheus.client import Series

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_GAP_SCRAPES = 3.5
"""An interval longer than so many usual ones is a gap: the load inside it is not known."""
_FEWEST_SCRAPES = 3
_MOST_TIMES = 1.5
_SAME_START_S = 0.5


@dataclass(frozen=True, eq=False)
class Counters:
    """What the counters of one instance gained between its scrapes.

    Parameters
    ----------
    time_s : array of float, shape (n + 1,)
        Times of the scrapes, seconds since 1970.
    gained : array of float, shape (n, series)
        Gains between neighbouring scrapes, never negative; after a restart what was counted since.
    labels : tuple of dict of str to str
        Labels of each series.
    is_restart : array of bool, shape (n,)
        The process was started anew in this interval, so its gains are lower bounds.
    left_out_samples : int
        Samples that were no number from 0 (NaN, infinite, negative), and were left out.
    """

    time_s: Floats
    gained: Floats
    labels: tuple[dict[str, str], ...]
    is_restart: Flags
    left_out_samples: int

    @property
    def length_s(self) -> Floats:
        """Length of each interval."""
        return np.diff(self.time_s)

    @property
    def scrape_interval_s(self) -> float:
        """The usual time between two scrapes: the median."""
        return float(np.median(self.length_s))

    @property
    def is_gap(self) -> Flags:
        """Intervals in which several scrapes are missing."""
        return np.asarray(self.length_s > _GAP_SCRAPES * self.scrape_interval_s)

    @property
    def is_usable(self) -> Flags:
        """Neither a restart nor a gap."""
        return ~(self.is_restart | self.is_gap)

    def columns(self, name: str) -> NDArray[np.int64]:
        """The series of the metric `name`."""
        return np.flatnonzero([item.get("__name__", "") == name for item in self.labels])


def read_counters(
    series: Sequence[Series], scraped_s: Floats | None = None, start_times: Sequence[Series] = ()
) -> Counters:
    """Put the counters of one instance side by side.

    Parameters
    ----------
    series : sequence of Series
        All of one instance, scraped together.
    scraped_s : array of float, optional
        Times at which a scrape succeeded, where known: a scrape may have found no series yet.
    start_times : sequence of Series
        The process's start time at the scrapes; empty: not known.

    Returns
    -------
    Counters

    Raises
    ------
    InputError
        When there are too few scrapes, or the series were not scraped together.
    """
    times, values, left_out = _side_by_side(series, scraped_s)
    is_restart = _restarts(values, _started(times, start_times))
    return Counters(
        times, _gains(values, is_restart), tuple(dict(item.labels) for item in series), is_restart, left_out
    )


def _side_by_side(series: Sequence[Series], scraped_s: Floats | None) -> tuple[Floats, Floats, int]:
    """Times, values (NaN: not there) and how many samples were no counter's."""
    of_series = [item.time_s for item in series]
    own = np.unique(np.concatenate(of_series)) if of_series else np.empty(0)
    longest = max((len(item) for item in of_series), default=0)
    times = own if scraped_s is None else np.union1d(own, scraped_s)
    if len(own) > _MOST_TIMES * longest + _FEWEST_SCRAPES and not _come_and_go(series):
        raise InputError(
            f"The series were not scraped together: {len(own)} different times, at most {longest} in one series. They "
            "come from several sources; name the labels that tell those apart (target_labels), or select one."
        )
    values = np.full((len(times), len(series)), np.nan)
    is_bad = np.zeros(len(times), dtype=bool)
    left_out = 0
    for place, item in enumerate(series):
        rows = np.searchsorted(times, item.time_s)
        values[rows, place] = item.value
        bad = ~(np.isfinite(item.value) & (item.value >= 0))
        is_bad[rows[bad]] = True
        left_out += int(bad.sum())
    if (~is_bad).sum() < _FEWEST_SCRAPES:
        raise InputError(
            f"The range holds {int((~is_bad).sum())} usable scrapes of the counters; at least {_FEWEST_SCRAPES} are "
            "needed. Choose a longer range, or one in which the instance ran."
        )
    return times[~is_bad], values[~is_bad], left_out


def _come_and_go(series: Sequence[Series]) -> bool:
    """Whether the many times come from series that live one after the other, not side by side."""
    spans = sorted((item.time_s[0], item.time_s[-1]) for item in series if len(item.time_s))
    every = np.unique(np.concatenate([item.time_s for item in series]))
    held = sum(int(((every >= first) & (every <= last)).sum()) for first, last in spans)
    return sum(len(item.time_s) for item in series) > 0.9 * held


def _carried(values: Floats) -> Floats:
    """Each cell's last value so far; 0 before the first."""
    rows = np.arange(len(values))[:, None]
    last_row = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    found = np.take_along_axis(values, np.maximum(last_row, 0), axis=0)
    return np.where(last_row < 0, 0.0, found)


def _started(times: Floats, start_times: Sequence[Series]) -> Floats | None:
    """The process's start time as of each scrape; None where nothing says it."""
    found = [item for item in start_times if len(item.time_s)]
    if not found:
        return None
    at = np.concatenate([item.time_s for item in found])
    value = np.concatenate([item.value for item in found])
    order = np.argsort(at, kind="stable")
    place = np.clip(np.searchsorted(at[order], times, side="right") - 1, 0, None)
    return np.asarray(value[order][place], dtype=float)


def _restarts(values: Floats, started: Floats | None) -> Flags:
    """Where the start time changes, or (not known) series vanish; and where a counter falls within one life."""
    present = ~np.isnan(values)
    if started is not None:
        is_restart = np.abs(np.diff(started)) > _SAME_START_S
    else:
        is_restart = np.any(present[:-1] & ~present[1:], axis=1)
    for first, end in _lives(is_restart):
        is_restart[first : end - 1] |= np.any(np.diff(_carried(values[first:end]), axis=0) < 0, axis=1)
    return np.asarray(is_restart)


def _lives(is_restart: Flags) -> list[tuple[int, int]]:
    """The scrapes of each life of the process, from the first up to the end."""
    return list(pairwise([0, *(np.flatnonzero(is_restart) + 1), len(is_restart) + 1]))


def _gains(values: Floats, is_restart: Flags) -> Floats:
    """Differences inside each life; in a restart's interval the new life's first value."""
    gained = np.zeros((len(values) - 1, values.shape[1]))
    for first, end in _lives(is_restart):
        life = _carried(values[first:end])
        gained[first : end - 1] = np.diff(life, axis=0)
        if first:
            gained[first - 1] = life[0]
    return gained
