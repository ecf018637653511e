"""Synthetic services whose demand is known: the law by which each day comes from the one before.

The logarithm of a day's demand is level + season + weekday + noise + bursts. The level drifts and wanders from day to
day, the noise is a first-order autoregression, a burst dies away at a half a day. All of it is Markov, so what may
come after any day can be drawn as often as one likes: that is the truth a plan is held against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from capacity.demand.history import TrafficHistory
from capacity.demand.history_table import DAY_S, MONTH_S
from loadtests.foundation.seeds import generator

Floats = NDArray[np.float64]
DAYS_OF_A_YEAR, DAYS_OF_A_MONTH = 365.25, MONTH_S / DAY_S
_NOISE_MEMORY, _BURST_MEMORY = 0.7, 0.5
_START_S = 1_420_070_400.0  # 2015-01-01


@dataclass(frozen=True)
class Law:
    """How demand moves.

    Parameters
    ----------
    growth : float
        Drift of the level, logarithm a year.
    wander : float
        Standard deviation of the level's random walk over a month.
    season : float
        Amplitude of the yearly pattern, logarithm.
    shape : tuple of float
        Phases of its three harmonics (amplitudes 1, 1/2, 1/4), then day, and height of a peak of about three weeks.
    noise : float
        Standard deviation of a day.
    weekday : float
        How much less a weekend has.
    shifts : float
        Lasting jumps a year, of 0.1 to 0.35, three in four upwards.
    bursts : float
        A year; each multiplies a day by exp(x), x exponential of mean 0.4.
    ceiling : float, optional
        Level at which growth ends: drift is growth x (1 - exp(level - ceiling)).
    """

    growth: float
    wander: float
    season: float
    shape: tuple[float, float, float, float, float]
    noise: float
    weekday: float
    shifts: float = 0.0
    bursts: float = 0.0
    ceiling: float | None = None


@dataclass(frozen=True, eq=False)
class Days:
    """Demand by day, rows are futures, and the states it ends with."""

    logs: Floats
    level: Floats
    noise: Floats
    burst: Floats


FAMILIES = ("steady", "growing", "wandering", "saturating", "shifting", "bursty")


def law_of(family: str, seed: int, number: int) -> Law:
    """The law of one service of a family; every number is drawn from the range stated here."""
    rng = generator(seed, FAMILIES.index(family), number)
    low, high = (np.array(pair) for pair in (_LOWEST, _HIGHEST))
    growth, wander, season, noise, weekday = (low + (high - low) * rng.random(low.size)).tolist()
    shape = tuple((rng.random(5) * _SHAPE).tolist())
    plain = Law(growth, wander, season, shape, noise, weekday)
    more, other = rng.random(2).tolist()
    changed: dict[str, dict[str, float]] = {
        "steady": {"growth": growth / 10, "wander": wander / 2},
        "growing": {},
        "wandering": {"wander": 0.05 + 0.05 * more},
        "saturating": {"growth": 0.3 + 0.4 * more, "ceiling": 2.0 + other},
        "shifting": {"shifts": 0.3 + 0.5 * more},
        "bursty": {"bursts": 2 + 4 * more},
    }
    return replace(plain, **changed[family])


_SHAPE = np.array([2 * np.pi, 2 * np.pi, 2 * np.pi, DAYS_OF_A_YEAR, 0.3])
_LOWEST, _HIGHEST = (0.0, 0.005, 0.05, 0.04, 0.0), (0.5, 0.03, 0.3, 0.12, 0.3)


@dataclass(frozen=True, eq=False)
class Service:
    """One service: its law, and what happened. Made by `service`."""

    law: Law
    days: Days
    seed: int

    def history(self, end_day: int, days: int) -> TrafficHistory:
        """The last `days` before `end_day`."""
        at = np.arange(end_day - days, end_day)
        values = np.exp(self.days.logs[0, at])
        return TrafficHistory("synthetic", _START_S + DAY_S * at, values, np.zeros(days, dtype=bool), DAY_S)

    def month_peaks(self, end_day: int, months: int) -> Floats:
        """Peaks of the months that follow, as they came."""
        return _month_peaks(self.days.logs[:, end_day:], months)[0]

    def futures(self, end_day: int, months: int, draws: int) -> Floats:
        """Peaks that could have come instead, from the same state; shape (draws, months)."""
        return _month_peaks(self.future_days(end_day, months, draws), months)

    def future_days(self, end_day: int, months: int, draws: int) -> Floats:
        """Logarithms of the days that could have come instead; shape (draws, days)."""
        state = Days(
            np.empty((draws, 0)),
            *(np.repeat(item[:, end_day - 1], draws) for item in (self.days.level, self.days.noise, self.days.burst)),
        )
        length = int(np.ceil(months * DAYS_OF_A_MONTH)) + 1
        return _simulated(self.law, state, end_day, length, generator(self.seed, end_day)).logs


def service(law: Law, days: int, seed: int) -> Service:
    """A service over so many days."""
    start = Days(np.empty((1, 0)), np.zeros(1), np.zeros(1), np.zeros(1))
    return Service(law, _simulated(law, start, 0, days, generator(seed)), seed)


def _simulated(law: Law, start: Days, first_day: int, days: int, rng: np.random.Generator) -> Days:
    shape = (len(start.level), days)
    shocks = law.noise * np.sqrt(1 - _NOISE_MEMORY**2) * rng.standard_normal(shape)
    noise = _remembering(start.noise, _NOISE_MEMORY, shocks)
    happens = rng.random(shape) < law.bursts / DAYS_OF_A_YEAR
    burst = _remembering(start.burst, _BURST_MEMORY, happens * rng.exponential(0.4, shape))
    level = _levels(law, start.level, rng, shape)
    pattern = _pattern(law, np.arange(first_day, first_day + days))
    return Days(level + pattern + noise + burst, level, noise, burst)


def _pattern(law: Law, day: NDArray[np.int64]) -> Floats:
    angle = 2 * np.pi * day / DAYS_OF_A_YEAR
    *phases, peak_day, height = law.shape
    waves = sum(np.sin(times * angle + phase) / 2 ** (times - 1) for times, phase in enumerate(phases, start=1))
    off = (day - peak_day + DAYS_OF_A_YEAR / 2) % DAYS_OF_A_YEAR - DAYS_OF_A_YEAR / 2
    return np.asarray(law.season * waves + height * np.exp(-((off / 10) ** 2) / 2) - law.weekday * (day % 7 >= 5))


def _levels(law: Law, start: Floats, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    jumps = (rng.random(shape) < law.shifts / DAYS_OF_A_YEAR) * rng.uniform(0.1, 0.35, shape)
    signs = np.where(rng.random(shape) < 0.75, 1.0, -1.0)
    steps = law.wander / np.sqrt(DAYS_OF_A_MONTH) * rng.standard_normal(shape) + jumps * signs
    daily = law.growth / DAYS_OF_A_YEAR
    if law.ceiling is None:
        return np.asarray(start[:, None] + np.cumsum(steps + daily, axis=1))
    made, level = np.empty(shape), start
    for day in range(shape[1]):
        level = level + steps[:, day] + daily * (1 - np.exp(level - law.ceiling))
        made[:, day] = level
    return made


def _remembering(start: Floats, memory: float, shocks: Floats) -> Floats:
    made, _ = lfilter([1.0], [1.0, -memory], shocks, axis=1, zi=memory * start[:, None])
    return np.asarray(made)


def _month_peaks(logs: Floats, months: int) -> Floats:
    """Highest day of each mean month, a day counting where its middle lies."""
    month = np.floor((np.arange(logs.shape[1]) + 0.5) / DAYS_OF_A_MONTH).astype(int)
    return np.stack([np.exp(logs[:, month == place].max(axis=1)) for place in range(months)], axis=1)
