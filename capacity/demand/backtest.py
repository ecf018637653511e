"""Rolling-origin backtest: what every way to forecast would have said in the past, scored against what came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.demand.backtest_design import Design
from capacity.demand.candidates import STRUCTURAL, Candidate, ModelFailedError, Task
from capacity.demand.history import Flags, Floats
from capacity.demand.period_peaks import PastPeaks, past_peaks
from capacity.demand.quantile_scores import QUANTILES, effective_number, inside_interval, pinball
from capacity.demand.recalibration import leave_one_out
from loadtests.foundation.seeds import generator

LEAST_ORIGINS_FOR_ERROR = 3
_FINAL = 0


@dataclass(frozen=True, eq=False)
class Backtest:
    """Forecasts of the past and what came; logarithms of month peaks.

    Parameters
    ----------
    names : tuple of str
        Ways to forecast, the simplest first.
    origins : tuple of int
    forecasts : array, shape (models, origins, months, quantiles)
        As the ways gave them.
    delivered : array, shape as `forecasts`
        What a user would have got: each origin recalibrated from all others, where there are enough.
    observed : array, shape (origins, months)
        NaN where a month is missing or only a lower bound is known.
    failed : dict of str to str
        Ways that could not be used, with the reason.
    """

    names: tuple[str, ...]
    origins: tuple[int, ...]
    forecasts: Floats
    delivered: Floats
    observed: Floats
    failed: dict[str, str]

    @property
    def losses(self) -> Floats:
        """Mean pinball loss of what is delivered; (models, origins, months), NaN where nothing was observed."""
        return np.asarray(pinball(self.delivered, self.observed[None, :, :, None]).mean(axis=-1), dtype=np.float64)

    @property
    def origin_losses(self) -> Floats:
        """Mean loss of each origin that has observations, shape (models, origins): the independent numbers."""
        scored = np.isfinite(self.observed).any(axis=1)
        return np.asarray(np.nanmean(self.losses[:, scored], axis=-1), dtype=np.float64)

    @property
    def scored_origins(self) -> int:
        """Origins with at least one observed month."""
        return int(np.isfinite(self.observed).any(axis=1).sum())

    @property
    def inside(self) -> Floats:
        """Whether the months lie in the 90 % intervals delivered: 1, 0, NaN; shape (models, origins, months)."""
        return inside_interval(self.delivered, self.observed)

    def effective_origins(self, model: int) -> float:
        """Origins that count as independent; months of one origin are not counted by themselves."""
        return effective_number(self.origin_losses[model])


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
                month_quantiles(way, past_peaks(logs[:end], censored[:end]), design, (place, end)) for end in origins
            ])  # fmt: skip
        except ModelFailedError as error:
            failed[way.name] = str(error)
    observed = np.stack([_observed(logs, censored, end, design) for end in origins])
    forecasts = np.stack(list(made.values()))
    delivered = np.stack([leave_one_out(of_way, observed) for of_way in forecasts])
    return Backtest(tuple(made), origins, forecasts, delivered, observed, failed)


def month_quantiles(way: Candidate, past: PastPeaks, design: Design, key: tuple[int, int]) -> Floats:
    """Quantiles of the peak of every coming month, logarithms, shape (months, quantiles)."""
    return quantiles_of(month_paths(way, past, design, key))


def month_paths(way: Candidate, past: PastPeaks, design: Design, key: tuple[int, int]) -> Floats:
    """Futures of the peak of every coming month, logarithms, shape (draws, months)."""
    rng = generator(design.seed, *key)
    task = Task(past.logs, design.steps, design.season, design.draws, rng, design.year, past.bounds)
    return design.month_peaks(way.paths(task))


def quantiles_of(paths: Floats) -> Floats:
    """Quantiles by month, shape (months, quantiles)."""
    return np.asarray(np.quantile(paths, QUANTILES, axis=0).T, dtype=np.float64)


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


def choose(tested: Backtest, *, is_bounded: bool = False) -> tuple[int, int]:
    """The way to use, and the one of the lowest mean loss.

    The structural model, unless the loss of the lowest lies below its own by more than one standard error of the
    difference, origin by origin; where it could not be used, the simplest that the same rule allows (the
    one-standard-error rule of L. Breiman et al., *Classification and Regression Trees*, 1984, on paired differences).
    With fewer than three origins there is no such error: the structural model, else the lowest. Few origins tell ways
    apart badly, and of all of them it kept a stated risk best (`docs/evidence.md`, plans tested on the past).

    Where requests were shed (`is_bounded`) it is the structural model, if that could be used: it alone takes a lower
    bound for one, and the backtest, which has only the other months to judge by, would not notice.
    """
    losses = tested.origin_losses
    best = int(losses.mean(axis=1).argmin())
    standing = tested.names.index(STRUCTURAL) if STRUCTURAL in tested.names else None
    if losses.shape[1] < LEAST_ORIGINS_FOR_ERROR or (is_bounded and standing is not None):
        return (best if standing is None else standing), best
    allowed = _within_one_error(losses - losses[best])
    if standing is not None:
        return (standing if allowed[standing] else best), best
    return int(np.flatnonzero(allowed)[0]), best


def _within_one_error(more: Floats) -> Flags:
    effective = np.array([effective_number(row) for row in more])
    error = more.std(axis=1, ddof=1) / np.sqrt(effective)
    return np.asarray(more.mean(axis=1) <= error + 1e-12)


def final_paths(way: Candidate, logs: Floats, censored: Flags, design: Design, place: int) -> Floats:
    """Futures from today, as `month_paths`."""
    return month_paths(way, past_peaks(logs, censored), design, (place, _FINAL))
