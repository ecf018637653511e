"""A recording: what real requests did on a real server, step by step.

Its tables are described in `loadtests.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from loadtests.deployment import Deployment
from loadtests.estimation.repeats import PooledLevels, pool_levels
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.gaps import Gaps, gap_table, gaps_between
from loadtests.load.pacing import SESSIONS
from loadtests.tables import GENERATOR_COLUMNS, LATENCY_BIN_COLUMNS, empty_table

STEP_METRICS: tuple[str, ...] = (
    "throughput_rps", "goodput_rps", "shed_rate", "mean_s", "p50_s", "p95_s", "p99_s",
)  # fmt: skip
"""Measured per step. Latencies are of served requests only; `shed_rate` is a fraction of all requests."""


@dataclass(frozen=True)
class Cut:
    """What was left out at the front of a plateau.

    Parameters
    ----------
    seconds : float
        From the moment that the step's users were running to the start of its steady window.
    requests : int
        Requests that finished in that time.
    reason : str
        The planned settling time, or the transient that was found.
    """

    seconds: float
    requests: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"seconds": self.seconds, "requests": self.requests, "reason": self.reason}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Cut:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        Cut
        """
        return cls(float(data["seconds"]), int(data["requests"]), str(data["reason"]))


@dataclass(frozen=True)
class LoadStep:
    """One steady plateau of a recording.

    Parameters
    ----------
    step : int
        Number of the step, from 1.
    users : int
        Load of the plateau: simulated users, or what `load_quantity` says.
    start_s, end_s : float
        The steady window (ramp and warm-up cut), on the clock of the requests table.
    requests : int
        Requests that finished inside the window.
    metrics : dict of str to Interval
        The `STEP_METRICS`, each with its interval.
    outcomes : dict of str to int
        Number of requests by outcome inside the window.
    gap_mean_s : float
        Mean time between a user's response and its next request, open gaps included (`steady_state.mean_gap_s`).
    think : str
        The nominal think time, text form; empty when unknown.
    load_quantity : Quantity
        What `users` counts. `Quantity.IN_FLIGHT`, the mean number of requests inside, where load is
        open and its users are not known.
    blocks : int
        Blocks of time that the intervals come from; 0: not known. Fewer than 20 make wide intervals,
        which are less sure than they claim to be.
    cut : Cut, optional
        What was left out at its front; None: not known.
    """

    step: int
    users: int
    start_s: float
    end_s: float
    requests: int
    metrics: dict[str, Interval] = field(repr=False)
    outcomes: dict[str, int] = field(default_factory=dict)
    gap_mean_s: float = float("nan")
    think: str = ""
    load_quantity: Quantity = Quantity.USERS
    blocks: int = 0
    cut: Cut | None = None

    @property
    def window_s(self) -> float:
        """Length of the steady window."""
        return self.end_s - self.start_s

    @property
    def load_text(self) -> str:
        """The load for people: ``40 users``, ``12 in flight``."""
        return f"{self.users} {self.load_quantity.value.replace('_', ' ')}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        plain = {name: getattr(self, name) for name in ("step", "users", "start_s", "end_s", "requests")}
        metrics = {name: interval.to_dict() for name, interval in self.metrics.items()}
        return {
            **plain,
            "gap_mean_s": self.gap_mean_s,
            "think": self.think,
            "load_quantity": self.load_quantity.value,
            "blocks": self.blocks,
            "cut": None if self.cut is None else self.cut.to_dict(),
            "outcomes": self.outcomes,
            "metrics": metrics,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> LoadStep:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        LoadStep
        """
        metrics = {name: Interval.from_dict(value) for name, value in data["metrics"].items()}
        gap, cut = data.get("gap_mean_s"), data.get("cut")
        return cls(
            step=int(data["step"]),
            users=int(data["users"]),
            start_s=float(data["start_s"]),
            end_s=float(data["end_s"]),
            requests=int(data["requests"]),
            metrics=metrics,
            outcomes=dict(data["outcomes"]),
            gap_mean_s=float("nan") if gap is None else float(gap),
            think=str(data.get("think", "")),
            load_quantity=Quantity.parse(data.get("load_quantity", "users")),
            blocks=int(data.get("blocks", 0)),
            cut=None if cut is None else Cut.from_dict(cut),
        )


@dataclass(frozen=True, repr=False)
class Recording:
    """Requests, steady steps and the deployment that they were measured on.

    Parameters
    ----------
    deployment : Deployment
        The configured limits of the server under test, as far as stated.
    steps : tuple of LoadStep
    requests : pandas.DataFrame
        One row a request, columns `REQUEST_COLUMNS`.
    gauges : pandas.DataFrame
        What the server said of itself once a second (may be empty).
    manifest : dict
        Versions, command, hashes of the source files, seed.
    path : Path or None
        The folder that it was read from.
    latency_bins : pandas.DataFrame
        Interval-censored residence times, columns `LATENCY_BIN_COLUMNS`, of steps whose requests
        are not known one by one; empty when every step has its requests.
    generator : pandas.DataFrame
        State of the load generator's processes, columns `GENERATOR_COLUMNS` (may be empty).
    """

    deployment: Deployment
    steps: tuple[LoadStep, ...]
    requests: pd.DataFrame
    gauges: pd.DataFrame = field(default_factory=pd.DataFrame)
    manifest: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    latency_bins: pd.DataFrame = field(default_factory=lambda: empty_table(LATENCY_BIN_COLUMNS))
    generator: pd.DataFrame = field(default_factory=lambda: empty_table(GENERATOR_COLUMNS))

    @property
    def has_sessions(self) -> bool:
        """Whether its users are visitors who came, sent some requests and left; a step's `users` are their sources."""
        return bool(self.manifest.get("generator", {}).get("loop") == SESSIONS)

    def step(self, number: int) -> LoadStep:
        """The step with this number.

        Parameters
        ----------
        number : int

        Returns
        -------
        LoadStep

        Raises
        ------
        InputError
            When there is no such step; with the numbers that there are.
        """
        for item in self.steps:
            if item.step == number:
                return item
        raise InputError(f"There is no step {number}; this recording has steps {[item.step for item in self.steps]}.")

    def only(self, numbers: Iterable[int]) -> Recording:
        """The same recording with just these steps (the requests table stays whole).

        Parameters
        ----------
        numbers : iterable of int
            Numbers of steps, each once: a step that counted twice would pass for twice the evidence.

        Returns
        -------
        Recording
            Its steps in the order of `numbers`.

        Raises
        ------
        InputError
            For a number that is repeated, or that no step has.
        """
        wanted = list(numbers)
        repeated = sorted({number for number in wanted if wanted.count(number) > 1})
        if repeated:
            raise InputError(f"Steps are given more than once: {', '.join(map(str, repeated))}; name each step once.")
        return replace(self, steps=tuple(self.step(number) for number in wanted))

    def without(self, numbers: Iterable[int]) -> Recording:
        """The same recording without these steps.

        Parameters
        ----------
        numbers : iterable of int

        Returns
        -------
        Recording

        Raises
        ------
        InputError
            For a number that no step has.
        """
        left_out = {self.step(number).step for number in numbers}
        return replace(self, steps=tuple(item for item in self.steps if item.step not in left_out))

    def requests_in(self, step: LoadStep) -> pd.DataFrame:
        """The rows that finished inside the step's steady window.

        Parameters
        ----------
        step : LoadStep

        Returns
        -------
        pandas.DataFrame
            Columns `REQUEST_COLUMNS`.
        """
        finish = self.requests["finish_s"]
        return self.requests[(finish >= step.start_s) & (finish < step.end_s)]

    def gaps(self, step: LoadStep) -> Gaps:
        """Times between a user's response and its next request, for gaps that began in the step's window.

        A gap that was still open when its worker stopped sending, or when its user was stopped
        for a lighter step, is censored: all that is known is that it was longer. Leaving those
        out would favour short gaps. Visitors of sessions leave after their last request, which opens none.

        Parameters
        ----------
        step : LoadStep

        Returns
        -------
        Gaps
        """
        is_ramp_down_ahead = any(item.users < step.users for item in self.steps if item.start_s > step.start_s)
        table = gap_table(self.requests, users_leave=self.has_sessions)
        return gaps_between(table, step.start_s, step.end_s, is_ramp_down_ahead=is_ramp_down_ahead)

    def pooled_levels(self) -> PooledLevels:
        """Steps with the same users as one level, with what differs between runs in its intervals.

        Steps of several recordings of one server are pooled by `loadtests.estimation.repeats.pool_levels`.

        Returns
        -------
        PooledLevels
            A tuple of `PooledLevel`, in ascending order of users.
        """
        return pool_levels(self.steps)

    def to_frame(self) -> pd.DataFrame:
        """One row a step: users, window, counts, what was cut, and low/mid/high of every metric."""
        rows = []
        for item in self.steps:
            row: dict[str, Any] = {
                "step": item.step,
                "users": item.users,
                "window_s": item.window_s,
                "requests": item.requests,
                "blocks": item.blocks,
                "cut_s": float("nan") if item.cut is None else item.cut.seconds,
                "cut_requests": 0 if item.cut is None else item.cut.requests,
            }
            for name, interval in item.metrics.items():
                row |= {f"{name}_low": interval.low, f"{name}_mid": interval.mid, f"{name}_high": interval.high}
            rows.append(row)
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        for item in self.steps:
            p95, goodput, shed = (item.metrics[name] for name in ("p95_s", "goodput_rps", "shed_rate"))
            lines.append(
                f"  step {item.step}: {item.load_text}, {goodput.mid:.4g} served/s, p95 {p95.mid * 1e3:.4g} ms, "
                f"shed {shed.mid:.2%}, {item.requests} requests in {item.window_s:.3g} s{_cut_text(item.cut)}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        loads = ", ".join(str(item.users) for item in self.steps)
        counted = " or ".join(sorted({item.load_quantity.value.replace("_", " ") for item in self.steps})) or "users"
        return f"Recording({len(self.requests)} requests, {len(self.steps)} steps at {loads} {counted})"

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}"))


def _cut_text(cut: Cut | None) -> str:
    return "" if cut is None else f" ({cut.seconds:.3g} s cut before: {cut.reason})"
