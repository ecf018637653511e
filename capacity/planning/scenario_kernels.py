"""The loops of `capacity.planning.scenario_loops`, compiled: the only door of numba in this package.

Scenarios are independent, so callers run slices of them in threads.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from numba import njit

from capacity.planning import scenario_loops

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}


def _compiled(loop: Any) -> Any:
    """A loop that calls its helpers compiled; they stand in its file, whose edits numba's cache notices."""
    names = {**vars(scenario_loops), "curve_of": curve_of, "load_at": load_at}
    return njit(**_COMPILED)(FunctionType(loop.__code__, names, loop.__name__))


curve_of = njit(**_COMPILED)(scenario_loops.curve_of)
load_at = njit(**_COMPILED)(scenario_loops.load_at)
first_passages = _compiled(scenario_loops.first_passages)
count_instances = _compiled(scenario_loops.count_instances)
count_phases = _compiled(scenario_loops.count_phases)
