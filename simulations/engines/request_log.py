"""What an engine writes down: one row a request, timestamps only. Durations are derived, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

SERVED, SHED_AT_GATE, SHED_AT_QUEUE = 0, 1, 2
OUTCOME_NAMES = ("served", "shed_at_gate", "shed_at_queue")


@dataclass(frozen=True)
class RequestLog:
    """Requests in the order in which they arrived at the server.

    Parameters
    ----------
    arrival_s, start_s, departure_s : arrays of float
        Arrival at the gate; start of service (equal to the arrival for a rejected
        request); moment at which the server's answer left.
    outcome : array of int8
        `SERVED`, `SHED_AT_GATE` or `SHED_AT_QUEUE`.
    user, cycle : arrays of int64
        Who sent it and how many requests that user had sent before; for open
        workloads the user is 0 and the cycle is the arrival's position.
    network_round_trip_s : float
        What the client waits on top.
    """

    arrival_s: NDArray[np.float64]
    start_s: NDArray[np.float64]
    departure_s: NDArray[np.float64]
    outcome: NDArray[np.int8]
    user: NDArray[np.int64]
    cycle: NDArray[np.int64]
    network_round_trip_s: float = 0.0

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def served(self) -> NDArray[np.bool_]:
        """Which requests were served."""
        return np.asarray(self.outcome == SERVED)

    @property
    def residence_s(self) -> NDArray[np.float64]:
        """Time from sending to answer as the client sees it."""
        return np.asarray(self.departure_s - self.arrival_s + self.network_round_trip_s)

    @property
    def waiting_s(self) -> NDArray[np.float64]:
        """Time in the queue."""
        return np.asarray(self.start_s - self.arrival_s)

    def to_frame(self) -> pd.DataFrame:
        """Columns user, cycle, arrival_s, start_s, departure_s, residence_s, outcome (name)."""
        import pandas as pd

        return pd.DataFrame(
            {
                "user": self.user,
                "cycle": self.cycle,
                "arrival_s": self.arrival_s,
                "start_s": self.start_s,
                "departure_s": self.departure_s,
                "residence_s": self.residence_s,
                "outcome": np.asarray(OUTCOME_NAMES)[self.outcome],
            }
        )
