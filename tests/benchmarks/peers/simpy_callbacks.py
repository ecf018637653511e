"""The fastest reasonable SimPy: no processes, no `Resource`; timeouts with callbacks, a counter and a deque."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from simpy import Environment, Timeout

from benchmarks.systems import Result, System

NAN = float("nan")


def open_run(system: System) -> Callable[[], Result]:
    """Prepare a run of the base case: two events a request."""
    env = Environment()
    gaps, services = iter(system.gap_s.tolist()), system.service_s.tolist()
    workers, room = system.workers, system.cap - system.workers
    line: deque[int] = deque()
    departure_s = [NAN] * system.requests
    busy = number = shed = 0

    def arrive(_: Any) -> None:
        nonlocal busy, number, shed
        if busy < workers:
            busy += 1
            Timeout(env, services[number], number).callbacks.append(depart)
        elif len(line) < room:
            line.append(number)
        else:
            shed += 1
        number += 1
        for gap_s in gaps:
            Timeout(env, gap_s).callbacks.append(arrive)
            return

    def depart(event: Timeout) -> None:
        nonlocal busy
        departure_s[event._value] = env._now
        if line:
            following = line.popleft()
            Timeout(env, services[following], following).callbacks.append(depart)
        else:
            busy -= 1

    Timeout(env, next(gaps)).callbacks.append(arrive)

    def run() -> Result:
        env.run()
        return Result(np.array(departure_s), shed)

    return run
