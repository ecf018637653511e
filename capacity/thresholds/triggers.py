"""Which scaling rules have held for as long as they say, in a series over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from capacity.thresholds.metrics import Metric, checked_value, reaches
from capacity.thresholds.scaling import ScalingProfile, ScalingRule
from loadtests.foundation.checks import positive, stated_number
from loadtests.foundation.errors import InputError

Series = tuple[Sequence[float], Sequence[float]]

MAX_GAP_S = 60.0


@dataclass(frozen=True)
class Episode:
    """One stretch of time over which a scaling rule held long enough.

    Parameters
    ----------
    profile : str
        Name of the profile that has the rule.
    rule : ScalingRule
    since_s : float
        Time of the first sample at or above the threshold.
    triggered_at_s : float
        Time of the first sample by which it had held for the rule's duration.
    until_s : float
        Time of the last sample at or above the threshold without interruption.
    is_holding : bool
        Whether that is the last sample of the series.
    """

    profile: str
    rule: ScalingRule
    since_s: float
    triggered_at_s: float
    until_s: float
    is_holding: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        times = {name: getattr(self, name) for name in ("since_s", "triggered_at_s", "until_s", "is_holding")}
        return {"profile": self.profile, "rule": self.rule.to_dict(), **times}


@dataclass(frozen=True)
class ScalingVerdict:
    """What a scaling profile says of some series.

    Parameters
    ----------
    profile : str
        Name of the profile.
    episodes : tuple of Episode
        Every time that a rule triggered, in the order of time.
    not_measured : tuple of Metric
        Metrics of the rules without a series or samples: of these rules the verdict says nothing.
    """

    profile: str
    episodes: tuple[Episode, ...]
    not_measured: tuple[Metric, ...] = ()

    @property
    def rules(self) -> tuple[ScalingRule, ...]:
        """The rules that triggered at least once, each once, in the order of time."""
        return tuple(dict.fromkeys(episode.rule for episode in self.episodes))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "profile": self.profile,
            "episodes": [episode.to_dict() for episode in self.episodes],
            "not_measured": [str(metric) for metric in self.not_measured],
        }


def triggered(
    profile: ScalingProfile, series: Mapping[Metric | str, Series], *, max_gap_s: float = MAX_GAP_S
) -> ScalingVerdict:
    """Return which scaling rules have held for their duration, and when.

    A rule triggers at the first sample whose time is at least the rule's duration after the first
    of an unbroken run of samples at or above the threshold. One lower sample breaks a run. So does
    NaN, and a gap of more than `max_gap_s` between samples: what was not seen to hold did not hold.
    A rule triggers once in a run.

    Parameters
    ----------
    profile : ScalingProfile
    series : mapping of metric to (times in s, values)
        Two sequences of equal length, the times strictly increasing. A value may be NaN. Metrics
        without a rule are ignored.
    max_gap_s : float, default 60
        Longest time between two samples over which a condition is taken to hold; above 0.

    Returns
    -------
    ScalingVerdict

    Raises
    ------
    InputError
        For an unknown metric, times that do not increase, lengths that differ, and values that
        the metric cannot have.

    Examples
    --------
    >>> from capacity.thresholds import ScalingProfile
    >>> hot = {"cpu_utilization": ([0, 60, 120, 180, 240, 300], [0.9] * 6)}
    >>> [episode.triggered_at_s for episode in triggered(ScalingProfile.guide(), hot).episodes]
    [300.0]
    """
    max_gap_s = positive("max_gap_s", max_gap_s)
    samples = {Metric.parse(metric): _checked_samples(Metric.parse(metric), given) for metric, given in series.items()}
    episodes = [
        episode
        for rule in profile.rules
        if samples.get(rule.metric)
        for episode in _episodes(profile.name, rule, samples[rule.metric], max_gap_s)
    ]
    not_measured = tuple(dict.fromkeys(rule.metric for rule in profile.rules if not samples.get(rule.metric)))
    return ScalingVerdict(
        profile.name, tuple(sorted(episodes, key=lambda episode: episode.triggered_at_s)), not_measured
    )


def _episodes(
    profile: str, rule: ScalingRule, samples: list[tuple[float, float]], max_gap_s: float
) -> Iterator[Episode]:
    for run in _runs(samples, rule.threshold, max_gap_s):
        enough = next((time_s for time_s in run if time_s - run[0] >= rule.duration_s), None)
        if enough is not None:
            yield Episode(profile, rule, run[0], enough, run[-1], run[-1] == samples[-1][0])


def _runs(samples: list[tuple[float, float]], threshold: float, max_gap_s: float) -> Iterator[list[float]]:
    """Times of each unbroken run at or above the threshold; NaN is neither."""
    run: list[float] = []
    for time_s, value in samples:
        if run and (time_s - run[-1] > max_gap_s or not reaches(value, threshold)):
            yield run
            run = []
        if reaches(value, threshold):
            run.append(time_s)
    if run:
        yield run


def _checked_samples(metric: Metric, series: Series) -> list[tuple[float, float]]:
    if len(series) != 2:
        raise InputError(f"The series of {metric} has {len(series)} parts; it must be two: times in seconds, values.")
    times_s, values = series
    if len(times_s) != len(values):
        raise InputError(f"The series of {metric} has {len(times_s)} times and {len(values)} values; give as many.")
    times = [stated_number(f"A time of {metric}", time_s) for time_s in times_s]
    for row, (before, after) in enumerate(pairwise(times), start=1):
        if after <= before:
            raise InputError(
                f"The times of {metric} do not increase: {before:g} s is followed by {after:g} s (position {row}); "
                "sort the series by time and keep one value for each."
            )
    return [(time_s, _known_or_nan(metric, value)) for time_s, value in zip(times, values, strict=True)]


def _known_or_nan(metric: Metric, value: float) -> float:
    is_nan = value != value  # of any kind of float, NumPy's too
    return math.nan if is_nan else checked_value(metric, value)
