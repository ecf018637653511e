"""The herd: users who were spawned together still send together at the front of a window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loadtests.foundation.findings import Finding
from loadtests.foundation.units import format_duration
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.plateau import Plateau, plateau_of

CODE = "spawn-herd"
LEAST_EXCESS = 0.5
_SLICES_PER_CYCLE, _CYCLES_AT_FRONT, _FEWEST_CYCLES = 8, 2, 6
_MOST_DISPERSION = 2.0


@dataclass(frozen=True)
class _Burst:
    """The slice of time at the front that is least probable."""

    at_s: float
    length_s: float
    sent: int
    usual: float
    p_value: float


def look_at_spawn_herds(recording: Recording) -> Looked:
    """Compare how many requests are sent in each eighth of the first two cycles with the usual rate."""
    if recording.requests.empty:
        return NotApplicable("no single requests")
    ramped = [plateau_of(recording, step) for step in recording.steps if _is_ramp_up(recording, step)]
    usable = [item for item in ramped if item.step.window_s >= _FEWEST_CYCLES * item.cycle_s]
    if not usable:
        return NotApplicable(f"no window after a ramp up is as long as {_FEWEST_CYCLES} cycles of a user")
    level = FALSE_ALARM_RATE / (len(usable) * _SLICES_PER_CYCLE * _CYCLES_AT_FRONT)
    bursts = [(item.step, _worst_burst(item)) for item in usable]
    return [
        _herd(step, burst)
        for step, burst in bursts
        if burst.p_value < level and burst.sent > (1 + LEAST_EXCESS) * burst.usual
    ]


def _is_ramp_up(recording: Recording, step: LoadStep) -> bool:
    before = [item for item in recording.steps if item.start_s < step.start_s]
    return not before or max(before, key=lambda item: item.start_s).users < step.users


def _worst_burst(plateau: Plateau) -> _Burst:
    """Sendings of many independent users are about Poisson; where they are less even, their variance is scaled."""
    step, length_s = plateau.step, plateau.cycle_s / _SLICES_PER_CYCLE
    slices = int(step.window_s / length_s)
    edges = step.start_s + length_s * np.arange(slices + 1)
    sent = np.diff(np.searchsorted(plateau.started_s, edges))
    front, rest = np.split(sent, [_SLICES_PER_CYCLE * _CYCLES_AT_FRONT])
    usual = float(rest.mean())
    spread = float(np.clip(rest.var() / usual, 1.0, _MOST_DISPERSION)) if usual > 0 else 1.0
    worst = int(front.argmax())
    p_value = float(stats.poisson.sf(np.ceil(front[worst] / spread) - 1, usual / spread))
    return _Burst(float(edges[worst] - step.start_s), length_s, int(front[worst]), usual, p_value)


def _herd(step: LoadStep, burst: _Burst) -> Finding:
    message = (
        f"{format_duration(burst.at_s)} into step {step.step} {burst.sent} requests were sent within "
        f"{format_duration(burst.length_s)}, where {burst.usual:.3g} are usual: users who were spawned together still "
        "came together."
    )
    remedy = "Spawn more slowly, let users think before their first request, or cut more of the step's front."
    return Finding(CODE, "warning", message, remedy, {"step": step.step, "sent": burst.sent, "usual": burst.usual})
