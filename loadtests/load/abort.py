"""Conditions that end a load test early, judged over the requests of the last seconds."""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import format_duration, parse_duration_s, parse_fraction
from loadtests.tables import Outcome

DEFAULT_WINDOW_S = 10.0
FEWEST_REQUESTS = 20
"""Fewer requests in the window are not judged: one of them would be 5 %."""

_SHARES, _PERCENTILES = ("error-rate", "shed-rate"), {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_CONDITION = re.compile(r"\s*(?P<metric>[\w-]+)\s*>\s*(?P<limit>[^\s>]+)(?:\s+over\s+(?P<window>\S+))?\s*")
_BIN_RATIO = 1.02
_SHORTEST_S = 1e-6


@dataclass(frozen=True)
class AbortCondition:
    """A limit on what the last seconds may look like.

    Parameters
    ----------
    metric : {"error-rate", "shed-rate", "p50", "p95", "p99"}
        Share of all requests that were neither served nor shed; share that were shed; or a percentile of the residence
        times of served requests.
    limit : float
        A share (0 to 1), or seconds. The test ends when the metric is above it.
    window_s : float
        The last seconds that count.
    """

    metric: str
    limit: float
    window_s: float = DEFAULT_WINDOW_S

    def __post_init__(self) -> None:
        if self.metric not in (*_SHARES, *_PERCENTILES):
            raise InputError(f"metric is {self.metric!r}; it must be one of {', '.join((*_SHARES, *_PERCENTILES))}.")
        if self.metric in _SHARES and not 0 <= self.limit < 1:
            raise InputError(f"The limit of {self.metric} is {self.limit!r}; it must be a share from 0 up to below 1.")
        if self.metric in _PERCENTILES:
            positive(f"limit of {self.metric}", self.limit)
        positive("window_s", self.window_s)

    def text(self) -> str:
        """What `parse_abort` reads."""
        limit = repr(self.limit) if self.metric in _SHARES else f"{self.limit!r}s"
        return f"{self.metric}>{limit} over {self.window_s!r}s"

    def described(self, value: float) -> str:
        """A value of the metric for people.

        Parameters
        ----------
        value : float

        Returns
        -------
        str
        """
        return f"{value:.1%}" if self.metric in _SHARES else format_duration(value)


def parse_abort(text: str) -> AbortCondition:
    """Read ``error-rate>5%``, ``shed-rate>50%`` or ``p95>2s``, with ``over 30s`` behind it where 10 s are not right.

    Parameters
    ----------
    text : str

    Returns
    -------
    AbortCondition

    Raises
    ------
    InputError
        With the grammar, when the text does not fit it.
    """
    match = _CONDITION.fullmatch(text)
    try:
        if match is None:
            raise InputError("it has no metric, > and limit")
        metric, limit = match["metric"].lower(), match["limit"]
        value = parse_duration_s(limit, "limit") if metric in _PERCENTILES else parse_fraction(limit, "limit")
        return AbortCondition(metric, value, parse_duration_s(match["window"] or DEFAULT_WINDOW_S, "window"))
    except ValueError as error:
        raise InputError(
            f"The abort condition {text!r} cannot be read: {error} Write 'error-rate>5%', 'shed-rate>50%' or 'p95>2s' "
            "(also p50, p99), and 'over 30s' behind it for another window than 10 s."
        ) from None


@dataclass
class RequestCounts:
    """How requests ended in a while: numbers by outcome, and served ones by bins of residence time 2 % wide."""

    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, outcome: Outcome, residence_s: float) -> None:
        """Count one request.

        Parameters
        ----------
        outcome : str
        residence_s : float
        """
        self.outcomes[outcome] += 1
        if outcome == "served":
            self.latencies[math.ceil(math.log(max(residence_s, _SHORTEST_S)) / math.log(_BIN_RATIO))] += 1

    def update(self, other: RequestCounts) -> None:
        """Count those of another while, too.

        Parameters
        ----------
        other : RequestCounts
        """
        self.outcomes.update(other.outcomes)
        self.latencies.update(other.latencies)

    def to_dict(self) -> dict[str, Any]:
        """A form that travels between processes."""
        return {"outcomes": dict(self.outcomes), "latencies": {str(place): n for place, n in self.latencies.items()}}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RequestCounts:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        RequestCounts
        """
        return cls(Counter(data["outcomes"]), Counter({int(place): n for place, n in data["latencies"].items()}))

    @property
    def requests(self) -> int:
        """Number of all."""
        return self.outcomes.total()

    def metric(self, name: str) -> float:
        """A condition's metric; 0 where there is nothing to judge.

        Parameters
        ----------
        name : str

        Returns
        -------
        float
            A share, or the upper end of the percentile's bin in seconds.
        """
        if name in _PERCENTILES:
            return self._percentile_s(_PERCENTILES[name])
        shed = self.outcomes["shed"]
        wanted = shed if name == "shed-rate" else self.requests - self.outcomes["served"] - shed
        return wanted / max(self.requests, 1)

    def _percentile_s(self, probability: float) -> float:
        left = math.ceil(probability * self.latencies.total())
        for place in sorted(self.latencies):
            left -= self.latencies[place]
            if left <= 0:
                return float(_BIN_RATIO**place)
        return 0.0


@dataclass(frozen=True)
class Aborted:
    """A condition that was met.

    Parameters
    ----------
    condition : AbortCondition
    value : float
        Of its metric, then.
    requests : int
        In the window.
    """

    condition: AbortCondition
    value: float
    requests: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "condition": self.condition.text(), "value": self.value, "requests": self.requests,
            "window_s": self.condition.window_s,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Aborted:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : dict

        Returns
        -------
        Aborted
        """
        return cls(parse_abort(data["condition"]), float(data["value"]), int(data["requests"]))

    def text(self) -> str:
        """One sentence for people."""
        shown = self.condition.described(self.value)
        return (
            f"{self.condition.metric} was {shown} over {self.condition.window_s:g} s ({self.requests} requests), above "
            f"the limit of {self.condition.described(self.condition.limit)}"
        )


def abort_notice(journal: Path) -> Path:
    """Where the Locust process writes why it ended a test early."""
    return journal.with_suffix(".abort.json")


class RecentRequests:
    """The requests of the last seconds, in cells of a second.

    Parameters
    ----------
    conditions : iterable of AbortCondition
        What they are judged by.
    """

    def __init__(self, conditions: Iterable[AbortCondition]) -> None:
        self._conditions = tuple(conditions)
        self._longest_s = max((item.window_s for item in self._conditions), default=0.0)
        self._cells: deque[tuple[int, RequestCounts]] = deque()

    def cell(self, now_s: float) -> RequestCounts:
        """Where requests that finish now are counted.

        Parameters
        ----------
        now_s : float
            On any clock that does not go back.

        Returns
        -------
        RequestCounts
        """
        second = math.floor(now_s)
        if not self._cells or self._cells[-1][0] != second:
            self._cells.append((second, RequestCounts()))
        while self._cells[0][0] < now_s - self._longest_s - 1:
            self._cells.popleft()
        return self._cells[-1][1]

    def aborted(self, now_s: float) -> Aborted | None:
        """The first condition that is met now.

        Parameters
        ----------
        now_s : float

        Returns
        -------
        Aborted or None
        """
        for condition in self._conditions:
            counts = RequestCounts()
            for second, cell in self._cells:
                if second >= now_s - condition.window_s:
                    counts.update(cell)
            value = counts.metric(condition.metric)
            if counts.requests >= FEWEST_REQUESTS and value > condition.limit:
                return Aborted(condition, value, counts.requests)
        return None
