"""One threshold: a metric, a value, and what reaching it means."""

from __future__ import annotations

from dataclasses import dataclass

from capacity.thresholds.metrics import Metric


@dataclass(frozen=True)
class Threshold:
    """An edge that some profile watches.

    Parameters
    ----------
    profile : str
        Name of the profile that has it.
    metric : Metric
    value : float
        In the unit of the metric; a value on it has reached it.
    meaning : str
        What reaching it is called: ``warning``, ``critical``, or the action of a scaling rule.
    """

    profile: str
    metric: Metric
    value: float
    meaning: str
