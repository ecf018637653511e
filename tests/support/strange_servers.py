"""Servers outside the model family, and recordings of them: what a calibrated model must not be trusted on."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from loadtests.deployment import Deployment
from loadtests.estimation.steady_state import Window, summarise_steps
from loadtests.foundation.distributions import Distribution
from loadtests.recording import Recording
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.engines.inputs import RunLength
from simulations.engines.request_log import SERVED, SHED_AT_GATE
from simulations.engines.simpy_engine import Server
from simulations.engines.simpy_stations import COMPLETION, GRANT, OrderedEnvironment, Pool, Process, Request
from simulations.model.server_model import Limits, ServerModel
from simulations.model.workload import ClosedWorkload
from support.synthetic_recordings import step_rows


class _LastFirstPool(Pool):
    def _grant(self) -> None:
        while self.line and self.in_use < self.size:
            turn, request = self.line.pop()
            self.in_use += 1
            self.env.at(self.env.now, GRANT, request, turn)


class _RandomOrderPool(Pool):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.random = random.Random(5)

    def _grant(self) -> None:
        if self.line and self.in_use < self.size:
            self.line.rotate(-self.random.randrange(len(self.line)))
        # The line is kept as it is turned: the next pick is at random again.
        super()._grant()


class LastComeFirstServed(Server):
    """A stack instead of a line."""

    def __init__(self, env: OrderedEnvironment, limits: Limits, database: Pool) -> None:
        super().__init__(env, limits, database)
        self.workers = _LastFirstPool(env, limits.workers, limits.queue)


class RandomOrder(Server):
    """Anybody in the line may be next."""

    def __init__(self, env: OrderedEnvironment, limits: Limits, database: Pool) -> None:
        super().__init__(env, limits, database)
        self.workers = _RandomOrderPool(env, limits.workers, limits.queue)


class PinnedWorkers(Server):
    """A worker belongs to a connection, also while its user thinks, until that was idle for `KEEP_ALIVE_S`."""

    KEEP_ALIVE_S = 5.0

    def __init__(self, env: OrderedEnvironment, limits: Limits, database: Pool) -> None:
        super().__init__(env, limits, database)
        self.uses: dict[int, int] = {}

    def handle(self, request: Request) -> Any:
        if request.user not in self.uses:
            yield from self.workers.hold(request)
            self.uses[request.user] = 0
        self.uses[request.user] += 1
        request.start_s = self.env.now
        yield from self.work(request)
        self.in_flight -= 1
        expiry = self.env.at(self.env.now + self.KEEP_ALIVE_S, COMPLETION, request)
        use = self.uses[request.user]
        cast(Any, expiry.callbacks).append(lambda _: self._close_if_idle(request.user, use))
        return SERVED

    def _close_if_idle(self, user: int, use: int) -> None:
        if self.uses.get(user) == use:
            del self.uses[user]
            self.workers.release()


class LimitedClients(Server):
    """Each client may send `MOST` requests in `SPAN_S`; more are turned away, however few are inside."""

    MOST, SPAN_S = 3, 3.0

    def __init__(self, env: OrderedEnvironment, limits: Limits, database: Pool) -> None:
        super().__init__(env, limits, database)
        self.sent: dict[int, deque[float]] = {}

    def handle(self, request: Request) -> Any:
        sent = self.sent.setdefault(request.user, deque())
        while sent and self.env.now - sent[0] > self.SPAN_S:
            sent.popleft()
        if len(sent) >= self.MOST:
            request.start_s = self.env.now
            self.in_flight -= 1
            return SHED_AT_GATE
        sent.append(self.env.now)
        return (yield from super().handle(request))


class SlowsDown(Server):
    """Every time grows by `A_SECOND` of itself each second, as where a table fills."""

    A_SECOND = 0.01

    def work(self, request: Request) -> Process:
        factor = 1.0 + self.A_SECOND * self.env.now
        yield self.env.at(self.env.now + factor * request.service_s, COMPLETION, request)


class SlowsUnderLoad(Server):
    """Times are longer by `EACH` of themselves for every request inside, also those in the line: it thrashes."""

    EACH = 0.02

    def work(self, request: Request) -> Process:
        factor = 1.0 + self.EACH * self.in_flight
        yield self.env.at(self.env.now + factor * request.service_s, COMPLETION, request)


def record_server(
    model: ServerModel,
    users: Sequence[int],
    think: Distribution,
    server: type[Server] | None = None,
    *,
    window_s: float = 30.0,
    stated: Deployment | None = None,
    turned_away: tuple[int, str] = (503, "shed"),
    seed: int = 7,
) -> Recording:
    """Each level is an independent run on `server`; the recording states `stated`, whatever the server really is."""
    frames: list[pd.DataFrame] = []
    windows, offset_s = [], 0.0
    for step, count in enumerate(users, start=1):
        workload = ClosedWorkload(count, think)
        warm_up_s = warm_up_time_s(model, workload)
        length = RunLength(horizon_s=warm_up_s + window_s)
        log = simulate_log(model, workload, length, seed=seed * 1_000 + step, server=server)
        rows = step_rows(log.to_frame(), count, offset_s, first_user=step * 1_000_000)
        rows.loc[rows["outcome"] == "shed", ["status", "outcome"]] = turned_away
        frames.append(rows)
        windows.append(Window(step, count, offset_s + warm_up_s, offset_s + warm_up_s + window_s))
        offset_s += warm_up_s + window_s + 60.0
    requests = pd.concat(frames, ignore_index=True)
    return Recording(stated or model.deployment, summarise_steps(requests, windows, think=think.text()), requests)
