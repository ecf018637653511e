"""Daily bands, alerts, scaling rules and incident severities: rules as data, and what they say of measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.foundation.lazy import attach

if TYPE_CHECKING:
    from capacity.thresholds.bands import Band, BandProfile, MetricBands
    from capacity.thresholds.incidents import IncidentProfile, IncidentRule, severity
    from capacity.thresholds.judging import Verdict, band_of, verdict
    from capacity.thresholds.metrics import Metric
    from capacity.thresholds.profiles import ThresholdProfiles
    from capacity.thresholds.reach import UnreachableThreshold, unreachable
    from capacity.thresholds.report import Measurements, ThresholdReport, judge_thresholds
    from capacity.thresholds.scaling import ScalingProfile, ScalingRule
    from capacity.thresholds.triggers import ScalingVerdict, triggered

__all__ = [
    "Band",
    "BandProfile",
    "IncidentProfile",
    "IncidentRule",
    "Measurements",
    "Metric",
    "MetricBands",
    "ScalingProfile",
    "ScalingRule",
    "ScalingVerdict",
    "ThresholdProfiles",
    "ThresholdReport",
    "UnreachableThreshold",
    "Verdict",
    "band_of",
    "judge_thresholds",
    "severity",
    "triggered",
    "unreachable",
    "verdict",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Band": "capacity.thresholds.bands",
        "BandProfile": "capacity.thresholds.bands",
        "IncidentProfile": "capacity.thresholds.incidents",
        "IncidentRule": "capacity.thresholds.incidents",
        "Measurements": "capacity.thresholds.report",
        "Metric": "capacity.thresholds.metrics",
        "MetricBands": "capacity.thresholds.bands",
        "ScalingProfile": "capacity.thresholds.scaling",
        "ScalingRule": "capacity.thresholds.scaling",
        "ScalingVerdict": "capacity.thresholds.triggers",
        "ThresholdProfiles": "capacity.thresholds.profiles",
        "ThresholdReport": "capacity.thresholds.report",
        "judge_thresholds": "capacity.thresholds.report",
        "UnreachableThreshold": "capacity.thresholds.reach",
        "Verdict": "capacity.thresholds.judging",
        "band_of": "capacity.thresholds.judging",
        "severity": "capacity.thresholds.incidents",
        "triggered": "capacity.thresholds.triggers",
        "unreachable": "capacity.thresholds.reach",
        "verdict": "capacity.thresholds.judging",
    },
)
