"""How fast scenarios are drawn and counted, and how much faster than the readable loops.

``./run python tests/benchmarks/scenario_benchmark.py [--scenarios 100000] [--months 60]`` prints one JSON line a part:
best of seven, compiled code loaded before. The plain loops run on a hundredth of the scenarios, in the same process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from unittest.mock import patch

from capacity.demand.growth_points import MonthlyPeak
from capacity.planning import scenario_loops
from capacity.planning import scenarios as module
from capacity.planning.scenarios import Scenarios, draw_scenarios
from loadtests.foundation.intervals import Interval

_ROUNDS = 7
_FLEET = 25
_SHARE = 100
ONE, LEAD = Interval(180, 200, 215, 0.9, "parameter"), Interval(0.5, 1.0, 2.5, 0.9, "prediction")


def months_of(number: int) -> list[MonthlyPeak]:
    """A load that grows by 1 to 4 % a month."""
    return [MonthlyPeak(m, 4_000 * 1.025**m, 4_000 * 1.01**m, 4_000 * 1.04**m) for m in range(number)]


def counted(drawn: Scenarios) -> None:
    """What an order date and an outlook need of given draws."""
    drawn.first_passages([_FLEET])
    drawn.instance_counts()


def seconds(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Best of some rounds, the first one not counted."""
    found = []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=100_000)
    parser.add_argument("--months", type=int, default=60)
    given = parser.parse_args()
    months, number = months_of(given.months), given.scenarios
    drawn, few = (
        draw_scenarios(months, ONE, LEAD, count=number),
        draw_scenarios(months, ONE, LEAD, count=number // _SHARE),
    )
    parts = {
        "draws": seconds(lambda: draw_scenarios(months, ONE, LEAD, count=number)),
        "counted, draws given": seconds(lambda: counted(drawn)),
        "phases, draws given": seconds(lambda: drawn.phase_counts(1.5, 1.5, 1)),
    }
    with patch.object(module, "_loops", lambda _number: scenario_loops):
        plain = seconds(lambda: counted(few), 2) * _SHARE
    for name, took in parts.items():
        print(json.dumps({"part": name, "scenarios": number, "months": given.months, "ms": round(took * 1e3, 1)}))  # noqa: T201 - its output
    print(json.dumps({"part": "plain loops over compiled", "ratio": round(plain / parts["counted, draws given"])}))  # noqa: T201 - its output


if __name__ == "__main__":
    main()
