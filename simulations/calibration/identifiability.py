"""Which parameters a recording tells, which it does not, and which further step would tell the most."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.findings import Finding
from loadtests.foundation.intervals import Interval
from loadtests.recording import Recording
from simulations.analysis.load_levels import at_load
from simulations.calibration.further_step import NextStep
from simulations.calibration.observations import StepObservation
from simulations.calibration.problem import COARSE, Fit, Problem, simulate_step
from simulations.calibration.step_view import StepView

Floats = NDArray[np.float64]

_WIDEST = 1.0
"""An interval wider than this share of its value is not an identification."""
_SMALL = 0.05
"""A time below this share of the service time need not be told: it changes no prediction."""
_SHEDS_FROM = 0.01
"""Share of requests turned away from which they count as shed."""
_FACTORS = (0.5, 0.75, 1.0, 1.3, 2.0)


def identified_of(parameters: dict[str, Interval], unseen: tuple[str, ...]) -> dict[str, bool]:
    """Whether each parameter's interval is narrower than its value; limits that do not show are not told.

    Parameters
    ----------
    parameters : dict of str to Interval
    unseen : tuple of str

    Returns
    -------
    dict of str to bool
    """
    found = {name: _is_told(name, item, parameters) for name, item in parameters.items()}
    return {**found, **dict.fromkeys(unseen, False)}


def _is_told(name: str, interval: Interval, parameters: dict[str, Interval]) -> bool:
    width = interval.high - interval.low
    if name == "network_round_trip_s":
        services = [item.mid for other, item in parameters.items() if other.startswith("service_mean_s")]
        return width <= max(_WIDEST * abs(interval.mid), _SMALL * min(services))
    return width <= _WIDEST * abs(interval.mid)


def unidentified_findings(
    identified: dict[str, bool], unseen: tuple[str, ...], problem: Problem, deployment: Deployment
) -> Iterator[Finding]:
    """What the recording does not tell, and what would.

    Parameters
    ----------
    identified : dict of str to bool
    unseen : tuple of str
    problem : Problem
    deployment : Deployment

    Yields
    ------
    Finding
    """
    for name in unseen:
        yield _unseen_limit(name, problem)
    for name, known in identified.items():
        if not known and name not in unseen:
            yield _wide(name)
    has_gate = deployment.gate not in (None, UNLIMITED)
    if has_gate and not any(item.bad_share > 0 for item in problem.observations):
        yield _gate_not_reached(problem)


def pool_findings(stated: Deployment, found: Deployment) -> Iterator[Finding]:
    """That workers which were found may as well be a database pool, where nothing says otherwise.

    A request that waits for a connection of a pool smaller than the workers looks as one that waits for a worker. An
    endpoint that needs no connection tells them apart: it does not wait, and the model gets a stage for the others.

    Parameters
    ----------
    stated, found : Deployment
        What was known beforehand, and the limits of the fit.

    Yields
    ------
    Finding
    """
    if stated.workers is not None or stated.db_pool is not None or not isinstance(found.workers, int):
        return
    yield Finding(
        "workers-or-pool", "warning",
        f"The recording shows that {found.workers} requests are served at a time, but not whether workers or a "
        "database pool limit them: neither is stated, and no endpoint goes on without waiting. The model takes "
        "them as workers; what it says of more workers, or of more connections, rests on that.",
        'State workers and db_pool in the deployment ("unlimited" where there is no such limit), or record an endpoint '
        "that needs no database along with the others.",
        {"workers": found.workers},
    )  # fmt: skip


def timeout_findings(problem: Problem, recording: Recording, found: Deployment) -> Iterator[Finding]:
    """That a gate which was found may as well be a queue timeout, where single rejections are not known.

    A timeout turns requests away once the line is long, as a gate or a bounded line does; only the latency of those
    turned away tells which (`rejections`).

    Parameters
    ----------
    problem : Problem
    recording : Recording
    found : Deployment
        Limits of the fit.

    Yields
    ------
    Finding
    """
    stated = recording.deployment
    is_open = stated.queue_timeout_s is None and stated.gate is None and isinstance(found.gate_limit, int)
    sheds = any(item.bad_share > _SHEDS_FROM for item in problem.observations)
    if not (recording.requests.empty and is_open and sheds):
        return
    yield Finding(
        "gate-or-queue-timeout", "warning",
        "Requests were turned away, single ones are not known, and no limit is stated: what looks like a gate at "
        f"{found.gate_limit} requests may be a queue timeout or a bounded line. The model takes it as a gate; what it "
        "says of heavier loads or of another number of workers rests on that.",
        "State gate_limit, queue_capacity or queue_timeout_s in the deployment, or record with single requests: how "
        "long those waited that were turned away tells a timeout from a gate.",
        {"gate_limit": found.gate_limit},
    )  # fmt: skip


def next_step(problem: Problem, best: Fit, unseen: tuple[str, ...]) -> NextStep | None:
    """The load at which one more step, as long as the others, would shrink the parameters' joint uncertainty most.

    The determinant of the information matrix (D-optimality [1]_) is compared over loads from half the lightest to
    twice the heaviest; with a limit unseen, only loads beyond the heaviest can show it.

    Parameters
    ----------
    problem : Problem
    best : Fit
    unseen : tuple of str

    Returns
    -------
    NextStep or None

    References
    ----------
    .. [1] A. C. Atkinson, A. N. Donev, R. D. Tobias, Optimum Experimental Designs, with SAS, Oxford, 2007.
    """
    heaviest, lightest = problem.observations[-1], problem.observations[0]
    if unseen:
        load = _rounded(2 * heaviest.load)
        named = " and ".join(name.replace("_", " ") for name in unseen)
        return NextStep(load, {}, f"a load heavy enough to show {named}", heaviest.unit)
    jacobian = problem.jacobian(best)
    information = jacobian.T @ jacobian
    before = np.sqrt(np.diag(np.linalg.pinv(information)))
    gains = []
    loads = sorted({_rounded(factor * heaviest.load) for factor in _FACTORS} | {lightest.load / 2})
    for load in (item for item in loads if item >= 1):
        more = _information(problem, best, heaviest, load)
        if more is None:
            continue
        after = np.sqrt(np.diag(np.linalg.pinv(information + more)))
        gains.append((float(np.linalg.slogdet(information + more)[1]), load, before / np.maximum(after, 1e-12)))
    if not gains:
        return None
    _, load, shrinks = max(gains, key=lambda item: item[0])
    told = dict(zip(best.form.names, np.round(shrinks, 3).tolist(), strict=True))
    most = max(told, key=lambda name: told[name])
    return NextStep(load, told, f"it would narrow {most} by a factor of {told[most]:.2g}", heaviest.unit)


def _rounded(load: float) -> float:
    return float(max(round(load), 1))


def _information(problem: Problem, best: Fit, like: StepObservation, load: float) -> Floats | None:
    """What a step like another, at a load, would add to J'J."""
    groups = tuple(replace(group) for group in like.view.groups)
    step = replace(
        like, step=like.step + 1_000 + int(load), workload=at_load(like.workload, load), view=StepView(groups)
    )
    expected = simulate_step(best.model, step, problem.seed)
    if not np.all(np.isfinite(expected)):
        return None
    alone = Problem.of((replace(step, values=expected, rounding=np.zeros(expected.size)),), problem.seed, COARSE)
    noisy = alone.with_noise_of(best)
    rows = len(noisy.whitening[0])
    jacobian = noisy.jacobian(best)[:rows]
    return np.asarray(jacobian.T @ jacobian)


def _unseen_limit(name: str, problem: Problem) -> Finding:
    heaviest = problem.observations[-1]
    return Finding(
        f"{name.replace('_', '-')}-not-identified", "warning",
        f"The recording does not show {name}: up to {heaviest.load_text} nothing changes when it is doubled. "
        "The model takes it as unlimited, so it says nothing of heavier loads.",
        f"Record a step with about {math.ceil(2 * heaviest.load)} {heaviest.unit}, or state {name} in the deployment.",
        {"highest_load": heaviest.load, "unit": heaviest.unit},
    )  # fmt: skip


def _wide(name: str) -> Finding:
    return Finding(
        f"{name.replace('_', '-')}-not-identified", "info",
        f"The recording does not tell {name} apart: its interval is wider than its value.",
        "Record a lighter and a heavier step; next_step says which would tell the most.", {"parameter": name},
    )  # fmt: skip


def _gate_not_reached(problem: Problem) -> Finding:
    heaviest = problem.observations[-1]
    return Finding(
        "gate-not-reached", "info",
        f"No request was shed up to {heaviest.load_text}: the gate's effect is taken from the deployment, not seen.",
        f"Record a step with about {math.ceil(2 * heaviest.load)} {heaviest.unit} to see the gate at work.",
        {"highest_load": heaviest.load, "unit": heaviest.unit},
    )  # fmt: skip
