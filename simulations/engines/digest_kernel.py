"""Finished rows into sums and histograms over cells of time, so that memory does not grow with requests.

Residence times go into log-linear buckets read straight off the float's bits: 128 per octave.
Cells are equally long; when time runs past the last one, neighbours are merged and all become
twice as long. What is kept is that of any order of the rows, so parts of a run can be added up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT, ABANDONED, FAILED = range(6)

BITS = 7
FIRST_EXPONENT, OCTAVES = 1023 - 27, 40
BUCKETS = OCTAVES << BITS
_FIRST = FIRST_EXPONENT << BITS

ARRIVALS, DEPARTURES, COMPLETED, OUTCOMES, LOGICAL = 0, 1, 2, 3, 9
COUNTS = LOGICAL + 6
IN_FLIGHT_S, BUSY_S, RESIDENCE_S, TOTAL_S, INSIDE_S, HELD_S = range(6)
SUMS = HELD_S + 1
WIDTH_S, SHORTEST_S, LONGEST_S, LAST_ARRIVAL_S, SHORTEST_TOTAL_S, LONGEST_TOTAL_S = range(6)

_ONE = np.uint64(1)
"""Unsigned indices spare numba's check for negative ones."""

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
_INLINED: dict[str, Any] = {**_COMPILED, "inline": "always"}


@njit(**_INLINED)
def _bucket(time_s):
    """The bucket of a time: exponent and leading bits of its fraction."""
    return min(max((np.float64(time_s).view(np.int64) >> (52 - BITS)) - _FIRST, 0), BUCKETS - 1)


@njit(**_COMPILED)
def _merge_pairs(table):
    """Row k becomes the sum of rows 2k and 2k + 1; the second half becomes 0."""
    rows = table.shape[0]
    for row in range(rows):
        for column in range(table.shape[1]):
            merged = table[2 * row, column] + table[2 * row + 1, column] if 2 * row + 1 < rows else 0 * table[0, 0]
            if table[row, column] != merged:  # what is not written to need not be in memory
                table[row, column] = merged


@njit(**_COMPILED)
def halve(counts, sums, times, totals, scale):
    """Merge neighbouring cells: each is then twice as long."""
    _merge_pairs(counts)
    _merge_pairs(sums)
    _merge_pairs(times)
    _merge_pairs(totals)
    scale[WIDTH_S] *= 2.0


@njit(**_COMPILED)
def _spread_wide(sums, column, from_s, cell, last, width_s):
    """Add the time from `from_s` on to the cells from `cell` to before `last`, which it covers to their ends."""
    while cell < last:
        edge_s = (cell + 1) * width_s
        sums[cell, column] += max(edge_s - from_s, 0.0)
        from_s = edge_s
        cell += 1


@njit(**_INLINED)
def _spread(sums, column, from_s, until_s, cell, last, width_s):
    """Add the time from `from_s` to `until_s` to the cells that it covers, `cell` to `last`; one or two, mostly."""
    edge_s = np.float64(last) * width_s
    sums[last, column] += until_s - max(from_s, edge_s)
    if cell + _ONE >= last:
        sums[max(last, _ONE) - _ONE, column] += max(edge_s - from_s, 0.0)
    else:
        _spread_wide(sums, column, from_s, np.int64(cell), np.int64(last), width_s)


@njit(**_INLINED)
def _add(arrival_s, start_s, departure_s, answered_s, outcome, sent_s, is_final, counts, sums, times, totals, scale):
    """One finished attempt."""
    while max(departure_s, answered_s) * (1.0 / scale[WIDTH_S]) >= counts.shape[0]:
        halve(counts, sums, times, totals, scale)
    width_s = scale[WIDTH_S]
    per_s = 1.0 / width_s
    came, left, answered = np.uint64(arrival_s * per_s), np.uint64(departure_s * per_s), np.uint64(answered_s * per_s)
    counts[came, ARRIVALS] += 1
    counts[left, DEPARTURES] += 1
    counts[answered, OUTCOMES + outcome] += 1
    scale[LAST_ARRIVAL_S] = max(scale[LAST_ARRIVAL_S], arrival_s)
    sums[left, INSIDE_S] += departure_s - arrival_s
    if departure_s > start_s or outcome == SERVED:
        counts[left, COMPLETED] += 1
        sums[left, HELD_S] += departure_s - start_s
        _spread(sums, BUSY_S, start_s, departure_s, np.uint64(start_s * per_s), left, width_s)
    _spread(sums, IN_FLIGHT_S, arrival_s, departure_s, came, left, width_s)
    if outcome == SERVED:
        residence_s = answered_s - arrival_s
        sums[answered, RESIDENCE_S] += residence_s
        times[answered, _bucket(residence_s)] += 1
        scale[SHORTEST_S] = min(scale[SHORTEST_S], residence_s)
        scale[LONGEST_S] = max(scale[LONGEST_S], residence_s)
    if is_final:
        counts[answered, LOGICAL + outcome] += 1
        if outcome == SERVED:
            total_s = answered_s - sent_s
            sums[answered, TOTAL_S] += total_s
            scale[SHORTEST_TOTAL_S] = min(scale[SHORTEST_TOTAL_S], total_s)
            scale[LONGEST_TOTAL_S] = max(scale[LONGEST_TOTAL_S], total_s)
            if totals.size > 0:
                totals[answered, _bucket(total_s)] += 1


@njit(**_COMPILED)
def add_columns(arrival_s, start_s, departure_s, outcome, answer_delay_s, counts, sums, times, scale):
    """As `_add`, for rows of patient clients, who have the answer `answer_delay_s[outcome]` after the departure.

    Every attempt is a logical request; what is kept of those is left to the caller.
    """
    latest_s = 0.0
    for i in range(departure_s.size):
        latest_s = max(latest_s, departure_s[i] + answer_delay_s[np.uint64(outcome[i])])
    while latest_s * (1.0 / scale[WIDTH_S]) >= counts.shape[0]:
        halve(counts, sums, times, times[:0], scale)
    width_s, last_arrival_s, shortest_s, longest_s = (
        scale[WIDTH_S],
        scale[LAST_ARRIVAL_S],
        scale[SHORTEST_S],
        scale[LONGEST_S],
    )
    per_s = 1.0 / width_s
    for i in range(arrival_s.size):
        inside_s, held_s = departure_s[i] - arrival_s[i], departure_s[i] - start_s[i]
        answered_s = departure_s[i] + answer_delay_s[np.uint64(outcome[i])]
        came, left, answered = (
            np.uint64(arrival_s[i] * per_s),
            np.uint64(departure_s[i] * per_s),
            np.uint64(answered_s * per_s),
        )
        last_arrival_s = max(last_arrival_s, arrival_s[i])
        counts[came, ARRIVALS] += 1
        counts[left, DEPARTURES] += 1
        counts[answered, OUTCOMES + outcome[i]] += 1
        sums[left, INSIDE_S] += inside_s
        if outcome[i] == SERVED:
            counts[left, COMPLETED] += 1
            sums[left, HELD_S] += held_s
            _spread(sums, BUSY_S, start_s[i], departure_s[i], np.uint64(start_s[i] * per_s), left, width_s)
            _spread(sums, IN_FLIGHT_S, arrival_s[i], departure_s[i], came, left, width_s)
            residence_s = answered_s - arrival_s[i]
            shortest_s, longest_s = min(shortest_s, residence_s), max(longest_s, residence_s)
            sums[answered, RESIDENCE_S] += residence_s
            times[answered, _bucket(residence_s)] += 1
    scale[LAST_ARRIVAL_S] = last_arrival_s
    scale[SHORTEST_S], scale[LONGEST_S] = shortest_s, longest_s


@njit(**_COMPILED)
def add_rows(
    rows, answer_delay_s, request_timeout_s, client_timeout_s, most_attempts, is_retried, counts, sums, times, totals,
    scale,
):  # fmt: skip
    """Add rows of the event-driven kernel."""
    for i in range(rows.size):
        outcome, arrival_s, departure_s = rows[i].outcome, rows[i].arrival_s, rows[i].departure_s
        answered_s = min(departure_s, arrival_s + request_timeout_s) + answer_delay_s[np.uint64(outcome)]
        if outcome == ABANDONED:
            answered_s = arrival_s + client_timeout_s
        is_final = rows[i].attempt + 1 >= most_attempts or not is_retried[outcome]
        _add(arrival_s, rows[i].start_s, departure_s, answered_s, outcome, rows[i].sent_s, is_final,
             counts, sums, times, totals, scale)  # fmt: skip
