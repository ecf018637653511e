"""Prophet as a further way: fitted for real where it is installed, a clear error where it is not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from capacity import forecast_growth
from capacity.demand import prophet_model
from capacity.demand.candidates import ModelFailedError, Task
from capacity.interfaces.commands_forecast import parse_names
from loadtests.foundation.errors import InputError
from support.tools import needed_module
from support.traffic import daily, seasonal_days


@pytest.fixture
def installed() -> None:
    needed_module("prophet")


def task(logs: np.ndarray, season: int = 12, seed: int = 1) -> Task:
    return Task(logs, 6, season, 200, np.random.default_rng(seed))


def months(number: int, growth: float = 0.01, swing: float = 0.3) -> np.ndarray:
    at = np.arange(number)
    noise = np.random.default_rng(3).normal(0, 0.02, number)
    return np.asarray(7 + growth * at + swing * np.sin(2 * np.pi * at / 12) + noise)


def test_prophet_follows_trend_and_year(installed: None) -> None:
    logs = months(66)
    paths = prophet_model.prophet_paths(task(logs[:60]))
    assert paths.shape == (200, 6)
    assert np.median(paths, axis=0) == pytest.approx(logs[60:], abs=0.1)  # the year alone swings by 0.6
    assert paths.std(axis=0).min() > 0.01


def test_the_same_seed_gives_the_same_futures_and_leaves_numpys_state(installed: None) -> None:
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    one, again, other = (prophet_model.prophet_paths(task(months(36), seed=seed)) for seed in (1, 1, 2))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_without_a_yearly_pattern_it_steps_by_weeks(installed: None) -> None:
    paths = prophet_model.prophet_paths(task(np.linspace(5, 6, 60), season=0))
    assert np.median(paths, axis=0) == pytest.approx(6 + np.arange(1, 7) / 59, abs=0.05)


def test_what_it_cannot_fit_is_left_out_with_a_reason(installed: None) -> None:
    with pytest.raises(ModelFailedError):
        prophet_model.prophet_paths(task(np.array([1.0, np.inf, 2.0])))


def test_it_competes_in_the_backtest_when_asked_for(installed: None, capfd: pytest.CaptureFixture[str]) -> None:
    made = forecast_growth(daily(seasonal_days(1)), 1, within_interval_peak=1, models=("prophet", "prophet"))
    assert list(made.models["model"]) == [
        "trailing-quantile",
        "last-value",
        "ets-trend",
        "ets-damped",
        "structural",
        "prophet",
    ]
    assert "prophet" in made.to_dict()["versions"]
    assert capfd.readouterr() == ("", "")


def test_where_it_is_not_installed_the_error_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prophet_model, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"pip install 'fluxor-capacity\[prophet\]'"):
        forecast_growth(daily(seasonal_days(1)), 1, models=("prophet",))


def test_an_unknown_way_is_refused_and_names_may_be_a_list() -> None:
    with pytest.raises(InputError, match="models is 'oracle'; it must be one of prophet"):
        forecast_growth(daily(seasonal_days(1)), 1, models=("oracle",))
    assert parse_names(" prophet, ,") == ("prophet",)


def test_nobody_loads_prophet_who_does_not_ask_for_it() -> None:
    code = (
        "import numpy as np, sys\n"
        "from capacity import TrafficHistory, forecast_growth\n"
        "days = TrafficHistory('x', 86400.0 * np.arange(400), 9.0 + np.arange(400) % 5, np.zeros(400, bool), 86400.0)\n"
        "forecast_growth(days, 1)\n"
        "print('prophet' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
