"""Traffic histories of known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capacity import TrafficHistory

DAY_S = 86_400.0


def daily(values: Sequence[float] | NDArray[np.float64], censored: Sequence[int] = ()) -> TrafficHistory:
    """A history of days from 2020-01-01 on; NaN is a missing day, `censored` are places of days with shed requests."""
    loads = np.asarray(values, dtype=np.float64)
    kept = np.isfinite(loads)
    starts = 1_577_836_800.0 + DAY_S * np.arange(len(loads))
    marks = np.isin(np.arange(len(loads)), censored)
    return TrafficHistory("made up", starts[kept], loads[kept], marks[kept], DAY_S)


def seasonal_days(
    years: int, *, growth: float = 0.2, swing: float = 0.5, noise: float = 0.05, seed: int = 1
) -> NDArray[np.float64]:
    """Days that grow by `growth` a year (of logarithms), swing by the year and by the week, and scatter."""
    rng = np.random.default_rng(seed)
    day = np.arange(int(365.25 * years))
    logs = np.log(1_000) + growth * day / 365.25 + swing * np.sin(2 * np.pi * day / 365.25)
    return np.asarray(np.exp(logs + 0.1 * np.sin(2 * np.pi * day / 7) + rng.normal(0, noise, len(day))))
