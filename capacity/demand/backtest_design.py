"""What a backtest and a forecast look ahead to, and what a model must have seen before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capacity.demand.history import Floats
from capacity.demand.history_table import MONTH_S, WEEK_S
from capacity.demand.period_peaks import Period

MONTHS_OF_A_YEAR = 12


@dataclass(frozen=True)
class Design:
    """How far to look ahead, and what a model must have seen before.

    Parameters
    ----------
    period : {"week", "month"}
        What a model's step is.
    horizon_months : int
    draws : int, default 1000
        Futures a forecast.
    seed : int, default 1
    """

    period: Period
    horizon_months: int
    draws: int = 1_000
    seed: int = 1

    @property
    def season(self) -> int:
        """Steps of a year where a yearly pattern is modelled; weeks have none."""
        return MONTHS_OF_A_YEAR if self.period == "month" else 0

    @property
    def year(self) -> float:
        """Steps of a year."""
        return MONTHS_OF_A_YEAR * MONTH_S / (MONTH_S if self.period == "month" else WEEK_S)

    @property
    def month_of_step(self) -> tuple[int, ...]:
        """Month, from 1, in which each step ends."""
        if self.period == "month":
            return tuple(range(1, self.horizon_months + 1))
        weeks = int(self.horizon_months * MONTH_S // WEEK_S)
        return tuple(int(np.ceil(week * WEEK_S / MONTH_S)) for week in range(1, weeks + 1))

    @property
    def steps(self) -> int:
        """Steps ahead."""
        return len(self.month_of_step)

    @property
    def least_training(self) -> int:
        """Steps before the first origin: two years, or half a year of weeks, and enough for one past error."""
        least = 2 * self.season if self.season else 26
        return max(least, self.season + self.steps + 1)

    @property
    def least_history(self) -> int:
        """Steps that one origin needs."""
        return self.least_training + self.steps

    def origins(self, length: int) -> tuple[int, ...]:
        """Lengths of the pasts, oldest first, a horizon apart: no two forecasts are judged by the same periods."""
        return tuple(range(length - self.steps, self.least_training - 1, -self.steps))[::-1]

    def month_peaks(self, logs: Floats) -> Floats:
        """Highest step of every month, along the last axis; a missing step (NaN) is passed over."""
        months = np.array(self.month_of_step)
        tops = [np.fmax.reduce(logs[..., months == month], axis=-1) for month in range(1, self.horizon_months + 1)]
        return np.stack(tops, axis=-1)
