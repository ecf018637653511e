"""What a person should know about a forecast."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from capacity.demand.candidates import STRUCTURAL, YEARS_FOR_A_WAVE
from capacity.demand.history import span_text
from capacity.demand.quantile_scores import LEVEL, QUANTILES, coverage
from capacity.demand.recalibration import LEAST_ORIGINS
from capacity.demand.wording import amount, counted
from loadtests.foundation.findings import Finding
from loadtests.foundation.units import Quantity

if TYPE_CHECKING:
    from capacity.demand.forecast_result import DemandForecast


def forecast_findings(forecast: DemandForecast) -> tuple[Finding, ...]:
    """All findings, in the order in which a reader needs them."""
    checks = (
        _counts_or_rates, _censored, _idle_or_missing, _constant, _standing_out, _no_season, _origins, _coverage,
        _lowest, _failed,
    )  # fmt: skip
    return tuple(item for check in checks for item in check(forecast))


def _counts_or_rates(forecast: DemandForecast) -> Iterator[Finding]:
    """A day's count taken for a rate is 86,400 times too high, and nothing else shows it."""
    history = forecast.history
    if forecast.quantity is not Quantity.RPS or history.values_are is not None or history.interval_s <= 1.0:
        return
    typical = float(np.nanmedian(history.values))
    yield Finding(
        "counts-or-rates", "warning",
        f"The values are taken as requests per second: {amount(typical)} in the middle, "
        f"{amount(typical * history.interval_s)} requests in each interval of {span_text(history.interval_s)}. If they "
        f"count the requests of an interval, the rate is {typical / history.interval_s:.3g}.",
        "Say what they are: --values counts or --values loads (`read_history(..., values_are=...)`).",
        {"value": typical, "interval_s": history.interval_s, "rate_of_counts_rps": typical / history.interval_s},
    )  # fmt: skip


def _censored(forecast: DemandForecast) -> Iterator[Finding]:
    peaks = forecast.peaks
    number = int(peaks.censored.sum())
    if number:
        recent = peaks.censored[-(12 if peaks.period == "month" else 26) :]
        takes_bounds = forecast.model.name == STRUCTURAL
        seen = (
            "The model takes them as such"
            if takes_bounds
            else "The model sees the 90 % quantile of what lies above each bound, by the scatter of the other periods, "
            "instead of the value"
        )
        yield Finding(
            "demand-censored", "critical" if recent.mean() > 0.5 else "warning",
            f"Requests were shed in {counted(number, peaks.period)}: their peaks are lower bounds of the demand. "
            f"{seen}; these periods are not used to score forecasts. How far demand went beyond them nobody saw.",
            "Say what was offered instead of what was served, where that is known.",
            {"censored": number, "of": len(peaks.peaks), "taken_as_bounds": takes_bounds},
        )  # fmt: skip


def _idle_or_missing(forecast: DemandForecast) -> Iterator[Finding]:
    peaks = forecast.peaks
    idle, missing = int(peaks.zero.sum()), int(np.isnan(peaks.peaks).sum())
    if missing:
        yield Finding(
            "periods-missing", "warning" if missing > 0.05 * len(peaks.peaks) else "info",
            f"No peak is known of {counted(missing, peaks.period)} of {len(peaks.peaks)} ({idle} only zeros, "
            f"{missing - idle} less than half recorded); the structural model leaves them open, others see a straight "
            "line between their neighbours.",
            "Fill them from another source.",
            {"zero": idle, "unrecorded": missing - idle, "of": len(peaks.peaks)},
        )  # fmt: skip


def _constant(forecast: DemandForecast) -> Iterator[Finding]:
    known = forecast.peaks.peaks[np.isfinite(forecast.peaks.peaks)]
    if np.ptp(known) <= 1e-9 * known.max():
        yield Finding(
            "history-constant", "warning",
            f"Every {forecast.peaks.period} has the same peak. Intervals without width say that nothing ever changed, "
            "not that nothing will.",
            "Check whether a limit or a default was recorded instead of demand; state low and high yourself.",
        )  # fmt: skip


def _standing_out(forecast: DemandForecast) -> Iterator[Finding]:
    found, period = forecast.standing_out, forecast.peaks.period
    if not found.expected:
        return
    sizes = [_size(forecast, place, expected) for place, expected in found.expected.items()]
    told = [f"{amount(item['peak'])} on {item['day']} (expected {amount(item['expected'])})" for item in sizes]
    moves = ""
    if forecast.model.name == STRUCTURAL:
        moves = f" They count like all others, and move the middle of what is ahead by {np.expm1(found.pull):+.0%}."
    unsure = f" The last {period} may be the first of a new level: the next ones can tell." if found.has_last else ""
    lines = "; ".join(f"what,{item['first']},{item['last']}" for item in sizes)
    yield Finding(
        "period-stands-out", "warning",
        f"The peak is unlike all others in {counted(len(sizes), period)}: {'; '.join(told)}.{moves}{unsure}",
        "Where it was one of a kind or a fault of measurement, take it out by an event file (--events) with the "
        f"columns name,first,last and a line for each: {lines} (days of UTC).",
        {"periods": sizes, "pull": float(np.expm1(found.pull))},
    )  # fmt: skip


def _size(forecast: DemandForecast, place: int, log_expected: float) -> dict[str, Any]:
    """A period that stands out: its peak, the day of it, what was to be expected, and the days that would take it out.

    A low one is low on all its days.
    """
    peaks, expected = forecast.peaks, float(np.exp(log_expected))
    peak, end_s = float(peaks.peaks[place]), float(peaks.ends_s[place])
    day = _day(forecast.standing_out.middles_s[place])
    is_low = peak < expected
    first, last = (_day(end_s - peaks.length_s), _day(end_s)) if is_low else (day, day)
    return {"day": day, "peak": peak, "expected": expected, "first": first, "last": last}


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).date().isoformat()


def _no_season(forecast: DemandForecast) -> Iterator[Finding]:
    if not _has_yearly_pattern(forecast):
        yield Finding(
            "no-yearly-pattern", "warning",
            f"The forecast steps by weeks, from {len(forecast.peaks.peaks)} of them, and has no yearly pattern "
            f"({forecast.model.name}): holidays and seasons are not in it.",
            "Give a history of two years or more, or raise the months that you know to be busy.",
            {"weeks": len(forecast.peaks.peaks)},
        )  # fmt: skip


def _has_yearly_pattern(forecast: DemandForecast) -> bool:
    years = len(forecast.peaks.peaks) / forecast.design.year
    return bool(forecast.design.season) or (forecast.model.name == STRUCTURAL and years >= YEARS_FOR_A_WAVE)


def _origins(forecast: DemandForecast) -> Iterator[Finding]:
    origins, effective = forecast.tested.scored_origins, forecast.tested.effective_origins(forecast.chosen)
    numbers = {"origins": origins, "effective_origins": effective}
    if origins < LEAST_ORIGINS:
        yield Finding(
            "few-origins", "warning",
            f"The history allows {counted(origins, 'backtest origin')}, {forecast.design.horizon_months} months apart: "
            f"too few to choose a way with confidence, and to recalibrate the intervals (from {LEAST_ORIGINS}). They "
            "are as the way gives them.",
            "Give a longer history, or a shorter horizon; plan with the upper ends.", numbers,
        )  # fmt: skip
    else:
        unproven = [q for q in QUANTILES if origins < q / (1 - q) - 1e-9]
        limit = f"; so few cannot bound the quantile {' or '.join(f'{q:g}' for q in unproven)}" if unproven else ""
        yield Finding(
            "intervals-recalibrated", "info",
            f"The intervals are recalibrated by the errors at {origins} backtest origins (effectively "
            f"{effective:.1f} independent ones){limit}.",
            "", numbers | {"shifts": list(forecast.recalibration.shifts)},
        )  # fmt: skip


def _coverage(forecast: DemandForecast) -> Iterator[Finding]:
    tested, chosen = forecast.tested, forecast.chosen
    found = coverage(tested.inside[chosen], tested.effective_origins(chosen))
    if not found.contains(LEVEL):
        side = "fewer" if found.mid < LEVEL else "more"
        yield Finding(
            "coverage-off", "warning" if side == "fewer" else "info",
            f"The {LEVEL:.0%} intervals held {found.mid:.0%} of the backtest's months ({found.low:.0%} to "
            f"{found.high:.0%}), {side} than they claim.",
            "Plan with the upper ends and a larger safety factor.", {"coverage": found.to_dict()},
        )  # fmt: skip


def _lowest(forecast: DemandForecast) -> Iterator[Finding]:
    if forecast.chosen != forecast.lowest:
        losses = forecast.tested.origin_losses.mean(axis=1)
        used, lowest = forecast.model, forecast.ways[forecast.lowest]
        bounded = bool(forecast.peaks.censored.any()) and used.name == STRUCTURAL
        reason = "it takes no lower bounds for what they are" if bounded else "by no more than one standard error"
        grows_less = lowest.grows and not used.grows
        growth = " It does not grow beyond what was seen." if grows_less else ""
        yield Finding(
            "lowest-within-error", "warning" if grows_less else "info",
            f"{used.name} is used (pinball loss {losses[forecast.chosen]:.4f}): {lowest.name} has a lower one "
            f"({losses[forecast.lowest]:.4f}), but {reason}.{growth}",
            "Where you know that demand grows, plan with the upper ends.",
            {"loss": float(losses[forecast.chosen]), "lowest_loss": float(losses[forecast.lowest])},
        )  # fmt: skip


def _failed(forecast: DemandForecast) -> Iterator[Finding]:
    for name, reason in forecast.tested.failed.items():
        yield Finding("way-left-out", "info", f"{name} could not be fitted and was left out: {reason}.")
