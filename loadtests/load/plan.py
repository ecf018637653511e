"""What load to send: how many users and when, how they are paced, what they send, and when the test ends early."""

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
from loadtests.foundation.server_access import Access
from loadtests.load.abort import AbortCondition, parse_abort
from loadtests.load.load_shapes import LoadShape, steps
from loadtests.load.pacing import THINK, Pacing
from loadtests.load.planned_requests import (
    DEFAULT_REQUESTS,
    GUIDE_THINK,
    Request,
    checked_request,
    format_request,
    parse_request,
)

__all__ = [
    "DEFAULT_REQUESTS", "LoadPlan", "Request", "automatic_spawn_rate", "format_request", "format_think",
    "parse_request", "parse_think",
]  # fmt: skip

_SLOWEST_RATE, _FASTEST_COMFORTABLE_RATE = 10, 100
_MOST_OF_STEP_FOR_RAMP = 1 / 3
_LEAST_SETTLE_S, _SETTLE_THINK_TIMES, _MOST_OF_STEP_FOR_SETTLE = 1.0, 5, 1 / 4
NO_ACCESS = Access()
_GUIDE_THINK = parse_distribution(GUIDE_THINK)


@dataclass(frozen=True)
class LoadPlan:
    """A load test: levels of simulated users one after the other, or any other shape.

    Parameters
    ----------
    users : tuple of int
        Users of each step; empty with `shape`.
    step_time_s : float
        Length of a step, its ramp included.
    think : Distribution
        Time between a user's response (also a 503) and its next request, where `pacing` is by think times or in
        sessions.
    requests : tuple of (method, path, weight, body)
        The last one or two of each may be left out.
    settle_s : float, optional
        Time cut from a step after its users are there. Absent: five mean think
        times (with sessions five mean sessions' think times), at least 1 s, at most a quarter of the (shortest) step.
    spawn_rate : float, optional
        Users started a second at the begin of a level. Absent: each takes about a second (100 a
        second at most, unless that took more than a third of the step).
    seed : int
        Seed of think times, schedules and of the choice among requests.
    request_timeout_s : float
        A user gives up on a response after this time.
    shape : LoadShape, optional
        Instead of `users`.
    pacing : Pacing
        By think times (a closed loop), on a schedule, or in sessions.
    access : Access
        Headers and TLS.
    abort_if : tuple of AbortCondition
        Any of them ends the test early.

    Raises
    ------
    InputError
        For an empty plan or a number out of range.
    """

    users: tuple[int, ...] = ()
    step_time_s: float = 30.0
    think: Distribution = _GUIDE_THINK
    requests: tuple[Request, ...] = DEFAULT_REQUESTS
    settle_s: float | None = None
    spawn_rate: float | None = None
    seed: int = 1
    request_timeout_s: float = 30.0
    shape: LoadShape | None = None
    pacing: Pacing = THINK
    access: Access = NO_ACCESS
    abort_if: tuple[AbortCondition, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.users) == (self.shape is not None) or not self.requests:
            raise InputError("A load plan needs at least one step of users, or a shape instead, and one request.")
        object.__setattr__(self, "users", tuple(whole("users", level, least=1) for level in self.users))
        object.__setattr__(self, "seed", whole("seed", self.seed))
        object.__setattr__(self, "requests", tuple(checked_request(request) for request in self.requests))
        positive("step_time_s", self.step_time_s)
        positive("request_timeout_s", self.request_timeout_s)
        if self.spawn_rate is not None:
            positive("spawn_rate", self.spawn_rate)
        self._check_settling()
        if self.load_shape.is_endless and not self.abort_if:
            raise InputError(
                f"The shape {self.load_shape.text} rises until it is stopped, and nothing stops it; give an abort "
                "condition such as 'error-rate>5%' or 'p95>2s', or the most users: breakpoint:FROM:BY:EVERY:MOST."
            )

    def _check_settling(self) -> None:
        shortest_s = self._shortest_plateau_s
        if self.settle_s is not None and non_negative("settle_s", self.settle_s) >= shortest_s:
            raise InputError(
                f"settle_s is {self.settle_s!r}, which leaves nothing of a step of {shortest_s!r} s; "
                "make the steps longer or cut less."
            )

    @property
    def load_shape(self) -> LoadShape:
        """The shape, made of the steps where it was given by them."""
        return self.shape or steps(self.users, self.step_time_s)

    @property
    def has_plateaus(self) -> bool:
        """Whether there is a level that is meant to be measured."""
        return bool(self.load_shape.plateaus)

    @property
    def duration_s(self) -> float:
        """Length of all stretches, seconds (the last one's users go on for another `settling_s`)."""
        return self.load_shape.duration_s

    @property
    def settling_s(self) -> float:
        """The time that is cut after a ramp, and that the last step's users go on after it, seconds."""
        if self.settle_s is not None:
            return self.settle_s
        wanted = max(_LEAST_SETTLE_S, _SETTLE_THINK_TIMES * self._pause_s)
        return min(wanted, _MOST_OF_STEP_FOR_SETTLE * self._shortest_plateau_s)

    @property
    def _pause_s(self) -> float:
        """Between two requests of a user; of sessions, how long one thinks in all."""
        if self.pacing.has_sessions:
            return self.pacing.requests_per_session * self.think.mean_s
        return 1 / self.pacing.rate_rps if self.pacing.is_scheduled else self.think.mean_s

    @property
    def think_text(self) -> str:
        """The nominal think time; empty where requests are due on a schedule."""
        return self.think.text() if self.pacing.has_sessions or not self.pacing.is_scheduled else ""

    def offered_rps(self, users: int) -> float | None:
        """Requests a second that a level of users is to send; None where that depends on the answers.

        Parameters
        ----------
        users : int

        Returns
        -------
        float or None
        """
        return users * self.pacing.rate_rps if self.pacing.is_scheduled else None

    @property
    def _shortest_plateau_s(self) -> float:
        return min((item.seconds for item in self.load_shape.plateaus), default=self.duration_s)

    def to_dict(self) -> dict[str, Any]:
        """JSON form, exact; `users` are those of the plateaus. Headers from the environment are in it by name only."""
        return {
            "users": [item.begin_users for item in self.load_shape.plateaus],
            "step_time_s": self.step_time_s if self.shape is None else None,
            "think": distribution_to_dict(self.think), "requests": [_listed(request) for request in self.requests],
            "settle_s": self.settling_s, "spawn_rate": self.spawn_rate, "seed": self.seed,
            "request_timeout_s": self.request_timeout_s, "shape": self.load_shape.to_dict(),
            "pacing": self.pacing.to_dict(), "access": self.access.to_dict(),
            "abort_if": [condition.text() for condition in self.abort_if],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoadPlan:
        """Read what `to_dict` wrote; steps come back as a shape.

        Parameters
        ----------
        data : dict

        Returns
        -------
        LoadPlan

        Raises
        ------
        InputError
            When a key is missing or of a wrong kind.
        """
        try:
            return cls(
                think=distribution_from_dict(data["think"]),
                requests=tuple(Request(*request) for request in data["requests"]),
                settle_s=data["settle_s"],
                spawn_rate=data["spawn_rate"],
                seed=data["seed"],
                request_timeout_s=data["request_timeout_s"],
                shape=LoadShape.from_dict(data["shape"]),
                pacing=Pacing(**data["pacing"]),
                access=Access.from_dict(data["access"]),
                abort_if=tuple(parse_abort(text) for text in data["abort_if"]),
            )
        except (AttributeError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"The load plan cannot be read ({error!r}); write it with LoadPlan.to_dict.") from None


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


def _listed(request: Request) -> list[str | float]:
    """Without the body where there is none."""
    method, path, weight, body = request
    return [method, path, weight, body] if body else [method, path, weight]
