"""The compiled twin of `simpy_engine` for everything that a recursion cannot know at admission.

The functions below are those of the reference engine, in the same order: a client sends
(`_send`), the balancer picks an instance (`_choose`), the gate admits (`_admit`), the request
waits for a worker, then goes through its CPU, database and service times (`_start`,
`_after_cpu`, `_after_database`), and leaves (`_leave`); its client concludes (`_conclude`).

Events are not kept in a heap. Each job (an attempt at a server) has at most one pending event,
and so has each client; a tournament tree over the slots of each gives the next one, and a slot's
event is replaced in place. Order: time, then place (kind, instance, owner), then row.

The state lives in arrays of records, so that a run can be left and entered again: when the
buffer of finished rows is full, or more slots are needed. Arrays and scalars in, arrays out;
checks and names are the wrapper's (`event_engine`). No fastmath: the bits equal SimPy's.
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
IN_LINE, GRANTED_WORKER, ON_CPU, AT_POOL, GRANTED_POOL, GRANTED_DATABASE, QUERYING, SERVING = range(8)
ENDED, BUFFER_FULL, NEEDS_JOBS, NEEDS_CLIENTS, NEEDS_ARRIVALS = range(5)

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
"""Nothing is allocated inside, so references need not be counted (atomically): that doubles the speed."""
_INLINED: dict[str, Any] = {**_COMPILED, "inline": "always"}

NOBODY = -1
KIND_SHIFT, INSTANCE_SHIFT = 56, 40

JOB = np.dtype(
    [(name, np.int64) for name in ("owner", "user", "cycle", "attempt", "instance", "request_class", "row", "client",
                                   "next", "stage", "is_gone")]
    + [(name, np.float64) for name in ("arrival_s", "start_s", "service_s", "cpu_s", "database_s", "give_up_s",
                                       "sent_s")],
    align=True,
)  # fmt: skip
CLIENT = np.dtype(
    [(name, np.int64) for name in ("owner", "user", "cycle", "attempt", "job", "awaits", "instance")]
    + [(name, np.float64) for name in ("opened_s", "answered_s", "sent_s")],
    align=True,
)
INSTANCE = np.dtype(
    [(name, np.int64) for name in ("in_flight", "forgotten", "busy", "line_head", "line_tail", "line_length",
                                   "pool_used", "pool_head", "pool_tail", "on_cpu")]
    + [(name, np.float64) for name in ("forgot_at_s", "clock_s", "read_at_s",
                                       "gate", "workers", "queue", "db_pool", "cpu_cores")],
    align=True,
)  # fmt: skip
ROW = np.dtype(
    [("row", np.int64), ("arrival_s", np.float64), ("start_s", np.float64), ("departure_s", np.float64),
     ("sent_s", np.float64), ("user", np.int64), ("cycle", np.int64), ("attempt", np.int64), ("instance", np.int64),
     ("request_class", np.int64), ("outcome", np.int64)],
    align=True,
)  # fmt: skip
RULES = np.dtype(
    [(name, np.float64) for name in ("round_trip_s", "request_timeout_s", "patience_s", "gate_reset_s",
                                     "client_timeout_s", "keep_alive_s", "jitter", "horizon_s", "most_rows",
                                     "database")]
    + [("key", np.uint64)]
    + [(name, np.int64) for name in ("balancer", "is_open", "is_population", "has_clients")],
    align=True,
)  # fmt: skip
NUMBERS = np.dtype(
    [(name, np.int64) for name in ("rows", "written", "free_jobs", "free_clients", "next_arrival", "next_change",
                                   "turn", "database_used", "database_head", "database_tail",
                                   "first_arrival", "more_to_come")],
    align=True,
)  # fmt: skip
CHANGED = np.dtype(
    [("at_s", np.float64), ("instance", np.int64)]
    + [(name, np.float64) for name in ("gate", "workers", "queue", "db_pool", "cpu_cores")],
    align=True,
)
"""A change of limits; NaN for what stays."""


@njit(**_COMPILED)
def _plan(time, winner, place, row, slot, at_s):
    """Give a slot's event a time (infinity: none) and play its matches up the tournament again."""
    node = (time.size >> 1) + slot
    time[node] = at_s
    best = slot
    while node > 1:
        other = node ^ 1
        node >>= 1
        other_s, rival = time[other], winner[other]
        is_sooner = other_s < at_s
        if other_s == at_s and at_s < np.inf:
            is_sooner = place[rival] < place[best] or (place[rival] == place[best] and row[rival] < row[best])
        at_s = other_s if is_sooner else at_s
        best = rival if is_sooner else best
        if best != slot and winner[node] == best and time[node] == at_s:
            return
        time[node], winner[node] = at_s, best


@njit(**_INLINED)
def _plan_job(jobs, instances, job_tree, job, kind, at_s):
    """Plan a job's one pending event."""
    time, winner, place, row = job_tree
    slot = instances.size + job
    place[slot] = (kind << KIND_SHIFT) | (jobs[job].instance << INSTANCE_SHIFT) | jobs[job].owner
    row[slot] = jobs[job].row
    _plan(time, winner, place, row, slot, at_s)


@njit(**_INLINED)
def _plan_client(clients, client_tree, client, kind, at_s):
    """Plan a client's one pending event."""
    time, winner, place, row = client_tree
    place[client] = (kind << KIND_SHIFT) | clients[client].owner
    _plan(time, winner, place, row, client, at_s)


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
        numbers[0].turn = (chosen + 1) % count
        return chosen
    if how == LEAST_CONNECTIONS:
        chosen = numbers[0].turn
        for step in range(1, count):
            other = (numbers[0].turn + step) % count
            if instances[other].in_flight < instances[chosen].in_flight:
                chosen = other
        numbers[0].turn = (chosen + 1) % count
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
def _next_in_line(jobs, instances, numbers, free_jobs, i):
    """A free worker takes the head of the line; who has left the line is passed over. `NOBODY` without either."""
    while instances[i].line_length > 0 and instances[i].busy < instances[i].workers:
        job = instances[i].line_head
        instances[i].line_head = jobs[job].next
        if jobs[job].is_gone == 0:
            instances[i].line_length -= 1
            instances[i].busy += 1
            return job
        free_jobs[numbers[0].free_jobs] = job
        numbers[0].free_jobs += 1
    return NOBODY


@njit(**_COMPILED)
def _grant_workers(t, jobs, instances, numbers, free_jobs, job_tree, i):
    """Free workers go to the heads of the line, by events that take their place among others of this moment."""
    job = _next_in_line(jobs, instances, numbers, free_jobs, i)
    while job != NOBODY:
        jobs[job].stage = GRANTED_WORKER
        _plan_job(jobs, instances, job_tree, job, GRANT, t)
        job = _next_in_line(jobs, instances, numbers, free_jobs, i)


@njit(**_COMPILED)
def _grant_pool(t, jobs, instances, job_tree, i):
    """Free connections of the instance go to the heads of their line."""
    while instances[i].pool_head != NOBODY and instances[i].pool_used < instances[i].db_pool:
        job = instances[i].pool_head
        instances[i].pool_head = jobs[job].next
        instances[i].pool_used += 1
        jobs[job].stage = GRANTED_POOL
        _plan_job(jobs, instances, job_tree, job, GRANT, t)


@njit(**_INLINED)
def _read_clock(t, instances, i):
    """Bring the virtual clock of the cores up to now."""
    n, cores = instances[i].on_cpu, instances[i].cpu_cores
    if n > 0:
        rate = cores / n if n > cores else 1.0
        instances[i].clock_s = instances[i].clock_s + (t - instances[i].read_at_s) * rate
    instances[i].read_at_s = t


@njit(**_INLINED)
def _plan_cores(t, jobs, instances, heap_s, heap_job, job_tree, i):
    """Plan the next completion on the cores; the virtual clock restarts when they fall idle."""
    time, winner, place, row = job_tree
    n, cores = instances[i].on_cpu, instances[i].cpu_cores
    if n == 0:
        instances[i].clock_s = 0.0
        _plan(time, winner, place, row, i, np.inf)
        return
    rate = cores / n if n > cores else 1.0
    job = heap_job[i, 0]
    place[i] = (COMPLETION << KIND_SHIFT) | (i << INSTANCE_SHIFT) | jobs[job].owner
    row[i] = jobs[job].row
    _plan(time, winner, place, row, i, t + max(heap_s[i, 0] - instances[i].clock_s, 0.0) / rate)


@njit(**_INLINED)
def _before(jobs, a_s, a, b_s, b):
    """Whether job a is done before job b on shared cores."""
    if a_s != b_s:
        return a_s < b_s
    if jobs[a].owner != jobs[b].owner:
        return jobs[a].owner < jobs[b].owner
    return jobs[a].row < jobs[b].row


@njit(**_INLINED)
def _join_cores(t, jobs, instances, heap_s, heap_job, job_tree, job):
    """A job begins its CPU time: push it on the heap of finishing clock readings."""
    i = jobs[job].instance
    _read_clock(t, instances, i)
    finish_s = instances[i].clock_s + jobs[job].cpu_s
    at = instances[i].on_cpu
    instances[i].on_cpu += 1
    jobs[job].stage = ON_CPU
    while at > 0:
        above = (at - 1) >> 1
        if not _before(jobs, finish_s, job, heap_s[i, above], heap_job[i, above]):
            break
        heap_s[i, at], heap_job[i, at] = heap_s[i, above], heap_job[i, above]
        at = above
    heap_s[i, at], heap_job[i, at] = finish_s, job
    _plan_cores(t, jobs, instances, heap_s, heap_job, job_tree, i)


@njit(**_INLINED)
def _finish_on_cores(t, jobs, instances, heap_s, heap_job, job_tree, i):
    """The first job on the cores is done: pop it and return it."""
    job = heap_job[i, 0]
    instances[i].clock_s, instances[i].read_at_s = heap_s[i, 0], t
    instances[i].on_cpu -= 1
    n = instances[i].on_cpu
    last_s, last = heap_s[i, n], heap_job[i, n]
    at = 0
    while 2 * at + 1 < n:
        below = 2 * at + 1
        if below + 1 < n and _before(jobs, heap_s[i, below + 1], heap_job[i, below + 1], heap_s[i, below],
                                     heap_job[i, below]):  # fmt: skip
            below += 1
        if not _before(jobs, heap_s[i, below], heap_job[i, below], last_s, last):
            break
        heap_s[i, at], heap_job[i, at] = heap_s[i, below], heap_job[i, below]
        at = below
    heap_s[i, at], heap_job[i, at] = last_s, last
    _plan_cores(t, jobs, instances, heap_s, heap_job, job_tree, i)
    return job


@njit(**_INLINED)
def _start(t, jobs, instances, numbers, rules, heap_s, heap_job, job_tree, job):
    """A worker takes the job."""
    jobs[job].start_s = t
    if jobs[job].cpu_s > 0:
        _join_cores(t, jobs, instances, heap_s, heap_job, job_tree, job)
    else:
        _after_cpu(t, jobs, instances, numbers, rules, job_tree, job)


@njit(**_INLINED)
def _after_cpu(t, jobs, instances, numbers, rules, job_tree, job):
    """To the database, or on."""
    if jobs[job].database_s > 0:
        _ask_pool(t, jobs, instances, numbers, rules, job_tree, job)
    else:
        _after_database(t, jobs, instances, job_tree, job)


@njit(**_INLINED)
def _ask_pool(t, jobs, instances, numbers, rules, job_tree, job):
    """Take one of the instance's connections or stand in line for one."""
    i = jobs[job].instance
    if instances[i].pool_used < instances[i].db_pool:
        instances[i].pool_used += 1
        _ask_database(t, jobs, instances, numbers, rules, job_tree, job)
        return
    jobs[job].stage, jobs[job].next = AT_POOL, NOBODY
    if instances[i].pool_head == NOBODY:
        instances[i].pool_head = job
    else:
        jobs[instances[i].pool_tail].next = job
    instances[i].pool_tail = job


@njit(**_INLINED)
def _ask_database(t, jobs, instances, numbers, rules, job_tree, job):
    """Take one of the shared database's places or stand in line for one."""
    if numbers[0].database_used < rules[0].database:
        numbers[0].database_used += 1
        _query(t, jobs, instances, job_tree, job)
        return
    jobs[job].stage, jobs[job].next = AT_POOL, NOBODY
    if numbers[0].database_head == NOBODY:
        numbers[0].database_head = job
    else:
        jobs[numbers[0].database_tail].next = job
    numbers[0].database_tail = job


@njit(**_INLINED)
def _query(t, jobs, instances, job_tree, job):
    """The database works on it."""
    jobs[job].stage = QUERYING
    _plan_job(jobs, instances, job_tree, job, DB_RELEASE, t + jobs[job].database_s)


@njit(**_INLINED)
def _release_database(t, jobs, instances, numbers, rules, job_tree, job):
    """The query is done: its places go to the heads of their lines."""
    numbers[0].database_used -= 1
    while numbers[0].database_head != NOBODY and numbers[0].database_used < rules[0].database:
        other = numbers[0].database_head
        numbers[0].database_head = jobs[other].next
        numbers[0].database_used += 1
        jobs[other].stage = GRANTED_DATABASE
        _plan_job(jobs, instances, job_tree, other, GRANT, t)
    i = jobs[job].instance
    instances[i].pool_used -= 1
    _grant_pool(t, jobs, instances, job_tree, i)
    _after_database(t, jobs, instances, job_tree, job)


@njit(**_INLINED)
def _after_database(t, jobs, instances, job_tree, job):
    """The service time, the last stage."""
    jobs[job].stage = SERVING
    _plan_job(jobs, instances, job_tree, job, COMPLETION, t + jobs[job].service_s)


@njit(**_INLINED)
def _outcome(rules, arrival_s, give_up_s, own, left_s):
    """What the client makes of the server's answer `own`: it may come too late for the server's limit or the client's.

    Returns the outcome and whether it is the server's own.
    """
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
    outcome, is_own = _outcome(rules, jobs[job].arrival_s, jobs[job].give_up_s, own, t)
    who = (jobs[job].user, jobs[job].cycle, jobs[job].attempt)
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
    rules, numbers, clients, free_clients, client_tree, think, think_given, stop_s, cycles, waits_s, is_retried, client,
    outcome, answered_s,
):  # fmt: skip
    """A client has its answer, or has given up: it tries again, thinks, or goes."""
    user, cycle, attempt = clients[client].user, clients[client].cycle, clients[client].attempt
    clients[client].job = NOBODY
    if outcome == ABANDONED:
        clients[client].instance = NOBODY
    if attempt < waits_s.size and is_retried[outcome]:
        unit = _two_uniforms(rules[0].key, cycle, user, attempt + 1, STAGE_RETRY)[0]
        send_s = answered_s + waits_s[attempt] * (1.0 - rules[0].jitter * unit)
        if send_s <= rules[0].horizon_s:
            clients[client].attempt, clients[client].awaits = attempt + 1, RETRY
            _plan_client(clients, client_tree, client, RETRY, send_s)
            return
    elif rules[0].is_open == 0 and cycle + 1 != cycles[user]:
        pause_s = (
            think_given[user, cycle + 1] if think_given.size > 0
            else _time(think, _two_uniforms(rules[0].key, cycle + 1, user, 0, STAGE_REQUEST)[1])
        )  # fmt: skip
        send_s = answered_s + pause_s
        if send_s < stop_s[user] and send_s <= rules[0].horizon_s:
            clients[client].cycle, clients[client].attempt, clients[client].awaits = cycle + 1, 0, ARRIVAL
            _plan_client(clients, client_tree, client, ARRIVAL, send_s)
            return
    _go(rules, numbers, clients, free_clients, client_tree, client)


@njit(**_INLINED)
def _go(rules, numbers, clients, free_clients, client_tree, client):
    """A client sends no more; its slot is free for another, unless the population is fixed."""
    _plan_client(clients, client_tree, client, ARRIVAL, np.inf)
    if rules[0].is_population == 0:
        free_clients[numbers[0].free_clients] = client
        numbers[0].free_clients += 1


@njit(**_INLINED)
def _send(
    t, rules, numbers, work, jobs, instances, clients, free_jobs, heap_s, heap_job, job_tree, client_tree, rows, client,
    owner, who,
):  # fmt: skip
    """One attempt: to an instance, through its gate, and on its way.

    Returns the client to conclude with at once (it was turned away), the outcome, and when it has the answer.
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
        outcome, is_own = _outcome(rules, t, give_up_s, own, t)
        _write(rows, numbers, row, sent_s, t, t, t, who, i, kind, outcome)
        return client, outcome, t + rules[0].round_trip_s if is_own else give_up_s
    numbers[0].free_jobs -= 1
    job = free_jobs[numbers[0].free_jobs]
    jobs[job].owner, jobs[job].user, jobs[job].cycle, jobs[job].attempt = owner, user, cycle, attempt
    jobs[job].instance, jobs[job].request_class, jobs[job].row, jobs[job].client = i, kind, row, client
    jobs[job].arrival_s, jobs[job].give_up_s, jobs[job].is_gone, jobs[job].next = t, give_up_s, 0, NOBODY
    jobs[job].sent_s = sent_s
    jobs[job].service_s = _draw(rules, service, service_given, kind, user, cycle, attempt, STAGE_REQUEST, 0)
    jobs[job].cpu_s = _draw(rules, cpu, cpu_given, kind, user, cycle, attempt, STAGE_WORK, 0)
    jobs[job].database_s = _draw(rules, database, database_given, kind, user, cycle, attempt, STAGE_WORK, 1)
    if client != NOBODY:
        clients[client].job = job
        _watch(t, rules, clients, client_tree, client, give_up_s)
    if instances[i].busy < instances[i].workers:
        instances[i].busy += 1
        _start(t, jobs, instances, numbers, rules, heap_s, heap_job, job_tree, job)
    else:
        _stand_in_line(t, rules, jobs, instances, job_tree, job)
    return NOBODY, SERVED, t


@njit(**_INLINED)
def _watch(t, rules, clients, client_tree, client, give_up_s):
    """Plan the end of a wait that takes too long: for the server, or for its client."""
    cut_s = t + rules[0].request_timeout_s
    arrives_s = cut_s + rules[0].round_trip_s
    if arrives_s <= give_up_s:
        clients[client].awaits, clients[client].answered_s = TIMED_OUT, arrives_s
        _plan_client(clients, client_tree, client, GIVE_UP, cut_s)
    else:
        clients[client].awaits, clients[client].answered_s = ABANDONED, give_up_s
        _plan_client(clients, client_tree, client, GIVE_UP, give_up_s)


@njit(**_INLINED)
def _stand_in_line(t, rules, jobs, instances, job_tree, job):
    """Wait for a worker, as long as the server allows."""
    i = jobs[job].instance
    if instances[i].line_head == NOBODY:
        instances[i].line_head = job
    else:
        jobs[instances[i].line_tail].next = job
    instances[i].line_tail = job
    instances[i].line_length += 1
    jobs[job].stage = IN_LINE
    if rules[0].patience_s < np.inf:
        _plan_job(jobs, instances, job_tree, job, TIMEOUT, t + rules[0].patience_s)


@njit(**_COMPILED)
def _change(t, jobs, instances, numbers, free_jobs, heap_s, heap_job, job_tree, change, i):
    """Put new limits of an instance in force."""
    if not np.isnan(change.gate):
        instances[i].gate = change.gate
    if not np.isnan(change.queue):
        instances[i].queue = change.queue
    if not np.isnan(change.cpu_cores):
        _read_clock(t, instances, i)
        instances[i].cpu_cores = change.cpu_cores
        _plan_cores(t, jobs, instances, heap_s, heap_job, job_tree, i)
    if not np.isnan(change.db_pool):
        instances[i].db_pool = change.db_pool
        _grant_pool(t, jobs, instances, job_tree, i)
    if not np.isnan(change.workers):
        instances[i].workers = change.workers
        _grant_workers(t, jobs, instances, numbers, free_jobs, job_tree, i)


@njit(**_INLINED)
def _changes_now(t, numbers, changes):
    """Whether limits change at this very moment."""
    return numbers[0].next_change < changes.size and changes[numbers[0].next_change].at_s == t


@njit(**_COMPILED)
def build_tournament(time, winner, place, row):
    """Play all matches of a tournament whose leaves (the second half) hold times."""
    leaves = time.size >> 1
    for slot in range(leaves):
        winner[leaves + slot] = slot
    for node in range(leaves - 1, 0, -1):
        a, b = winner[2 * node], winner[2 * node + 1]
        a_s, b_s = time[2 * node], time[2 * node + 1]
        is_b = b_s < a_s
        if a_s == b_s and a_s < np.inf:
            is_b = place[b] < place[a] or (place[b] == place[a] and row[b] < row[a])
        winner[node] = b if is_b else a
        time[node] = b_s if is_b else a_s


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
    jobs, instances, clients, free_jobs, free_clients, heap_s, heap_job, job_tree, client_tree, rows,
):  # fmt: skip
    """Go on until the run has ended, the buffer of rows is full, or slots run out; the code says which."""
    job_time, job_winner, job_place, _ = job_tree
    client_time, client_winner, client_place, _ = client_tree
    stations = instances.size
    while numbers[0].written < rows.size:
        t, client_s = job_time[1], client_time[1]
        place = job_place[job_winner[1]]
        is_client, is_arrival = False, False
        if client_s < t or (client_s == t and client_place[client_winner[1]] < place):
            t, place, is_client = client_s, client_place[client_winner[1]], True
        upcoming = numbers[0].next_arrival - numbers[0].first_arrival
        if upcoming >= arrival_s.size and numbers[0].more_to_come:
            return NEEDS_ARRIVALS
        if upcoming < arrival_s.size:
            arrives_s = arrival_s[upcoming]
            arrival_place = (ARRIVAL << KIND_SHIFT) | numbers[0].next_arrival
            if arrives_s < t or (arrives_s == t and arrival_place < place):
                t, place, is_client, is_arrival = arrives_s, arrival_place, False, True
        if t == np.inf and numbers[0].next_change == changes.size:
            return ENDED
        if numbers[0].next_change < changes.size:
            change = changes[numbers[0].next_change]
            if change.at_s < t or (change.at_s == t and place >= (CHANGE << KIND_SHIFT)):
                numbers[0].next_change += 1
                for i in range(stations):
                    if change.instance == NOBODY or change.instance == i:
                        _change(change.at_s, jobs, instances, numbers, free_jobs, heap_s, heap_job, job_tree, change, i)
                continue

        client, outcome, answered_s = NOBODY, SERVED, t
        if is_arrival or is_client:
            sends = True
            client = client_winner[1] if is_client else NOBODY
            if is_client and clients[client].awaits < RETRY:  # it waits no longer
                job = clients[client].job
                if job != NOBODY:
                    jobs[job].client = NOBODY
                outcome, answered_s, sends = clients[client].awaits, clients[client].answered_s, False
            elif numbers[0].rows >= rules[0].most_rows or t > rules[0].horizon_s:  # nobody sends any more
                if is_arrival:
                    numbers[0].next_arrival = numbers[0].first_arrival + arrival_s.size
                    numbers[0].more_to_come = 0
                else:
                    _go(rules, numbers, clients, free_clients, client_tree, client)
                continue
            if sends:
                if numbers[0].free_jobs == 0:
                    return NEEDS_JOBS
                if is_arrival:
                    owner = numbers[0].next_arrival
                    if rules[0].has_clients:
                        if numbers[0].free_clients == 0:
                            return NEEDS_CLIENTS
                        numbers[0].free_clients -= 1
                        client = free_clients[numbers[0].free_clients]
                        clients[client].owner, clients[client].attempt, clients[client].instance = owner, 0, NOBODY
                        clients[client].user = 0 if rules[0].is_open else owner
                        clients[client].cycle = owner if rules[0].is_open else 0
                    numbers[0].next_arrival += 1
                    who = (0, owner, 0) if rules[0].is_open else (owner, 0, 0)
                else:
                    owner = clients[client].owner
                    who = (clients[client].user, clients[client].cycle, clients[client].attempt)
                    _plan_client(clients, client_tree, client, ARRIVAL, np.inf)
                client, outcome, answered_s = _send(
                    t, rules, numbers, work, jobs, instances, clients, free_jobs, heap_s, heap_job, job_tree,
                    client_tree, rows, client, owner, who,
                )  # fmt: skip
        elif job_winner[1] < stations:
            job = _finish_on_cores(t, jobs, instances, heap_s, heap_job, job_tree, job_winner[1])
            _after_cpu(t, jobs, instances, numbers, rules, job_tree, job)
        else:
            job = job_winner[1] - stations
            stage = jobs[job].stage
            if stage == QUERYING:
                _release_database(t, jobs, instances, numbers, rules, job_tree, job)
            elif stage in (SERVING, IN_LINE):
                i = jobs[job].instance
                _plan_job(jobs, instances, job_tree, job, COMPLETION, np.inf)
                instances[i].in_flight -= 1
                if stage == SERVING:
                    instances[i].busy -= 1
                    if job_time[1] > t and not _changes_now(t, numbers, changes):  # nothing comes before the grant
                        granted = _next_in_line(jobs, instances, numbers, free_jobs, i)
                        if granted != NOBODY:
                            if rules[0].patience_s < np.inf:
                                _plan_job(jobs, instances, job_tree, granted, GRANT, np.inf)
                            _start(t, jobs, instances, numbers, rules, heap_s, heap_job, job_tree, granted)
                    else:
                        _grant_workers(t, jobs, instances, numbers, free_jobs, job_tree, i)
                    client, outcome, answered_s = _leave(t, rules, numbers, jobs, clients, rows, job, SERVED)
                    free_jobs[numbers[0].free_jobs] = job
                    numbers[0].free_jobs += 1
                else:
                    instances[i].line_length -= 1
                    jobs[job].is_gone = 1
                    client, outcome, answered_s = _leave(t, rules, numbers, jobs, clients, rows, job, TIMED_OUT)
            else:
                _plan_job(jobs, instances, job_tree, job, GRANT, np.inf)
                if stage == GRANTED_WORKER:
                    _start(t, jobs, instances, numbers, rules, heap_s, heap_job, job_tree, job)
                elif stage == GRANTED_POOL:
                    _ask_database(t, jobs, instances, numbers, rules, job_tree, job)
                else:
                    _query(t, jobs, instances, job_tree, job)
        if client != NOBODY:
            _conclude(
                rules, numbers, clients, free_clients, client_tree, think, think_given, stop_s, cycles, waits_s,
                is_retried, client, outcome, answered_s,
            )  # fmt: skip
    return BUFFER_FULL
