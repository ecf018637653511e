"""How much higher the load is inside a sampling interval than its mean over the interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from capacity.demand.history import Floats, TrafficHistory, span_text
from loadtests.foundation.checks import finite
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import binomial_quantile

FactorSource = Literal["given", "estimated", "unknown"]
_LEAST_WINDOWS = 5
_LEAST_SHARE = 0.95


@dataclass(frozen=True)
class PeakFactor:
    """Peak inside an interval over the mean of the interval, at least 1.

    Parameters
    ----------
    value : Interval
        Unknown (NaN) where nobody knows it; it is then never taken to be 1.
    source : {"given", "estimated", "unknown"}
    basis : str
        What it rests on, for people.
    findings : tuple of Finding
    """

    value: Interval
    source: FactorSource
    basis: str
    findings: tuple[Finding, ...] = ()

    @classmethod
    def given(cls, factor: float) -> PeakFactor:
        """A factor that somebody states; 1 says that the values are peaks already."""
        number = finite("within_interval_peak", factor)
        if number < 1:
            raise InputError(f"within_interval_peak is {factor!r}; a peak is at least the mean, so give 1 or more.")
        return cls(Interval.assumed(number), "given", "as given")

    @classmethod
    def unknown(cls, interval_s: float) -> PeakFactor:
        """No factor; says what that means."""
        finding = Finding(
            "peak-inside-interval-unknown", "warning" if interval_s > 60 else "info",
            f"The history has means or counts of {span_text(interval_s)}; how much higher the load is inside such an "
            "interval is not known. The forecast is of the highest interval, not of the peak inside it.",
            "Give the factor (1 where the values are peaks already), or a history with finer intervals.",
            {"interval_s": interval_s},
        )  # fmt: skip
        return cls(Interval.unknown(kind="assumed"), "unknown", "not known", (finding,))

    @property
    def low_mid_high(self) -> tuple[float, float, float]:
        """What loads are multiplied by; where the factor is unknown they stay interval means, as the finding says."""
        return (self.value.low, self.value.mid, self.value.high) if self.value.is_known else (1.0, 1.0, 1.0)

    def text(self) -> str:
        """One line for people."""
        return self.basis if self.source == "unknown" else f"{self.value.format('.3g')}, {self.basis}"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"value": self.value.to_dict(), "source": self.source, "basis": self.basis}


def estimate_peak_factor(
    finer: TrafficHistory, interval_s: float = 86_400.0, *, quantile: float = 0.9, level: float = 0.9
) -> PeakFactor:
    """Peak-to-average ratio inside intervals, from a history with finer ones.

    Of every window of `interval_s` that is full, the highest value over the mean
    (with a day: the peak-to-average of the daily profile); of these ratios a high
    quantile, with its distribution-free interval from order statistics
    (H. A. David, H. N. Nagaraja, *Order Statistics*, 3rd ed., 2003, section 7.1).
    The load inside the finer intervals stays hidden.

    Parameters
    ----------
    finer : TrafficHistory
    interval_s : float, default a day
        The coarse interval, at least 4 finer ones; windows begin at whole multiples since 1970 (UTC).
    quantile : float, default 0.9
        Of the windows' ratios.
    level : float, default 0.9
        Of the interval.

    Raises
    ------
    InputError
        When fewer than 5 windows are full, or the finer history is not finer.
    """
    if finer.interval_s * 4 > interval_s:
        raise InputError(
            f"The finer history has intervals of {span_text(finer.interval_s)}; to see inside {span_text(interval_s)} "
            f"it needs at least four in each."
        )
    ratios = peak_to_average(finer, interval_s)
    if len(ratios) < _LEAST_WINDOWS:
        raise InputError(
            f"The finer history holds {len(ratios)} full windows of {span_text(interval_s)}; "
            f"at least {_LEAST_WINDOWS} are needed."
        )
    value, known_top = _quantile_interval(np.sort(ratios), quantile, level)
    basis = (
        f"{quantile:.0%} quantile of peak / mean in {len(ratios)} windows of {span_text(interval_s)}, "
        f"seen in steps of {span_text(finer.interval_s)}"
    )
    return PeakFactor(value, "estimated", basis, () if known_top else (_few_windows(len(ratios), quantile, level),))


def peak_to_average(finer: TrafficHistory, interval_s: float = 86_400.0) -> Floats:
    """Highest value over mean of every window of `interval_s` seconds that is at least 95 % full and not idle."""
    windows = np.floor(finer.starts_s / interval_s).astype(np.int64)
    _, first, counts = np.unique(windows, return_index=True, return_counts=True)
    means = np.add.reduceat(finer.values, first) / counts
    tops = np.maximum.reduceat(finer.values, first)
    full = (counts >= _LEAST_SHARE * interval_s / finer.interval_s) & (means > 0)
    return np.asarray(tops[full] / means[full], dtype=np.float64)


def _quantile_interval(ordered: Floats, quantile: float, level: float) -> tuple[Interval, bool]:
    """The quantile between two order statistics; False where no observation can be its upper end."""
    n, tail = len(ordered), (1 - level) / 2
    low = max(binomial_quantile(tail, n, quantile), 1)
    high = binomial_quantile(1 - tail, n, quantile) + 1
    mid = float(np.quantile(ordered, quantile))
    ends = float(ordered[low - 1]), float(ordered[min(high, n) - 1])
    return Interval(min(ends[0], mid), mid, max(ends[1], mid), level, "parameter"), high <= n


def _few_windows(windows: int, quantile: float, level: float) -> Finding:
    return Finding(
        "peak-factor-from-few-windows", "warning",
        f"{windows} windows are too few to bound the {quantile:.0%} quantile of their peak-to-average ratio from above "
        f"at {level:.0%}; the largest ratio seen stands in for the upper end.",
        "Give a longer finer history.",
        {"windows": windows, "quantile": quantile},
    )  # fmt: skip
