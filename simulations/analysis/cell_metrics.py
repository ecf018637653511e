"""A run's metrics from its cells of time: values over a window, and intervals from batch means or replications."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.estimation.warm_up import find_warm_up
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from simulations.analysis.batch_means import (
    RECOMMENDED_BATCHES,
    BatchInterval,
    batch_interval_from_series,
    batch_share_interval,
)
from simulations.analysis.metrics import QUANTILES, Window
from simulations.engines import digest_kernel as column
from simulations.engines.request_log import OUTCOME_NAMES, SERVED, SHED_AT_GATE, SHED_AT_QUEUE, RequestLog
from simulations.engines.time_cells import CELLS, TimeCells

Floats = NDArray[np.float64]

QUANTILE_NAMES = ("p50_s", "p95_s", "p99_s")
COUNTED = ("sheds", "requests", "bad", "logical")
"""Entries of a row that are counts, not metrics."""
_BEYOND_QUANTILE = 10
_LEAST_BATCHES = 20
_P95 = QUANTILES.index(0.95)
_LAW_TOLERANCE = 0.01


@dataclass(frozen=True)
class CellWindow:
    """The cells from `first` to before `last` of a run: after the warm-up, before the system only drains."""

    cells: TimeCells
    first: int
    last: int

    @classmethod
    def after(cls, cells: TimeCells, warm_up_s: float) -> CellWindow:
        """From the first whole cell after the warm-up to the last whole cell with arrivals."""
        first = math.ceil(warm_up_s / cells.cell_s - 1e-9)
        last = min(int(cells.last_arrival_s / cells.cell_s), CELLS)
        return cls(cells, min(first, last), last)

    @classmethod
    def of(cls, log: RequestLog, window: Window) -> CellWindow:
        """A window of a log that was kept, in cells that divide it evenly."""
        latest_s = max(float(np.max(log.departure_s)), float(np.max(log.answered_s)), window.end_s)
        before = math.floor((CELLS - 1) * window.start_s / latest_s)
        width_s = window.start_s / before if before else latest_s / (CELLS - 1)
        cells = TimeCells(width_s, log.waits)
        cells.add_log(log)
        return cls.after(cells, window.start_s)

    @property
    def length_s(self) -> float:
        """Seconds."""
        return (self.last - self.first) * self.cells.cell_s

    @property
    def busy_workers(self) -> float:
        """Mean number over the window."""
        return float(self.sum_s(column.BUSY_S).sum()) / self.length_s

    @property
    def tries_again(self) -> bool:
        """Whether clients do, so that attempts and logical requests differ."""
        return self.cells.waits.most_attempts > 1

    def edges(self, batches: int) -> NDArray[np.int64]:
        """Cells at which stretches of nearly equal length begin, and the end."""
        return np.linspace(self.first, self.last, min(batches, self.last - self.first) + 1).astype(np.int64)

    def halves(self) -> tuple[CellWindow, CellWindow]:
        """The earlier and the later half."""
        middle = (self.first + self.last) // 2
        return CellWindow(self.cells, self.first, middle), CellWindow(self.cells, middle, self.last)

    def count(self, *columns: int) -> NDArray[np.int64]:
        """Per cell, the sum of some columns of counts."""
        return np.asarray(self.cells.counts[self.first : self.last, list(columns)].sum(axis=1))

    def sum_s(self, name: int) -> Floats:
        """Per cell, one column of sums, seconds."""
        return self.cells.sums[self.first : self.last, name]

    @property
    def answered(self) -> NDArray[np.int64]:
        """Attempts answered, per cell."""
        return self.count(*range(column.OUTCOMES, column.OUTCOMES + len(OUTCOME_NAMES)))

    @property
    def served(self) -> NDArray[np.int64]:
        """Attempts served, per cell."""
        return self.count(column.OUTCOMES + SERVED)

    @property
    def shed(self) -> NDArray[np.int64]:
        """Attempts turned away, per cell."""
        return self.count(column.OUTCOMES + SHED_AT_GATE, column.OUTCOMES + SHED_AT_QUEUE)

    @property
    def logical(self) -> NDArray[np.int64]:
        """Logical requests that came to their end, per cell."""
        return self.count(*range(column.LOGICAL, column.LOGICAL + len(OUTCOME_NAMES)))

    @property
    def bad(self) -> NDArray[np.int64]:
        """Logical requests that ended in anything but an answer, per cell."""
        return self.logical - self.count(column.LOGICAL + SERVED)

    def quantiles_s(self, *, logical: bool = False) -> list[float]:
        """`QUANTILES` over the whole window."""
        return self.cells.quantiles_s(QUANTILES, self.first, self.last, logical=logical)


def detected_warm_up_s(cells: TimeCells) -> float:
    """Warm-up by MSER-5 on the requests inside, cell by cell: for servers of which nothing is known beforehand."""
    last = min(int(cells.last_arrival_s / cells.cell_s), CELLS)
    if last == 0:
        return 0.0
    found = find_warm_up(cells.sums[:last, column.IN_FLIGHT_S])
    return cells.cell_s * (found.cut if found.is_long_enough else last)


def window_row(window: CellWindow) -> dict[str, float]:
    """Every metric over a window as one row of independent replications: quantiles with less bias, and counts."""
    length = window.length_s
    answered, served, logical = (int(item.sum()) for item in (window.answered, window.served, window.logical))
    sheds, bad = int(window.shed.sum()), int(window.bad.sum())
    earlier, later = window.halves()
    halves = zip(window.quantiles_s(), earlier.quantiles_s(), later.quantiles_s(), strict=True)
    quantiles = [2 * whole - (one + two) / 2 for whole, one, two in halves]
    residence_s = float(window.sum_s(column.RESIDENCE_S).sum())
    totals: dict[str, float] = {}
    if window.tries_again:
        total_s, good = float(window.sum_s(column.TOTAL_S).sum()), logical - bad
        totals = {"total_mean_s": total_s / good if good else math.nan,
                  "total_p95_s": window.quantiles_s(logical=True)[_P95]}  # fmt: skip
    return {
        "throughput_rps": answered / length, "goodput_rps": served / length,
        "shed_rate": sheds / answered if answered else math.nan,
        "bad_fraction": bad / logical if logical else math.nan,
        "mean_s": residence_s / served if served else math.nan,
        **dict(zip(QUANTILE_NAMES, quantiles, strict=True)),
        "in_flight": float(window.sum_s(column.IN_FLIGHT_S).sum()) / length,
        "busy_workers": window.busy_workers,
        "completed_rps": int(window.count(column.COMPLETED).sum()) / length, **totals,
        "sheds": float(sheds), "requests": float(answered), "bad": float(bad), "logical": float(logical),
    }  # fmt: skip


def batch_estimates(window: CellWindow, level: float, cluster_size: float = 1.0) -> dict[str, BatchInterval]:
    """Every metric over a window of one run, by batch means over stretches of its cells."""
    edges = window.edges(RECOMMENDED_BATCHES)
    length_s = np.diff(edges) * window.cells.cell_s

    def totals(values: NDArray[np.int64] | Floats) -> Floats:
        return np.add.reduceat(values.astype(float), edges[:-1] - window.first)

    def rate(values: NDArray[np.int64] | Floats) -> BatchInterval:
        return _not_negative(batch_interval_from_series(totals(values) / length_s, length_s, level))

    def mean(sums_s: Floats, counts: NDArray[np.int64]) -> BatchInterval:
        many = totals(counts)
        values = np.divide(totals(sums_s), many, out=np.full(many.size, np.nan), where=many > 0)
        return _not_negative(batch_interval_from_series(values, many, level))

    def share(events: NDArray[np.int64], trials: NDArray[np.int64]) -> BatchInterval:
        many = totals(trials)
        shares = np.divide(totals(events), many, out=np.full(many.size, np.nan), where=many > 0)
        return batch_share_interval(shares, many, level, cluster_size=cluster_size)

    answered, served = window.answered, window.served
    found = {
        "throughput_rps": rate(answered), "goodput_rps": rate(served),
        "shed_rate": share(window.shed, answered), "bad_fraction": share(window.bad, window.logical),
        "mean_s": mean(window.sum_s(column.RESIDENCE_S), served),
        **{name: _quantile_estimate(window, place, level) for place, name in enumerate(QUANTILE_NAMES)},
        "in_flight": rate(window.sum_s(column.IN_FLIGHT_S)), "busy_workers": rate(window.sum_s(column.BUSY_S)),
        "completed_rps": rate(window.count(column.COMPLETED)),
    }  # fmt: skip
    if window.tries_again:
        good = window.logical - window.bad
        found["total_mean_s"] = mean(window.sum_s(column.TOTAL_S), good)
        found["total_p95_s"] = _quantile_estimate(window, _P95, level, logical=True)
    return found


def _quantile_estimate(window: CellWindow, place: int, level: float, *, logical: bool = False) -> BatchInterval:
    """A quantile of batches that each hold enough requests beyond it, around the whole window's."""
    share = QUANTILES[place]
    enough = int(window.served.sum() * (1.0 - share) / _BEYOND_QUANTILE)
    edges = window.edges(min(max(enough, _LEAST_BATCHES), RECOMMENDED_BATCHES)).tolist()
    parts, whole = window.cells.quantile_by_stretch_s(share, edges, logical=logical)
    mid = None if math.isnan(whole) else whole
    return _not_negative(batch_interval_from_series(np.array(parts), level=level, mid=mid))


def _not_negative(found: BatchInterval) -> BatchInterval:
    plain = found.interval
    if not plain.is_known or plain.low >= 0:
        return found
    bounded = Interval(0.0, max(plain.mid, 0.0), max(plain.high, 0.0), plain.level)
    return BatchInterval(bounded, found.batches, found.correlation, found.is_long_enough)


def law_findings(window: CellWindow) -> tuple[Finding, ...]:
    """Little's law, the utilization law and flow balance inside a window.

    Each holds exactly but for the requests that straddle the window's ends; a violation beyond 1 % (for
    the flow: and beyond four standard deviations of two Poisson numbers inside) means a run that is short
    against its residence times, or a load that never settles.
    """
    length = window.length_s
    inside, busy = (float(window.sum_s(name).sum()) / length for name in (column.IN_FLIGHT_S, column.BUSY_S))
    arrived, left = (int(window.count(name).sum()) for name in (column.ARRIVALS, column.DEPARTURES))
    slack = 4.0 * math.sqrt(2.0 * inside) / max(arrived, 1)
    pairs = (
        ("little-s-law-in-run", "mean in flight and throughput times residence", inside,
         float(window.sum_s(column.INSIDE_S).sum()) / length, 0.0),
        ("utilization-law-in-run", "busy workers and throughput times service", busy,
         float(window.sum_s(column.HELD_S).sum()) / length, 0.0),
        ("flow-balance-in-run", "arrivals and departures", float(arrived), float(left), slack),
    )  # fmt: skip
    return tuple(
        _violated(code, what, abs(a - b) / max(a, b))
        for code, what, a, b, allowed in pairs
        if max(a, b) > 0 and abs(a - b) / max(a, b) > _LAW_TOLERANCE + allowed
    )


def _violated(code: str, what: str, error: float) -> Finding:
    return Finding(
        code, "warning",
        f"In this run {what} differ by {error:.1%}: it is short against the residence times, or the load grows "
        "without a steady state.",
        "Simulate longer, or lower the load below saturation.", {"relative_error": error},
    )  # fmt: skip
