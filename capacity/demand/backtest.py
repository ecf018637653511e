"""Rolling-origin backtest: what every way to forecast would have said in the past, scored against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.demand.candidates import Candidate, ModelFailedError, Task
from capacity.demand.history import Flags, Floats
from capacity.demand.history_table import MONTH_S, WEEK_S
from capacity.demand.period_peaks import Period, completed
from loadtests.foundation.intervals import Interval
from loadtests.foundation.quantiles import beta_quantile
from loadtests.foundation.seeds import generator

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MEDIAN, LOW, HIGH = QUANTILES.index(0.5), QUANTILES.index(0.05), QUANTILES.index(0.95)
LEVEL = 0.9  # of the central interval between LOW and HIGH
MONTHS_OF_A_YEAR = 12
LEAST_ORIGINS_FOR_ERROR = 3
_LEAST_ERROR_PATHS = 12
_FINAL = 0


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
        """Steps before the first origin: two years, or half a year of weeks, and enough for a dozen past errors."""
        least = 2 * self.season if self.season else 26
        return max(least, self.season + self.steps + _LEAST_ERROR_PATHS)

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


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of the past and what came; logarithms of month peaks.

    Parameters
    ----------
    names : tuple of str
        Ways to forecast, the simplest first.
    origins : tuple of int
    forecasts : array, shape (models, origins, months, quantiles)
    observed : array, shape (origins, months)
        NaN where a month is missing or only a lower bound is known.
    failed : dict of str to str
        Ways that could not be used, with the reason.
    """

    names: tuple[str, ...]
    origins: tuple[int, ...]
    forecasts: Floats
    observed: Floats
    failed: dict[str, str]

    @property
    def losses(self) -> Floats:
        """Pinball loss, mean over the quantiles; shape (models, origins, months), NaN where nothing was observed."""
        return np.asarray(pinball(self.forecasts, self.observed[None, :, :, None]).mean(axis=-1), dtype=np.float64)

    @property
    def origin_losses(self) -> Floats:
        """Mean loss of each origin that has observations, shape (models, origins): the independent numbers."""
        scored = np.isfinite(self.observed).any(axis=1)
        return np.asarray(np.nanmean(self.losses[:, scored], axis=-1), dtype=np.float64)

    @property
    def scored_origins(self) -> int:
        """Origins with at least one observed month."""
        return int(np.isfinite(self.observed).any(axis=1).sum())

    def effective_origins(self, model: int) -> float:
        """Origins that count as independent; months of one origin are not counted by themselves."""
        return effective_number(self.origin_losses[model])


def effective_number(losses: Floats) -> float:
    """How many independent numbers a series is worth: n (1 - r) / (1 + r), r its lag-1 correlation where above 0.

    G. V. Bayley, J. M. Hammersley, Supplement to the Journal of the Royal
    Statistical Society 8, 1946, for a first-order autoregression.
    """
    n = len(losses)
    off = losses - losses.mean()
    if n < LEAST_ORIGINS_FOR_ERROR or not (off**2).sum() > 0:
        return float(n)
    r = float((off[1:] * off[:-1]).sum() / (off**2).sum())
    return max(1.0, n * (1 - r) / (1 + r)) if r > 0 else float(n)


def run_backtest(logs: Floats, censored: Flags, ways: Sequence[Candidate], design: Design) -> Backtest:
    """Forecast from every origin with every way; each sees only what lay before the origin.

    L. J. Tashman, International Journal of Forecasting 16, 2000 (rolling origins).
    A way that fails at one origin is left out altogether.
    """
    origins = design.origins(len(logs))
    made: dict[str, Floats] = {}
    failed: dict[str, str] = {}
    for place, way in enumerate(ways):
        try:
            made[way.name] = np.stack([
                month_quantiles(way, completed(logs[:end], censored[:end]), design, (place, end)) for end in origins
            ])  # fmt: skip
        except ModelFailedError as error:
            failed[way.name] = str(error)
    observed = np.stack([_observed(logs, censored, end, design) for end in origins])
    return Backtest(tuple(made), origins, np.stack(list(made.values())), observed, failed)


def month_quantiles(way: Candidate, past: Floats, design: Design, key: tuple[int, int]) -> Floats:
    """Quantiles of the peak of every coming month, logarithms, shape (months, quantiles)."""
    task = Task(past, design.steps, design.season, design.draws, generator(design.seed, *key))
    return np.quantile(design.month_peaks(way.paths(task)), QUANTILES, axis=0).T


def _observed(logs: Floats, censored: Flags, end: int, design: Design) -> Floats:
    """What came; NaN for a month of which half or more is missing, or in which requests were shed."""
    steps = slice(end, end + design.steps)
    months = np.array(design.month_of_step)
    tops = design.month_peaks(logs[steps])
    for month in range(1, design.horizon_months + 1):
        here = months == month
        if censored[steps][here].any() or np.isnan(logs[steps][here]).mean() >= 0.5:
            tops[month - 1] = np.nan
    return tops


def pinball(forecasts: Floats, observed: Floats) -> Floats:
    """Loss of each quantile: tau (y - q) above it, (1 - tau) (q - y) below (R. Koenker, G. Bassett, Econometrica 46).

    Of logarithms: 0.05 is about 5 % of the load.
    """
    tau = np.array(QUANTILES)
    off = observed - forecasts
    return np.asarray(np.maximum(tau * off, (tau - 1) * off), dtype=np.float64)


def choose(tested: Backtest) -> tuple[int, int]:
    """The way to use, and the one of the lowest mean loss.

    The simplest whose loss lies above the lowest by at most one standard error of
    the difference, origin by origin (the one-standard-error rule of L. Breiman et
    al., *Classification and Regression Trees*, 1984, on paired differences); with
    fewer than three origins there is no such error, and the lowest is taken.
    """
    losses = tested.origin_losses
    best = int(losses.mean(axis=1).argmin())
    if losses.shape[1] < LEAST_ORIGINS_FOR_ERROR:
        return best, best
    more = losses - losses[best]
    effective = np.array([effective_number(row) for row in more])
    error = more.std(axis=1, ddof=1) / np.sqrt(effective)
    return int(np.flatnonzero(more.mean(axis=1) <= error + 1e-12)[0]), best


def coverage(inside: Floats, effective: float, level: float = 0.9) -> Interval:
    """Share of months inside the interval, with the interval of Clopper and Pearson at the effective number of origins.

    C. J. Clopper, E. S. Pearson, Biometrika 26, 1934. Fractional counts by the beta distribution.

    Parameters
    ----------
    inside : array of float
        1, 0, or NaN where nothing was observed.
    effective : float
    level : float, default 0.9
    """
    known = inside[np.isfinite(inside)]
    if not known.size or effective <= 0:
        return Interval.unknown(level)
    share, tail = float(known.mean()), (1 - level) / 2
    hits, misses = share * effective, (1 - share) * effective
    low = beta_quantile(tail, hits, misses + 1) if hits > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, misses) if misses > 0 else 1.0
    return Interval(min(low, share), share, max(high, share), level)


def inside_interval(forecasts: Floats, observed: Floats) -> Floats:
    """1 where the month lies in the central 90 % interval, 0 where not, NaN where nothing was observed."""
    hit = (observed >= forecasts[..., LOW]) & (observed <= forecasts[..., HIGH])
    return np.where(np.isfinite(observed), hit.astype(np.float64), np.nan)


def final_quantiles(way: Candidate, logs: Floats, censored: Flags, design: Design, place: int) -> Floats:
    """The forecast from today."""
    return month_quantiles(way, completed(logs, censored), design, (place, _FINAL))
