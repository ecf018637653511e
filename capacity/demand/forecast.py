"""From a traffic history to a forecast: the choice of steps, of the way by a backtest, and of the intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

import numpy as np

from capacity.demand.backtest import choose, final_paths, quantiles_of, run_backtest
from capacity.demand.backtest_design import Design
from capacity.demand.candidates import Candidate, StandingOut
from capacity.demand.dated_events import EventCalendar
from capacity.demand.dependence_fit import fitted_dependence
from capacity.demand.event_effects import NO_EVENTS, event_effects, without_events
from capacity.demand.forecast_result import DemandForecast
from capacity.demand.history import TrafficHistory
from capacity.demand.history_table import WEEK_S
from capacity.demand.peak_factor import PeakFactor, estimate_peak_factor
from capacity.demand.period_peaks import Period, PeriodPeaks, past_peaks, peak_middle_s, period_peaks
from capacity.demand.recalibration import Recalibration, enough_origins, recalibrate
from capacity.demand.wording import counted
from loadtests.foundation.checks import one_of, whole
from loadtests.foundation.errors import InputError
from loadtests.foundation.units import Quantity

MAX_HORIZON_MONTHS = 60
FURTHER = {"prophet": "capacity.demand.prophet_model"}
"""Ways that are tried when asked for, and the module of each."""
_MOST_MISSING = 1 / 3


def forecast_growth(
    history: TrafficHistory,
    horizon_months: int = 6,
    *,
    quantity: str = "ccu",
    within_interval_peak: float | TrafficHistory | PeakFactor | None = None,
    period: Period | None = None,
    events: EventCalendar | None = None,
    models: Sequence[str] = (),
    seed: int = 1,
) -> DemandForecast:
    """Forecast the peak of each coming month, by the way that a rolling-origin backtest chooses.

    Parameters
    ----------
    history : TrafficHistory
    horizon_months : int, default 6
        1 to 60.
    quantity : str, default "ccu"
        What the history counts: users, connections, in_flight, rps or ccu.
    within_interval_peak : float, TrafficHistory or PeakFactor, optional
        Peak inside a sampling interval over its mean; a history with finer
        intervals to estimate it from; absent: not known, which is a finding.
    period : {"week", "month"}, optional
        What the models step by. Absent: months, with a yearly pattern, where the
        history is long enough for one backtest origin, else weeks without it.
    events : EventCalendar, optional
        Holidays, campaigns and launches by date (see `read_events`): past ones are
        taken out of what models and backtest see, coming ones are put on the forecast.
    models : sequence of str, optional
        Further ways beside the usual ones: ``prophet`` (an extra to install).
    seed : int, default 1

    Raises
    ------
    InputError
        When the history is too short (it says how much is needed), mostly
        missing, all zeros, or idle at its end; when an event ahead has no factor;
        when a further way is unknown or not installed; when counts are to be another
        quantity than rps.
    """
    horizon = whole("horizon_months", horizon_months, least=1, most=MAX_HORIZON_MONTHS)
    unit = Quantity.parse(quantity)
    _refuse_counts(history, unit)
    factor = _factor(within_interval_peak, history)
    effects = NO_EVENTS if events is None else event_effects(history, events, horizon)
    usual = history if events is None else without_events(history, events)
    design = Design(_period(usual, horizon, period), horizon, seed=whole("seed", seed))
    offered = _ways(models, design)
    peaks = period_peaks(usual, design.period)
    _check_length(history, peaks, design)
    tested = run_backtest(peaks.logs, peaks.censored, offered, design)
    if tested.scored_origins == 0:
        raise InputError(
            f"{history.name} leaves no month to test a forecast on: all are missing or had shed requests. "
            "Give a history in which most of the demand was served."
        )
    ways = tuple(way for way in offered if way.name in tested.names)
    chosen, lowest = choose(tested, is_bounded=bool(peaks.censored.any()))
    can = enough_origins(tested.observed)
    recalibration = recalibrate(tested.forecasts[chosen], tested.observed) if can else Recalibration()
    paths = final_paths(ways[chosen], peaks.logs, peaks.censored, design, chosen)
    return DemandForecast(
        history, unit, peaks, design, factor, ways, tested, chosen, lowest, recalibration,
        recalibration.applied(quantiles_of(paths)), fitted_dependence(paths), effects,
        _standing_out(usual, peaks, design),
    )  # fmt: skip


def _refuse_counts(history: TrafficHistory, quantity: Quantity) -> None:
    if history.values_are == "counts" and quantity is not Quantity.RPS:
        raise InputError(
            f"The values of {history.name} are counts of an interval, which are requests per second (rps), not "
            f"{quantity}. Forecast rps, then convert it with `convert_growth`; or give a history of {quantity}."
        )


def _standing_out(history: TrafficHistory, peaks: PeriodPeaks, design: Design) -> StandingOut:
    from capacity.demand.structural_model import standing_out

    past = past_peaks(peaks.logs, peaks.censored)
    found = standing_out(past.logs, past.bounds, design.year, design.steps)
    return replace(found, middles_s={place: peak_middle_s(history, peaks, place) for place in found.expected})


def _ways(models: Sequence[str], design: Design) -> tuple[Candidate, ...]:
    """The usual ways, then those asked for; what is loaded is only what is used."""
    from capacity.demand.forecast_models import candidates

    for name in models:
        one_of("models", name, FURTHER)
    return (*candidates(design.season), *(_further(name) for name in dict.fromkeys(models)))


def _further(name: str) -> Candidate:
    module = import_module(FURTHER[name])
    return module.candidate()  # type: ignore[no-any-return]


def _factor(given: float | TrafficHistory | PeakFactor | None, history: TrafficHistory) -> PeakFactor:
    if given is None:
        return PeakFactor.unknown(history.interval_s)
    if isinstance(given, PeakFactor):
        return given
    if isinstance(given, TrafficHistory):
        return estimate_peak_factor(given, history.interval_s)
    return PeakFactor.given(given)


def _period(history: TrafficHistory, horizon: int, given: Period | None) -> Period:
    if given is not None:
        one_of("period", given, ("week", "month"))
        return given
    if history.interval_s > WEEK_S:
        return "month"
    return "month" if len(period_peaks(history, "month").peaks) >= Design("month", horizon).least_history else "week"


def _check_length(history: TrafficHistory, peaks: PeriodPeaks, design: Design) -> None:
    have, need = len(peaks.peaks), design.least_history
    if have < need:
        shorter = [m for m in range(1, design.horizon_months) if Design(design.period, m).least_history <= have]
        advice = f"shorten the horizon to {counted(shorter[-1], 'month')} at most" if shorter else "collect more"
        raise InputError(
            f"{history.name} has {have} {peaks.period}s of traffic; a forecast over {design.horizon_months} months "
            f"needs at least {need} ({design.least_training} to learn from, {design.steps} to test on). Give a longer "
            f"history, {advice}, or state the growth yourself with low and high."
        )
    if np.isnan(peaks.peaks[-1 if peaks.period == "month" else -4 :]).all():
        raise InputError(
            f"{history.name} lacks most of its last month, which the forecast starts from. End it where it is recorded "
            "in full, or fill the gap."
        )
    missing = float(np.isnan(peaks.peaks).mean())
    if missing > _MOST_MISSING:
        raise InputError(
            f"{history.name} lacks {missing:.0%} of its {peaks.period}s (not recorded, only zeros, or days of events); "
            "at most a third may be missing. Give a fuller history."
        )
