"""The semantics of `systems.System` in plain Python, all features at once, for checking the peers: slow and short."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.systems import Result, Stage, System


class Agenda:
    """What happens when."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._entries: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay_s: float, action: Callable[..., None], *given: Any) -> None:
        self._count += 1
        heapq.heappush(self._entries, (self.now_s + delay_s, self._count, action, given))

    def run(self) -> None:
        while self._entries:
            self.now_s, _, action, given = heapq.heappop(self._entries)
            action(*given)


class Pool:
    """FIFO servers: `take` calls back when one is granted."""

    def __init__(self, servers: int) -> None:
        self.free = servers
        self.line: deque[Callable[[], None]] = deque()

    def take(self, then: Callable[[], None]) -> None:
        if self.free:
            self.free -= 1
            then()
        else:
            self.line.append(then)

    def give_back(self) -> None:
        if self.line:
            self.line.popleft()()
        else:
            self.free += 1


class SharedCores:
    """Processor sharing by the remaining work of every job, brought up to date at every change."""

    def __init__(self, agenda: Agenda, cores: int) -> None:
        self.agenda, self.cores = agenda, cores
        self.left: dict[int, float] = {}
        self.then: dict[int, Callable[[], None]] = {}
        self.seen_s, self.version = 0.0, 0

    def add(self, job: int, work_s: float, then: Callable[[], None]) -> None:
        self._work()
        self.left[job], self.then[job] = work_s, then
        self._plan()

    def _rate(self) -> float:
        return min(1.0, self.cores / len(self.left)) if self.left else 1.0

    def _work(self) -> None:
        done = (self.agenda.now_s - self.seen_s) * self._rate()
        self.left = {job: work - done for job, work in self.left.items()}
        self.seen_s = self.agenda.now_s

    def _plan(self) -> None:
        self.version += 1
        if self.left:
            job = min(self.left, key=lambda each: self.left[each])
            self.agenda.after(max(self.left[job], 0.0) / self._rate(), self._finish, job, self.version)

    def _finish(self, job: int, version: int) -> None:
        if version != self.version:
            return
        self._work()
        del self.left[job]
        self._plan()
        self.then.pop(job)()


class Replay:
    """One run of a system."""

    def __init__(self, system: System) -> None:
        self.system, self.agenda = system, Agenda()
        self.services = np.atleast_2d(system.service_s)
        self.departure_s = np.full(self.services.shape, np.nan)
        self.inside = [0] * system.instances
        self.workers = [Pool(system.workers) for _ in self.inside]
        self.cores = SharedCores(self.agenda, system.cpu.servers if system.cpu else 1)
        self.connections = Pool(system.database.servers if system.database else 1)
        self.shed = self.timed_out = self.turn = 0

    def run(self) -> Result:
        for number, arrival_s in enumerate(self.system.arrival_s.tolist()):
            self.agenda.after(arrival_s, self.arrive, number, 0)
        self.agenda.run()
        departure_s = self.departure_s.reshape(np.shape(self.system.service_s))
        return Result(departure_s, self.shed, self.timed_out)

    def arrive(self, number: int, attempt: int) -> None:
        in_turn = [(self.turn + step) % len(self.inside) for step in range(len(self.inside))]
        place = min(in_turn, key=lambda each: self.inside[each])
        self.turn = (place + 1) % len(self.inside)
        if self.inside[place] >= self.system.cap:
            self.shed += 1
            self.try_again(number, attempt)
            return
        self.inside[place] += 1
        self.workers[place].take(lambda: self.compute(number, attempt, place))
        if self.system.clients:
            self.agenda.after(self.system.clients.timeout_s, self.give_up, number, attempt)

    def compute(self, number: int, attempt: int, place: int) -> None:
        def then() -> None:
            self.query(number, attempt, place)

        if self.system.cpu:
            self.cores.add(number, self.system.cpu.time_s[number].item(), then)
        else:
            then()

    def query(self, number: int, attempt: int, place: int) -> None:
        database = self.system.database
        if database is None:
            self.serve(number, attempt, place)
        else:
            self.connections.take(lambda: self.hold(database, number, attempt, place))

    def hold(self, database: Stage, number: int, attempt: int, place: int) -> None:
        def release() -> None:
            self.connections.give_back()
            self.serve(number, attempt, place)

        self.agenda.after(database.time_s[number].item(), release)

    def serve(self, number: int, attempt: int, place: int) -> None:
        self.agenda.after(self.services[attempt, number].item(), self.leave, number, attempt, place)

    def leave(self, number: int, attempt: int, place: int) -> None:
        self.departure_s[attempt, number] = self.agenda.now_s
        self.inside[place] -= 1
        self.workers[place].give_back()

    def give_up(self, number: int, attempt: int) -> None:
        if np.isnan(self.departure_s[attempt, number]):
            self.timed_out += 1
            self.try_again(number, attempt)

    def try_again(self, number: int, attempt: int) -> None:
        clients = self.system.clients
        if clients and attempt + 1 < clients.attempts:
            self.agenda.after(clients.backoff_s * clients.factor**attempt, self.arrive, number, attempt + 1)


def replay(system: System) -> Result:
    """Run it."""
    return Replay(system).run()
