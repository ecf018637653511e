"""Posterior predictive checks [1]_: whether the fitted model shows what was measured, in all that matters to a plan.

Every check compares a statistic of a measured window with its values in windows that are simulated from draws of the
fit. It speaks where the measured value lies outside all of them, farther than a Student quantile allows, and by a
difference that matters (`check_rules`). The quantile is that of `FALSE_ALARMS` a check and recording, were the
statistics as regular as it takes them to be; `tests/studies/model_check_power.py` measures the rate.

References
----------
.. [1] A. Gelman, X.-L. Meng, H. Stern, "Posterior predictive assessment of model fitness via realized
   discrepancies", Statistica Sinica 6, 1996.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from loadtests.foundation.findings import Finding, Severity
from loadtests.recording import Recording
from simulations.calibration.check_rules import COHERENCY, DISTANCE, DRIFT, RULES, Rule
from simulations.calibration.fit_quality import distances
from simulations.calibration.result import CalibrationResult
from simulations.calibration.scalability_check import coherency_losses
from simulations.calibration.window_comparison import ComparedStep, compare_windows
from simulations.calibration.window_rows import Floats

FALSE_ALARMS = 0.005
"""Of each check, a recording: what the quantile is taken at."""
LEAST_RATE_LIMITED, REFUSE_RATE_LIMITED = 0.001, 0.01
"""Shares of requests answered 429 that make a warning and a critical finding."""
_LEAST_WINDOWS = 10
_TAIL_FREEDOM = 8
"""Degrees of freedom of the Student quantile: statistics at the knee have heavier tails than windows from a normal
distribution would (with 39 degrees the study had 1 to 2 % false alarms a check)."""
_LEAST_RATE_LIMITED_COUNT = 3
_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True)
class Discrepancy:
    """A measured value that the model does not show.

    Parameters
    ----------
    rule : Rule
    step, users : int
        Where; 0 for all steps together.
    measured, simulated, spread : float
        The value, the mean of the simulated ones and their standard deviation.
    """

    rule: Rule
    step: int
    users: int
    measured: float
    simulated: float
    spread: float

    @property
    def size(self) -> float:
        """How far off, over the difference that widens."""
        return abs(self.measured - self.simulated) / self.rule.widen_from

    @property
    def severity(self) -> Severity:
        """Critical from the difference on that refuses."""
        return "critical" if self.size * self.rule.widen_from >= self.rule.refuse_from else "warning"


def check_model(fit: CalibrationResult, recording: Recording, *, seed: int = 3) -> tuple[Finding, ...]:
    """What a recording shows that the fitted model does not.

    Parameters
    ----------
    fit : CalibrationResult
    recording : Recording
        Usually the one that the fit comes from.
    seed : int, default 3
        Of the simulated windows.

    Returns
    -------
    tuple of Finding
        Empty for a server that the model describes. ``critical``: do not use the model; ``warning``: its
        intervals are too narrow. ``info`` says once which checks the recording does not allow.
    """
    return findings_of(compare_windows(fit, recording, seed=seed))


def findings_of(compared: Sequence[ComparedStep]) -> tuple[Finding, ...]:
    """As `check_model`, for windows that are already simulated.

    Parameters
    ----------
    compared : sequence of ComparedStep

    Returns
    -------
    tuple of Finding
        The most severe first.
    """
    seen = [*_rate_limited(compared), *(_finding(items) for items in _by_code(discrepancies(compared)))]
    ordered = sorted(seen, key=lambda item: -_SEVERITIES.index(item.severity))
    return (*ordered, *_not_checked(compared))


def discrepancies(compared: Sequence[ComparedStep]) -> list[Discrepancy]:
    """Every statistic and step at which the measured value is not one of the model's.

    Parameters
    ----------
    compared : sequence of ComparedStep

    Returns
    -------
    list of Discrepancy
    """
    found = [_at_step(rule, item, len(compared)) for rule in RULES for item in compared]
    found += [_distance(item, len(compared)) for item in compared]
    together = (_drift(compared), _judge(COHERENCY, (0, 0), *coherency_losses(compared), 1))
    return [item for item in (*found, *together) if item is not None]


def _at_step(rule: Rule, item: ComparedStep, steps: int) -> Discrepancy | None:
    measured, simulated = item.measured_value(rule.statistic), item.simulated_values(rule.statistic)
    filled = np.where(np.isfinite(simulated), simulated, rule.without)
    return _judge(rule, (item.step.step, item.step.users), measured, filled, steps)


def _distance(item: ComparedStep, steps: int) -> Discrepancy | None:
    if item.measured is None or not np.all(np.isfinite(item.measured.quantiles_s)):
        return None
    measured, simulated = distances(item, item.measured)
    found = _judge(DISTANCE, (item.step.step, item.step.users), measured, simulated, steps)
    # Distances are positive and skewed, much so at the knee: their logarithms must be unusual too.
    return found if found and _is_unusual(DISTANCE, math.log(measured), np.log(simulated), steps) else None


def _drift(compared: Sequence[ComparedStep]) -> Discrepancy | None:
    """Slopes of all steps together, each weighted by how well a window tells it."""
    known = [item for item in compared if math.isfinite(item.measured_value("slope"))]
    slopes = np.array([item.simulated_values("slope") for item in known])
    if not known or not np.all(np.isfinite(slopes)):
        return None
    weights = 1.0 / np.maximum(slopes.var(axis=1), 1e-12)
    weights /= weights.sum()
    measured = float(weights @ np.array([item.measured_value("slope") for item in known]))
    return _judge(DRIFT, (0, 0), measured, weights @ slopes, 1)


def _judge(rule: Rule, place: tuple[int, int], measured: float, simulated: Floats, steps: int) -> Discrepancy | None:
    """The discrepancy if it is outside the simulated range, beyond the quantile, and large enough to matter."""
    known = simulated[np.isfinite(simulated)]
    if not math.isfinite(measured) or known.size < _LEAST_WINDOWS:
        return None
    found = Discrepancy(rule, *place, measured, float(known.mean()), float(known.std(ddof=1)))
    is_on_side = rule.side == "both" or (measured > found.simulated) == (rule.side == "high")
    return found if is_on_side and found.size >= 1.0 and _is_unusual(rule, measured, known, steps) else None


def _is_unusual(rule: Rule, measured: float, simulated: Floats, steps: int) -> bool:
    is_outside = not simulated.min() <= measured <= simulated.max()
    limit = _quantile(rule, steps, simulated.size) * float(simulated.std(ddof=1))
    return bool(is_outside and abs(measured - simulated.mean()) > limit)


def _quantile(rule: Rule, steps: int, windows: int) -> float:
    """Of a further value among so many; each step has its share of the false alarms."""
    share = FALSE_ALARMS / (steps * (2 if rule.side == "both" else 1))
    return float(-special.stdtrit(min(windows - 1, _TAIL_FREEDOM), share)) * math.sqrt(1.0 + 1.0 / windows)


def _by_code(found: Sequence[Discrepancy]) -> Iterator[list[Discrepancy]]:
    """One finding a code, its largest discrepancy first."""
    for code in dict.fromkeys(item.rule.code for item in found):
        yield sorted((item for item in found if item.rule.code == code), key=lambda item: -item.size)


def _finding(items: Sequence[Discrepancy]) -> Finding:
    worst, rule = items[0], items[0].rule
    told = {"measured": rule.value_of(worst.measured), "simulated": rule.value_of(worst.simulated)}
    steps = sorted({item.step for item in items if item.step})
    where = f"Step {worst.step} ({worst.users} users): " if worst.step else ""
    also = f" Seen at steps {', '.join(map(str, steps))}." if len(steps) > 1 else ""
    return Finding(
        rule.code, worst.severity, f"{where}{rule.says.format(**told)}{also}", rule.remedy,
        {**told, "statistic": rule.statistic, "steps": steps, "standard_deviations": _deviations(worst)},
    )  # fmt: skip


def _deviations(item: Discrepancy) -> float | None:
    return (item.measured - item.simulated) / item.spread if item.spread > 0 else None


def _rate_limited(compared: Sequence[ComparedStep]) -> Iterator[Finding]:
    """429 is an answer that no server of the family gives."""
    limited = sum(item.rate_limited for item in compared)
    share = limited / max(sum(item.step.requests for item in compared), 1)
    if limited < _LEAST_RATE_LIMITED_COUNT or share < LEAST_RATE_LIMITED:
        return
    yield Finding(
        "requests-rate-limited", "critical" if share >= REFUSE_RATE_LIMITED else "warning",
        f"{limited:,} requests ({share:.2%}) were answered 429: a limit for each client, which the model does not "
        "have, decided over them.",
        "Load from many clients, or switch the limit off for the test; else the limit is measured, not the server.",
        {"rate_limited": limited, "share": share},
    )  # fmt: skip


def _not_checked(compared: Sequence[ComparedStep]) -> Iterator[Finding]:
    if not compared:
        yield Finding(
            "checks-need-closed-users", "info",
            "No step has a fixed number of users who think (arrivals, schedules, sessions): the model was not checked "
            "against single requests.",
            "Record some levels of users who think (--pacing think).",
        )  # fmt: skip
    without_requests = [item.step.step for item in compared if item.measured is None]
    if without_requests:
        yield Finding(
            "checks-need-requests", "info",
            f"Steps {', '.join(map(str, without_requests))} have no single requests: order of service, the number "
            "inside, drift and the distribution were not checked there.",
            "Record with a request log.", {"steps": without_requests},
        )  # fmt: skip
    without_users = [item.step.step for item in compared if item.measured is not None and not item.knows_users]
    if without_users:
        yield Finding(
            "checks-need-users", "info",
            f"The requests of steps {', '.join(map(str, without_users))} do not name their users: whether all users "
            "are served alike was not checked there.",
            "Record with `capacity record`, which writes the user of every request.", {"steps": without_users},
        )  # fmt: skip
