"""The fastest reasonable SimPy for each feature that needs events: timeouts with callbacks, counters and deques."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np
from simpy import Environment, Timeout

from benchmarks.systems import Result, System

NAN = float("nan")
Run = Callable[[], Result]


def database_run(system: System) -> Run:
    """Workers that first hold one of a pool of connections, FIFO, and then serve."""
    assert system.database is not None
    env = Environment()
    gaps, services, queries = _lists(system.gap_s, system.service_s, system.database.time_s)
    workers, room, connections = system.workers, system.cap - system.workers, system.database.servers
    line: deque[int] = deque()
    pool_line: deque[int] = deque()
    departure_s = [NAN] * system.requests
    busy = used = number = shed = 0

    def arrive(_: Any) -> None:
        nonlocal busy, number, shed
        if busy < workers:
            busy += 1
            begin(number)
        elif len(line) < room:
            line.append(number)
        else:
            shed += 1
        number += 1
        if number < len(gaps):
            Timeout(env, gaps[number]).callbacks.append(arrive)

    def begin(job: int) -> None:
        nonlocal used
        if used < connections:
            used += 1
            Timeout(env, queries[job], job).callbacks.append(release)
        else:
            pool_line.append(job)

    def release(event: Timeout) -> None:
        nonlocal used
        job = event._value
        if pool_line:
            following = pool_line.popleft()
            Timeout(env, queries[following], following).callbacks.append(release)
        else:
            used -= 1
        Timeout(env, services[job], job).callbacks.append(depart)

    def depart(event: Timeout) -> None:
        nonlocal busy
        departure_s[event._value] = env._now
        if line:
            begin(line.popleft())
        else:
            busy -= 1

    Timeout(env, gaps[0]).callbacks.append(arrive)
    return _to_run(env, lambda: Result(np.array(departure_s), shed))


def cpu_run(system: System) -> Run:
    """Workers that share cores: one pending completion at a virtual time that runs at the common rate."""
    assert system.cpu is not None
    env = Environment()
    gaps, services, works = _lists(system.gap_s, system.service_s, system.cpu.time_s)
    workers, room, cores = system.workers, system.cap - system.workers, system.cpu.servers
    line: deque[int] = deque()
    running: list[tuple[float, int]] = []
    departure_s = [NAN] * system.requests
    busy = number = shed = 0
    virtual_s = changed_s = 0.0
    rate = 1.0
    pending: Any = None

    def arrive(_: Any) -> None:
        nonlocal busy, number, shed
        if busy < workers:
            busy += 1
            begin(number)
        elif len(line) < room:
            line.append(number)
        else:
            shed += 1
        number += 1
        if number < len(gaps):
            Timeout(env, gaps[number]).callbacks.append(arrive)

    def begin(job: int) -> None:
        nonlocal virtual_s, changed_s
        virtual_s += (env._now - changed_s) * rate
        changed_s = env._now
        heappush(running, (virtual_s + works[job], job))
        plan(running[0][1] == job)

    def plan(first_is_new: bool) -> None:
        """Schedule the next completion, unless the pending one still stands."""
        nonlocal rate, pending
        jobs = len(running)
        now_rate = 1.0 if jobs <= cores else cores / jobs
        if first_is_new or now_rate != rate:
            rate = now_rate
            pending = Timeout(env, max(running[0][0] - virtual_s, 0.0) / rate)
            pending.callbacks.append(finish)

    def finish(event: Timeout) -> None:
        nonlocal virtual_s, changed_s, pending
        if event is not pending:
            return
        virtual_s, job = heappop(running)
        changed_s = env._now
        pending = None
        if running:
            plan(True)
        Timeout(env, services[job], job).callbacks.append(depart)

    def depart(event: Timeout) -> None:
        nonlocal busy
        departure_s[event._value] = env._now
        if line:
            begin(line.popleft())
        else:
            busy -= 1

    Timeout(env, gaps[0]).callbacks.append(arrive)
    return _to_run(env, lambda: Result(np.array(departure_s), shed))


def balanced_run(system: System) -> Run:
    """Every request goes to the instance with the fewest inside, the next in turn of several."""
    env = Environment()
    gaps, services = _lists(system.gap_s, system.service_s)
    workers, cap = system.workers, system.cap
    inside = [0] * system.instances
    lines: list[deque[int]] = [deque() for _ in inside]
    place = [0] * system.requests
    departure_s = [NAN] * system.requests
    number = shed = turn = 0

    def arrive(_: Any) -> None:
        nonlocal number, shed, turn
        fewest = min(inside)
        chosen = inside.index(fewest, turn) if fewest in inside[turn:] else inside.index(fewest)
        turn = (chosen + 1) % len(inside)
        if fewest >= cap:
            shed += 1
        else:
            place[number] = chosen
            inside[chosen] += 1
            if fewest < workers:
                Timeout(env, services[number], number).callbacks.append(depart)
            else:
                lines[chosen].append(number)
        number += 1
        if number < len(gaps):
            Timeout(env, gaps[number]).callbacks.append(arrive)

    def depart(event: Timeout) -> None:
        job = event._value
        departure_s[job] = env._now
        instance = place[job]
        inside[instance] -= 1
        if lines[instance]:
            following = lines[instance].popleft()
            Timeout(env, services[following], following).callbacks.append(depart)

    Timeout(env, gaps[0]).callbacks.append(arrive)
    return _to_run(env, lambda: Result(np.array(departure_s), shed))


def retries_run(system: System) -> Run:
    """Clients that give up after a timeout and try again after shed and timed-out attempts."""
    assert system.clients is not None
    env = Environment()
    gaps = system.gap_s.tolist()
    clients, services = system.clients, [row.tolist() for row in system.service_s]
    backoffs = [clients.backoff_s * clients.factor**attempt for attempt in range(clients.attempts - 1)]
    workers, room, timeout_s = system.workers, system.cap - system.workers, clients.timeout_s
    line: deque[tuple[int, int]] = deque()
    departure_s = [[NAN] * system.requests for _ in services]
    busy = number = shed = timed_out = 0

    def arrive(_: Any) -> None:
        nonlocal number
        attempt(0, number)
        number += 1
        if number < len(gaps):
            Timeout(env, gaps[number]).callbacks.append(arrive)

    def attempt(tries: int, job: int) -> None:
        nonlocal busy, shed
        if busy < workers:
            busy += 1
            Timeout(env, services[tries][job], (tries, job)).callbacks.append(depart)
        elif len(line) < room:
            line.append((tries, job))
        else:
            shed += 1
            try_again(tries, job)
            return
        Timeout(env, timeout_s, (tries, job)).callbacks.append(give_up)

    def give_up(event: Timeout) -> None:
        nonlocal timed_out
        tries, job = event._value
        if departure_s[tries][job] != departure_s[tries][job]:
            timed_out += 1
            try_again(tries, job)

    def try_again(tries: int, job: int) -> None:
        if tries < len(backoffs):
            Timeout(env, backoffs[tries], (tries + 1, job)).callbacks.append(return_)

    def return_(event: Timeout) -> None:
        attempt(*event._value)

    def depart(event: Timeout) -> None:
        nonlocal busy
        tries, job = event._value
        departure_s[tries][job] = env._now
        if line:
            following = line.popleft()
            Timeout(env, services[following[0]][following[1]], following).callbacks.append(depart)
        else:
            busy -= 1

    Timeout(env, gaps[0]).callbacks.append(arrive)
    return _to_run(env, lambda: Result(np.array(departure_s), shed, timed_out))


def _lists(*columns: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[float]]:
    return [column.tolist() for column in columns]


def _to_run(env: Environment, result: Callable[[], Result]) -> Run:
    def run() -> Result:
        env.run()
        return result()

    return run
