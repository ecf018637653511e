"""What dated events did to past peaks, and what they will do to coming months.

Past occurrences are taken out of the history, so that no model takes them for a season or a trend; how high each was
against the days around it is measured, and put on the months ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from capacity.demand.dated_events import EventCalendar, EventSpan
from capacity.demand.history import Floats, TrafficHistory, iso
from capacity.demand.history_table import MONTH_S
from capacity.demand.quantile_scores import HIGH, LEVEL, LOW, MEDIAN, QUANTILES
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval

FactorSource = Literal["estimated", "stated"]
_NONE = (1.0, 1.0, 1.0)
_Three = tuple[float, float, float]


@dataclass(frozen=True)
class PastEvent:
    """An occurrence inside the history.

    Parameters
    ----------
    name : str
    start_s, end_s : float
        Seconds since 1970; cut at the ends of the history.
    rows : int
        Rows of the history that were taken out.
    peak : float
        Its highest row; NaN where it has none.
    ratio : float
        Its highest row over the highest row of the days around it; NaN where one of the two is missing.
    lower_bound : bool
        Whether requests were shed during it: the ratio may have been higher.
    """

    name: str
    start_s: float
    end_s: float
    rows: int
    peak: float
    ratio: float
    lower_bound: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "first": iso(self.start_s), "end": iso(self.end_s), "rows": self.rows, "peak": _or_none(self.peak),
            "ratio": _or_none(self.ratio), "lower_bound": self.lower_bound,
        }  # fmt: skip


@dataclass(frozen=True)
class ComingEvent:
    """An occurrence after the history, and the factor of the peak that is expected of it."""

    name: str
    start_s: float
    end_s: float
    factor: Interval
    source: FactorSource

    @property
    def three(self) -> _Three:
        """Low, mid, high."""
        return self.factor.low, self.factor.mid, self.factor.high

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "first": iso(self.start_s), "end": iso(self.end_s), "factor": self.factor.to_dict(), "source": self.source
        }  # fmt: skip


@dataclass(frozen=True)
class EventEffects:
    """Past and coming occurrences of dated events. Use `event_effects`; empty: there are none.

    Parameters
    ----------
    past : tuple of PastEvent
    coming : tuple of ComingEvent
        Up to the end of the forecast.
    unused : tuple of str
        Names and first days of events that lie outside both.
    """

    past: tuple[PastEvent, ...] = ()
    coming: tuple[ComingEvent, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all events, in the order of time."""
        return tuple(dict.fromkeys([*(item.name for item in self.past), *(item.name for item in self.coming)]))

    def estimates(self) -> dict[str, Interval]:
        """The factor of the next occurrence of each event that was measured, from the past ones.

        With ratios r_ij of occurrence j of event i: exp(mean_j ln r_ij +- t s sqrt(1 + 1/n_i)), the 90 % prediction
        interval of a further one; s is the deviation within events, pooled over those that were seen several times, t
        Student's with its degrees of freedom (N. R. Draper, H. Smith, *Applied Regression Analysis*, 3rd ed., 1998).
        Where no event was seen twice nothing is known of s, and the three are equal.
        """
        logs = {name: self._log_ratios(name) for name in self.names}
        freedom = sum(max(len(values) - 1, 0) for values in logs.values())
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in logs.values() if len(values))
        spread = math.sqrt(squares / freedom) if freedom else 0.0
        reach = spread * float(stats.t.ppf((1 + LEVEL) / 2, freedom)) if freedom else 0.0
        return {
            name: _around(float(values.mean()), reach * math.sqrt(1 + 1 / len(values)))
            for name, values in logs.items()
            if len(values)
        }

    def _log_ratios(self, name: str) -> Floats:
        ratios = [item.ratio for item in self.past if item.name == name and item.ratio > 0]
        return np.asarray(np.log(np.array(ratios, dtype=np.float64)), dtype=np.float64)

    def month_factors(self, end_s: float, months: int) -> tuple[_Three, ...]:
        """Low, mid and high factor of the peak of each month after `end_s`.

        A month's peak is the highest of its days: of the stretches between the
        begins and ends of events the one with the largest product of factors counts,
        and days without an event have 1. So a quiet holiday lowers no month that has other days.
        """
        return tuple(_largest(self.coming, end_s + MONTH_S * k, end_s + MONTH_S * (k + 1)) for k in range(months))

    def applied(self, log_quantiles: Floats, end_s: float) -> Floats:
        """Quantiles of the month peaks (logarithms; months, quantiles) with the events of the months on them.

        The median is multiplied by the middle factor; the distance of each quantile
        from it is the root of the sum of squares of its own and the factor's, as for
        independent normal errors of logarithms. The factor's ends count as its 5 % and 95 % points.
        """
        if not self.coming:
            return log_quantiles
        factors = np.log(np.array(self.month_factors(end_s, len(log_quantiles))))
        own = log_quantiles - log_quantiles[:, [MEDIAN]]
        ends = np.where(np.arange(len(QUANTILES)) < MEDIAN, factors[:, [0]], factors[:, [2]]) - factors[:, [1]]
        reach = ends * _SHARE_OF_END
        made = log_quantiles[:, [MEDIAN]] + factors[:, [1]] + _SIDE * np.sqrt(own**2 + reach**2)
        return np.asarray(made, dtype=np.float64)

    def events_of_month(self, month: int, end_s: float) -> tuple[str, ...]:
        """Names of the events in month `month` (from 1) after `end_s`."""
        start, end = end_s + MONTH_S * (month - 1), end_s + MONTH_S * month
        return tuple(dict.fromkeys(item.name for item in self.coming if item.start_s < end and item.end_s > start))

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON form, one object an event."""
        estimates = self.estimates()
        return [
            {
                "name": name, "estimate": estimates.get(name, Interval.unknown(LEVEL, "prediction")).to_dict(),
                "past": [item.to_dict() for item in self.past if item.name == name],
                "coming": [item.to_dict() for item in self.coming if item.name == name],
            }
            for name in self.names
        ]  # fmt: skip


NO_EVENTS = EventEffects()
_SHARE_SEEN = 0.5
_SIDE = np.sign(np.arange(len(QUANTILES)) - MEDIAN).astype(np.float64)
_SHARE_OF_END = np.abs(stats.norm.ppf(QUANTILES) / stats.norm.ppf(np.array(QUANTILES)[[LOW, HIGH]]).max())


def event_effects(history: TrafficHistory, calendar: EventCalendar, months: int) -> EventEffects:
    """Measure past occurrences, and give every coming one its factor: as stated, else by the past.

    Raises
    ------
    InputError
        When an event lies ahead for which nothing is stated and nothing was measured.
    """
    start, end = float(history.starts_s[0]), history.end_s
    before = calendar.spans(start, end)
    inside = _rows_of_any(history, before)
    past = tuple(_measured(history, span, inside, before) for span in before)
    estimates = EventEffects(past).estimates()
    ahead = [span for span in calendar.spans(end, end + MONTH_S * months) if span.end_s > end]
    unknown = sorted({span.event.name for span in ahead if span.event.factor is None} - set(estimates))
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: ahead, with no factor stated and no past occurrence in {history.name} to estimate "
            "it from. State factor (and low and high), or give the days on which it was."
        )
    used = {span.event for span in (*before, *ahead)}
    unused = tuple(f"{event.name} ({event.first})" for event in calendar.events if event not in used)
    return EventEffects(past, tuple(_coming(span, end, estimates) for span in ahead), unused)


def without_events(history: TrafficHistory, calendar: EventCalendar) -> TrafficHistory:
    """The history with the rows of all events as not known (NaN), and none of them a lower bound."""
    inside = _rows_of_any(history, calendar.spans(float(history.starts_s[0]), history.end_s))
    return replace(
        history, values=np.where(inside, np.nan, history.values), censored=np.asarray(history.censored & ~inside)
    )


def _rows_of(history: TrafficHistory, start_s: float, end_s: float) -> NDArray[np.bool_]:
    """Rows that share at least half of their own length, or of the event's where that is shorter."""
    starts, ends = history.starts_s, history.starts_s + history.interval_s
    shared = np.minimum(ends, end_s) - np.maximum(starts, start_s)
    return np.asarray(shared >= 0.5 * min(history.interval_s, end_s - start_s))


def _rows_of_any(history: TrafficHistory, spans: Iterable[EventSpan]) -> NDArray[np.bool_]:
    every = (_rows_of(history, span.start_s, span.end_s) for span in spans)
    return reduce(np.logical_or, every, np.zeros(len(history.values), dtype=bool))


def _measured(
    history: TrafficHistory, span: EventSpan, inside: NDArray[np.bool_], every: Sequence[EventSpan]
) -> PastEvent:
    """Peak over the peak of half a month (or two rows) before and after; days of other events do not count there."""
    mine = _rows_of(history, span.start_s, span.end_s)
    top = float(history.values[mine].max(initial=0.0))
    start, end = max(span.start_s, float(history.starts_s[0])), min(span.end_s, history.end_s)
    is_seen = end - start >= _SHARE_SEEN * (span.end_s - span.start_s)  # its first days alone say little of its peak
    return PastEvent(
        span.event.name, start, end, int(mine.sum()), top if mine.any() else math.nan,
        _ratio(history, span, inside, every) if is_seen else math.nan, bool(history.censored[mine].any()),
    )  # fmt: skip


def _ratio(history: TrafficHistory, span: EventSpan, inside: NDArray[np.bool_], every: Sequence[EventSpan]) -> float:
    """Of the event by itself: on days it has alone, else less what longer events around it have on theirs.

    NaN where nothing is known of it, or of the days around.
    """
    mine, others = _rows_of(history, span.start_s, span.end_s), [one for one in every if _meet(one, span)]
    alone = mine & ~_rows_of_any(history, others)
    own = alone if alone.any() else mine
    reach = max(MONTH_S / 2, 2 * history.interval_s)
    near = (history.starts_s >= span.start_s - reach) & (history.starts_s < span.end_s + reach) & ~inside
    top, usual = (float(history.values[rows].max(initial=0.0)) for rows in (own, near))
    if not (top > 0 and usual > 0):
        return math.nan
    around = [] if alone.any() else [one for one in others if _holds(one, span)]
    return top / usual / math.prod(_ratio(history, one, inside, every) for one in around)


def _meet(one: EventSpan, span: EventSpan) -> bool:
    return one != span and one.start_s < span.end_s and span.start_s < one.end_s


def _holds(one: EventSpan, span: EventSpan) -> bool:
    """Whether an event lasts longer, and all through another."""
    is_longer = one.end_s - one.start_s > span.end_s - span.start_s
    return is_longer and one.start_s <= span.start_s and span.end_s <= one.end_s


def _coming(span: EventSpan, end_s: float, estimates: dict[str, Interval]) -> ComingEvent:
    stated = span.event.factor
    factor = estimates[span.event.name] if stated is None else stated
    source: FactorSource = "estimated" if stated is None else "stated"
    return ComingEvent(span.event.name, max(span.start_s, end_s), span.end_s, factor, source)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _around(log_mid: float, reach: float) -> Interval:
    low, mid, high = (math.exp(log_mid + by) for by in (-reach, 0.0, reach))
    return Interval(low, mid, high, LEVEL, "prediction")


def _largest(coming: Sequence[ComingEvent], start_s: float, end_s: float) -> _Three:
    here = [item for item in coming if item.start_s < end_s and item.end_s > start_s]
    edges = sorted({start_s, *(max(item.start_s, start_s) for item in here), *(item.end_s for item in here)})
    products = [
        _product(item.three for item in here if item.start_s <= edge < item.end_s) for edge in edges if edge < end_s
    ]
    low, mid, high = (max(column) for column in zip(*products, strict=True))
    return low, mid, high


def _product(factors: Iterable[_Three]) -> _Three:
    low, mid, high = _NONE
    for one in factors:
        low, mid, high = low * one[0], mid * one[1], high * one[2]
    return low, mid, high


def event_findings(effects: EventEffects) -> tuple[Finding, ...]:
    """What a person should know about the events."""
    checks = (_taken_out, _unused, _unmeasured, _bounds, _single, _restated)
    return tuple(item for check in checks for item in check(effects))


def _unused(effects: EventEffects) -> Iterable[Finding]:
    if effects.unused:
        yield Finding(
            "event-not-used", "info",
            f"Neither the history nor the forecast reaches the days of {', '.join(effects.unused)}.",
            "Look at the years of the event file, or forecast further.", {"occurrences": list(effects.unused)},
        )  # fmt: skip


def _taken_out(effects: EventEffects) -> Iterable[Finding]:
    seen = [item for item in effects.past if item.rows]
    if seen:
        names = ", ".join(dict.fromkeys(item.name for item in seen))
        rows = sum(item.rows for item in seen)
        yield Finding(
            "events-taken-out", "info",
            f"{rows:,} rows of {len(seen)} past occurrences ({names}) are taken out of the history: models and "
            "backtest see the other days. Month 0 is as measured, events included.",
            "", {"rows": rows, "occurrences": len(seen)},
        )  # fmt: skip


def _unmeasured(effects: EventEffects) -> Iterable[Finding]:
    missing = [f"{item.name} ({iso(item.start_s)[:10]})" for item in effects.past if math.isnan(item.ratio)]
    if missing:
        yield Finding(
            "event-not-measured", "info",
            f"Nothing is known of {', '.join(missing)}: the history lacks its days or all days around it.",
            "State the factor, if it comes again.", {"occurrences": missing},
        )  # fmt: skip


def _bounds(effects: EventEffects) -> Iterable[Finding]:
    bounds = [f"{item.name} ({iso(item.start_s)[:10]})" for item in effects.past if item.lower_bound]
    if bounds:
        yield Finding(
            "event-factor-censored", "warning",
            f"Requests were shed during {', '.join(bounds)}: its peak is a lower bound, and the factor may be larger "
            "than estimated.",
            "State factor, low and high of the coming ones.", {"occurrences": bounds},
        )  # fmt: skip


def _single(effects: EventEffects) -> Iterable[Finding]:
    """Estimates without width: no event was seen twice."""
    known = effects.estimates()
    used = {item.name for item in effects.coming if item.source == "estimated"}
    points = sorted(name for name in used if known[name].low == known[name].high)
    if points:
        yield Finding(
            "event-range-unknown", "warning",
            f"The factor of {', '.join(points)} comes from one past occurrence: how much the next may differ is not "
            "known, and the forecast's intervals do not hold it.",
            "State factor, low and high.", {"events": points},
        )  # fmt: skip


def _restated(effects: EventEffects) -> Iterable[Finding]:
    known = effects.estimates()
    for item in effects.coming:
        if item.source == "stated" and item.name in known and not known[item.name].contains(item.factor.mid):
            measured = known[item.name]
            yield Finding(
                "event-factor-stated", "info",
                f"{item.name} ({iso(item.start_s)[:10]}) is stated as a factor of {item.factor.mid:.3g}; past "
                f"occurrences had {measured.format('.3g')}. The stated one is used.",
                "Leave the factor out to use the past.", {"stated": item.factor.mid, "measured": measured.to_dict()},
            )  # fmt: skip
