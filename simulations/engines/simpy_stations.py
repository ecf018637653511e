"""What requests queue for, in SimPy: an ordered clock, pools of places in line order, and shared cores.

Simultaneous events follow a total order that belongs to the model, not to SimPy:
by kind (the list below), then by instance, then by user (or position of the
arrival), then by order of arrival.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NewType, cast

import simpy

Kind = NewType("Kind", int)
COMPLETION, DB_RELEASE, CHANGE, GRANT, TIMEOUT, GIVE_UP, CONTROL, RETRY, ARRIVAL = map(Kind, range(9))
"""The order of simultaneous events. TIMEOUT is the server's, GIVE_UP the client's; CONTROL is kept free for
autoscalers and probes."""

_INSTANCE_BITS, _OWNER_BITS, _ROW_BITS = 16, 40, 40

Process = Generator[simpy.Event, Any, None]


@dataclass(eq=False)
class Request:
    """One attempt on its way; the engines' log has one row for each.

    Parameters
    ----------
    owner : int
        Its place among simultaneous events: the user, or the position of an open arrival.
    user, cycle, attempt : int
        Its identity, to which its random numbers belong.
    row : int
        How many attempts arrived before it.
    request_class, service_s, cpu_s, database_s
        What it is and needs.
    """

    owner: int
    user: int
    cycle: int
    attempt: int
    row: int
    request_class: int
    service_s: float
    cpu_s: float
    database_s: float
    arrival_s: float
    answer: simpy.Event
    give_up_s: float = math.inf
    instance: int = 0
    start_s: float = math.nan
    departure_s: float = math.nan
    outcome: int = -1
    answered_s: float = field(default=math.nan)


class OrderedEnvironment(simpy.Environment):
    """A SimPy environment with absolute times and a total order of simultaneous events."""

    def at(self, time_s: float, kind: Kind, request: Request, event: simpy.Event | None = None) -> simpy.Event:
        """Let `event` (a new one by default) happen at exactly `time_s`, in the place of this request.

        SimPy's own scheduling takes a delay, and now + delay would round.
        """
        return self.at_place(time_s, kind, request.owner, request.instance, request.row, event=event)

    def at_place(
        self, time_s: float, kind: Kind, owner: int, instance: int = 0, row: int = 0, *,
        event: simpy.Event | None = None,
    ) -> simpy.Event:  # fmt: skip
        """As `at`, with the place in the order of simultaneous events spelled out."""
        event = event or simpy.Event(self)
        event._ok, event._value = True, None
        # Kinds count from 1 here, so that SimPy's own bookkeeping (priorities 0 and 1) always comes first.
        place = (((((kind + 1) << _INSTANCE_BITS) | instance) << _OWNER_BITS) | owner) << _ROW_BITS | row
        heappush(self._queue, (time_s, cast(Any, place), next(self._eid), event))
        return event


class Pool:
    """Places that requests hold one at a time and get in the order of a line.

    Parameters
    ----------
    env : OrderedEnvironment
    size : float
        Places; infinity for no limit.
    longest_line : float
        Requests that may wait.
    """

    def __init__(self, env: OrderedEnvironment, size: float, longest_line: float = math.inf) -> None:
        self.env = env
        self.size = size
        self.longest_line = longest_line
        self.in_use = 0
        self.line: deque[tuple[simpy.Event, Request]] = deque()

    @property
    def is_full(self) -> bool:
        """True when a newcomer can neither have a place nor wait."""
        return self.in_use >= self.size and len(self.line) >= self.longest_line

    def hold(self, request: Request, patience_s: float = math.inf) -> Generator[simpy.Event, Any, bool]:
        """Wait for a place; False when `patience_s` has passed first."""
        if self.in_use < self.size:
            self.in_use += 1
            return True
        turn = simpy.Event(self.env)
        self.line.append((turn, request))
        if patience_s < math.inf:
            expiry = self.env.at(self.env.now + patience_s, TIMEOUT, request)
            cast(Any, expiry.callbacks).append(lambda _: self._expire(turn, request))
        return (yield turn) is not False

    def release(self) -> None:
        """Give a place back; it goes to the head of the line."""
        self.in_use -= 1
        self._grant()

    def resize(self, size: float) -> None:
        """Change the number of places; those that are held too many are not given on."""
        self.size = size
        self._grant()

    def _grant(self) -> None:
        while self.line and self.in_use < self.size:
            turn, request = self.line.popleft()
            self.in_use += 1
            self.env.at(self.env.now, GRANT, request, turn)

    def _expire(self, turn: simpy.Event, request: Request) -> None:
        if (turn, request) in self.line:
            self.line.remove((turn, request))
            turn.succeed(False)


class SharedCores:
    """Processor sharing: n requests on k cores each run at the rate min(1, k / n).

    A virtual clock advances at that rate, so a request that needs x CPU seconds is done
    when the clock has advanced by x [1]_. The clock restarts whenever the cores fall idle.

    References
    ----------
    .. [1] A. K. Parekh, R. G. Gallager, "A generalized processor sharing approach to flow control",
       IEEE/ACM Transactions on Networking 1(3), 1993 (virtual time).
    """

    def __init__(self, env: OrderedEnvironment, cores: float) -> None:
        self.env = env
        self.cores = cores
        self.clock_s = 0.0
        self.read_at_s = 0.0
        self.jobs: list[tuple[float, int, int, Request, simpy.Event]] = []
        self._plans = 0

    @property
    def rate(self) -> float:
        """Seconds of the virtual clock per second."""
        return self.cores / len(self.jobs) if len(self.jobs) > self.cores else 1.0

    def run(self, request: Request) -> Process:
        """Take `request.cpu_s` seconds of CPU."""
        self._read_clock()
        done = simpy.Event(self.env)
        heappush(self.jobs, (self.clock_s + request.cpu_s, request.owner, request.row, request, done))
        self._plan()
        yield done

    def resize(self, cores: float) -> None:
        """Change the number of cores."""
        self._read_clock()
        self.cores = cores
        self._plan()

    def _read_clock(self) -> None:
        if self.jobs:
            self.clock_s = self.clock_s + (self.env.now - self.read_at_s) * self.rate
        self.read_at_s = self.env.now

    def _plan(self) -> None:
        """Plan the next completion; an older plan becomes void."""
        self._plans += 1
        if not self.jobs:
            self.clock_s = 0.0
            return
        plan, (finish_s, _, _, request, _) = self._plans, self.jobs[0]
        time_s = self.env.now + max(finish_s - self.clock_s, 0.0) / self.rate
        completion = self.env.at(time_s, COMPLETION, request)
        cast(Any, completion.callbacks).append(lambda _: self._finish(plan))

    def _finish(self, plan: int) -> None:
        if plan != self._plans:
            return
        finish_s, _, _, _, done = heappop(self.jobs)
        self.clock_s, self.read_at_s = finish_s, self.env.now
        self._plan()
        done.succeed()
