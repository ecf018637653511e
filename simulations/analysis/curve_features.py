"""Knee and saturation of a capacity curve, with intervals from its replications, draws or own intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval, IntervalKind
from loadtests.foundation.seeds import generator
from simulations.analysis.capacity_curve import CapacityCurve, CurveFeature
from simulations.analysis.replications import checked_level, student_quantile

Floats = NDArray[np.float64]

KNEE, SATURATION = "knee", "saturation"
_LEAST_LEVELS = 3
_NEAR_TOP = 0.98
_FLAT_SLOPE = 0.1
_FLAT_OVER = 1.05
_DRAWN_CURVES = 400
_TINY = 1e-300


def knee_of(curve: CapacityCurve, level: float, seed: int) -> CurveFeature:
    """See `CapacityCurve.knee`."""
    load = curve.load
    goodput, residence_s = curve.metric("goodput_rps")[1], curve.metric("mean_s")[1]
    place = _power_peak(goodput, residence_s)
    problem = _few_levels(curve) or _at_an_end(curve, place)
    if problem is not None:
        return CurveFeature(KNEE, curve.quantity, findings=(problem,))
    curves = _Curves.of(curve, seed)
    peaks = [_knee(load, goods, times) for goods, times in zip(curves.goodput, curves.residence_s, strict=True)]
    mid = _knee(load, goodput, residence_s)
    served = np.array([np.interp(at, load, goods) for at, goods in zip(peaks, curves.goodput, strict=True)])
    return CurveFeature(
        KNEE, curve.quantity, curves.interval(np.array(peaks), mid, level),
        curves.interval(served, float(np.interp(mid, load, goodput)), level),
    )  # fmt: skip


def saturation_of(curve: CapacityCurve, level: float, seed: int) -> CurveFeature:
    """See `CapacityCurve.saturation`."""
    load, goodput = curve.load, curve.metric("goodput_rps")[1]
    problem = _few_levels(curve) or _still_growing(curve, goodput)
    if problem is not None:
        return CurveFeature(SATURATION, curve.quantity, findings=(problem,))
    curves = _Curves.of(curve, seed)
    top = int(np.nanargmax(goodput))
    # The height of the level that is highest on average: the highest of each curve would be biased upwards.
    heights, mid = curves.goodput[:, top], float(goodput[top])
    loads = np.array([_first_near(load, goods, height) for goods, height in zip(curves.goodput, heights, strict=True)])
    return CurveFeature(
        SATURATION, curve.quantity, curves.interval(loads, _first_near(load, goodput, mid), level),
        curves.interval(heights, mid, level),
    )  # fmt: skip


@dataclass(frozen=True)
class _Curves:
    """The same curve several times: one a replication or draw of a sweep, or drawn from a recording's intervals."""

    goodput: Floats
    residence_s: Floats
    kind: IntervalKind
    are_replications: bool

    @classmethod
    def of(cls, curve: CapacityCurve, seed: int) -> _Curves:
        if curve.points[0].samples:
            goodput, residence_s = (_samples(curve, name) for name in ("goodput_rps", "mean_s"))
            kind = curve.points[0].metrics["goodput_rps"].kind
            return cls(goodput, residence_s, kind, are_replications=kind == "confidence")
        rng = generator(seed, 9)
        goodput, residence_s = (_drawn(curve, name, rng) for name in ("goodput_rps", "mean_s"))
        return cls(goodput, residence_s, "confidence", are_replications=False)

    def interval(self, values: Floats, mid: float, level: float) -> Interval:
        """Student's t around the value of the mean curve for replications (sectioning), else quantiles."""
        if not self.are_replications:
            return Interval.from_draws(values, level=checked_level(level), kind=self.kind, mid=mid)
        known = values[np.isfinite(values)]
        error = math.sqrt(float(np.sum((known - mid) ** 2)) / (known.size - 1) / known.size)
        half = student_quantile(known.size - 1, checked_level(level)) * error
        return Interval(max(mid - half, 0.0), mid, mid + half, level)


def _samples(curve: CapacityCurve, name: str) -> Floats:
    """Shape (replications, levels)."""
    return np.array([point.samples[name] for point in curve.points], dtype=float).T


def _drawn(curve: CapacityCurve, name: str, rng: np.random.Generator) -> Floats:
    """Curves drawn level by level from the intervals, taken as normal; shape (curves, levels)."""
    low, mid, high = curve.metric(name)
    levels = np.array([point.metrics[name].level for point in curve.points])
    z = np.array([student_quantile(math.inf, level) if level < 1 else math.inf for level in levels])
    sd = np.nan_to_num((high - low) / (2 * z))
    return np.asarray(np.maximum(mid + sd * rng.standard_normal((_DRAWN_CURVES, mid.size)), 0.0))


def _log_power(goodput: Floats, residence_s: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(goodput) - np.log(np.maximum(residence_s, _TINY)))


def _power_peak(goodput: Floats, residence_s: Floats) -> int:
    return int(np.argmax(np.nan_to_num(_log_power(goodput, residence_s), nan=-math.inf)))


def _knee(load: Floats, goodput: Floats, residence_s: Floats) -> float:
    """Top of the parabola through the highest power and its neighbours; the level itself at an end."""
    place = _power_peak(goodput, residence_s)
    if place in (0, load.size - 1):
        return float(load[place])
    x, y = load[place - 1 : place + 2], _log_power(goodput, residence_s)[place - 1 : place + 2]
    left, right = x[1] - x[0], x[2] - x[1]
    rise, fall = y[1] - y[0], y[1] - y[2]
    bend = left * fall + right * rise
    if not math.isfinite(bend) or bend <= 0:
        return float(x[1])
    return float(x[1] + (right**2 * rise - left**2 * fall) / (2 * bend))


def _first_near(load: Floats, goodput: Floats, height: float) -> float:
    """Load at which straight lines between levels first reach 98 % of the height; NaN if never."""
    wanted = _NEAR_TOP * height
    above = np.flatnonzero(goodput >= wanted)
    if not above.size:
        return math.nan
    first = int(above[0])
    if first == 0:
        return float(load[0])
    rise = goodput[first] - goodput[first - 1]
    share = (wanted - goodput[first - 1]) / rise if rise > 0 else 1.0
    return float(load[first - 1] + share * (load[first] - load[first - 1]))


def _few_levels(curve: CapacityCurve) -> Finding | None:
    if len(curve.points) >= _LEAST_LEVELS:
        return None
    return Finding(
        "too-few-levels", "warning",
        f"The curve has {len(curve.points)} level(s); its shape shows from {_LEAST_LEVELS} on.",
        "Sweep or measure more levels, from light load to beyond saturation.", {"levels": len(curve.points)},
    )  # fmt: skip


def _at_an_end(curve: CapacityCurve, place: int) -> Finding | None:
    if 0 < place < len(curve.points) - 1:
        return None
    at = float(curve.load[place])
    if place == 0:
        message = f"Power (goodput over residence time) only falls from the lightest level, {at:g}, on."
        return Finding("knee-below-the-curve", "info", message, "Add lighter levels.", {"lightest": at})
    message = f"Power (goodput over residence time) still grows at the heaviest level, {at:g}: the knee lies beyond."
    return Finding("knee-not-reached", "info", message, "Add heavier levels.", {"heaviest": at})


def _still_growing(curve: CapacityCurve, goodput: Floats) -> Finding | None:
    """None when the goodput has fallen from its top, or is flat at the end of the curve."""
    load, known = curve.load, np.nan_to_num(goodput)
    top = int(np.argmax(known))
    has_fallen = bool(np.any(known[top:] < _NEAR_TOP * known[top]))
    if has_fallen or _is_flat(load, known):
        return None
    return Finding(
        "saturation-not-reached", "info",
        f"The goodput still grows at the heaviest level, {load[-1]:g} ({known[-1]:.4g} requests per second).",
        "Add heavier levels, until more load serves no more requests.", {"heaviest": float(load[-1])},
    )  # fmt: skip


def _is_flat(load: Floats, goodput: Floats) -> bool:
    """Whether the goodput's elasticity over the last 5 % of the load or more is below a tenth."""
    start = int(np.searchsorted(load, load[-1] / _FLAT_OVER, side="right")) - 1
    if start < 0 or goodput[start] <= 0:
        return False
    growth = math.log(max(goodput[-1], _TINY) / goodput[start])
    return growth < _FLAT_SLOPE * math.log(load[-1] / load[start])
