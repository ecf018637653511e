"""The loops of `capacity.planning.scenario_loops`, compiled: the only door of numba in this package.

Scenarios are independent, so callers run slices of them in threads.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from capacity.planning import scenario_loops

_COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}

growth_paths = njit(**_COMPILED)(scenario_loops.growth_paths)
wandering_paths = njit(**_COMPILED)(scenario_loops.wandering_paths)
first_passages = njit(**_COMPILED)(scenario_loops.first_passages)
count_instances = njit(**_COMPILED)(scenario_loops.count_instances)
count_phases = njit(**_COMPILED)(scenario_loops.count_phases)
