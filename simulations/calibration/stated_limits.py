"""Limits that a deployment states: whether they agree with each other, and whether a recording contradicts one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from loadtests.deployment import UNLIMITED, Deployment
from loadtests.foundation.findings import Finding
from simulations.calibration.form_search import Candidate, FormSearch
from simulations.calibration.rejections import Rejections, with_queue_timeout

GOOD = 2.5
"""Chi-square per degree of freedom up to which a fit is not said to be poor."""
_FAR_OFF = 0.05
"""A limit that was found to differ from the stated one by this share, and by more than one, is another."""


@dataclass(frozen=True)
class Contradiction:
    """A stated limit without which the recording is explained.

    Parameters
    ----------
    stated, shown : dict
        By limit: as stated, and as the recording shows it.
    ratio : float
        Chi-square per degree of freedom without the statement.
    """

    stated: dict[str, Any]
    shown: dict[str, Any]
    ratio: float


def disagreements(stated: Deployment) -> Iterator[Finding]:
    """Stated limits that cannot all be at work.

    A gate below workers and line together is a tighter gate. One below the workers leaves some of them idle for ever,
    so one of the two is probably not what the server has.

    Parameters
    ----------
    stated : Deployment

    Yields
    ------
    Finding
    """
    gate, workers = stated.gate_limit, stated.workers
    if isinstance(gate, int) and isinstance(workers, int) and gate < workers:
        yield Finding(
            "stated-limits-disagree", "warning",
            f"The deployment states a gate of {gate} below its {workers} workers: {workers - gate} of them could never "
            "be busy.",
            "Look up both in the server's configuration. gate_limit counts requests inside, waiting or served; leave "
            "out what is not known for sure, and it is searched.",
            {"gate_limit": gate, "workers": workers},
        )  # fmt: skip


def contradiction(search: FormSearch, given: Deployment, rejected: Rejections) -> Contradiction | None:
    """The stated limit without which a form without stages explains a recording best; None where none does.

    One statement at a time is taken back: workers and line, the gate, the queue timeout. For recordings that are
    explained badly, since each costs a search.

    Parameters
    ----------
    search : FormSearch
        That found no form which explains the recording.
    given : Deployment
        As it was stated.
    rejected : Rejections

    Returns
    -------
    Contradiction or None
    """
    found = []
    for names, freed in _freed(given):
        told = with_queue_timeout(freed, rejected)
        _, candidates = replace(search, stated=told, report=_say_nothing).without_stages()
        best = max(candidates, key=lambda item: item.score.held_out_score)
        shown = {name: value for name in names if _is_another(value := _shown(best, name), getattr(given, name))}
        if shown and best.score.ratio <= GOOD:
            found.append(Contradiction({name: getattr(given, name) for name in shown}, shown, best.score.ratio))
    return min(found, key=lambda item: item.ratio, default=None)


def _say_nothing(share: float, what: str) -> None:
    del share, what


def _freed(given: Deployment) -> Iterator[tuple[tuple[str, ...], Deployment]]:
    """Limits that are looked at, and the deployment without them: what is stated as a line depends on the workers."""
    by_line = given.gate_limit is None and given.queue_capacity is not None
    if given.workers is not None:
        names = ("workers", "queue_capacity") if by_line else ("workers",)
        yield names, replace(given, **dict.fromkeys(names))
    without_gate = replace(given, gate_limit=None, queue_capacity=None)
    if given.gate is not None and without_gate.gate is None:
        yield ("queue_capacity" if by_line else "gate_limit",), without_gate
    if given.queue_timeout_s is not None:
        yield ("queue_timeout_s",), replace(given, queue_timeout_s=None)


def _shown(best: Candidate, name: str) -> Any:
    """A limit of the fit; a line is what the gate leaves beside the workers."""
    found = best.fit.form.deployment
    if name == "queue_capacity":
        gate, workers = found.gate, found.workers
        return gate - workers if isinstance(gate, int) and isinstance(workers, int) else UNLIMITED
    value = getattr(found, name)
    return UNLIMITED if value is None else value


def _is_another(shown: Any, stated: Any) -> bool:
    if UNLIMITED in (shown, stated):
        return bool(shown != stated)
    least = 1 if isinstance(stated, int) else 0.0
    return bool(abs(shown - stated) > max(_FAR_OFF * stated, least))


def contradiction_finding(found: Contradiction, ratio: float) -> Finding:
    """What is stated and what the recording shows instead.

    Parameters
    ----------
    found : Contradiction
    ratio : float
        Chi-square per degree of freedom with all that is stated.

    Returns
    -------
    Finding
    """
    what = "; ".join(
        f"{name} is stated as {_text(value)}, the recording shows {_about(found.shown[name])}"
        for name, value in found.stated.items()
    )
    names = " and ".join(found.stated)
    return Finding(
        "stated-limit-contradicted", "critical",
        f"The recording contradicts the deployment: {what}. As stated, the model misses the measurements by "
        f"{math.sqrt(ratio):.1f} times their noise, otherwise by {math.sqrt(found.ratio):.1f}.",
        f"Correct {names} in the deployment (or leave out what is not known: it is searched), and calibrate again. "
        "This model rests on what was stated.",
        {"stated": found.stated, "shown": found.shown, "chi_square_ratio": found.ratio},
    )  # fmt: skip


def _text(value: Any) -> str:
    return "unlimited" if value == UNLIMITED else f"{value:.4g}"


def _about(value: Any) -> str:
    return "no such limit" if value == UNLIMITED else f"about {value:.4g}"
