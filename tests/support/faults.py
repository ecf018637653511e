"""Faults put into a recording on purpose: pure functions from a recording to a faulty one, steps summarised anew."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from loadtests.estimation.steady_state import Window
from loadtests.foundation.seeds import generator
from loadtests.recording import LoadStep, Recording
from support.clean_recordings import plain_step

_USER = ["worker_id", "user_id"]


def resummarised(recording: Recording, requests: pd.DataFrame) -> Recording:
    """The recording with other rows, its steps' numbers to match (their mean gaps stay: faults hardly move them)."""
    rows = requests.sort_values("finish_s", kind="stable", ignore_index=True)
    windows = [Window(step.step, step.users, step.start_s, step.end_s) for step in recording.steps]
    old = zip(windows, recording.steps, strict=True)
    steps = tuple(plain_step(rows, window, step.gap_mean_s, step.think) for window, step in old)
    return replace(recording, requests=rows, steps=steps)


def last_step(recording: Recording) -> LoadStep:
    """Where faults are put: the last window."""
    return recording.steps[-1]


def _delayed(rows: pd.DataFrame, longer_s: np.ndarray) -> pd.DataFrame:
    """Requests that take so much longer; everything that their users do afterwards comes so much later."""
    longer = pd.Series(longer_s, index=rows.index)
    upto = longer.groupby([rows[name] for name in _USER], sort=False).cumsum()
    before = upto - longer
    return rows.assign(
        sent_at=rows["sent_at"] + before, start_s=rows["start_s"] + before, finish_s=rows["finish_s"] + upto
    )


def _by_user(recording: Recording) -> pd.DataFrame:
    return recording.requests.sort_values([*_USER, "cycle"], kind="stable", ignore_index=True)


def inject_stall(recording: Recording, at_s: float, duration_s: float) -> Recording:
    """The server stands still: what is inside takes `duration_s` longer, what comes meanwhile waits for its end."""
    rows = _by_user(recording)
    start, finish = rows["start_s"].to_numpy(), rows["finish_s"].to_numpy()
    end_s = at_s + duration_s
    meets = (finish > at_s) & (start < end_s)
    first = meets & ~pd.Series(meets).groupby([rows[name] for name in _USER]).cumsum().gt(1).to_numpy()
    longer = np.where(first, end_s - np.maximum(start, at_s), 0.0)
    return resummarised(recording, _delayed(rows, longer))


def inject_generator_pause(recording: Recording, at_s: float, duration_s: float) -> Recording:
    """The load generator stands still: nobody sends or reads, and its event loop says so."""
    rows = recording.requests
    later_start, later_finish = (duration_s * (rows[name] >= at_s) for name in ("start_s", "finish_s"))
    moved = rows.assign(
        sent_at=rows["sent_at"] + later_start, start_s=rows["start_s"] + later_start,
        finish_s=rows["finish_s"] + later_finish,
    )  # fmt: skip
    state = recording.generator.copy()
    state.loc[(state["time_s"] >= at_s) & (state["time_s"] < at_s + 1.0), "loop_lag_s"] = duration_s
    return replace(resummarised(recording, moved), generator=state)


def inject_trend(recording: Recording, share: float) -> Recording:
    """Residence times grow by `share` from the front to the end of the last window."""
    step, rows = last_step(recording), _by_user(recording)
    place = (rows["start_s"].to_numpy() - step.start_s) / step.window_s
    factor = np.where((place >= 0) & (place <= 1), share * place, 0.0)
    return resummarised(recording, _delayed(rows, factor * (rows["finish_s"] - rows["start_s"]).to_numpy()))


def drop_worker(recording: Recording, worker: str, from_s: float = -math.inf) -> Recording:
    """A load generator process and its users are gone from a time on; nobody counted what is missing."""
    rows = recording.requests
    kept = rows[(rows["worker_id"] != worker) | (rows["finish_s"] < from_s)]
    state = recording.generator
    state = state[(state["worker_id"] != worker) | (state["time_s"] < from_s)]
    return replace(_uncounted(resummarised(recording, kept)), generator=state)


def _uncounted(recording: Recording) -> Recording:
    totals = {"locust": len(recording.requests), "journal": len(recording.requests)}
    return replace(recording, manifest={**recording.manifest, "totals": totals})


def lose_rows(recording: Recording, share: float, seed: int = 1) -> Recording:
    """A share of the rows is missing at random, and nobody counted them."""
    kept = generator(seed, 2).random(len(recording.requests)) >= share
    return _uncounted(resummarised(recording, recording.requests[kept]))


def without_user_ids(recording: Recording) -> Recording:
    """As from a request log that does not say who sent."""
    rows = recording.requests.assign(user_id=-1, cycle=0)
    steps = tuple(replace(step, gap_mean_s=math.nan) for step in recording.steps)
    return replace(recording, requests=rows, steps=steps)


def duplicate_worker(recording: Recording, worker: str) -> Recording:
    """The rows of one process are there twice, the second time under another name."""
    rows = recording.requests
    again = rows[rows["worker_id"] == worker].assign(worker_id=f"{worker}-again")
    return _uncounted(resummarised(recording, pd.concat([rows, again], ignore_index=True)))


def clock_jump(recording: Recording, at_s: float, size_s: float) -> Recording:
    """The wall clock is set; the monotonic clock goes on."""
    rows, state = recording.requests, recording.generator
    return replace(
        recording,
        requests=rows.assign(sent_at=rows["sent_at"] + size_s * (rows["start_s"] >= at_s)),
        generator=state.assign(epoch_offset_s=state["epoch_offset_s"] + size_s * (state["time_s"] >= at_s)),
    )


def clock_goes_back(recording: Recording, at_s: float, size_s: float) -> Recording:
    """The recording's own clock goes back: what is sent and read from `at_s` on is stamped earlier."""
    rows = recording.requests
    later = rows["start_s"] >= at_s
    moved = rows.assign(start_s=rows["start_s"] - size_s * later, finish_s=rows["finish_s"] - size_s * later)
    return resummarised(recording, moved)


def inject_rate_limit(recording: Recording, share: float, seed: int = 1) -> Recording:
    """A share of the served requests is answered 429 instead."""
    return _answered(recording, share, 429, "rate_limited", seed)


def inject_failures(recording: Recording, share: float, seed: int = 1) -> Recording:
    """A share of the served requests ends in a timeout instead."""
    return _answered(recording, share, 0, "timeout", seed)


def _answered(recording: Recording, share: float, status: int, outcome: str, seed: int) -> Recording:
    rows = recording.requests
    chosen = (rows["outcome"] == "served") & (generator(seed, 3).random(len(rows)) < share)
    return resummarised(
        recording,
        rows.assign(status=rows["status"].mask(chosen, status), outcome=rows["outcome"].mask(chosen, outcome)),
    )


def inject_missing_page(recording: Recording, endpoint: str) -> Recording:
    """One endpoint answers 404."""
    rows = recording.requests
    chosen = rows["endpoint"] == endpoint
    return resummarised(
        recording,
        rows.assign(status=rows["status"].mask(chosen, 404), outcome=rows["outcome"].mask(chosen, "client_error")),
    )


def silence_users(recording: Recording, share: float) -> Recording:
    """A share of the users (at least one) never sends."""
    rows = recording.requests
    users = rows[_USER].drop_duplicates().sort_values(_USER, ignore_index=True)
    gone = users.iloc[: max(1, math.ceil(share * len(users)))].assign(is_gone=True)
    kept = rows.merge(gone, on=_USER, how="left")["is_gone"].isna().to_numpy()
    return _uncounted(resummarised(recording, rows[kept]))


def hang_users(recording: Recording, share: float, last_s: float) -> Recording:
    """A share of the users (at least three) waits in vain for the last `last_s` seconds; their requests have no row."""
    rows = recording.requests
    users = rows.loc[rows["finish_s"] >= last_step(recording).start_s, _USER].drop_duplicates()
    stuck = users.iloc[: max(3, math.ceil(share * last_step(recording).users))].assign(is_stuck=True)
    is_stuck = rows.merge(stuck, on=_USER, how="left")["is_stuck"].notna().to_numpy()
    until_s = float(rows["start_s"].max()) - last_s
    return _uncounted(resummarised(recording, rows[~is_stuck | (rows["finish_s"] < until_s).to_numpy()]))


def state_think_time(recording: Recording, factor: float) -> Recording:
    """The stated think time is constant and `factor` times the true mean."""
    steps = tuple(replace(step, think=f"constant:{_mean_think(step) * factor}") for step in recording.steps)
    return replace(recording, steps=steps)


def _mean_think(step: LoadStep) -> float:
    from loadtests.foundation.distributions import parse_distribution

    return parse_distribution(step.think).mean_s


def busy_generator(recording: Recording, share: float) -> Recording:
    """Each load generator process uses `share` of a core."""
    state = recording.generator
    return replace(recording, generator=state.assign(cpu_s=share * state["time_s"]))


def late_generator(recording: Recording, lag_s: float) -> Recording:
    """The event loop is late by `lag_s` at times in every second."""
    return replace(recording, generator=recording.generator.assign(loop_lag_s=lag_s))


def full_generator(recording: Recording, share: float) -> Recording:
    """`share` of the file descriptors is open."""
    state = recording.generator
    return replace(recording, generator=state.assign(open_files=share * state["file_limit"]))


def cut_windows(recording: Recording, window_s: float) -> Recording:
    """Windows of only `window_s` seconds."""
    steps = tuple(replace(step, end_s=step.start_s + window_s) for step in recording.steps)
    return resummarised(replace(recording, steps=steps), recording.requests)
