"""Which kernel of the compiled engine takes a run, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from simulations.engines.inputs import EngineInput, UserTimes

KernelName = Literal["recursion", "events"]


@dataclass(frozen=True)
class KernelChoice:
    """The kernel taken and the reason, for people."""

    kernel: KernelName
    reason: str


def choose_kernel(given: EngineInput) -> KernelChoice:
    """The recursion where a departure is known at admission, else the event-driven kernel.

    The recursion is exact only while nothing that decides a departure can still change once the
    request is inside.
    """
    obstacles = [text for text, is_there in _obstacles(given) if is_there]
    if not obstacles:
        return KernelChoice("recursion", "one instance, first come first served: departures are known at admission")
    return KernelChoice("events", "a departure is not known at admission: " + ", ".join(obstacles))


def _obstacles(given: EngineInput) -> tuple[tuple[str, bool], ...]:
    limits, fleet, users = given.limits, given.fleet, given.times
    return (
        (f"{fleet.instances} instances behind a balancer", fleet.instances > 1),
        ("limits that change during the run", bool(fleet.changes)),
        ("CPU or database time", given.work.has_stages),
        ("a gate that forgets", math.isfinite(limits.gate_reset_s)),
        ("a limit on waiting or on the whole request", math.isfinite(limits.patience_s)),
        ("clients that give up or try again", not given.clients.are_patient),
        ("sessions", isinstance(users, UserTimes) and users.are_sessions),
        ("users who stop", isinstance(users, UserTimes) and not users.are_sessions and _some_stop(users)),
    )


def _some_stop(users: UserTimes) -> bool:
    if users.think_given.size:  # given times end by themselves, after all their cycles
        return bool((users.stop_s < math.inf).any() or (users.cycles != users.think_given.shape[1]).any())
    return not users.never_stop
