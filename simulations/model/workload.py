"""Who sends requests, and when the next one comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.distributions import Distribution, Exponential
from loadtests.foundation.errors import InputError

_RATE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class OpenWorkload:
    """Arrivals that do not wait for answers.

    Parameters
    ----------
    arrival_rate_rps : float
        Mean arrival rate, requests per second.
    interarrival : Distribution, optional
        Times between arrivals; its mean must be 1 / rate. Default: exponential
        (a Poisson process).
    """

    arrival_rate_rps: float
    interarrival: Distribution | None = None

    def __post_init__(self) -> None:
        rate = positive("arrival_rate_rps", self.arrival_rate_rps)
        if self.interarrival is not None and abs(self.interarrival.mean_s * rate - 1.0) > _RATE_TOLERANCE:
            raise InputError(
                f"arrival_rate_rps is {rate:g}, but the interarrival times have a mean of {self.interarrival.mean_s:g} "
                f"s, which is {1 / max(self.interarrival.mean_s, 1e-300):g} a second; make the mean 1 / rate."
            )

    @property
    def gap(self) -> Distribution:
        """Time between arrivals, seconds."""
        return self.interarrival or Exponential(1.0 / self.arrival_rate_rps)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"kind": "open", "arrival_rate_rps": self.arrival_rate_rps, "interarrival": self.gap.text()}


@dataclass(frozen=True)
class ClosedWorkload:
    """A fixed population: each user thinks, sends, waits for the answer (also a 503), and thinks again.

    Parameters
    ----------
    users : int
        Number of users.
    think_time : Distribution
        Time between an answer and the user's next request, seconds.
    spread_s : float, optional
        The users' first requests are spread evenly at random over this time.
        Default: one mean think time, so that the population does not arrive as a herd.
    """

    users: int
    think_time: Distribution
    spread_s: float | None = None

    def __post_init__(self) -> None:
        whole("users", self.users, least=1)
        if self.spread_s is not None:
            non_negative("spread_s", self.spread_s)

    @property
    def first_request_spread_s(self) -> float:
        """The time over which first requests are spread."""
        return self.think_time.mean_s if self.spread_s is None else self.spread_s

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"kind": "closed", "users": self.users, "think": self.think_time.text()}


Workload = OpenWorkload | ClosedWorkload
