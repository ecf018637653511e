"""From what was asked for to the levels that a run has: number, users and place in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.estimation.steady_state import LeftOut
from loadtests.foundation.errors import InputError
from loadtests.importing.runs import Run
from loadtests.importing.steps_file import StepRequest
from loadtests.importing.windows import plateaus, reached_s, settled_s


@dataclass(frozen=True, eq=False)
class Level:
    """One step to be measured; times are seconds since the epoch.

    Parameters
    ----------
    start_s, end_s : float
        Where the level's users were asked for, and where it ends.
    reached_s : float
        When its users all ran; NaN when not known.
    steady_s : float
        From when on it counts.
    is_cut_stated : bool
        Whether somebody said so, by `skip_s`.
    """

    step: int
    users: int
    think: str
    run: Run
    start_s: float
    end_s: float
    reached_s: float
    steady_s: float
    is_cut_stated: bool = False


def levels_of(requests: Sequence[tuple[StepRequest, Run]]) -> tuple[tuple[Level, ...], tuple[LeftOut, ...]]:
    """The levels in order of time where they have no numbers, and those that cannot be measured.

    Parameters
    ----------
    requests : sequence of (StepRequest, Run)

    Raises
    ------
    InputError
        When the users of a step are not known, with all such steps.
    """
    problems: list[str] = []
    found: list[Level | LeftOut] = []
    for request, run in requests:
        found += _levels(request, run, problems)
    if problems:
        raise InputError("\n".join(problems))
    levels = [item for item in found if isinstance(item, Level)]
    if any(level.step == 0 for level in levels):
        levels = [_numbered(level, place) for place, level in enumerate(sorted(levels, key=lambda one: one.start_s), 1)]
    return tuple(levels), tuple(item for item in found if isinstance(item, LeftOut))


def _numbered(level: Level, number: int) -> Level:
    values = {name: getattr(level, name) for name in Level.__dataclass_fields__}
    return Level(**{**values, "step": number})


def _levels(request: StepRequest, run: Run, problems: list[str]) -> list[Level | LeftOut]:
    start_s, end_s = _span(request, run)
    history = run.history
    found = [] if history is None else [
        item for item in plateaus(history) if item.start_s >= start_s - 1 and item.end_s <= end_s + 1
    ]  # fmt: skip
    is_placed = not (math.isnan(request.start_s) and math.isnan(request.end_s))
    if not request.step:
        if not found:
            problems.append(
                f"{run.files.name or 'The run'}: no level of at least 10 s with constant users is in its history; "
                "give a STEPS.csv that states users and files of each level."
            )
        return [_level(request, run, item.users, item.start_s, item.end_s) for item in found]
    users = request.users or _usual_users(run, start_s, end_s)
    if not users:
        problems.append(f"Step {request.step}: its users are not stated, and no history says how many ran.")
        return []
    same = [item for item in found if item.users == users]
    if len(found) > 1 and same and not is_placed:
        longest = max(same, key=lambda item: item.end_s - item.start_s)
        start_s, end_s = longest.start_s, longest.end_s
    return [_level(request, run, users, start_s, end_s)]


def _span(request: StepRequest, run: Run) -> tuple[float, float]:
    start, end = request.on_axis(run.start_s)
    return run.start_s if math.isnan(start) else start, run.end_s if math.isnan(end) else end


def _level(request: StepRequest, run: Run, users: int, start_s: float, end_s: float) -> Level | LeftOut:
    reached = reached_s(run.history, users, start_s, end_s)
    is_stated = not math.isnan(request.skip_s)
    if math.isinf(reached) and not is_stated:
        return LeftOut(request.step, users, "its users were never all running, by User Count in the history")
    steady = start_s + request.skip_s if is_stated else settled_s(reached, start_s, end_s)
    if steady >= end_s:
        return LeftOut(request.step, users, "nothing is left after its ramp and settling time")
    return Level(request.step, users, request.think, run, start_s, end_s, reached, steady, is_stated)


def _usual_users(run: Run, start_s: float, end_s: float) -> int:
    """The user count that held longest between the two times; 0 when none is known."""
    if run.history is None:
        return 0
    inside = (run.history.time_s >= start_s - 1) & (run.history.time_s <= end_s) & (run.history.users > 0)
    values, counts = np.unique(run.history.users[inside], return_counts=True)
    return int(values[np.argmax(counts)]) if len(values) else 0
