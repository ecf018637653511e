"""All profiles at once: what they say of some measurements, and which of their thresholds cannot fire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capacity.thresholds.bands import BandProfile, Level
from capacity.thresholds.incidents import IncidentSeverity, severity
from capacity.thresholds.judging import Verdict, verdict
from capacity.thresholds.metrics import Metric
from capacity.thresholds.profiles import ThresholdProfiles
from capacity.thresholds.reach import UnreachableThreshold, unreachable
from capacity.thresholds.triggers import ScalingVerdict, Series, triggered
from loadtests.deployment import Deployment
from loadtests.foundation.errors import InputError

_SERIES_KEYS = ("time_s", "value")


@dataclass(frozen=True)
class Measurements:
    """What was measured of one instance.

    Parameters
    ----------
    values : mapping of Metric to float
    series : mapping of Metric to (times in s, values)
        For scaling rules, which must hold for some time.
    degradation : float, default 0
        How much worse the service performs than usual, as a share: for the severity of an incident.
    """

    values: Mapping[Metric | str, float]
    series: Mapping[Metric | str, Series]
    degradation: float = 0.0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], degradation: float = 0.0) -> Measurements:
        """Read metrics by name: a number, or a series ``{"time_s": [..], "value": [..]}``.

        Parameters
        ----------
        data : dict
        degradation : float, default 0

        Returns
        -------
        Measurements

        Raises
        ------
        InputError
            For an unknown metric, and an object that is no series.
        """
        values: dict[Metric | str, float] = {
            Metric.parse(name): part for name, part in data.items() if not isinstance(part, Mapping)
        }
        series: dict[Metric | str, Series] = {
            Metric.parse(name): _series(name, part) for name, part in data.items() if isinstance(part, Mapping)
        }
        return cls(values, series, degradation)


@dataclass(frozen=True)
class ThresholdReport:
    """What all profiles say. Made by `judge_thresholds`.

    Parameters
    ----------
    profiles : ThresholdProfiles
    verdicts : tuple of Verdict
        Of the band profiles that have bands of something measured.
    scaling : ScalingVerdict, optional
        Where series were measured.
    incident : {"P0", "P1", "P2", "P3"}, optional
        How severe an incident it is if it is one; where the error rate was measured.
    silent : tuple of UnreachableThreshold
        Thresholds that cannot fire under the deployment's limits.
    without_bands : tuple of Metric
        Measured values of which no profile has bands.
    """

    profiles: ThresholdProfiles
    verdicts: tuple[Verdict, ...]
    scaling: ScalingVerdict | None
    incident: IncidentSeverity | None
    silent: tuple[UnreachableThreshold, ...]
    without_bands: tuple[Metric, ...] = ()

    @property
    def level(self) -> Level | None:
        """The worst level of any profile; None where nothing was judged."""
        levels = [item.level for item in self.verdicts]
        return next((level for level in ("critical", "warning", "normal") if level in levels), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "profiles": self.profiles.to_dict(), "level": self.level,
            "verdicts": [item.to_dict() for item in self.verdicts],
            "scaling": None if self.scaling is None else self.scaling.to_dict(), "incident": self.incident,
            "unreachable": [item.to_dict() for item in self.silent],
            "without_bands": [str(metric) for metric in self.without_bands],
        }  # fmt: skip


def judge_thresholds(
    profiles: ThresholdProfiles,
    measured: Measurements | None = None,
    deployment: Deployment | None = None,
    *,
    residence_time_s: float | None = None,
) -> ThresholdReport:
    """Hold measurements against every profile, and the profiles against a deployment.

    Parameters
    ----------
    profiles : ThresholdProfiles
    measured : Measurements, optional
    deployment : Deployment, optional
        Limits of one instance; without them nothing is said of thresholds that cannot fire.
    residence_time_s : float, optional
        Mean residence time of served requests at the gate; with it throughput is bounded too.

    Returns
    -------
    ThresholdReport

    Raises
    ------
    InputError
        For values that a metric cannot have, and measurements of which no profile has anything to say.
    """
    found = measured or Measurements({}, {})
    silent = () if deployment is None else tuple(
        item for profile in profiles.with_thresholds()
        for item in unreachable(profile, deployment, residence_time_s=residence_time_s)
    )  # fmt: skip
    error_rate = found.values.get(Metric.ERROR_RATE)
    report = ThresholdReport(
        profiles,
        tuple(verdict(profile, found.values) for profile in _with_something_to_say(profiles, found)),
        triggered(profiles.scaling, found.series) if found.series else None,
        None if error_rate is None else severity(error_rate, found.degradation, profile=profiles.incident),
        silent,
        tuple(Metric.parse(name) for name in found.values if name not in _metrics(profiles)),
    )
    if found.values and not found.series and not report.verdicts:
        raise InputError(
            f"No profile has bands of {', '.join(found.values)}; there are bands of {', '.join(_metrics(profiles))}."
        )
    return report


def _band_profiles(profiles: ThresholdProfiles) -> tuple[BandProfile, ...]:
    return profiles.daily, profiles.alert, profiles.readiness


def _metrics(profiles: ThresholdProfiles) -> list[Metric]:
    """Every metric that some profile has bands of."""
    return list(dict.fromkeys(metric for profile in _band_profiles(profiles) for metric in profile.metrics))


def _with_something_to_say(profiles: ThresholdProfiles, found: Measurements) -> list[BandProfile]:
    return [item for item in _band_profiles(profiles) if any(metric in found.values for metric in item.metrics)]


def _series(name: str, part: Mapping[str, Any]) -> Series:
    if set(part) != set(_SERIES_KEYS) or not all(isinstance(part[key], (list, tuple)) for key in _SERIES_KEYS):
        raise InputError(f'{name} is {dict(part)!r}; write a number, or a series {{"time_s": [0, 60], "value": [..]}}.')
    return part["time_s"], part["value"]
