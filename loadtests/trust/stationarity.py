"""Whether a plateau is one, or shows a trend or the herd of users who were just spawned."""

from __future__ import annotations

import math

from loadtests.foundation.findings import Finding
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.contrasts import (
    FEWEST_BLOCKS,
    Contrast,
    contrast_of,
    first_weights,
    number_of_blocks,
    slope_weights,
)
from loadtests.trust.plateau import Floats, Plateau, plateau_of

TREND_CODE, HERD_CODE = "non-stationary", "spawn-herd"
LEAST_TREND, LEAST_HERD = 0.05, 0.10
_FIRST_SHARE = 0.05
_TOO_SHORT = f"no window is long enough for {FEWEST_BLOCKS} blocks of two user cycles"


def look_at_trends(recording: Recording) -> Looked:
    """Look for a trend or shift in throughput and in the number of requests inside."""
    plateaus = _long_enough(recording)
    if isinstance(plateaus, NotApplicable):
        return plateaus
    level = FALSE_ALARM_RATE / (2 * 2 * len(plateaus))
    found = []
    for plateau in plateaus:
        for what, values in _series(plateau).items():
            trend = contrast_of(values, slope_weights(len(values)))
            if trend.p_value < level and abs(trend.value) > LEAST_TREND:
                found.append(_trend(plateau.step, what, trend))
    return found


def look_at_spawn_herds(recording: Recording) -> Looked:
    """Look for users who still move together at the front of a window after a ramp up."""
    plateaus = _long_enough(recording)
    if isinstance(plateaus, NotApplicable):
        return plateaus
    ramped = [item for item in plateaus if _is_ramp_up(recording, item.step)]
    if not ramped:
        return NotApplicable("no step was ramped up to")
    level = FALSE_ALARM_RATE / len(ramped)
    found = []
    for plateau in ramped:
        blocks = number_of_blocks(plateau)
        first = max(1, math.floor(_FIRST_SHARE * blocks))
        herd = contrast_of(plateau.in_flight(plateau.edges_s(blocks)), first_weights(blocks, first))
        if herd.p_value < level and herd.value > LEAST_HERD:
            found.append(_herd(plateau.step, herd, first * plateau.step.window_s / blocks))
    return found


def _long_enough(recording: Recording) -> list[Plateau] | NotApplicable:
    if recording.requests.empty:
        return NotApplicable("no single requests")
    plateaus = [plateau_of(recording, step) for step in recording.steps]
    usable = [item for item in plateaus if number_of_blocks(item) >= FEWEST_BLOCKS]
    return usable or NotApplicable(_TOO_SHORT)


def _series(plateau: Plateau) -> dict[str, Floats]:
    edges = plateau.edges_s(number_of_blocks(plateau))
    return {"throughput": plateau.throughput(edges), "requests inside": plateau.in_flight(edges)}


def _is_ramp_up(recording: Recording, step: LoadStep) -> bool:
    before = [item for item in recording.steps if item.start_s < step.start_s]
    return not before or max(before, key=lambda item: item.start_s).users < step.users


def _trend(step: LoadStep, what: str, trend: Contrast) -> Finding:
    message = (
        f"Step {step.step} is no plateau: {what} changed by {trend.value:+.1%} over its {step.window_s:.3g} s "
        f"(sampling error {trend.standard_error:.1%})."
    )
    remedy = "Cut more of its front, make the step longer, or find what drifts (caches, memory, other load)."
    return Finding(TREND_CODE, "warning", message, remedy, {"step": step.step, "what": what, "change": trend.value})


def _herd(step: LoadStep, herd: Contrast, first_s: float) -> Finding:
    message = (
        f"In the first {first_s:.3g} s of step {step.step} {herd.value:.0%} more requests were inside than later: its "
        "users had just been spawned and still came together."
    )
    remedy = "Spawn more slowly, let users think before their first request, or cut more of the step's front."
    return Finding(HERD_CODE, "warning", message, remedy, {"step": step.step, "excess": herd.value, "first_s": first_s})
