"""What a log has to know of a run's input, so that durations can be derived from its timestamps."""

from __future__ import annotations

from simulations.engines.inputs import EngineInput
from simulations.engines.request_log import Waits


def waits_of(given: EngineInput) -> Waits:
    """The clients' side of a run."""
    return Waits(
        given.network_round_trip_s, given.limits.request_timeout_s, given.clients.timeout_s,
        len(given.clients.waits_s) + 1, given.clients.is_retried,
    )  # fmt: skip
