"""The reference engine: the model in executable form, written to be read and extended.

A request's life. The balancer picks an instance. If too many are inside, the gate
rejects it; if all workers are busy and the line is full, so does the queue. Otherwise
it takes a worker or waits for one, at most as long as the server allows. It holds its
worker through its CPU, database and service times. Then the answer leaves, and the
worker goes to the longest waiting. Meanwhile its client may have given up; the server
does not notice. After a bad outcome the client may try again.

To try another server, subclass `Server`, override `work`, and pass the class to `run`
(or as `server=` to `simulate`).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from itertools import count
from typing import Any, cast

import numpy as np
import simpy

from simulations.engines.inputs import WITHOUT_END, EngineInput, UserTimes, arrival_parts
from simulations.engines.random_streams import STAGE_RETRY, STAGE_ROUTE
from simulations.engines.request_log import (
    ABANDONED,
    SERVED,
    SHED_AT_GATE,
    SHED_AT_QUEUE,
    TIMED_OUT,
    RequestLog,
)
from simulations.engines.simpy_stations import (
    ARRIVAL,
    CHANGE,
    COMPLETION,
    DB_RELEASE,
    GIVE_UP,
    RETRY,
    OrderedEnvironment,
    Pool,
    Process,
    Request,
    SharedCores,
)
from simulations.engines.variates import WorkReader
from simulations.model.fleet import LimitChange
from simulations.model.server_model import Limits

Answer = Generator[simpy.Event, Any, float | None]


class Server:
    """One instance: the gate, the line and the workers, the cores and the database connections."""

    def __init__(self, env: OrderedEnvironment, limits: Limits, database: Pool) -> None:
        self.env = env
        self.limits = limits
        self.gate = limits.gate
        self.workers = Pool(env, limits.workers, limits.queue)
        self.cores = SharedCores(env, limits.cpu_cores)
        self.connections = Pool(env, limits.db_pool)
        self.database = database
        self.in_flight = 0
        self._forgotten = 0
        self._forgot_at_s = 0.0

    def admit(self) -> int:
        """Decide at the gate: an outcome code; `SERVED` means come in."""
        if self.env.now - self._forgot_at_s > self.limits.gate_reset_s:
            self._forgotten, self._forgot_at_s = self.in_flight, self.env.now
        if self.in_flight - self._forgotten >= self.gate:
            return SHED_AT_GATE
        if self.workers.is_full:
            return SHED_AT_QUEUE
        self.in_flight += 1
        return SERVED

    def handle(self, request: Request) -> Generator[simpy.Event, Any, int]:
        """Serve an admitted request, from the line to the answer; return the outcome."""
        if not (yield from self.workers.hold(request, self.limits.patience_s)):
            self.in_flight -= 1
            return TIMED_OUT
        request.start_s = self.env.now
        yield from self.work(request)
        self.in_flight -= 1
        self.workers.release()
        return SERVED

    def work(self, request: Request) -> Process:
        """What a request does while it holds a worker. Override this for another kind of server."""
        if request.cpu_s > 0:
            yield from self.cores.run(request)
        if request.database_s > 0:
            yield from self.query(request)
        yield self.env.at(self.env.now + request.service_s, COMPLETION, request)

    def query(self, request: Request) -> Process:
        """Hold a connection of the instance, and with it one of the database's, for the database time."""
        yield from self.connections.hold(request)
        yield from self.database.hold(request)
        yield self.env.at(self.env.now + request.database_s, DB_RELEASE, request)
        self.database.release()
        self.connections.release()

    def change(self, limits: dict[str, float]) -> None:
        """Put new limits in force."""
        self.gate = limits.get("gate", self.gate)
        self.workers.longest_line = limits.get("queue", self.workers.longest_line)
        if "cpu_cores" in limits:
            self.cores.resize(limits["cpu_cores"])
        if "db_pool" in limits:
            self.connections.resize(limits["db_pool"])
        if "workers" in limits:
            self.workers.resize(limits["workers"])


class Balancer:
    """Picks an instance for each attempt."""

    def __init__(self, simulation: Simulation) -> None:
        fleet = simulation.given.fleet
        self.simulation = simulation
        self.instances = fleet.instances
        self.keep_alive_s = simulation.given.clients.keep_alive_s
        self.turn = 0
        self.connections: dict[int, tuple[int, float]] = {}
        self.choose = {
            "round-robin": self._round_robin, "random": self._random, "two-choices": self._two_choices,
            "least-connections": self._least_connections, "per-connection": self._per_connection,
        }[fleet.balancer]  # fmt: skip

    def _round_robin(self, request: Request) -> int:
        del request
        chosen, self.turn = self.turn, (self.turn + 1) % self.instances
        return chosen

    def _random(self, request: Request) -> int:
        return int(self._luck(request)[0] * self.instances)

    def _two_choices(self, request: Request) -> int:
        if self.instances == 1:
            return 0
        first_unit, second_unit = self._luck(request)
        first, second = int(first_unit * self.instances), int(second_unit * (self.instances - 1))
        second += second >= first
        return second if self._inside(second) < self._inside(first) else first

    def _least_connections(self, request: Request) -> int:
        del request
        in_turn = [(self.turn + step) % self.instances for step in range(self.instances)]
        chosen = min(in_turn, key=self._inside)
        self.turn = (chosen + 1) % self.instances
        return chosen

    def _per_connection(self, request: Request) -> int:
        now = self.simulation.env.now
        instance, opened_s = self.connections.get(request.owner, (-1, 0.0))
        if instance < 0 or now - opened_s >= self.keep_alive_s:
            instance, opened_s = self._random(request), now
            self.connections[request.owner] = (instance, opened_s)
        return instance

    def _luck(self, request: Request) -> tuple[float, float]:
        return self.simulation.work.units(request.user, request.cycle, request.attempt, STAGE_ROUTE)

    def _inside(self, instance: int) -> int:
        return self.simulation.servers[instance].in_flight


class Simulation:
    """One run: clients, balancer, servers and the rows of the log."""

    def __init__(self, given: EngineInput, server: type[Server] = Server) -> None:
        fleet = given.fleet
        self.given = given
        self.env = OrderedEnvironment()
        database = Pool(self.env, fleet.database_connections or math.inf)
        self.servers = [server(self.env, given.limits, database) for _ in range(fleet.instances)]
        self.work = WorkReader(given.work)
        self.balancer = Balancer(self)
        self.answer_delay_s: list[float] = given.waits.answer_delay_s.tolist()
        self.rows: list[Request] = []

    def run(self) -> RequestLog:
        """Simulate to the end; requests that arrived before it are followed to their answers."""
        for number, change in enumerate(sorted(self.given.fleet.changes, key=lambda item: item.at_s)):
            self.env.process(self._change(number, change))
        times = self.given.times
        if not isinstance(times, UserTimes):
            self.env.process(self._open_arrivals())
        elif times.are_sessions:
            self.env.process(self._sessions(times))
        else:
            for user in range(times.users):
                self.env.process(self._user(times, user))
        self.env.run()
        return self._log()

    def _open_arrivals(self) -> Process:
        arrivals = (arrival_s for part in arrival_parts(self.given) for arrival_s in part.tolist())
        for position, arrival_s in enumerate(arrivals):
            if self.is_over(arrival_s):
                return
            yield self.env.at_place(arrival_s, ARRIVAL, position)
            if self.is_over(arrival_s):
                return
            self.env.process(self._ask_once(position))

    def _ask_once(self, position: int) -> Process:
        yield from self.ask(position, 0, position)

    def _sessions(self, times: UserTimes) -> Process:
        for session, first_s in enumerate(times.first_s.tolist()):
            if self.is_over(first_s):
                return
            yield self.env.at_place(first_s, ARRIVAL, session)
            self.env.process(self._requests_of(times, session))

    def _user(self, times: UserTimes, user: int) -> Process:
        first_s = float(times.first_s[user])
        if first_s > self.given.length.horizon_s or math.isinf(first_s):
            return
        yield self.env.at_place(first_s, ARRIVAL, user)
        yield from self._requests_of(times, user)

    def _requests_of(self, times: UserTimes, user: int) -> Process:
        """Ask, think, ask again; the first request is due now."""
        for cycle in count():
            answered_s = None if self.is_over(self.env.now) else (yield from self.ask(user, user, cycle))
            if answered_s is None or cycle + 1 == times.cycles[user] != WITHOUT_END:
                return
            send_s = answered_s + self.work.think_s(times, user, cycle + 1)
            if send_s >= times.stop_s[user] or send_s > self.given.length.horizon_s:
                return
            yield self.env.at_place(send_s, ARRIVAL, user)

    def is_over(self, now_s: float) -> bool:
        """True when nobody sends any more."""
        return len(self.rows) >= self.given.length.most_rows or now_s > self.given.length.horizon_s

    def ask(self, owner: int, user: int, cycle: int) -> Answer:
        """One logical request with its attempts; return when the last answer came, None when the run ended first."""
        clients = self.given.clients
        for attempt in count():
            request = self.send(owner, user, cycle, attempt)
            yield request.answer
            if request.outcome == ABANDONED:
                self.balancer.connections.pop(owner, None)
            if attempt >= len(clients.waits_s) or not clients.is_retried[request.outcome]:
                return request.answered_s
            unit, _ = self.work.units(user, cycle, attempt + 1, STAGE_RETRY)
            send_s = request.answered_s + float(clients.waits_s[attempt]) * (1.0 - clients.jitter * unit)
            if send_s > self.given.length.horizon_s:
                return None
            yield self.env.at_place(send_s, RETRY, owner)
            if self.is_over(send_s):
                return None
        raise AssertionError

    def send(self, owner: int, user: int, cycle: int, attempt: int) -> Request:
        """One attempt: to an instance, through its gate, and on its way."""
        now, clients = self.env.now, self.given.clients
        needs = self.work.needs(user, cycle, attempt)
        request = Request(
            owner, user, cycle, attempt, len(self.rows), *needs, now, simpy.Event(self.env), now + clients.timeout_s
        )
        self.rows.append(request)
        request.instance = self.balancer.choose(request)
        server = self.servers[request.instance]
        outcome = server.admit()
        if outcome != SERVED:
            self._turn_away(request, outcome)
        else:
            self.env.process(self._follow(server, request))
            self._watch(request)
        return request

    def _turn_away(self, request: Request, outcome: int) -> None:
        """The answer leaves at once; a client that cannot wait for it gives up."""
        request.start_s = request.departure_s = self.env.now
        self.answer(request, outcome, self.env.now)
        if request.outcome < 0:
            self._plan_end(request, request.give_up_s, ABANDONED, request.give_up_s)

    def _follow(self, server: Server, request: Request) -> Process:
        outcome = yield from server.handle(request)
        request.departure_s = self.env.now
        if math.isnan(request.start_s):
            request.start_s = request.departure_s
        self.answer(request, outcome, request.departure_s)

    def answer(self, request: Request, outcome: int, left_s: float) -> None:
        """The server's answer leaves: it counts if the client is still there when it arrives."""
        arrives_s = left_s + self.answer_delay_s[outcome]
        if request.outcome < 0 and arrives_s <= request.give_up_s:
            self._end(request, outcome, arrives_s)

    def _watch(self, request: Request) -> None:
        """Plan the end of a request that takes too long: for the server, or for its client."""
        cut_s = request.arrival_s + self.given.limits.request_timeout_s
        arrives_s = cut_s + self.given.network_round_trip_s
        if request.outcome >= 0 or math.isinf(min(arrives_s, request.give_up_s)):
            return
        if arrives_s <= request.give_up_s:
            self._plan_end(request, cut_s, TIMED_OUT, arrives_s)
        else:
            self._plan_end(request, request.give_up_s, ABANDONED, request.give_up_s)

    def _plan_end(self, request: Request, at_s: float, outcome: int, answered_s: float) -> None:
        deadline = self.env.at_place(at_s, GIVE_UP, request.owner)
        cast(Any, deadline.callbacks).append(
            lambda _: self._end(request, outcome, answered_s) if request.outcome < 0 else None
        )

    @staticmethod
    def _end(request: Request, outcome: int, answered_s: float) -> None:
        request.outcome, request.answered_s = outcome, answered_s
        request.answer.succeed()

    def _change(self, number: int, change: LimitChange) -> Process:
        yield self.env.at_place(change.at_s, CHANGE, number)
        chosen = range(len(self.servers)) if change.instance is None else (change.instance,)
        for instance in chosen:
            self.servers[instance].change(change.limits)

    def _log(self) -> RequestLog:
        rows = self.rows

        def column(name: str, kind: type = float) -> Any:
            return np.array([getattr(row, name) for row in rows], dtype=kind)

        return RequestLog(
            column("arrival_s"), column("start_s"), column("departure_s"), column("outcome", np.int8),
            column("user", np.int64), column("cycle", np.int64), column("attempt", np.int64),
            column("instance", np.int64), column("request_class", np.int64), self.given.waits,
        )  # fmt: skip


def run(given: EngineInput, server: type[Server] = Server) -> RequestLog:
    """Simulate one run with the reference engine, or with a server of your own."""
    return Simulation(given, server).run()
