"""What an instance must keep, and whether a run keeps it.

Bad is every logical request that did not end served: shed at the gate or at the line, timed out,
abandoned, failed. A limit on the times of served requests alone would praise a server that
gives up on its slow ones, so the share of bad ones should be limited too. With retries a request counts
once, from its first sending to its last answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.checks import positive
from loadtests.foundation.errors import InputError
from loadtests.foundation.intervals import Interval
from simulations.analysis.batch_means import RECOMMENDED_BATCHES, batch_share_interval
from simulations.analysis.metrics import Window
from simulations.engines.request_log import OUTCOME_NAMES, SERVED, RequestLog
from simulations.model.server_model import ServerModel

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BAD = "bad"
_DEFAULT_PERCENTILE = 0.95


class ObjectiveNotMetError(InputError):
    """No load at all meets the objective, not even the lightest."""


@dataclass(frozen=True)
class Limit:
    """One thing that an objective bounds.

    Parameters
    ----------
    most : float
        Largest share of bad requests, or largest percentile in seconds.
    probability : float, optional
        Of the percentile; None: this is the limit on bad requests.
    request_class : str, optional
        Whose requests; None: of all classes that count.
    """

    most: float
    probability: float | None = None
    request_class: str | None = None

    @property
    def name(self) -> str:
        """``bad``, ``p95``, ``p99``, ..."""
        return BAD if self.probability is None else f"p{100 * self.probability:.10g}"

    @property
    def allowed_share(self) -> float:
        """The share of requests that may break the limit: `most` for bad ones, 1 - probability for slow ones."""
        return self.most if self.probability is None else 1.0 - self.probability

    def excess(self, share: float) -> float:
        """How far a share of requests lies beyond the allowed one, relative to it; infinity where it is not known."""
        allowed = self.allowed_share
        return math.inf if math.isnan(share) else (share - allowed) / (allowed or 1.0)


@dataclass(frozen=True)
class Objective:
    """What an instance must keep; at least one limit.

    Parameters
    ----------
    p95_s : float, optional
        Largest 95th percentile of the total time of served requests, seconds.
    max_bad_fraction : float, optional
        Largest share of requests that do not end served, 0 up to 1. 0 asks that none was seen.
    percentiles_s : mapping of float to float
        Other percentiles: the largest time in seconds by probability, such as ``{0.99: 0.2}``.
    class_limits : mapping of str to float
        Largest 95th percentile of single request classes, seconds.
    request_class : str, optional
        Judge this class alone. Default: all classes but those with `in_objective` False
        (health probes, metrics calls).

    Raises
    ------
    InputError
        Without any limit, or for a limit out of range.
    """

    p95_s: float | None = None
    max_bad_fraction: float | None = None
    percentiles_s: Mapping[float, float] = field(default_factory=dict, hash=False)
    class_limits: Mapping[str, float] = field(default_factory=dict, hash=False)
    request_class: str | None = None

    def __post_init__(self) -> None:
        if self.p95_s is None and self.max_bad_fraction is None and not self.percentiles_s and not self.class_limits:
            raise InputError("An objective needs a limit: give p95_s= or max_bad_fraction=.")
        if self.p95_s is not None:
            positive("p95_s", self.p95_s)
        if self.max_bad_fraction is not None and not 0 <= self.max_bad_fraction < 1:
            raise InputError(
                f"max_bad_fraction is {self.max_bad_fraction!r}; it must lie between 0 and 1, for example 0.001."
            )
        for probability, most_s in self.percentiles_s.items():
            if not 0 < probability < 1:
                raise InputError(f"A percentile of {probability!r} is asked for; it must lie between 0 and 1 (0.99).")
            positive(f"the limit of percentile {probability:g}", most_s)
        for name, most_s in self.class_limits.items():
            positive(f"the limit of the request class {name!r}", most_s)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Every limit, the one on bad requests first."""
        own = self.request_class
        times = {**({} if self.p95_s is None else {_DEFAULT_PERCENTILE: self.p95_s}), **self.percentiles_s}
        return (
            *(() if self.max_bad_fraction is None else (Limit(self.max_bad_fraction, None, own),)),
            *(Limit(most_s, probability, own) for probability, most_s in sorted(times.items())),
            *(Limit(most_s, _DEFAULT_PERCENTILE, name) for name, most_s in self.class_limits.items()),
        )

    @property
    def slowest_s(self) -> float:
        """The largest time that any limit allows; infinity without a limit on times."""
        return max((item.most for item in self.limits if item.probability is not None), default=math.inf)

    def check(self, model: ServerModel) -> None:
        """Refuse classes that the model does not have, and an objective that no class counts for."""
        known = [item.name for item in model.classes]
        named = {*self.class_limits, *(() if self.request_class is None else (self.request_class,))}
        unknown = sorted(named - set(known))
        if unknown:
            raise InputError(
                f"The objective names the request class {', '.join(unknown)}; the model has {', '.join(known)}."
            )
        if self.request_class is None and not any(item.in_objective for item in model.classes):
            raise InputError(
                "No request class of the model counts (in_objective is False for all); name one: request_class=."
            )

    def to_dict(self) -> dict[str, Any]:
        """Only what is set; JSON-ready."""
        given = {
            "p95_s": self.p95_s, "max_bad_fraction": self.max_bad_fraction,
            "percentiles_s": {f"{name:g}": value for name, value in self.percentiles_s.items()} or None,
            "class_limits": dict(self.class_limits) or None, "request_class": self.request_class,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Judged:
    """One limit in one run.

    A percentile keeps its limit where the share of slower requests is at most 1 - probability. That
    share is what intervals are made of: it is a mean, and has none of a quantile's bias in short batches.

    Parameters
    ----------
    limit : Limit
    value : float
        The share of bad requests, or the percentile in seconds; NaN where nothing was seen.
    share : float
        Of requests that are bad, or slower than the limit.
    interval : Interval
        Of the share, with a level; else unknown.
    is_long_enough : bool
        Whether the run was long enough for the interval.
    """

    limit: Limit
    value: float
    share: float
    interval: Interval
    is_long_enough: bool = True

    @property
    def is_kept(self) -> bool:
        """Whether the value lies within the limit; what was not seen is not kept."""
        return self.value <= self.limit.most


@dataclass(frozen=True)
class Judgement:
    """What a run says about an objective.

    Parameters
    ----------
    parts : tuple of Judged
        In the order of `Objective.limits`.
    outcomes : dict of str to int
        Logical requests that count, by how they ended.
    rate_rps : float
        Logical requests of all classes that ended per second.
    in_flight : float
        Mean number of requests inside the servers.
    """

    parts: tuple[Judged, ...]
    outcomes: dict[str, int]
    rate_rps: float
    in_flight: float

    @property
    def is_met(self) -> bool:
        """Whether every limit is kept."""
        return all(item.is_kept for item in self.parts)

    @property
    def requests(self) -> int:
        """Logical requests that were judged."""
        return sum(self.outcomes.values())

    @property
    def bad_fraction(self) -> float:
        """Share of them that did not end served; NaN without any."""
        return 1.0 - self.outcomes[OUTCOME_NAMES[SERVED]] / self.requests if self.requests else math.nan


def judge(
    log: RequestLog, window: Window, model: ServerModel, objective: Objective, *, level: float | None = None
) -> Judgement:
    """Judge the logical requests that ended inside a window.

    Parameters
    ----------
    log : RequestLog
    window : Window
        After the warm-up.
    model : ServerModel
        Whose request classes the log's numbers mean.
    objective : Objective
    level : float, optional
        Of confidence intervals by batch means. Default: none, which is faster.

    Returns
    -------
    Judgement
        Values are NaN where no request ended (no percentile without a served one).

    Raises
    ------
    InputError
        When the objective names a class that the model does not have.
    """
    objective.check(model)
    ended = _Ended.inside(log, window)
    masks = {name: ended.of_class(model, name) for name in {item.request_class for item in objective.limits}}
    parts = tuple(_judged(ended.only(masks[item.request_class]), item, level) for item in objective.limits)
    counted = ended.only(ended.of_class(model, objective.request_class))
    counts = np.bincount(counted.outcome, minlength=len(OUTCOME_NAMES)).tolist()
    rate_rps = len(ended.outcome) / window.length_s if window.length_s > 0 else math.nan
    return Judgement(parts, dict(zip(OUTCOME_NAMES, counts, strict=True)), rate_rps, _mean_inside(log, window))


def _mean_inside(log: RequestLog, window: Window) -> float:
    """Time average of the attempts between arrival and departure."""
    overlap_s = np.minimum(log.departure_s, window.end_s) - np.maximum(log.arrival_s, window.start_s)
    return float(np.sum(np.maximum(overlap_s, 0.0))) / window.length_s if window.length_s > 0 else math.nan


@dataclass(frozen=True)
class _Ended:
    """Logical requests that ended inside a window; `place` is each one's batch."""

    total_s: Floats
    outcome: NDArray[np.int8]
    request_class: NDArray[np.int64]
    place: NDArray[np.int16]

    @classmethod
    def inside(cls, log: RequestLog, window: Window) -> _Ended:
        if log.waits.most_attempts > 1:
            ledger = log.logical()
            answered_s, total_s, outcome, kind = ledger.answered_s, ledger.total_s, ledger.outcome, ledger.request_class
        else:  # every attempt is a logical request
            answered_s, outcome, kind = log.answered_s, log.outcome, log.request_class
            total_s = answered_s - log.arrival_s
        inside = (answered_s >= window.start_s) & (answered_s < window.end_s)
        share = (answered_s[inside] - window.start_s) / max(window.length_s, 1e-300)
        place = np.minimum((share * RECOMMENDED_BATCHES).astype(np.int16), np.int16(RECOMMENDED_BATCHES - 1))
        return cls(total_s[inside], outcome[inside], kind[inside], place)

    def of_class(self, model: ServerModel, name: str | None) -> Mask:
        """Which requests count: of the class named, or of every class in the objective."""
        counts = [item.in_objective if name is None else item.name == name for item in model.classes]
        return np.asarray(np.array(counts)[self.request_class])

    def only(self, mask: Mask) -> _Ended:
        if mask.all():
            return self
        return _Ended(self.total_s[mask], self.outcome[mask], self.request_class[mask], self.place[mask])

    def per_batch(self, mask: Mask) -> Floats:
        return np.bincount(self.place[mask], minlength=RECOMMENDED_BATCHES).astype(float)


def _judged(ended: _Ended, limit: Limit, level: float | None) -> Judged:
    is_served = ended.outcome == SERVED
    if limit.probability is None:
        share, interval, is_long_enough = _share(ended, ~is_served, level)
        return Judged(limit, share, share, interval, is_long_enough)
    served = ended.only(is_served)
    value = float(np.quantile(served.total_s, limit.probability)) if served.total_s.size else math.nan
    share, interval, is_long_enough = _share(served, served.total_s > limit.most, level)
    return Judged(limit, value, share, interval, is_long_enough)


def _share(ended: _Ended, counts: Mask, level: float | None) -> tuple[float, Interval, bool]:
    """Share of the requests for which `counts` is true, its interval, and whether the run was long enough for that."""
    share = float(np.count_nonzero(counts)) / counts.size if counts.size else math.nan
    if level is None or not counts.size:
        return share, Interval.unknown(), True
    requests, counted = ended.per_batch(np.ones(counts.size, bool)), ended.per_batch(counts)
    with np.errstate(invalid="ignore"):
        found = batch_share_interval(counted / requests, requests, level)
    return share, found.interval, found.is_long_enough
