"""The compiled twin of `simpy_engine` for models in which a departure is known at admission.

With FIFO service the start of a request's service follows from the workers'
next free times alone, so no departure events are needed [1]_:

    m = the earliest time at which a worker is free
    if m <= t:  start = t                       (a worker is free, the line is empty)
    else:       forget starts <= t; if the line is full: reject
                start = m, remember it          (starts ascend, so a ring holds them)
    departure = start + service; that worker is free again at the departure

It is exact because m > t means that all workers are busy, so the requests
inside are the workers plus the starts later than t. A closed population is
the same with a second tree over the users' next arrivals.

The free times live in a loser tree [2]_: replacing the minimum takes a fixed
number of comparisons, compiled to selects rather than branches.

Arrays and scalars in, arrays out; checks and names are the wrapper's
(`compiled_engine`). Helpers stand in this file because numba's cache does not
notice edits elsewhere. No fastmath: the bits equal SimPy's.

References
----------
.. [1] A. Ebert et al., "Computationally efficient simulation of queues: the R
   package queuecomputer", Journal of Statistical Software 95(5), 2020. The
   gate and the closed population are this library's addition.
.. [2] D. E. Knuth, The Art of Computer Programming 3, section 5.4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

SERVED, SHED_AT_GATE, SHED_AT_QUEUE = 0, 1, 2
STAGE_REQUEST, STAGE_CLASS = 0, 4

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
    upper = unit > 0.5
    tail = 1.0 - unit if upper else unit
    bits = np.float64(tail).view(np.int64)
    cell = (bits >> _INSIDE_BITS) - _FIRST_CELL
    fraction = np.float64(bits & _INSIDE_MASK) * _INSIDE_UNIT
    row = 1 if upper else 0
    left = table[row, cell]
    return left + fraction * (table[row, cell + 1] - left)


@njit(**_INLINED)
def _class_of(key, class_upto, index, owner):
    """The request class, by identity."""
    kind = 0
    if class_upto.size > 1:
        unit = _two_uniforms(key, index, owner, 0, STAGE_CLASS)[0]
        while class_upto[kind] <= unit:
            kind += 1
    return kind


@njit(**_COMPILED)
def draw_arrivals(key, first, now_s, gap_table, arrival_s):
    """Fill the arrivals of an open workload from position `first` on, which follows an arrival at `now_s`."""
    for i in range(arrival_s.size):
        now_s += _time(gap_table, _two_uniforms(key, first + i, 0, 0, STAGE_REQUEST)[1])
        arrival_s[i] = now_s


@njit(**_COMPILED)
def draw_open(key, first, now_s, class_upto, gap_table, service_tables, arrival_s, service_s, kind):
    """Both at once: one draw gives an arrival's gap and its service time."""
    for i in range(arrival_s.size):
        service_unit, gap_unit = _two_uniforms(key, first + i, 0, 0, STAGE_REQUEST)
        now_s += _time(gap_table, gap_unit)
        kind[i] = _class_of(key, class_upto, first + i, 0)
        arrival_s[i], service_s[i] = now_s, _time(service_tables[kind[i]], service_unit)


@njit(**_COMPILED)
def draw_services(key, first, class_upto, service_tables, service_s, kind):
    """Fill the service times and classes of an open workload from position `first` on."""
    for i in range(service_s.size):
        kind[i] = _class_of(key, class_upto, first + i, 0)
        service_s[i] = _time(service_tables[kind[i]], _two_uniforms(key, first + i, 0, 0, STAGE_REQUEST)[0])


@njit(**_COMPILED)
def build_tree(leaf_times, node_time, node_leaf, winner):
    """Play all matches: losers stay in the nodes, the winner's leaf is returned. Sizes: powers of two.

    `winner` is room for two numbers a leaf.
    """
    leaves = leaf_times.size
    for leaf in range(leaves):
        winner[leaves + leaf] = leaf
    for node in range(leaves - 1, 0, -1):
        a, b = winner[2 * node], winner[2 * node + 1]
        if leaf_times[b] < leaf_times[a]:
            a, b = b, a
        winner[node] = a
        node_leaf[node] = b
        node_time[node] = leaf_times[b]
    return winner[1]


@njit(**_INLINED)
def _replace_time(node_time, node_leaf, leaf, time):
    """Give the winner's leaf a new time; return the new winner's time and leaf (ties: any)."""
    node = (node_time.size + leaf) >> 1
    while node > 0:
        other_time, other_leaf = node_time[node], node_leaf[node]
        loses = other_time < time
        node_time[node] = time if loses else other_time
        node_leaf[node] = leaf if loses else other_leaf
        time = other_time if loses else time
        leaf = other_leaf if loses else leaf
        node >>= 1
    return time, leaf


@njit(**_INLINED)
def _replace_time_ordered(node_time, node_leaf, leaf, time):
    """As `_replace_time`, with ties won by the lower leaf (the order of users)."""
    node = (node_time.size + leaf) >> 1
    while node > 0:
        other_time, other_leaf = node_time[node], node_leaf[node]
        loses = (other_time < time) | ((other_time == time) & (other_leaf < leaf))
        node_time[node] = time if loses else other_time
        node_leaf[node] = leaf if loses else other_leaf
        time = other_time if loses else time
        leaf = other_leaf if loses else leaf
        node >>= 1
    return time, leaf


@njit(**_COMPILED)
def run_open(
    arrival_s, service_s, workers, gate_room, queue_room, node_time, node_leaf, ring, state_s, state,
    start_s, departure_s, outcome,
):  # fmt: skip
    """A stretch of a run of an open workload; the state carries over to the next stretch.

    `workers` 0 stands for no limit at all; `gate_room` and `queue_room` are how many may
    wait before the gate or the queue rejects, -1 for no limit. `ring` has a power of two
    of places, more than may wait (unused without a limit). `state_s` holds the earliest time
    at which a worker is free, `state` that worker, the head of the ring and how many wait.
    """
    free_s, worker = state_s[0], state[0]
    mask, head, waiting = ring.size - 1, state[1], state[2]
    limited = gate_room >= 0 or queue_room >= 0
    for i in range(arrival_s.size):
        t = arrival_s[i]
        start = t
        if workers > 0:
            if free_s > t:
                if limited:
                    while waiting > 0 and ring[head] <= t:
                        head = (head + 1) & mask
                        waiting -= 1
                    if gate_room >= 0 and waiting >= gate_room:
                        start_s[i], departure_s[i], outcome[i] = t, t, SHED_AT_GATE
                        continue
                    if queue_room >= 0 and waiting >= queue_room:
                        start_s[i], departure_s[i], outcome[i] = t, t, SHED_AT_QUEUE
                        continue
                    ring[(head + waiting) & mask] = free_s
                    waiting += 1
                start = free_s
            else:
                waiting = 0
            departure = start + service_s[i]
            free_s, worker = _replace_time(node_time, node_leaf, worker, departure)
        else:
            departure = t + service_s[i]
        start_s[i], departure_s[i], outcome[i] = start, departure, SERVED
    state_s[0], state[0], state[1], state[2] = free_s, worker, head, waiting


@njit(**_COMPILED)
def run_closed(
    key, class_upto, service_tables, think_table, service_given, think_given, round_trip_s, horizon_s, most_rows,
    next_s, next_user, user_time, user_leaf, cycles,
    workers, gate_room, queue_room, node_time, node_leaf, ring, state_s, state,
    arrival_s, start_s, departure_s, outcome, user_of, cycle_of, kind_of,
):  # fmt: skip
    """A stretch of a run of a closed population; returns the number of rows written.

    The users' next arrivals are a second loser tree (`user_time`, `user_leaf`), its winner
    `next_user[0]` at `next_s[0]`. `cycles` counts each user's requests. (Keeping the other half of
    each draw for the user's next request would save draws and cost cache misses: slower with many
    users.) Other arguments as in `run_open`.
    """
    is_given = think_given.size > 0
    last_cycle = think_given.shape[1] - 1
    t, user = next_s[0], next_user[0]
    free_s, worker = state_s[0], state[0]
    mask, head, waiting = ring.size - 1, state[1], state[2]
    limited = gate_room >= 0 or queue_room >= 0
    n, most = 0, min(arrival_s.size, most_rows)
    while n < most and t <= horizon_s and t < np.inf:
        cycle = cycles[user]
        kind = 0
        if is_given:
            service = service_given[user, cycle, 0]
            think = think_given[user, cycle + 1] if cycle < last_cycle else np.inf
        else:
            kind = _class_of(key, class_upto, cycle, user)
            service = _time(service_tables[kind], _two_uniforms(key, cycle, user, 0, STAGE_REQUEST)[0])
            think = _time(think_table, _two_uniforms(key, cycle + 1, user, 0, STAGE_REQUEST)[1])
        start, result = t, SERVED
        if workers > 0:
            if free_s > t:
                if limited:
                    while waiting > 0 and ring[head] <= t:
                        head = (head + 1) & mask
                        waiting -= 1
                    if gate_room >= 0 and waiting >= gate_room:
                        result = SHED_AT_GATE
                    elif queue_room >= 0 and waiting >= queue_room:
                        result = SHED_AT_QUEUE
                    else:
                        ring[(head + waiting) & mask] = free_s
                        waiting += 1
                if result == SERVED:
                    start = free_s
            else:
                waiting = 0
        departure = t
        if result == SERVED:
            departure = start + service
            if workers > 0:
                free_s, worker = _replace_time(node_time, node_leaf, worker, departure)
        arrival_s[n], start_s[n], departure_s[n] = t, start, departure
        outcome[n], user_of[n], cycle_of[n], kind_of[n] = result, user, cycle, kind
        n += 1
        cycles[user] = cycle + 1
        t, user = _replace_time_ordered(user_time, user_leaf, user, (departure + round_trip_s) + think)
    next_s[0], next_user[0] = t, user
    state_s[0], state[0], state[1], state[2] = free_s, worker, head, waiting
    return n
