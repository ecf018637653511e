"""A forecast of month peaks, with what a backtest says about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from capacity.demand.backtest import Backtest
from capacity.demand.backtest_design import Design
from capacity.demand.candidates import Candidate, StandingOut
from capacity.demand.event_effects import NO_EVENTS, EventEffects, event_findings
from capacity.demand.forecast_findings import forecast_findings
from capacity.demand.forecast_scores import model_rows, score_rows
from capacity.demand.growth import GrowthProjection
from capacity.demand.growth_points import GrowthPoint
from capacity.demand.history import Floats, TrafficHistory, iso
from capacity.demand.history_table import MONTH_S
from capacity.demand.month_dates import date_after
from capacity.demand.month_dependence import MonthDependence
from capacity.demand.peak_factor import PeakFactor
from capacity.demand.period_peaks import PeriodPeaks, completed, period_peaks
from capacity.demand.quantile_scores import HIGH, LEVEL, LOW, MEDIAN, QUANTILES
from capacity.demand.recalibration import Recalibration
from capacity.demand.wording import amount, html_table, text_table
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.foundation.units import Quantity
from loadtests.foundation.versions import SCHEMA_VERSION, versions_of

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 6
_HALF_A_DAY_S = 43_200.0


@dataclass(frozen=True, eq=False)
class DemandForecast:
    """Peaks of the coming months as quantiles. Use `forecast_growth`.

    Parameters
    ----------
    history : TrafficHistory
    quantity : Quantity
        What the history counts.
    peaks : PeriodPeaks
        What the models saw.
    design : Design
        Horizon, steps, seed.
    factor : PeakFactor
        Peak inside a sampling interval over its mean.
    ways : tuple of Candidate
        Those that could be used, the simplest first; in the order of `tested`.
    tested : Backtest
    chosen, lowest : int
        Places in `ways` of the one used, and of the one with the lowest loss.
    recalibration : Recalibration
    log_quantiles : array, shape (months, quantiles)
        Of the highest interval of each month, recalibrated, without `factor` and without events.
    dependence : tuple of MonthDependence
        How the months depend on each other, from the way's futures.
    events : EventEffects
        Dated events, taken out of `peaks` and put on the months.
    standing_out : StandingOut
        Single periods unlike all others.
    """

    history: TrafficHistory
    quantity: Quantity
    peaks: PeriodPeaks
    design: Design
    factor: PeakFactor
    ways: tuple[Candidate, ...]
    tested: Backtest
    chosen: int
    lowest: int
    recalibration: Recalibration
    log_quantiles: Floats
    dependence: tuple[MonthDependence, ...]
    events: EventEffects = NO_EVENTS
    standing_out: StandingOut = field(default_factory=StandingOut)

    @property
    def model(self) -> Candidate:
        """The way that is used."""
        return self.ways[self.chosen]

    @property
    def quantiles(self) -> Floats:
        """Load at the quantiles 0.05 to 0.99, with events, times the middle of `factor`; (months, 6)."""
        return np.exp(self._with_events()) * self.factor.low_mid_high[1]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a person should know, of the history and of the forecast."""
        return (
            *self.history.findings, *self.factor.findings, *event_findings(self.events), *forecast_findings(self)
        )  # fmt: skip

    def _with_events(self) -> Floats:
        return self.events.applied(self.log_quantiles, self.history.end_s)

    @property
    def today(self) -> GrowthPoint:
        """Month 0: the peak of the month that ends with the history, as measured: days of an event count here.

        Where requests were shed in it, from what was served to the 95 % quantile of what lies above it.
        """
        peaks = period_peaks(self.history, self.peaks.period) if self.events.past else self.peaks
        recent = slice(-1, None) if peaks.period == "month" else slice(-4, None)
        bound = mid = high = float(np.nanmax(peaks.logs[recent]))
        if peaks.censored[recent].any():
            mid, high = (
                max(bound, float(np.max(completed(peaks.logs, peaks.censored, share)[recent]))) for share in (0.5, 0.95)
            )
        return _point(0, (bound, mid, high), self.factor)

    def to_growth(self) -> GrowthProjection:
        """Growth for `plan_capacity`: month 0 as measured, then the medians with the central 90 % interval.

        `low` and `high` also hold the uncertainty of the factor inside the sampling interval. Month 0 ends with the
        history, and has its date.
        """
        rows = zip(self._with_events(), self.dependence, strict=True)
        points = (
            replace(_point(month, tuple(row[[LOW, MEDIAN, HIGH]]), self.factor), p99=self._far(row), dependence=link)
            for month, (row, link) in enumerate(rows, start=1)
        )
        return GrowthProjection((self.today, *points), self.quantity, start=self._end, months_end=True)

    @property
    def _end(self) -> date:
        """Day with which the history ends, and month 0: at the nearest midnight, as days of any time zone do."""
        return datetime.fromtimestamp(self.history.end_s + _HALF_A_DAY_S, UTC).date()

    def _far(self, row: Floats) -> float | None:
        if row[LOW] == row[HIGH]:
            return None
        return _load(row[-1], self.factor.low_mid_high[-1])

    def growth_csv(self) -> str:
        """Text of a growth CSV that `read_growth` and ``capacity plan --growth`` read."""
        lines = [f"month_end,peak_{self.quantity},low,high,p99,own_share,persistence"]
        for point in self.to_growth().points:
            own, persistence = point.dependence.own_share, point.dependence.persistence
            end = date_after(self._end, point.month)
            far = "" if point.p99 is None else point.p99
            lines.append(f"{end},{point.peak},{point.low},{point.high},{far},{own},{persistence}")
        return "\n".join(lines) + "\n"

    def to_frame(self) -> pd.DataFrame:
        """One row a month: month, start, end (UTC), and the load at p5, p25, p50, p75, p95, p99."""
        import pandas as pd

        ends = self.history.end_s + MONTH_S * np.arange(1, self.design.horizon_months + 1)
        columns: dict[str, Any] = {"month": range(1, self.design.horizon_months + 1)}
        columns["start"] = pd.to_datetime(ends - MONTH_S, unit="s", utc=True)
        columns["end"] = pd.to_datetime(ends, unit="s", utc=True)
        return pd.DataFrame(columns | dict(zip(quantile_names(), self.quantiles.T, strict=True)))

    @property
    def scores(self) -> pd.DataFrame:
        """Backtest by way and month ahead.

        Columns: model, chosen, month, pinball, coverage, coverage_raw, origins,
        effective_origins. `pinball` (of logarithms, the mean over the six quantiles)
        and `coverage` (of the central 90 % interval) are of what is delivered: each
        origin recalibrated from all others, where there are enough of them;
        `coverage_raw` is of the intervals as the way gave them.
        """
        import pandas as pd

        return pd.DataFrame(score_rows(self.tested, self.chosen))

    @property
    def models(self) -> pd.DataFrame:
        """Backtest by way, over all months.

        As `scores`, with coverage_low and coverage_high, the 90 % interval of the coverage.
        """
        import pandas as pd

        return pd.DataFrame(model_rows(self.tested, self.chosen))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "schema_version": SCHEMA_VERSION,
            "history": self.history.to_dict(),
            "quantity": self.quantity.value,
            "period": self.peaks.period,
            "horizon_months": self.design.horizon_months,
            "within_interval_peak": self.factor.to_dict(),
            "model": self.model.name,
            "models": model_rows(self.tested, self.chosen),
            "scores": score_rows(self.tested, self.chosen),
            "level": LEVEL,
            "recalibrated_from_origins": self.recalibration.origins,
            "months": [
                {
                    "month": month,
                    **dict(zip(quantile_names(), map(float, row), strict=True)),
                    "events": self.month_events(month),
                }
                for month, row in enumerate(self.quantiles, start=1)
            ],
            "events": self.events.to_dict(),
            "growth": self.to_growth().to_dict(),
            "findings": [item.to_dict() for item in self.findings],
            "seed": self.design.seed,
            "versions": versions_of(
                "numpy", "scipy", "statsmodels", *(["prophet"] if "prophet" in self.tested.names else [])
            ),
        }

    def summary(self) -> str:
        """The months, the backtest of every way and the findings, for people."""
        lines = [
            f"Peak load ({self.quantity}) by {self.model.name}: {self.model.about}",
            text_table(("month", "median", "90 % interval", "99 %"), self.month_rows()),
            *self._event_lines(),
            f"Backtest: {self.tested.scored_origins} origins, {self.design.horizon_months} months apart",
            text_table(BACKTEST_HEADER, self.backtest_rows()),
            *(f"{item.severity}: {item.message}" for item in self.findings),
        ]
        return "\n".join(lines)

    def _event_lines(self) -> list[str]:
        rows = self.event_rows()
        return ["Events ahead", text_table(EVENT_HEADER, rows)] if rows else []

    def month_events(self, month: int) -> list[str]:
        """Names of the events in a month from 1."""
        return list(self.events.events_of_month(month, self.history.end_s))

    def event_rows(self) -> list[tuple[str, str, str, str]]:
        """Cells of a table of events ahead: name, days, factor, where it comes from."""
        seen = {
            name: sum(item.name == name and item.ratio > 0 for item in self.events.past) for name in self.events.names
        }
        return [
            (
                item.name, f"{iso(item.start_s)[:10]} to {iso(item.end_s - 1)[:10]}", _factor_text(item.factor),
                "stated" if item.source == "stated" else f"estimated from {seen[item.name]} past",
            )
            for item in self.events.coming
        ]  # fmt: skip

    def month_rows(self) -> list[tuple[str, str, str, str]]:
        """Cells of a table of months, from month 0, the one measured last."""
        points = self.to_growth().points
        today = "at least, measured" if self.today.low != self.today.high else "measured"
        tops = (today, *(amount(row[-1]) for row in self.quantiles))
        return [(str(p.month), amount(p.peak), _range_text(p), top) for p, top in zip(points, tops, strict=True)]

    def backtest_rows(self) -> list[tuple[str, str, str, str, str]]:
        """Cells of a table of ways; the chosen one is marked."""
        return [
            (
                f"{row['pinball']:.4f}", share_text(row["coverage"]), share_text(row["coverage_raw"]),
                f"{row['effective_origins']:.1f}", f"{row['model']}{' (chosen)' if row['chosen'] else ''}",
            )
            for row in model_rows(self.tested, self.chosen)
        ]  # fmt: skip

    def __repr__(self) -> str:
        last = self.to_growth().points[-1]
        return (
            f"DemandForecast({self.design.horizon_months} months by {self.model.name}: "
            f"{amount(self.today.peak)} to {amount(last.peak)} ({_range_text(last)}) {self.quantity}, "
            f"backtested at {self.tested.scored_origins} origins)"
        )

    def _repr_html_(self) -> str:
        header = ("month", f"median ({self.quantity})", "90 % interval", "99 %")
        scores = html_table(BACKTEST_HEADER, self.backtest_rows(), "Backtest")
        return html_table(header, self.month_rows(), repr(self)) + scores


EVENT_HEADER = ("event", "days (UTC)", "factor of the peak", "the factor is")
BACKTEST_HEADER = ("pinball loss", "coverage of 90 %", "before recalibration", "effective origins", "way")


def _point(month: int, logs: tuple[float, ...], factor: PeakFactor) -> GrowthPoint:
    low, peak, high = (_load(log, by) for log, by in zip(logs, factor.low_mid_high, strict=True))
    return GrowthPoint(month, peak, low, high)


def _load(log: float, factor: float) -> float:
    return float(f"{math.exp(log) * factor:.{_DIGITS}g}")


def _factor_text(factor: Interval) -> str:
    ends = "" if factor.low == factor.high else f" ({factor.low:.3g} to {factor.high:.3g})"
    return f"{factor.mid:.3g}{ends}"


def _range_text(point: GrowthPoint) -> str:
    if point.low is None or point.high is None or point.low == point.high:
        return "-"
    return f"{amount(point.low)} to {amount(point.high)}"


def quantile_names() -> tuple[str, ...]:
    """``p5``, ``p25``, ..., ``p99``."""
    return tuple(f"p{round(100 * q)}" for q in QUANTILES)


def share_text(share: float) -> str:
    """A share for a table: ``93 %``, ``-`` where it is not known."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "-"
