"""Prophet on logarithms of period peaks: the one place that loads prophet, and only when it is asked for."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pandas as pd

from capacity.demand.candidates import Candidate, ModelFailedError, Task
from capacity.demand.history import Floats
from capacity.demand.history_table import MONTH_S, WEEK_S
from loadtests.foundation.errors import InputError

_START = pd.Timestamp("2000-01-01")  # only distances in time matter
_YEARLY_TERMS = 5  # of a Fourier series: more than twelve months a year can tell apart would be noise


def candidate() -> Candidate:
    """Prophet as a further way to forecast.

    Raises
    ------
    InputError
        When it is not installed.
    """
    if find_spec("prophet") is None:
        raise InputError("prophet is asked for, but not installed; install it: pip install 'fluxor-capacity[prophet]'.")
    return Candidate(
        "prophet", prophet_paths, True, "piecewise linear trend and yearly pattern on logarithms, by Prophet"
    )


def prophet_paths(task: Task) -> Floats:
    """Futures of an additive model: piecewise linear trend whose slope goes on changing, yearly pattern, normal noise.

    S. J. Taylor, B. Letham, The American Statistician 72, 2018. Its intervals hold future changes of the trend and
    noise, not the uncertainty of the fit; the backtest sees what that leaves out.

    Raises
    ------
    ModelFailedError
        When the fit fails or does not end in finite numbers.
    """
    length = MONTH_S if task.season else WEEK_S
    days = pd.Series(_START + pd.to_timedelta(length * np.arange(len(task.logs) + task.steps), unit="s"))
    past = pd.DataFrame({"ds": days[: len(task.logs)], "y": task.logs})
    try:
        with _quiet(), _seeded(int(task.rng.integers(2**32))) as seed:
            paths = _fitted_paths(past, pd.DataFrame({"ds": days[len(task.logs) :]}), task, seed)
    except (ValueError, ArithmeticError, RuntimeError) as error:
        raise ModelFailedError(str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    if not np.isfinite(paths).all():
        raise ModelFailedError("its futures are not finite")
    return paths


def _fitted_paths(past: pd.DataFrame, ahead: pd.DataFrame, task: Task, seed: int) -> Floats:
    from prophet import Prophet

    model = Prophet(
        yearly_seasonality=_YEARLY_TERMS if task.season else False, weekly_seasonality=False, daily_seasonality=False,
        uncertainty_samples=task.draws,
    )  # fmt: skip
    model.fit(past, seed=seed % 2**31)
    samples = model.predictive_samples(model.setup_dataframe(ahead.copy()))["yhat"]
    return np.asarray(samples, dtype=np.float64).T


@contextmanager
def _seeded(seed: int) -> Iterator[int]:
    """Prophet draws from numpy's global generator; it gets its seed, and the caller's state comes back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield seed
    finally:
        np.random.set_state(before)  # noqa: NPY002


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what prophet and cmdstanpy write about optional packages and about every fit."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
