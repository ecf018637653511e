"""Cuts ramps and warm-up from a recording and summarises each plateau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from loadtests.estimation.block_bootstrap import ENOUGH_BLOCKS, Floats
from loadtests.estimation.settling import Transient, find_transient
from loadtests.estimation.step_metrics import WindowRows, metrics_of
from loadtests.foundation.checks import positive
from loadtests.foundation.findings import Finding
from loadtests.gaps import Gaps, gap_table, gaps_between
from loadtests.journals.journal import Mark
from loadtests.recording import Cut, LoadStep

LEVEL = 0.9
_MOST_CUT = 0.5
PLANNED_SETTLING = "planned settling time"
"""Why a window starts later than its users ran, where no transient was found."""
_NOTHING_LEFT = "nothing is left after its ramp and settling time"


@dataclass(frozen=True)
class Window:
    """The steady part of a step, on the clock of the requests table (seconds).

    `reached_s` is when its users were running (NaN: not known), `reason` why it starts later.
    """

    step: int
    users: int
    start_s: float
    end_s: float
    reached_s: float = math.nan
    reason: str = ""

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class LeftOut:
    """A step without a steady window, and why."""

    step: int
    users: int
    reason: str


def steady_windows(
    marks: Sequence[Mark], origin_s: float, settle_s: float
) -> tuple[tuple[Window, ...], tuple[LeftOut, ...]]:
    """From `settle_s` after a level's users were reached to the moment that the next level was asked for.

    Parameters
    ----------
    marks : sequence of Mark
        In the order of time.
    origin_s : float
        Monotonic time that counts as 0.
    settle_s : float
        Time to cut after the ramp, seconds.

    Returns
    -------
    tuple of Window, tuple of LeftOut
        Steps that never got their users, or not in time, are left out with the reason.
    """
    windows: list[Window] = []
    left_out: list[LeftOut] = []
    borders = [mark for mark in marks if mark.event != "reached"]
    for asked, following in pairwise(borders):
        if asked.event != "asked":  # a ramp, or another stretch that is only passed through
            continue
        reached = [
            m.monotonic_s for m in marks if m.event == "reached" and m.step == asked.step and m.users == asked.users
        ]
        if not reached:
            left_out.append(LeftOut(asked.step, asked.users, "its users were never all running"))
        elif reached[0] + settle_s >= following.monotonic_s:
            left_out.append(LeftOut(asked.step, asked.users, _NOTHING_LEFT))
        else:
            begin, end = reached[0] - origin_s, following.monotonic_s - origin_s
            windows.append(Window(asked.step, asked.users, begin + settle_s, end, begin, PLANNED_SETTLING))
    return tuple(windows), tuple(left_out)


def without_warm_up(requests: pd.DataFrame, windows: Sequence[Window]) -> tuple[Window, ...]:
    """The same windows, each from where its transient is over, at the latest from the middle of its plateau.

    The planned settling time is the least that is cut. See `loadtests.estimation.settling` for the rule.

    Parameters
    ----------
    requests : pandas.DataFrame
        Columns of a recording's requests table.
    windows : sequence of Window
        As by `steady_windows`.

    Returns
    -------
    tuple of Window
    """
    return tuple(_without_warm_up(requests, window) for window in windows)


def _without_warm_up(requests: pd.DataFrame, window: Window) -> Window:
    begin_s = window.start_s if math.isnan(window.reached_s) else window.reached_s
    latest_s = begin_s + _MOST_CUT * (window.end_s - begin_s)
    if latest_s <= window.start_s:
        return window
    found = find_transient(requests, window.start_s, window.end_s, latest_s)
    if not found.series:
        return window
    return replace(window, start_s=window.start_s + found.length_s, reached_s=begin_s, reason=_why(found))


def _why(found: Transient) -> str:
    text = f"transient in {found.series}, whose mean lies {found.errors:.2g} standard errors from that of the rest"
    return f"{text}; it may last longer, but no more than half of a plateau is cut" if found.is_at_limit else text


def mean_gap_s(gaps: Gaps) -> float:
    """Mean gap by the Kaplan-Meier estimate of the gaps' distribution, seconds; NaN when none is complete.

    Leaving the open gaps out would favour short ones. The mean is restricted to the longest time
    seen (the area under the survival function up to there), so it is still short of the true mean
    where that time belongs to an open gap.

    Parameters
    ----------
    gaps : Gaps

    Returns
    -------
    float

    References
    ----------
    Kaplan and Meier, J. Am. Stat. Assoc. 53 (1958) 457-481; Royston and Parmar, BMC Med. Res.
    Methodol. 13 (2013) 152 (restricted mean).
    """
    if gaps.observed_s.size == 0:
        return math.nan
    from scipy import stats  # heavy, and what makes a recording of files needs no gaps

    survival = stats.ecdf(stats.CensoredData(uncensored=gaps.observed_s, right=gaps.censored_s)).sf
    lengths_s = np.diff(survival.quantiles, prepend=0.0)
    return float(lengths_s @ np.concatenate([[1.0], survival.probabilities[:-1]]))


def summarise_steps(
    requests: pd.DataFrame, windows: Sequence[Window], *, think: str = "", users_leave: bool = False
) -> tuple[LoadStep, ...]:
    """One `LoadStep` a window, with the mean gap between a user's requests as `Recording.gaps` has them."""
    table = gap_table(requests, users_leave=users_leave)
    steps = []
    for window in windows:
        is_ramp_down_ahead = any(later.users < window.users for later in windows if later.start_s > window.start_s)
        gaps = gaps_between(table, window.start_s, window.end_s, is_ramp_down_ahead=is_ramp_down_ahead)
        step = summarise(requests, window, think=think)
        steps.append(replace(step, gap_mean_s=mean_gap_s(gaps)))
    return tuple(steps)


def summarise(requests: pd.DataFrame, window: Window, *, think: str = "", level: float = LEVEL) -> LoadStep:
    """Metrics of one steady window with their intervals, by blocks of time as long as its correlation asks for.

    Parameters
    ----------
    requests : pandas.DataFrame
        Columns of a recording's requests table.
    window : Window
        Requests count that finished from its start up to its end.
    think : str
        Nominal think time, kept in the step.
    level : float
        Level of the intervals.

    Returns
    -------
    LoadStep
        Rates are per second of the window; latencies are of served requests. Gaps take knowledge
        of the other steps: see `summarise_steps`. Nothing is drawn at random.
    """
    positive("length of the window", window.length_s)
    finish = requests["finish_s"].to_numpy(dtype=float)
    inside = (finish >= window.start_s) & (finish < window.end_s)
    rows = requests if inside.all() else requests[inside]
    metrics, blocks = metrics_of(WindowRows.of(rows, window.users, window.start_s, window.length_s), level)
    return LoadStep(
        step=window.step,
        users=window.users,
        start_s=window.start_s,
        end_s=window.end_s,
        requests=len(rows),
        metrics=metrics,
        outcomes={str(name): int(count) for name, count in rows["outcome"].value_counts().items() if count},
        think=think,
        blocks=int(blocks.number),
        cut=_cut(finish, window),
    )


def _cut(finish_s: Floats, window: Window) -> Cut | None:
    if math.isnan(window.reached_s):
        return None
    count = int(((finish_s >= window.reached_s) & (finish_s < window.start_s)).sum())
    return Cut(window.start_s - window.reached_s, count, window.reason)


def step_findings(steps: Sequence[LoadStep]) -> tuple[Finding, ...]:
    """What to know about the steps' intervals: those from fewer than 20 blocks of time.

    Parameters
    ----------
    steps : sequence of LoadStep

    Returns
    -------
    tuple of Finding
        Code `few-blocks`, one a step.
    """
    return tuple(_few_blocks(step) for step in steps if 0 < step.blocks < ENOUGH_BLOCKS)


def _few_blocks(step: LoadStep) -> Finding:
    return Finding(
        "few-blocks",
        "info",
        f"Step {step.step} ({step.users} users): its window of {step.window_s:.3g} s holds {step.blocks} stretches "
        f"about independent of each other; below {ENOUGH_BLOCKS} its intervals are widened, and those of P95 and P99 "
        "may still be too narrow.",
        f"Record this level for {step.window_s * ENOUGH_BLOCKS / step.blocks:.0f} s or more, or several times.",
        {"step": step.step, "blocks": step.blocks, "window_s": step.window_s},
    )
