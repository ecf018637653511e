"""Whether a plateau is one, or throughput and requests inside drift over it."""

from __future__ import annotations

from loadtests.foundation.findings import Finding
from loadtests.recording import LoadStep, Recording
from loadtests.trust.check import FALSE_ALARM_RATE, Looked, NotApplicable
from loadtests.trust.contrasts import (
    FEWEST_BLOCKS,
    Contrast,
    contrast_of,
    number_of_blocks,
    slope_weights,
)
from loadtests.trust.plateau import Floats, Plateau, plateau_of

CODE = "non-stationary"
LEAST_TREND = 0.05
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


def _long_enough(recording: Recording) -> list[Plateau] | NotApplicable:
    if recording.requests.empty:
        return NotApplicable("no single requests")
    plateaus = [plateau_of(recording, step) for step in recording.steps]
    usable = [item for item in plateaus if number_of_blocks(item) >= FEWEST_BLOCKS]
    return usable or NotApplicable(_TOO_SHORT)


def _series(plateau: Plateau) -> dict[str, Floats]:
    edges = plateau.edges_s(number_of_blocks(plateau))
    return {"throughput": plateau.throughput(edges), "requests inside": plateau.in_flight(edges)}


def _trend(step: LoadStep, what: str, trend: Contrast) -> Finding:
    message = (
        f"Step {step.step} is no plateau: {what} changed by {trend.value:+.1%} over its {step.window_s:.3g} s "
        f"(sampling error {trend.standard_error:.1%})."
    )
    remedy = "Cut more of its front, make the step longer, or find what drifts (caches, memory, other load)."
    return Finding(CODE, "warning", message, remedy, {"step": step.step, "what": what, "change": trend.value})
