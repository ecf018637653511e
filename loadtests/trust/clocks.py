"""Clocks that jumped while it was recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from loadtests.foundation.findings import Finding, Severity
from loadtests.foundation.units import format_duration
from loadtests.recording import Recording
from loadtests.trust.check import Looked, NotApplicable

CODE = "clock-jump"
LEAST_JUMP_S = 0.1
"""A clock that is slewed, not set, moves by at most 0.5 ms a second (adjtime(3), 500 ppm)."""
_SAME_RUN_S, _SAME_CLOCK_S = 5.0, 1e-5
_OVERLAP_S = 0.005
_REMEDY = "Times of this recording cannot be laid beside the server's; check time synchronisation and record again."


def look_at_clocks(recording: Recording) -> Looked:
    """Compare wall clock and monotonic clock over time, and look for users whose times go back."""
    found = _overlaps(recording.requests)
    offsets = _offsets(recording)
    if not offsets and not (recording.requests["user_id"] >= 0).any():
        return NotApplicable("no wall clock of its own beside the recording's clock, and no user ids")
    jumps = [jump for table in offsets for jump in _jumps(table)]
    if jumps:
        size, at_s = max(jumps, key=lambda item: abs(item[0]))
        message = (
            f"The wall clock jumped by {'-' if size < 0 else '+'}{format_duration(abs(size))} at {at_s:.1f} s "
            f"({len(jumps)} jumps in all)."
        )
        numbers = {"jumps": len(jumps), "largest_s": size, "at_s": at_s}
        found.append(Finding(CODE, "warning", message, _REMEDY, numbers))
    return found


def _offsets(recording: Recording) -> list[pd.DataFrame]:
    """Tables of time and offset, one a process and source; none where both clocks are the same."""
    rows = recording.requests
    sent = pd.DataFrame(
        {"time_s": rows["start_s"], "offset_s": rows["sent_at"] - rows["start_s"], "worker_id": rows["worker_id"]}
    )
    state = recording.generator.rename(columns={"epoch_offset_s": "offset_s"})[["time_s", "offset_s", "worker_id"]]
    parts = [part for table in (sent, state.dropna()) for _, part in table.groupby("worker_id", sort=False)]
    return [part for part in parts if len(part) > 1 and float(np.ptp(part["offset_s"])) > _SAME_CLOCK_S]


def _jumps(table: pd.DataFrame) -> list[tuple[float, float]]:
    """Changes of the offset's median from second to second that no slewed clock makes: size and time.

    Runs of their own that were joined into one recording have offsets of their own; what lies between
    two of them is no jump.
    """
    second = np.floor(table["time_s"].to_numpy(dtype=float))
    medians = table["offset_s"].groupby(second).median()
    size, passed = np.diff(medians.to_numpy(dtype=float)), np.diff(medians.index.to_numpy(dtype=float))
    is_jump = (np.abs(size) > LEAST_JUMP_S) & (passed <= _SAME_RUN_S)
    return list(zip(size[is_jump].tolist(), medians.index.to_numpy(dtype=float)[1:][is_jump].tolist(), strict=True))


def _overlaps(rows: pd.DataFrame) -> list[Finding]:
    """Users whose request began before their last one ended: their clock went back, or two users share a number."""
    known = rows[rows["user_id"] >= 0].sort_values(["worker_id", "user_id", "cycle"], kind="stable")
    if known.empty:
        return []
    ended = known.groupby(["worker_id", "user_id"], sort=False)["finish_s"].shift(1)
    count = int((known["start_s"] < ended - _OVERLAP_S).sum())
    if not count:
        return []
    share = count / len(known)
    message = f"{count:,} requests ({share:.2%}) began before their user's last one had ended: times went back."
    remedy = (
        "The load generator's clock went back, two users share a number, or users send several requests at once; "
        "without one clock for all rows the recording cannot be used."
    )
    severity: Severity = "critical" if share > 0.01 else "warning"
    return [Finding(CODE, severity, message, remedy, {"requests": count, "share": share})]
