"""Live windows beside the same windows as the model shows them, again and again.

Every draw takes one set of parameters for all windows. Windows that follow each other under one load are one
simulated run, so a line that is long in one is long in the next, as it is in a live service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import Deployment
from loadtests.foundation.distributions import Distribution
from loadtests.foundation.errors import InputError
from loadtests.foundation.seeds import derive_key
from loadtests.foundation.units import Quantity
from loadtests.live.windows import LIVE_METRICS, ObservedWindow, windows_of_recording
from loadtests.recording import Recording
from simulations.analysis.load_levels import SteadyWorkload
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.run_length import offered_rate_rps, warm_up_time_s
from simulations.analysis.simulation import refuse_endless, simulate_log
from simulations.calibration.load_prediction import changed_model, turned_away
from simulations.calibration.observations import workload_of
from simulations.calibration.prediction_draws import series_draws
from simulations.calibration.result import CalibrationResult
from simulations.calibration.validation import mix_of_step
from simulations.engines.inputs import RunLength
from simulations.model.fleet import Fleet
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload, OpenWorkload

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

DRAWS = 99
"""Of each kind (one speed for the whole series; another in each run). With the measured series that makes 100."""
_MOST_IN_A_RUN, _MOST_REQUESTS = 10_000_000, 1_000_000_000
_REQUESTS_PER_WALL_S = 2e6


@dataclass(frozen=True)
class LiveRun:
    """Windows that follow each other under one load.

    Parameters
    ----------
    workload : ClosedWorkload or OpenWorkload
    windows : tuple of ObservedWindow
    mix : dict of str to float, optional
        Shares of the calibrated request classes; None: as calibrated.
    """

    workload: SteadyWorkload
    windows: tuple[ObservedWindow, ...]
    mix: Mapping[str, float] | None = None

    @property
    def length_s(self) -> float:
        """From the first window's start to the last one's end."""
        return self.windows[-1].end_s - self.windows[0].start_s


@dataclass(frozen=True)
class LiveSetting:
    """What the live service runs on.

    Parameters
    ----------
    deployment : Deployment, optional
        Limits of an instance that differ from the calibrated ones.
    fleet : Fleet
        Instances behind a balancer. Default: one.
    """

    deployment: Deployment | None = None
    fleet: Fleet = field(default_factory=Fleet)

    @property
    def stated(self) -> dict[str, Any]:
        """The limits that take the place of calibrated ones."""
        return {} if self.deployment is None else self.deployment.to_dict()


def runs_of_recording(
    fit: CalibrationResult, recording: Recording, window_s: float | None = None
) -> tuple[LiveRun, ...]:
    """One run a step, with its own think times and mix.

    Parameters
    ----------
    fit : CalibrationResult
    recording : Recording
    window_s : float, optional
        As `windows_of_recording` takes it.

    Returns
    -------
    tuple of LiveRun
    """
    windows = windows_of_recording(recording, window_s)
    numbers = dict.fromkeys(item.step for item in windows if item.step is not None)
    runs = []
    for number in numbers:
        step = recording.step(number)
        mine = tuple(item for item in windows if item.step == number)
        runs.append(LiveRun(workload_of(recording, step), mine, mix_of_step(fit, recording, step)))
    return tuple(runs)


def runs_of_windows(
    fit: CalibrationResult, windows: Sequence[ObservedWindow], think: Distribution | None = None
) -> tuple[LiveRun, ...]:
    """Windows of one load that follow each other as one run.

    Parameters
    ----------
    fit : CalibrationResult
    windows : sequence of ObservedWindow
        In the order of time.
    think : Distribution, optional
        Think time of the users. Default: the calibrated one.

    Returns
    -------
    tuple of LiveRun

    Raises
    ------
    InputError
        Without windows.
    """
    if not windows:
        raise InputError("There are no live windows; give at least one.")
    groups: list[list[ObservedWindow]] = []
    for window in windows:
        if groups and groups[-1][-1].is_followed_by(window):
            groups[-1].append(window)
        else:
            groups.append([window])
    return tuple(LiveRun(_workload(fit, group[0], think), tuple(group)) for group in groups)


def _workload(fit: CalibrationResult, window: ObservedWindow, think: Distribution | None) -> SteadyWorkload:
    if window.quantity is Quantity.USERS:
        return ClosedWorkload(int(window.load), think or fit.think_time)
    return OpenWorkload(window.load)


def simulated_series(
    fit: CalibrationResult,
    runs: Sequence[LiveRun],
    setting: LiveSetting,
    *,
    is_one_speed: bool,
    seed: int,
    on_progress: Progress | None = None,
) -> Floats:
    """What the windows would show, draw by draw.

    Parameters
    ----------
    fit : CalibrationResult
    runs : sequence of LiveRun
    setting : LiveSetting
    is_one_speed : bool
        Whether a draw's server has one speed in all runs, or another in each.
    seed : int
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    array, shape (`DRAWS`, windows, `LIVE_METRICS`)
        NaN where a window shows nothing.

    Raises
    ------
    InputError
        For more simulation than is sensible.
    """
    _refuse_too_much(fit.model, runs, setting)
    series = []
    for draw, models in enumerate(series_draws(fit, DRAWS, len(runs), seed, is_one_speed=is_one_speed)):
        rows = []
        for number, (model, run) in enumerate(zip(models, runs, strict=True)):
            key = derive_key(seed, 31, int(is_one_speed), draw, number) >> 1
            rows += simulate_run(changed_model(model, setting.stated, run.mix), run, setting.fleet, key)
        series.append(rows)
        if on_progress is not None:
            on_progress((draw + 1) / DRAWS, "simulating")
    return np.array(series)


def simulate_run(model: ServerModel, run: LiveRun, fleet: Fleet, seed: int) -> list[list[float]]:
    """The metrics of a run's windows, as one simulation shows them.

    Parameters
    ----------
    model : ServerModel
    run : LiveRun
    fleet : Fleet
    seed : int

    Returns
    -------
    list of list of float
        By window, in the order of `LIVE_METRICS`.
    """
    warm_up_s = warm_up_time_s(model, run.workload, fleet.instances)
    log = simulate_log(model, run.workload, RunLength(horizon_s=warm_up_s + run.length_s), seed=seed, fleet=fleet)
    rows, first_s = [], run.windows[0].start_s
    for item in run.windows:
        start_s = warm_up_s + item.start_s - first_s
        window = Window(start_s, start_s + item.window_s)
        found = window_metrics(log, window) | {"shed_rate": turned_away(log, window)}
        rows.append([found[name] for name in LIVE_METRICS])
    return rows


def _refuse_too_much(model: ServerModel, runs: Sequence[LiveRun], setting: LiveSetting) -> None:
    total = 0.0
    for run in runs:
        refuse_endless(model, run.workload)
        length_s = warm_up_time_s(model, run.workload, setting.fleet.instances) + run.length_s
        requests = offered_rate_rps(model, run.workload) * length_s
        if requests > _MOST_IN_A_RUN:
            raise InputError(
                f"The windows from {run.windows[0].starts} on would simulate about {requests:.2g} requests in one "
                f"run; at most {_MOST_IN_A_RUN:.2g}. Give shorter windows, or leave a gap between them."
            )
        total += requests
    if 2 * DRAWS * total > _MOST_REQUESTS:
        minutes = 2 * DRAWS * total / _REQUESTS_PER_WALL_S / 60
        raise InputError(
            f"The windows hold about {total:.2g} requests, to be simulated {2 * DRAWS} times, about {minutes:,.0f} "
            f"minutes; at most {_MOST_REQUESTS / 2 / DRAWS:.2g}. Give fewer or shorter windows, such as a minute of "
            "every hour."
        )
