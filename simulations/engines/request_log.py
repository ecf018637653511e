"""What an engine writes down: one row an attempt, timestamps only. Durations are derived, never stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

SERVED, SHED_AT_GATE, SHED_AT_QUEUE, TIMED_OUT, ABANDONED, FAILED = range(6)
OUTCOME_NAMES = ("served", "shed_at_gate", "shed_at_queue", "timed_out", "abandoned", "failed")
"""`timed_out`: the server said that it took too long; `abandoned`: the client gave up."""


@dataclass(frozen=True)
class Waits:
    """What the client's view of a row depends on besides its timestamps.

    Parameters
    ----------
    network_round_trip_s : float
        What the client waits on top.
    request_timeout_s : float
        Time from arrival at which the server answers in any case.
    client_timeout_s : float
        Time from arrival at which the client gives up.
    most_attempts : int
        Of one logical request.
    is_retried : tuple of bool
        By outcome code.
    rejection_time_s : float, optional
        What the client waits on top where the gate or the line turned it away. Default: the round trip.
    """

    network_round_trip_s: float = 0.0
    request_timeout_s: float = math.inf
    client_timeout_s: float = math.inf
    most_attempts: int = 1
    is_retried: tuple[bool, ...] = (False,) * len(OUTCOME_NAMES)
    rejection_time_s: float | None = None

    @property
    def answer_delay_s(self) -> Floats:
        """Time from the server's answer to the client that has it, by outcome code, seconds."""
        delay_s = np.full(len(OUTCOME_NAMES), self.network_round_trip_s)
        if self.rejection_time_s is not None:
            delay_s[[SHED_AT_GATE, SHED_AT_QUEUE]] = self.rejection_time_s
        return delay_s


@dataclass(frozen=True)
class RequestLog:
    """Attempts in the order in which they arrived.

    Parameters
    ----------
    arrival_s, start_s, departure_s : arrays of float
        Arrival at the gate; start of service (for one that never started: its
        departure); moment at which the server was done with it. An abandoned request
        occupies the server until then, although its client is gone.
    outcome : array of int8
        Index into `OUTCOME_NAMES`.
    user, cycle, attempt : arrays of int64
        Who sent it, how many logical requests that user had sent before, and which try
        it is; for open workloads the user is 0 and the cycle is the arrival's position.
    instance, request_class : arrays of int64
        Where it went and what kind it was.
    waits : Waits
    """

    arrival_s: Floats
    start_s: Floats
    departure_s: Floats
    outcome: NDArray[np.int8]
    user: Whole
    cycle: Whole
    attempt: Whole
    instance: Whole
    request_class: Whole
    waits: Waits = field(default_factory=Waits)

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def served(self) -> NDArray[np.bool_]:
        """Which attempts were served."""
        return np.asarray(self.outcome == SERVED)

    @property
    def shed(self) -> NDArray[np.bool_]:
        """Which attempts were turned away, at the gate or for want of room in the line."""
        return np.asarray((self.outcome == SHED_AT_GATE) | (self.outcome == SHED_AT_QUEUE))

    @property
    def network_round_trip_s(self) -> float:
        """What the client waits on top, unless it was turned away (`waits.rejection_time_s`)."""
        return self.waits.network_round_trip_s

    @property
    def answered_s(self) -> Floats:
        """When the client had its answer, or gave up."""
        left_s = self.departure_s
        if math.isfinite(self.waits.request_timeout_s):
            left_s = np.minimum(left_s, self.arrival_s + self.waits.request_timeout_s)
        answered = left_s + self.waits.answer_delay_s[self.outcome]
        if math.isinf(self.waits.client_timeout_s):
            return np.asarray(answered)
        gave_up = self.arrival_s + self.waits.client_timeout_s
        return np.asarray(np.where(self.outcome == ABANDONED, gave_up, answered))

    @property
    def residence_s(self) -> Floats:
        """Time from sending to answer as the client sees it."""
        return np.asarray(self.answered_s - self.arrival_s)

    @property
    def waiting_s(self) -> Floats:
        """Time in the queue."""
        return np.asarray(self.start_s - self.arrival_s)

    @property
    def is_final(self) -> NDArray[np.bool_]:
        """Which attempts end their logical request: good ones, and bad ones that are not tried again."""
        retried = np.asarray(self.waits.is_retried)[self.outcome]
        return np.asarray(~retried | (self.attempt + 1 >= self.waits.most_attempts))

    def logical(self) -> LogicalLog:
        """The second ledger: one row a logical request that has come to its end."""
        order = np.lexsort((self.attempt, self.cycle, self.user))
        user, cycle = self.user[order], self.cycle[order]
        starts = np.concatenate([[True], (np.diff(user) != 0) | (np.diff(cycle) != 0)]) if len(order) else order == 0
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(order)) - 1
        ended = self.is_final[order[last]] if len(order) else np.empty(0, bool)
        first, last = order[first[ended]], order[last[ended]]
        return LogicalLog(
            self.arrival_s[first], self.answered_s[last], self.outcome[last], self.attempt[last] + 1,
            self.request_class[first],
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Columns user, cycle, attempt, instance, arrival_s, start_s, departure_s, residence_s, outcome (name)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "user": self.user,
                "cycle": self.cycle,
                "attempt": self.attempt,
                "instance": self.instance,
                "request_class": self.request_class,
                "arrival_s": self.arrival_s,
                "start_s": self.start_s,
                "departure_s": self.departure_s,
                "residence_s": self.residence_s,
                "outcome": np.asarray(OUTCOME_NAMES)[self.outcome],
            }
        )


@dataclass(frozen=True)
class LogicalLog:
    """Logical requests that have come to their end, in the order of users and cycles.

    Parameters
    ----------
    sent_s, answered_s : arrays of float
        First sending and last answer.
    outcome : array of int8
        Of the last attempt.
    attempts, request_class : arrays of int64
    """

    sent_s: Floats
    answered_s: Floats
    outcome: NDArray[np.int8]
    attempts: Whole
    request_class: Whole

    def __len__(self) -> int:
        return len(self.sent_s)

    @property
    def total_s(self) -> Floats:
        """Time from the first sending to the last answer, waits between attempts included."""
        return np.asarray(self.answered_s - self.sent_s)
