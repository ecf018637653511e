"""What load to send: levels of users, their think time and their requests."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.distributions import (
    Distribution,
    distribution_from_dict,
    distribution_to_dict,
    parse_distribution,
)
from loadtests.foundation.errors import InputError

Request = tuple[str, str, float]
"""Method, path and weight."""

DEFAULT_REQUESTS: tuple[Request, ...] = (("GET", "/api/users", 1.0),)
_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SLOWEST_RATE, _FASTEST_COMFORTABLE_RATE = 10, 100
_MOST_OF_STEP_FOR_RAMP = 1 / 3
_LEAST_SETTLE_S, _SETTLE_THINK_TIMES, _MOST_OF_STEP_FOR_SETTLE = 1.0, 5, 1 / 4


@dataclass(frozen=True)
class LoadPlan:
    """A closed-loop test: levels of simulated users, one after the other.

    Parameters
    ----------
    users : tuple of int
        Users of each step.
    step_time_s : float
        Length of a step, its ramp included.
    think : Distribution
        Time between a user's response (also a 503) and its next request.
    requests : tuple of (method, path, weight)
    settle_s : float, optional
        Time cut from a step after its users are there. Absent: five mean think
        times, at least 1 s, at most a quarter of the step.
    spawn_rate : float, optional
        Users started a second. Absent: each ramp takes about a second (100 a
        second at most, unless that took more than a third of the step).
    seed : int
        Seed of think times and of the choice among requests.
    request_timeout_s : float
        A user gives up on a response after this time.

    Raises
    ------
    InputError
        For an empty plan or a number out of range.
    """

    users: tuple[int, ...]
    step_time_s: float
    think: Distribution
    requests: tuple[Request, ...] = DEFAULT_REQUESTS
    settle_s: float | None = None
    spawn_rate: float | None = None
    seed: int = 1
    request_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.users or not self.requests:
            raise InputError("A load plan needs at least one step of users and one request.")
        object.__setattr__(self, "users", tuple(whole("users", level, least=1) for level in self.users))
        object.__setattr__(self, "seed", whole("seed", self.seed))
        object.__setattr__(self, "requests", tuple(_checked(request) for request in self.requests))
        positive("step_time_s", self.step_time_s)
        positive("request_timeout_s", self.request_timeout_s)
        if self.spawn_rate is not None:
            positive("spawn_rate", self.spawn_rate)
        if self.settle_s is not None and non_negative("settle_s", self.settle_s) >= self.step_time_s:
            raise InputError(
                f"settle_s is {self.settle_s!r}, which leaves nothing of a step of {self.step_time_s!r} s; "
                "make the steps longer or cut less."
            )

    @property
    def duration_s(self) -> float:
        """Length of all steps, seconds (the last one's users go on for another `settling_s`)."""
        return len(self.users) * self.step_time_s

    @property
    def settling_s(self) -> float:
        """The time that is cut after a ramp, and that the last step's users go on after it, seconds."""
        if self.settle_s is not None:
            return self.settle_s
        wanted = max(_LEAST_SETTLE_S, _SETTLE_THINK_TIMES * self.think.mean_s)
        return min(wanted, _MOST_OF_STEP_FOR_SETTLE * self.step_time_s)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "users": list(self.users), "step_time_s": self.step_time_s, "think": distribution_to_dict(self.think),
            "requests": [list(request) for request in self.requests], "settle_s": self.settling_s,
            "spawn_rate": self.spawn_rate, "seed": self.seed, "request_timeout_s": self.request_timeout_s,
        }  # fmt: skip


def parse_request(text: str) -> Request:
    """Read ``GET /path weight``; the weight may be left out (1)."""
    match text.split():
        case [method, path]:
            return _checked((method, path, 1.0))
        case [method, path, weight]:
            return _checked((method, path, positive("weight of a request", _number(weight))))
    raise InputError(f"The request {text!r} cannot be read; write 'METHOD /path weight', e.g. 'GET /api/users 3'.")


def format_request(request: Request) -> str:
    """What `parse_request` reads."""
    method, path, weight = request
    return f"{method} {path} {weight!r}"


def parse_think(text: str) -> Distribution:
    """Read a distribution's text, or the JSON form that also holds measured quantiles."""
    return distribution_from_dict(json.loads(text)) if text.startswith("{") else parse_distribution(text)


def format_think(think: Distribution) -> str:
    """What `parse_think` reads, exact."""
    return json.dumps(distribution_to_dict(think))


def automatic_spawn_rate(change: int, step_time_s: float) -> float:
    """Users a second for a ramp of `change` users: two bursts where that is comfortable for the generator."""
    comfortable = min(max(math.ceil(abs(change) / 2), _SLOWEST_RATE), _FASTEST_COMFORTABLE_RATE)
    return max(float(comfortable), abs(change) / (step_time_s * _MOST_OF_STEP_FOR_RAMP))


def _checked(request: Request) -> Request:
    method, path, weight = request
    if method.upper() not in _METHODS or not path.startswith("/") or any(mark.isspace() for mark in path):
        raise InputError(
            f"The request {method!r} {path!r} is not allowed; the method is one of {', '.join(_METHODS)}, "
            "the path starts with / and has no spaces."
        )
    return method.upper(), path, positive("weight of a request", weight)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"The weight of a request is {text!r}; it must be a number above 0.") from None
