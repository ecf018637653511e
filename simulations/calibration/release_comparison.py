"""Two releases by their calibrated models: fitted times and limits, and what both would show under one load.

Parameters are compared by independent draws of both fits, each draw with its own run-to-run
speed. Predictions are compared draw by draw under common random numbers: both models meet the
same requests, so their difference holds the uncertainty of the parameters and hardly any of the
simulated window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadtests.comparison.compare import compare_steps
from loadtests.comparison.judging import Shift, judge_together
from loadtests.comparison.noise import Estimate
from loadtests.comparison.pairing import pair_steps
from loadtests.comparison.result import ModelComparison, RecordingComparison, Scope
from loadtests.comparison.rule import RUN_TO_RUN_CV, SHARES, ComparisonRule
from loadtests.foundation.errors import InputError
from loadtests.foundation.findings import Finding
from loadtests.foundation.seeds import derive_key, generator
from loadtests.recording import LoadStep, Recording
from simulations.analysis.metrics import Window, window_metrics
from simulations.analysis.run_length import warm_up_time_s
from simulations.analysis.simulation import simulate_log
from simulations.calibration.fitting import calibrate
from simulations.calibration.prediction_draws import model_draws
from simulations.calibration.result import CalibrationResult
from simulations.engines.inputs import RunLength
from simulations.model.server_model import ServerModel
from simulations.model.workload import ClosedWorkload

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

_DRAWS, _PREDICTED_DRAWS = 200, 40
_PREDICTED = ("goodput_rps", "mean_s", "p95_s", "shed_rate")
_JUDGED_PARAMETER = "service_mean_s"
_WINDOW_S = 60.0


def compare_recordings(
    a: Recording,
    b: Recording,
    rule: ComparisonRule | None = None,
    *,
    with_service_time: bool = True,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> RecordingComparison:
    """Compare two recordings: every step that both have, and the service time behind them.

    Parameters
    ----------
    a, b : Recording
        Before and after.
    rule : ComparisonRule, optional
        Margins and level. Default: 5 %, intervals at 90 %.
    with_service_time : bool, default True
        Calibrate both. Where that is impossible, the lightest step's residence time is told as an upper bound.
    seed : int, default 1
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    RecordingComparison

    Raises
    ------
    InputError
        When the two cannot be compared; with every reason.
    """
    chosen, report = rule or ComparisonRule(), on_progress or _say_nothing
    pair_steps(a, b)  # refuses before the calibrations take their time
    fits: list[CalibrationResult] = []
    problems = [] if with_service_time else ["it was not asked for"]
    for place, (side, recording) in enumerate((("A", a), ("B", b)) if with_service_time else ()):
        report(0.05 + 0.45 * place, f"calibrating {side}")
        try:
            fits.append(calibrate(recording, seed=seed))
        except InputError as error:
            problems.append(f"{side} cannot be calibrated: {error}")
    if problems:
        return compare_steps(a, b, chosen, seed=seed, findings=[_lightest_steps(a, b, problems)])
    shifts, findings = _parameters(fits[0], fits[1], seed)
    return compare_steps(a, b, chosen, seed=seed, fitted=shifts, findings=findings)


def compare_fits(
    a: CalibrationResult,
    b: CalibrationResult,
    rule: ComparisonRule | None = None,
    *,
    users: Sequence[int] | None = None,
    seed: int = 1,
    on_progress: Progress | None = None,
) -> ModelComparison:
    """Compare two calibrated models: their parameters, and what both would show under the same load.

    Parameters
    ----------
    a, b : CalibrationResult
        Before and after.
    rule : ComparisonRule, optional
        Margins and level. Default: 5 %, intervals at 90 %.
    users : sequence of int, optional
        Load levels of the predictions, with A's think time. Default: A's calibrated levels that do not lie
        beyond the heaviest of B.
    seed : int, default 1
    on_progress : callable, optional
        Called with the share done (0..1) and what is being done.

    Returns
    -------
    ModelComparison

    Raises
    ------
    InputError
        When no level is given and none lies within what both were calibrated on.
    """
    chosen, report = rule or ComparisonRule(), on_progress or _say_nothing
    levels = _levels(a, b) if users is None else sorted(set(users))
    shifts, findings = _parameters(a, b, seed)
    pairs = list(zip(model_draws(a, _PREDICTED_DRAWS, seed), model_draws(b, _PREDICTED_DRAWS, seed + 1), strict=True))
    predicted = []
    for place, count in enumerate(levels):
        report(place / len(levels), f"simulating {count} users")
        predicted += _predicted(pairs, ClosedWorkload(count, a.think_time), seed)
    found = judge_together([*shifts, *predicted], chosen)
    return ModelComparison(found, chosen, (*findings, *_changed_limits(a, b)), a.source, b.source, seed)


def _say_nothing(share: float, what: str) -> None:
    del share, what


def _parameters(a: CalibrationResult, b: CalibrationResult, seed: int) -> tuple[list[Shift], list[Finding]]:
    """Shifts of the fitted parameters that both recordings tell; the mean service time is judged."""
    a_draws, b_draws = (_parameter_draws(fit, seed + place) for place, fit in enumerate((a, b)))
    names = [name for name in a_draws if name in b_draws]
    told = [name for name in names if a.identified.get(name, True) and b.identified.get(name, True)]
    shifts = [
        _shift_of_draws(name, "parameter", None, a_draws[name], b_draws[name], is_judged=_is_judged(name))
        for name in told
    ]
    return shifts, [*_not_told([name for name in names if name not in told]), *_poor_fits(a, b)]


def _parameter_draws(fit: CalibrationResult, seed: int) -> dict[str, Floats]:
    """Joint draws by parameter, times with a run-to-run speed of their own, around the estimates."""
    rng = generator(seed, 13)
    rows = rng.integers(0, len(fit.draws.values), _DRAWS)
    speed = np.exp(RUN_TO_RUN_CV * rng.standard_normal(_DRAWS))
    found = {}
    for place, name in enumerate(fit.draws.names):
        factor = speed if name.startswith("service_mean_s") else 1.0
        found[name] = _around(fit.draws.values[rows, place] * factor, fit.parameters[name].mid)
    return found


def _is_judged(name: str) -> bool:
    return name.startswith(_JUDGED_PARAMETER)


def _around(values: ArrayLike, estimate: float) -> Floats:
    """The draws moved so that their median is the estimate, on the scale of logarithms."""
    logs = np.log(np.asarray(values, dtype=float))
    return np.asarray(np.exp(logs - np.median(logs) + math.log(estimate)))


def _shift_of_draws(metric: str, scope: Scope, users: int | None, a: Floats, b: Floats, *, is_judged: bool) -> Shift:
    """B against A from draws; paired ones keep what they have in common."""
    is_log = metric not in SHARES
    if is_log:
        a, b = np.log(a), np.log(b)
    moves = b - a
    own = [Estimate(float(np.median(side)), float(np.var(side, ddof=1))) for side in (a, b)]
    return Shift(
        metric, scope, users, own[0], own[1], float(np.median(moves)), float(np.var(moves, ddof=1)),
        degrees=float(len(moves) - 1), is_judged=is_judged, kind="parameter",
    )  # fmt: skip


def _predicted(pairs: Sequence[tuple[ServerModel, ServerModel]], workload: ClosedWorkload, seed: int) -> list[Shift]:
    """What both would show at a load, draw by draw with common random numbers."""
    rows = [
        [_window(model, workload, derive_key(seed, 12, workload.users, number) >> 1) for model in pair]
        for number, pair in enumerate(pairs)
    ]
    shifts = []
    for metric in _PREDICTED:
        a, b = (np.array([row[side][metric] for row in rows]) for side in (0, 1))
        known = np.isfinite(a) & np.isfinite(b)
        is_seen = bool(np.any(a[known] + b[known] > 0))
        if np.count_nonzero(known) > 2 and (is_seen or metric in SHARES):
            shifts.append(_shift_of_draws(metric, "prediction", workload.users, a[known], b[known], is_judged=is_seen))
    return shifts


def _window(model: ServerModel, workload: ClosedWorkload, seed: int) -> dict[str, float]:
    warm_up_s = warm_up_time_s(model, workload)
    log = simulate_log(model, workload, RunLength(horizon_s=warm_up_s + _WINDOW_S), seed=seed)
    return window_metrics(log, Window(warm_up_s, warm_up_s + _WINDOW_S))


def _levels(a: CalibrationResult, b: CalibrationResult) -> list[int]:
    heaviest = b.users_range[1]
    levels = sorted({step.users for step in a.steps if step.users <= heaviest})
    if not levels:
        raise InputError(
            f"A was calibrated on {a.users_range[0]} to {a.users_range[1]} users, B on at most {heaviest}: no level is "
            "within both; calibrate them on common levels, or give users."
        )
    return levels


def _changed_limits(a: CalibrationResult, b: CalibrationResult) -> Iterator[Finding]:
    before, after = a.model.deployment.to_dict(), b.model.deployment.to_dict()
    changed = {
        name: [before.get(name), after.get(name)] for name in {**before, **after} if before.get(name) != after.get(name)
    }
    if changed:
        said = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changed.items())
        yield Finding(
            "deployment-changed", "info",
            f"The models' deployments differ: {said} (stated or fitted). The predictions hold both differences.",
            "Predict both with one --deployment to tell release and limits apart.", {"changed": changed},
        )  # fmt: skip


def _not_told(names: Sequence[str]) -> Iterator[Finding]:
    if names:
        yield Finding(
            "parameters-not-told", "warning" if any(_is_judged(name) for name in names) else "info",
            f"Not compared, because a recording does not tell it: {', '.join(names)}.",
            "Record a lighter and a heavier step on both sides.", {"parameters": list(names)},
        )  # fmt: skip


def _poor_fits(a: CalibrationResult, b: CalibrationResult) -> Iterator[Finding]:
    for side, fit in (("A", a), ("B", b)):
        for item in fit.findings:
            if item.code == "poor-fit":
                yield Finding(item.code, item.severity, f"{side}: {item.message}", item.remedy, item.numbers)


def _lightest_steps(a: Recording, b: Recording, problems: Sequence[str]) -> Finding:
    """The residence time at the lightest load holds the service time: an upper bound of it."""
    sides = [min(item.steps, key=lambda step: step.users) for item in (a, b)]
    why = "; ".join(item.rstrip(".") for item in problems)
    said = " and ".join(f"{name} at most {_bound(step)}" for name, step in zip("AB", sides, strict=True))
    return Finding(
        "service-time-not-compared", "info",
        f"The service time was not compared: {why}. By the residence time of its lightest step it is in "
        f"{said}.",
        "Import or record the requests one by one, at two load levels or more.",
        {"upper_bound_s": {name: step.metrics["mean_s"].high for name, step in zip("AB", sides, strict=True)}},
    )  # fmt: skip


def _bound(step: LoadStep) -> str:
    mean = step.metrics["mean_s"]
    return f"{mean.high * 1e3:.3g} ms ({step.users} users)" if mean.is_known else "an unknown time"
