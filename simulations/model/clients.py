"""What clients do about answers that are slow or bad: give up, try again, keep connections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import non_negative, positive, whole
from loadtests.foundation.errors import InputError

MOST_ATTEMPTS = 100
RETRIED_BY_DEFAULT = ("shed", "timed_out", "abandoned", "failed")


@dataclass(frozen=True)
class Retries:
    """Retries with exponential backoff and jitter.

    The wait before attempt k + 1 is backoff x factor^(k - 1), at most `longest_backoff_s`,
    of which the share `jitter` is random: wait x (1 - jitter x U). Jitter 1 is "full jitter" [1]_.

    Parameters
    ----------
    most_attempts : int, default 3
        Of one logical request, the first one included.
    backoff_s : float, default 0.1
        Wait before the second attempt, seconds.
    factor : float, default 2
        At least 1.
    longest_backoff_s : float, default 30
        Seconds.
    jitter : float, default 1
        0 (fixed waits) to 1.
    on : tuple of str, default all bad outcomes
        What is tried again: ``shed``, ``timed_out``, ``abandoned``, ``failed``.

    References
    ----------
    .. [1] M. Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.
    """

    most_attempts: int = 3
    backoff_s: float = 0.1
    factor: float = 2.0
    longest_backoff_s: float = 30.0
    jitter: float = 1.0
    on: tuple[str, ...] = RETRIED_BY_DEFAULT

    def __post_init__(self) -> None:
        whole("most_attempts", self.most_attempts, least=1, most=MOST_ATTEMPTS)
        non_negative("backoff_s", self.backoff_s)
        positive("longest_backoff_s", self.longest_backoff_s)
        if not self.factor >= 1 or not math.isfinite(self.factor):
            raise InputError(f"factor is {self.factor!r}; it must be a finite number of at least 1.")
        if not 0 <= self.jitter <= 1:
            raise InputError(f"jitter is {self.jitter!r}; it must lie between 0 and 1.")
        given: object = self.on
        if isinstance(given, str):
            raise InputError(f"on is {given!r}; it must be a tuple of names, for example ({given!r},).")
        unknown = sorted(set(self.on) - set(RETRIED_BY_DEFAULT))
        if unknown:
            raise InputError(f"on names {', '.join(unknown)}; allowed are {', '.join(RETRIED_BY_DEFAULT)}.")

    def waits_s(self) -> NDArray[np.float64]:
        """The waits before attempts 2, 3, ... without jitter, seconds."""
        grown = [min(self.backoff_s * self.factor**k, self.longest_backoff_s) for k in range(self.most_attempts - 1)]
        return np.array(grown, dtype=float)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "most_attempts": self.most_attempts, "backoff_s": self.backoff_s, "factor": self.factor,
            "longest_backoff_s": self.longest_backoff_s, "jitter": self.jitter, "on": list(self.on),
        }  # fmt: skip


@dataclass(frozen=True)
class Clients:
    """How clients behave.

    Parameters
    ----------
    timeout_s : float, default infinity
        A client gives up so long after sending (outcome ``abandoned``). The server does not
        notice: the request keeps its place and its worker.
    retries : Retries, optional
        Default: nobody tries again.
    keep_alive_s : float, default infinity
        Life of a connection; the first request after it opens a new one. It matters only where
        a fleet balances per connection. A client that has given up reconnects too.
    """

    timeout_s: float = math.inf
    retries: Retries | None = None
    keep_alive_s: float = math.inf

    def __post_init__(self) -> None:
        for name in ("timeout_s", "keep_alive_s"):
            if getattr(self, name) != math.inf:
                positive(name, getattr(self, name))

    @property
    def are_patient(self) -> bool:
        """True when nobody gives up or tries again."""
        return math.isinf(self.timeout_s) and (self.retries is None or self.retries.most_attempts == 1)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; null for what does not end."""
        return {
            "timeout_s": None if math.isinf(self.timeout_s) else self.timeout_s,
            "retries": None if self.retries is None else self.retries.to_dict(),
            "keep_alive_s": None if math.isinf(self.keep_alive_s) else self.keep_alive_s,
        }
