"""The compiled twin of `simpy_engine` for everything that a recursion cannot know at admission.

The functions below are those of the reference engine, in the same order: a client sends
(`_send`), the balancer picks an instance (`_choose`), the gate admits (`_admit`), the request
waits for a worker, then goes through its CPU, database and service times (`_start`,
`_after_cpu`, `_after_database`), and leaves (`_leave`); its client concludes (`_conclude`).

Order of events: time, then place (kind, instance, owner), then row. There is no single list of
them, because most come in an order that makes it cheap to know the first:

- Each job (an attempt at a server) has at most one pending event, and so has each client. Those
  of the jobs are in one calendar, those of the clients in another. A calendar queue [1]_ drops
  later events unsorted into buckets of time, and keeps only the open bucket's in a heap (`near`).
- The end of a wait that is too long comes after the same time for all, so these stand in a line,
  as good as sorted (`_set_deadline`), and are taken out when the wait is over.
- Of all jobs on the cores of an instance only the next to finish counts: a tournament over the
  instances. First arrivals and changes of limits are given in order.

The state lives in arrays of records, so that a run can be left and entered again: when the
buffer of finished rows is full, or more slots are needed. Arrays and scalars in, arrays out;
checks and names are the wrapper's (`event_engine`). No fastmath: the bits equal SimPy's.

References
----------
.. [1] R. Brown, "Calendar queues: a fast O(1) priority queue implementation for the simulation
   event set problem", Communications of the ACM 31(10), 1988.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from simulations.engines.recursion_kernels import _time, _two_uniforms

COMPLETION, DB_RELEASE, CHANGE, GRANT, TIMEOUT, GIVE_UP, _, RETRY, ARRIVAL = range(9)
SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT, ABANDONED, FAILED = range(6)
ROUND_ROBIN, RANDOM, TWO_CHOICES, LEAST_CONNECTIONS, PER_CONNECTION = range(5)
STAGE_REQUEST, STAGE_FIRST_REQUEST, STAGE_WORK, STAGE_ROUTE, STAGE_CLASS, STAGE_RETRY = range(6)
IN_LINE, GRANTED_WORKER, ON_CPU, AT_POOL, GRANTED_POOL, GRANTED_DATABASE, QUERYING, SERVING, GONE = range(9)
JOBS, CORES, IMPATIENT_JOBS, IMPATIENT_CLIENTS, CLIENTS, ARRIVALS = range(6)
"""Where the first event comes from."""
ENDED, BUFFER_FULL, NEEDS_JOBS, NEEDS_CLIENTS, NEEDS_ARRIVALS = range(5)

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
"""Nothing is allocated inside, so references need not be counted (atomically): that doubles the speed."""
_INLINED: dict[str, Any] = {**_COMPILED, "inline": "always"}

NOBODY = -1
FARTHEST, EVENTS_A_BUCKET = 1 << 61, 2
"""The last bucket of a calendar, which holds all that is beyond; how full a bucket should be."""
KIND_SHIFT, INSTANCE_SHIFT = 56, 40
_ZERO, _ONE = np.uint64(0), np.uint64(1)
"""Places are unsigned where it counts: of signed ones the compiled code asks whether they count from the end."""

JOB = np.dtype(
    [(name, np.int64) for name in ("row", "owner")]
    + [("next", np.int32), ("stage", np.int32), ("instance", np.uint32), ("client", np.int32)]
    + [(name, np.float64) for name in ("cpu_s", "database_s", "service_s", "start_s", "arrival_s", "sent_s")]
    + [("cycle", np.int64), ("attempt", np.int32), ("request_class", np.int32)],
    align=True,
)  # fmt: skip
CLIENT = np.dtype(
    [(name, np.int64) for name in ("owner", "user", "cycle")]
    + [(name, np.int32) for name in ("attempt", "job", "late", "instance")]
    + [(name, np.float64) for name in ("opened_s", "answered_s", "sent_s")],
    align=True,
)
INSTANCE = np.dtype(
    [(name, np.int64) for name in ("in_flight", "forgotten", "busy", "line_head", "line_second", "line_tail",
                                   "line_length", "pool_used", "pool_head", "pool_tail", "on_cpu")]
    + [(name, np.float64) for name in ("forgot_at_s", "clock_s", "read_at_s",
                                       "gate", "workers", "queue", "db_pool", "cpu_cores")],
    align=True,
)  # fmt: skip
ROW = np.dtype(
    [("row", np.int64), ("arrival_s", np.float64), ("start_s", np.float64), ("departure_s", np.float64),
     ("sent_s", np.float64), ("user", np.int64), ("cycle", np.int64), ("attempt", np.int32), ("instance", np.int32),
     ("request_class", np.int32), ("outcome", np.int32)],
    align=True,
)  # fmt: skip
EVENT = np.dtype([("at_s", np.float64), ("place", np.int64), ("row", np.int64), ("slot", np.uint32)], align=True)
"""An event of the open bucket."""
PLAN = np.dtype(
    [("at_s", np.float64), ("place", np.int64), ("row", np.int64), ("after", np.int32), ("before", np.int32)],
    align=True,
)
"""A slot's event in a later bucket (`after`: the next of the bucket), or its place in the line of deadlines."""
CALENDAR = np.dtype(
    [(name, np.int64) for name in ("open", "near", "later", "first", "last", "looked", "taken", "happened")]
    + [(name, np.float64) for name in ("first_s", "per_s", "since_s")],
    align=True,
)
"""The open bucket, events in `near` and in later buckets; the line of deadlines; buckets per second and what tells
whether they are too many or too few."""
RULES = np.dtype(
    [(name, np.float64) for name in ("round_trip_s", "rejection_s", "request_timeout_s", "patience_s", "gate_reset_s",
                                     "client_timeout_s", "keep_alive_s", "jitter", "horizon_s", "most_rows",
                                     "database")]
    + [("key", np.uint64)]
    + [(name, np.int64) for name in ("balancer", "is_open", "is_population", "has_clients", "is_watched")],
    align=True,
)  # fmt: skip
NUMBERS = np.dtype(
    [(name, np.int64) for name in ("rows", "written", "free_jobs", "free_clients", "next_arrival", "next_change",
                                   "turn", "database_used", "database_head", "database_tail",
                                   "first_arrival", "more_to_come")]
    + [("now_s", np.float64)],
    align=True,
)  # fmt: skip
CHANGED = np.dtype(
    [("at_s", np.float64), ("instance", np.int64)]
    + [(name, np.float64) for name in ("gate", "workers", "queue", "db_pool", "cpu_cores")],
    align=True,
)
"""A change of limits; NaN for what stays."""


@njit(**_INLINED)
def _is_sooner(a_s, a_place, a_row, b_s, b_place, b_row):
    """The total order of events."""
    is_sooner = a_s < b_s
    if a_s == b_s:
        is_sooner = a_place < b_place or (a_place == b_place and a_row < b_row)
    return is_sooner


@njit(**_COMPILED)
def _push(near, state, at_s, place, row, slot):
    """An event comes to the heap of the open bucket."""
    at = state[0].near
    state[0].near = at + 1
    while at > 0:
        above = (at - 1) >> 1
        if not _is_sooner(at_s, place, row, near[above].at_s, near[above].place, near[above].row):
            break
        near[at] = near[above]
        at = above
    near[at].at_s, near[at].place, near[at].row, near[at].slot = at_s, place, row, slot


@njit(**_INLINED)
def _pop(near, state):
    """Take the first event off the heap, whose first place then says when the next one is (infinity: none)."""
    slot = near[0].slot
    size = state[0].near - 1
    state[0].near = size
    state[0].happened += 1
    if size == 0:
        near[0].at_s = np.inf
        return slot
    at_s, place, row = near[size].at_s, near[size].place, near[size].row
    at, below = 0, 1
    while below < size:
        if below + 1 < size and _is_sooner(
            near[below + 1].at_s, near[below + 1].place, near[below + 1].row,
            near[below].at_s, near[below].place, near[below].row,
        ):  # fmt: skip
            below += 1
        if _is_sooner(at_s, place, row, near[below].at_s, near[below].place, near[below].row):
            break
        near[at] = near[below]
        at, below = below, 2 * below + 1
    near[at].at_s, near[at].place, near[at].row, near[at].slot = at_s, place, row, near[size].slot
    return slot


@njit(**_INLINED)
def _bucket_of(state, at_s):
    """The bucket of a moment: it never falls as time goes on."""
    return np.int64(min(at_s * state[0].per_s, FARTHEST))


@njit(**_INLINED)
def _plan(calendar, slot, at_s, place, row):
    """A slot's event comes into the calendar."""
    plans, buckets, near, state = calendar
    bucket = _bucket_of(state, at_s)
    if bucket <= state[0].open:
        _push(near, state, at_s, place, row, slot)
        return
    plans[slot].at_s, plans[slot].place, plans[slot].row = at_s, place, row
    at = np.uint32(bucket & (buckets.size - 1))
    plans[slot].after = buckets[at]
    buckets[at] = slot
    state[0].later += 1


@njit(**_INLINED)
def _open_next(calendar, now_s):
    """The open bucket is empty: open the next one that is not. Buckets are used again, for later years."""
    plans, buckets, near, state = calendar
    if state[0].looked > 4 * (buckets.size + state[0].taken):
        adapt_buckets(calendar, now_s)
    mask = buckets.size - 1
    bucket, last = state[0].open, state[0].open + buckets.size
    while state[0].near == 0:
        bucket += 1
        if bucket > last:  # nothing happens for a year
            bucket = _first_bucket(calendar)
            last = bucket + buckets.size
        state[0].looked += 1
        at = np.uint32(bucket & mask)
        slot = buckets[at]
        buckets[at] = NOBODY
        while slot != NOBODY:
            after = plans[slot].after
            if _bucket_of(state, plans[slot].at_s) == bucket:
                _push(near, state, plans[slot].at_s, plans[slot].place, plans[slot].row, slot)
                state[0].later -= 1
                state[0].taken += 1
            else:
                plans[slot].after = buckets[at]
                buckets[at] = slot
                state[0].looked += 1
            slot = after
    state[0].open = bucket


@njit(**_COMPILED)
def _first_bucket(calendar):
    """The earliest bucket of all plans."""
    plans, buckets, _, state = calendar
    first = FARTHEST
    for head in buckets:
        slot = head
        while slot != NOBODY:
            first = min(first, _bucket_of(state, plans[slot].at_s))
            slot = plans[slot].after
    state[0].looked += buckets.size + state[0].later
    return first


@njit(**_COMPILED)
def adapt_buckets(calendar, now_s):
    """Let a bucket hold about `EVENTS_A_BUCKET` events, at the rate at which they have happened lately."""
    state = calendar[3]
    spent_s = now_s - state[0].since_s
    if spent_s > 0 and state[0].happened > 0:
        per_s = state[0].happened / (spent_s * EVENTS_A_BUCKET)
        if not 0.5 < per_s / state[0].per_s < 2.0 and 0.0 < per_s < FARTHEST:
            first = gather_events(calendar)
            state[0].per_s = per_s
            file_events(calendar, first, now_s)
    state[0].looked, state[0].taken, state[0].happened, state[0].since_s = 0, 0, 0, now_s


@njit(**_COMPILED)
def gather_events(calendar):
    """Take all events out of a calendar, into a chain of plans; return its first slot."""
    plans, buckets, near, state = calendar
    first = NOBODY
    for number in range(state[0].near):
        slot = near[number].slot
        plans[slot].at_s, plans[slot].place, plans[slot].row = near[number].at_s, near[number].place, near[number].row
        plans[slot].after = first
        first = slot
    for at in range(buckets.size):
        slot = buckets[at]
        while slot != NOBODY:
            after = plans[slot].after
            plans[slot].after = first
            first = slot
            slot = after
        buckets[at] = NOBODY
    near[0].at_s = np.inf
    state[0].near, state[0].later = 0, 0
    return first


@njit(**_COMPILED)
def file_events(calendar, first, now_s):
    """Put a chain of events, none before `now_s`, into a calendar."""
    plans, state = calendar[0], calendar[3]
    state[0].open = _bucket_of(state, now_s)
    slot = first
    while slot != NOBODY:
        after = plans[slot].after
        _plan(calendar, slot, plans[slot].at_s, plans[slot].place, plans[slot].row)
        slot = after


@njit(**_INLINED)
def _set_deadline(calendar, slot, at_s, place, row):
    """A slot's deadline comes into their line, nearly always at its end."""
    plans, _, _, state = calendar
    before, after = state[0].last, NOBODY
    while before != NOBODY and _is_sooner(at_s, place, row, plans[before].at_s, plans[before].place, plans[before].row):
        before, after = plans[before].before, before
    plans[slot].at_s, plans[slot].place, plans[slot].row = at_s, place, row
    _link(plans, state, before, slot)
    _link(plans, state, slot, after)


@njit(**_INLINED)
def _lift_deadline(calendar, slot):
    """A deadline is met, or has passed."""
    plans, _, _, state = calendar
    _link(plans, state, plans[slot].before, plans[slot].after)


@njit(**_INLINED)
def _link(plans, state, before, after):
    """Make two deadlines neighbours; `NOBODY` stands for the end."""
    if before == NOBODY:
        state[0].first = after
        state[0].first_s = np.inf if after == NOBODY else plans[after].at_s
    else:
        plans[before].after = after
    if after == NOBODY:
        state[0].last = before
    else:
        plans[after].before = before


@njit(**_INLINED)
def _place_of(jobs, job, kind):
    """A job's place among simultaneous events."""
    return (kind << KIND_SHIFT) | (np.int64(jobs[job].instance) << INSTANCE_SHIFT) | jobs[job].owner


@njit(**_INLINED)
def _place_of_client(clients, client, kind):
    """A client's place among simultaneous events."""
    return (kind << KIND_SHIFT) | clients[client].owner


@njit(**_INLINED)
def _draw(rules, tables, given, kind, user, cycle, attempt, stage, which):
    """One time of a request: given, or drawn by identity; 0 where there is no such stage."""
    if given.size > 0:
        return given[user, cycle, min(attempt, given.shape[2] - 1)]
    if tables.size == 0:
        return 0.0
    return _time(tables[kind], _two_uniforms(rules[0].key, cycle, user, attempt, stage)[which])


@njit(**_INLINED)
def _class_of(rules, class_upto, user, cycle):
    """The request class, by identity; a request keeps it through its attempts."""
    if class_upto.size == 1:
        return 0
    unit = _two_uniforms(rules[0].key, cycle, user, 0, STAGE_CLASS)[0]
    kind = 0
    while class_upto[kind] <= unit:
        kind += 1
    return kind


@njit(**_INLINED)
def _choose(t, rules, numbers, instances, clients, client, user, cycle, attempt):
    """The balancer: an instance for this attempt."""
    count, how = instances.size, rules[0].balancer
    if how == ROUND_ROBIN:
        chosen = numbers[0].turn
        numbers[0].turn = chosen + 1 if chosen + 1 < count else 0
        return chosen
    if how == LEAST_CONNECTIONS:
        chosen = numbers[0].turn
        fewest, other = instances[chosen].in_flight, chosen
        for _ in range(1, count):
            other = other + 1 if other + 1 < count else 0
            is_fewer = instances[other].in_flight < fewest
            fewest = instances[other].in_flight if is_fewer else fewest
            chosen = other if is_fewer else chosen
        numbers[0].turn = chosen + 1 if chosen + 1 < count else 0
        return chosen
    if how == PER_CONNECTION and client != NOBODY:
        kept = clients[client].instance
        if kept != NOBODY and t - clients[client].opened_s < rules[0].keep_alive_s:
            return kept
    if how == TWO_CHOICES and count == 1:
        return 0
    first_unit, second_unit = _two_uniforms(rules[0].key, cycle, user, attempt, STAGE_ROUTE)
    first = np.int64(first_unit * count)
    if how == TWO_CHOICES:
        second = np.int64(second_unit * (count - 1))
        if second >= first:
            second += 1
        return second if instances[second].in_flight < instances[first].in_flight else first
    if how == PER_CONNECTION and client != NOBODY:
        clients[client].instance, clients[client].opened_s = first, t
    return first


@njit(**_INLINED)
def _admit(t, rules, instances, i):
    """The gate and the bound of the line: an outcome code; `SERVED` means come in."""
    if t - instances[i].forgot_at_s > rules[0].gate_reset_s:
        instances[i].forgotten, instances[i].forgot_at_s = instances[i].in_flight, t
    if instances[i].in_flight - instances[i].forgotten >= instances[i].gate:
        return SHED_AT_GATE
    if instances[i].busy >= instances[i].workers and instances[i].line_length >= instances[i].queue:
        return SHED_AT_QUEUE
    instances[i].in_flight += 1
    return SERVED


@njit(**_INLINED)
def _next_in_line(rules, jobs, instances, numbers, free_jobs, calendar, i):
    """A free worker takes the head of the line; who has left the line is passed over. `NOBODY` without either."""
    while instances[i].line_length > 0 and instances[i].busy < instances[i].workers:
        job = instances[i].line_head
        second = instances[i].line_second
        instances[i].line_head = second
        if second != NOBODY:  # this also fetches the next head from memory in good time
            instances[i].line_second = jobs[second].next
        if jobs[job].stage != GONE:
            instances[i].line_length -= 1
            instances[i].busy += 1
            if rules[0].patience_s < np.inf:
                _lift_deadline(calendar, job)
            return job
        free_jobs[numbers[0].free_jobs] = job
        numbers[0].free_jobs += 1
    return NOBODY


@njit(**_COMPILED)
def _grant_workers(t, rules, jobs, instances, numbers, free_jobs, calendar, i):
    """Free workers go to the heads of the line, by events that take their place among others of this moment."""
    job = _next_in_line(rules, jobs, instances, numbers, free_jobs, calendar, i)
    while job != NOBODY:
        jobs[job].stage = GRANTED_WORKER
        _plan(calendar, job, t, _place_of(jobs, job, GRANT), jobs[job].row)
        job = _next_in_line(rules, jobs, instances, numbers, free_jobs, calendar, i)


@njit(**_COMPILED)
def _grant_pool(t, jobs, instances, calendar, i):
    """Free connections of the instance go to the heads of their line."""
    while instances[i].pool_head != NOBODY and instances[i].pool_used < instances[i].db_pool:
        job = instances[i].pool_head
        instances[i].pool_head = jobs[job].next
        instances[i].pool_used += 1
        jobs[job].stage = GRANTED_POOL
        _plan(calendar, job, t, _place_of(jobs, job, GRANT), jobs[job].row)


@njit(**_COMPILED)
def _grant_database(t, rules, jobs, numbers, calendar):
    """Free places of the shared database go to the heads of their line."""
    while numbers[0].database_head != NOBODY and numbers[0].database_used < rules[0].database:
        job = numbers[0].database_head
        numbers[0].database_head = jobs[job].next
        numbers[0].database_used += 1
        jobs[job].stage = GRANTED_DATABASE
        _plan(calendar, job, t, _place_of(jobs, job, GRANT), jobs[job].row)


@njit(**_INLINED)
def _read_clock(t, instances, i):
    """Bring the virtual clock of the cores up to now."""
    n, cores = instances[i].on_cpu, instances[i].cpu_cores
    if n > cores:
        instances[i].clock_s = instances[i].clock_s + (t - instances[i].read_at_s) * (cores / n)
    elif n > 0:
        instances[i].clock_s = instances[i].clock_s + (t - instances[i].read_at_s)
    instances[i].read_at_s = t


@njit(**_INLINED)
def _play(time, winner, place, row, slot, at_s):
    """Give the cores of an instance the time of their next completion and play their matches up the tournament."""
    node = (time.size >> 1) + slot
    best = slot
    time[node] = at_s
    while node > 1:
        other = node ^ 1
        node >>= 1
        rival = winner[other]
        if _is_sooner(time[other], place[rival], row[rival], at_s, place[best], row[best]):
            at_s, best = time[other], rival
        time[node], winner[node] = at_s, best


@njit(**_INLINED)
def _plan_cores(t, jobs, instances, heap_s, heap_job, core_tree, i):
    """Plan the next completion on the cores; the virtual clock restarts when they fall idle."""
    time, winner, place, row = core_tree
    n, cores = instances[i].on_cpu, instances[i].cpu_cores
    if n == 0:
        instances[i].clock_s = 0.0
        _play(time, winner, place, row, i, np.inf)
        return
    job = heap_job[i, 0]
    place[i] = (COMPLETION << KIND_SHIFT) | (i << INSTANCE_SHIFT) | jobs[job].owner
    row[i] = jobs[job].row
    left_s = max(heap_s[i, 0] - instances[i].clock_s, 0.0)
    if n > cores:
        left_s = left_s / (cores / n)
    _play(time, winner, place, row, i, t + left_s)


@njit(**_INLINED)
def _before(jobs, a_s, a, b_s, b):
    """Whether job a is done before job b on shared cores."""
    is_before = a_s < b_s
    if a_s == b_s:
        is_before = jobs[a].owner < jobs[b].owner or (jobs[a].owner == jobs[b].owner and jobs[a].row < jobs[b].row)
    return is_before


@njit(**_INLINED)
def _rise_on_cores(jobs, heap_s, heap_job, i, at, finish_s, job):
    """Let a job rise in the heap from place `at`."""
    while at > _ZERO:
        above = (at - _ONE) >> _ONE
        if not _before(jobs, finish_s, job, heap_s[i, above], heap_job[i, above]):
            break
        heap_s[i, at], heap_job[i, at] = heap_s[i, above], heap_job[i, above]
        at = above
    heap_s[i, at], heap_job[i, at] = finish_s, job


@njit(**_INLINED)
def _join_cores(t, jobs, instances, heap_s, heap_job, core_tree, job):
    """A job begins its CPU time: push it on the heap of finishing clock readings."""
    i = jobs[job].instance
    _read_clock(t, instances, i)
    finish_s = instances[i].clock_s + jobs[job].cpu_s
    at = np.uint64(instances[i].on_cpu)
    instances[i].on_cpu += 1
    jobs[job].stage = ON_CPU
    _rise_on_cores(jobs, heap_s, heap_job, i, at, finish_s, job)
    _plan_cores(t, jobs, instances, heap_s, heap_job, core_tree, i)


@njit(**_INLINED)
def _finish_on_cores(t, jobs, instances, heap_s, heap_job, core_tree, i):
    """The first job on the cores is done: pop it and return it."""
    job = heap_job[i, 0]
    instances[i].clock_s, instances[i].read_at_s = heap_s[i, 0], t
    instances[i].on_cpu -= 1
    n = np.uint64(instances[i].on_cpu)
    at, below = _ZERO, _ONE
    while below < n:  # the hole goes down to a leaf (no branch to predict), then the last job rises from there
        other = below + np.uint64(below + _ONE < n)
        below += np.uint64(_before(jobs, heap_s[i, other], heap_job[i, other], heap_s[i, below], heap_job[i, below]))
        heap_s[i, at], heap_job[i, at] = heap_s[i, below], heap_job[i, below]
        at, below = below, below + below + _ONE
    _rise_on_cores(jobs, heap_s, heap_job, i, at, heap_s[i, n], heap_job[i, n])
    _plan_cores(t, jobs, instances, heap_s, heap_job, core_tree, i)
    return job


@njit(**_INLINED)
def _start(t, jobs, instances, numbers, rules, heap_s, heap_job, core_tree, job):
    """A worker takes the job. This and what follows returns when the job's next event is (infinity: not known)."""
    jobs[job].start_s = t
    if jobs[job].cpu_s > 0:
        _join_cores(t, jobs, instances, heap_s, heap_job, core_tree, job)
        return np.inf
    return _after_cpu(t, jobs, instances, numbers, rules, job)


@njit(**_INLINED)
def _after_cpu(t, jobs, instances, numbers, rules, job):
    """To the database, or on."""
    if jobs[job].database_s > 0:
        return _ask_pool(t, jobs, instances, numbers, rules, job)
    return _after_database(t, jobs, job)


@njit(**_INLINED)
def _ask_pool(t, jobs, instances, numbers, rules, job):
    """Take one of the instance's connections or stand in line for one."""
    i = jobs[job].instance
    if instances[i].pool_used < instances[i].db_pool:
        instances[i].pool_used += 1
        return _ask_database(t, jobs, numbers, rules, job)
    jobs[job].stage, jobs[job].next = AT_POOL, NOBODY
    if instances[i].pool_head == NOBODY:
        instances[i].pool_head = job
    else:
        jobs[instances[i].pool_tail].next = job
    instances[i].pool_tail = job
    return np.inf


@njit(**_INLINED)
def _ask_database(t, jobs, numbers, rules, job):
    """Take one of the shared database's places or stand in line for one."""
    if numbers[0].database_used < rules[0].database:
        numbers[0].database_used += 1
        return _query(t, jobs, job)
    jobs[job].stage, jobs[job].next = AT_POOL, NOBODY
    if numbers[0].database_head == NOBODY:
        numbers[0].database_head = job
    else:
        jobs[numbers[0].database_tail].next = job
    numbers[0].database_tail = job
    return np.inf


@njit(**_INLINED)
def _query(t, jobs, job):
    """The database works on it."""
    jobs[job].stage = QUERYING
    return t + jobs[job].database_s


@njit(**_INLINED)
def _release_database(t, jobs, instances, numbers, rules, calendar, job):
    """The query is done: its places go to the heads of their lines."""
    i = jobs[job].instance
    numbers[0].database_used -= 1
    if numbers[0].database_head != NOBODY:
        _grant_database(t, rules, jobs, numbers, calendar)
    instances[i].pool_used -= 1
    if instances[i].pool_head != NOBODY:
        _grant_pool(t, jobs, instances, calendar, i)
    return _after_database(t, jobs, job)


@njit(**_INLINED)
def _after_database(t, jobs, job):
    """The service time, the last stage."""
    jobs[job].stage = SERVING
    return t + jobs[job].service_s


@njit(**_INLINED)
def _outcome(rules, arrival_s, own, left_s):
    """What the client makes of the server's answer `own`: it may come too late for the server's limit or the client's.

    Returns the outcome and whether it is the server's own.
    """
    give_up_s = arrival_s + rules[0].client_timeout_s
    if left_s <= arrival_s + rules[0].request_timeout_s and left_s + rules[0].round_trip_s <= give_up_s:
        return own, True
    if (arrival_s + rules[0].request_timeout_s) + rules[0].round_trip_s <= give_up_s:
        return TIMED_OUT, False
    return ABANDONED, False


@njit(**_INLINED)
def _write(rows, numbers, row, sent_s, arrival_s, start_s, departure_s, who, instance, request_class, outcome):
    """One finished row."""
    n = numbers[0].written
    numbers[0].written = n + 1
    rows[n].row, rows[n].arrival_s, rows[n].start_s, rows[n].departure_s = row, arrival_s, start_s, departure_s
    rows[n].user, rows[n].cycle, rows[n].attempt = who
    rows[n].instance, rows[n].request_class, rows[n].outcome, rows[n].sent_s = instance, request_class, outcome, sent_s


@njit(**_INLINED)
def _leave(t, rules, numbers, jobs, clients, rows, job, own):
    """A job is done at the server; returns the client to conclude with, the outcome, and when it has the answer."""
    start_s = t if own == TIMED_OUT else jobs[job].start_s
    outcome, is_own = _outcome(rules, jobs[job].arrival_s, own, t)
    who = (0 if rules[0].is_open else jobs[job].owner, jobs[job].cycle, jobs[job].attempt)
    _write(rows, numbers, jobs[job].row, jobs[job].sent_s, jobs[job].arrival_s, start_s, t, who,
           jobs[job].instance, jobs[job].request_class, outcome)  # fmt: skip
    client = jobs[job].client
    if client == NOBODY:
        return NOBODY, outcome, t
    if not is_own:
        clients[client].job = NOBODY
        return NOBODY, outcome, t
    return client, outcome, t + rules[0].round_trip_s


@njit(**_INLINED)
def _conclude(
    rules, numbers, clients, free_clients, calendar, think, think_given, stop_s, cycles, waits_s, is_retried, client,
    outcome, answered_s,
):  # fmt: skip
    """A client has its answer, or has given up: it tries again, thinks, or goes."""
    user, cycle, attempt = clients[client].user, clients[client].cycle, clients[client].attempt
    clients[client].job = NOBODY
    if outcome == ABANDONED:
        clients[client].instance = NOBODY
    kind, send_s = RETRY, np.inf
    if attempt < waits_s.size and is_retried[outcome]:
        unit = _two_uniforms(rules[0].key, cycle, user, attempt + 1, STAGE_RETRY)[0]
        send_s = answered_s + waits_s[attempt] * (1.0 - rules[0].jitter * unit)
        clients[client].attempt = attempt + 1
    elif rules[0].is_open == 0 and cycle + 1 != cycles[user]:
        pause_s = (
            think_given[user, cycle + 1] if think_given.size > 0
            else _time(think, _two_uniforms(rules[0].key, cycle + 1, user, 0, STAGE_REQUEST)[1])
        )  # fmt: skip
        kind, send_s = ARRIVAL, answered_s + pause_s
        if send_s >= stop_s[user]:
            send_s = np.inf
        clients[client].cycle, clients[client].attempt = cycle + 1, 0
    if send_s < np.inf and send_s <= rules[0].horizon_s:
        _plan(calendar, client, send_s, _place_of_client(clients, client, kind), 0)
    else:
        _go(rules, numbers, free_clients, client)


@njit(**_INLINED)
def _go(rules, numbers, free_clients, client):
    """A client sends no more; its slot is free for another, unless the population is fixed."""
    if rules[0].is_population == 0:
        free_clients[numbers[0].free_clients] = client
        numbers[0].free_clients += 1


@njit(**_INLINED)
def _send(
    t, rules, numbers, work, jobs, instances, clients, free_jobs, calendar, client_calendar, rows, client, owner, who,
):  # fmt: skip
    """One attempt: to an instance, through its gate, and to a worker or into the line.

    Returns the job that has got a worker; or the client to conclude with at once (it was turned away), the outcome,
    and when it has the answer.
    """
    class_upto, service, cpu, database, service_given, cpu_given, database_given = work
    user, cycle, attempt = who
    row = numbers[0].rows
    numbers[0].rows = row + 1
    kind = _class_of(rules, class_upto, user, cycle)
    i = _choose(t, rules, numbers, instances, clients, client, user, cycle, attempt)
    give_up_s = t + rules[0].client_timeout_s
    sent_s = t
    if client != NOBODY:
        if attempt == 0:
            clients[client].sent_s = t
        sent_s = clients[client].sent_s
    own = _admit(t, rules, instances, i)
    if own != SERVED:
        arrives_s = t + rules[0].rejection_s
        outcome = own if arrives_s <= give_up_s else ABANDONED
        _write(rows, numbers, row, sent_s, t, t, t, who, i, kind, outcome)
        return NOBODY, client, outcome, min(arrives_s, give_up_s)
    numbers[0].free_jobs -= 1
    job = free_jobs[numbers[0].free_jobs]
    jobs[job].row, jobs[job].owner, jobs[job].cycle, jobs[job].attempt = row, owner, cycle, attempt
    jobs[job].instance, jobs[job].request_class, jobs[job].client, jobs[job].next = i, kind, client, NOBODY
    jobs[job].arrival_s, jobs[job].sent_s = t, sent_s
    jobs[job].service_s = _draw(rules, service, service_given, kind, user, cycle, attempt, STAGE_REQUEST, 0)
    jobs[job].cpu_s = _draw(rules, cpu, cpu_given, kind, user, cycle, attempt, STAGE_WORK, 0)
    jobs[job].database_s = _draw(rules, database, database_given, kind, user, cycle, attempt, STAGE_WORK, 1)
    if client != NOBODY:
        clients[client].job = job
        if rules[0].is_watched:
            _watch(t, rules, clients, client_calendar, client, give_up_s)
    if instances[i].busy < instances[i].workers:
        instances[i].busy += 1
        return job, NOBODY, SERVED, t
    _stand_in_line(t, rules, jobs, instances, calendar, job)
    return NOBODY, NOBODY, SERVED, t


@njit(**_INLINED)
def _watch(t, rules, clients, calendar, client, give_up_s):
    """Plan the end of a wait that takes too long: for the server, or for its client."""
    cut_s = t + rules[0].request_timeout_s
    arrives_s = cut_s + rules[0].round_trip_s
    is_cut = arrives_s <= give_up_s
    clients[client].late = TIMED_OUT if is_cut else ABANDONED
    clients[client].answered_s = arrives_s if is_cut else give_up_s
    _set_deadline(calendar, client, cut_s if is_cut else give_up_s, _place_of_client(clients, client, GIVE_UP), 0)


@njit(**_INLINED)
def _stand_in_line(t, rules, jobs, instances, calendar, job):
    """Wait for a worker, as long as the server allows."""
    i = jobs[job].instance
    if instances[i].line_head == NOBODY:
        instances[i].line_head = job
    else:
        jobs[instances[i].line_tail].next = job
        if instances[i].line_second == NOBODY:
            instances[i].line_second = job
    instances[i].line_tail = job
    instances[i].line_length += 1
    jobs[job].stage = IN_LINE
    if rules[0].patience_s < np.inf:
        _set_deadline(calendar, job, t + rules[0].patience_s, _place_of(jobs, job, TIMEOUT), jobs[job].row)


@njit(**_COMPILED)
def _change(t, rules, jobs, instances, numbers, free_jobs, heap_s, heap_job, core_tree, calendar, change, i):
    """Put new limits of an instance in force."""
    if not np.isnan(change.gate):
        instances[i].gate = change.gate
    if not np.isnan(change.queue):
        instances[i].queue = change.queue
    if not np.isnan(change.cpu_cores):
        _read_clock(t, instances, i)
        instances[i].cpu_cores = change.cpu_cores
        _plan_cores(t, jobs, instances, heap_s, heap_job, core_tree, i)
    if not np.isnan(change.db_pool):
        instances[i].db_pool = change.db_pool
        _grant_pool(t, jobs, instances, calendar, i)
    if not np.isnan(change.workers):
        instances[i].workers = change.workers
        _grant_workers(t, rules, jobs, instances, numbers, free_jobs, calendar, i)


@njit(**_INLINED)
def _changes_now(t, numbers, changes):
    """Whether limits change at this very moment."""
    return numbers[0].next_change < changes.size and changes[numbers[0].next_change].at_s == t


@njit(**_INLINED)
def _first_event(numbers, arrival_s, core_tree, calendar, client_calendar):
    """What happens next: where it comes from, when, and its place among simultaneous events."""
    plans, _, near, agenda = calendar
    client_plans, _, client_near, client_agenda = client_calendar
    core_s, core_winner, core_place, core_row = core_tree
    source, t, place = JOBS, near[0].at_s, near[0].place
    if core_s[1] <= t:
        i = core_winner[1]
        if _is_sooner(core_s[1], core_place[i], core_row[i], t, place, near[0].row):
            source, t, place = CORES, core_s[1], core_place[i]
    if agenda[0].first_s <= t:
        first = agenda[0].first
        if agenda[0].first_s < t or plans[first].place < place:
            source, t, place = IMPATIENT_JOBS, agenda[0].first_s, plans[first].place
    if client_near[0].at_s < t or (client_near[0].at_s == t and client_near[0].place < place):
        source, t, place = CLIENTS, client_near[0].at_s, client_near[0].place
    if client_agenda[0].first_s <= t:
        first = client_agenda[0].first
        if client_agenda[0].first_s < t or client_plans[first].place < place:
            source, t, place = IMPATIENT_CLIENTS, client_agenda[0].first_s, client_plans[first].place
    upcoming = numbers[0].next_arrival - numbers[0].first_arrival
    if upcoming < arrival_s.size:
        arrival_place = (ARRIVAL << KIND_SHIFT) | numbers[0].next_arrival
        if arrival_s[upcoming] < t or (arrival_s[upcoming] == t and arrival_place < place):
            source, t, place = ARRIVALS, arrival_s[upcoming], arrival_place
    return source, t, place


@njit(**_COMPILED)
def place_rows(rows, arrival_s, start_s, departure_s, outcome, user, cycle, attempt, instance, request_class):
    """Put finished rows into the columns of a log, in the order of arrival."""
    for n in range(rows.size):
        at = rows[n].row
        arrival_s[at], start_s[at], departure_s[at] = rows[n].arrival_s, rows[n].start_s, rows[n].departure_s
        outcome[at], user[at], cycle[at] = rows[n].outcome, rows[n].user, rows[n].cycle
        attempt[at], instance[at], request_class[at] = rows[n].attempt, rows[n].instance, rows[n].request_class


@njit(**_COMPILED)
def run(
    rules, numbers, work, think, think_given, arrival_s, stop_s, cycles, waits_s, is_retried, changes,
    jobs, instances, clients, free_jobs, free_clients, heap_s, heap_job, core_tree, calendar, client_calendar, rows,
):  # fmt: skip
    """Go on until the run has ended, the buffer of rows is full, or slots run out; the code says which."""
    (near, agenda), (client_near, client_agenda) = calendar[2:], client_calendar[2:]
    core_s, core_winner = core_tree[:2]
    adapt_buckets(calendar, numbers[0].now_s)
    adapt_buckets(client_calendar, numbers[0].now_s)
    while numbers[0].written < rows.size:
        if agenda[0].near == 0 and agenda[0].later > 0:
            _open_next(calendar, numbers[0].now_s)
        if client_agenda[0].near == 0 and client_agenda[0].later > 0:
            _open_next(client_calendar, numbers[0].now_s)

        if numbers[0].next_arrival - numbers[0].first_arrival >= arrival_s.size and numbers[0].more_to_come:
            return NEEDS_ARRIVALS
        source, t, place = _first_event(numbers, arrival_s, core_tree, calendar, client_calendar)
        if t == np.inf and numbers[0].next_change == changes.size:
            return ENDED
        if numbers[0].next_change < changes.size:
            change = changes[numbers[0].next_change]
            if change.at_s < t or (change.at_s == t and place >= (CHANGE << KIND_SHIFT)):
                numbers[0].next_change += 1
                numbers[0].now_s = change.at_s
                for i in range(instances.size):
                    if change.instance == NOBODY or change.instance == i:
                        _change(change.at_s, rules, jobs, instances, numbers, free_jobs, heap_s, heap_job, core_tree,
                                calendar, change, i)  # fmt: skip
                continue
        if source >= CLIENTS:  # somebody sends
            if numbers[0].rows >= rules[0].most_rows or t > rules[0].horizon_s:  # nobody sends any more
                if source == ARRIVALS:
                    numbers[0].next_arrival = numbers[0].first_arrival + arrival_s.size
                    numbers[0].more_to_come = 0
                else:
                    _go(rules, numbers, free_clients, _pop(client_near, client_agenda))
                continue
            if numbers[0].free_jobs == 0:
                return NEEDS_JOBS
            if source == ARRIVALS and rules[0].has_clients and numbers[0].free_clients == 0:
                return NEEDS_CLIENTS
        numbers[0].now_s = t

        starts, client, outcome, answered_s = NOBODY, NOBODY, SERVED, t
        goes_on, next_s = NOBODY, np.inf
        if source == JOBS:
            job, kind = _pop(near, agenda), place >> KIND_SHIFT
            if kind == COMPLETION:
                i = jobs[job].instance
                instances[i].in_flight -= 1
                instances[i].busy -= 1
                # Who is granted the worker starts at once, where no other event comes before that.
                if near[0].at_s > t and core_s[1] > t and not _changes_now(t, numbers, changes):
                    starts = _next_in_line(rules, jobs, instances, numbers, free_jobs, calendar, i)
                else:
                    _grant_workers(t, rules, jobs, instances, numbers, free_jobs, calendar, i)
                client, outcome, answered_s = _leave(t, rules, numbers, jobs, clients, rows, job, SERVED)
                if client != NOBODY and rules[0].is_watched:
                    _lift_deadline(client_calendar, client)
                free_jobs[numbers[0].free_jobs] = job
                numbers[0].free_jobs += 1
            elif kind == DB_RELEASE:
                goes_on, next_s = job, _release_database(t, jobs, instances, numbers, rules, calendar, job)
            elif jobs[job].stage == GRANTED_WORKER:
                starts = job
            elif jobs[job].stage == GRANTED_POOL:
                goes_on, next_s = job, _ask_database(t, jobs, numbers, rules, job)
            else:
                goes_on, next_s = job, _query(t, jobs, job)
        elif source == CORES:
            goes_on = _finish_on_cores(t, jobs, instances, heap_s, heap_job, core_tree, core_winner[1])
            next_s = _after_cpu(t, jobs, instances, numbers, rules, goes_on)
        elif source == IMPATIENT_JOBS:
            job = agenda[0].first
            _lift_deadline(calendar, job)
            i = jobs[job].instance
            instances[i].in_flight -= 1
            instances[i].line_length -= 1
            jobs[job].stage = GONE
            client, outcome, answered_s = _leave(t, rules, numbers, jobs, clients, rows, job, TIMED_OUT)
            if client != NOBODY and rules[0].is_watched:
                _lift_deadline(client_calendar, client)
        elif source == IMPATIENT_CLIENTS:  # it waits no longer
            client = client_agenda[0].first
            _lift_deadline(client_calendar, client)
            if clients[client].job != NOBODY:
                jobs[clients[client].job].client = NOBODY
            outcome, answered_s = clients[client].late, clients[client].answered_s
        else:
            if source == ARRIVALS:
                owner = numbers[0].next_arrival
                numbers[0].next_arrival = owner + 1
                who = (0, owner, 0) if rules[0].is_open else (owner, 0, 0)
                if rules[0].has_clients:
                    numbers[0].free_clients -= 1
                    client = free_clients[numbers[0].free_clients]
                    clients[client].owner, clients[client].attempt, clients[client].instance = owner, 0, NOBODY
                    clients[client].user, clients[client].cycle = who[0], who[1]
            else:
                client = _pop(client_near, client_agenda)
                owner = clients[client].owner
                who = (clients[client].user, clients[client].cycle, clients[client].attempt)
            starts, client, outcome, answered_s = _send(
                t, rules, numbers, work, jobs, instances, clients, free_jobs, calendar, client_calendar, rows, client,
                owner, who,
            )  # fmt: skip
        if client != NOBODY:
            _conclude(
                rules, numbers, clients, free_clients, client_calendar, think, think_given, stop_s, cycles, waits_s,
                is_retried, client, outcome, answered_s,
            )  # fmt: skip
        if starts != NOBODY:
            goes_on, next_s = starts, _start(t, jobs, instances, numbers, rules, heap_s, heap_job, core_tree, starts)
        if next_s < np.inf:
            kind = DB_RELEASE if jobs[goes_on].stage == QUERYING else COMPLETION
            _plan(calendar, goes_on, next_s, _place_of(jobs, goes_on, kind), jobs[goes_on].row)
    return BUFFER_FULL
