"""Which band a measurement is in, and the verdict over several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capacity.thresholds.bands import LEVELS, Band, BandProfile, Level
from capacity.thresholds.metrics import Metric, checked_value
from loadtests.foundation.errors import InputError


@dataclass(frozen=True)
class JudgedMetric:
    """A measurement and the band that it is in.

    Parameters
    ----------
    value : float
        In the metric's unit.
    band : Band
        With the profile's name.
    """

    value: float
    band: Band

    @property
    def metric(self) -> Metric:
        """What was measured."""
        return self.band.metric

    @property
    def level(self) -> Level:
        """The band's level."""
        return self.band.level

    @property
    def has_crossed(self) -> bool:
        """Whether it has reached a threshold."""
        return self.level != "normal"

    def to_dict(self) -> dict[str, Any]:
        """JSON form; `threshold` is the edge that was reached, null where none was."""
        threshold = self.band.low if self.has_crossed else None
        return {"metric": str(self.metric), "value": self.value, "level": self.level, "threshold": threshold}


@dataclass(frozen=True)
class Verdict:
    """What a profile says of some measurements.

    Parameters
    ----------
    profile : str
        Name of the profile; others may judge the same numbers differently.
    judged : tuple of JudgedMetric
        In the order of the profile.
    not_measured : tuple of Metric
        Metrics of the profile without a measurement: of them the verdict says nothing.
    without_bands : tuple of Metric
        Measurements that the profile has no bands for.
    """

    profile: str
    judged: tuple[JudgedMetric, ...]
    not_measured: tuple[Metric, ...] = ()
    without_bands: tuple[Metric, ...] = ()

    @property
    def level(self) -> Level:
        """The worst level of what was judged."""
        return max((item.level for item in self.judged), key=LEVELS.index)

    @property
    def crossed(self) -> tuple[JudgedMetric, ...]:
        """What has reached a threshold, worst first."""
        crossed = [item for item in self.judged if item.has_crossed]
        return tuple(sorted(crossed, key=lambda item: LEVELS.index(item.level), reverse=True))

    def summary(self) -> str:
        """One line with the profile's name, and one for each metric that has reached a threshold."""
        first = f"{self.profile}: {self.level}, {len(self.crossed)} of {len(self.judged)} metrics reached a threshold"
        crossed = (
            f"  {item.level}: {item.metric} is {item.value:g}, at or above {item.band.low:g}" for item in self.crossed
        )
        missing = [f"  not measured: {', '.join(self.not_measured)}"] if self.not_measured else []
        return "\n".join([first, *crossed, *missing])

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "profile": self.profile,
            "level": self.level,
            "judged": [item.to_dict() for item in self.judged],
            "not_measured": [str(metric) for metric in self.not_measured],
            "without_bands": [str(metric) for metric in self.without_bands],
        }


def band_of(profile: BandProfile, metric: Metric | str, value: float) -> Band:
    """Return the one band of `profile` that a measured value is in.

    Parameters
    ----------
    profile : BandProfile
    metric : Metric or str
    value : float
        In the metric's unit. A value on an edge is in the band that begins there.

    Returns
    -------
    Band
        With the profile's name.

    Raises
    ------
    InputError
        For a metric without bands here, and for NaN, negative values and percentages given as shares.

    Examples
    --------
    >>> from capacity.thresholds import BandProfile
    >>> band_of(BandProfile.guide("daily"), "p95_s", 0.05).level
    'warning'
    """
    bands = profile.of(metric)
    value = checked_value(bands[0].metric, value)
    return next(band for band in bands if value in band)


def verdict(profile: BandProfile, measurements: Mapping[Metric | str, float]) -> Verdict:
    """Return the band of every measurement, and the worst of them.

    Parameters
    ----------
    profile : BandProfile
    measurements : mapping of metric to float
        Metrics that the profile has no bands for are listed in the result, and otherwise ignored.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        For an unknown metric, a value that it cannot have, and when nothing can be judged.
    """
    values = {Metric.parse(metric): checked_value(Metric.parse(metric), v) for metric, v in measurements.items()}
    judged = [metric for metric in profile.metrics if metric in values]
    if not judged:
        raise InputError(
            f"Nothing that the profile {profile.name!r} judges was measured (given: {', '.join(values) or 'nothing'}); "
            f"it has bands of {', '.join(profile.metrics)}."
        )
    return Verdict(
        profile.name,
        tuple(JudgedMetric(values[metric], band_of(profile, metric, values[metric])) for metric in judged),
        tuple(metric for metric in profile.metrics if metric not in values),
        tuple(metric for metric in values if metric not in profile.metrics),
    )
