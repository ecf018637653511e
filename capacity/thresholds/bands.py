"""Bands: which values of a metric are normal, which call for attention, which for action.

References
----------
.. [1] Fluxor, Day N Operations: "Key Metrics to Monitor Daily", "Key Metrics to Alert On".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from capacity.thresholds.guide_numbers import GUIDE_EDGES, READINESS, with_ccu_base
from capacity.thresholds.metrics import CcuBase, Metric, checked_value, reaches
from capacity.thresholds.threshold import Threshold
from loadtests.foundation.checks import named_values
from loadtests.foundation.errors import InputError
from loadtests.foundation.exact_numbers import exact, plain

Level = Literal["normal", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("normal", "warning", "critical")


@dataclass(frozen=True)
class Band:
    """The values ``low <= value < high`` of one metric in one profile.

    Parameters
    ----------
    profile : str
        Name of the profile, because the same value is in other bands of other profiles.
    metric : Metric
    level : {"normal", "warning", "critical"}
    low, high : float
        In the metric's unit. The low end belongs to the band, the high one to the next; the highest
        band has no end (`inf`).
    """

    profile: str
    metric: Metric
    level: Level
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return reaches(value, self.low) and not reaches(value, self.high)


@dataclass(frozen=True)
class MetricBands:
    """Where the bands of one metric begin; each reaches up to the next, so none overlap and no value is between.

    Parameters
    ----------
    metric : Metric
    warning_from, critical_from : float, optional
        The least value that is in the band, above 0. Absent: the profile has no such band.

    Raises
    ------
    InputError
        When neither is stated, one is not above 0, or the warning band does not begin first.
    """

    metric: Metric
    warning_from: float | None = None
    critical_from: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", Metric.parse(self.metric))
        for name in ("warning_from", "critical_from"):
            object.__setattr__(self, name, _edge(self.metric, name, getattr(self, name)))
        if not self.edges:
            raise InputError(f"The bands of {self.metric} have no edge; state warning_from, critical_from or both.")
        if None not in (self.warning_from, self.critical_from) and self.edges["warning"] >= self.edges["critical"]:
            raise InputError(
                f"The bands of {self.metric} overlap: warning_from is {self.warning_from:g} and critical_from "
                f"{self.critical_from:g}; the warning band must begin below the critical one."
            )

    @property
    def edges(self) -> dict[Level, float]:
        """The least value of each band above the normal one, lowest first."""
        stated: tuple[tuple[Level, float | None], ...]
        stated = (("warning", self.warning_from), ("critical", self.critical_from))
        return {level: edge for level, edge in stated if edge is not None}

    def bands(self, profile: str) -> tuple[Band, ...]:
        """All bands, lowest first; they cover every value from 0 on without gap or overlap.

        Parameters
        ----------
        profile : str
            Name of the profile that they are bands of.

        Returns
        -------
        tuple of Band
        """
        starts = {"normal": 0.0, **self.edges}
        ends = [*self.edges.values(), inf]
        return tuple(
            Band(profile, self.metric, level, starts[level], end)
            for level, end in zip([level for level in LEVELS if level in starts], ends, strict=True)
        )

    def to_dict(self) -> dict[str, float]:
        """JSON form: the edges that are stated."""
        return {f"{level}_from": plain(exact(level, edge)) for level, edge in self.edges.items()}


@dataclass(frozen=True)
class BandProfile:
    """Named bands of several metrics, such as the guide's `daily` bands and its `alert` thresholds.

    Parameters
    ----------
    name : str
        Every verdict states it.
    bands : tuple of MetricBands
        One for each metric.

    Raises
    ------
    InputError
        Without a name or bands, or when a metric has bands twice.
    """

    name: str
    bands: tuple[MetricBands, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_profile_name(self.name))
        object.__setattr__(self, "bands", tuple(self.bands))
        if not self.bands:
            raise InputError(f"The profile {self.name!r} has no bands; state those of at least one metric.")
        twice = sorted({item.metric for item in self.bands if self.metrics.count(item.metric) > 1})
        if twice:
            raise InputError(f"The profile {self.name!r} has bands of {', '.join(twice)} twice; state them once.")

    @classmethod
    def guide(
        cls, name: Literal["daily", "alert", "readiness"] = "daily", *, ccu_base: CcuBase = "normal"
    ) -> BandProfile:
        """The guide's daily bands or alert thresholds [1]_, or what makes its server's ``/ready`` answer 503.

        Parameters
        ----------
        name : {"daily", "alert", "readiness"}, default "daily"
        ccu_base : {"normal", "max"}, default "normal"
            What the CCU utilization is a share of. The guide does not say; its server reports
            shares of normal capacity, and judges its readiness by them whatever is given here.

        Returns
        -------
        BandProfile

        Raises
        ------
        InputError
            For another name or base.
        """
        if name not in GUIDE_EDGES:
            raise InputError(f"The guide has no bands {name!r}; it has {', '.join(GUIDE_EDGES)}.")
        base: CcuBase = "normal" if name == READINESS else ccu_base
        rows = GUIDE_EDGES[name]
        return cls(name, tuple(MetricBands(with_ccu_base(metric, base), *edges) for metric, *edges in rows))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that have bands here."""
        return tuple(item.metric for item in self.bands)

    def of(self, metric: Metric | str) -> tuple[Band, ...]:
        """The bands of one metric, lowest first.

        Parameters
        ----------
        metric : Metric or str

        Returns
        -------
        tuple of Band

        Raises
        ------
        InputError
            When the metric is unknown or has no bands in this profile.
        """
        metric = Metric.parse(metric)
        for item in self.bands:
            if item.metric == metric:
                return item.bands(self.name)
        raise InputError(
            f"The profile {self.name!r} has no bands of {metric}; it has those of {', '.join(self.metrics)}."
        )

    def thresholds(self) -> Iterator[Threshold]:
        """Yield every edge of every metric."""
        for item in self.bands:
            for level, edge in item.edges.items():
                yield Threshold(self.name, item.metric, edge, level)

    def to_dict(self) -> dict[str, Any]:
        """JSON form: the name, and the edges of each metric."""
        return {"name": self.name, "bands": {str(item.metric): item.to_dict() for item in self.bands}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BandProfile:
        """Read `to_dict`'s form.

        Parameters
        ----------
        data : dict
            `name`, and `bands` by metric, each with `warning_from`, `critical_from` or both.

        Returns
        -------
        BandProfile

        Raises
        ------
        InputError
            For unknown keys or metrics, and edges that are out of order.
        """
        values = {"name": "", "bands": {}} | named_values("profile", data, ("name", "bands"))
        bands = named_values("table of bands", values["bands"])
        return cls(values["name"], tuple(_metric_bands(metric, edges) for metric, edges in bands.items()))


def checked_profile_name(name: object) -> str:
    """Return the name of a profile; refuse what is no text, and nothing at all."""
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"The name of a profile is {name!r}; it must be a text, such as daily.")
    return name


def _metric_bands(metric: str, edges: object) -> MetricBands:
    return MetricBands(
        Metric.parse(metric), **named_values(f"table of bands of {metric}", edges, ("warning_from", "critical_from"))
    )


def _edge(metric: Metric, name: str, value: float | None) -> float | None:
    if value is None:
        return None
    edge = checked_value(metric, value, name=f"{name} of {metric}")
    if edge == 0:
        raise InputError(f"{name} of {metric} is 0; it must be above 0, or no value would be normal.")
    return edge
