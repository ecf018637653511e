"""Peaks of weeks or months that end today, what is missing of them, and what shed requests hide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from capacity.demand.history import Flags, Floats, TrafficHistory
from capacity.demand.history_table import MONTH_S, WEEK_S
from loadtests.foundation.errors import InputError

Period = Literal["week", "month"]
PERIOD_S: dict[Period, float] = {"week": WEEK_S, "month": MONTH_S}
_LEAST_SHARE = 0.5
_TREND_FROM = 12
_CENSORED_QUANTILE = 0.9  # of the demand above the bound: high, because a peak that is taken too low sheds again


@dataclass(frozen=True, eq=False)
class PeriodPeaks:
    """The highest interval of each period, oldest first; the last period ends with the history.

    Parameters
    ----------
    period : {"week", "month"}
        A month is a mean month (30.4375 days): no period is cut by the end of the history.
    end_s : float
        End of the last period, seconds since 1970.
    peaks : array of float, shape (n,)
        NaN where less than half of a period was recorded, or only zeros.
    censored : array of bool, shape (n,)
        Where requests were shed: the peak is a lower bound.
    zero : array of bool, shape (n,)
        Where everything recorded is zero.
    """

    period: Period
    end_s: float
    peaks: Floats
    censored: Flags
    zero: Flags

    @property
    def length_s(self) -> float:
        """Seconds of a period."""
        return PERIOD_S[self.period]

    @property
    def ends_s(self) -> Floats:
        """End of each period, seconds since 1970."""
        return np.asarray(self.end_s - self.length_s * np.arange(len(self.peaks) - 1, -1, -1.0), dtype=np.float64)

    @property
    def logs(self) -> Floats:
        """Natural logarithms of the peaks, NaN where they are missing."""
        return np.log(self.peaks)


def period_peaks(history: TrafficHistory, period: Period) -> PeriodPeaks:
    """Bring a history to the peaks of its whole periods, from the end backwards.

    Periods before the first that has traffic are left out.

    Raises
    ------
    InputError
        When the history is all zeros, ends without traffic, or has rows farther apart than the period.
    """
    length = PERIOD_S[period]
    if history.interval_s > length:
        raise InputError(f"{history.name} has rows farther apart than a {period}; use months.")
    slack = max(0.01 * length, 0.1 * history.interval_s)  # calendar months are not all of one length
    number = int((history.span_s + slack) // length)
    back = _periods_back(history, length)
    inside = (back < number) & np.isfinite(history.values)  # NaN: not known, as if it were not there
    place = (number - 1 - back)[inside]
    values = history.values[inside]
    peaks = np.full(number, np.nan)
    np.fmax.at(peaks, place, values)
    share = np.asarray(np.bincount(place, minlength=number) * history.interval_s / length, dtype=np.float64)
    censored = np.bincount(place, weights=history.censored[inside], minlength=number) > 0
    return _without_idle(history.name, PeriodPeaks(period, history.end_s, *_judged(peaks, share, censored)))


def _periods_back(history: TrafficHistory, length_s: float) -> NDArray[np.int64]:
    """How many periods before the last one each row's middle lies."""
    return np.floor((history.end_s - history.starts_s - history.interval_s / 2) / length_s).astype(np.int64)


def peak_middle_s(history: TrafficHistory, made: PeriodPeaks, place: int) -> float:
    """Middle of the highest interval of a period whose peak is known, seconds since 1970."""
    inside = _periods_back(history, made.length_s) == len(made.peaks) - 1 - place
    values = np.where(inside & np.isfinite(history.values), history.values, -np.inf)
    return float(history.starts_s[int(np.argmax(values))]) + history.interval_s / 2


def _judged(peaks: Floats, share: Floats, censored: Flags) -> tuple[Floats, Flags, Flags]:
    zero = peaks == 0
    known = (share >= _LEAST_SHARE) & ~zero
    return np.where(known, peaks, np.nan), np.asarray(censored & known), np.asarray(zero)


def _without_idle(name: str, made: PeriodPeaks) -> PeriodPeaks:
    if made.zero.size and made.zero[-1]:
        raise InputError(
            f"{name} has no traffic in its last {made.period}; growth needs a peak above 0 to start from. "
            "End the history where the traffic ends, if it was recorded elsewhere afterwards."
        )
    known = np.flatnonzero(np.isfinite(made.peaks))
    first = int(known[0]) if known.size else len(made.peaks)
    return PeriodPeaks(made.period, made.end_s, made.peaks[first:], made.censored[first:], made.zero[first:])


@dataclass(frozen=True, eq=False)
class PastPeaks:
    """What a model is told of the past. Made by `past_peaks`.

    Parameters
    ----------
    logs : array of float, shape (n,)
        Logarithms of the peaks, complete: where one is not known, what stands in for it.
    bounds : array of float, shape (n,)
        NaN where the peak is known; where requests were shed what it was at least; minus infinity where it is missing.
    """

    logs: Floats
    bounds: Floats


def past_peaks(logs: Floats, censored: Flags) -> PastPeaks:
    """The past as models see it, from logarithms (NaN where missing) and which of them are lower bounds."""
    bounds = np.where(np.isnan(logs), -np.inf, np.where(censored, logs, np.nan))
    return PastPeaks(completed(logs, censored), bounds)


def completed(logs: Floats, censored: Flags, quantile: float = _CENSORED_QUANTILE) -> Floats:
    """The logarithms that models are fitted to: gaps interpolated, lower bounds raised.

    A gap gets what lies on the line between its neighbours. A lower bound b is
    not an observation: with m interpolated from uncensored neighbours (after the
    last of them continued along their trend, where that rises) and s the
    robust scatter of uncensored periods around their own neighbours, demand is
    taken as normal(m, s) above b (J. Tobin, Econometrica 26, 1958), and a
    quantile stands in, 90 % unless said otherwise: high on purpose. Only what is given is used, so a
    backtest that gives the past sees no future.

    Parameters
    ----------
    logs : array of float, shape (n,)
        NaN where missing.
    censored : array of bool, shape (n,)
    quantile : float, default 0.9
        Of what lies above a bound.

    Returns
    -------
    array of float, shape (n,)
    """
    plain = np.isfinite(logs) & ~censored
    if not plain.any():
        plain = np.isfinite(logs)
    centre = _between(logs, plain)
    filled = np.where(plain, logs, centre)
    bounds = censored & np.isfinite(logs)
    if bounds.any():
        scatter = max(_scatter(logs[plain]), 1e-3)
        filled[bounds] = _quantile_above(logs[bounds], centre[bounds], scatter, quantile)
    return filled


def _between(logs: Floats, known: NDArray[np.bool_]) -> Floats:
    at = np.arange(len(logs), dtype=np.float64)
    made = np.interp(at, at[known], logs[known])
    last = int(np.flatnonzero(known)[-1])
    if last + 1 < len(logs):
        made[last + 1 :] = _continued(at[known][-_TREND_FROM:], logs[known][-_TREND_FROM:], at[last + 1 :])
    return np.asarray(made, dtype=np.float64)


def _continued(at: Floats, logs: Floats, later: Floats) -> Floats:
    """Median line through the last uncensored periods, never falling (H. Theil 1950, P. K. Sen 1968)."""
    one, other = np.triu_indices(len(at), 1)
    slope = max(0.0, float(np.median((logs[other] - logs[one]) / (at[other] - at[one])))) if len(at) > 2 else 0.0
    return np.asarray(float(np.median(logs - slope * at)) + slope * later, dtype=np.float64)


def _scatter(logs: Floats) -> float:
    """Deviation of one period: 1.4826 x median |y_t - (y_(t-1) + y_(t+1)) / 2| / sqrt(3/2), for independent ones."""
    if len(logs) < 3:
        return 0.0
    off = np.abs(logs[1:-1] - (logs[:-2] + logs[2:]) / 2)
    return float(1.4826 * np.median(off) / np.sqrt(1.5))


def _quantile_above(bounds: Floats, centre: Floats, scatter: float, quantile: float) -> Floats:
    """Quantile of a normal truncated below: m - s ndtri((1 - q) Phi(-z)), z = (b - m) / s, in logarithms of tails."""
    z = (bounds - centre) / scatter
    tail = special.log_ndtr(-z) + np.log(1 - quantile)
    return np.asarray(np.maximum(bounds, centre - scatter * special.ndtri_exp(tail)), dtype=np.float64)
