"""Study: how often do the 90 % intervals of `forecast_growth` hold the peaks that came, month by month ahead?

Synthetic days of known truth: of each series the last months are kept back, the forecast sees the rest, and each
month's true peak is compared with its quantiles. What came is demand, also where the forecast saw only what a gate let
through. Every series has noise of 5 % a day, a week of +-10 %, and by cell:

- ``trend``: 20 % growth a year, nothing else;
- ``season``: the same, and a yearly swing of 0.4 (of logarithms);
- ``drift``: a season, and growth that wanders: monthly steps of 3 % that stay;
- ``level shifts``: a season, and lasting shifts, one in two years, of 25 %, that nobody foresees;
- ``launches``: a season, and launches of 3 to 7 days, two a year, about twice the load: in past and future, and nobody
  says when; ``launches, dated``: the same series with the days of all launches in an event file, without factors;
- ``shed``: a season and 20 % growth behind a gate that is raised every year; days above it are cut and marked;
- ``short``: 19 months of days with a season: forecast by weeks, three months ahead.

``page views`` is real: `data/traffic_histories/wikipedia_r_daily.csv`, forecast from months 60, 66, ... of its 96. The
other count there (two weeks of a load balancer) is too short to forecast a month.
One row a series is appended to the results, so the study resumes where it stopped.

    python tests/studies/forecast_coverage.py --series 40 --minutes 20
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from capacity import DatedEvent, EventCalendar, TrafficHistory, forecast_growth, read_history
from capacity.demand.backtest import final_paths, quantiles_of
from capacity.demand.candidates import TRAILING
from capacity.demand.forecast_result import DemandForecast
from capacity.demand.history_table import MONTH_S
from capacity.demand.quantile_scores import HIGH, LOW, pinball
from loadtests.foundation.seeds import generator
from loadtests.foundation.versions import versions_of
from studies.results_table import append_rows, read_rows
from support.traffic import DAY_S, daily

Floats = NDArray[np.float64]
ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results" / "forecast_coverage.csv"
SEED = 20_261_126
HORIZON, SEEN_MONTHS = 6, 66
SHORT_HORIZON, SHORT_MONTHS = 3, 19
FIRST_DAY = date(2020, 1, 1)  # of `support.traffic.daily`
REAL = "page views"
SYNTHETIC = ("trend", "season", "drift", "level shifts", "launches", "launches, dated", "shed", "short")
CELLS = (*SYNTHETIC, REAL)
PARTS = ("held", "below", "loss", "baseline")


@dataclass(frozen=True)
class Series:
    """Days of true demand, what was served, which days were cut, and when launches were."""

    demand: Floats
    served: Floats
    cut: NDArray[np.bool_]
    launches: tuple[tuple[int, int], ...] = ()


def make_series(cell: str, number: int) -> Series:
    """One series of a cell; `launches` and `launches, dated` have the same ones."""
    kind = "launches" if cell.startswith("launches") else cell
    rng = generator(SEED, SYNTHETIC.index(kind), number)
    months = SHORT_MONTHS + SHORT_HORIZON if cell == "short" else SEEN_MONTHS + HORIZON
    day = np.arange(int(months * MONTH_S / DAY_S))
    logs = math.log(1_000) + 0.2 * day / 365.25 + 0.1 * np.sin(2 * np.pi * day / 7) + rng.normal(0, 0.05, len(day))
    if kind != "trend":
        logs += 0.4 * np.sin(2 * np.pi * (day / 365.25 + rng.random()))
    if kind == "drift":
        logs += np.cumsum(rng.normal(0, 0.03 / math.sqrt(30.4375), len(day)))
    if kind == "level shifts":
        logs += np.cumsum(np.where(rng.random(len(day)) < 1 / 730.5, rng.normal(0, 0.25, len(day)), 0.0))
    launches = _launches(rng, len(day)) if kind == "launches" else ()
    for first, last in launches:
        logs[first : last + 1] += rng.normal(math.log(2), 0.2)
    demand = np.exp(logs)
    gate = _gate(demand) if kind == "shed" else np.full(len(day), np.inf)
    return Series(demand, np.minimum(demand, gate), demand > gate, launches)


def _launches(rng: np.random.Generator, days: int) -> tuple[tuple[int, int], ...]:
    """Two a year, at random, at least two months apart."""
    found: list[tuple[int, int]] = []
    first = int(rng.exponential(122))
    while first + 7 < days:
        found.append((first, first + int(rng.integers(2, 7))))
        first = found[-1][1] + 60 + int(rng.exponential(122))
    return tuple(found)


def _gate(demand: Floats) -> Floats:
    """Raised at the begin of every year to where it would have cut 3 % of the year before."""
    year = (np.arange(len(demand)) / 365.25).astype(int)
    limits = [np.inf, *(float(np.quantile(demand[year == past], 0.97)) * 1.1 for past in range(year.max()))]
    return np.array(limits)[year]


def calendar_of(series: Series) -> EventCalendar:
    """All launches of a series by their days, without factors."""
    return EventCalendar(
        tuple(
            DatedEvent("launch", FIRST_DAY + timedelta(first), FIRST_DAY + timedelta(last))
            for first, last in series.launches
        )
    )


def true_peaks(demand: Floats, months: int) -> Floats:
    """Logarithms of the peaks of the mean months behind the last `months` months of days."""
    month = np.minimum((np.arange(len(demand)) * DAY_S / MONTH_S).astype(int), months - 1)
    return np.log([demand[month == at].max() for at in range(months)])


def run_synthetic(cell: str, number: int) -> dict[str, object]:
    """Forecast one series and score it."""
    series = make_series(cell, number)
    horizon, seen = (SHORT_HORIZON, SHORT_MONTHS) if cell == "short" else (HORIZON, SEEN_MONTHS)
    today = round(seen * MONTH_S / DAY_S)
    history = daily(series.served[:today], np.flatnonzero(series.cut[:today]).tolist())
    events = calendar_of(series) if cell == "launches, dated" else None
    made = forecast_growth(history, horizon, within_interval_peak=1, events=events)
    return row_of(cell, number, made, true_peaks(series.demand[today:], horizon))


def run_real(number: int) -> dict[str, object]:
    """Forecast the page views from the end of month 60 + 6 `number`."""
    whole = read_history(ROOT / "data" / "traffic_histories" / "wikipedia_r_daily.csv")
    end = float(whole.starts_s[0]) + (60 + HORIZON * number) * MONTH_S
    past, later = whole.starts_s < end, (whole.starts_s >= end) & (whole.starts_s < end + HORIZON * MONTH_S)
    history = TrafficHistory(whole.name, whole.starts_s[past], whole.values[past], whole.censored[past], DAY_S)
    made = forecast_growth(history, HORIZON, within_interval_peak=1)
    month = ((whole.starts_s[later] - end) / MONTH_S).astype(int)
    peaks = np.array([whole.values[later][month == at].max() for at in range(HORIZON)])
    return row_of(REAL, number, made, np.log(peaks))


REAL_FORECASTS = 6


def row_of(cell: str, number: int, made: DemandForecast, truth: Floats) -> dict[str, object]:
    """Whether each month was held, lay below the interval, and its losses; empty beyond the horizon."""
    found = np.log(made.quantiles)
    trailing = quantiles_of(final_paths(TRAILING, made.peaks.logs, made.peaks.censored, made.design, 0))
    scores = {
        "held": ((truth >= found[:, LOW]) & (truth <= found[:, HIGH])).astype(int),
        "below": (truth < found[:, LOW]).astype(int),
        "loss": pinball(found, truth[:, None]).mean(axis=1).round(6),
        "baseline": pinball(trailing, truth[:, None]).mean(axis=1).round(6),
    }
    columns = {
        f"{part}_{month + 1}": scores[part][month] if month < len(truth) else ""
        for part in PARTS
        for month in range(HORIZON)
    }
    versions = " ".join(f"{name}={value}" for name, value in versions_of("numpy", "scipy", "statsmodels").items())
    return {
        "cell": cell, "series": number, "seed": SEED, "model": made.model.name,
        "origins": made.tested.scored_origins, **columns, "versions": versions,
    }  # fmt: skip


def run_one(cell: str, number: int) -> dict[str, object]:
    """One row of the results."""
    return run_real(number) if cell == REAL else run_synthetic(cell, number)


# ---------------------------------------------------------------- running


def missing(series: int, path: Path = RESULTS) -> Iterator[tuple[str, int]]:
    """What does not stand in the results, all cells once before any a second time."""
    done = {(item["cell"], int(item["series"])) for item in rows(path)}
    for number in range(series):
        for cell in CELLS:
            if (cell, number) not in done and (cell != REAL or number < REAL_FORECASTS):
                yield cell, number


def rows(path: Path = RESULTS) -> list[dict[str, str]]:
    """All results."""
    return read_rows(path)


def run_study(
    series: int, minutes: float, path: Path = RESULTS, one: Callable[..., dict[str, object]] = run_one
) -> None:
    """Append what is missing, until the time is up."""
    end = time.monotonic() + 60.0 * minutes
    for cell, number in missing(series, path):
        if time.monotonic() > end:
            return
        append_rows(path, [one(cell, number)])


def values(found: list[dict[str, str]], part: str, month: int | None = None) -> Floats:
    """A part's numbers of all months, or of one month ahead; shape (series, months)."""
    months = range(1, HORIZON + 1) if month is None else (month,)
    kept = [[float(item[f"{part}_{at}"]) for at in months if item[f"{part}_{at}"] != ""] for item in found]
    return np.array([row for row in kept if row])


def summary() -> Iterator[str]:
    """A line a cell."""
    found = rows()
    for cell in CELLS:
        mine = [item for item in found if item["cell"] == cell]
        if mine:
            held, loss, base = (values(mine, part) for part in ("held", "loss", "baseline"))
            by_month = " ".join(f"{share:.2f}" for share in held.mean(axis=0))
            losses = f"loss {loss.mean():.4f} / {base.mean():.4f}"
            yield f"{cell:<16} {len(mine):>4} series held {held.mean():.3f} ({by_month}) {losses}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=20.0)
    asked = parser.parse_args()
    run_study(asked.series, asked.minutes)
    sys.stdout.write("\n".join([*summary(), ""]))
