"""A run in a few hundred numbers: counts, times and histograms over equal cells of time, mergeable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.errors import InputError
from simulations.engines import digest_kernel as kernel
from simulations.engines.request_log import OUTCOME_NAMES, RequestLog, Waits

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

CELLS = 512


@dataclass(eq=False)
class TimeCells:
    """Sums over cells of simulated time; attempts belong to a cell by the moment the client had the answer.

    Parameters
    ----------
    width_s : float
        Length of a cell at first; it doubles when a run outlasts 512 of them.
    waits : Waits
        The clients' side of the run.
    """

    width_s: float
    waits: Waits
    counts: Whole = field(init=False, repr=False)
    sums: Floats = field(init=False, repr=False)
    times: Whole = field(init=False, repr=False)
    totals: Whole = field(init=False, repr=False)
    scale: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.width_s < math.inf:
            raise InputError(f"width_s is {self.width_s!r}; it must be above 0 and finite.")
        tries_again = self.waits.most_attempts > 1
        self.counts, self.sums = np.zeros((CELLS, kernel.COUNTS), np.int64), np.zeros((CELLS, kernel.SUMS))
        self.times = np.zeros((CELLS, kernel.BUCKETS), np.int64)
        self.totals = np.zeros((CELLS if tries_again else 0, kernel.BUCKETS), np.int64)
        self.scale = np.array([self.width_s, np.inf, -np.inf, 0.0, np.inf, -np.inf])

    def add_log(self, log: RequestLog) -> None:
        """Add a whole log."""
        rows = np.zeros(len(log), _LOG_ROW)
        for name in ("arrival_s", "start_s", "departure_s", "attempt", "outcome"):
            rows[name] = getattr(log, name)
        rows["sent_s"] = _sent_s(log)
        self.add_rows(rows)

    def add_columns(self, arrival_s: Floats, start_s: Floats, departure_s: Floats, outcome: NDArray[np.int8]) -> None:
        """Add finished requests of patient clients."""
        kernel.add_columns(
            arrival_s, start_s, departure_s, outcome, self.waits.answer_delay_s, self.counts, self.sums,
            self.times, self.scale,
        )  # fmt: skip
        self.counts[:, kernel.LOGICAL :] = self.counts[:, kernel.OUTCOMES : kernel.LOGICAL]
        self.sums[:, kernel.TOTAL_S] = self.sums[:, kernel.RESIDENCE_S]
        self.scale[[kernel.SHORTEST_TOTAL_S, kernel.LONGEST_TOTAL_S]] = self.scale[
            [kernel.SHORTEST_S, kernel.LONGEST_S]
        ]

    def add_rows(self, rows: NDArray[np.void]) -> None:
        """Add finished rows of the event-driven kernel (`event_kernel.ROW`) or of a log."""
        waits = self.waits
        kernel.add_rows(
            rows, waits.answer_delay_s, waits.request_timeout_s, waits.client_timeout_s, waits.most_attempts,
            np.array(waits.is_retried), self.counts, self.sums, self.times, self.totals, self.scale,
        )  # fmt: skip

    @property
    def cell_s(self) -> float:
        """Length of a cell now, seconds."""
        return float(self.scale[kernel.WIDTH_S])

    @property
    def last_arrival_s(self) -> float:
        """After this the system only drains."""
        return float(self.scale[kernel.LAST_ARRIVAL_S])

    @property
    def attempts(self) -> int:
        """All that were added."""
        return int(self.counts[:, kernel.ARRIVALS].sum())

    def outcomes(self, first: int = 0, last: int = CELLS, *, logical: bool = False) -> dict[str, int]:
        """How many attempts (or logical requests) ended how, in cells `first` to before `last`."""
        column = kernel.LOGICAL if logical else kernel.OUTCOMES
        found = self.counts[first:last, column : column + len(OUTCOME_NAMES)].sum(axis=0)
        return dict(zip(OUTCOME_NAMES, found.tolist(), strict=True))

    def quantiles_s(
        self, probabilities: tuple[float, ...], first: int = 0, last: int = CELLS, *, logical: bool = False
    ) -> list[float]:
        """Quantiles of the served residence times (or logical total times) answered in those cells; NaN without any.

        The error is that of a straight line inside a bucket 0.8 % wide, and never leaves the range of what was seen.
        """
        times = self._times(logical)
        (buckets,) = times.by_stretch([first, last])
        return [times.quantile_s(buckets, share) for share in probabilities]

    def quantile_by_stretch_s(
        self, probability: float, edges: Sequence[int], *, logical: bool = False
    ) -> tuple[list[float], float]:
        """One quantile of each stretch of cells between two edges, and that of all of them together."""
        times = self._times(logical)
        stretches = times.by_stretch(edges)
        each = [times.quantile_s(buckets, probability) for buckets in stretches]
        return each, times.quantile_s(stretches.sum(axis=0), probability)

    def _times(self, logical: bool) -> _Histograms:
        own = logical and self.totals.size > 0
        names = (kernel.SHORTEST_TOTAL_S, kernel.LONGEST_TOTAL_S) if logical else (kernel.SHORTEST_S, kernel.LONGEST_S)
        shortest, longest = (float(self.scale[name]) for name in names)
        return _Histograms.within(self.totals if own else self.times, shortest, longest)

    def forget_times(self) -> None:
        """Drop the histograms, nearly all of the memory; counts and sums stay."""
        self.times = self.totals = np.zeros((0, kernel.BUCKETS), np.int64)

    def merge(self, other: TimeCells) -> None:
        """Add another run over the same time (a replication, another worker's part)."""
        if self.waits != other.waits:
            raise InputError("Only runs with the same clients can be merged.")
        finer, coarser = (self, other) if self.cell_s <= other.cell_s else (other, self)
        steps = round(math.log2(coarser.cell_s / finer.cell_s))
        if not math.isclose(finer.cell_s * 2**steps, coarser.cell_s, rel_tol=1e-12):
            raise InputError("Only runs whose cells began with the same width can be merged.")
        for _ in range(steps):
            kernel.halve(finer.counts, finer.sums, finer.times, finer.totals, finer.scale)
        for name in ("counts", "sums", "times", "totals"):
            getattr(self, name)[...] += getattr(other, name)
        for place, pick in ((kernel.SHORTEST_S, min), (kernel.LONGEST_S, max), (kernel.LAST_ARRIVAL_S, max),
                            (kernel.SHORTEST_TOTAL_S, min), (kernel.LONGEST_TOTAL_S, max)):  # fmt: skip
            self.scale[place] = pick(self.scale[place], other.scale[place])


_LOG_ROW = np.dtype(
    [(name, np.float64) for name in ("arrival_s", "start_s", "departure_s", "sent_s")]
    + [(name, np.int64) for name in ("attempt", "outcome")],
    align=True,
)


def _sent_s(log: RequestLog) -> Floats:
    """When each attempt's logical request was sent first."""
    if log.waits.most_attempts == 1:
        return log.arrival_s
    order = np.lexsort((log.attempt, log.cycle, log.user))
    is_first = log.attempt[order] == 0
    sent = np.empty(len(log))
    sent[order] = log.arrival_s[order][is_first][np.cumsum(is_first) - 1]
    return sent


def bucket_edges_s() -> Floats:
    """Lower edges of the buckets, and the upper edge of the last."""
    bits = (np.arange(kernel.BUCKETS + 1, dtype=np.int64) + (kernel.FIRST_EXPONENT << kernel.BITS)) << (
        52 - kernel.BITS
    )
    return bits.view(np.float64)


_EDGES_S = bucket_edges_s()


@dataclass(frozen=True)
class _Histograms:
    """A histogram for each cell, cut to the buckets in which anything was seen: most are empty."""

    counts: Whole
    edges_s: Floats
    shortest_s: float
    longest_s: float

    @classmethod
    def within(cls, counts: Whole, shortest_s: float, longest_s: float) -> _Histograms:
        if shortest_s > longest_s:  # nothing was seen
            return cls(counts[:, :0], _EDGES_S[:1], shortest_s, longest_s)
        low = max(int(np.searchsorted(_EDGES_S, shortest_s, side="right")) - 1, 0)
        high = min(int(np.searchsorted(_EDGES_S, longest_s, side="right")), kernel.BUCKETS)
        low = min(low, kernel.BUCKETS - 1)
        high = max(high, low + 1)
        return cls(counts[:, low:high], _EDGES_S[low : high + 1], shortest_s, longest_s)

    def by_stretch(self, edges: Sequence[int]) -> Whole:
        """Counts of each stretch of cells between two edges."""
        return np.array([self.counts[first:last].sum(axis=0) for first, last in pairwise(edges)])

    def quantile_s(self, buckets: Whole, share: float) -> float:
        """The value below which a share of the counts lies, linear inside a bucket."""
        upto = np.cumsum(buckets)
        if upto.size == 0 or upto[-1] == 0:
            return math.nan
        wanted = share * upto[-1]
        bucket = int(np.searchsorted(upto, wanted, side="left"))
        below = upto[bucket] - buckets[bucket]
        left, right = max(self.edges_s[bucket], self.shortest_s), min(self.edges_s[bucket + 1], self.longest_s)
        inside = (wanted - below) / buckets[bucket] if buckets[bucket] else 0.0
        return float(min(max(left + inside * (right - left), self.shortest_s), self.longest_s))
