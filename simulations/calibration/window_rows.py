"""One steady window, request by request, in a form that measured and simulated ones share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadtests.recording import LoadStep, Recording
from simulations.engines.request_log import TIMED_OUT, RequestLog

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

UNKNOWN_USER = -1


@dataclass(frozen=True)
class WindowRows:
    """Requests that were on their way at some moment of a window; times count from its start.

    Parameters
    ----------
    users : int
        Simulated users of the load.
    window_s : float
        Length.
    start_s, finish_s : arrays, shape (requests,)
        Sending and answer as the client sees them, seconds; in the order of sending.
    served, turned_away, rate_limited : arrays of bool
        Answered as asked; rejected by the gate or the queue, at once or after its longest wait; answered 429. None of
        them: other failures.
    user : array of int64
        Who sent it; `UNKNOWN_USER` where the source does not say.
    """

    users: int
    window_s: float
    start_s: Floats = field(repr=False)
    finish_s: Floats = field(repr=False)
    served: Flags = field(repr=False)
    turned_away: Flags = field(repr=False)
    rate_limited: Flags = field(repr=False)
    user: Whole = field(repr=False)

    @cached_property
    def finished(self) -> Flags:
        """Which requests ended inside the window."""
        return np.asarray((self.finish_s >= 0) & (self.finish_s < self.window_s))

    @cached_property
    def sent(self) -> Flags:
        """Which requests were sent inside the window."""
        return np.asarray((self.start_s >= 0) & (self.start_s < self.window_s))

    @property
    def residence_s(self) -> Floats:
        """Time from sending to answer."""
        return np.asarray(self.finish_s - self.start_s)

    @property
    def counted(self) -> Flags:
        """The requests behind the latencies: served, and finished inside the window."""
        return np.asarray(self.served & self.finished)

    @cached_property
    def inside_at_sending(self) -> Floats:
        """How many accepted requests were inside when each was sent."""
        accepted = ~(self.turned_away | self.rate_limited)
        came, left = np.sort(self.start_s[accepted]), np.sort(self.finish_s[accepted])
        return np.asarray(
            np.searchsorted(came, self.start_s, "left") - np.searchsorted(left, self.start_s, "right"), dtype=float
        )

    @property
    def knows_users(self) -> bool:
        """Whether every request names its user."""
        return bool(self.user.size) and bool(np.all(self.user != UNKNOWN_USER))


def rows_of_step(recording: Recording, step: LoadStep, window_s: float) -> WindowRows:
    """The first `window_s` seconds of a step's steady window.

    Parameters
    ----------
    recording : Recording
    step : LoadStep
    window_s : float

    Returns
    -------
    WindowRows
    """
    table, end_s = recording.requests, step.start_s + window_s
    rows = table[(table["start_s"] < end_s) & (table["finish_s"] >= step.start_s)].sort_values("start_s", kind="stable")
    outcome = rows["outcome"]
    known = rows["user_id"].to_numpy() >= 0
    codes = rows.groupby(["worker_id", "user_id"], sort=False).ngroup().to_numpy()
    return WindowRows(
        step.users, window_s,
        rows["start_s"].to_numpy(dtype=float) - step.start_s, rows["finish_s"].to_numpy(dtype=float) - step.start_s,
        (outcome == "served").to_numpy(), (outcome == "shed").to_numpy(), (outcome == "rate_limited").to_numpy(),
        np.where(known, codes, UNKNOWN_USER).astype(np.int64),
    )  # fmt: skip


def rows_of_log(log: RequestLog, users: int, start_s: float, window_s: float) -> WindowRows:
    """The window of a simulated run that begins at `start_s`.

    Parameters
    ----------
    log : RequestLog
    users : int
    start_s, window_s : float

    Returns
    -------
    WindowRows
    """
    sent_s, answered_s = log.arrival_s - start_s, log.answered_s - start_s
    kept = (sent_s < window_s) & (answered_s >= 0)
    rejected = log.shed | (log.outcome == TIMED_OUT)  # a client sees a 503 of both
    return WindowRows(
        users, window_s, sent_s[kept], answered_s[kept], log.served[kept], rejected[kept],
        np.zeros(int(kept.sum()), dtype=bool), log.user[kept],
    )  # fmt: skip
