"""Times between a response and the same user's next request, open ones included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Gaps:
    """Times between a response and the same user's next request.

    Parameters
    ----------
    observed_s : array of float
        Complete gaps.
    censored_s : array of float
        Lower bounds of the gaps that were still open at the end.
    """

    observed_s: NDArray[np.float64]
    censored_s: NDArray[np.float64]


def gap_table(requests: pd.DataFrame, *, users_leave: bool = False) -> pd.DataFrame:
    """When each request finished, when its user sent the next one, and until when one could have been seen.

    Parameters
    ----------
    requests : pandas.DataFrame
        A requests table.
    users_leave : bool, default False
        Whether users come and go, as in sessions: then nothing follows a user's last request, and it opens no gap.

    Returns
    -------
    pandas.DataFrame
        `finish_s`, `next_s` (NaN for a user's last request) and `seen_until_s` (the last sending
        of the same worker; of users who leave, when the request finished), seconds, one row a request.
    """
    keys = ["worker_id", "user_id"]
    rows = requests.sort_values([*keys, "cycle"], kind="stable")
    until_s = rows["finish_s"] if users_leave else rows.groupby("worker_id", sort=False)["start_s"].transform("max")
    return pd.DataFrame(
        {
            "finish_s": rows["finish_s"],
            "next_s": rows.groupby(keys, sort=False)["start_s"].shift(-1),
            "seen_until_s": until_s,
        }
    )


def gaps_between(table: pd.DataFrame, start_s: float, end_s: float, *, is_ramp_down_ahead: bool) -> Gaps:
    """The gaps that began from `start_s` up to `end_s`.

    Parameters
    ----------
    table : pandas.DataFrame
        As by `gap_table`.
    start_s, end_s : float
        A steady window.
    is_ramp_down_ahead : bool
        Whether fewer users run later: an open gap may then be that of a user who was stopped
        at `end_s`.

    Returns
    -------
    Gaps
    """
    rows = table[(table["finish_s"] >= start_s) & (table["finish_s"] < end_s)]
    finish, following, until = (rows[name].to_numpy(dtype=float) for name in ("finish_s", "next_s", "seen_until_s"))
    if is_ramp_down_ahead:
        until = np.minimum(until, end_s)
    is_open = np.isnan(following)
    observed = np.maximum((following - finish)[~is_open], 0.0)
    return Gaps(observed, np.maximum((until - finish)[is_open], 0.0))
