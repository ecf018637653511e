"""Synthetic request tables for the tests of the measuring side."""

import numpy as np
import pandas as pd
import pytest

from loadtests.tables import REQUEST_COLUMNS


def _request_table(finish_s, residence_s, outcome="served", users=10):
    count = len(finish_s)
    finish = np.asarray(finish_s, dtype=float)
    outcomes = np.broadcast_to(np.asarray(outcome, dtype=object), count)
    number = np.arange(count)
    return pd.DataFrame(
        {
            "sent_at": 1e9 + finish, "start_s": finish - np.asarray(residence_s), "finish_s": finish, "worker_id": "0",
            "user_id": number % users, "cycle": number // users, "method": "GET", "endpoint": "/api/users",
            "status": np.where(outcomes == "shed", 503, 200), "outcome": outcomes, "users": users, "response_bytes": 10,
        }
    ).astype(REQUEST_COLUMNS)  # fmt: skip


@pytest.fixture(scope="session")
def request_table():
    """Make a requests table from finish times, residence times and outcomes."""
    return _request_table
