"""What `check_drift` found: window by window, metric by metric, and over all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of
from loadtests.live.windows import LIVE_METRICS, Bounds, ObservedWindow

if TYPE_CHECKING:
    import pandas as pd

DriftVerdict = Literal["inside", "excursion", "drift"]
Direction = Literal["above", "below"]
Pattern = Literal["none", "excursion", "drift"]


@dataclass(frozen=True)
class JudgedValue:
    """One metric of one window.

    Parameters
    ----------
    measured : (float, float)
        The bounds within which it is known.
    predicted : Interval
        Prediction interval for a measurement of the window's length.
    is_beyond : bool
        Whether it lies farther off than the level for the whole series allows.
    """

    measured: Bounds
    predicted: Interval
    is_beyond: bool

    @property
    def is_inside(self) -> bool:
        """Whether the measured value may lie inside its prediction interval."""
        low, high = self.measured
        return low <= self.predicted.high and high >= self.predicted.low

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "measured": {"low": self.measured[0], "high": self.measured[1]}, "predicted": self.predicted.to_dict(),
            "inside": self.is_inside, "beyond_series_limit": self.is_beyond,
        }  # fmt: skip


@dataclass(frozen=True)
class JudgedWindow:
    """One window beside what the model predicts for it."""

    observed: ObservedWindow
    values: dict[str, JudgedValue]

    @property
    def outside(self) -> tuple[str, ...]:
        """Metrics outside their prediction interval."""
        return tuple(name for name, value in self.values.items() if not value.is_inside)

    @property
    def beyond(self) -> tuple[str, ...]:
        """Metrics farther off than the level for the whole series allows."""
        return tuple(name for name, value in self.values.items() if value.is_beyond)


@dataclass(frozen=True)
class MetricDrift:
    """One metric over the whole series.

    Parameters
    ----------
    metric : str
    p_value : float
        Corrected for all windows and metrics.
    pattern : {"none", "excursion", "drift"}
        ``drift``: it lasts to the end of the series; ``excursion``: single windows lie outside.
    direction : {"above", "below"}, optional
        Of the measured values, seen from the model; None where nothing is outside.
    since : int, optional
        Number of the first window of a drift, from 1.
    change : Interval, optional
        Of a drift: measured against predicted, the median over its windows; relative, points for the shed rate.
    outside_share : float
        Share of the windows outside their own prediction interval.
    windows : int
        In which it was measured.
    """

    metric: str
    p_value: float
    pattern: Pattern
    direction: Direction | None
    since: int | None
    change: Interval | None
    outside_share: float
    windows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "p_value": self.p_value, "pattern": self.pattern, "direction": self.direction, "since_window": self.since,
            "change": None if self.change is None else self.change.to_dict(), "outside_share": self.outside_share,
            "windows": self.windows,
        }  # fmt: skip


@dataclass(frozen=True, repr=False)
class DriftReport:
    """Whether a live service is still the one that the model describes. Made by `check_drift`.

    Parameters
    ----------
    windows : tuple of JudgedWindow
    metrics : dict of str to MetricDrift
        What was compared.
    p_value : float
        Of the whole series.
    false_alarms : float
        Probability of another verdict than ``inside`` while the service is the one that was calibrated.
    verdict : {"inside", "excursion", "drift"}
    findings : tuple of Finding
    level : float
        Of the prediction intervals.
    seed : int
    """

    windows: tuple[JudgedWindow, ...]
    metrics: dict[str, MetricDrift]
    p_value: float
    false_alarms: float
    verdict: DriftVerdict
    findings: tuple[Finding, ...]
    level: float
    seed: int

    @property
    def outside_share(self) -> float:
        """Share of all measured values outside their own prediction interval; about 1 - level is to be expected."""
        inside = [value.is_inside for window in self.windows for value in window.values.values()]
        return 1.0 - sum(inside) / len(inside)

    def to_dict(self) -> dict[str, Any]:
        """JSON form (keys in docs/files.md)."""
        return {
            "schema_version": SCHEMA_VERSION, "verdict": self.verdict, "p_value": self.p_value,
            "false_alarms": self.false_alarms, "level": self.level, "outside_share": self.outside_share,
            "metrics": {name: item.to_dict() for name, item in self.metrics.items()},
            "windows": [_window_dict(number, item) for number, item in enumerate(self.windows, start=1)],
            "findings": [item.to_dict() for item in self.findings], "seed": self.seed,
            "versions": versions_of("numpy", "numba", "scipy"),
        }  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """One row a window and metric: window, start_s, window_s, load, quantity, metric, measured, low, mid, high, ...

        `measured_low` and `measured_high` bound what was measured; `low`, `mid`, `high` are the prediction interval;
        `inside` and `beyond` are about it and about the level for the whole series.
        """
        import pandas as pd

        rows = [
            {"window": number, "start_s": item.observed.start_s, "window_s": item.observed.window_s,
             "load": item.observed.load, "quantity": item.observed.quantity.value, "metric": name,
             "measured_low": value.measured[0], "measured_high": value.measured[1], "low": value.predicted.low,
             "mid": value.predicted.mid, "high": value.predicted.high, "inside": value.is_inside,
             "beyond": value.is_beyond}
            for number, item in enumerate(self.windows, start=1) for name, value in item.values.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def metric_rows(self) -> list[tuple[str, ...]]:
        """A row a metric for tables: metric, pattern, since, change, p, share outside."""
        return [
            (name, item.pattern, self.since_text(item), change_text(item), f"{item.p_value:.2f}",
             f"{item.outside_share:.0%}")
            for name, item in self.metrics.items()
        ]  # fmt: skip

    def since_text(self, item: MetricDrift) -> str:
        """Since when a metric drifts, for people."""
        if item.since is None:
            return "-"
        return f"window {item.since} ({self.windows[item.since - 1].observed.starts})"

    def summary(self) -> str:
        """A few lines for people."""
        lines = [repr(self)]
        lines += [f"  {' | '.join(row)}" for row in self.metric_rows()]
        lines += [f"  {item.severity}: {item.message}" for item in self.findings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"DriftReport({self.verdict}, {len(self.windows)} windows, p {self.p_value:.2f}, false alarms in at most "
            f"{self.false_alarms:.0%})"
        )

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False, float_format=lambda value: f"{value:.4g}"))


def change_text(item: MetricDrift) -> str:
    """How far a metric has drifted, for people."""
    change = item.change
    if change is None:
        return "-"
    if item.metric == "shed_rate":
        return f"{100 * change.mid:+.1f} points ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
    return f"{change.mid:+.1%} ({change.low:+.1%} to {change.high:+.1%})"


def ordered(names: Sequence[str]) -> list[str]:
    """Metrics in the order of `LIVE_METRICS`."""
    return [name for name in LIVE_METRICS if name in names]


def _window_dict(number: int, item: JudgedWindow) -> dict[str, Any]:
    seen = item.observed
    return {
        "window": number, "start_s": seen.start_s, "start": seen.begins or None, "window_s": seen.window_s,
        "load": seen.load, "quantity": seen.quantity.value, "step": seen.step, "outside": list(item.outside),
        "beyond_series_limit": list(item.beyond),
        "metrics": {name: value.to_dict() for name, value in item.values.items()},
    }  # fmt: skip
