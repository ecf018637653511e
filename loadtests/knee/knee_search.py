"""Finds the highest load that meets an objective, by asking for one level of users after the other.

The search knows nothing of Locust: it is handed a function that puts a level of users on a server
and says what it measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import pandas as pd

from loadtests.foundation.checks import positive, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.knee.knee_belief import KneeBelief
from loadtests.knee.knee_step import LEVEL, Bound, KneeObjective, KneeStep, usual_dispersion

StopReason = Literal["precise", "steps", "time", "not-reached", "not-met"]
Measure = Callable[[int], KneeStep]


@dataclass(frozen=True)
class KneeOptions:
    """How to search.

    Parameters
    ----------
    start_users : int
        First level.
    most_users : int
        Largest level that is ever asked for.
    growth : float
        A level is at most this many times the largest one that kept the objective.
    precision : float
        Stop when the interval's ends are within this share of each other.
    max_steps : int
        Most levels to measure, repeats included.
    level : float
        Probability that the interval claims.
    longest_s : float, optional
        No further step is begun after this time, seconds.

    Raises
    ------
    InputError
        For a number out of range.
    """

    start_users: int = 10
    most_users: int = 10_000
    growth: float = 2.0
    precision: float = 0.1
    max_steps: int = 14
    level: float = LEVEL
    longest_s: float | None = None

    def __post_init__(self) -> None:
        whole("most_users", self.most_users, least=1)
        whole("start_users", self.start_users, least=1, most=self.most_users)
        whole("max_steps", self.max_steps, least=1)
        positive("precision", self.precision)
        if self.longest_s is not None:
            positive("longest_s", self.longest_s)
        if not self.growth > 1.0:
            raise InputError(f"growth is {self.growth!r}; it must be above 1, for example 2 (levels may double).")
        if not 0.5 <= self.level < 1.0:
            raise InputError(f"level is {self.level!r}; it must be from 0.5 to below 1, for example 0.9.")


@dataclass(frozen=True)
class KneeResult:
    """The knee with its interval, and every step that led to it.

    Parameters
    ----------
    objective : KneeObjective
    knee_users : Interval
        Largest level of users that keeps the objective; 0 stands for none at all.
    reason : {"precise", "steps", "time", "not-reached", "not-met"}
        Why the search ended: precise enough; steps or time used up; even the largest allowed level
        keeps the objective; not even the lightest does.
    bound_by : {"p95", "bad"} or None
        The limit that stops a larger load; None when no level broke one.
    steps : tuple of KneeStep
        In the order of time.
    belief : KneeBelief
        Where the knee may be, by all steps.
    """

    objective: KneeObjective
    knee_users: Interval
    reason: StopReason
    bound_by: Bound | None
    steps: tuple[KneeStep, ...]
    belief: KneeBelief

    @property
    def is_met(self) -> bool:
        """Whether some load meets the objective."""
        return self.reason != "not-met"

    def is_within(self, step: KneeStep) -> bool:
        """Whether what a step measured, its noise aside, lies within the objective's limits.

        Parameters
        ----------
        step : KneeStep

        Returns
        -------
        bool
        """
        evidence = step.evidence(self.objective, usual_dispersion(self.steps))
        return all(item.excess <= 0 for item in evidence.values())

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        dispersion = usual_dispersion(self.steps)
        steps = [
            {
                **step.to_dict(),
                "bad_fraction": step.bad_interval(dispersion).to_dict(),
                "probability_kept": self.belief.probability_kept(step.users),
            }
            for step in self.steps
        ]
        return {
            "objective": self.objective.to_dict(), "knee_users": self.knee_users.to_dict(), "reason": self.reason,
            "bound_by": self.bound_by, "steps": steps,
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a step: users, requests, P95 (s) and share of bad requests with their intervals, the judgement."""
        rows = []
        for step in self.to_dict()["steps"]:
            row = {name: step[name] for name in ("users", "window_s", "requests")}
            for name in ("p95_s", "bad_fraction"):
                row |= {f"{name}_{end}": step[name][end] for end in ("low", "mid", "high")}
            rows.append(row | {name: step[name] for name in ("probability_kept",)})
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """One line for people."""
        knee = self.knee_users
        if self.reason == "not-met":
            lightest = min(step.users for step in self.steps)
            users = "1 user breaks" if lightest == 1 else f"{lightest} users break"
            return f"No load meets the objective: already {users} the limit on {self.bound_by}."
        if self.reason == "not-reached":
            return f"The knee lies at or beyond {knee.mid:.0f} users, the largest level that was allowed."
        if self.bound_by is None:
            return (
                f"No level of up to {max(step.users for step in self.steps)} users broke the objective; the knee lies "
                f"between {knee.low:.0f} and {knee.high:.0f} users at {knee.level:.0%}, by these steps."
            )
        return (
            f"Up to {knee.mid:.0f} users ({knee.low:.0f} to {knee.high:.0f} at {knee.level:.0%}) meet the objective; "
            f"a larger load breaks the limit on {self.bound_by}."
        )

    def __repr__(self) -> str:
        return f"KneeResult({self.summary()})"

    def _repr_html_(self) -> str:
        table = self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}")
        return f"<p>{self.summary()}</p>{table}"


def search_knee(
    measure: Measure,
    objective: KneeObjective,
    options: KneeOptions | None = None,
    *,
    is_time_left: Callable[[], bool] = lambda: True,
) -> KneeResult:
    """Ask for levels of users until the knee is known precisely enough.

    Parameters
    ----------
    measure : callable
        Puts a level of users on the server and returns the measured step.
    objective : KneeObjective
    options : KneeOptions, optional
    is_time_left : callable, optional
        Whether there is time for another step.

    Returns
    -------
    KneeResult
    """
    options = options or KneeOptions()
    steps: list[KneeStep] = []
    reason: StopReason | None = None
    while reason is None:
        steps.append(measure(next_users(steps, objective, options)))
        belief = belief_after(steps, objective, options)
        reason = _reason_to_stop(belief, steps, options, is_time_left=is_time_left())
    bound_by = _bound_by(steps, objective, options)
    return KneeResult(objective, belief.interval(options.level), reason, bound_by, tuple(steps), belief)


def belief_after(steps: Sequence[KneeStep], objective: KneeObjective, options: KneeOptions) -> KneeBelief:
    """What the steps so far say about the knee.

    Parameters
    ----------
    steps : sequence of KneeStep
    objective : KneeObjective
    options : KneeOptions

    Returns
    -------
    KneeBelief
    """
    return reduce(KneeBelief.first_of, _beliefs_by_limit(steps, objective, options).values())


def _beliefs_by_limit(
    steps: Sequence[KneeStep], objective: KneeObjective, options: KneeOptions
) -> dict[Bound, KneeBelief]:
    before, dispersion = KneeBelief.before_any_step(options.most_users), usual_dispersion(steps)
    evidence = [step.evidence(objective, dispersion) for step in steps]
    return {limit: before.after([item[limit] for item in evidence]) for limit in objective.limits}


def next_users(steps: Sequence[KneeStep], objective: KneeObjective, options: KneeOptions) -> int:
    """The level to ask for: the one that halves the belief, but never far beyond what has kept the objective.

    Parameters
    ----------
    steps : sequence of KneeStep
        Measured so far.
    objective : KneeObjective
    options : KneeOptions

    Returns
    -------
    int
        Users, from 1 to `most_users`.
    """
    if not steps:
        return options.start_users
    belief = belief_after(steps, objective, options)
    kept = [step.users for step in steps if belief.probability_kept(step.users) >= 0.5]
    farthest = math.ceil(options.growth * max(kept)) if kept else min(step.users for step in steps)
    return min(belief.halving_level, farthest, options.most_users)


def _reason_to_stop(
    belief: KneeBelief, steps: Sequence[KneeStep], options: KneeOptions, *, is_time_left: bool
) -> StopReason | None:
    found = belief.interval(options.level)
    if belief.probability_beyond >= options.level:
        return "not-reached"
    if belief.probability_none >= options.level:
        return "not-met"
    if found.low > 0 and found.high - found.low <= max(options.precision * found.mid, 1.0):
        return "precise"
    if len(steps) >= options.max_steps:
        return "steps"
    return None if is_time_left else "time"


def _bound_by(steps: Sequence[KneeStep], objective: KneeObjective, options: KneeOptions) -> Bound | None:
    """The limit whose knee comes first; None when no level was likely to break one."""
    beliefs = _beliefs_by_limit(steps, objective, options)
    together = reduce(KneeBelief.first_of, beliefs.values())
    if all(together.probability_kept(step.users) >= 0.5 for step in steps):
        return None
    return min(beliefs, key=lambda limit: beliefs[limit].interval().mid)
