"""When a user's next request is due: a think time after its last answer, or on a schedule that waits for no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from loadtests.foundation.checks import one_of, positive
from loadtests.foundation.errors import InputError

PacingKind = Literal["think", "poisson", "constant"]
_KINDS = ("think", "poisson", "constant")
_BLOCK = 256


@dataclass(frozen=True)
class Pacing:
    """How requests are paced.

    Parameters
    ----------
    kind : {"think", "poisson", "constant"}
        ``think``: a think time after each answer (a closed loop). The others: requests are due on a schedule of each
        user's own, whatever the answers take. A user sends one request at a time, so it can be late; then it sends at
        once, and goes on until it has caught up with its schedule.
    rate_rps : float
        Requests a second of *each* user; 0 with ``think``. N independent Poisson schedules are together a Poisson
        process of rate N times this, so users who are never late are open arrivals.

    Raises
    ------
    InputError
        For an unknown kind, or a rate that is missing or out of place.
    """

    kind: PacingKind = "think"
    rate_rps: float = 0.0

    def __post_init__(self) -> None:
        one_of("pacing", self.kind, _KINDS)
        if self.kind != "think":
            positive("rate of a user", self.rate_rps)
        elif self.rate_rps:
            raise InputError("A rate has no effect on users who think; pace them with poisson:RATE or constant:RATE.")

    @property
    def is_scheduled(self) -> bool:
        """Whether requests are due on a schedule."""
        return self.kind != "think"

    @property
    def loop(self) -> str:
        """``closed``, or ``scheduled``: as open as users who send one request at a time allow."""
        return "scheduled" if self.is_scheduled else "closed"

    def text(self) -> str:
        """What `parse_pacing` reads."""
        return f"{self.kind}:{self.rate_rps!r}" if self.is_scheduled else self.kind

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"kind": self.kind, "rate_rps": self.rate_rps}


THINK = Pacing()


def parse_pacing(text: str) -> Pacing:
    """Read ``think``, ``poisson:RATE`` or ``constant:RATE`` (requests a second of each user).

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
    kind, _, rate = text.strip().partition(":")
    try:
        return Pacing(kind, float(rate or 0))  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(
            f"The pacing {text!r} cannot be read ({error}); write think, or poisson:RATE or constant:RATE with the "
            "requests a second of each user, for example poisson:2."
        ) from None


def due_times_s(pacing: Pacing, random: np.random.Generator) -> Iterator[float]:
    """When a user's requests are due, seconds after its start.

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
    gap_s = 1 / pacing.rate_rps
    due_s = gap_s * random.random() if pacing.kind == "constant" else 0.0
    while True:
        gaps = np.full(_BLOCK, gap_s) if pacing.kind == "constant" else random.exponential(gap_s, _BLOCK)
        ends = due_s + np.cumsum(gaps)
        yield from (ends - gaps if pacing.kind == "constant" else ends).tolist()
        due_s = float(ends[-1])
