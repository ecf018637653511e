"""The baselines of a forecast, and what every candidate is: logarithms of past peaks in, possible futures out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from capacity.demand.history import Floats

STRUCTURAL = "structural"
YEARS_FOR_A_WAVE, YEARS_FOR_ALL_WAVES = 1.25, 2.0


class ModelFailedError(RuntimeError):
    """A model that cannot be fitted to this history; it is left out, and that is said."""


@dataclass(frozen=True)
class Task:
    """What is asked of a candidate.

    Parameters
    ----------
    logs : array of float, shape (n,)
        Logarithms of past period peaks, complete.
    steps : int
        Periods to look ahead.
    season : int
        Periods of a year where a yearly pattern is modelled, else 0.
    draws : int
        Futures to draw.
    rng : numpy Generator
    year : float, default 0
        Periods of a year, whether or not `season` models it; 0 where that is not known.
    bounds : array of float, shape (n,), optional
        As of `PastPeaks`: NaN where the peak is known; absent: everywhere.
    """

    logs: Floats
    steps: int
    season: int
    draws: int
    rng: np.random.Generator
    year: float = 0.0
    bounds: Floats | None = None


@dataclass(frozen=True)
class StandingOut:
    """Periods unlike all others, and what these lead to expect instead (logarithms).

    Parameters
    ----------
    expected : dict of int to float
        By place.
    has_last : bool, default False
        Whether the last period is among them: whether it is one of a kind only the next ones can tell.
    pull : float, default 0
        By how much all of them together move the middle of the structural model's futures.
    middles_s : dict of int to float
        Middle of the highest interval of each, seconds since 1970.
    """

    expected: dict[int, float] = field(default_factory=dict)
    has_last: bool = False
    pull: float = 0.0
    middles_s: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A way to forecast.

    Parameters
    ----------
    name : str
    paths : callable
        From a `Task` to futures (logarithms), shape (draws, steps); equally likely.
    grows : bool
        Whether its centre can rise beyond what was seen.
    about : str
        One line for people.
    """

    name: str
    paths: Callable[[Task], Floats]
    grows: bool
    about: str


def finite_paths(paths: Callable[[Task], Floats], task: Task) -> Floats:
    """Futures by `paths`; what goes wrong in a fit, and what is not finite, is a `ModelFailedError`."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            made = paths(task)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
        raise ModelFailedError(str(error)) from None
    if not np.isfinite(made).all():
        raise ModelFailedError("its futures are not finite")
    return made


def trailing_paths(task: Task) -> Floats:
    """Each coming period like one of the last year (or half year of weeks), drawn independently: no growth."""
    window = task.logs[-(task.season or 26) :]
    return np.asarray(task.rng.choice(window, size=(task.draws, task.steps)), dtype=np.float64)


def last_value_paths(task: Task) -> Floats:
    """The last period, plus every change over 1 to `steps` periods that the history shows: drift and error in one."""
    return _naive_with_past_errors(task.logs, task.steps, 1)


def seasonal_naive_paths(task: Task) -> Floats:
    """The same period of last year, plus every error that this made in the past, whole paths of them.

    The mean of the errors is the yearly growth (R. J. Hyndman, G. Athanasopoulos,
    *Forecasting: Principles and Practice*, 3rd ed., 2021, section 5.2, with the
    bootstrap of section 5.5 over whole paths).
    """
    return _naive_with_past_errors(task.logs, task.steps, task.season)


def _naive_with_past_errors(logs: Floats, steps: int, season: int) -> Floats:
    """Repeat the last `season` values, and add the error paths of the same rule at every past origin."""
    ends = range(season, len(logs) - steps + 1)
    if not ends:
        raise ModelFailedError(f"{len(logs)} periods hold no past forecast over {steps}")
    ahead = np.arange(steps)
    errors = np.array([logs[end + ahead] - _repeated(logs[:end], steps, season) for end in ends])
    return np.asarray(_repeated(logs, steps, season) + errors, dtype=np.float64)


def _repeated(logs: Floats, steps: int, season: int) -> Floats:
    return np.asarray(logs[-season:][np.arange(steps) % season], dtype=np.float64)


TRAILING = Candidate("trailing-quantile", trailing_paths, False, "quantiles of the last year, no growth")
LAST_VALUE = Candidate("last-value", last_value_paths, True, "the last period and past changes")
SEASONAL_NAIVE = Candidate("seasonal-naive", seasonal_naive_paths, True, "the same month a year ago and past errors")
