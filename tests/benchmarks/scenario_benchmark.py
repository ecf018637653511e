"""How fast scenarios become order dates and counts, and how much faster than the readable loops.

``./run python tests/benchmarks/scenario_benchmark.py [--scenarios 100000] [--months 60]`` prints one JSON line a part:
best of seven, wall time and the processor time of the same round, compiled code loaded before. With draws given,
positions, capacities and lead times are there, and growth, formula and counting follow. The plain loops run on a
hundredth of the scenarios, in the same process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np

from capacity.demand.growth_points import MonthlyPeak
from capacity.demand.month_dependence import MonthDependence
from capacity.planning import scenario_loops
from capacity.planning import scenarios as module
from capacity.planning.growth_paths import GrowthPaths
from capacity.planning.scenarios import Scenarios, draw_scenarios
from capacity.planning.uncertain import SplitLognormal
from loadtests.foundation.intervals import Interval

_ROUNDS = 7
_FLEET = 25
_SHARE = 100
_COUNTED = "growth, formula and counting, draws given"
ONE, LEAD = Interval(180, 200, 215, 0.9, "parameter"), Interval(0.5, 1.0, 2.5, 0.9, "prediction")
WANDERING = MonthDependence(own_share=0.3, persistence=0.9)


def months_of(number: int, dependence: MonthDependence | None = None) -> list[MonthlyPeak]:
    """A load that grows by 1 to 4 % a month."""
    link = dependence or MonthDependence()
    ends = ((4_000 * factor**month for factor in (1.025, 1.01, 1.04)) for month in range(number))
    return [MonthlyPeak(month, *peaks, dependence=link) for month, peaks in enumerate(ends)]


def dated(drawn: Scenarios) -> None:
    """What an outlook needs, and an order date beside it."""
    drawn.instance_counts()
    drawn.first_passages([_FLEET])


def grown(months: list[MonthlyPeak], position: np.ndarray, capacity: np.ndarray, lead: np.ndarray) -> Scenarios:
    """Scenarios of draws that are there."""
    return Scenarios(GrowthPaths.of([SplitLognormal.of(month.range) for month in months], position), capacity, lead)


def milliseconds(work: Callable[[], object], rounds: int = _ROUNDS) -> tuple[float, float]:
    """Wall and processor time of the best of some rounds, the first one not counted."""
    found = []
    for _ in range(rounds + 1):
        begun, used = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - begun, time.process_time() - used))
    wall, processor = min(found[1:])
    return wall * 1e3, processor * 1e3


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=100_000)
    parser.add_argument("--months", type=int, default=60)
    given = parser.parse_args()
    months, number = months_of(given.months), given.scenarios
    drawn = draw_scenarios(months, ONE, LEAD, count=number)
    few = draw_scenarios(months, ONE, LEAD, count=number // _SHARE)
    draws = drawn.paths.position[0], drawn.capacity, drawn.lead_time_months
    linked = months_of(given.months, WANDERING)
    parts = {
        _COUNTED: lambda: grown(months, *draws).instance_counts(),
        "the same with draws": lambda: draw_scenarios(months, ONE, LEAD, count=number).instance_counts(),
        "and when a fleet is passed, draws given": lambda: dated(grown(months, *draws)),
        "the same with draws, and when a fleet is passed": lambda: dated(
            draw_scenarios(months, ONE, LEAD, count=number)
        ),
        "the same with months that wander": lambda: dated(draw_scenarios(linked, ONE, LEAD, count=number)),
        "phases, draws given": lambda: grown(months, *draws).phase_counts(1.5, 1.5, 1),
    }
    took = {name: milliseconds(work) for name, work in parts.items()}
    with patch.object(module, "_loops", lambda _number: scenario_loops):
        plain, _ = milliseconds(few.instance_counts, 2)
    for name, (wall, processor) in took.items():
        figures = {"ms": round(wall, 1), "processor_ms": round(processor, 1)}
        print(json.dumps({"part": name, "scenarios": number, "months": given.months, **figures}))  # noqa: T201 - its output
    ratio = plain * _SHARE / took[_COUNTED][0]
    print(json.dumps({"part": "plain loops over compiled", "ratio": round(ratio)}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
