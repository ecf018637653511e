"""The compiled twin of `simpy_engine` for models in which a departure is known at admission.

With FIFO service the start of a request's service follows from the departures
before it alone, so no departure events are needed [1]_:

    if fewer than all workers are busy at t:  start = t            (so nobody waits)
    else if `room` requests admitted before start later than t: reject
    else:  start = the earliest departure that nobody has taken yet
    departure = start + service

Starts ascend, so `room` requests wait exactly when, of those that ever had to wait, the
one admitted `room` requests ago starts later than t: one comparison, no line to keep.

Departures to come, and the next arrivals of a closed population, stand in a
calendar queue [2]_: time is cut into buckets of a few entries each, and only a
bucket that is reached is put in order. A bucket of departures that lies in the
past as a whole is not even that: its count is enough while a worker is free.
What does not fit a bucket or lies beyond the ring of buckets goes into a short
list. The width of the buckets decides how fast a run is, never what it finds.

Arrays and scalars in, arrays out; checks and names are the wrapper's
(`compiled_engine`). Helpers stand in this file because numba's cache does not
notice edits elsewhere. Unsigned indices spare numba's check for negative ones.
No fastmath: the bits equal SimPy's.

References
----------
.. [1] A. Ebert et al., "Computationally efficient simulation of queues: the R
   package queuecomputer", Journal of Statistical Software 95(5), 2020. The
   gate and the closed population are this library's addition.
.. [2] R. Brown, "Calendar queues: a fast O(1) priority queue implementation for
   the simulation event set problem", Communications of the ACM 31(10), 1988.
.. [3] D. E. Knuth, The Art of Computer Programming 3, section 5.3.4: eight entries
   need 19 comparisons in a network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

SERVED, SHED_AT_GATE, SHED_AT_QUEUE = 0, 1, 2
STAGE_REQUEST, STAGE_CLASS = 0, 4

CURRENT, IS_OPEN, OPEN, LATE, INSIDE, FAR, FAR_DUE, STEPS, IS_CROWDED, MOST_OPEN = range(10)
"""A calendar's numbers: the bucket reached, whether it was put in order, entries left of it, entries that came to it
afterwards, all entries, those in the list, the first bucket that the list has one of, buckets passed, whether more
than the last number were in one bucket, so that buckets should be narrower."""
PLACES, NAMED_PLACES = 16, 96
LANES = 16
NEVER = 1 << 62

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
"""Nothing is allocated inside, so references need not be counted."""
_INLINED: dict[str, Any] = {**_COMPILED, "inline": "always"}

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW_32 = np.uint64(0xFFFFFFFF)
_SHIFT_32, _SHIFT_12 = np.uint64(32), np.uint64(12)
_INSIDE_BITS = 45
_INSIDE_MASK = (1 << _INSIDE_BITS) - 1
_INSIDE_UNIT = 2.0**-_INSIDE_BITS
_FIRST_CELL = (1023 - 53) << 7
_ONE = np.uint64(1)
_PLACES, _NAMED_PLACES = np.uint64(PLACES), np.uint64(NAMED_PLACES)
_LATEST_BUCKET = 2.0**61
_EXACT = 1 << 52
"""Buckets up to here have a float of their own; later ones stay in the list until buckets are wider."""


@njit(**_INLINED)
def _two_uniforms(key, index, owner, attempt, stage):
    """Philox4x32-10, as `random_streams.uniforms`."""
    c0, c1, c2, c3 = np.uint64(index), np.uint64(owner), np.uint64(attempt), np.uint64(stage)
    k0, k1 = key & _LOW_32, key >> _SHIFT_32
    for _ in range(10):
        product_0, product_1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0 = (product_1 >> _SHIFT_32) ^ c1 ^ k0
        c1 = product_1 & _LOW_32
        c2 = (product_0 >> _SHIFT_32) ^ c3 ^ k1
        c3 = product_0 & _LOW_32
        k0, k1 = (k0 + _WEYL_0) & _LOW_32, (k1 + _WEYL_1) & _LOW_32
    first = (np.float64(((c0 << _SHIFT_32) | c1) >> _SHIFT_12) + 0.5) * 2.0**-52
    second = (np.float64(((c2 << _SHIFT_32) | c3) >> _SHIFT_12) + 0.5) * 2.0**-52
    return first, second


@njit(**_INLINED)
def _time(table, unit):
    """Invert a uniform through a quantile table, as `random_streams.times_s`."""
    row = np.uint64(unit > 0.5)
    bits = np.float64(min(unit, 1.0 - unit)).view(np.int64)
    cell = np.uint64((bits >> _INSIDE_BITS) - _FIRST_CELL)
    fraction = np.float64(bits & _INSIDE_MASK) * _INSIDE_UNIT
    left = table[row, cell]
    return left + fraction * (table[row, cell + _ONE] - left)


@njit(**_INLINED)
def _class_of(key, class_upto, index, owner):
    """The request class, by identity."""
    kind = 0
    if class_upto.size > 1:
        unit = _two_uniforms(key, index, owner, 0, STAGE_CLASS)[0]
        while class_upto[kind] <= unit:
            kind += 1
    return kind


@njit(**_INLINED)
def _draw_uniforms(key, first, service_unit, gap_unit):
    """Both uniforms of arrivals `first`, `first` + 1, ...: alone in its loop, so that it compiles to vectors."""
    for i in range(service_unit.size):
        service_unit[i], gap_unit[i] = _two_uniforms(key, first + i, 0, 0, STAGE_REQUEST)


@njit(**_INLINED)
def _add_gaps(now_s, gap_table, times_s):
    """From uniforms to the arrivals that follow one at `now_s`, in place."""
    for i in range(times_s.size):
        times_s[i] = _time(gap_table, times_s[i])
    for i in range(times_s.size):
        now_s += times_s[i]
        times_s[i] = now_s


@njit(**_INLINED)
def _find_services(key, first, class_upto, service_tables, times_s, kind):
    """From uniforms to service times, in place, and the classes."""
    if class_upto.size == 1:
        kind[:] = 0
        for i in range(times_s.size):
            times_s[i] = _time(service_tables[0], times_s[i])
        return
    for i in range(times_s.size):
        kind[i] = _class_of(key, class_upto, first + i, 0)
        times_s[i] = _time(service_tables[kind[i]], times_s[i])


@njit(**_COMPILED)
def draw_arrivals(key, first, now_s, gap_table, arrival_s, room):
    """Fill the arrivals of an open workload from position `first` on, which follows an arrival at `now_s`."""
    _draw_uniforms(key, first, room, arrival_s)
    _add_gaps(now_s, gap_table, arrival_s)


@njit(**_COMPILED)
def draw_open(key, first, now_s, class_upto, gap_table, service_tables, arrival_s, service_s, kind):
    """Both at once: one draw gives an arrival's gap and its service time."""
    _draw_uniforms(key, first, service_s, arrival_s)
    _add_gaps(now_s, gap_table, arrival_s)
    _find_services(key, first, class_upto, service_tables, service_s, kind)


@njit(**_COMPILED)
def draw_services(key, first, class_upto, service_tables, service_s, kind, room):
    """Fill the service times and classes of an open workload from position `first` on."""
    _draw_uniforms(key, first, service_s, room)
    _find_services(key, first, class_upto, service_tables, service_s, kind)


# ---- a calendar: (bucket_s, bucket_who, count, open_s, open_who, far_s, far_who), and its numbers as scalars


@njit(**_INLINED)
def _bucket_of(time_s, per_s):
    """Which bucket a time belongs to: never an earlier one for a later time."""
    return np.int64(min(time_s * per_s, _LATEST_BUCKET))


@njit(**_INLINED)
def _insert(times, n, time_s):
    """Into `n` times that descend."""
    place = n
    while place > 0 and times[place - 1] < time_s:
        times[place] = times[place - 1]
        place -= 1
    times[place] = time_s


@njit(**_INLINED)
def _is_later(time_s, name, than_s, than_name):
    """Whether one named entry comes after another."""
    return time_s > than_s or (time_s == than_s and name > than_name)


@njit(**_INLINED)
def _insert_named(times, who, n, step, time_s, name):
    """Into every `step`-th place up to `n`: later times first, of equal ones the higher name."""
    place = n
    while place >= step and _is_later(time_s, name, times[place - step], who[place - step]):
        times[place], who[place] = times[place - step], who[place - step]
        place -= step
    times[place], who[place] = time_s, name


@njit(**_INLINED)
def _file(calendar, time_s, per_s, current, is_open, opened, far, far_due):
    """Put an entry without a name where it belongs: the open bucket, a later one, or the list."""
    bucket_s, _, count, open_s, _, far_s, _ = calendar
    at = time_s * per_s
    if at < np.float64(min(current + count.size, _EXACT)):
        bucket = np.int64(at)
        slot = np.uint64(bucket) & np.uint64(count.size - 1)
        filled = count[slot]
        if is_open and bucket == current:
            _insert(open_s, opened, time_s)
            return opened + 1, far, far_due
        if filled < PLACES:
            bucket_s[slot * _PLACES + np.uint64(filled)] = time_s
            count[slot] = filled + 1
            return opened, far, far_due
    bucket = _bucket_of(time_s, per_s)
    if is_open and bucket == current:
        _insert(open_s, opened, time_s)
        return opened + 1, far, far_due
    far_s[far] = time_s
    return opened, far + 1, min(far_due, bucket)


@njit(**_INLINED)
def _file_named(calendar, time_s, who, per_s, current, far, far_due):
    """Put an entry into a bucket after the current one, or into the list."""
    bucket_s, bucket_who, count, _, _, far_s, far_who = calendar
    at = time_s * per_s
    if at < np.float64(min(current + count.size, _EXACT)):
        slot = np.uint64(at) & np.uint64(count.size - 1)
        filled = count[slot]
        if filled < NAMED_PLACES:
            place = slot * _NAMED_PLACES + np.uint64(filled)
            bucket_s[place], bucket_who[place] = time_s, who
            count[slot] = filled + 1
            return far, far_due
    far_s[far], far_who[far] = time_s, who
    return far + 1, min(far_due, _bucket_of(time_s, per_s))


@njit(**_COMPILED)
def _take_far(calendar, bucket, per_s, opened, far):
    """Move the entries of a bucket from the list to the end of the open ones; what is left, and its first bucket."""
    _, _, _, open_s, open_who, far_s, far_who = calendar
    left, due = 0, NEVER
    for k in range(far):
        time_s = far_s[k]
        of = _bucket_of(time_s, per_s)
        if of == bucket:
            open_s[opened], open_who[opened] = time_s, far_who[k]
            opened += 1
        else:
            far_s[left], far_who[left] = time_s, far_who[k]
            left += 1
            due = min(due, of)
    return opened, left, due


@njit(**_COMPILED)
def _sort_many(times, who, n):
    """Shell's sort, descending, for a bucket that holds far more than it should."""
    step = 1
    while 9 * step < n:
        step = 3 * step + 1
    while step > 0:
        for k in range(step, n):
            _insert_named(times, who, k, step, times[k], who[k])
        step //= 3


@njit(**_INLINED)
def _in_order(a, b):
    """The later one first."""
    is_later = a >= b
    return (a if is_later else b), (b if is_later else a)


@njit(**_INLINED)
def _sort_eight(from_s, place, n, times):
    """Put up to eight entries of a bucket in order by a sorting network [3]_: no branch to mispredict."""
    a = from_s[place + np.uint64(0)] if n > 0 else -np.inf
    b = from_s[place + np.uint64(1)] if n > 1 else -np.inf
    c = from_s[place + np.uint64(2)] if n > 2 else -np.inf
    d = from_s[place + np.uint64(3)] if n > 3 else -np.inf
    e = from_s[place + np.uint64(4)] if n > 4 else -np.inf
    f = from_s[place + np.uint64(5)] if n > 5 else -np.inf
    g = from_s[place + np.uint64(6)] if n > 6 else -np.inf
    h = from_s[place + np.uint64(7)] if n > 7 else -np.inf
    a, c = _in_order(a, c)
    b, d = _in_order(b, d)
    e, g = _in_order(e, g)
    f, h = _in_order(f, h)
    a, e = _in_order(a, e)
    b, f = _in_order(b, f)
    c, g = _in_order(c, g)
    d, h = _in_order(d, h)
    a, b = _in_order(a, b)
    c, d = _in_order(c, d)
    e, f = _in_order(e, f)
    g, h = _in_order(g, h)
    c, e = _in_order(c, e)
    d, f = _in_order(d, f)
    b, e = _in_order(b, e)
    d, g = _in_order(d, g)
    b, c = _in_order(b, c)
    d, e = _in_order(d, e)
    f, g = _in_order(f, g)
    times[0], times[1], times[2], times[3], times[4], times[5], times[6], times[7] = a, b, c, d, e, f, g, h


@njit(**_INLINED)
def _open(calendar, bucket, per_s, far, far_due):
    """Put a bucket in order, the earliest last; how many there are, and the list's numbers."""
    bucket_s, _, count, open_s, open_who, _, _ = calendar
    slot = np.uint64(bucket) & np.uint64(count.size - 1)
    opened = count[slot]
    count[slot] = 0
    _sort_eight(bucket_s, slot * _PLACES, opened, open_s)
    for k in range(8, opened):
        _insert(open_s, k, bucket_s[slot * _PLACES + np.uint64(k)])
    if bucket == far_due:
        opened, far, far_due = _take_far(calendar, bucket, per_s, opened, far)
        _sort_many(open_s, open_who, opened)
    return opened, far, far_due


@njit(**_COMPILED)
def _open_named(calendar, rank, bucket, per_s, far, far_due):
    """As `_open`, for entries that have names, of which a bucket holds more: each is put where its rank says."""
    bucket_s, bucket_who, count, open_s, open_who, _, _ = calendar
    slot = np.uint64(bucket) & np.uint64(count.size - 1)
    opened = count[slot]
    count[slot] = 0
    times, names = bucket_s[slot * _NAMED_PLACES :], bucket_who[slot * _NAMED_PLACES :]
    for k in range(opened):
        rank[k], open_s[k] = 0, -np.inf
    for k in range(opened):
        for other in range(opened):
            rank[other] += times[other] < times[k]
    must_sort = bucket == far_due
    for k in range(opened):
        place = rank[k]
        while open_s[place] == times[k]:
            place += 1
            must_sort = True
        open_s[place], open_who[place] = times[k], names[k]
    if bucket == far_due:
        opened, far, far_due = _take_far(calendar, bucket, per_s, opened, far)
    if must_sort:
        _sort_many(open_s, open_who, opened)
    return opened, far, far_due


@njit(**_COMPILED)
def refile(calendar, numbers, late_s, late_who, per_s):
    """File all entries anew, for buckets of another width."""
    bucket_s, bucket_who, count, open_s, open_who, far_s, far_who = calendar
    is_named, places = bucket_who.size > 0, bucket_s.size // count.size
    entries = numbers[FAR]
    for k in range(numbers[OPEN]):
        far_s[entries], far_who[entries] = open_s[k], open_who[k]
        entries += 1
    for k in range(numbers[LATE]):
        far_s[entries], far_who[entries] = late_s[k], late_who[k]
        entries += 1
    for slot in range(count.size):
        for k in range(slot * places, slot * places + count[slot]):
            far_s[entries], far_who[entries] = bucket_s[k], bucket_who[k] if is_named else 0
            entries += 1
        count[slot] = 0
    first = NEVER
    for k in range(entries):
        first = min(first, _bucket_of(far_s[k], per_s))
    current = first - 1 if entries > 0 else -1
    left, due = 0, NEVER
    for k in range(entries):
        if is_named:
            left, due = _file_named(calendar, far_s[k], far_who[k], per_s, current, left, due)
        else:
            _, left, due = _file(calendar, far_s[k], per_s, current, 0, 0, left, due)
    numbers[CURRENT], numbers[IS_OPEN], numbers[OPEN], numbers[LATE] = current, 0, 0, 0
    numbers[INSIDE], numbers[FAR], numbers[FAR_DUE], numbers[STEPS], numbers[IS_CROWDED] = entries, left, due, 0, 0


# ---- the runs


@njit(**_COMPILED)
def serve(
    first, last, workers, room, shed_as, starts, waited, calendar, numbers, per_s, arrival_s, service_s, start_s,
    departure_s, outcome,
):  # fmt: skip
    """Serve the arrivals from place `first` to before `last`; return the place reached, an earlier one when crowded.

    `workers` 0 stands for no limit at all. `room`: how many may wait, -1 for no limit; who finds no room is shed as
    `shed_as`. `starts` has a power of two of places, more than `room`. The state from call to call: `starts`,
    `waited` (how many have had to), the departures to come in `calendar` and `numbers`; buckets are `1 / per_s` wide.
    """
    if workers == 0:
        for k in range(first, last):
            start_s[k], departure_s[k], outcome[k] = arrival_s[k], arrival_s[k] + service_s[k], SERVED
        return last
    _, _, count, open_s, _, _, _ = calendar
    current, is_open, opened, inside = numbers[CURRENT], numbers[IS_OPEN], numbers[OPEN], numbers[INSIDE]
    far, far_due, steps, most_open = numbers[FAR], numbers[FAR_DUE], numbers[STEPS], numbers[MOST_OPEN]
    is_crowded = 0
    so_far, mask, starts_mask = waited[0], np.uint64(count.size - 1), np.uint64(starts.size - 1)
    i, end = np.uint64(first), np.uint64(last)
    while i < end and is_crowded == 0:
        free_from = i
        while i < end:  # while a worker is free, nobody waits
            bucket = _bucket_of(arrival_s[i], per_s)
            while current < bucket:  # that one lies in the past as a whole
                slot = np.uint64(current) & mask
                inside -= opened if is_open else count[slot]
                if current == far_due:
                    gone, far, far_due = _take_far(calendar, current, per_s, 0, far)
                    inside -= gone
                count[slot], is_open, opened = 0, 0, 0
                current = current + 1 if inside > far else min(bucket, far_due)
                steps += 1
            if inside >= workers:
                break
            left_s = arrival_s[i] + service_s[i]
            departure_s[i] = left_s
            opened, far, far_due = _file(calendar, left_s, per_s, current, is_open, opened, far, far_due)
            inside += 1
            i += _ONE
        for k in range(free_from, i):
            start_s[k], outcome[k] = arrival_s[k], SERVED
        if i < end and not is_open:
            opened, far, far_due = _open(calendar, current, per_s, far, far_due)
            is_open = 1
        while i < end and is_crowded == 0:  # while all are busy, each takes the earliest departure
            t = arrival_s[i]
            if opened > 0:
                if open_s[opened - 1] <= t:
                    opened -= 1
                    inside -= 1
                    break
            elif current < _bucket_of(t, per_s):
                break
            if room >= 0 and (room == 0 or starts[np.uint64(so_far - room) & starts_mask] > t):
                start_s[i], departure_s[i], outcome[i] = t, t, shed_as
                i += _ONE
                continue
            while opened == 0:
                current = current + 1 if inside > far else far_due
                opened, far, far_due = _open(calendar, current, per_s, far, far_due)
                steps += 1
            if opened > most_open and open_s[0] > open_s[opened - 1]:
                is_crowded = 1
            opened -= 1
            begun_s = open_s[opened]
            start_s[i], outcome[i] = begun_s, SERVED
            left_s = begun_s + service_s[i]
            departure_s[i] = left_s
            starts[np.uint64(so_far) & starts_mask] = begun_s
            so_far += 1
            opened, far, far_due = _file(calendar, left_s, per_s, current, 1, opened, far, far_due)
            i += _ONE
    numbers[CURRENT], numbers[IS_OPEN], numbers[OPEN], numbers[INSIDE] = current, is_open, opened, inside
    numbers[FAR], numbers[FAR_DUE], numbers[STEPS], numbers[IS_CROWDED] = far, far_due, steps, is_crowded
    waited[0] = so_far
    return np.int64(i)


@njit(**_INLINED)
def _draw_between(
    first, last, key, class_upto, service_tables, think_table, service_given, think_given, cycles, users, drawn
):
    """Cycle, class, service time and the think time after it, for places of an open bucket of users."""
    cycle, kind, service_s, think_s = drawn
    for k in range(first, last):
        cycle[k] = cycles[users[k]]
    if think_given.size > 0:
        for k in range(first, last):
            service_s[k], kind[k] = service_given[users[k], cycle[k], 0], 0
            think_s[k] = think_given[users[k], cycle[k] + 1] if cycle[k] + 1 < think_given.shape[1] else np.inf
        return
    if last - first < LANES // 2:
        for k in range(first, last):
            service_s[k] = _two_uniforms(key, cycle[k], users[k], 0, STAGE_REQUEST)[0]
            think_s[k] = _two_uniforms(key, cycle[k] + 1, users[k], 0, STAGE_REQUEST)[1]
    else:  # whole vectors: nobody reads what lies beyond the last
        end = first + (last - first + LANES - 1) // LANES * LANES
        for k in range(first, end):
            service_s[k] = _two_uniforms(key, cycle[k], users[k], 0, STAGE_REQUEST)[0]
        for k in range(first, end):
            think_s[k] = _two_uniforms(key, cycle[k] + 1, users[k], 0, STAGE_REQUEST)[1]
    for k in range(first, last):
        think_s[k] = _time(think_table, think_s[k])
    for k in range(first, last):
        kind[k] = _class_of(key, class_upto, cycle[k], users[k])
        service_s[k] = _time(service_tables[kind[k]], service_s[k])


@njit(**_COMPILED)
def run_closed(
    key, class_upto, service_tables, think_table, service_given, think_given, round_trip_s, rejection_s, horizon_s,
    most_rows, users, user_numbers, users_per_s, cycles, late_s, late_user, drawn, rank,
    workers, room, shed_as, starts, waited, calendar, numbers, per_s,
    arrival_s, service_s, start_s, departure_s, outcome, user_of, cycle_of, kind_of,
):  # fmt: skip
    """A stretch of a run of a closed population; returns the number of rows written.

    The users' next arrivals are a second calendar, named by user, whose current bucket is always open; who comes back
    into that bucket stands apart, in order, in `late_s` and `late_user`. The users of a bucket are served together up
    to the first moment at which one of them could be back: an answer takes `round_trip_s`, a rejection `rejection_s`,
    and without a bound of the line there are no rejections. `cycles` counts each user's requests, `drawn` is what
    `_draw_between` finds. Other arguments as in `serve`.
    """
    cycle, kind, needs_s, think_s = drawn
    _, _, _, open_s, open_user, _, _ = users
    current, opened, late, inside = user_numbers[CURRENT], user_numbers[OPEN], user_numbers[LATE], user_numbers[INSIDE]
    far, far_due, steps, most_open = (
        user_numbers[FAR],
        user_numbers[FAR_DUE],
        user_numbers[STEPS],
        user_numbers[MOST_OPEN],
    )
    n, most, is_crowded = 0, min(arrival_s.size, most_rows), 0
    soonest_s = round_trip_s if room < 0 else min(round_trip_s, rejection_s)
    while n < most and inside > 0 and is_crowded == 0 and numbers[IS_CROWDED] == 0:
        if opened == 0 and late == 0:
            current = current + 1 if inside > far else far_due
            steps += 1
            opened, far, far_due = _open_named(users, rank, current, users_per_s, far, far_due)
            if opened > most_open and open_s[0] > open_s[opened - 1]:
                is_crowded = 1
            _draw_between(0, opened, key, class_upto, service_tables, think_table, service_given, think_given, cycles,
                          open_user, drawn)  # fmt: skip
            continue
        until_s = late_s[late - 1] if late > 0 else np.inf
        for k in range(opened):
            until_s = min(until_s, (open_s[k] + soonest_s) + think_s[k])
        if opened == 0 or (late > 0 and _is_later(open_s[opened - 1], open_user[opened - 1], late_s[late - 1],
                                                  late_user[late - 1])):  # fmt: skip
            late -= 1
            open_s[opened], open_user[opened] = late_s[late], late_user[late]
            _draw_between(opened, opened + 1, key, class_upto, service_tables, think_table, service_given, think_given,
                          cycles, open_user, drawn)  # fmt: skip
            opened += 1
            until_s = -np.inf
        rows = n
        for k in range(opened - 1, -1, -1):
            if open_s[k] > horizon_s or rows == most or (rows > n and open_s[k] >= until_s):
                break
            arrival_s[rows], service_s[rows] = open_s[k], needs_s[k]
            user_of[rows], cycle_of[rows], kind_of[rows] = open_user[k], cycle[k], kind[k]
            rows += 1
        if rows == n:
            break
        rows = serve(n, rows, workers, room, shed_as, starts, waited, calendar, numbers, per_s, arrival_s, service_s,
                     start_s, departure_s, outcome)  # fmt: skip
        for k in range(n, rows):
            opened -= 1
            user = user_of[k]
            cycles[user] = cycle_of[k] + 1
            answer_s = round_trip_s if outcome[k] == SERVED else rejection_s
            back_s = (departure_s[k] + answer_s) + think_s[opened]
            if back_s == np.inf:
                inside -= 1
            elif _bucket_of(back_s, users_per_s) == current:
                _insert_named(late_s, late_user, late, 1, back_s, user)
                late += 1
                if late > most_open and late_s[0] > late_s[late - 1]:
                    is_crowded = 1
            else:
                far, far_due = _file_named(users, back_s, user, users_per_s, current, far, far_due)
        n = rows
    user_numbers[CURRENT], user_numbers[OPEN], user_numbers[LATE], user_numbers[INSIDE] = current, opened, late, inside
    user_numbers[FAR], user_numbers[FAR_DUE], user_numbers[STEPS] = far, far_due, steps
    user_numbers[IS_CROWDED] = is_crowded
    return n
