"""When a user's next request is due: a think time after its last answer, or on a schedule that waits for no answer.

Sessions are both: they begin on a schedule, and inside them requests follow by think times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from loadtests.foundation.checks import one_of, positive
from loadtests.foundation.errors import InputError

PacingKind = Literal["think", "poisson", "constant", "sessions"]
_KINDS = ("think", "poisson", "constant", "sessions")
_BLOCK = 256
SESSIONS = "sessions"
"""The loop of a recording whose load came in sessions."""


@dataclass(frozen=True)
class Pacing:
    """How requests are paced.

    Parameters
    ----------
    kind : {"think", "poisson", "constant", "sessions"}
        ``think``: a think time after each answer (a closed loop). ``poisson``, ``constant``: requests are due on a
        schedule of each user's own, whatever the answers take. A user sends one request at a time, so it can be late;
        then it sends at once, and goes on until it has caught up with its schedule. ``sessions``: each user of the
        level is a source of visitors, who come by a Poisson process, each with a connection of its own; a visitor
        sends a geometric number of requests, thinks after each answer, and leaves. Visitors wait for nobody's answers
        but their own.
    rate_rps : float
        Requests a second of *each* user; 0 with ``think``. N independent Poisson schedules are together a Poisson
        process of rate N times this, so users who are never late are open arrivals, and sources together make
        sessions that arrive as one Poisson process.
    requests_per_session : float
        Mean number of requests of a visitor, at least 1; only with ``sessions``.

    Raises
    ------
    InputError
        For an unknown kind, or a rate or a number of requests that is missing or out of place.
    """

    kind: PacingKind = "think"
    rate_rps: float = 0.0
    requests_per_session: float = 1.0

    def __post_init__(self) -> None:
        one_of("pacing", self.kind, _KINDS)
        if self.kind != "think":
            positive("rate of a user", self.rate_rps)
        elif self.rate_rps:
            raise InputError("A rate has no effect on users who think; pace them with poisson:RATE or constant:RATE.")
        if positive("requests of a session", self.requests_per_session) < 1:
            raise InputError(f"A session has {self.requests_per_session!r} requests on average; it takes at least 1.")
        if not self.has_sessions and self.requests_per_session != 1:
            raise InputError("Only sessions have a number of requests; write sessions:RATE:REQUESTS.")

    @property
    def is_scheduled(self) -> bool:
        """Whether requests, or the sessions that they belong to, are due on a schedule."""
        return self.kind != "think"

    @property
    def has_sessions(self) -> bool:
        """Whether users are sources of visitors."""
        return self.kind == "sessions"

    @property
    def schedule_rate_per_s(self) -> float:
        """What is due on a user's schedule, a second: its requests, or the beginnings of its sessions."""
        return self.rate_rps / self.requests_per_session

    @property
    def count_variance(self) -> float:
        """Variance of the number of requests in a long time over its mean (an upper bound; 0 for ``constant``).

        Sessions are a compound Poisson process: E[L^2] / E[L] of a geometric length L of mean m is 2 m - 1.
        """
        return 0.0 if self.kind == "constant" else 2 * self.requests_per_session - 1

    @property
    def loop(self) -> str:
        """``closed``; ``scheduled``: as open as users who send one request at a time allow; ``sessions``."""
        if self.has_sessions:
            return SESSIONS
        return "scheduled" if self.is_scheduled else "closed"

    def text(self) -> str:
        """What `parse_pacing` reads."""
        if not self.is_scheduled:
            return self.kind
        length = f":{self.requests_per_session!r}" if self.has_sessions else ""
        return f"{self.kind}:{self.rate_rps!r}{length}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        found: dict[str, Any] = {"kind": self.kind, "rate_rps": self.rate_rps}
        return {**found, "requests_per_session": self.requests_per_session} if self.has_sessions else found


THINK = Pacing()


def parse_pacing(text: str) -> Pacing:
    """Read ``think``, ``poisson:RATE``, ``constant:RATE`` or ``sessions:RATE:REQUESTS``.

    The rate is that of the requests of each user, a second.

    Parameters
    ----------
    text : str

    Returns
    -------
    Pacing

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    kind, _, rest = text.strip().partition(":")
    rate, _, length = rest.partition(":")
    try:
        return Pacing(kind, float(rate or 0), float(length or 1))  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(
            f"The pacing {text!r} cannot be read ({error}); write think, or poisson:RATE or constant:RATE with the "
            "requests a second of each user, for example poisson:2, or sessions:RATE:REQUESTS with the mean number of "
            "requests of a session too, for example sessions:2:5."
        ) from None


def due_times_s(pacing: Pacing, random: np.random.Generator) -> Iterator[float]:
    """When a user's requests, or the sessions of a source of them, are due, seconds after its start.

    Parameters
    ----------
    pacing : Pacing
        One with a schedule.
    random : numpy.random.Generator
        Gives the gaps of a Poisson schedule, or the phase of a constant one (uniform, so that users who start
        together do not send together).

    Yields
    ------
    float
    """
    gap_s = 1 / pacing.schedule_rate_per_s
    due_s = gap_s * random.random() if pacing.kind == "constant" else 0.0
    while True:
        gaps = np.full(_BLOCK, gap_s) if pacing.kind == "constant" else random.exponential(gap_s, _BLOCK)
        ends = due_s + np.cumsum(gaps)
        yield from (ends - gaps if pacing.kind == "constant" else ends).tolist()
        due_s = float(ends[-1])
