"""The tables of a recording: names, types and units of their columns.

Times are seconds on the recording's clock: the load generator's monotonic clock, counted from
the start of the recording, unless a column says otherwise.

**Requests**, one row a finished request:

============== ======= ==========================================================
column         dtype   meaning
============== ======= ==========================================================
sent_at        float64 sending time, seconds since the epoch (wall clock)
start_s        float64 sending time
finish_s       float64 last byte of the response read
worker_id      str     load generator process
user_id        int64   simulated user, unique within its worker; -1 when not known
cycle          int64   how many requests this user had sent before (0, 1, ...)
method         str     HTTP method
endpoint       str     request name as Locust reports it
status         int64   HTTP status, 0 when there was no response
outcome        str     one of `OUTCOMES`
users          int64   users running when the request finished
response_bytes int64   length of the response body
============== ======= ==========================================================

and, only where requests were due on a schedule:

============== ======= ==========================================================
due_s          float64 when the request was due; it was sent late by start_s - due_s
============== ======= ==========================================================

**Latency bins**, for steps whose requests are only known in groups (rounded histograms,
percentiles, Prometheus buckets): interval-censored data. Bins may overlap.

============== ======= ==========================================================
column         dtype   meaning
============== ======= ==========================================================
step           int64   number of the step
endpoint       str     request name; empty: all of them together
outcome        str     one of `OUTCOMES`; `ANY_OUTCOME`: the source does not tell them apart
low_s, high_s  float64 the residence times lie in [low_s, high_s]; high_s may be infinite
count          float64 how many requests (a fraction where a source gives percentiles)
============== ======= ==========================================================

**Generator**, about once a second from each load generator process:

============== ======= ==========================================================
column         dtype   meaning
============== ======= ==========================================================
time_s         float64 when
worker_id      str     load generator process
users          float64 users that it runs
requests       float64 requests that it has finished since its start
cpu_s          float64 processor seconds that it has used since its start
loop_lag_s     float64 longest delay of its event loop since the last row
open_files     float64 open file descriptors
file_limit     float64 most that it may open
epoch_offset_s float64 wall clock minus monotonic clock; a jump is a clock that was set
============== ======= ==========================================================
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

Outcome = Literal[
    "served", "shed", "rate_limited", "client_error", "server_error", "timeout", "refused", "reset", "failed"
]
OUTCOMES: tuple[Outcome, ...] = (
    "served", "shed", "rate_limited", "client_error", "server_error", "timeout", "refused", "reset", "failed",
)  # fmt: skip

REQUEST_COLUMNS: dict[str, str] = {
    "sent_at": "float64", "start_s": "float64", "finish_s": "float64", "worker_id": "str", "user_id": "int64",
    "cycle": "int64", "method": "str", "endpoint": "str", "status": "int64", "outcome": "str", "users": "int64",
    "response_bytes": "int64",
}  # fmt: skip

SCHEDULE_COLUMNS: dict[str, str] = {"due_s": "float64"}
"""Follow the others of a requests table whose requests were due on a schedule."""

ANY_OUTCOME = "any"

LATENCY_BIN_COLUMNS: dict[str, str] = {
    "step": "int64", "endpoint": "str", "outcome": "str", "low_s": "float64", "high_s": "float64", "count": "float64",
}  # fmt: skip

GENERATOR_COLUMNS: dict[str, str] = {
    "time_s": "float64", "worker_id": "str", "users": "float64", "requests": "float64", "cpu_s": "float64",
    "loop_lag_s": "float64", "open_files": "float64", "file_limit": "float64", "epoch_offset_s": "float64",
}  # fmt: skip


def empty_table(columns: dict[str, str]) -> pd.DataFrame:
    """A table of these columns and types without rows.

    Parameters
    ----------
    columns : dict of str to str
        Type by column.

    Returns
    -------
    pandas.DataFrame
    """
    return pd.DataFrame(columns=list(columns)).astype(columns)
