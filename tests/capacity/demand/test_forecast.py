"""Forecasts as a whole: known truth, real page views, and inputs that no forecast should come from."""

from __future__ import annotations

import io
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from capacity import DemandForecast, charts, forecast_growth, read_growth, read_history
from capacity.demand.backtest import choose
from capacity.demand.period_peaks import period_peaks
from capacity.demand.quantile_scores import MEDIAN
from loadtests.foundation.errors import InputError
from loadtests.foundation.files import to_json
from support.traffic import daily, seasonal_days

HISTORIES = Path(__file__).parents[3] / "data" / "traffic_histories"


def codes(forecast: DemandForecast) -> set[str]:
    return {item.code for item in forecast.findings}


@pytest.fixture(scope="module")
def views() -> DemandForecast:
    return forecast_growth(read_history(HISTORIES / "wikipedia_r_daily.csv"), 6, quantity="users", seed=1)


@pytest.fixture(scope="module")
def seasonal() -> tuple[DemandForecast, np.ndarray]:
    """Six and a half years with a yearly swing of a factor of 2.7; the last half year is kept back."""
    days = seasonal_days(7)
    today = int(6.4 * 365.25)
    truth = period_peaks(daily(days[today : today + 183]), "month").peaks
    return forecast_growth(daily(days[:today]), 6, within_interval_peak=1.0), truth


def test_the_chosen_way_beats_every_baseline_that_does_not_know_the_year(
    seasonal: tuple[DemandForecast, np.ndarray],
) -> None:
    models = seasonal[0].models.set_index("model")
    chosen = models[models["chosen"]].iloc[0]
    assert chosen["pinball"] <= models["pinball"].max()
    assert chosen["pinball"] < 0.5 * models.loc[["trailing-quantile", "last-value"], "pinball"].min()
    assert chosen.name not in {"trailing-quantile", "last-value"}


def test_the_forecast_of_a_seasonal_history_follows_what_came(seasonal: tuple[DemandForecast, np.ndarray]) -> None:
    """Daily noise of 5 %: a month's peak scatters by some per cent, far less than the swing."""
    made, truth = seasonal
    assert made.quantiles[:, 2] == pytest.approx(truth, rel=0.2)
    assert (truth <= made.quantiles[:, 5]).sum() >= 5


def test_page_views_are_scored_by_every_way_and_month_with_the_origins_beside(views: DemandForecast) -> None:
    scores = views.scores
    baselines = {"trailing-quantile", "last-value", "seasonal-naive"}
    assert set(scores["model"]) == baselines | {"ets-trend", "ets-damped", "structural"}
    assert scores.groupby("model")["month"].apply(list).iloc[0] == [1, 2, 3, 4, 5, 6]
    assert (scores["effective_origins"] <= scores["origins"]).all()
    assert (views.tested.scored_origins, views.tested.origins[1] - views.tested.origins[0]) == (12, 6)
    assert scores["coverage"].between(0, 1).all()
    assert {"peak-inside-interval-unknown", "intervals-recalibrated", "history-gaps"} <= codes(views)


def test_the_growth_begins_with_what_was_measured_and_has_ranges(views: DemandForecast) -> None:
    growth = views.to_growth()
    assert [point.month for point in growth.points] == [0, 1, 2, 3, 4, 5, 6]
    assert growth.points[0].peak == views.history.values[-30:].max()
    assert all(point.low <= point.peak <= point.high for point in growth.points)  # type: ignore[operator]
    assert read_growth(io.StringIO(views.growth_csv())) == growth


def test_a_forecast_shows_itself(views: DemandForecast) -> None:
    assert repr(views).startswith("DemandForecast(6 months by ")
    assert "12 origins" in repr(views)
    assert "pinball loss" in views.summary()
    assert "<table>" in views._repr_html_()
    frame = views.to_frame()
    assert list(frame) == ["month", "start", "end", "p5", "p25", "p50", "p75", "p95", "p99"]
    assert (np.diff(frame[["p5", "p25", "p50", "p75", "p95", "p99"]].to_numpy(), axis=1) >= 0).all()
    document = json.loads(to_json(views.to_dict()))
    assert {"schema_version", "history", "seed", "versions", "scores", "findings", "growth"} <= set(document)


def test_the_same_seed_gives_the_same_forecast(views: DemandForecast) -> None:
    again = forecast_growth(views.history, 6, quantity="users", seed=1)
    assert json.dumps(again.to_dict()) == json.dumps(views.to_dict())


def test_a_short_history_is_refused_with_what_it_takes() -> None:
    with pytest.raises(InputError, match=r"has 30 weeks .* at least 53 .* shorten the horizon to 1 month at"):
        forecast_growth(daily(seasonal_days(1)[: 7 * 30]), 6)
    with pytest.raises(InputError, match=r"has 3 weeks of traffic; .* collect more"):
        forecast_growth(daily(seasonal_days(1)[:21]), 1)
    with pytest.raises(InputError, match="needs at least"):
        forecast_growth(read_history(HISTORIES / "elb_request_count_8c0756.csv"), 1)


def test_a_year_and_a_half_is_forecast_by_weeks_with_its_limits_said() -> None:
    made = forecast_growth(daily(seasonal_days(2)[:560]), 6)
    assert made.peaks.period == "week"
    assert "few-origins" in codes(made)
    assert made.recalibration.origins == 0


@pytest.mark.parametrize(("days", "knows"), [(400, False), (560, True)])
def test_a_yearly_pattern_is_said_to_be_missing_where_it_is(days: int, knows: bool) -> None:
    made = forecast_growth(daily(seasonal_days(2)[:days]), 6)
    assert made.model.name == "structural"
    assert ("no-yearly-pattern" in codes(made)) != knows


def test_years_before_the_launch_do_not_count() -> None:
    days = np.r_[np.zeros(900), seasonal_days(1)]
    made = forecast_growth(daily(days), 1)
    assert (made.peaks.period, len(made.peaks.peaks)) == ("week", 53)


def test_steps_can_be_asked_for() -> None:
    assert forecast_growth(daily(seasonal_days(4)), 1, period="week").peaks.period == "week"
    with pytest.raises(InputError, match="has 12 months of traffic"):
        forecast_growth(daily(seasonal_days(1)[:366]), 1, period="month")
    with pytest.raises(InputError, match="period is 'day'"):
        forecast_growth(daily(seasonal_days(1)), 1, period="day")  # type: ignore[arg-type]


def test_calendar_months_of_peaks_are_enough_for_a_forecast() -> None:
    rows = [f"{2018 + at // 12}-{at % 12 + 1:02d}-01,{100 + at + 20 * (at % 12 == 11)}\n" for at in range(84)]
    made = forecast_growth(read_history(io.StringIO("timestamp,value\n" + "".join(rows))), 3, within_interval_peak=1)
    assert (made.peaks.period, len(made.peaks.peaks), np.isnan(made.peaks.peaks).sum()) == ("month", 84, 0)
    assert made.quantiles[:, 2] == pytest.approx([184, 185, 186], rel=0.08)


def test_the_chart_marks_lower_bounds() -> None:
    days = seasonal_days(2, swing=0.0)
    shed = np.flatnonzero(days > 1_600).tolist()
    made = forecast_growth(daily(np.minimum(days, 1_600), shed), 1)
    legend = charts.plot_forecast(made).get_legend()
    assert legend is not None
    assert "lower bound (requests shed)" in {text.get_text() for text in legend.get_texts()}


def test_a_constant_history_gives_a_constant_and_a_warning() -> None:
    made = forecast_growth(daily(np.full(700, 50.0)), 2, within_interval_peak=1)
    assert made.quantiles == pytest.approx(np.full((2, 6), 50.0))
    assert "history-constant" in codes(made)
    json.loads(to_json(made.to_dict()))


def test_a_history_of_zeros_is_refused() -> None:
    with pytest.raises(InputError, match="no traffic"):
        forecast_growth(daily(np.zeros(700)), 2)


def test_a_missing_week_is_passed_over_and_said() -> None:
    days = seasonal_days(2)
    days[300:307] = np.nan
    made = forecast_growth(daily(days), 2)
    assert "periods-missing" in codes(made)
    assert np.isfinite(made.quantiles).all()


def test_a_history_that_is_mostly_missing_is_refused() -> None:
    days = seasonal_days(3)
    days[100:700] = np.nan
    with pytest.raises(InputError, match="at most a third"):
        forecast_growth(daily(days), 2)


def test_shed_demand_raises_the_forecast_and_is_said() -> None:
    """A gate that cut every peak above 2,000 hides the growth; taken as plain observations the forecast stays there."""
    days = seasonal_days(5, growth=0.2, swing=0.0)
    cut = np.minimum(days, 2_000.0)
    shed = np.flatnonzero(days > 2_000.0)
    assert 200 < len(shed) < 600
    plain, honest, whole = (
        forecast_growth(daily(values, marks), 2, within_interval_peak=1).quantiles[-1, 2]
        for values, marks in ((cut, []), (cut, shed.tolist()), (days, []))
    )
    assert plain < 0.7 * whole
    assert honest == pytest.approx(whole, rel=0.06)


def test_shed_requests_are_said_and_today_is_a_range() -> None:
    days = seasonal_days(5, growth=0.1, swing=0.0)
    shed = np.flatnonzero(days > 1_800.0).tolist()
    honest = forecast_growth(daily(np.minimum(days, 1_800.0), shed), 2, within_interval_peak=1)
    assert "demand-censored" in codes(honest)
    assert honest.today.low == 1_800
    assert honest.today.high is not None
    assert honest.today.high > 1_800


def test_demand_that_was_shed_in_every_month_tested_cannot_be_forecast() -> None:
    days = seasonal_days(3, growth=0.3, swing=0.0)
    shed = np.flatnonzero(days > 1_500.0)
    with pytest.raises(InputError, match="no month to test a forecast on"):
        forecast_growth(daily(np.minimum(days, 1_500.0), shed.tolist()), 2)


@pytest.mark.parametrize("horizon", [0, 61, 2.5])
def test_a_horizon_is_whole_months(horizon: float) -> None:
    with pytest.raises(InputError, match="horizon_months"):
        forecast_growth(daily(seasonal_days(2)), horizon)  # type: ignore[arg-type]


def test_the_chart_says_what_the_backtest_says(views: DemandForecast) -> None:
    ax = charts.plot_forecast(views)
    assert views.model.name in ax.get_title(loc="left")
    (caption,) = ax.texts
    assert "12 origins" in caption.get_text()
    assert "of the months" in caption.get_text()
    assert ax.get_ylabel() == "peak load (users)"
    legend = ax.get_legend()
    assert legend is not None
    assert {"median", "90 % interval", "99 % quantile"} <= {text.get_text() for text in legend.get_texts()}
    figure = ax.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    shown = caption.get_window_extent()
    assert figure.bbox.x0 <= shown.x0 < shown.x1 <= figure.bbox.x1
    assert not shown.overlaps(ax.title.get_window_extent())
    assert not ax.xaxis.label.get_window_extent().overlaps(legend.get_window_extent())


def test_demand_that_a_gate_cuts_every_year_is_forecast_as_high_as_it_was() -> None:
    """Peaks of the season are only known to lie above the gate; the months below it show no fault in other ways."""
    days = seasonal_days(6, growth=0.2, swing=0.4)
    year = np.arange(len(days)) // 365
    gate = np.array([1.1 * np.quantile(days[year == max(at - 1, 0)], 0.97) for at in range(7)])[year]
    seen, shed = slice(0, 5 * 365 + 150), days > gate
    history = daily(np.minimum(days, gate)[seen], np.flatnonzero(shed[seen]).tolist())
    assert 100 < shed[seen].sum() < 500
    made = forecast_growth(history, 3, within_interval_peak=1)
    assert made.model.name == "structural"
    assert not made.tested.failed
    whole = forecast_growth(daily(days[seen]), 3, within_interval_peak=1)
    assert made.quantiles[:, MEDIAN] == pytest.approx(whole.quantiles[:, MEDIAN], rel=0.06)


def test_a_backtest_of_the_months_below_the_gate_does_not_choose_for_those_above(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Series 8 of another seed of the coverage study: the seasonal rule is better where nothing was shed."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "studies"))
    import forecast_coverage as study

    monkeypatch.setattr(study, "SEED", 77)
    series, days = study.make_series("shed", 8), round(study.SEEN_MONTHS * study.MONTH_S / study.DAY_S)
    history = daily(series.served[:days], np.flatnonzero(series.cut[:days]).tolist())
    made = forecast_growth(history, study.HORIZON, within_interval_peak=1)
    assert made.tested.names[choose(made.tested)[0]] != made.model.name == "structural"
    assert "takes no lower bounds" in made.summary()


def test_month_0_ends_at_the_midnight_that_ends_the_history() -> None:
    """Days of Berlin end at 22 or 23 o'clock UTC."""
    days = "\n".join(f"{date(2022, 1, 1) + timedelta(day)},{1_000 + day % 5}" for day in range(1_000))
    for zone in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"):
        history = read_history(io.StringIO(f"timestamp,value\n{days}\n"), timezone=zone)
        assert forecast_growth(history, 1, within_interval_peak=1).to_growth().start == date(2024, 9, 27)


def test_a_history_that_ends_in_a_gap_has_no_month_to_start_from() -> None:
    days = seasonal_days(4)
    days[-25:-3] = np.nan
    with pytest.raises(InputError, match="made up lacks most of its last month"):
        forecast_growth(daily(days), 2)


def test_where_requests_were_shed_last_month_today_lies_above_what_was_served() -> None:
    days = seasonal_days(5, growth=0.1, swing=0.0)
    shed = np.flatnonzero(days > 1_700.0).tolist()
    made = forecast_growth(daily(np.minimum(days, 1_700.0), shed), 2, within_interval_peak=1)
    low, mid, high = made.today.low, made.today.peak, made.today.high
    assert low == 1_700
    assert low < mid < high  # type: ignore[operator]
    assert made.month_rows()[0][-1] == "at least, measured"
