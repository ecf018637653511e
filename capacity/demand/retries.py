"""Retries apart from logical requests: demand is what users want, not how often their clients try."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from capacity.demand.history_table import Floats, HistoryColumns
from capacity.demand.wording import counted, percent
from loadtests.foundation.checks import finite
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding


def logical_requests(name: str, read: HistoryColumns, retry_share: float) -> tuple[Floats, float]:
    """Logical requests of each interval, and the share of all attempts that were retries.

    With a column of retries: value - retries, the first attempts. Beside a column of
    attempts the values are logical requests already. A stated share is taken off every value.

    Raises
    ------
    InputError
        For a share outside 0 to 1, or beside a column that tells the retries.
    """
    stated = finite("retry_share", retry_share)
    if not 0 <= stated < 1:
        raise InputError(f"retry_share is {retry_share!r}; it must be a share from 0 to below 1, for example 0.05.")
    if stated and (read.retries is not None or read.attempts is not None):
        raise InputError(f"{name} tells its retries in a column, and retry_share is {stated:g}; give one of the two.")
    if read.retries is not None:
        return np.asarray(read.values - read.retries), _share(read.retries.sum(), read.values.sum())
    if read.attempts is not None:
        return read.values, _share((read.attempts - read.values).sum(), read.attempts.sum())
    return (np.asarray(read.values * (1 - stated)) if stated else read.values), stated


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0


def retry_findings(read: HistoryColumns, share: float) -> Iterator[Finding]:
    """How many attempts were retries, and what shed requests make of it."""
    if not share:
        return
    where = "are counted apart" if read.attempts is not None else "are taken out"
    how = "" if read.retries is not None or read.attempts is not None else ", as stated for every interval"
    yield Finding(
        "retries-separated", "info",
        f"{percent(share)} of all attempts were retries{how}; they {where}. Demand is logical requests.",
        "", {"retry_share": share},
    )  # fmt: skip
    both = read.censored if read.retries is None else read.censored & (read.retries > 0)
    if both.any() and read.attempts is None:
        yield Finding(
            "retries-with-shed", "warning",
            f"In {counted(int(both.sum()), 'interval')} requests were shed and others were retries. Retries inflate "
            "the count and shed requests censor it: what is left are first attempts that were served, a lower bound of "
            "the demand that may lie well below it.",
            "Give logical requests beside attempts, where the clients or a proxy before the gate know them.",
            {"intervals": int(both.sum())},
        )  # fmt: skip
